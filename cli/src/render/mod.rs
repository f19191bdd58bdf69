//! How things look on a terminal.

pub(crate) mod decision;
pub(crate) mod diagnostics;
pub(crate) mod style;
pub(crate) mod tests;
