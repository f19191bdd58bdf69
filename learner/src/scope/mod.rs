//! One threshold in one mode of one tenant: events in, maybe a notice out.

mod state;
mod tables;

use cku_base::TenantPath;
use serde::{Deserialize, Serialize};

use crate::{
    grid::{Band, Cut},
    loss::Loss,
    route::Route,
    sources::Source,
};

pub use state::ScopeState;
pub use tables::Tables;

/// What is learned about: a threshold of a gate, in a mode, for a tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Scope {
    /// The tenant.
    pub tenant: TenantPath,
    /// The mode.
    pub mode: String,
    /// The gate.
    pub gate: String,
    /// The threshold's name.
    pub threshold: String,
}

/// The matured outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Matured {
    /// The band of its fact.
    pub band: Band,
    /// The threshold that was active when it was decided.
    pub cut: Cut,
    /// How it came to go ahead.
    pub route: Route,
    /// Where the outcome comes from.
    pub source: Source,
    /// The loss for tightening: 0 where none is known.
    pub tighten: Loss,
    /// The loss for loosening: 1 where none is known.
    pub loosen: Loss,
}

/// What happens in a scope, in the order of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// A run was held or rejected, and has no outcome.
    Held(Band),
    /// A run's outcome is final for the detectors.
    Matured(Matured),
    /// A canary tries this threshold from now on, beside the active one.
    Trial {
        /// The threshold.
        cut: Cut,
    },
    /// The final outcome of a run that a canary decided: only the watch takes it in.
    Tried(Matured),
    /// A threshold became active: a proposal of the learner, or another one.
    Adopted {
        /// The new threshold.
        cut: Cut,
        /// Whether it was the open proposal.
        proposed: bool,
    },
    /// The open proposal was declined or ran out.
    Declined,
    /// No proposals until further notice; evidence is still taken in.
    Frozen,
    /// Proposals again.
    Resumed,
    /// The fact's definition changed: evidence does not cross.
    Redefined {
        /// The threshold that is active now.
        cut: Cut,
    },
}

/// Toward which side a proposal goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Fewer runs pass.
    Tighten,
    /// More runs pass.
    Loosen,
}

/// A proposed change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// Toward which side.
    pub direction: Direction,
    /// The threshold now.
    pub from: Cut,
    /// The proposed one.
    pub to: Cut,
    /// For a tightening: it ends by itself after so many outcomes, unless the outcomes confirm it.
    pub expires_after: Option<u32>,
    /// Whether it takes a loosening back, since what passes since then fails too often.
    pub takes_back: bool,
}

/// What a scope has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A change is proposed.
    Propose(Proposal),
    /// A tightening ran out, and the outcomes since speak against keeping all of it: back to this threshold, at
    /// most the one that it came from, as the diff that made it declares. To be answered with [`Event::Adopted`].
    Expire(Cut),
    /// A tightening ran out, and stays.
    Confirm,
    /// What a canary lets pass at this threshold fails too often.
    Failing(Cut),
}
