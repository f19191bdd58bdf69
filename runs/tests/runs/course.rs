//! The course of a run without its effects: whatever steps do, and whenever cku goes away.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::{Digest, Principal, PrincipalKind, Timestamp};
use cku_gates::{Authentication, RunSubmission, Submitter, read_submission};
use cku_runs::{
    Command, Decided, Ended, Ending, Event, Failure, Healing, Next, Resumed, Run, SIDE_BY_SIDE, Started,
    Status, StepFinished, StepSkipped, StepStarted, StepStatus, Strategy, Submitted, UndoStarted, Undone,
    Waiting, WaitingFor,
};
use cku_skills::FailureClass;
use proptest::prelude::{Strategy as Generate, *};
use serde_json::{Value, json};

fn by() -> Submitter {
    Submitter {
        principal: Principal {
            kind: PrincipalKind::User,
            id: "dana".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
        },
        authentication: Authentication::Token,
        token: None,
    }
}

fn run_of(steps: &[(Vec<usize>, bool)]) -> Run {
    let steps: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(n, (needs, reversible))| {
            let needs: Vec<String> = needs.iter().map(|n| format!("s{n}")).collect();
            json!({"id": format!("s{n}"), "skill": "command", "with": {"argv": ["x"]}, "needs": needs, "reversible": reversible})
        })
        .collect();
    let submission: RunSubmission =
        read_submission(&json!({"intent": "test", "plan": {"steps": steps}})).unwrap().0;
    let submitted = Submitted {
        mode: "dev".to_owned(),
        principal: by(),
        submitted_at: Timestamp::EPOCH,
        submission: Digest::of(b""),
        subject_digest: Digest::of(b"subject"),
        evidence_by: BTreeMap::new(),
        intent: "test".to_owned(),
        workspace: "/w".to_owned(),
    };
    Run::new("run-1".to_owned(), "acme".parse().unwrap(), submitted, submission)
}

/// What chance decides while a run is carried out.
#[derive(Debug, Clone)]
struct Chance {
    /// How each try ends: well, or not.
    ends_well: Vec<bool>,
    /// What the policy says to each failure.
    strategies: Vec<Strategy>,
    /// After how many events cku goes away, again and again.
    crashes: Vec<usize>,
    /// What a person says to each alert.
    people: Vec<Strategy>,
    /// Which of the steps that run ends next.
    order: Vec<prop::sample::Index>,
}

fn chance() -> impl Generate<Value = Chance> {
    let policy =
        prop::sample::select(vec![Strategy::Retry, Strategy::Skip, Strategy::Rollback, Strategy::Alert]);
    let person =
        prop::sample::select(vec![Strategy::Retry, Strategy::Skip, Strategy::Rollback, Strategy::Abort]);
    (
        prop::collection::vec(prop::bool::weighted(0.7), 60),
        prop::collection::vec(policy, 30),
        prop::collection::vec(1..12usize, 0..5),
        prop::collection::vec(person, 30),
        prop::collection::vec(any::<prop::sample::Index>(), 60),
    )
        .prop_map(|(ends_well, strategies, crashes, people, order)| Chance {
            ends_well,
            strategies,
            crashes,
            people,
            order,
        })
}

/// Steps that need only steps before them, so without cycles.
fn steps() -> impl Generate<Value = Vec<(Vec<usize>, bool)>> {
    prop::collection::vec((prop::collection::vec(any::<prop::sample::Index>(), 0..3), any::<bool>()), 1..8)
        .prop_map(|steps| {
            let needs = |n: usize, needs: Vec<prop::sample::Index>| {
                let needs: BTreeSet<usize> =
                    if n == 0 { BTreeSet::new() } else { needs.iter().map(|i| i.index(n)).collect() };
                needs.into_iter().collect()
            };
            steps.into_iter().enumerate().map(|(n, (of, reversible))| (needs(n, of), reversible)).collect()
        })
}

/// Carries out a run as the executor does, with its effects in `world`.
struct Course {
    run: Run,
    seq: u64,
    log: Vec<Event>,
    /// Effects of each step: done and not taken back.
    effects: BTreeMap<String, i32>,
    chance: Chance,
    running: Vec<(String, bool)>,
    people: usize,
}

