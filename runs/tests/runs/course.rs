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

/// A step of a plan that chance made.
#[derive(Debug, Clone)]
struct Planned {
    needs: Vec<usize>,
    reversible: bool,
    effects: bool,
    idempotent: bool,
}

/// A plan of steps with effects that are not idempotent.
fn plain(steps: &[(Vec<usize>, bool)]) -> Vec<Planned> {
    let step = |(needs, reversible): &(Vec<usize>, bool)| Planned {
        needs: needs.clone(),
        reversible: *reversible,
        effects: true,
        idempotent: false,
    };
    steps.iter().map(step).collect()
}

fn run_of(steps: &[Planned]) -> Run {
    let steps: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(n, step)| {
            let needs: Vec<String> = step.needs.iter().map(|n| format!("s{n}")).collect();
            let mut with = json!({"argv": ["x"]});
            if step.idempotent {
                with["idempotency"] = "env:CKU_STEP_KEY".into();
            }
            json!({
                "id": format!("s{n}"), "skill": "command", "with": with, "needs": needs,
                "reversible": step.reversible, "effects": step.effects,
            })
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
        confined: true,
    };
    Run::new("run-1".to_owned(), "acme".parse().unwrap(), submitted, submission)
}

/// What chance decides while a run is carried out.
#[derive(Debug, Clone)]
struct Chance {
    /// How each try ends: well, or not.
    ends_well: Vec<bool>,
    /// Whether what did not end well had its effect all the same.
    had_effect: Vec<bool>,
    /// What the policy says to each failure.
    strategies: Vec<Strategy>,
    /// After how many events cku goes away, again and again.
    crashes: Vec<usize>,
    /// After how many events somebody cancels the run.
    cancelled: Option<usize>,
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
        prop::collection::vec(any::<bool>(), 60),
        prop::collection::vec(policy, 30),
        prop::collection::vec(1..12usize, 0..5),
        prop::option::weighted(0.2, 1..30usize),
        prop::collection::vec(person, 30),
        prop::collection::vec(any::<prop::sample::Index>(), 60),
    )
        .prop_map(|(ends_well, had_effect, strategies, crashes, cancelled, people, order)| Chance {
            ends_well,
            had_effect,
            strategies,
            crashes,
            cancelled,
            people,
            order,
        })
}

/// Steps that need only steps before them, so without cycles.
fn steps() -> impl Generate<Value = Vec<Planned>> {
    let needs = prop::collection::vec(any::<prop::sample::Index>(), 0..3);
    let step = (needs, any::<bool>(), prop::bool::weighted(0.8), any::<bool>());
    prop::collection::vec(step, 1..8).prop_map(|steps| {
        let needs = |n: usize, needs: Vec<prop::sample::Index>| {
            let needs: BTreeSet<usize> =
                if n == 0 { BTreeSet::new() } else { needs.iter().map(|i| i.index(n)).collect() };
            needs.into_iter().collect()
        };
        let planned = |(n, (of, reversible, effects, idempotent))| Planned {
            needs: needs(n, of),
            reversible,
            effects,
            idempotent,
        };
        steps.into_iter().enumerate().map(planned).collect()
    })
}

/// Carries out a run as the executor does, with its effects in `world`.
struct Course {
    run: Run,
    seq: u64,
    log: Vec<Event>,
    /// The effects of each step that are there, by the keys they were made under.
    world: BTreeMap<String, BTreeSet<String>>,
    chance: Chance,
    /// The steps that run, under which key, and whether it is their undo that runs.
    running: Vec<(String, String, bool)>,
}

impl Course {
    fn of(steps: &[Planned], chance: Chance) -> Self {
        Self {
            run: Run { status: Status::Running, ..run_of(steps) },
            seq: 0,
            log: Vec::new(),
            world: BTreeMap::new(),
            chance,
            running: Vec::new(),
        }
    }

    fn happens(&mut self, event: Event) {
        self.check(&event);
        self.seq += 1;
        self.run = self.run.clone().apply(&event, self.seq, Timestamp::EPOCH);
        self.log.push(event);
    }

