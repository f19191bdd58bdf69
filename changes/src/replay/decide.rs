//! Deciding recorded inputs under both bundles, on many threads.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Instant,
};

use cku_base::Digest;
use cku_engine::{Bundle, Worker};
use cku_gates::{Decision, DecisionInput, Undecidable, decide};
use cku_journal::Journal;

use super::{
    ReplayError,
    record::Recorded,
    result::{Side, WhyNot},
};

/// Decisions that a thread takes at once.
const BATCH: usize = 32;
/// Policies evaluate recursively; the same room as on the command line.
const STACK: usize = 64 << 20;

/// What came of a recorded decision.
#[derive(Debug)]
pub(super) enum Judged {
    /// Nothing, and why not; under which bundle, where that matters.
    Not(WhyNot, Option<Side>),
    /// Both said something.
    Both { old: Box<Decision>, new: Box<Decision>, old_micros: u64, new_micros: u64 },
}

/// Decides all of them; `take` is given each answer with its place, in whatever order they come.
pub(super) fn all(
    journal: &Journal,
    old: &Arc<Bundle>,
    new: &Arc<Bundle>,
    chosen: &[&Recorded],
    threads: usize,
    progress: &dyn Fn(usize, usize),
    take: &mut dyn FnMut(usize, Judged),
) -> Result<(), ReplayError> {
    let cores = || thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores() } else { threads }.clamp(1, chosen.len().max(1));
    let next = AtomicUsize::new(0);
    let (send, receive) = mpsc::channel();
    let mut done = 0;
    thread::scope(|scope| {
        for _ in 0..threads {
            let (send, next) = (send.clone(), &next);
            let work = move || {
                let (mut old, mut new) = (Worker::new(old.clone()), Worker::new(new.clone()));
                loop {
                    let from = next.fetch_add(BATCH, Ordering::Relaxed);
                    let Some(rest) = chosen.get(from..) else { return };
                    let batch = rest.iter().take(BATCH);
                    let judged = batch.map(|recorded| one(journal, recorded, &mut old, &mut new));
                    let judged: Result<Vec<Judged>, ReplayError> = judged.collect();
                    let stop = rest.len() <= BATCH || judged.is_err();
                    // Nobody listens any more after the first error.
                    if send.send((from, judged)).is_err() || stop {
                        return;
                    }
                }
            };
            let thread = thread::Builder::new().name("replay".to_owned()).stack_size(STACK);
            thread.spawn_scoped(scope, work).map_err(|e| ReplayError::Thread(e.to_string()))?;
        }
        drop(send);
        progress(done, chosen.len());
        for (from, judged) in receive {
            let judged = judged?;
            done += judged.len();
            (from..).zip(judged).for_each(|(place, judged)| take(place, judged));
            progress(done, chosen.len());
        }
        Ok::<(), ReplayError>(())
    })?;
    if done == chosen.len() {
        return Ok(());
    }
    Err(ReplayError::Thread("not all decisions were answered".to_owned()))
}

fn one(
    journal: &Journal,
    recorded: &Recorded,
    old: &mut Worker,
    new: &mut Worker,
) -> Result<Judged, ReplayError> {
    let not = |why| Ok(Judged::Not(why, None));
    let Some(said) = &recorded.said else { return not(WhyNot::Erased) };
    if !said.replayable {
        return not(WhyNot::Masked);
    }
    let Some(bytes) = journal.blob(&recorded.tenant, &said.input)? else {
        return not(WhyNot::InputMissing);
    };
    let Ok(input) = serde_json::from_slice::<DecisionInput>(&bytes) else {
        return not(WhyNot::InputUnreadable);
    };
    let (old, old_micros) = match timed(&input, said.revision, old) {
        Ok(said) => said,
        Err(why) => return Ok(Judged::Not(why, Some(Side::Old))),
    };
    let (new, new_micros) = match timed(&input, said.revision, new) {
        Ok(said) => said,
        Err(why) => return Ok(Judged::Not(why, Some(Side::New))),
    };
    Ok(Judged::Both { old, new, old_micros, new_micros })
}

/// A decision and the microseconds that it took.
fn timed(
    input: &DecisionInput,
    recorded: Digest,
    worker: &mut Worker,
) -> Result<(Box<Decision>, u64), WhyNot> {
    let mut input = input.clone();
    rebind(&mut input, recorded, worker.bundle().revision());
    let begun = Instant::now();
    let decision = decide(worker, &input, false).map_err(|why| match why {
        Undecidable::UnknownMode { .. } => WhyNot::UnknownMode,
        Undecidable::TooLarge { .. } => WhyNot::TooLarge,
        Undecidable::Unreadable(_) => WhyNot::InputUnreadable,
        Undecidable::TimeLimit(_) => WhyNot::TimeLimit,
    })?;
    Ok((Box::new(decision), u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)))
}

/// Binds approvals to the revision that is asked, as if they had been given under it.
///
/// One that was bound to another revision than the recorded one was void. It stays so, also where the
/// revision that is asked is by chance the one it was given under.
fn rebind(input: &mut DecisionInput, recorded: Digest, asked: Digest) {
    if recorded == asked {
        return;
    }
    for approval in &mut input.approvals {
        if approval.bundle_revision == recorded {
            approval.bundle_revision = asked;
        } else if approval.bundle_revision == asked {
            approval.bundle_revision = recorded;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_approval_counts_for_the_revision_that_is_asked_if_it_did_for_the_recorded_one() {
        let [recorded, asked, third] = ["a", "b", "c"].map(|text| Digest::of(text.as_bytes()));
        let approval = |revision: Digest| {
            json!({
                "approver": {"kind": "user", "id": "rhea", "tenant": "acme"}, "gate": "quality",
                "decision": "approve", "subject_digest": Digest::of(b"s"), "bundle_revision": revision,
                "time": "2026-11-20T12:00:00Z", "expires_at": "2026-11-21T12:00:00Z",
            })
        };
        let document = json!({
            "run_id": "run-1", "tenant": "acme", "mode": "dev",
            "time": "2026-11-20T12:00:00Z", "submitted_at": "2026-11-20T11:59:00Z",
            "principal": {"kind": "user", "id": "dana", "tenant": "acme", "authentication": "local"},
            "submission": {"intent": "tidy up"},
            "approvals": [approval(recorded), approval(asked), approval(third)],
            "state": {"kill_switch": false, "role_grants": []},
        });
        let (mut input, _) = DecisionInput::read(&document).unwrap();
        let unchanged = input.clone();
        rebind(&mut input, recorded, recorded);
        assert_eq!(input, unchanged);
        rebind(&mut input, recorded, asked);
        let bound: Vec<Digest> = input.approvals.iter().map(|a| a.bundle_revision).collect();
        assert_eq!(bound, [asked, recorded, third]);
    }
}
