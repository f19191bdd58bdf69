//! From decisions and labels to matured outcomes, in the order of the decisions.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use cku_base::{Digest, TenantPath, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    grid::{Band, Cut},
    loss::{Loss, LossError, Outcome},
    route::Route,
    scope::{Event, Matured},
    settings::Settings,
    sources::Source,
};

/// A decision about a run that went ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// The run.
    pub run: String,
    /// Its tenant.
    pub tenant: TenantPath,
    /// When.
    pub at: Timestamp,
    /// The digest of the definition of its fact.
    pub definition: Digest,
    /// The band of its fact.
    pub band: Band,
    /// The active threshold.
    pub cut: Cut,
    /// How it came to go ahead.
    pub route: Route,
    /// Whose outcome it will be.
    pub source: Source,
}

/// How a run is said to have ended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reported {
    /// In one of three ways.
    Outcome(Outcome),
    /// With a loss from 0 to 1.
    Loss(f64),
}

/// A label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// The run.
    pub run: String,
    /// The tenant that reports.
    pub tenant: TenantPath,
    /// When it was so.
    pub at: Timestamp,
    /// How it ended.
    pub reported: Reported,
}

/// Why a decision or a label is not taken in; nothing else changes.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IntakeError {
    /// The run is not known here.
    #[error("no decision about run `{0}` is known in this scope")]
    UnknownRun(String),
    /// The run is known already.
    #[error("run `{0}` was decided before, with another content")]
    OtherDecision(String),
    /// The tenant is another one.
    #[error("run `{run}` belongs to tenant `{tenant}`, not to `{given}`")]
    OtherTenant {
        /// The run.
        run: String,
        /// Its tenant.
        tenant: TenantPath,
        /// The one that was given.
        given: TenantPath,
    },
    /// The label is later than now, or earlier than the decision.
    #[error("the outcome of run `{run}` is of {at}, which is not between its decision and now")]
    OtherTime {
        /// The run.
        run: String,
        /// The label's time.
        at: Timestamp,
    },
    /// The loss is none.
    #[error("run `{run}`: {source}")]
    Loss {
        /// The run.
        run: String,
        /// What is wrong.
        source: LossError,
    },
}

/// What a label changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It is the first; detectors and reports take it in.
    First(Loss),
    /// It says what was known.
    Same,
    /// It contradicts the last one. The detectors have not seen that yet, and will see this one.
    Corrected {
        /// What was known.
        from: Loss,
        /// What is so now.
        to: Loss,
    },
    /// It came after the detectors had moved on; it changes reports and reliability only.
    Late {
        /// What was known, if anything.
        from: Option<Loss>,
        /// What is so now.
        to: Loss,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    decided: Decided,
    loss: Option<Loss>,
    released: bool,
}

/// The runs of one scope whose outcomes are waited for.
///
/// Outcomes are released in the order of the decisions, each when it has a label or is older than the horizon and
/// none before it waits. If they came as they are labelled, failures that are seen sooner than successes would
/// look like a rise of the rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intake {
    tenant: TenantPath,
    definition: Option<Digest>,
    known: BTreeMap<String, Known>,
    waiting: VecDeque<String>,
}

impl Intake {
    /// Of a tenant, without runs.
    pub fn new(tenant: TenantPath) -> Self {
        Self { tenant, definition: None, known: BTreeMap::new(), waiting: VecDeque::new() }
    }

    /// Takes in a decision. Where the definition of the fact is another than before, what still waits does not
    /// count for the detectors, and they restart with the event that is given.
    pub fn decide(&mut self, decided: Decided) -> Result<Option<Event>, IntakeError> {
        self.check_tenant(&decided.run, &decided.tenant)?;
        if let Some(known) = self.known.get(&decided.run) {
            let same = known.decided == decided;
            return if same { Ok(None) } else { Err(IntakeError::OtherDecision(decided.run)) };
        }
        let before = self.definition.replace(decided.definition);
        let redefined = before.is_some_and(|before| before != decided.definition);
        if redefined {
            for run in self.waiting.drain(..) {
                if let Some(known) = self.known.get_mut(&run) {
                    known.released = true;
                }
            }
        }
        let cut = decided.cut;
        self.waiting.push_back(decided.run.clone());
        self.known.insert(decided.run.clone(), Known { decided, loss: None, released: false });
        Ok(redefined.then_some(Event::Redefined { cut }))
    }

