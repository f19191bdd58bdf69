//! Making a diff's revision the active one, and taking that back: each in one entry.

use std::collections::BTreeSet;

use cku_authority::{
    ACTIVATIONS, BundleActivated, CKU, Chains, Purpose, Rollout, Stage, StoreError, activation, activations,
    draft_of, genesis, keys_trusted_at, last, load_bundle, named, revoked_keys, role_grants, rollout,
};
use cku_base::{Digest, Principal, PrincipalKind, TenantPath, Timestamp};
use cku_engine::{Worker, access::roles_of};
use cku_gates::{ApprovalDecision, Submitter, Verdict};
use cku_journal::{Command as Write, Guard, Journal, Kind};
use serde_json::Value;

use super::{
    access::may,
    acts::{ActError, decides_now, in_time, needs_token, trying},
    event::{Ended, Ending, Event, is_learner},
    gate::{self, Judged},
    state::{Command, Diff, Refusal, Status},
    store,
};
use crate::prove::Direction;

/// How long a change can be taken back.
const ROLLBACK_WINDOW: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3_600);

/// How long a key is trusted before what it signs counts as the word of an administrator over what decides
/// over changes.
const KEY_AGE: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3_600);

/// A diff that became active, or is tried.
#[derive(Debug)]
pub struct Activated {
    /// The diff after it.
    pub diff: Diff,
    /// The place of the activation among the entries of the root: "at least activation N".
    pub activation: u64,
    /// The revision that is active now, or tried.
    pub revision: Digest,
}

/// Makes the revision of a diff the active one, or tries it, in one entry, if change control lets it pass
/// right now.
///
/// The decision, the activation and what happens to the diff are written together or not at all, and only if
/// nothing was activated and nothing happened to the diff since they were looked at.
pub fn activate(
    journal: &Journal,
    chains: &Chains,
    worker: &mut Worker,
    (id, stage): (&Digest, Stage),
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
        let diff = in_time(journal, diff, by, now)?;
        let rollout = rollout(journal, diff.proposed.purpose)?;
        let active = rollout.only(&diff.proposed.modes);
        if active != Some(diff.proposed.base) {
            let events = diff.decide(by, &Command::GoStale, now)?;
            let active = active.map_or_else(|| "more than one revision".to_owned(), |a| a.to_string());
            let base = diff.proposed.base;
            store::add(journal, diff, by, &events, Vec::new())?;
            return Err(ActError::Stale { base, active });
        }
        if let Some(other) = other_trial(&rollout, &diff).filter(|_| stage != Stage::Active) {
            return Err(other);
        }
        let judged = gate::judge_for(journal, chains, worker, (&diff, stage), now)?;
        if judged.decision.verdict != Verdict::Pass {
            return Err(not_passed(&judged));
        }
        floor(journal, &diff, &judged, now)?;
        let violated = store::evidence_of(journal, &diff)?.map(|evidence| evidence.violated());
        if let Some(bound) = violated.iter().flatten().next() {
            return Err(ActError::Violated(bound.clone()));
        }
        let (decided, input) = gate::decided(&diff, &judged)?;
        let mut events = diff.decide(by, &Command::Decide(decided), now)?;
        let passed = events.iter().fold(diff.clone(), |passed, event| passed.apply(event, diff.seq));
        events.extend(passed.decide(by, &Command::Activate(stage), now)?);
        let bundle = store::new_bundle(journal, &diff)?;
        let (activated, files) = activation(&bundle, diff.proposed.purpose)?;
        let modes = diff.proposed.modes.clone();
        let activated = BundleActivated { diff: Some(diff.id), modes, stage, ..activated };
        write(journal, (diff, &named(by)), (&activated, after), &events, vec![input, files])
    })
}