    fn effects_of(&self, step: &str) -> BTreeSet<String> {
        self.world.get(step).cloned().unwrap_or_default()
    }

    /// What must hold of an event before it happens.
    fn check(&self, event: &Event) {
        let heard = matches!(event, Event::StepFinished(_) | Event::Undone(_));
        assert!(
            heard || !matches!(self.run.status, Status::Ended(_)),
            "nothing begins after the end: {event:?}"
        );
        match event {
            Event::StepStarted(e) => {
                let status = self.run.status_of(&e.step).unwrap();
                assert!(matches!(status, StepStatus::Pending | StepStatus::Retrying(_)), "{status:?}");
                let step = self.run.step(&e.step).unwrap();
                for need in &step.needs {
                    assert_eq!(
                        self.run.status_of(need),
                        Some(&StepStatus::Succeeded),
                        "{need} before {}",
                        e.step
                    );
                }
                assert!(self.running.len() < SIDE_BY_SIDE, "more than run side by side");
                assert!(self.run.rolling_back.is_none() && self.run.aborted.is_none());
                // What can be undone is never done twice: not at all, or under another key than before.
                if step.reversible {
                    let there = self.effects_of(&e.step);
                    let same = step.with.contains_key("idempotency") && there.iter().all(|key| *key == e.key);
                    assert!(there.is_empty() || same, "{} again over {there:?}", e.step);
                }
            }
            Event::UndoStarted(e) => {
                assert!(self.running.len() < SIDE_BY_SIDE, "more than run side by side");
                if self.run.rolling_back.is_some() {
                    assert!(self.running.is_empty(), "undone while others run");
                }
                let step = self.run.step(&e.step).unwrap();
                assert!(step.effects && step.reversible, "{} is not to be undone", e.step);
                let of_step = |event: &&Event| match event {
                    Event::StepStarted(started) => started.step == e.step,
                    Event::Undone(undone) => undone.step == e.step && undone.failure.is_none(),
                    _ => false,
                };
                let last = self.log.iter().rev().find(of_step);
                assert!(matches!(last, Some(Event::StepStarted(_))), "nothing of {} was begun", e.step);
            }
            Event::Healing(e) if self.run.rolling_back.is_some() || self.run.aborted.is_some() => {
                let undo = matches!(self.run.status_of(&e.step), Some(StepStatus::UndoFailed(_)));
                assert!(e.by.is_some(), "the policy is asked while it is rolled back: {e:?}");
                assert!(undo || e.strategy != Strategy::Retry, "tried again while it is rolled back: {e:?}");
            }
            _ => {}
        }
    }

    fn failure(class: FailureClass) -> Failure {
        Failure { class, message: "it failed".to_owned(), exit_code: Some(1), signal: None }
    }

    /// Whether a try had its effect, or an undo took it away: for sure where it went well, else by chance.
    fn takes_effect(&mut self, step: &str, key: &str, undo: bool, well: bool) {
        let does = well || self.chance.had_effect.pop().unwrap_or(false);
        if !does || !self.run.step(step).unwrap().effects {
            return;
        }
        let there = self.world.entry(step.to_owned()).or_default();
        if undo {
            there.remove(key);
        } else {
            there.insert(key.to_owned());
        }
    }

    fn ends(&mut self, at: usize, failure: Option<Failure>) {
        let (step, key, undo) = self.running.remove(at);
        self.takes_effect(&step, &key, undo, failure.is_none());
        if undo {
            self.happens(Event::Undone(Undone { step, failure, report: None }));
        } else {
            let attempt = self.run.steps[&step].attempts;
            self.happens(Event::StepFinished(StepFinished { step, attempt, failure, report: None }));
        }
    }

    /// One of what runs ends.
    fn one_ends(&mut self) {
        let at = self.chance.order.pop().map_or(0, |i| i.index(self.running.len()));
        let well = self.chance.ends_well.pop().unwrap_or(true);
        self.ends(at, (!well).then(|| Self::failure(FailureClass::Unknown)));
    }

