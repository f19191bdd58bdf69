//! What hearing a command takes: in a process of its own, so that nobody else's memory counts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    dead_code,
    reason = "a test fails by panicking, and the place is made for other tests, too"
)]

use serde_json::json;

#[path = "skills/support.rs"]
mod support;

use support::{Place, failure};

/// The most memory that this process ever had, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn a_flood_takes_no_memory() {
    let place = Place::new();
    place.run("command", json!({"argv": ["true"]}));
    let before = peak();
    let report = place.run("command", json!({"argv": ["yes"], "output_limit": 300_000_000}));
    assert!(failure(&report).starts_with("resource: it wrote more than"), "{}", failure(&report));
    assert!(report.stdout.bytes > 300_000_000);
    let more = peak() - before;
    assert!(more < 16 << 10, "{more} KiB for 300 MB");
}
