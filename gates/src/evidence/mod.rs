//! Evidence: what the tools people already use reported, read strictly and without loss.
//!
//! Each parser is pure: a name for the diagnostics, the bytes, the [`Limits`], and nothing else. A
//! report that is too large, broken, truncated, ambiguous or at odds with itself is refused with
//! its place; none is repaired. What was read is [`Evidence`], one shape per [`Kind`], published as
//! JSON Schema in `gates/schema/`.
//!
//! ```
//! use cku_gates::evidence::{self, EvidenceData, Format, Limits};
//!
//! let report = b"SF:src/api.py\nDA:1,1\nDA:2,0\nend_of_record\n";
//! assert_eq!(evidence::detect("lcov.info", report), Some(Format::Lcov));
//!
//! let read = evidence::parse(Format::Lcov, "lcov.info", report, &Limits::default())?;
//! let EvidenceData::Coverage(coverage) = &read[0].data else { unreachable!() };
//! assert_eq!((coverage.lines.hit, coverage.lines.total), (1, 2));
//! # Ok::<(), evidence::EvidenceError>(())
//! ```

mod check;
pub mod cobertura;
mod data;
mod detect;
mod document;
mod error;
mod json_place;
pub mod junit;
pub mod lcov;
mod limits;
mod lines;
pub mod numstat;
pub mod sarif;
mod schema;
mod source;
mod xml;

pub use check::Inconsistent;
pub use data::{
    Change, ChangedFile, Coverage, FileCoverage, Finding, Findings, Level, LevelCounts, Ratio, TestFailure,
    Tests,
};
pub use detect::detect;
pub use document::{Evidence, EvidenceData, Format, Kind};
pub use error::{EvidenceError, Fault};
pub use limits::{Limits, MAX_COUNT};
pub use schema::schema;

/// Reads a report of this format; `file` is only for the diagnostics.
///
/// There is one piece of evidence per report, except for SARIF: one per run of a tool.
pub fn parse(
    format: Format,
    file: &str,
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<Evidence>, EvidenceError> {
    match format {
        Format::Lcov => lcov::parse(file, bytes, limits),
        Format::Cobertura => cobertura::parse(file, bytes, limits),
        Format::Sarif => sarif::parse(file, bytes, limits),
        Format::Junit => junit::parse(file, bytes, limits),
        Format::Numstat => numstat::parse(file, bytes, limits),
    }
}
