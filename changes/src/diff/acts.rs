//! What people do to policy diffs before they are active: each act is asked of change control's access
//! policies, and both what is done and what is denied is an entry.

use cku_authority::{AccessError, BundleError, Chains, Modes, Purpose, StoreError, active_for};
use cku_base::{Digest, Timestamp};
use cku_engine::Worker;
use cku_gates::{ApprovalDecision, Authentication, Submitter, Verdict};
use cku_journal::Journal;

use super::{
    access::may,
    event::{Ending, Event},
    gate::{self, GateError, Judged},
    state::{Command, Diff, Refusal},
    store,
};

/// How often an act is tried when others act on the same diff.
const TRIES: usize = 20;

/// Why an act did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The access policies do not allow it, or the journal could not be asked.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The state of the diff does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It takes a token.
    #[error("this takes a person's token")]
    TakesToken,
    /// Change control could not decide.
    #[error(transparent)]
    Gate(#[from] GateError),
    /// Change control does not let it pass.
    #[error("change control does not let it pass: {verdict}{why}")]
    NotPassed {
        /// What it says.
        verdict: &'static str,
        /// The first reason.
        why: String,
    },
    /// The genesis asks for more people than approved.
    #[error(
        "a change of change control takes {floor} distinct people who are admin, whatever the bundle says; {have} approved"
    )]
    Floor {
        /// How many it takes.
        floor: u32,
        /// How many there are.
        have: usize,
    },
    /// Its base is no longer active.
    #[error("the diff applies to {base}, and {active} is active now; propose it again")]
    Stale {
        /// What it applies to.
        base: Digest,
        /// What is active.
        active: String,
    },
    /// What decides over changes changed meanwhile.
    #[error("what decides over changes was changed meanwhile; look at the diff again, and try again")]
    OtherControl,
    /// Something else is tried there.
    #[error("another diff, {diff}, is being tried in {modes}; it goes on or is rolled back first")]
    OtherTrial {
        /// Which.
        diff: String,
        /// Where.
        modes: Modes,
    },
    /// It violates a bound.
    #[error("the bound `{0}` is violated, and no approval lifts it")]
    Violated(String),
    /// Going back would loosen what decides over changes, or nobody proved that it would not.
    #[error("going back is not proved to make what decides over changes stricter; propose a diff instead")]
    TakesADiff,
    /// Something else was activated since.
    #[error("the diff is not the last that became active in its modes; propose a diff instead")]
    NotLast,
    /// It is too long ago.
    #[error("it became active at {0}, and a change can be taken back for 7 days; propose a diff instead")]
    TooLate(Timestamp),
    /// What was active before cannot be loaded.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// What was active before does not keep today's bounds.
    #[error("what was active before does not keep today's bounds: {0}")]
    Bounds(String),
}

impl From<StoreError> for ActError {
    fn from(error: StoreError) -> Self {
        Self::Access(error.into())
    }
}

impl ActError {
    fn is_conflict(&self) -> bool {
        match self {
            Self::Access(AccessError::Store(error)) | Self::Gate(GateError::Store(error)) => {
                error.is_conflict()
            }
            _ => false,
        }
    }
}

/// Does something again as long as others got in between.
pub(super) fn trying<T>(mut act: impl FnMut() -> Result<T, ActError>) -> Result<T, ActError> {
    for _ in 1..TRIES {
        match act() {
            Err(error) if error.is_conflict() => {}
            done => return done,
        }
    }
    act()
}

pub(super) fn needs_token(by: &Submitter) -> Result<(), ActError> {
    match by.authentication {
        Authentication::Token => Ok(()),
        Authentication::Local => Err(ActError::TakesToken),
    }
}

/// Ends a diff whose time is over with an entry that says so; otherwise it is given back.
pub(super) fn in_time(
    journal: &Journal,
    diff: Diff,
    by: &Submitter,
    now: Timestamp,
) -> Result<Diff, ActError> {
    let expires_at = diff.proposed.expires_at;
    match diff.decide(by, &Command::Expire, now) {
        Ok(events) => {
            store::add(journal, diff, by, &events, Vec::new())?;
            Err(Refusal::Expired(expires_at).into())
        }
        // It has time left, or ended, or is tried.
        Err(_) => Ok(diff),
    }
}

/// Whether who decides is who decides now: what was asked of another revision counts for nothing.
pub(super) fn decides_now(journal: &Journal, worker: &Worker) -> Result<(), ActError> {
    let active = active_for(journal, Purpose::ChangeControl)?.map(|active| active.revision);
    if active == Some(worker.bundle().revision()) { Ok(()) } else { Err(ActError::OtherControl) }
}

/// Approves or refuses a diff, bound to its evidence and its base, and asks change control again.
///
/// A refusal ends the diff if change control rejects it then.
pub fn consent(
    journal: &Journal,
    chains: &Chains,
    worker: &mut Worker,
    id: &Digest,
    by: &Submitter,
    (decision, reason, expires_at): (ApprovalDecision, &str, Timestamp),
    now: Timestamp,
) -> Result<(Diff, Judged), ActError> {
    needs_token(by)?;
    let diff = trying(|| {
        decides_now(journal, worker)?;
        let diff = store::load(journal, id)?;
        may(journal, worker, by, "policy:approve", &diff)?;
        let diff = in_time(journal, diff, by, now)?;
        let judged = gate::judge(journal, chains, worker, &diff, now)?;
        let command = Command::Consent {
            decision,
            reason: reason.to_owned(),
            subject: judged.decision.subject_digest,
            bundle: judged.decision.bundle_revision,
            expires_at,
        };
        let events = diff.decide(by, &command, now)?;
        Ok(store::add(journal, diff, by, &events, Vec::new())?)
    })?;
    let mut first = Some(diff);
    trying(|| {
        let diff = match first.take() {
            Some(diff) => diff,
            None => store::load(journal, id)?,
        };
        let judged = gate::judge(journal, chains, worker, &diff, now)?;
        let (decided, bytes) = gate::decided(&diff, &judged)?;
        let mut events = diff.decide(by, &Command::Decide(decided), now)?;
        if decision == ApprovalDecision::Refuse && judged.decision.verdict == Verdict::Reject {
            events.push(Event::Ended(super::Ended { ending: Ending::Refused, reason: reason.to_owned() }));
        }
        let diff = store::add(journal, diff, by, &events, vec![bytes])?;
        Ok((diff, judged))
    })
}

/// Takes a diff away: its author may, and whoever may activate.
pub fn withdraw(
    journal: &Journal,
    worker: &mut Worker,
    id: &Digest,
    by: &Submitter,
    reason: &str,
    now: Timestamp,
) -> Result<Diff, ActError> {
    needs_token(by)?;
    trying(|| {
        let diff = store::load(journal, id)?;
        if by.principal != diff.proposed.author.principal {
            may(journal, worker, by, "policy:activate", &diff)?;
        }
        let events = diff.decide(by, &Command::Withdraw { reason: reason.to_owned() }, now)?;
        Ok(store::add(journal, diff, by, &events, Vec::new())?)
    })
}
