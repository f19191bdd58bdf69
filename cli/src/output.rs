//! Writing: results to standard output, diagnostics to standard error.

use std::{
    fmt,
    io::{self, Write},
};

use serde::Serialize;

use crate::exit::Exit;

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Pretty,
    /// For programs.
    Json,
}

/// Writes a result; that it could not be written has been shown when this is an error.
///
/// A reader that has gone away (`cku … | head`) is no error of ours.
pub(crate) fn result(text: impl fmt::Display) -> Result<(), Exit> {
    let mut out = anstream::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            problem(format_args!("the result cannot be written: {error}"));
            Err(Exit::Internal)
        }
        _ => Ok(()),
    }
}

/// Writes a result as JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Exit> {
    match serde_json::to_string_pretty(value) {
        Ok(text) => result(format_args!("{text}\n")),
        Err(error) => {
            problem(format_args!("the result is not JSON: {error}"));
            Err(Exit::Internal)
        }
    }
}

/// Writes a diagnostic that belongs to no file.
///
/// Where standard error cannot be written to, there is nobody left to tell.
pub(crate) fn problem(text: impl fmt::Display) {
    let style = crate::render::style::ERROR;
    let _ = writeln!(anstream::stderr(), "{style}error{style:#}: {text}");
}

/// Writes something to standard error as it is.
pub(crate) fn note(text: impl fmt::Display) {
    let _ = write!(anstream::stderr(), "{text}");
}

/// `1 file`, `2 files`.
pub(crate) fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
