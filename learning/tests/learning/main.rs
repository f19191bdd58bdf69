//! The learner over real journals: what runs come to, what is raised, and what becomes of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod back;
mod bad_input;
mod consumers;
mod course;
mod place;
mod refusals;
mod reliability;
