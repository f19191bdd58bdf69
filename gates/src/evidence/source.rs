//! The text of a report, with what every parser needs of it: limits, places, numbers.

use std::ops::Range;

use cku_base::diagnostic::{LineIndex, Place};

use super::{
    error::{EvidenceError, Fault, place_in_bytes, quoted},
    limits::{Limits, MAX_COUNT},
};

/// A report as text, within the limit of bytes and without byte order mark.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'t> {
    pub(super) file: &'t str,
    pub(super) text: &'t str,
    pub(super) limits: &'t Limits,
}

impl<'t> Source<'t> {
    /// Reads `bytes` as UTF-8.
    pub(super) fn open(file: &'t str, bytes: &'t [u8], limits: &'t Limits) -> Result<Self, EvidenceError> {
        within_bytes(file, bytes, limits)?;
        let text = std::str::from_utf8(bytes).map_err(|error| {
            let at = error.valid_up_to();
            let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
            let message = if utf16 { "this is UTF-16, not UTF-8" } else { "not UTF-8 from here on" };
            EvidenceError::new(Fault::Encoding, place_in_bytes(file, bytes, at..at), message)
        })?;
        Ok(Self { file, text: text.strip_prefix('\u{feff}').unwrap_or(text), limits })
    }

    /// The place of a span of the text.
    pub(super) fn place(&self, span: Range<usize>) -> Place {
        LineIndex::new(self.text).place(self.file, span)
    }

    /// A refusal at a span of the text.
    pub(super) fn fail(&self, fault: Fault, span: Range<usize>, message: impl Into<String>) -> EvidenceError {
        EvidenceError::new(fault, self.place(span), message)
    }

    /// The end of the text, where something is missing.
    pub(super) fn end(&self) -> Range<usize> {
        let end = self.text.trim_end().len();
        end..end
    }

    /// Where `part` stands, if it is a part of this text; the whole of it otherwise.
    pub(super) fn span_of(&self, part: &str) -> Option<Range<usize>> {
        let offset = (part.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        let end = offset.checked_add(part.len())?;
        (end <= self.text.len()).then_some(offset..end)
    }

    /// An integer from 0 to [`MAX_COUNT`], written in digits alone.
    pub(super) fn count(&self, digits: &str, what: &str, span: Range<usize>) -> Result<u64, EvidenceError> {
        count(digits).map_err(|why| {
            let message = format!("{what} is {}, which is {why}", quoted(digits));
            self.fail(Fault::Number, span, message)
        })
    }

    /// One more of what is counted against [`Limits::items`].
    pub(super) fn room_for(&self, items: usize, what: &str, span: Range<usize>) -> Result<(), EvidenceError> {
        if items < self.limits.items {
            return Ok(());
        }
        let message = format!("more than the {} {what} that are accepted", self.limits.items);
        Err(self.fail(Fault::TooLarge, span, message))
    }
}

/// Refuses what is larger than the limit before anything is read.
pub(super) fn within_bytes(file: &str, bytes: &[u8], limits: &Limits) -> Result<(), EvidenceError> {
    if bytes.len() <= limits.bytes {
        return Ok(());
    }
    let message = format!("{} bytes are more than the {} that are accepted", bytes.len(), limits.bytes);
    Err(EvidenceError::new(Fault::TooLarge, Place::whole_file(file), message))
}

/// Reads digits; the error says why they are no count.
pub(super) fn count(digits: &str) -> Result<u64, &'static str> {
    if digits.strip_prefix('-').is_some_and(|rest| rest.parse::<f64>().is_ok()) {
        return Err("negative");
    }
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err("no integer");
    }
    digits.parse().ok().filter(|n| *n <= MAX_COUNT).ok_or("too large")
}
