//! One file a command.

pub(crate) mod check;
pub(crate) mod collect;
pub(crate) mod compile;
pub(crate) mod eval;
pub(crate) mod test;
