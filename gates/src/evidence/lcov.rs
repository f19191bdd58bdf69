//! LCOV tracefiles (`man geninfo`), as lcov, coverage.py, c8, Istanbul, Node.js and others write them.
//!
//! A line is executed when a `DA` record counts it more than zero times. A file that stands in
//! several records is merged as lcov merges it: a line or branch counts as executed if any record
//! says so. `LF`/`LH` and `BRF`/`BRH` have to agree with the records of their section. Functions and
//! MC/DC are passed over. LCOV names no tool.

use cku_base::Digest;

use super::{
    data::Ratio,
    document::{Evidence, EvidenceData, Format},
    error::{EvidenceError, Fault, quoted},
    limits::Limits,
    lines::{FileLines, Gathered},
    source::Source,
};

/// Reads a tracefile.
pub fn parse(file: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Evidence>, EvidenceError> {
    let source = Source::open(file, bytes, limits)?;
    let mut gathered = Gathered::default();
    let mut section: Option<Section<'_>> = None;
    for line in source.text.lines() {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if line == "end_of_record" {
            let done = section.take().ok_or_else(|| no_section(&source, line))?;
            done.check_totals(&source)?;
            gathered.file(done.path).merge(done.lines);
            continue;
        }
        let (key, value) = record(&source, line)?;
        match (key, &mut section) {
            ("SF", Some(open)) => {
                let message = format!("a new file, but {} has no `end_of_record`", quoted(open.path));
                return Err(fail(&source, Fault::Truncated, line, message));
            }
            ("SF", none) => {
                source.room_for(gathered.len(), "files", source.span_of(line).unwrap_or_default())?;
                *none = Some(Section::open(&source, line, value)?);
            }
            (_, Some(open)) => open.record(&source, line, key, value)?,
            ("TN", None) => {}
            (key, None) if key.starts_with("FN") => {}
            (_, None) => return Err(no_section(&source, line)),
        }
    }
    if let Some(open) = section {
        let message = format!("the file ends inside the section of {}", quoted(open.path));
        return Err(source.fail(Fault::Truncated, source.end(), message));
    }
    if gathered.len() == 0 {
        let message = "no file in this tracefile: there is no `SF` record";
        return Err(source.fail(Fault::OtherFormat, 0..0, message));
    }
    Ok(vec![Evidence {
        format: Format::Lcov,
        tool: None,
        version: None,
        digest: Digest::of(bytes),
        data: EvidenceData::Coverage(gathered.into_coverage()),
    }])
}

/// What stands between `SF` and `end_of_record`.
#[derive(Debug)]
struct Section<'t> {
    path: &'t str,
    lines: FileLines,
    /// Totals as the section states them, each with its record.
    stated: Vec<(&'static str, u64, &'t str)>,
}

impl<'t> Section<'t> {
    fn open(source: &Source<'t>, line: &'t str, path: &'t str) -> Result<Self, EvidenceError> {
        if path.is_empty() {
            return Err(fail(source, Fault::Malformed, line, "`SF` without a path"));
        }
        Ok(Self { path, lines: FileLines::default(), stated: Vec::new() })
    }

    fn record(
        &mut self,
        source: &Source<'t>,
        line: &'t str,
        key: &str,
        value: &'t str,
    ) -> Result<(), EvidenceError> {
        match key {
            "DA" => {
                // The third field, if there is one, is a checksum of the source line.
                let mut fields = value.split(',');
                let number = line_number(source, line, fields.next().unwrap_or(""))?;
                let hits = fields.next().ok_or_else(|| {
                    fail(source, Fault::Malformed, line, "`DA` without a count: `DA:<line>,<count>`")
                })?;
                self.lines.line(number, count(source, hits, "the count")? > 0);
            }
            "BRDA" => {
                // The branch itself may hold commas, so the last field is found from the end.
                let parts = value.split_once(',').and_then(|(number, rest)| {
                    let (branch, taken) = rest.rsplit_once(',')?;
                    Some((number, branch, taken))
                });
                let (number, branch, taken) = parts.ok_or_else(|| {
                    let form = "`BRDA` without its four fields: `BRDA:<line>,<block>,<branch>,<taken>`";
                    fail(source, Fault::Malformed, line, form)
                })?;
                let number = line_number(source, line, number)?;
                let hit = taken != "-" && count(source, taken, "the count")? > 0;
                self.lines.branch(format!("{number},{branch}"), Ratio { hit: hit.into(), total: 1 });
            }
            "LF" | "LH" | "BRF" | "BRH" => {
                let key = ["LF", "LH", "BRF", "BRH"].into_iter().find(|k| *k == key).unwrap_or("LF");
                if self.stated.iter().any(|(known, ..)| *known == key) {
                    return Err(fail(
                        source,
                        Fault::Repeated,
                        line,
                        format!("`{key}` stands twice in a section"),
                    ));
                }
                self.stated.push((key, count(source, value, &format!("`{key}`"))?, line));
            }
            // Functions, MC/DC, versions of the file, and what later versions of the format add.
            _ => {}
        }
        Ok(())
    }

    fn check_totals(&self, source: &Source<'_>) -> Result<(), EvidenceError> {
        let (lines, branches) = (self.lines.lines(), self.lines.branches());
        for (key, stated, line) in &self.stated {
            let (counted, what) = match *key {
                "LF" => (lines.total, "lines"),
                "LH" => (lines.hit, "executed lines"),
                "BRF" => (branches.total, "branches"),
                _ => (branches.hit, "taken branches"),
            };
            if *stated != counted {
                let message = format!("`{key}` says {stated}, but the count of {what} is {counted}");
                return Err(fail(source, Fault::Inconsistent, line, message));
            }
        }
        Ok(())
    }
}

/// Splits `KEY:value`; keys are capital letters.
fn record<'t>(source: &Source<'t>, line: &'t str) -> Result<(&'t str, &'t str), EvidenceError> {
    let known = line
        .split_once(':')
        .filter(|(key, _)| (2..=8).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_uppercase()));
    known.ok_or_else(|| {
        fail(source, Fault::Malformed, line, format!("{} is no record of a tracefile", quoted(line)))
    })
}

fn line_number(source: &Source<'_>, line: &str, digits: &str) -> Result<u32, EvidenceError> {
    let number = count(source, digits, "the line number")?;
    u32::try_from(number).ok().filter(|n| *n > 0).ok_or_else(|| {
        let message = format!("the line number is {number}; lines are from 1 to {}", u32::MAX);
        fail(source, Fault::Number, if digits.is_empty() { line } else { digits }, message)
    })
}

fn count(source: &Source<'_>, digits: &str, what: &str) -> Result<u64, EvidenceError> {
    source.count(digits, what, source.span_of(digits).unwrap_or_default())
}

fn no_section(source: &Source<'_>, line: &str) -> EvidenceError {
    fail(source, Fault::Malformed, line, format!("{} stands before any `SF`", quoted(line)))
}

fn fail(source: &Source<'_>, fault: Fault, part: &str, message: impl Into<String>) -> EvidenceError {
    source.fail(fault, source.span_of(part).unwrap_or_default(), message)
}
