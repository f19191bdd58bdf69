//! Carrying out a run: steps, failures, undo. What is to be done comes from [`Run::next`]; here it is
//! made durable first, and done then.

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{Receiver, Sender, channel},
    thread::Scope,
    time::Duration,
};

use cku_authority::StoreError;
use cku_base::Timestamp;
use cku_engine::Worker;
use cku_journal::{ClaimError, Journal};
use cku_skills::{Act, Cancel, FailureClass, Launcher, Report, Stream, Tried, Workspace};

use crate::{
    event::{
        Ended, Ending, Event, Failure, Started, StepFinished, StepSkipped, StepStarted, UndoStarted, Undone,
        Waiting, WaitingFor,
    },
    healing,
    next::Next,
    permission,
    state::{Run, Status, StepStatus},
    store::{self, Actor},
};

/// How often the executor looks whether somebody stopped the run from elsewhere.
const LOOK: Duration = Duration::from_millis(250);

/// How a run is carried out.
pub struct Execution<'e> {
    /// Where everything is recorded.
    pub journal: &'e Journal,
    /// Where the steps work.
    pub workspace: &'e Workspace,
    /// How commands are started.
    pub launcher: &'e Launcher,
    /// The time.
    pub clock: &'e (dyn Fn() -> Timestamp + Sync),
    /// Who carries it out, in words, for others who want to.
    pub holder: &'e str,
    /// Set from outside when the process is asked to end.
    pub stop: &'e Cancel,
    /// Told what happens, after it is durable.
    pub watch: &'e (dyn Fn(Progress<'_>) + Sync),
}

/// What happens while a run is carried out.
#[derive(Debug)]
pub enum Progress<'p> {
    /// Something that is in the journal now.
    Event(&'p Run, &'p Event),
    /// Something that a step wrote.
    Output {
        /// The step.
        step: &'p str,
        /// Where to.
        stream: Stream,
        /// What.
        bytes: &'p [u8],
    },
}

/// Why a run could not be carried on with.
#[derive(Debug, thiserror::Error)]
pub enum ExecutionError {
    /// Somebody else carries it out.
    #[error("the run is being carried out by {0}; wait for it, or end that process")]
    Claimed(String),
    /// It could not be told whether anybody does.
    #[error("the run cannot be claimed: {0}")]
    Claim(String),
    /// The gates have not let it go ahead.
    #[error("the run is {0}; it can be carried out once its gates have passed")]
    NotAllowed(&'static str),
    /// It is not where and how it shall be carried out.
    #[error(
        "the run was submitted to work in `{}`{}, and this is `{}`{}; go on with it as it was submitted",
        .submitted.workspace, unconfined(.submitted), .here.workspace, unconfined(.here)
    )]
    Elsewhere {
        /// Where and how it shall be.
        submitted: Started,
        /// Where and how it would be.
        here: Started,
    },
    /// The journal did not give or take something.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn unconfined(started: &Started) -> &'static str {
    if started.confined { "" } else { ", not confined" }
}

/// What the threads of steps say.
enum Message {
    Output(String, Stream, Vec<u8>),
    Done { step: String, undo: bool, report: Box<Report> },
}

/// Carries out a run until it ends or waits.
///
/// Nobody else does meanwhile. What ran when somebody went away before is taken as interrupted.
pub fn execute(execution: &Execution<'_>, worker: &mut Worker, run: &Run) -> Result<Run, ExecutionError> {
    let claim = crate::claim(execution.journal, &run.id, execution.holder).map_err(|error| match error {
        ClaimError::Held { holder } => ExecutionError::Claimed(holder),
        other => ExecutionError::Claim(other.to_string()),
    })?;
    let run = store::load(execution.journal, &run.tenant, &run.id)?;
    if run.status != Status::Running {
        return Err(ExecutionError::NotAllowed(run.status.as_str()));
    }
    let (submitted, here) = (run.place(), execution.place());
    if submitted != here {
        return Err(ExecutionError::Elsewhere { submitted, here });
    }
    let (sender, receiver) = channel();
    let done = std::thread::scope(|scope| {
        let mut executor = Executor {
            execution,
            worker,
            scope,
            sender,
            receiver,
            running: BTreeMap::new(),
            facts: Vec::new(),
        };
        let done = executor.recover(&run).carry_out(run);
        // Whatever ended this, no step may outlive it: the scope waits for their threads.
        executor.cancel_all("the run does not go on");
        done
    });
    drop(claim);
    done
}

