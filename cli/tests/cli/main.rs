//! The binary, end to end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod approvals;
mod bundle;
mod damage;
mod diffs;
mod environment;
mod fail_closed;
mod first_run;
mod installation;
mod issuers;
mod journals;
mod keys;
mod language;
mod learn;
mod prove;
mod reliability;
mod replay;
mod runs;
mod serve;
mod stolen;
mod surfaces;
mod testdata;
