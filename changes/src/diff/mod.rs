//! A policy diff on its way from proposed to active, or to another end.
//!
//! [`propose`] puts a diff into the journal, [`check`] finds out all that is to be known about it,
//! [`consent`] lets people approve or refuse, [`gate`] asks the bundle of change control, [`activate`]
//! makes the new revision the active one in one entry, or tries it, and [`roll_back`] takes it back in one. The state
//! of a diff, [`Diff`], is computed from the entries of its stream; [`Diff::decide`] is pure.

mod access;
mod activation;
mod acts;
mod event;
mod evidence;
mod found;
mod gate;
mod history;
mod propose;
mod review;
mod rows;
mod state;
mod store;
mod thresholds;

pub use activation::{Activated, activate, roll_back, stop_canary, stop_failing};
pub use acts::{ActError, consent, withdraw};
pub use event::{Checked, Consented, Decided, Ended, Ending, Event, Proposed, Staged};
pub use evidence::{CheckError, CheckOptions, check};
pub use found::Evidence;
pub use gate::{GateError, Judged, gate, judge};
pub use propose::{Proposal, ProposeError, propose};
pub use review::{Review, ReviewError, Said, review};
pub use rows::{DiffRow, DiffRows};
pub use state::{Command, Diff, Refusal, Status};
pub use store::{evidence_of, find, list, load, new_bundle, subject};
