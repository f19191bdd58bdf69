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
    input.rebind(recorded, worker.bundle().revision());
    let begun = Instant::now();
    let decision = decide(worker, &input, false).map_err(|why| match why {
        Undecidable::UnknownMode { .. } => WhyNot::UnknownMode,
        Undecidable::TooLarge { .. } => WhyNot::TooLarge,
        Undecidable::Unreadable(_) => WhyNot::InputUnreadable,
        Undecidable::TimeLimit(_) => WhyNot::TimeLimit,
    })?;
    Ok((Box::new(decision), u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX)))
}
