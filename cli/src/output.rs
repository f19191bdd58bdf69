//! Writing: results to standard output, diagnostics to standard error.

use std::{fmt, io::Write};

use serde::Serialize;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Pretty,
    /// For programs.
    Json,
}

/// Writes a result. A reader that has gone away (`cku … | head`) is no error of ours.
pub(crate) fn result(text: impl fmt::Display) {
    let _ = write!(anstream::stdout(), "{text}");
}

/// Writes a result as JSON.
pub(crate) fn json(value: &impl Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => result(format_args!("{text}\n")),
        Err(error) => problem(format_args!("the result is not JSON: {error}")),
    }
}

/// Writes a diagnostic that belongs to no file.
pub(crate) fn problem(text: impl fmt::Display) {
    let style = crate::render::style::ERROR;
    let _ = writeln!(anstream::stderr(), "{style}error{style:#}: {text}");
}

/// Writes something to standard error as it is.
pub(crate) fn note(text: impl fmt::Display) {
    let _ = write!(anstream::stderr(), "{text}");
}
