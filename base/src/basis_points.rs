//! Shares as integers.

use serde::{Deserialize, Serialize};

/// A share in ten-thousandths, 0 to 10000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32")]
pub struct BasisPoints(u32);

/// A number that is no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is more than 10000; write ten-thousandths, 0 to 10000")]
pub struct BasisPointsError(u32);

impl BasisPoints {
    /// The ten-thousandths.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for BasisPoints {
    type Error = BasisPointsError;

    fn try_from(points: u32) -> Result<Self, BasisPointsError> {
        (points <= 10_000).then_some(Self(points)).ok_or(BasisPointsError(points))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_at_most_the_whole() {
        assert_eq!(BasisPoints::try_from(10_000).unwrap().get(), 10_000);
        assert!(BasisPoints::try_from(10_001).is_err());
        assert!(serde_json::from_str::<BasisPoints>("10001").is_err());
    }
}
