//! Runs, without effects and with them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod course;
mod exploration;
mod plans;
mod recorded;
