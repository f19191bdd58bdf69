//! L11: the same journal gives the same bytes.

use crate::bench::Figure;

pub(super) fn figure(_seed: u64) -> Figure {
    Figure {
        id: "L11",
        what: "same journal, same diff and evidence digest".to_owned(),
        value: None,
        shown: String::new(),
        target: "byte-identical",
        met: None,
    }
}
