//! All that is found out about a diff before anybody looks: tests, directions, bounds, replay.

use std::{collections::BTreeSet, sync::Arc};

use cku_authority::{AccessError, BundleError, Purpose, StoreError, load_bundle};
use cku_base::{Digest, Timestamp, canonical, diagnostic::Diagnostic};
use cku_engine::{Bundle, Sources, UnitTestOutcome, Worker};
use cku_gates::{Submitter, TestCounts};
use cku_journal::Journal;
use cku_lang::Enforcement;

use super::{
    event::Checked,
    found::Evidence,
    state::{Command, Diff, Refusal},
    store, thresholds,
};
use crate::{
    prove::{
        self, Comparison, Proof, Solver,
        invariants::{self, InvariantResult, Invariants},
    },
    replay::{self, Replay, ReplayError},
};

/// Bounds that every bundle keeps, whoever approves.
const BOUNDS: &str = include_str!("../../../policies/invariants.cedar");

/// Gates that are enforced in every mode once they are.
const ALWAYS_ENFORCED: [&str; 2] = ["security", "tenant_scope"];

/// How much is found out.
#[derive(Debug, Clone, Default)]
pub struct CheckOptions {
    /// How decisions are replayed.
    pub replay: replay::Options,
}

/// Why nothing was found out.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The state of the diff does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The access policies do not allow it, or the journal could not be asked.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The base or the new revision could not be loaded.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The tests of the new revision do not load.
    #[error("the tests of the new revision do not load: {0}")]
    Tests(String),
    /// The bounds are not what they should be; a defect of cku.
    #[error("the bounds that are built in cannot be read: {0}")]
    Bounds(String),
    /// Nothing could be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The journal did not give or take something.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Finds out all that is to be known about a diff, and puts it into the journal; whoever may propose
/// changes may ask for it.
///
/// Decisions are replayed up to where the journal ended at the first check, so that the same is found
/// again and approvals stay, unless the options say up to where.
///
/// `progress` hears how many of how many recorded decisions were replayed.
pub fn check(
    journal: &Journal,
    worker: &mut Worker,
    id: &Digest,
    by: &Submitter,
    mut solver: Option<&mut Solver>,
    (options, now): (&CheckOptions, Timestamp),
    progress: &dyn Fn(usize, usize),
) -> Result<(Diff, Evidence), CheckError> {
    let diff = store::load(journal, id)?;
    if let super::Status::Ended(ending) = diff.status() {
        return Err(Refusal::Ended(ending).into());
    }
    if let super::Status::Tried(stage) = diff.status() {
        return Err(Refusal::Tried(stage.as_str()).into());
    }
    super::access::may(journal, worker, by, "policy:propose", &diff)?;
    let old = load_bundle(journal, diff.proposed.base)?;
    let new = store::new_bundle(journal, &diff)?;
    let before = store::evidence_of(journal, &diff)?.and_then(|evidence| evidence.replay);
    let heads = options.replay.heads.clone().or(before.map(|replay| replay.heads));
    let (tests, failures) = run_tests(&new)?;
    let base_tests = with_tests_of(&old, &new).and_then(|bundle| run_tests(&bundle).ok());
    let comparison = without_times(prove::compare(&old, &new, solver.as_deref_mut()));
    let bounds = Invariants::read(BOUNDS).map_err(CheckError::Bounds)?;
    let mut kept = invariants::check(&new, &bounds, solver.as_deref_mut());
    kept.extend(invariants::never_errs(&new, solver.as_deref_mut()));
    kept.extend(structure(&old, &new, diff.proposed.purpose));
    let replay = match diff.proposed.purpose {
        Purpose::ChangeControl => None,
        Purpose::Gates => {
            let found = replay::replay(
                journal,
                old.clone(),
                new.clone(),
                &replay::Options { heads, ..options.replay.clone() },
                progress,
            )?;
            Some(Replay { latency: None, ..found })
        }
    };
    let evidence = Evidence {
        diff: diff.id,
        base: diff.proposed.base,
        revision: diff.proposed.revision,
        // A diff that takes the protection away is one of a protected bundle.
        protected: diff.proposed.purpose == Purpose::ChangeControl
            || old.manifest().protected
            || new.manifest().protected,
        tests,
        failures,
        base_tests: base_tests.map(|(counts, _)| counts),
        comparison,
        invariants: kept,
        thresholds: thresholds::changed(&old, &new),
        learner_settings: thresholds::touches_the_learner(&old, &new),
        replay,
        solver: solver.map(|solver| solver.version().to_owned()),
    };
    let bytes = canonical::to_vec(&evidence).map_err(StoreError::from)?;
    let checked = Checked {
        evidence: Digest::of(&bytes),
        direction: evidence.comparison.whole,
        tests_failed: evidence.tests.failed,
        violated: evidence.violated(),
    };
    let events = diff.decide(by, &Command::Check(checked), now)?;
    let diff = store::add(journal, diff, by, &events, vec![bytes])?;
    Ok((diff, evidence))
}

