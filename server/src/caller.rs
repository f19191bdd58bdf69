//! Whoever asks, and the tokens that a thread has verified.

use std::{collections::HashMap, sync::Arc};

use cku_base::{Principal, Timestamp};
use cku_gates::Submitter;

/// Tokens that a thread keeps.
pub(crate) const KEPT: usize = 4_096;

/// Whoever asks, with the name under which their questions are recorded.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) by: Submitter,
    /// In the text form.
    pub(crate) name: String,
}

impl Caller {
    pub(crate) fn new(by: Submitter) -> Arc<Self> {
        let name = by.principal.to_string();
        Arc::new(Self { by, name })
    }

    pub(crate) fn principal(&self) -> &Principal {
        &self.by.principal
    }
}

/// Tokens that were verified under a state: verifying one again costs more than a decision.
#[derive(Default)]
pub(crate) struct Tokens {
    pub(crate) number: u64,
    pub(crate) known: HashMap<String, (Arc<Caller>, Timestamp)>,
    pub(crate) local: Option<Arc<Caller>>,
}
