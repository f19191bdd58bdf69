//! The binary, end to end.

mod environment;
mod fail_closed;
mod surfaces;
mod testdata;
