//! How badly a run ended, and how it was let through.

use serde::{Deserialize, Serialize};

/// The ten-thousandths of a whole loss.
const WHOLE: u32 = 10_000;

/// A loss between 0 (success) and 1 (failure), in ten-thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Loss(u32);

/// A number that is no loss.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`{0}` is no loss; give a number from 0 (success) to 1 (failure)")]
pub struct LossError(String);

impl Loss {
    /// The loss of a success.
    pub const NONE: Self = Self(0);
    /// The loss of a failure.
    pub const FULL: Self = Self(WHOLE);

    /// The ten-thousandths.
    pub fn get(self) -> u32 {
        self.0
    }

    /// The loss as a number in [0, 1].
    pub fn value(self) -> f64 {
        match self.0 {
            0 => 0.0,
            WHOLE => 1.0,
            part => f64::from(part) / f64::from(WHOLE),
        }
    }

    /// The loss of whoever said that it would be a failure.
    #[must_use]
    pub fn opposite(self) -> Self {
        Self(WHOLE - self.0)
    }

    /// Rounded to ten-thousandths; refuses NaN and what lies outside 0 to 1.
    pub fn from_number(number: f64) -> Result<Self, LossError> {
        if !(0.0..=1.0).contains(&number) {
            return Err(LossError(number.to_string()));
        }
        // In 0 to 10,000 by the check above.
        Ok(Self(libm::round(number * f64::from(WHOLE)) as u32))
    }
}

impl TryFrom<u32> for Loss {
    type Error = LossError;

    fn try_from(points: u32) -> Result<Self, LossError> {
        (points <= WHOLE).then_some(Self(points)).ok_or_else(|| LossError(format!("{points}/10000")))
    }
}

impl From<Loss> for u32 {
    fn from(loss: Loss) -> Self {
        loss.0
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// As it should.
    Success,
    /// It failed.
    Failure,
    /// In part; it weighs what the bundle declares.
    Partial,
}

impl Outcome {
    /// Its loss, where a partial outcome weighs `partial`.
    pub fn loss(self, partial: Loss) -> Loss {
        match self {
            Self::Success => Loss::NONE,
            Self::Failure => Loss::FULL,
            Self::Partial => partial,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_a_number_from_0_to_1() {
        assert_eq!(Loss::from_number(0.5).unwrap().get(), 5_000);
        assert_eq!(Loss::from_number(1.0).unwrap(), Loss::FULL);
        for bad in [f64::NAN, -0.01, 1.01, f64::INFINITY] {
            assert!(Loss::from_number(bad).is_err(), "{bad}");
        }
        assert!(Loss::try_from(10_001).is_err());
    }

    #[test]
    fn a_partial_outcome_weighs_what_was_declared() {
        let half = Loss::from_number(0.5).unwrap();
        assert!((Outcome::Partial.loss(half).value() - 0.5).abs() < 1e-12);
        assert_eq!(Outcome::Success.loss(half), Loss::NONE);
    }
}