    /// Somebody cancels the run: what runs is broken off, and is heard of after its end.
    fn cancel(&mut self) {
        let cancel = Command::Cancel { reason: "enough".to_owned() };
        let events = self.run.decide(&by(), &cancel, Timestamp::EPOCH).unwrap();
        events.into_iter().for_each(|event| self.happens(event));
        while !self.running.is_empty() {
            self.ends(0, Some(Self::failure(FailureClass::Interrupted)));
        }
    }

    /// cku goes away: what runs is not heard from, its effect may be there or not.
    fn crash(&mut self) {
        for (step, key, undo) in std::mem::take(&mut self.running) {
            self.takes_effect(&step, &key, undo, false);
        }
        self.happens(Event::Resumed(Resumed { by: by() }));
        for finished in self.run.interrupted() {
            self.happens(Event::StepFinished(finished));
        }
        let undoing: Vec<String> = self
            .run
            .steps
            .iter()
            .filter(|(_, s)| matches!(s.status, StepStatus::Undoing(_)))
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
            if self.chance.cancelled.is_some_and(|n| self.log.len() >= n) {
                self.cancel();
                continue;
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
                        let skill = "command".to_owned();
                        let started = StepStarted { step: step.clone(), skill, attempt, key: key.clone() };
                        self.happens(Event::StepStarted(started));
                        self.running.push((step, key, false));
                    }
                }
                Next::Undo(step) => {
                    let key = self.run.key_of(&step);
                    self.happens(Event::UndoStarted(UndoStarted { step: step.clone(), key: key.clone() }));
                    self.running.push((step, key, true));
                }
                Next::Skip(step, reason) => self.happens(Event::StepSkipped(StepSkipped { step, reason })),
                Next::Heal(step, _) => {
                    let strategy = self.chance.strategies.pop().unwrap_or(Strategy::Rollback);
                    let reason = "policy".to_owned();
                    let undo_first = strategy == Strategy::Retry && self.run.undo_first(&step);
                    self.happens(Event::Healing(Healing {
                        step,
                        strategy,
                        reason,
                        not_before: None,
                        undo_first,
                        by: None,
                    }));
                }
                Next::Alert(step, failure) => {
                    let reason = self.run.alert(&step, &failure);
                    self.happens(Event::Waiting(Waiting {
                        waiting_for: WaitingFor::Person,
                        reason: reason.clone(),
                    }));
                    let choices = self.run.choices(&step);
                    let said = self.chance.people.pop().unwrap_or(Strategy::Abort);
                    let strategy = if choices.contains(&said) { said } else { Strategy::Abort };
                    for other in [Strategy::Retry, Strategy::Skip, Strategy::Rollback, Strategy::Abort] {
                        let open = choices.contains(&other);
                        let heal =
                            Command::Heal { step: step.clone(), strategy: other, reason: String::new() };
                        assert_eq!(
                            self.run.decide(&by(), &heal, Timestamp::EPOCH).is_ok(),
                            open,
                            "{other:?}"
                        );
                        assert_eq!(reason.contains(other.as_str()), open, "{other:?}: {reason}");
                    }
                    let healed =
                        self.run.decide(&by(), &Command::Heal { step, strategy, reason }, Timestamp::EPOCH);
                    healed.unwrap().into_iter().for_each(|event| self.happens(event));
                    let resumed = self.run.decide(&by(), &Command::Resume, Timestamp::EPOCH).unwrap();
                    resumed.into_iter().for_each(|event| self.happens(event));
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
        let course = Course::of(&steps, chance).go();
        let run = &course.run;
        let Status::Ended(ending) = run.status else { unreachable!() };
        let is = |of: fn(&StepStatus) -> bool| run.steps.values().filter(|s| of(&s.status)).count();
        let ended = run.ended.as_ref().unwrap();
        let there: Vec<&String> = course.world.iter().filter(|(_, keys)| !keys.is_empty()).map(|(s, _)| s).collect();
        match ending {
            Ending::Succeeded => prop_assert_eq!(is(|s| *s == StepStatus::Succeeded), run.steps.len()),
            Ending::Partial => prop_assert!(is(|s| *s == StepStatus::Skipped) > 0),
            Ending::RolledBack => {
                prop_assert_eq!(is(|s| matches!(s, StepStatus::Succeeded | StepStatus::NotUndone(_))),
                    run.plan_steps().filter(|s| !s.effects && *run.status_of(&s.id).unwrap() == StepStatus::Succeeded).count());
                prop_assert!(there.is_empty(), "rolled back, and the effects of {there:?} are there");
            }
            Ending::Failed => prop_assert!(run.rolling_back.is_some() || there.is_empty()),
            Ending::Cancelled => {}
            Ending::Rejected => prop_assert!(false, "no gate was asked"),
        }
        let there_is = |step: &str| course.world.get(step).is_some_and(|keys| !keys.is_empty());
        // What is left is named, unless it is what was wanted, or somebody from elsewhere ended the run.
        let wanted = |step: &str| ending != Ending::Failed && run.steps[step].status == StepStatus::Succeeded;
        let from_elsewhere = ended.cause == "enough";
        for step in there.into_iter().filter(|step| !from_elsewhere && !wanted(step)) {
            prop_assert!(ended.cause.contains(&format!("`{step}`")), "{step} is left and not named: {}", ended.cause);
        }
        if ending == Ending::Failed {
            for step in run.plan_steps().filter(|s| s.reversible && there_is(&s.id)) {
                let status = &run.steps[&step.id].status;
                prop_assert!(matches!(status, StepStatus::NotUndone(_)), "{} was not undone, and nobody said so: {status:?}", step.id);
            }
        }
        prop_assert_eq!(is(|s| matches!(s, StepStatus::Running | StepStatus::Undoing(_))), 0, "all that ran was heard of");
        let begun = run.plan_steps().any(|s| s.effects && run.steps[&s.id].attempts > 0);
        prop_assert!(!begun || ended.outcome.is_some(), "what was begun counts");
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
        let again = course.log.iter().zip(1..).fold(Course::of(&steps, course.chance.clone()).run, |run, (event, seq)| {
            run.apply(event, seq, Timestamp::EPOCH)
        });
        prop_assert_eq!(&again, run);
    }

