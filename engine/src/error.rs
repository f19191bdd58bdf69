//! What can go wrong with a bundle that loaded: every one of these fails closed.

use cku_base::diagnostic::Diagnostic;

/// A bundle that does not load, with all that is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the bundle does not load: {} problems, the first: {}", .diagnostics.len(), first(.diagnostics))]
pub struct LoadError {
    /// At least one error; warnings may be among them.
    pub diagnostics: Vec<Diagnostic>,
}

fn first(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().find(|d| d.is_error()).map_or_else(String::new, ToString::to_string)
}

/// An evaluation that gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// The policy failed on this input; the same input fails again. A gate turns it into REJECT.
    #[error("{0}")]
    Failed(String),
    /// The time ran out, which another run might not reproduce: not decidable, never a verdict.
    #[error("the evaluation took longer than the bundle's `limits.time_ms`")]
    TimeLimit,
}