/// Another diff that is tried where this one is to decide.
fn other_trial(rollout: &Rollout, diff: &Diff) -> Option<ActError> {
    let trial =
        rollout.trial_in(&diff.proposed.modes).filter(|trial| trial.activated.diff != Some(diff.id))?;
    let other = trial.activated.diff.map_or_else(String::new, |other| other.to_string());
    Some(ActError::OtherTrial { diff: other, modes: trial.activated.modes.clone() })
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
    let (revoked, young) = (revoked_keys(journal)?, young_keys(journal, now)?);
    let decision = &judged.decision;
    let admins: BTreeSet<&Principal> = diff
        .approvals
        .iter()
        .filter(|a| a.decision == ApprovalDecision::Approve && diff.counts(a, decision, now, &revoked))
        .filter(|a| a.key.as_ref().is_some_and(|key| !young.contains(key)))
        .map(|a| &a.approver)
        .filter(|who| who.kind == PrincipalKind::User)
        .filter(|who| roles_of(who, &root, &grants).contains("admin"))
        .collect();
    let enough = usize::try_from(floor).is_ok_and(|floor| admins.len() >= floor);
    if enough && !is_learner(&diff.proposed.author) {
        return Ok(());
    }
    Err(ActError::Floor { floor, have: admins.len() })
}

/// Keys that are trusted for less than a week: one administrator alone can trust a key, and sign anybody's
/// name with it, and the others need time to see it.
fn young_keys(journal: &Journal, now: Timestamp) -> Result<BTreeSet<String>, StoreError> {
    let trusted = keys_trusted_at(journal)?.into_iter();
    Ok(trusted.filter(|(_, at)| at.after(KEY_AGE).is_none_or(|old| now < old)).map(|(key, _)| key).collect())
}

/// Takes a change back: what was active before it decides again, in one entry.
///
/// A trial can always be taken back. What became active can, within the window, if it was the last in its
/// modes.
pub fn roll_back(
    journal: &Journal,
    worker: &mut Worker,
    id: &Digest,
    by: &Submitter,
    reason: &str,
    now: Timestamp,
) -> Result<Activated, ActError> {
    needs_token(by)?;
    if by.principal.kind != PrincipalKind::User {
        return Err(Refusal::NotAPerson(by.principal.to_string()).into());
    }
    let root = TenantPath::root();
    trying(|| {
        let after = last(journal, &root, ACTIVATIONS)?;
        decides_now(journal, worker)?;
        let diff = store::load(journal, id)?;
        may(journal, worker, by, "policy:rollback", &diff)?;
        let events = diff.decide(by, &Command::RollBack { reason: reason.to_owned() }, now)?;
        if !matches!(diff.status(), Status::Tried(_)) {
            was_last(journal, &diff, now)?;
            lets_go_back(&diff)?;
        }
        take_back(journal, (diff, &named(by)), &events, after)
    })
}

/// Takes back what is tried as a canary and has failed as often as was said when it began.
///
/// `failed` says how many runs of a diff's canary have failed. Gives the diffs that were taken back.
pub fn stop_failing(
    journal: &Journal,
    failed: impl Fn(&Digest) -> Result<u64, StoreError>,
) -> Result<Vec<Activated>, ActError> {
    let mut stopped = Vec::new();
    for trial in rollout(journal, Purpose::Gates)?.trials {
        let (Stage::Canary { stop_after: Some(limit), .. }, Some(id)) =
            (trial.activated.stage, trial.activated.diff)
        else {
            continue;
        };
        let failures = failed(&id)?;
        if failures < limit {
            continue;
        }
        let reason = format!("{failures} runs of the canary failed, and it was to stop after {limit}");
        stopped.extend(stop_canary(journal, &id, &reason)?);
    }
    Ok(stopped)
}