impl Course {
    fn happens(&mut self, event: Event) {
        self.check(&event);
        self.seq += 1;
        self.run = self.run.clone().apply(&event, self.seq, Timestamp::EPOCH);
        self.log.push(event);
    }

    /// What must hold of an event before it happens.
    fn check(&self, event: &Event) {
        assert!(!matches!(self.run.status, Status::Ended(_)), "nothing happens after the end: {event:?}");
        match event {
            Event::StepStarted(e) => {
                let status = self.run.status_of(&e.step).unwrap();
                assert!(matches!(status, StepStatus::Pending | StepStatus::Retrying(_)), "{status:?}");
                for need in &self.run.step(&e.step).unwrap().needs {
                    assert!(
                        matches!(self.run.status_of(need), Some(StepStatus::Succeeded(_))),
                        "{need} before {}",
                        e.step
                    );
                }
                assert!(self.running.len() < SIDE_BY_SIDE + 1);
                assert!(self.run.rolling_back.is_none() && self.run.aborted.is_none());
            }
            Event::UndoStarted(e) => {
                assert!(self.running.is_empty(), "undone while others run");
                let done = self.run.status_of(&e.step).unwrap();
                let interrupted = |f: &Failure| f.class == FailureClass::Interrupted;
                assert!(
                    matches!(done, StepStatus::Succeeded(_))
                        || matches!(done, StepStatus::GivenUp(f) if interrupted(f)),
                    "{done:?}"
                );
            }
            _ => {}
        }
    }

    fn failure(class: FailureClass) -> Failure {
        Failure { class, message: "it failed".to_owned(), exit_code: Some(1), signal: None }
    }

    /// One of what runs ends.
    fn one_ends(&mut self) {
        let at = self.chance.order.pop().map_or(0, |i| i.index(self.running.len()));
        let (step, undo) = self.running.remove(at);
        let well = self.chance.ends_well.pop().unwrap_or(true);
        let failure = (!well).then(|| Self::failure(FailureClass::Unknown));
        let effect = self.effects.entry(step.clone()).or_default();
        if well {
            *effect = i32::from(!undo);
        }
        if undo {
            self.happens(Event::Undone(Undone { step, failure, report: None }));
        } else {
            let attempt = self.run.steps[&step].attempts;
            self.happens(Event::StepFinished(StepFinished { step, attempt, failure, report: None }));
        }
    }

    /// cku goes away: what runs is not heard from, its effect may be there or not.
    fn crash(&mut self) {
        self.running.clear();
        self.happens(Event::Resumed(Resumed { by: by() }));
        for finished in self.run.interrupted() {
            self.happens(Event::StepFinished(finished));
        }
        let undoing: Vec<String> = self
            .run
            .steps
            .iter()
            .filter(|(_, s)| s.status == StepStatus::Undoing)
            .map(|(id, _)| id.clone())
            .collect();
        for step in undoing {
            let failure = Some(Self::failure(FailureClass::Interrupted));
            self.happens(Event::Undone(Undone { step, failure, report: None }));
        }
    }