impl Execution<'_> {
    /// Where it is carried out, and how.
    fn place(&self) -> Started {
        let workspace = self.workspace.root().display().to_string();
        Started { workspace, confined: !self.launcher.unconfined }
    }
}

/// One step thread's effect, decided and recorded, about to begin.
struct Begin {
    step: String,
    attempt: u32,
    key: String,
    /// How the try ended that is undone; none where the step is tried.
    undoes: Option<Tried>,
}

/// A step whose thread runs.
struct Attempt {
    attempt: u32,
    cancel: Cancel,
}

struct Executor<'s, 'e: 's, 'w> {
    execution: &'e Execution<'e>,
    worker: &'w mut Worker,
    scope: &'s Scope<'s, 'e>,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    /// The steps whose threads run.
    running: BTreeMap<String, Attempt>,
    /// What happened and is not in the journal yet.
    facts: Vec<Event>,
}

impl<'s, 'e: 's> Executor<'s, 'e, '_> {
    /// Takes note of what ran when whoever carried out the run before went away.
    fn recover(&mut self, run: &Run) -> &mut Self {
        for (id, step) in &run.steps {
            if matches!(step.status, StepStatus::Running | StepStatus::Undoing(_)) {
                cku_skills::end_leftovers(&run.key_of(id));
            }
        }
        self.facts.extend(run.interrupted().into_iter().map(Event::StepFinished));
        let undoing = run.steps.iter().filter(|(_, s)| matches!(s.status, StepStatus::Undoing(_)));
        self.facts.extend(undoing.map(|(id, _)| {
            let failure = Failure {
                class: FailureClass::Interrupted,
                message: "cku went away while the step was undone".to_owned(),
                exit_code: None,
                signal: None,
            };
            Event::Undone(Undone { step: id.clone(), failure: Some(failure), report: None })
        }));
        self
    }

    fn carry_out(&mut self, mut run: Run) -> Result<Run, ExecutionError> {
        loop {
            let (events, begin) = self.look_ahead(&run)?;
            match self.record(run.clone(), events) {
                Ok(recorded) => {
                    run = recorded;
                    for begin in begin {
                        self.begin(&run, begin);
                    }
                }
                // Somebody else added to the run: what happened stays so, the rest is decided anew.
                Err(error) if error.is_conflict() => {
                    run = store::load(self.execution.journal, &run.tenant, &run.id)?
                }
                Err(error) => return Err(error.into()),
            }
            if matches!(run.status, Status::Ended(_) | Status::Waiting(_)) {
                self.cancel_all("the run has ended");
                return self.hear_the_rest(run);
            }
            if self.facts.is_empty() {
                self.wait(&run);
            }
            // Stopped from elsewhere, while steps ran.
            let row = store::status_row(self.execution.journal, &run.tenant, &run.id)?;
            if row.as_deref() == Some(Ending::Cancelled.as_str()) {
                self.cancel_all("the run was cancelled");
            }
        }
    }

