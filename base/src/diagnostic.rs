//! The one diagnostic of cku: what is wrong, where, and what to do.
//!
//! Every crate fills these in; only a surface (terminal, JSON, SARIF, a page) renders them.

use std::{fmt, ops::Range};

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing can go on with this.
    Error,
    /// It works, but somebody should look.
    Warning,
}

/// A span of a file, with the lines and columns where it begins and ends.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Place {
    /// The file, as the user named it or relative to the bundle.
    pub file: String,
    /// First line, from 1; 0 (in JSON absent) when the file as a whole is meant.
    #[serde(skip_serializing_if = "is_zero")]
    pub line: u32,
    /// First column, from 1, in characters; like the line.
    #[serde(skip_serializing_if = "is_zero")]
    pub column: u32,
    /// The line of the last character meant; like the line.
    #[serde(skip_serializing_if = "is_zero")]
    pub end_line: u32,
    /// The column after the last character meant; like the line.
    #[serde(skip_serializing_if = "is_zero")]
    pub end_column: u32,
    /// The bytes meant, within the file's text.
    #[serde(skip)]
    pub span: Range<usize>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Place {
    /// A file as a whole.
    pub fn whole_file(file: impl Into<String>) -> Self {
        Self { file: file.into(), line: 0, column: 0, end_line: 0, end_column: 0, span: 0..0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}:{}", self.file, self.column),
        }
    }
}

/// Whether a fix may be made without asking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Applicability {
    /// It is what was meant, and nothing else could be.
    Sure,
    /// It is a guess: a person says whether it is right.
    Maybe,
}

/// How to mend what is wrong, for a machine to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fix {
    /// What it does, as an instruction: `write `==``.
    pub title: String,
    /// Whether it may be made without asking.
    pub applicability: Applicability,
    /// The bytes that are replaced; an empty span is a place to insert at.
    pub place: Place,
    /// What takes their place.
    pub text: String,
}

impl Fix {
    /// A fix that may be made without asking.
    pub fn sure(title: impl Into<String>, place: Place, text: impl Into<String>) -> Self {
        Self { title: title.into(), applicability: Applicability::Sure, place, text: text.into() }
    }

    /// A fix that a person must agree to.
    pub fn maybe(title: impl Into<String>, place: Place, text: impl Into<String>) -> Self {
        Self { applicability: Applicability::Maybe, ..Self::sure(title, place, text) }
    }
}

/// Makes the fixes that may be made without asking and are about this text; gives it, and how many.
///
/// Of two that overlap the first by place is made.
pub fn fixed<'d>(text: &str, diagnostics: impl IntoIterator<Item = &'d Diagnostic>) -> (String, usize) {
    let sure = |d: &'d Diagnostic| d.fix.as_deref().filter(|f| f.applicability == Applicability::Sure);
    let mut fixes: Vec<&Fix> = diagnostics.into_iter().filter_map(sure).collect();
    fixes.sort_by_key(|fix| (fix.place.span.start, fix.place.span.end));
    fixes.dedup_by_key(|fix| (fix.place.span.clone(), &fix.text));
    let (mut out, mut made, mut at) = (String::with_capacity(text.len()), 0, 0);
    for fix in fixes {
        let span = &fix.place.span;
        // None where it begins before the last one ended.
        let (Some(before), Some(_)) = (text.get(at..span.start), text.get(span.clone())) else { continue };
        out.push_str(before);
        out.push_str(&fix.text);
        (at, made) = (span.end, made + 1);
    }
    out.push_str(text.get(at..).unwrap_or(""));
    (out, made)
}

/// Something to tell the person who wrote a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// A stable code, such as `G004`.
    pub code: &'static str,
    /// Error or warning.
    pub severity: Severity,
    /// One sentence, lower case, without full stop; user input in backticks.
    pub message: String,
    /// Where it is, if it is in one place.
    pub place: Option<Place>,
    /// What to write beneath the span.
    pub label: Option<String>,
    /// What to do about it.
    pub help: Option<String>,
    /// How a machine can do it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Box<Fix>>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            severity: Severity::Error,
            message: message.into(),
            place: None,
            label: None,
            help: None,
            fix: None,
        }
    }

    /// A warning.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// Says where.
    pub fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Writes something beneath the span.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Says what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Says how a machine can do it.
    pub fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(Box::new(fix));
        self
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// What diagnostics are sorted by, so that output is stable: file, offset, code, message.
    pub fn sort_key(&self) -> (Option<&str>, usize, &'static str, &str) {
        let place = self.place.as_ref();
        (place.map(|p| p.file.as_str()), place.map_or(0, |p| p.span.start), self.code, &self.message)
    }
}

/// One line: `error[G004] gates/quality.gate:3:5: message; help`.
impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{severity}[{}] ", self.code)?;
        if let Some(place) = &self.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

