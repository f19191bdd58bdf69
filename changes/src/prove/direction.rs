//! In which direction something changed.

use serde::{Deserialize, Serialize};

/// In which direction something changed.
///
/// Directions form a join-semilattice: `neutral` below `tighten` and `loosen`, `incomparable` above both,
/// and `unproved` above all. What is known to loosen is not lost under `unproved`: a comparison keeps the
/// direction of each of its parts beside the join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Nothing is decided otherwise.
    Neutral,
    /// Only less is let through.
    Tighten,
    /// Only more is let through.
    Loosen,
    /// More here and less there, or two things that cannot be compared.
    Incomparable,
    /// Nobody knows.
    Unproved,
}

impl Direction {
    /// Every direction.
    pub const ALL: [Self; 5] =
        [Self::Neutral, Self::Tighten, Self::Loosen, Self::Incomparable, Self::Unproved];

    /// The direction of two changes made together: the least upper bound.
    pub fn join(self, other: Self) -> Self {
        use Direction::{Incomparable, Loosen, Neutral, Tighten, Unproved};
        match (self, other) {
            (Unproved, _) | (_, Unproved) => Unproved,
            (Neutral, one) | (one, Neutral) => one,
            (Tighten, Tighten) => Tighten,
            (Loosen, Loosen) => Loosen,
            _ => Incomparable,
        }
    }

    /// The direction of all these changes made together.
    pub fn of_all(directions: impl IntoIterator<Item = Self>) -> Self {
        directions.into_iter().fold(Self::Neutral, Self::join)
    }

    /// Whether it is treated as a loosening: what is not known to be safe is not safe.
    pub fn counts_as_loosening(self) -> bool {
        matches!(self, Self::Loosen | Self::Incomparable | Self::Unproved)
    }

    /// As it is written in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Neutral => "neutral",
            Self::Tighten => "tighten",
            Self::Loosen => "loosen",
            Self::Incomparable => "incomparable",
            Self::Unproved => "unproved",
        }
    }
}
