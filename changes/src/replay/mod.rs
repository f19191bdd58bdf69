//! Recorded decisions, decided anew under two bundles.
//!
//! [`replay`] reads the decisions that a journal holds up to fixed [`Heads`], decides the input of each
//! under an old and a new bundle, and counts what flips: by verdict, mode, tenant and gate, with what
//! became of the runs. The same journal, heads, bundles and options give the same
//! [`evidence`](Replay::evidence), byte for byte, on however many threads.
//!
//! What cannot be decided anew is counted by its reason and never left out. Of many decisions a uniform
//! sample can be looked at instead, with a [`Bound`] on what it can have missed.
//!
//! Approvals are bound to the revision they were given under, so under any other bundle all of them would
//! be void, and everything that people let pass would flip. The question here is another one: what would
//! the policies have said, had people answered as they did? So each approval that was bound to the
//! recorded revision counts as given under the bundle that is asked, under the old one as under the new;
//! one that was void for its revision stays void under both.

mod bands;
mod bound;
mod decide;
mod fold;
mod record;
mod result;

use std::{collections::BTreeSet, sync::Arc};

use cku_base::{BasisPoints, TenantPath, Timestamp};
use cku_engine::Bundle;
use cku_journal::{Damage, Journal, ReadError, VerifyError};
use serde::{Deserialize, Serialize};

pub use bands::{Bands, bands, recorded_bands};
pub use bound::upper_bound;
pub use record::{FixedHead, Heads, Observed, heads};
pub use result::{
    Agreement, Beside, Bound, Cell, Flip, Latency, NotReplayable, Outcomes, Percentiles, Place, Replay, Said,
    Side, Table, WhyNot,
};

/// Which decisions are looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Filter {
    /// Those of this tenant and of those below it.
    pub tenant: TenantPath,
    /// Those of this mode; of all without it.
    pub mode: Option<String>,
    /// Those in which this gate was reached.
    pub gate: Option<String>,
    /// Those recorded then or later.
    pub since: Option<Timestamp>,
}

impl Default for Filter {
    /// All.
    fn default() -> Self {
        Self { tenant: TenantPath::root(), mode: None, gate: None, since: None }
    }
}

/// How decisions are replayed.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which.
    pub filter: Filter,
    /// Up to where; without it, up to where the chains end when the replay begins.
    pub heads: Option<Heads>,
    /// At most so many: if there are more, a uniform sample of so many.
    pub limit: Option<usize>,
    /// Decisions that are looked at beside a sample that does not have them, such as flips that were
    /// found before; they count in nothing that the bound rests on.
    pub also: BTreeSet<Place>,
    /// Picks the sample and the flips that are shown.
    pub seed: u32,
    /// How sure the bound on what a sample has missed is.
    pub confidence: BasisPoints,
    /// Flips that are shown, at most, of each pair of verdicts.
    pub samples: usize,
    /// Threads; 0 for as many as there are cores.
    pub threads: usize,
}

impl Default for Options {
    /// All decisions on all cores, five flips of each pair of verdicts, 95 %.
    fn default() -> Self {
        Self {
            filter: Filter::default(),
            heads: None,
            limit: None,
            also: BTreeSet::new(),
            seed: 0,
            confidence: BasisPoints::try_from(9_500).unwrap_or_default(),
            samples: 5,
            threads: 0,
        }
    }
}

/// Why nothing was replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The journal is damaged, so what it records is not evidence.
    #[error("the journal is damaged: {0}")]
    Damaged(Damage),
    /// The journal could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A chain does not go through the head that was given.
    #[error("the chain of {tenant} has no entry {seq} with the hash that was given; take the heads anew")]
    OtherHead {
        /// Whose chain.
        tenant: TenantPath,
        /// The place of the head.
        seq: u64,
    },
    /// An entry does not hold what its kind promises.
    #[error("entry {seq} of {tenant} cannot be read: {why}; run `cku journal verify`")]
    Entry {
        /// Whose chain.
        tenant: TenantPath,
        /// Where in it.
        seq: u64,
        /// What is wrong.
        why: String,
    },
    /// A thread could not be started, or ended before its time.
    #[error("a thread that decides is missing: {0}")]
    Thread(String),
}

impl From<VerifyError> for ReplayError {
    fn from(error: VerifyError) -> Self {
        match error {
            VerifyError::Damaged(damage) => Self::Damaged(damage),
            VerifyError::Read(error) => Self::Read(error),
        }
    }
}

/// Decides recorded inputs anew under two bundles; `progress` hears how many of how many are done.
///
/// The chains that are read are verified first. Only a decision that runs into a bundle's time limit can
/// make two replays differ; it is counted among those that are not replayable.
pub fn replay(
    journal: &Journal,
    old: Arc<Bundle>,
    new: Arc<Bundle>,
    options: &Options,
    progress: &dyn Fn(usize, usize),
) -> Result<Replay, ReplayError> {
    let heads = match &options.heads {
        Some(heads) => heads.clone(),
        None => record::heads(journal, &options.filter.tenant)?,
    };
    let record = record::read(journal, &heads, &options.filter)?;
    let (chosen, sampled) = fold::choose(&record.decisions, options);
    let mut fold = fold::Fold::new(&record, (&chosen, sampled), options, (old.revision(), new.revision()));
    decide::all(journal, &old, &new, &chosen, options.threads, progress, &mut |at, judged| {
        fold.add(at, judged);
    })?;
    Ok(fold.finish(heads))
}
