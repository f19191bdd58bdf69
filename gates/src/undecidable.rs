//! Why there is no decision at all.

use cku_base::suggest;

/// Why there is no decision; none of these is ever a verdict.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecidable {
    /// The bundle does not have the mode.
    #[error("the mode `{mode}` is not one of the bundle's: {}{}", .known.join(", "), hint(.mode, .known))]
    UnknownMode {
        /// What was asked for.
        mode: String,
        /// What there is.
        known: Vec<String>,
    },
    /// The input is larger than the bundle takes.
    #[error("the input has {bytes} bytes, the bundle takes {limit}")]
    TooLarge {
        /// Bytes of the canonical input.
        bytes: usize,
        /// The bundle's limit.
        limit: usize,
    },
    /// The input has no canonical form.
    #[error("the input cannot be used: {0}")]
    Unreadable(String),
    /// The clock ran out, which another run might not reproduce.
    #[error("not decidable: {0}")]
    TimeLimit(String),
}

fn hint(mode: &str, known: &[String]) -> String {
    suggest(mode, known.iter().map(String::as_str))
        .map_or_else(String::new, |n| format!("; did you mean `{n}`?"))
}