/// Proof times differ each time, and are no evidence.
fn without_times(mut comparison: Comparison) -> Comparison {
    for check in comparison.parts.iter_mut().flat_map(|part| &mut part.checks) {
        if let Proof::Proved { ms, .. } = &mut check.proof {
            *ms = 0;
        }
    }
    comparison
}

/// A problem in one line, with its place.
pub(super) fn told(problem: &Diagnostic) -> String {
    let place = problem.place.as_ref().map(|place| format!(" ({}:{})", place.file, place.line));
    format!("{}{}", problem.message, place.unwrap_or_default())
}

/// How many failures are told.
const TOLD: usize = 20;

fn run_tests(bundle: &Arc<Bundle>) -> Result<(TestCounts, Vec<String>), CheckError> {
    let unloadable =
        |problems: Vec<Diagnostic>| CheckError::Tests(problems.first().map_or_else(String::new, told));
    let units = bundle.run_unit_tests(None).map_err(unloadable)?;
    let tables = cku_gates::tables::run(bundle, None).map_err(unloadable)?;
    let of_units = units.iter().filter_map(|test| match &test.outcome {
        UnitTestOutcome::Passed => Some((&test.name, None)),
        UnitTestOutcome::Failed(why) | UnitTestOutcome::Error(why) => Some((&test.name, Some(why.clone()))),
        UnitTestOutcome::Skipped => None,
    });
    let of_tables = tables
        .iter()
        .map(|test| (&test.name, (!test.differences.is_empty()).then(|| test.differences.join("; "))));
    let (mut counts, mut failures) = (TestCounts::default(), Vec::new());
    for (name, why) in of_units.chain(of_tables) {
        match why {
            None => counts.passed += 1,
            Some(why) => {
                counts.failed += 1;
                failures.push(format!("{name}: {why}"));
            }
        }
    }
    failures.truncate(TOLD);
    Ok((counts, failures))
}

/// The new revision with the tests of the base: what a change does to its own tests is no judge of it.
fn with_tests_of(old: &Bundle, new: &Bundle) -> Option<Arc<Bundle>> {
    let of = |bundle: &'_ Bundle, tests| {
        let files = bundle.sources().files().iter().filter(move |file| file.kind.is_test() == tests);
        files.map(|file| (file.path.clone(), file.text.clone())).collect::<Vec<_>>()
    };
    let files = of(new, false).into_iter().chain(of(old, true));
    Bundle::from_sources(Sources::from_files(files)).ok().map(Arc::new)
}

/// Gates that stay: those that the base asks; and enforced: security and tenant scope, and all of change
/// control, where the base enforces them.
fn structure(old: &Bundle, new: &Bundle, purpose: Purpose) -> Vec<InvariantResult> {
    let mut present = BTreeSet::new();
    let mut enforced: Option<BTreeSet<String>> = None;
    for mode in &old.manifest().modes {
        let Some(Ok(steps)) = old.sequence(mode).map(|s| s.as_ref()) else { continue };
        present.extend(steps.iter().map(|step| step.gate.clone()));
        let of_mode: BTreeSet<String> =
            steps.iter().filter(|s| s.enforcement == Enforcement::Enforce).map(|s| s.gate.clone()).collect();
        enforced = Some(match enforced {
            None => of_mode,
            Some(before) => before.intersection(&of_mode).cloned().collect(),
        });
    }
    let mut enforced = enforced.unwrap_or_default();
    if purpose == Purpose::Gates {
        enforced.retain(|gate| ALWAYS_ENFORCED.contains(&gate.as_str()));
    }
    let present: Vec<&str> = present.iter().map(String::as_str).collect();
    let enforced: Vec<&str> = enforced.iter().map(String::as_str).collect();
    let mut results = invariants::structure(new, &present, &enforced);
    if purpose == Purpose::ChangeControl {
        // Their order says how many people a change takes; a diff that changed it would choose that.
        let (before, after) = (&old.manifest().modes, &new.manifest().modes);
        let violation = (before != after).then(|| {
            format!("change control decides in {}, and not in {}", before.join(", "), after.join(", "))
        });
        results.push(InvariantResult::structural("modes of change control".to_owned(), violation));
    }
    results
}
