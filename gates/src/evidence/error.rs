//! Why a report cannot be used as evidence.

use std::{fmt, ops::Range};

use cku_base::diagnostic::{Diagnostic, LineIndex, Place};

/// The ways in which a report is refused; each has a stable code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    /// More bytes, or more files, findings or cases, than the limits accept.
    TooLarge,
    /// Not UTF-8, or declared as something else.
    Encoding,
    /// Not well-formed: the syntax of XML, JSON, LCOV or numstat is broken.
    Malformed,
    /// Well-formed, but a document of another kind.
    OtherFormat,
    /// Nested deeper than the limits accept.
    TooDeep,
    /// A document type or an entity, which could expand or reach outside the file.
    Entity,
    /// A number that is negative, too large or no integer.
    Number,
    /// A total that the report states and that its own items contradict.
    Inconsistent,
    /// The report ends before it is complete.
    Truncated,
    /// Something that can be there once is there twice.
    Repeated,
    /// A path that is absolute or leaves the directory it is relative to.
    Path,
    /// The tool says that it did not finish, or the results are elsewhere.
    Unfinished,
}

impl Fault {
    /// Every fault, in the order of the codes.
    pub const ALL: [Self; 12] = [
        Self::TooLarge,
        Self::Encoding,
        Self::Malformed,
        Self::OtherFormat,
        Self::TooDeep,
        Self::Entity,
        Self::Number,
        Self::Inconsistent,
        Self::Truncated,
        Self::Repeated,
        Self::Path,
        Self::Unfinished,
    ];

    /// The code of the diagnostic.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "E001",
            Self::Encoding => "E002",
            Self::Malformed => "E003",
            Self::OtherFormat => "E004",
            Self::TooDeep => "E005",
            Self::Entity => "E006",
            Self::Number => "E007",
            Self::Inconsistent => "E008",
            Self::Truncated => "E009",
            Self::Repeated => "E010",
            Self::Path => "E011",
            Self::Unfinished => "E012",
        }
    }

    fn help(self) -> &'static str {
        match self {
            Self::TooLarge => "split the report, or raise the limit if a report of this size is expected",
            Self::Encoding => "write the report as UTF-8",
            Self::Malformed => "let the tool write the report again; do not edit it by hand",
            Self::OtherFormat => "name the format of this file, or leave it out",
            Self::TooDeep => "no tool nests a report like this; look at where it comes from",
            Self::Entity => "remove the document type; reports need only the five predefined entities",
            Self::Number => "let the tool write the report again; counts are integers from 0",
            Self::Inconsistent => "let the tool write the report again; its items and totals must agree",
            Self::Truncated => "wait until the tool has written the whole report, then collect again",
            Self::Repeated => {
                "let the tool write the report again; merge reports with the tool's own command"
            }
            Self::Path => "run git within the repository, without `--no-index` or `--relative`",
            Self::Unfinished => "look at the tool's log, and run it again until it finishes",
        }
    }
}

/// A report that is refused: what is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceError {
    fault: Fault,
    diagnostic: Box<Diagnostic>,
}

impl EvidenceError {
    pub(super) fn new(fault: Fault, place: Place, message: impl Into<String>) -> Self {
        let diagnostic = Diagnostic::error(fault.code(), message).at(place).help(fault.help());
        Self { fault, diagnostic: Box::new(diagnostic) }
    }

    /// Replaces the general advice by one for this case.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.diagnostic.help = Some(help.into());
        self
    }

    /// In which way the report is refused.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Where; every refusal has a place, if only the file.
    pub fn place(&self) -> Option<&Place> {
        self.diagnostic.place.as_ref()
    }

    /// The same as a diagnostic, for a surface to render.
    pub fn diagnostic(&self) -> &Diagnostic {
        &self.diagnostic
    }
}

impl From<EvidenceError> for Diagnostic {
    fn from(error: EvidenceError) -> Self {
        *error.diagnostic
    }
}

impl fmt::Display for EvidenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.diagnostic, f)
    }
}

impl std::error::Error for EvidenceError {}

/// User input in a message: one line, and not longer than a message can bear.
pub(super) fn quoted(input: &str) -> String {
    const MAX: usize = 80;
    let mut shown = String::new();
    for character in input.chars().take(MAX) {
        match character {
            '"' | '\'' | '\\' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    if input.chars().nth(MAX).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The place of a span in bytes that need not be text.
pub(super) fn place_in_bytes(file: &str, bytes: &[u8], span: Range<usize>) -> Place {
    let before = String::from_utf8_lossy(bytes.get(..span.start).unwrap_or(bytes));
    let end = before.len();
    Place { span, ..LineIndex::new(&before).place(file, end..end) }
}
