//! What a change touches, from `git diff --numstat -z`.
//!
//! Records end with NUL: `added TAB removed TAB path`, and for a renamed or copied file
//! `added TAB removed TAB` NUL `old path` NUL `new path`. Binary files have `-` for both numbers. An
//! empty file is an empty change. Paths have to be plain and relative, since boundaries are.

use std::{collections::BTreeSet, ops::Range};

use cku_base::Digest;

use super::{
    check::plain_path,
    data::{Change, ChangedFile},
    document::{Evidence, EvidenceData, Format},
    error::{EvidenceError, Fault, place_in_bytes, quoted},
    limits::{Limits, MAX_COUNT},
    source::{count, within_bytes},
};

/// Reads the output of `git diff --numstat -z`.
pub fn parse(file: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Evidence>, EvidenceError> {
    within_bytes(file, bytes, limits)?;
    let mut records = Records { file, bytes, at: 0 };
    let mut change = Change { files: Vec::new(), added: 0, removed: 0 };
    let mut seen = BTreeSet::new();
    while let Some((changed, span)) = records.next()? {
        if change.files.len() >= limits.items {
            let message = format!("more than the {} files that are accepted", limits.items);
            return Err(records.fail(Fault::TooLarge, span, message));
        }
        if !seen.insert(changed.path.clone()) {
            let message = format!("{} stands twice", quoted(&changed.path));
            return Err(records.fail(Fault::Repeated, span, message));
        }
        change.added += changed.added.unwrap_or(0);
        change.removed += changed.removed.unwrap_or(0);
        if change.added.max(change.removed) > MAX_COUNT {
            return Err(records.fail(Fault::Number, span, "the sum of the lines is too large"));
        }
        change.files.push(changed);
    }
    Ok(vec![Evidence {
        format: Format::Numstat,
        tool: Some("git".to_owned()),
        version: None,
        digest: Digest::of(bytes),
        data: EvidenceData::Change(change),
    }])
}

/// The records not yet read.
#[derive(Debug)]
struct Records<'b> {
    file: &'b str,
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Records<'b> {
    /// The next file and where it stands.
    fn next(&mut self) -> Result<Option<(ChangedFile, Range<usize>)>, EvidenceError> {
        let start = self.at;
        if start >= self.bytes.len() {
            return Ok(None);
        }
        let (added, added_at) = self.field(b'\t', "the number of added lines")?;
        let (removed, removed_at) = self.field(b'\t', "the number of removed lines")?;
        let (path, from) = match self.path()? {
            "" => {
                let from = self.path()?;
                (self.path()?, Some(from))
            }
            path => (path, None),
        };
        for path in std::iter::once(path).chain(from) {
            if let Err(why) = plain_path(path) {
                return Err(self.fail(
                    Fault::Path,
                    start..self.at,
                    format!("the path {} {why}", quoted(path)),
                ));
            }
        }
        let binary = added == "-" && removed == "-";
        let (added, removed) = match binary {
            true => (None, None),
            false => (Some(self.lines(added, added_at)?), Some(self.lines(removed, removed_at)?)),
        };
        let changed =
            ChangedFile { path: path.to_owned(), from: from.map(str::to_owned), added, removed, binary };
        Ok(Some((changed, start..self.at)))
    }

    /// What stands before the next `end`, as text.
    fn field(&mut self, end: u8, what: &str) -> Result<(&'b str, Range<usize>), EvidenceError> {
        let rest = self.bytes.get(self.at..).unwrap_or(&[]);
        let field = match rest.iter().position(|b| *b == end || *b == 0) {
            Some(length) if rest.get(length) == Some(&end) => rest.get(..length).unwrap_or(rest),
            Some(length) => {
                let message = format!("no tab after {what}");
                return Err(self.fail(Fault::Malformed, self.at..self.at + length, message));
            }
            None => return Err(self.unfinished(rest, what)),
        };
        let span = self.at..self.at + field.len();
        let text = std::str::from_utf8(field).map_err(|error| {
            let at = self.at + error.valid_up_to();
            self.fail(Fault::Encoding, at..at, format!("{what} is not UTF-8 from here on"))
                .help("rename the file; only paths in UTF-8 can be held against a boundary")
        })?;
        self.at = span.end + 1;
        Ok((text, span))
    }

    fn path(&mut self) -> Result<&'b str, EvidenceError> {
        if self.at >= self.bytes.len() {
            return Err(self.fail(Fault::Truncated, self.at..self.at, "the file ends before the path"));
        }
        self.field(0, "the path").map(|(path, _)| path)
    }

    fn lines(&self, digits: &str, span: Range<usize>) -> Result<u64, EvidenceError> {
        count(digits).map_err(|why| {
            let message = format!("the number of lines is {}, which is {why}", quoted(digits));
            self.fail(Fault::Number, span, message)
        })
    }

    /// A record without its end: cut off, or not written with `-z` at all.
    fn unfinished(&self, rest: &[u8], what: &str) -> EvidenceError {
        if rest.contains(&b'\n') && !self.bytes.contains(&0) {
            return self
                .fail(Fault::OtherFormat, self.at..self.at, "lines, where records end with NUL")
                .help("write the file with `git diff --numstat -z`");
        }
        self.fail(
            Fault::Truncated,
            self.bytes.len()..self.bytes.len(),
            format!("the file ends inside {what}"),
        )
    }

    fn fail(&self, fault: Fault, span: Range<usize>, message: impl Into<String>) -> EvidenceError {
        EvidenceError::new(fault, place_in_bytes(self.file, self.bytes, span), message)
    }
}
