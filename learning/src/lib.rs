//! The learner over a journal: outcomes in, policy diffs out.
//!
//! [`Following`] reads the entries of a tenant in their order and keeps what each threshold that may be
//! learned has seen: an [`intake`] turns the entries of runs into the events of scopes, and a scope now and
//! then raises a proposal with its [`Evidence`]. All of it is a function of the entries: whoever reads them
//! from the start comes to the same bytes, which is how [`verify`] looks at a diff again. [`propose`] makes
//! a policy diff of what was raised. [`TrackRecord`] counts from the same entries how skills, agents, gates,
//! voters and tenants turned out; gates are given what [`TrackRecords`] knows. Nothing here activates anything: a diff is for people to approve.

mod declared;
mod evidence;
mod following;
mod intake;
mod notes;
mod objections;
mod problems;
mod propose;
mod ranked;
mod reliability;
mod round;
mod scope;
mod thresholds;

pub use declared::{DeclaredError, settings};
pub use evidence::{Evidence, VerifyError, verify};
pub use following::{FollowError, Following};
pub use intake::Counts;
pub use notes::{LearnerPaused, LearnerProposed, LearnerSettled, Settlement, pause, settle};
pub use objections::{Objection, objection};
pub use problems::problems;
pub use propose::{ProposalError, Proposed, propose};
pub use ranked::ranked;
pub use reliability::{
    BY_CHANCE, KnownSubject, ReadTo, Reckoning, ReliabilityError, Report, SubjectKind, Subjects, TrackRecord,
    TrackRecords,
};
pub use round::{Round, RoundError, round, settle_ended, stop_failing};
pub use scope::{Failing, Raised, ScopeView, WatchView};
pub use thresholds::{Learnable, learnable};