    fn go(mut self) -> Self {
        self.happens(Event::Started(Started { workspace: "/w".to_owned(), confined: true }));
        let mut until_crash = self.chance.crashes.pop();
        for _ in 0..2_000 {
            if matches!(self.run.status, Status::Ended(_)) {
                return self;
            }
            if until_crash.is_some_and(|n| self.log.len() >= n) {
                self.crash();
                until_crash = self.chance.crashes.pop().map(|n| self.log.len() + n);
                continue;
            }
            match self.run.next(Timestamp::EPOCH) {
                Next::Start(steps) => {
                    for step in steps {
                        let attempt = self.run.steps[&step].attempts + 1;
                        let key = self.run.key_of(&step);
                        let started =
                            StepStarted { step: step.clone(), skill: "command".to_owned(), attempt, key };
                        self.happens(Event::StepStarted(started));
                        self.running.push((step, false));
                    }
                }
                Next::Undo(step) => {
                    let key = self.run.key_of(&step);
                    self.happens(Event::UndoStarted(UndoStarted { step: step.clone(), key }));
                    self.running.push((step, true));
                }
                Next::Skip(step, reason) => self.happens(Event::StepSkipped(StepSkipped { step, reason })),
                Next::Heal(step, _) => {
                    let strategy = self.chance.strategies.pop().unwrap_or(Strategy::Rollback);
                    let reason = "policy".to_owned();
                    self.happens(Event::Healing(Healing {
                        step,
                        strategy,
                        reason,
                        not_before: None,
                        by: None,
                    }));
                }
                Next::Alert(step, _) => {
                    let reason = "person".to_owned();
                    self.happens(Event::Waiting(Waiting {
                        waiting_for: WaitingFor::Person,
                        reason: reason.clone(),
                    }));
                    let rolling = self.run.rolling_back.is_some();
                    let said = self.chance.people.pop().unwrap_or(Strategy::Abort);
                    let strategy = if rolling && said == Strategy::Rollback { Strategy::Abort } else { said };
                    let healed =
                        self.run.decide(&by(), &Command::Heal { step, strategy, reason }, Timestamp::EPOCH);
                    healed.unwrap().into_iter().for_each(|event| self.happens(event));
                    let resumed = self.run.decide(&by(), &Command::Resume, Timestamp::EPOCH).unwrap();
                    resumed.into_iter().for_each(|event| self.happens(event));
                    self.people += 1;
                }
                Next::End(status, cause) => {
                    assert!(self.running.is_empty(), "ended while something runs");
                    let ended: Ended = self.run.end(status, cause, Timestamp::EPOCH);
                    self.happens(Event::Ended(ended));
                }
                Next::Wait(_) => {
                    assert!(!self.running.is_empty(), "waits for nothing: {:?}", self.run.steps);
                    self.one_ends();
                }
                Next::Nothing => panic!("nothing to do, and not ended: {:?}", self.run.status),
            }
        }
        panic!("it never ends");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn every_run_ends_and_keeps_its_promises(steps in steps(), chance in chance()) {
        let run = run_of(&steps);
        let course = Course {
            run: Run { status: Status::Running, ..run }, seq: 0, log: Vec::new(), effects: BTreeMap::new(),
            chance, running: Vec::new(), people: 0,
        }.go();
        let run = &course.run;
        let Status::Ended(ending) = run.status else { unreachable!() };
        let is = |of: fn(&StepStatus) -> bool| run.steps.values().filter(|s| of(&s.status)).count();
        match ending {
            Ending::Succeeded => prop_assert_eq!(is(|s| matches!(s, StepStatus::Succeeded(_))), run.steps.len()),
            Ending::Partial => prop_assert!(is(|s| *s == StepStatus::Skipped) > 0),
            Ending::RolledBack => prop_assert_eq!(is(|s| matches!(s, StepStatus::Succeeded(_) | StepStatus::NotUndone(_))), 0),
            Ending::Failed | Ending::Cancelled => {}
            Ending::Rejected => prop_assert!(false, "no gate was asked"),
        }
        // A step that succeeded is done once: it starts again only after its undo.
        let mut done: BTreeSet<&str> = BTreeSet::new();
        for event in &course.log {
            match event {
                Event::StepFinished(e) if e.failure.is_none() => { prop_assert!(done.insert(&e.step)); }
                Event::StepStarted(e) => prop_assert!(!done.contains(e.step.as_str()), "{} again", e.step),
                Event::Undone(e) if e.failure.is_none() => { done.remove(e.step.as_str()); }
                _ => {}
            }
        }
        // The state is what its entries say: applied anew, they give the same.
        let again = run_of(&steps);
        let again = course.log.iter().zip(1..).fold(Run { status: Status::Running, ..again }, |run, (event, seq)| {
            run.apply(event, seq, Timestamp::EPOCH)
        });
        prop_assert_eq!(&again, run);
    }

    #[test]
    fn events_read_back_from_the_bodies_they_are_written_to(steps in steps(), chance in chance()) {
        let course = Course {
            run: Run { status: Status::Running, ..run_of(&steps) }, seq: 0, log: Vec::new(), effects: BTreeMap::new(),
            chance, running: Vec::new(), people: 0,
        }.go();
        for event in course.log {
            let members = event.members().unwrap();
            let draft_kind = event.kind();
            prop_assert!(cku_journal::Kind::KNOWN.contains(&draft_kind));
            prop_assert!(!members.contains_key("actor") && !members.contains_key("subject"));
        }
    }
}

fn decided(run: Run, verdict: &str) -> Run {
    let decided = Decided {
        verdict: serde_json::from_value(json!(verdict)).unwrap(),
        bundle_revision: Digest::of(b"bundle"),
        subject_digest: Digest::of(b"subject"),
        input_digest: Digest::of(b"input"),
        input: Digest::of(b"input"),
        replayable: true,
        decision: json!({"gates": [{"gate": "plan_approval"}, {"gate": "release"}]}),
    };
    let run = run.apply(&Event::Decided(decided), 2, Timestamp::EPOCH);
    let waiting = Waiting { waiting_for: WaitingFor::Gates, reason: "waits".to_owned() };
    run.apply(&Event::Waiting(waiting), 3, Timestamp::EPOCH)
}

#[test]
fn what_refused_commands_are_told() {
    let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let later: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
    let consent = |gate: &str, expires_at: Timestamp, subject: Option<Digest>| Command::Consent {
        gate: gate.to_owned(),
        decision: cku_gates::ApprovalDecision::Approve,
        reason: String::new(),
        expires_at,
        subject,
    };
    let heal =
        |step: &str, strategy| Command::Heal { step: step.to_owned(), strategy, reason: String::new() };
    let fresh = run_of(&[(vec![], false)]);
    let waiting = decided(fresh.clone(), "PAUSE");
    let approved = waiting.decide(&by(), &consent("plan_approval", later, None), noon).unwrap();
    let approved = approved.iter().fold(waiting.clone(), |run, event| run.apply(event, 4, noon));
    let ended =
        waiting.clone().apply(&Event::Ended(waiting.end(Ending::Rejected, "no".to_owned(), noon)), 4, noon);
    let running = waiting.clone().apply(
        &Event::Started(Started { workspace: "/w".to_owned(), confined: true }),
        4,
        noon,
    );
    let label =
        Command::Label(cku_runs::Label { label: "incident".to_owned(), at: noon, note: String::new() });
    let cases = [
        ("before any decision", &fresh, consent("plan_approval", later, None)),
        ("an unknown gate", &waiting, consent("plan_aproval", later, None)),
        ("another subject", &waiting, consent("plan_approval", later, Some(Digest::of(b"x")))),
        ("expired at once", &waiting, consent("plan_approval", noon, None)),
        ("twice", &approved, consent("plan_approval", later, None)),
        ("after the end", &ended, consent("plan_approval", later, None)),
        ("while it runs", &running, consent("plan_approval", later, None)),
        ("resumed after the end", &ended, Command::Resume),
        ("cancelled after the end", &ended, Command::Cancel { reason: String::new() }),
        ("labelled before the end", &waiting, label),
        ("an unknown step", &running, heal("s1", Strategy::Retry)),
        ("a step that waits for nobody", &running, heal("s0", Strategy::Retry)),
    ];
    let told: Vec<String> = cases
        .into_iter()
        .map(|(name, run, command)| format!("{name}: {}", run.decide(&by(), &command, noon).unwrap_err()))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    // Another person may, and the same one once it has expired.
    let other = Submitter { principal: Principal { id: "sam".parse().unwrap(), ..by().principal }, ..by() };
    assert!(approved.decide(&other, &consent("plan_approval", later, None), noon).is_ok());
    let much_later: Timestamp = "2026-12-23T12:00:00Z".parse().unwrap();
    let again = consent("plan_approval", much_later, None);
    assert!(approved.decide(&by(), &again, "2026-11-23T12:00:00Z".parse().unwrap()).is_ok());
}
