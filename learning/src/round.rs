//! What the learner does from time to time: it notes which of its diffs came to an end, and proposes what
//! outcomes raised since.

use cku_authority::{Chains, Purpose, StoreError, active_for, load_bundle};
use cku_base::{Digest, Timestamp};
use cku_changes::{
    diff::{self, ActError, CheckError, CheckOptions, Diff, Ending, GateError, Status},
    prove::{Cache, Solver, SolverOptions},
};
use cku_engine::Worker;
use cku_gates::Submitter;
use cku_journal::Journal;

use crate::{
    following::{FollowError, Following},
    notes::{LearnerSettled, Settlement, settle},
    objections::objection,
    propose::{ProposalError, propose},
    ranked::ranked,
    scope::Raised,
};

/// Why the learner could not do its work; what it did before is done.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The journal did not give or take something.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The entries could not be followed.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// Nothing decides over changes, so nothing can be proposed.
    #[error(
        "nothing decides over changes in this journal; `cku init --control managed` makes one where something does"
    )]
    NoChangeControl,
    /// No policy diff was made.
    #[error(transparent)]
    Proposal(#[from] ProposalError),
    /// A canary whose runs fail too often could not be taken back.
    #[error("the canary of {0} fails too often, and could not be taken back: {1}")]
    Canary(Digest, String),
    /// A diff was proposed, and what is to be known of it could not be found out.
    #[error("the diff {0} was proposed and could not be checked: {1}")]
    Check(Digest, String),
}

/// Notes the end of diffs of the learner that came to one without becoming active; their scopes begin anew with
/// the outcomes to come. How many there were.
pub fn settle_ended(
    journal: &Journal,
    following: &Following,
    (by, now): (&Submitter, Timestamp),
) -> Result<usize, StoreError> {
    let mut settled = 0;
    for raised in following.scopes().filter_map(|scope| scope.raised) {
        let Some(id) = raised.diff else { continue };
        let diff = diff::load(journal, &id)?;
        let Some(how) = settlement(&diff, now) else { continue };
        let (mode, threshold) = (raised.mode.clone(), raised.threshold.clone());
        settle(journal, following.tenant(), by, &LearnerSettled { mode, threshold, diff: id, how })?;
        settled += 1;
    }
    Ok(settled)
}

/// Takes back the canaries whose runs fail more often than their budget allows, at the level of the watch; in the
/// name of cku, as the learner has no right to. Gives the diffs that were taken back.
pub fn stop_failing(journal: &Journal, following: &Following) -> Result<Vec<Digest>, RoundError> {
    let mut stopped = Vec::new();
    for scope in following.scopes() {
        let Some(failing) = scope.failing else { continue };
        let reason = format!(
            "what its canary let pass failed too often in {} outcomes for the budget of {} of {}",
            failing.outcomes,
            scope.settings.get().epsilon,
            scope.threshold
        );
        let could_not = |error: ActError| RoundError::Canary(failing.diff, error.to_string());
        if diff::stop_canary(journal, &failing.diff, &reason).map_err(could_not)?.is_some() {
            stopped.push(failing.diff);
        }
    }
    Ok(stopped)
}

/// How a diff came to an end, if it did without becoming active.
fn settlement(diff: &Diff, now: Timestamp) -> Option<Settlement> {
    match diff.status() {
        Status::Ended(Ending::Refused) => Some(Settlement::Refused),
        Status::Ended(Ending::Expired) => Some(Settlement::Expired),
        Status::Ended(Ending::RolledBack) => Some(Settlement::RolledBack),
        Status::Ended(Ending::Withdrawn | Ending::Stale) => Some(Settlement::Withdrawn),
        Status::Ended(Ending::Activated) | Status::Tried(_) => None,
        _ if diff.proposed.expires_at <= now => Some(Settlement::Expired),
        _ => None,
    }
}

/// What a round did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Round {
    /// The diffs whose canaries were taken back.
    pub stopped: Vec<Digest>,
    /// The diffs that were proposed.
    pub proposed: Vec<Digest>,
}

/// Reads on, takes back canaries that fail, notes what came to an end, proposes what was raised and finds out all
/// that is to be known about it. A loosening against which the outcomes of `others` speak waits.
pub fn round<'f>(
    journal: &Journal,
    chains: &Chains,
    following: &mut Following,
    others: impl IntoIterator<Item = &'f Following> + Clone,
    (by, now): (&Submitter, Timestamp),
) -> Result<Round, RoundError> {
    let read_on = |following: &mut Following| following.follow(journal, None);
    read_on(following)?;
    let mut done = Round { stopped: stop_failing(journal, following)?, ..Round::default() };
    if settle_ended(journal, following, (by, now))? > 0 {
        read_on(following)?;
    }
    let unopposed = |raised: &&Raised| objection(raised, others.clone()).is_none();
    let mut raised: Vec<_> = following.to_propose().filter(unopposed).cloned().collect();
    // What most speaks for comes first: change control lets so many a week become active.
    let rank = |of: &Raised| ranked([&*following]).iter().position(|other| other.subject == of);
    raised.sort_by_cached_key(|raised| rank(raised).unwrap_or(usize::MAX));
    if raised.is_empty() {
        return Ok(done);
    }
    let active = active_for(journal, Purpose::ChangeControl)?.ok_or(RoundError::NoChangeControl)?;
    let bundle = load_bundle(journal, active.revision).map_err(ProposalError::from)?;
    let mut worker = Worker::new(bundle);
    for raised in raised {
        let id = match propose(journal, &mut worker, following.tenant(), &raised, (by, now)) {
            Ok(proposed) => proposed.diff.id,
            // The threshold was changed by others just now; the next decision tells the scope.
            Err(ProposalError::Gone(..) | ProposalError::Moved(..)) => continue,
            Err(error) => return Err(error.into()),
        };
        // Without a solver it is proposed all the same, and change control says that nothing is proved.
        let mut solver = Solver::new(SolverOptions::default(), Cache::default()).ok();
        let options = CheckOptions::default();
        let checked =
            diff::check(journal, &mut worker, &id, by, solver.as_mut(), (&options, now), &|_, _| {});
        let (diff, _) = checked.map_err(|e: CheckError| RoundError::Check(id, e.to_string()))?;
        diff::gate(journal, chains, &mut worker, diff, by, now)
            .map_err(|e: GateError| RoundError::Check(id, e.to_string()))?;
        done.proposed.push(id);
    }
    read_on(following)?;
    Ok(done)
}
