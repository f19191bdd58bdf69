//! What people do to policy diffs: each act is asked of change control's access policies, and both what
//! is done and what is denied is an entry.

use std::collections::BTreeSet;

use cku_authority::{
    ACTIVATIONS, AccessError, BundleActivated, BundleError, Chains, Purpose, StoreError, activation,
    activations, active_for, allowed, draft, genesis, last, load_bundle, revoked_keys, role_grants,
};
use cku_base::{Digest, Principal, PrincipalKind, TenantPath, Timestamp};
use cku_engine::{
    Worker,
    access::{Resource, roles_of},
};
use cku_gates::{ApprovalDecision, Authentication, Submitter, Verdict};
use cku_journal::{Command as Write, Guard, Journal, Kind};

use super::{
    event::{Ending, Event},
    gate::{self, GateError, Judged},
    propose::is_learner,
    state::{Command, Diff, Refusal, Status},
    store,
};

/// How long a change can be taken back.
const ROLLBACK_WINDOW: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3_600);

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
    /// Something else was activated since.
    #[error(
        "the diff is not the last that became active; what came after it is rolled back first, or changed by a diff"
    )]
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
fn trying<T>(mut act: impl FnMut() -> Result<T, ActError>) -> Result<T, ActError> {
    for _ in 1..TRIES {
        match act() {
            Err(error) if error.is_conflict() => {}
            done => return done,
        }
    }
    act()
}

fn needs_token(by: &Submitter) -> Result<(), ActError> {
    match by.authentication {
        Authentication::Token => Ok(()),
        Authentication::Local => Err(ActError::TakesToken),
    }
}

/// Asks the access policies of change control about a diff; a denial is an entry of its own.
pub(super) fn may(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    action: &'static str,
    diff: &Diff,
) -> Result<(), AccessError> {
    let authors = BTreeSet::from([diff.proposed.author.principal.to_string()]);
    let resource = Resource::policy_diff(&TenantPath::root(), &authors);
    let modes = &worker.bundle().manifest().modes;
    let strictest = modes.iter().find(|mode| *mode == gate::MODE_OF_APPROVAL).or_else(|| modes.last());
    let mode = strictest.cloned().unwrap_or_default();
    allowed(journal, worker, by, (action, &resource), (&mode, None))
}

