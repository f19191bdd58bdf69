//! One file a command.

pub(crate) mod acts;
pub(crate) mod auth;
pub(crate) mod bundle;
pub(crate) mod check;
pub(crate) mod collect;
pub(crate) mod compile;
pub(crate) mod diff;
pub(crate) mod eval;
pub(crate) mod fmt;
pub(crate) mod freeze;
pub(crate) mod init;
pub(crate) mod journal;
pub(crate) mod killswitch;
pub(crate) mod learn;
mod local;
pub(crate) mod reliability;
pub(crate) mod role;
pub(crate) mod run;
pub(crate) mod runs;
pub(crate) mod serve;
pub(crate) mod test;
mod trial;
