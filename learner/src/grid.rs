//! The values a threshold may have, and the bands between them.

use serde::{Deserialize, Serialize};

/// More bands would not fit the state of a scope, and none of them would see enough runs.
const MOST_BANDS: i64 = 256;

/// The direction in which fewer runs pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stricter {
    /// Toward greater values: a run passes where its fact is at least the threshold.
    Up,
    /// Toward smaller values: a run passes where its fact is at most the threshold.
    Down,
}

/// The values a threshold may have, in the unit of its type.
///
/// INVARIANT: `min < max`, `step > 0` divides the range, and there are at most 256 values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Raw", into = "Raw")]
pub struct Grid {
    min: i64,
    max: i64,
    step: i64,
    stricter: Stricter,
    limit_passes: bool,
}

#[derive(Serialize, Deserialize)]
struct Raw {
    min: i64,
    max: i64,
    step: i64,
    stricter: Stricter,
    limit_passes: bool,
}

/// A range that makes no grid, or a value that lies on none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GridError {
    /// The range is empty.
    #[error("the range {0}..{1} is empty; give a least value below the greatest")]
    Empty(i64, i64),
    /// The step is not positive or does not divide the range.
    #[error("step {step} does not divide the range {min}..{max}; give a step that does")]
    Step {
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
        /// The step.
        step: i64,
    },
    /// There are too many values.
    #[error("the grid has more than {MOST_BANDS} values; give a larger step or a smaller range")]
    Large,
    /// The value is no value of the grid.
    #[error("{value} is not on the grid {min}..{max} step {step}")]
    Off {
        /// The value.
        value: i64,
        /// The least value.
        min: i64,
        /// The greatest value.
        max: i64,
        /// The step.
        step: i64,
    },
}

/// A band of facts between two neighbouring thresholds; 0 passes at every threshold, the band past the
/// last at none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Band(pub u16);

/// A threshold as the number of bands that pass: a run passes iff its band is below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cut(pub u16);

impl Cut {
    /// Whether a run of this band passes.
    pub fn passes(self, band: Band) -> bool {
        band.0 < self.0
    }
}

impl Grid {
    /// The grid of a threshold; `limit_passes` says whether a fact equal to the threshold passes.
    pub fn new(
        min: i64,
        max: i64,
        step: i64,
        stricter: Stricter,
        limit_passes: bool,
    ) -> Result<Self, GridError> {
        let Some(span) = max.checked_sub(min).filter(|span| *span > 0) else {
            return Err(GridError::Empty(min, max));
        };
        if step <= 0 || span % step != 0 {
            return Err(GridError::Step { min, max, step });
        }
        if span / step >= MOST_BANDS {
            return Err(GridError::Large);
        }
        Ok(Self { min, max, step, stricter, limit_passes })
    }

    /// How many bands pass at the loosest threshold; facts past them pass at none.
    pub fn bands(&self) -> u16 {
        u16::try_from((self.max - self.min) / self.step + 1).unwrap_or(0)
    }

    /// The band of a fact.
    pub fn band(&self, fact: i64) -> Band {
        let past = i64::from(!self.limit_passes);
        // Up: the steps by which it misses the strictest value; down: the same from the other end.
        let missing = match self.stricter {
            Stricter::Up => self.max.saturating_sub(fact.saturating_sub(past)),
            Stricter::Down => fact.saturating_add(past).saturating_sub(self.min),
        };
        let steps = missing.max(0).saturating_add(self.step - 1) / self.step;
        Band(u16::try_from(steps.min(i64::from(self.bands()))).unwrap_or(u16::MAX))
    }

    /// The cut of a threshold's value; the value must be on the grid.
    pub fn cut(&self, value: i64) -> Result<Cut, GridError> {
        let off = GridError::Off { value, min: self.min, max: self.max, step: self.step };
        if !(self.min..=self.max).contains(&value) || (value - self.min) % self.step != 0 {
            return Err(off);
        }
        let steps = match self.stricter {
            Stricter::Up => (self.max - value) / self.step,
            Stricter::Down => (value - self.min) / self.step,
        };
        u16::try_from(steps + 1).map(Cut).map_err(|_| off)
    }

    /// The threshold's value at a cut, held to the grid.
    pub fn value(&self, cut: Cut) -> i64 {
        let steps = i64::from(cut.0.clamp(1, self.bands())) - 1;
        match self.stricter {
            Stricter::Up => self.max - steps * self.step,
            Stricter::Down => self.min + steps * self.step,
        }
    }
}

impl TryFrom<Raw> for Grid {
    type Error = GridError;

    fn try_from(raw: Raw) -> Result<Self, GridError> {
        Self::new(raw.min, raw.max, raw.step, raw.stricter, raw.limit_passes)
    }
}

impl From<Grid> for Raw {
    fn from(grid: Grid) -> Self {
        let Grid { min, max, step, stricter, limit_passes } = grid;
        Self { min, max, step, stricter, limit_passes }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_grid_that_is_none_is_refused() {
        assert_eq!(Grid::new(5, 5, 1, Stricter::Up, true), Err(GridError::Empty(5, 5)));
        assert!(matches!(Grid::new(0, 10, 3, Stricter::Up, true), Err(GridError::Step { .. })));
        assert!(matches!(Grid::new(0, 10, 0, Stricter::Up, true), Err(GridError::Step { .. })));
        assert!(matches!(Grid::new(i64::MIN, i64::MAX, 1, Stricter::Up, true), Err(GridError::Empty(..))));
        assert_eq!(Grid::new(0, 256, 1, Stricter::Up, true), Err(GridError::Large));
        assert!(Grid::new(0, 255, 1, Stricter::Up, true).is_ok());
    }

    proptest! {
        /// What the rule itself says, compared value by value.
        #[test]
        fn a_run_passes_by_its_band_as_it_does_by_its_fact(
            min in -50i64..50, steps in 1i64..60, step in 1i64..7, fact in -200i64..600,
            up in any::<bool>(), limit in any::<bool>(), at in 0i64..60,
        ) {
            let stricter = if up { Stricter::Up } else { Stricter::Down };
            let grid = Grid::new(min, min + steps * step, step, stricter, limit).unwrap();
            let value = min + (at % (steps + 1)) * step;
            let cut = grid.cut(value).unwrap();
            let by_fact = match (up, limit) {
                (true, true) => fact >= value,
                (true, false) => fact > value,
                (false, true) => fact <= value,
                (false, false) => fact < value,
            };
            prop_assert_eq!(cut.passes(grid.band(fact)), by_fact);
            prop_assert_eq!(grid.value(cut), value);
            prop_assert!(cut.0 >= 1 && cut.0 <= grid.bands());
        }
    }
}
