//! The names that the conditions and messages of a gate may use.

use std::collections::{BTreeMap, BTreeSet};

use crate::types::Type;

/// What the expressions and messages of a gate may name. A type that is not known is `None`: the
/// name is, and what it means was reported where it is declared.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) facts: BTreeMap<String, Option<Type>>,
    pub(super) thresholds: BTreeMap<String, Option<Type>>,
    /// The words of what could not be read: one of them may be the name that is looked for.
    pub(super) unread: BTreeSet<String>,
}

impl Scope {
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.facts.keys().chain(self.thresholds.keys()).map(String::as_str)
    }
}
