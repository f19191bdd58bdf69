//! What a skill reports of a try.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, FailureClass};

/// Bytes that are kept of the end of an output.
const KEPT: usize = 8 << 10;

/// Which output it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// The end of an output.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tail {
    /// What was written last, at most 8 KiB; what is not UTF-8 is replaced.
    pub text: String,
    /// Bytes that were written in all.
    pub bytes: u64,
}

/// What a skill reports of a try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What went wrong; none if nothing did.
    pub failure: Option<Failure>,
    /// Whether it came to the point where it may have had an effect.
    #[serde(default = "yes")]
    pub ran: bool,
    /// What a command exited with.
    pub exit_code: Option<i32>,
    /// The signal that ended a command.
    pub signal: Option<i32>,
    /// What it wrote.
    pub stdout: Tail,
    /// What it complained about.
    pub stderr: Tail,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

impl Report {
    /// Of a try that failed before anything ran.
    pub fn failed(failure: Failure) -> Self {
        Self { failure: Some(failure), ran: false, ..Self::done(Duration::ZERO) }
    }

    /// Of a try that went well.
    pub fn done(took: Duration) -> Self {
        Self {
            failure: None,
            ran: true,
            exit_code: None,
            signal: None,
            stdout: Tail::default(),
            stderr: Tail::default(),
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        }
    }

    /// Of a skill that panicked.
    pub fn panicked() -> Self {
        let failure = Failure::new(FailureClass::Unknown, "the skill panicked; please report it");
        Self { failure: Some(failure), ..Self::done(Duration::ZERO) }
    }
}

/// What is not said to have stopped before any effect may have had one.
fn yes() -> bool {
    true
}

/// Keeps the end of what is written.
#[derive(Debug, Default)]
pub(crate) struct TailWriter {
    kept: Vec<u8>,
    bytes: u64,
}

impl TailWriter {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.kept.extend_from_slice(bytes);
        // Cut rarely, so that it costs little for each byte.
        if self.kept.len() > 4 * KEPT {
            self.kept.drain(..self.kept.len() - KEPT);
        }
    }

    pub(crate) fn finish(mut self) -> Tail {
        if self.kept.len() > KEPT {
            self.kept.drain(..self.kept.len() - KEPT);
        }
        Tail { text: String::from_utf8_lossy(&self.kept).into_owned(), bytes: self.bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_tail_is_the_end(chunks in prop::collection::vec("[a-z]{0,9000}", 0..8)) {
            let mut tail = TailWriter::default();
            chunks.iter().for_each(|chunk| tail.push(chunk.as_bytes()));
            let (whole, tail) = (chunks.concat(), tail.finish());
            prop_assert_eq!(tail.bytes as usize, whole.len());
            prop_assert_eq!(tail.text.len(), whole.len().min(KEPT));
            prop_assert!(whole.ends_with(&tail.text));
        }
    }
}
