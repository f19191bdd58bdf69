//! How a run came to go ahead, which decides what its outcome may prove.

use serde::{Deserialize, Serialize};

/// The probability with which exploration lets a run through, in ten-thousandths; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Propensity(u32);

/// A number that is no propensity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no propensity; give ten-thousandths, 1 to 10000")]
pub struct PropensityError(u32);

impl Propensity {
    /// The ten-thousandths.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The probability, in (0, 1].
    pub fn probability(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }
}

impl TryFrom<u32> for Propensity {
    type Error = PropensityError;

    fn try_from(points: u32) -> Result<Self, PropensityError> {
        (1..=10_000).contains(&points).then_some(Self(points)).ok_or(PropensityError(points))
    }
}

impl From<Propensity> for u32 {
    fn from(propensity: Propensity) -> Self {
        propensity.0
    }
}

/// Evidence that may certify a loosening: whether the run went ahead did not depend on anyone who
/// could know or guess how it would end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certifying {
    /// The run passed the threshold.
    Passed {
        /// With this probability it would have gone ahead all the same, had it not passed: exploration was open
        /// to it. Beside runs without that chance the ones of the bands above would be missing, and what passes
        /// would seem to speak for them.
        propensity: Propensity,
    },
    /// The run did not pass, and the keyed draw let it through.
    Explored {
        /// With this probability, recorded with the decision.
        propensity: Propensity,
    },
}

/// Evidence that certifies nothing: a person chose this run. It counts in reports and estimates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advisory;

/// How a run came to go ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// In a way that may certify.
    Certifying(Certifying),
    /// It passed the threshold, but exploration was not open to it: the principal was at its cap, the
    /// draw was used before, or other rules stood in the way too. It speaks for tightening only:
    /// beside it the runs of the bands above, which had no chance, would be missing.
    PassedUnexplorable,
    /// A person let it through.
    Advisory(Advisory),
}

impl Certifying {
    /// The probability with which exploration would let the run through.
    pub fn propensity(self) -> Propensity {
        match self {
            Self::Passed { propensity } | Self::Explored { propensity } => propensity,
        }
    }
}

impl Route {
    /// Whether the run passed the threshold.
    pub fn passed(self) -> bool {
        matches!(self, Self::Certifying(Certifying::Passed { .. }) | Self::PassedUnexplorable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_propensity_is_never_zero() {
        assert!(Propensity::try_from(0).is_err());
        assert!(serde_json::from_str::<Propensity>("10001").is_err());
        assert!((Propensity::try_from(3_000).unwrap().probability() - 0.3).abs() < 1e-12);
    }
}
