//! The server over real connections, on a real journal.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[cfg(test)]
mod addresses;
#[cfg(test)]
mod authzen;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod client;
#[cfg(test)]
mod control;
#[cfg(test)]
mod gates;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod issuers;
#[cfg(test)]
mod people;
#[cfg(test)]
mod place;
#[cfg(test)]
mod reliability;
#[cfg(test)]
mod reload;
