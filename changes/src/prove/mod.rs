//! In which direction a bundle differs from another: proved, refuted with a counterexample, or unproved.
