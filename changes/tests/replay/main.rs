//! Replay over real journals, recorded by runs.

#[cfg(test)]
mod decisions;
#[cfg(test)]
mod place;
