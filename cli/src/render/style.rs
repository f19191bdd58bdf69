//! The colours; where there is no terminal they are stripped on the way out.

use anstyle::{AnsiColor, Style};
use cku_gates::Verdict;

/// Errors and REJECT.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Warnings and PAUSE.
pub(crate) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
/// PASS.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What matters less.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Headings.
pub(crate) const BOLD: Style = Style::new().bold();

/// The colour of a verdict; none for a gate that was not reached.
pub(crate) fn of(verdict: Option<Verdict>) -> Style {
    match verdict {
        Some(Verdict::Pass) => GOOD,
        Some(Verdict::Pause) => WARNING,
        Some(Verdict::Reject) => ERROR,
        None => DIM,
    }
}