/// Where the lines of a text begin, to turn offsets into places.
#[derive(Debug, Clone)]
pub struct LineIndex<'t> {
    text: &'t str,
    starts: Vec<usize>,
    /// The characters before each block of bytes, so that a column in a long line is found at once.
    characters: Vec<usize>,
}

/// Bytes of a block.
const BLOCK: usize = 1024;

impl<'t> LineIndex<'t> {
    /// Reads the line ends of `text` once.
    pub fn new(text: &'t str) -> Self {
        let after_newlines = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(i, _)| i + 1);
        let starts = std::iter::once(0).chain(after_newlines).collect();
        let blocks = text.as_bytes().chunks(BLOCK);
        let before = blocks.scan(0, |sum, block| Some(std::mem::replace(sum, *sum + characters(block))));
        let characters = before.collect();
        Self { text, starts, characters }
    }

    /// The place of `span` in `file`; an offset past the end means the end.
    pub fn place(&self, file: impl Into<String>, span: Range<usize>) -> Place {
        let start = self.boundary(span.start);
        let end = self.boundary(span.end).max(start);
        let (line, column) = self.position(start);
        let (end_line, end_column) = self.position(end);
        Place { file: file.into(), line, column, end_line, end_column, span: start..end }
    }

    /// The last boundary between characters up to an offset.
    fn boundary(&self, offset: usize) -> usize {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        offset
    }

    /// The line and column of an offset, both from 1.
    fn position(&self, offset: usize) -> (u32, u32) {
        let line = self.starts.partition_point(|s| *s <= offset).max(1);
        let line_start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = self.characters_before(offset) - self.characters_before(line_start) + 1;
        (u32::try_from(line).unwrap_or(u32::MAX), u32::try_from(column).unwrap_or(u32::MAX))
    }

    fn characters_before(&self, offset: usize) -> usize {
        // The end of a text that ends with a block belongs to that block.
        let block = (offset / BLOCK).min(self.characters.len().saturating_sub(1));
        let within = self.text.as_bytes().get(block * BLOCK..offset).map_or(0, characters);
        self.characters.get(block).copied().unwrap_or(0) + within
    }

    /// The place of a line and column, both from 1, as parsers report them.
    pub fn place_at(&self, file: impl Into<String>, line: u32, column: u32) -> Place {
        let line_start = self.starts.get(line.saturating_sub(1) as usize).copied().unwrap_or(self.text.len());
        let rest = self.text.get(line_start..).unwrap_or("");
        let line_text = rest.split('\n').next().unwrap_or("");
        let offset =
            line_text.chars().take(column.saturating_sub(1) as usize).map(char::len_utf8).sum::<usize>();
        let start = line_start + offset;
        let width = self.text.get(start..).and_then(|s| s.chars().next()).map_or(0, char::len_utf8);
        self.place(file, start..start + width)
    }
}

/// How many characters begin in these bytes of UTF-8.
fn characters(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| (**byte & 0xc0) != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn columns_count_characters_and_spans_count_bytes() {
        let index = LineIndex::new("one\nzwö lf\n");
        let place = index.place("f", 9..11);
        assert_eq!((place.line, place.column, place.span), (2, 5, 9..11));
        assert_eq!((place.end_line, place.end_column), (2, 7));
        assert_eq!(index.place_at("f", 2, 5).span, 9..10);
    }

    #[test]
    fn columns_of_long_lines_are_counted_in_blocks() {
        let text = format!("é\n{}", "aé".repeat(2_000));
        let index = LineIndex::new(&text);
        for at in [0, 3, 1_023, 1_024, 1_026, 3_000, 6_003, text.len()] {
            let at = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
            let column = text[line_start..at].chars().count() + 1;
            assert_eq!(index.place("f", at..at).column as usize, column, "{at}");
        }
        // A text that ends with a block.
        let text = "a".repeat(BLOCK);
        assert_eq!(LineIndex::new(&text).place("f", BLOCK..BLOCK).column as usize, BLOCK + 1);
    }

    #[test]
    fn sure_fixes_are_made_and_guesses_left() {
        let text = "a = b && c";
        let at = |span| LineIndex::new(text).place("f", span);
        let with = |fix| Diagnostic::error("X", "x").fix(fix);
        let found = [
            with(Fix::sure("", at(6..8), "and")),
            with(Fix::sure("", at(2..3), "==")),
            with(Fix::maybe("", at(0..1), "d")),
            with(Fix::sure("", at(7..8), "overlaps")),
        ];
        assert_eq!(fixed(text, &found), ("a == b and c".to_owned(), 2));
        assert_eq!(fixed(text, &[]), (text.to_owned(), 0));
    }

    proptest! {
        #[test]
        fn every_offset_has_a_place(text in "[aö\n]{0,20}", start in 0usize..40, len in 0usize..40) {
            let place = LineIndex::new(&text).place("f", start..start.saturating_add(len));
            prop_assert!(place.line >= 1 && place.column >= 1);
            prop_assert!(place.span.end <= text.len());
        }
    }
}