    /// Takes in a label.
    pub fn label(
        &mut self,
        label: &Label,
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Effect, IntakeError> {
        self.check_tenant(&label.run, &label.tenant)?;
        let run = || label.run.clone();
        let known = self.known.get_mut(&label.run).ok_or_else(|| IntakeError::UnknownRun(run()))?;
        if label.at > now || label.at < known.decided.at {
            return Err(IntakeError::OtherTime { run: run(), at: label.at });
        }
        let to = match label.reported {
            Reported::Outcome(outcome) => outcome.loss(settings.get().partial),
            Reported::Loss(loss) => {
                Loss::from_number(loss).map_err(|source| IntakeError::Loss { run: run(), source })?
            }
        };
        let from = known.loss.replace(to);
        Ok(match (from, known.released) {
            (Some(from), _) if from == to => Effect::Same,
            (from, true) => Effect::Late { from, to },
            (Some(from), false) => Effect::Corrected { from, to },
            (None, false) => Effect::First(to),
        })
    }

    /// The outcomes that are ready by now, in the order of their decisions. A run without a label at the horizon
    /// counts as a success for tightening and as a failure for loosening, for good.
    pub fn ready(&mut self, now: Timestamp, settings: &Settings) -> Vec<Matured> {
        let horizon = Duration::from_secs(settings.get().maturity_seconds);
        let mut ready = Vec::new();
        while let Some(run) = self.waiting.front() {
            let Some(known) = self.known.get_mut(run) else { break };
            let due = known.decided.at.after(horizon).is_some_and(|due| due <= now);
            if known.loss.is_none() && !due {
                break;
            }
            known.released = true;
            let Decided { band, cut, route, source, .. } = known.decided;
            let tighten = known.loss.unwrap_or(Loss::NONE);
            let loosen = known.loss.unwrap_or(Loss::FULL);
            ready.push(Matured { band, cut, route, source, tighten, loosen });
            self.waiting.pop_front();
        }
        ready
    }

    /// Runs whose outcomes are waited for.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Forgets released runs that were decided before a time: a label for one of them is refused from then on.
    pub fn forget(&mut self, before: Timestamp) {
        self.known.retain(|_, known| !known.released || known.decided.at >= before);
    }

    fn check_tenant(&self, run: &str, given: &TenantPath) -> Result<(), IntakeError> {
        if *given == self.tenant {
            return Ok(());
        }
        let (run, tenant, given) = (run.to_owned(), self.tenant.clone(), given.clone());
        Err(IntakeError::OtherTenant { run, tenant, given })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::settings::Declared;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000 + seconds).unwrap()
    }

    fn settings() -> Settings {
        Settings::check(Declared { maturity_seconds: 100, ..Declared::default() }).unwrap()
    }

    fn decided(n: i64) -> Decided {
        Decided {
            run: format!("run-{n}"),
            tenant: "acme".parse().unwrap(),
            at: at(n),
            definition: Digest::of(b"one"),
            band: Band(u16::try_from(n % 8).unwrap()),
            cut: Cut(8),
            route: Route::PassedUnexplorable,
            source: Source(0),
        }
    }

    fn label(n: i64, time: i64, reported: Reported) -> Label {
        Label { run: format!("run-{n}"), tenant: "acme".parse().unwrap(), at: at(time), reported }
    }

    fn intake(runs: i64) -> Intake {
        let mut intake = Intake::new("acme".parse().unwrap());
        (0..runs).for_each(|n| assert_eq!(intake.decide(decided(n)), Ok(None)));
        intake
    }

    const FAILURE: Reported = Reported::Outcome(Outcome::Failure);
    const SUCCESS: Reported = Reported::Outcome(Outcome::Success);