    #[test]
    fn events_read_back_from_the_bodies_they_are_written_to(steps in steps(), chance in chance()) {
        let course = Course::of(&steps, chance).go();
        let submitted = Event::Submitted(course.run.submitted.clone());
        let read_back = |event: &Event| Event::of(&entry(event)).unwrap().unwrap();
        prop_assert_eq!(read_back(&submitted), submitted);
        for event in course.log {
            prop_assert!(cku_journal::Kind::KNOWN.contains(&event.kind()));
            prop_assert_eq!(read_back(&event), event);
        }
    }
}

/// The entry of an event, its body as it is written and read again.
fn entry(event: &Event) -> cku_journal::Entry {
    let members = event.members().unwrap();
    assert!(!members.contains_key("actor") && !members.contains_key("subject"));
    let mut body = json!({"actor": "cku", "subject": "run:run-1"});
    body.as_object_mut().unwrap().extend(members);
    let written = cku_base::canonical::to_vec(&body).unwrap();
    let header = cku_journal::Header {
        tenant: "acme".parse().unwrap(),
        seq: 1,
        time: Timestamp::EPOCH,
        kind: event.kind().to_string(),
        prev: Digest::of(b""),
        body_hash: Digest::of(&written),
    };
    let body = cku_journal::Body { salt: [0; 32], value: serde_json::from_slice(&written).unwrap() };
    cku_journal::Entry { header, body: Some(body), hash: Digest::of(b"") }
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
        observed: Default::default(),
        exploration: None,
        explorable: None,
        canary: None,
        shadow: None,
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
    let fresh = run_of(&plain(&[(vec![], false)]));
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
