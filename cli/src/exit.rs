//! The one map from outcomes to exit codes.

use std::process::ExitCode;

use cku_gates::{Undecidable, Verdict};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// PASS, or all well.
    Pass,
    /// REJECT, or tests that failed.
    Reject,
    /// Wrong usage, or input that cannot be used. Clap ends with the same code.
    Usage,
    /// A bundle that does not load.
    Bundle,
    /// PAUSE.
    Pause,
    /// A failure of cku itself, or no decision at all.
    Internal,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Pass => 0,
            Exit::Reject => 1,
            Exit::Usage => 2,
            Exit::Bundle => 3,
            Exit::Pause => 4,
            Exit::Internal => 5,
        })
    }
}

impl From<Verdict> for Exit {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Self::Pass,
            Verdict::Pause => Self::Pause,
            Verdict::Reject => Self::Reject,
        }
    }
}

impl From<&Undecidable> for Exit {
    fn from(why: &Undecidable) -> Self {
        match why {
            Undecidable::UnknownMode { .. } | Undecidable::TooLarge { .. } | Undecidable::Unreadable(_) => {
                Self::Usage
            }
            Undecidable::TimeLimit(_) => Self::Internal,
        }
    }
}
