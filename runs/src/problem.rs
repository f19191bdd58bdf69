//! What the problems of a plan are made of.

use std::collections::BTreeSet;

use cku_base::diagnostic::Diagnostic;

/// The beginning of a text from outside.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

/// A problem of a plan.
pub(crate) fn problem(code: &'static str, message: impl Into<String>) -> Diagnostic {
    Diagnostic::error(code, message)
}

/// The ids of a list of steps, for hints.
pub(crate) fn ids(steps: &[cku_gates::Step]) -> BTreeSet<&str> {
    steps.iter().map(|s| s.id.as_str()).collect()
}
