//! Making a diff's revision the active one, and taking that back: each in one entry.

use std::collections::BTreeSet;

use cku_authority::{
    ACTIVATIONS, BundleActivated, Chains, Purpose, StoreError, activation, activations, active_for, draft,
    genesis, last, load_bundle, revoked_keys, role_grants,
};
use cku_base::{Digest, Principal, PrincipalKind, TenantPath, Timestamp};
use cku_engine::{Worker, access::roles_of};
use cku_gates::{ApprovalDecision, Submitter, Verdict};
use cku_journal::{Command as Write, Guard, Journal, Kind};

use super::{
    acts::{ActError, decides_now, may, needs_token, trying},
    event::Event,
    gate::{self, Judged},
    propose::is_learner,
    state::{Command, Diff, Refusal, Status},
    store,
};

/// How long a change can be taken back.
const ROLLBACK_WINDOW: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3_600);

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