    #[test]
    fn what_cannot_be_taken_in_is_refused_with_a_reason_and_changes_nothing() {
        let mut intake = intake(2);
        let before = intake.clone();
        let mut refused = |label: Label| intake.label(&label, at(50), &settings()).unwrap_err().to_string();
        assert_eq!(refused(label(7, 10, FAILURE)), "no decision about run `run-7` is known in this scope");
        let other = Label { tenant: "globex".parse().unwrap(), ..label(0, 10, FAILURE) };
        assert_eq!(refused(other), "run `run-0` belongs to tenant `acme`, not to `globex`");
        assert!(refused(label(0, 51, FAILURE)).ends_with("which is not between its decision and now"));
        assert!(refused(label(1, 0, FAILURE)).ends_with("which is not between its decision and now"));
        assert!(refused(label(0, 10, Reported::Loss(f64::NAN))).starts_with("run `run-0`: `NaN` is no loss"));
        let changed = Decided { band: Band(3), ..decided(0) };
        assert_eq!(intake.decide(changed), Err(IntakeError::OtherDecision("run-0".to_owned())));
        assert_eq!(intake, before);
    }

    #[test]
    fn a_label_given_twice_counts_once_and_a_contradiction_counts_last() {
        let (mut intake, settings) = (intake(1), settings());
        let mut give = |reported| intake.label(&label(0, 10, reported), at(50), &settings).unwrap();
        assert_eq!(give(FAILURE), Effect::First(Loss::FULL));
        assert_eq!(give(FAILURE), Effect::Same);
        assert_eq!(give(SUCCESS), Effect::Corrected { from: Loss::FULL, to: Loss::NONE });
        let ready = intake.ready(at(50), &settings);
        assert_eq!((ready[0].tighten, ready[0].loosen), (Loss::NONE, Loss::NONE));
        let late = intake.label(&label(0, 60, FAILURE), at(70), &settings).unwrap();
        assert_eq!(late, Effect::Late { from: Some(Loss::NONE), to: Loss::FULL });
        assert_eq!(intake.ready(at(70), &settings), []);
    }

    #[test]
    fn without_a_label_a_run_counts_at_the_horizon_against_either_proposal() {
        let (mut intake, settings) = (intake(2), settings());
        assert_eq!(intake.label(&label(1, 5, FAILURE), at(6), &settings), Ok(Effect::First(Loss::FULL)));
        assert_eq!(intake.ready(at(99), &settings), [], "the one before it waits");
        let ready = intake.ready(at(100), &settings);
        assert_eq!(ready.len(), 2);
        assert_eq!((ready[0].tighten, ready[0].loosen), (Loss::NONE, Loss::FULL));
        assert_eq!((ready[1].tighten, ready[1].loosen), (Loss::FULL, Loss::FULL));
    }

    #[test]
    fn evidence_does_not_cross_a_change_of_the_facts_definition() {
        let (mut intake, settings) = (intake(3), settings());
        let other = Decided { definition: Digest::of(b"two"), ..decided(3) };
        assert_eq!(intake.decide(other), Ok(Some(Event::Redefined { cut: Cut(8) })));
        assert_eq!(intake.waiting(), 1);
        let late = intake.label(&label(0, 10, FAILURE), at(50), &settings).unwrap();
        assert_eq!(late, Effect::Late { from: None, to: Loss::FULL });
        assert_eq!(intake.ready(at(500), &settings).len(), 1);
        intake.forget(at(3));
        let gone = intake.label(&label(0, 10, SUCCESS), at(50), &settings);
        assert_eq!(gone, Err(IntakeError::UnknownRun("run-0".to_owned())));
    }

    proptest! {
        #[test]
        fn every_run_is_released_once_and_in_order_whenever_labels_come(
            labels in prop::collection::vec((0i64..20, 0i64..200, any::<bool>()), 0..40), asks in prop::collection::vec(0i64..300, 1..8)
        ) {
            let (mut intake, settings) = (intake(20), settings());
            let mut labels = labels;
            labels.sort_by_key(|(_, time, _)| *time);
            let mut asks = asks;
            asks.sort_unstable();
            asks.push(1_000);
            let mut bands = Vec::new();
            let mut labels = labels.into_iter().peekable();
            for ask in asks {
                while let Some((n, time, failed)) = labels.next_if(|(_, time, _)| *time <= ask) {
                    let given = label(n, time, if failed { FAILURE } else { SUCCESS });
                    let taken = intake.label(&given, at(time), &settings);
                    prop_assert_eq!(taken.is_err(), time < n);
                }
                bands.extend(intake.ready(at(ask), &settings).iter().map(|matured| i64::from(matured.band.0)));
            }
            prop_assert_eq!(bands, (0..20).map(|n| n % 8).collect::<Vec<_>>());
        }
    }
}