/// Whether who decides is who decides now: what was asked of another revision counts for nothing.
fn decides_now(journal: &Journal, worker: &Worker) -> Result<(), ActError> {
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

/// A diff that became active.
#[derive(Debug)]
pub struct Activated {
    /// The diff after it.
    pub diff: Diff,
    /// The place of the activation among the entries of the root: "at least activation N".
    pub activation: u64,
    /// The revision that is active now.
    pub revision: Digest,
}

/// Makes the revision of a diff the active one, in one entry, if change control lets it pass right now.
///
/// The decision, the activation and the end of the diff are written together or not at all, and only if
/// nothing was activated and nothing happened to the diff since they were looked at.
pub fn activate(
    journal: &Journal,
    chains: &Chains,
    worker: &mut Worker,
    id: &Digest,
    by: &Submitter,
    now: Timestamp,
) -> Result<Activated, ActError> {
    needs_token(by)?;
    let root = TenantPath::root();
    trying(|| {
        // Where activations end is asked first, so that one that comes meanwhile is noticed.
        let after = last(journal, &root, ACTIVATIONS)?;
        decides_now(journal, worker)?;
        let diff = store::load(journal, id)?;
        may(journal, worker, by, "policy:activate", &diff)?;
        if let Status::Ended(ending) = diff.status() {
            return Err(Refusal::Ended(ending).into());
        }
        let active = active_for(journal, diff.proposed.purpose)?.map(|active| active.revision);
        if active != Some(diff.proposed.base) {
            let events = diff.decide(by, &Command::GoStale, now)?;
            let (base, active) = (diff.proposed.base, active.map_or_else(String::new, |a| a.to_string()));
            store::add(journal, diff, by, &events, Vec::new())?;
            return Err(ActError::Stale { base, active });
        }
        let judged = gate::judge(journal, chains, worker, &diff, now)?;
        if judged.decision.verdict != Verdict::Pass {
            return Err(not_passed(&judged));
        }
        floor(journal, &diff, &judged, now)?;
        let (decided, input) = gate::decided(&diff, &judged)?;
        let mut events = diff.decide(by, &Command::Decide(decided), now)?;
        let passed = events.iter().fold(diff.clone(), |passed, event| passed.apply(event, diff.seq));
        events.extend(passed.decide(by, &Command::Activate, now)?);
        let bundle = store::new_bundle(journal, &diff)?;
        let (activated, files) = activation(&bundle, diff.proposed.purpose)?;
        let activated = BundleActivated { diff: Some(diff.id), ..activated };
        write(journal, (diff, by), (&activated, after), &events, vec![input, files])
    })
}

fn not_passed(judged: &Judged) -> ActError {
    let gates = judged.decision.gates.iter().filter(|gate| gate.effective != Some(Verdict::Pass));
    let reasons = judged.decision.reasons.iter().chain(gates.flat_map(|gate| &gate.reasons));
    let why = reasons.map(|reason| reason.message.as_str()).next();
    ActError::NotPassed {
        verdict: judged.decision.verdict.as_str(),
        why: why.map_or_else(String::new, |why| format!(", {why}")),
    }
}

/// What no bundle can lower: a change of change control takes distinct people who are admin.
fn floor(journal: &Journal, diff: &Diff, judged: &Judged, now: Timestamp) -> Result<(), ActError> {
    if diff.proposed.purpose != Purpose::ChangeControl {
        return Ok(());
    }
    let floor = genesis(journal)?.map_or(u32::MAX, |genesis| genesis.floor.change_control_admins);
    let (root, grants) = (TenantPath::root(), role_grants(journal, &TenantPath::root())?);
    let revoked = revoked_keys(journal)?;
    let decision = &judged.decision;
    let admins: BTreeSet<&Principal> = diff
        .approvals
        .iter()
        .filter(|a| a.decision == ApprovalDecision::Approve && now < a.expires_at && a.time <= now)
        .filter(|a| {
            (a.subject_digest, a.bundle_revision) == (decision.subject_digest, decision.bundle_revision)
        })
        .filter(|a| a.key.as_ref().is_none_or(|key| !revoked.contains(key)))
        .map(|a| &a.approver)
        .filter(|who| who.kind == PrincipalKind::User && **who != diff.proposed.author.principal)
        .filter(|who| roles_of(who, &root, &grants).contains("admin"))
        .collect();
    let enough = usize::try_from(floor).is_ok_and(|floor| admins.len() >= floor);
    if enough && !is_learner(&diff.proposed.author) {
        return Ok(());
    }
    Err(ActError::Floor { floor, have: admins.len() })
}

/// Takes the last change back: what was active before it is active again, in one entry.
pub fn roll_back(
    journal: &Journal,
    worker: &mut Worker,
    id: &Digest,
    by: &Submitter,
    reason: &str,
    now: Timestamp,
) -> Result<Activated, ActError> {
    needs_token(by)?;
    let root = TenantPath::root();
    trying(|| {
        let after = last(journal, &root, ACTIVATIONS)?;
        decides_now(journal, worker)?;
        let diff = store::load(journal, id)?;
        may(journal, worker, by, "policy:rollback", &diff)?;
        let events = diff.decide(by, &Command::RollBack { reason: reason.to_owned() }, now)?;
        let all = activations(journal)?;
        let mut of_purpose = all.iter().rev().filter(|(a, _, _)| a.purpose == diff.proposed.purpose);
        let (Some((latest, _, since)), Some((before, _, _))) = (of_purpose.next(), of_purpose.next()) else {
            return Err(ActError::NotLast);
        };
        if latest.diff != Some(diff.id) || latest.rollback {
            return Err(ActError::NotLast);
        }
        if since.after(ROLLBACK_WINDOW).is_none_or(|until| until <= now) {
            return Err(ActError::TooLate(*since));
        }
        let bundle = load_bundle(journal, before.revision)?;
        keeps_bounds(&bundle)?;
        let (activated, files) = activation(&bundle, diff.proposed.purpose)?;
        let activated = BundleActivated { diff: Some(diff.id), rollback: true, ..activated };
        write(journal, (diff, by), (&activated, after), &events, vec![files])
    })
}

/// What was active once and is judged by today's bounds that need no solver: whoever rolls back cannot wait.
fn keeps_bounds(bundle: &cku_engine::Bundle) -> Result<(), ActError> {
    match bundle.manifest().modes.iter().find(|mode| !matches!(bundle.sequence(mode), Some(Ok(_)))) {
        None => Ok(()),
        Some(mode) => Err(ActError::Bounds(format!("it has no usable sequence for {mode}"))),
    }
}

/// Writes an activation and what happens to its diff, together or not at all.
fn write(
    journal: &Journal,
    (diff, by): (Diff, &Submitter),
    (activated, after): (&BundleActivated, u64),
    events: &[Event],
    blobs: Vec<Vec<u8>>,
) -> Result<Activated, ActError> {
    let root = TenantPath::root();
    let (mut drafts, guard) = store::drafts(&diff, by, events)?;
    drafts.push(draft((&root, Kind::BundleActivated, ACTIVATIONS), by, activated)?);
    let nothing_else = Guard { tenant: root.clone(), subject: ACTIVATIONS.to_owned(), after };
    let blobs = blobs.into_iter().map(|bytes| (root.clone(), bytes)).collect();
    let guards = vec![guard, nothing_else];
    // The race of the tests must be lost without them, or it shows nothing.
    #[cfg(feature = "unguarded")]
    let guards = guards.into_iter().take(0).collect();
    let command = Write { drafts, key: None, guards, blobs };
    let entries = journal.append(command).map_err(StoreError::from)?.entries;
    let activation = entries.last().map_or(0, |entry| entry.header.seq);
    let applied = events.iter().zip(&entries);
    let diff = applied.fold(diff, |diff, (event, entry)| diff.apply(event, entry.header.seq));
    Ok(Activated { diff, activation, revision: activated.revision })
}