    /// Takes note of how everything ended that still ran when the run had.
    fn hear_the_rest(&mut self, mut run: Run) -> Result<Run, ExecutionError> {
        while !self.running.is_empty() {
            let Ok(message) = self.receiver.recv() else { break };
            self.hear(message);
        }
        while !self.facts.is_empty() {
            match self.record(run.clone(), self.facts.clone()) {
                Ok(recorded) => run = recorded,
                Err(error) if error.is_conflict() => {
                    run = store::load(self.execution.journal, &run.tenant, &run.id)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(run)
    }

    /// All that follows from what happened, up to where something must be waited for: the events in
    /// order, and the effects that begin once they are durable.
    fn look_ahead(&mut self, run: &Run) -> Result<(Vec<Event>, Vec<Begin>), ExecutionError> {
        let now = (self.execution.clock)();
        let (mut ahead, mut events, mut begin) = (run.clone(), Vec::new(), Vec::new());
        let mut happens = |ahead: &mut Run, event: Event| {
            *ahead = ahead.clone().apply(&event, run.seq, now);
            events.push(event);
        };
        if run.workspace.is_none() {
            happens(&mut ahead, Event::Started(self.execution.place()));
        }
        for fact in self.facts.clone() {
            happens(&mut ahead, fact);
        }
        let mut stopped: Option<Waiting> = None;
        loop {
            match ahead.next(now) {
                Next::Nothing | Next::Wait(_) => break,
                Next::Heal(step, failure) => {
                    // A process that is asked to end does not decide about what it broke off itself.
                    if self.execution.stop.is_cancelled() && failure.class == FailureClass::Interrupted {
                        break;
                    }
                    let healing = healing::choose(self.worker, &ahead, &step, &failure, now);
                    happens(&mut ahead, Event::Healing(healing));
                }
                Next::Skip(step, reason) => {
                    happens(&mut ahead, Event::StepSkipped(StepSkipped { step, reason }));
                }
                Next::Start(steps) => {
                    stopped = self.stopped(run)?;
                    if stopped.is_some() {
                        break;
                    }
                    for step in steps {
                        match self.start(&ahead, &step)? {
                            (Event::StepStarted(started), key) => {
                                let attempt = started.attempt;
                                happens(&mut ahead, Event::StepStarted(started));
                                begin.push(Begin { step, attempt, key, undoes: None });
                            }
                            (denied, _) => happens(&mut ahead, denied),
                        }
                    }
                }
                Next::Undo(step) => {
                    stopped = self.stopped(run)?;
                    if stopped.is_some() {
                        break;
                    }
                    match self.start_undo(&ahead, &step)? {
                        Event::UndoStarted(undo) => {
                            let key = undo.key.clone();
                            let effect = ahead.steps.get(&step).and_then(|s| s.effect);
                            let undoes = Some(effect.map_or(Tried::Interrupted, |e| e.tried));
                            happens(&mut ahead, Event::UndoStarted(undo));
                            begin.push(Begin { step, attempt: 1, key, undoes });
                        }
                        denied => happens(&mut ahead, denied),
                    }
                }
                Next::Alert(step, failure) => {
                    let reason = ahead.alert(&step, &failure);
                    let waiting = Waiting { waiting_for: WaitingFor::Person, reason };
                    happens(&mut ahead, Event::Waiting(waiting));
                }
                Next::End(status, cause) => {
                    let ended: Ended = ahead.end(status, cause, now);
                    happens(&mut ahead, Event::Ended(ended));
                }
            }
        }
        let idle = self.running.is_empty() && begin.is_empty();
        if stopped.is_none() && ahead.status == Status::Running && self.execution.stop.is_cancelled() {
            stopped = Some(Waiting {
                waiting_for: WaitingFor::Resume,
                reason: format!("cku was asked to end; `cku run --resume {}` goes on", run.id),
            });
        }
        if let Some(waiting) = stopped.filter(|_| idle) {
            happens(&mut ahead, Event::Waiting(waiting));
        }
        Ok((events, begin))
    }

    /// Why no further step begins, if none does.
    fn stopped(&self, run: &Run) -> Result<Option<Waiting>, StoreError> {
        if self.execution.stop.is_cancelled() {
            let reason = format!("cku was asked to end; `cku run --resume {}` goes on", run.id);
            return Ok(Some(Waiting { waiting_for: WaitingFor::Resume, reason }));
        }
        let set = cku_authority::kill_switch(self.execution.journal, &run.tenant)?;
        Ok(set.map(|(tenant, set)| Waiting {
            waiting_for: WaitingFor::KillSwitch,
            reason: format!("the kill switch of {tenant} is on: {}", set.reason),
        }))
    }

    /// The start of a step, or its failure where the access policies do not allow what it does.
    fn start(&mut self, run: &Run, id: &str) -> Result<(Event, String), StoreError> {
        let attempt = run.steps.get(id).map_or(1, |s| s.attempts + 1);
        let key = run.key_of(id);
        let Some(step) = run.step(id) else {
            return Err(StoreError::Missing { what: format!("step `{id}` in the plan of {}", run.id) });
        };
        if let Some(why) = permission::denied(self.execution.journal, self.worker, run, step)? {
            let failure =
                Failure { class: FailureClass::Policy, message: why, exit_code: None, signal: None };
            let failed = StepFinished { step: id.to_owned(), attempt, failure: Some(failure), report: None };
            return Ok((Event::StepFinished(failed), key));
        }
        let skill = step.skill.clone();
        let started = StepStarted { step: id.to_owned(), skill, attempt, key: key.clone() };
        Ok((Event::StepStarted(started), key))
    }

    /// The start of a step's undo, or its failure where the access policies do not allow what it does.
    fn start_undo(&mut self, run: &Run, id: &str) -> Result<Event, StoreError> {
        let Some(step) = run.step(id) else {
            return Err(StoreError::Missing { what: format!("step `{id}` in the plan of {}", run.id) });
        };
        let step_id = id.to_owned();
        Ok(match permission::denied(self.execution.journal, self.worker, run, step)? {
            None => Event::UndoStarted(UndoStarted { step: step_id, key: run.key_of(id) }),
            Some(message) => {
                let failure = Failure { class: FailureClass::Policy, message, exit_code: None, signal: None };
                Event::Undone(Undone { step: step_id, failure: Some(failure), report: None })
            }
        })
    }

    /// Makes events durable, then tells of them.
    fn record(&mut self, run: Run, events: Vec<Event>) -> Result<Run, StoreError> {
        if events.is_empty() {
            return Ok(run);
        }
        let recorded = store::add(self.execution.journal, run, &Actor::Cku, events.clone(), Vec::new())?;
        self.facts.clear();
        for event in &events {
            (self.execution.watch)(Progress::Event(&recorded, event));
        }
        Ok(recorded)
    }

    /// Begins the effect of a step or of its undo in a thread of its own.
    fn begin(&mut self, run: &Run, begin: Begin) {
        let cancel = Cancel::default();
        self.running.insert(begin.step.clone(), Attempt { attempt: begin.attempt, cancel: cancel.clone() });
        let step = run.step(&begin.step).cloned();
        let (sender, run_id) = (self.sender.clone(), run.id.clone());
        let (workspace, launcher) = (self.execution.workspace, self.execution.launcher);
        self.scope.spawn(move || {
            let mut output = |stream, bytes: &[u8]| {
                let _ = sender.send(Message::Output(begin.step.clone(), stream, bytes.to_vec()));
            };
            let mut act = |with: &serde_json::Map<String, serde_json::Value>| {
                let Some(skill) = step.as_ref().and_then(|s| cku_skills::find(&s.skill)) else {
                    return Report::failed(cku_skills::Failure::new(
                        FailureClass::NotFound,
                        "there is no such skill",
                    ));
                };
                let act = Act {
                    run: &run_id,
                    step: &begin.step,
                    attempt: begin.attempt,
                    key: &begin.key,
                    undoes: begin.undoes,
                    with,
                    workspace,
                    cancel: &cancel,
                    launcher,
                    output: &mut output,
                };
                if begin.undoes.is_some() { skill.undo(act) } else { skill.run(act) }
            };
            let none = serde_json::Map::new();
            let with = step.as_ref().map(|s| match (&s.undo, begin.undoes.is_some()) {
                (Some(undo), true) => undo,
                _ => &s.with,
            });
            let report = catch_unwind(AssertUnwindSafe(move || act(with.unwrap_or(&none))));
            let report = report.unwrap_or_else(|_| Report::panicked());
            let done =
                Message::Done { step: begin.step, undo: begin.undoes.is_some(), report: Box::new(report) };
            let _ = sender.send(done);
        });
    }

    /// Waits until a step says something, a retry is due, or it is time to look around.
    fn wait(&mut self, run: &Run) {
        if self.execution.stop.is_cancelled() {
            self.cancel_all("cku was asked to end");
        }
        let now = (self.execution.clock)();
        let longest = match run.next(now) {
            Next::Wait(Some(due)) => Duration::from_micros(due.micros_since(now)),
            // There is something to do at once.
            next if next != Next::Wait(None) && self.running.is_empty() => return,
            _ => LOOK,
        };
        if let Ok(message) = self.receiver.recv_timeout(longest.min(LOOK)) {
            self.hear(message);
            while let Ok(message) = self.receiver.try_recv() {
                self.hear(message);
            }
        }
    }

    fn hear(&mut self, message: Message) {
        match message {
            Message::Output(step, stream, bytes) => {
                (self.execution.watch)(Progress::Output { step: &step, stream, bytes: &bytes });
            }
            Message::Done { step, undo, report } => {
                let stopped = self.execution.stop.is_cancelled();
                let attempt = self.running.remove(&step).map_or(1, |a| a.attempt);
                let failure = report.failure.as_ref().map(|failure| Failure {
                    // What was broken off because cku was asked to end is nobody's failure.
                    class: if stopped { FailureClass::Interrupted } else { failure.class },
                    message: failure.message.clone(),
                    exit_code: report.exit_code,
                    signal: report.signal,
                });
                let report = Some(*report);
                self.facts.push(if undo {
                    Event::Undone(Undone { step, failure, report })
                } else {
                    Event::StepFinished(StepFinished { step, attempt, failure, report })
                });
            }
        }
    }

    fn cancel_all(&self, why: &str) {
        for attempt in self.running.values() {
            attempt.cancel.cancel(why);
        }
    }
}