/// Takes back what is tried as a canary, in the name of cku: what decides everywhere else decides there, too. None
/// where no canary of this diff is under way.
pub fn stop_canary(journal: &Journal, id: &Digest, reason: &str) -> Result<Option<Activated>, ActError> {
    let (root, actor) = (TenantPath::root(), Value::from(CKU));
    trying(|| {
        let after = last(journal, &root, ACTIVATIONS)?;
        let diff = store::load(journal, id)?;
        // Somebody may have ended it meanwhile.
        if !matches!(diff.status(), Status::Tried(Stage::Canary { .. })) {
            return Ok(None);
        }
        let events = [Event::Ended(Ended { ending: Ending::RolledBack, reason: reason.to_owned() })];
        take_back(journal, (diff, &actor), &events, after).map(Some)
    })
}

/// Whether a diff was the last that became active in its modes, and not too long ago.
fn was_last(journal: &Journal, diff: &Diff, now: Timestamp) -> Result<(), ActError> {
    let (purpose, modes) = (diff.proposed.purpose, &diff.proposed.modes);
    let there =
        |a: &BundleActivated| a.purpose == purpose && a.stage == Stage::Active && a.modes.overlaps(modes);
    let all = activations(journal)?;
    let latest = all.iter().rfind(|(activated, _, _)| there(activated));
    let Some((_, _, since)) = latest.filter(|(a, _, _)| a.diff == Some(diff.id) && !a.rollback) else {
        return Err(ActError::NotLast);
    };
    match since.after(ROLLBACK_WINDOW).is_none_or(|until| until <= now) {
        true => Err(ActError::TooLate(*since)),
        false => Ok(()),
    }
}

/// Whether one person may take it back: what made change control stricter goes back as it came, by a diff.
fn lets_go_back(diff: &Diff) -> Result<(), ActError> {
    let direction = diff.checked.as_ref().map(|checked| checked.direction);
    let looser = matches!(direction, Some(Direction::Loosen | Direction::Neutral));
    match diff.proposed.purpose == Purpose::ChangeControl && !looser {
        true => Err(ActError::TakesADiff),
        false => Ok(()),
    }
}

/// Lets the base of a diff, which was active where it decides, decide there alone again.
fn take_back(
    journal: &Journal,
    (diff, actor): (Diff, &Value),
    events: &[Event],
    after: u64,
) -> Result<Activated, ActError> {
    let bundle = load_bundle(journal, diff.proposed.base)?;
    keeps_bounds(&bundle)?;
    let stage = match diff.status() {
        Status::Tried(stage) => stage,
        _ => Stage::Active,
    };
    let (activated, files) = activation(&bundle, diff.proposed.purpose)?;
    let (modes, id) = (diff.proposed.modes.clone(), Some(diff.id));
    let activated = BundleActivated { diff: id, rollback: true, modes, stage, ..activated };
    write(journal, (diff, actor), (&activated, after), events, vec![files])
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
    (diff, actor): (Diff, &Value),
    (activated, after): (&BundleActivated, u64),
    events: &[Event],
    blobs: Vec<Vec<u8>>,
) -> Result<Activated, ActError> {
    let root = TenantPath::root();
    let (mut drafts, guard) = store::drafts(&diff, actor, events)?;
    drafts.push(draft_of((&root, Kind::BundleActivated, ACTIVATIONS), actor, activated)?);
    let nothing_else = Guard { tenant: root.clone(), subject: ACTIVATIONS.to_owned(), after };
    let blobs = blobs.into_iter().map(|bytes| (root.clone(), bytes)).collect();
    let guards = vec![guard, nothing_else];
    // The race of the tests must be lost without them, or it shows nothing.
    #[cfg(feature = "unguarded")]
    let guards = guards.into_iter().take(0).collect();
    let command = Write { drafts, guards, blobs, ..Write::default() };
    let entries = journal.append(command).map_err(StoreError::from)?.entries;
    let activation = entries.last().map_or(0, |entry| entry.header.seq);
    let applied = events.iter().zip(&entries);
    let diff = applied.fold(diff, |diff, (event, entry)| diff.apply(event, entry.header.seq));
    Ok(Activated { diff, activation, revision: activated.revision })
}
