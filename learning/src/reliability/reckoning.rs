//! How reliability is reckoned, as a bundle declares it.

use cku_base::BasisPoints;
use cku_engine::Bundle;
use cku_learner::{Loss, reliability::Counts};
use serde::{Deserialize, Serialize};

use crate::declared::{DeclaredError, settings};

/// How reliability is reckoned: by what a bundle declares in the `defaults` of `data.cku.learner`, since tries
/// and votes are of no one mode or threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reckoning {
    /// The outcomes of a subject after which one counts half.
    pub half_life: u32,
    /// The loss of a partial outcome.
    pub partial: Loss,
    /// The outcomes from which on gates are given what is known.
    pub from: u32,
    /// The share that fewer outcomes must refute for that.
    pub doubt: BasisPoints,
}

impl Reckoning {
    /// What a bundle declares, and the shipped numbers for the rest.
    pub fn of(bundle: &Bundle) -> Result<Self, DeclaredError> {
        // No mode and no threshold has an empty name.
        let settings = settings(bundle, "", "")?;
        let declared = settings.get();
        Ok(Self {
            half_life: declared.half_life,
            partial: declared.partial,
            from: declared.reliability_from,
            doubt: declared.reliability_doubt,
        })
    }

    /// What gates are given of a subject; none where the defaults of the policies hold.
    pub fn given(&self, counts: &Counts) -> Option<BasisPoints> {
        counts.known(self.from, self.doubt)
    }
}
