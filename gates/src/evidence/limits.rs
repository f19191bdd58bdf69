//! How large a report may be.

/// The largest count in a report: so large that ten thousand times it is still exact wherever numbers
/// are doubles (RFC 8785), as a percentage with two decimals needs.
pub const MAX_COUNT: u64 = (1 << 53) / 10_000;

/// How large a report may be; a report over a limit is refused, never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Nesting of XML elements, or of JSON arrays and objects.
    pub depth: usize,
    /// Files of a coverage report or a change, findings, test cases; each report on its own.
    pub items: usize,
}

impl Default for Limits {
    /// 32 MiB, 64 levels, 200 000 items.
    fn default() -> Self {
        Self { bytes: 32 << 20, depth: 64, items: 200_000 }
    }
}
