//! What people may do to a run, and when: commands become events, or are refused.

use cku_base::{Digest, Timestamp, suggest};
use cku_gates::{
    Approval, ApprovalDecision, Ballot, Decision, GateOutcome, Submitter, Verdict, Vote, VoterKind,
};
use serde_json::Value;

use crate::{
    event::{Ending, Event, Healing, Label, Resumed, Strategy},
    state::{Run, Status, StepStatus},
};

/// Something that a person, or an agent that votes, does to a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Approve or refuse a gate.
    Consent {
        /// The gate.
        gate: String,
        /// Yes or no.
        decision: ApprovalDecision,
        /// Why.
        reason: String,
        /// Until when it holds.
        expires_at: Timestamp,
        /// The subject that was looked at, where the caller says it.
        subject: Option<Digest>,
    },
    /// Vote.
    Vote {
        /// In what part.
        voter_kind: VoterKind,
        /// What is said.
        vote: Ballot,
        /// How surely.
        confidence: cku_base::BasisPoints,
    },
    /// Say what is done about the failure of a step.
    Heal {
        /// The step.
        step: String,
        /// What.
        strategy: Strategy,
        /// Why.
        reason: String,
    },
    /// Let it go on.
    Resume,
    /// End it where it stands.
    Cancel {
        /// Why.
        reason: String,
    },
    /// Say what was found out later.
    Label(Label),
}

/// Why a command is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It ended.
    #[error("the run has ended: {status}; {allowed}")]
    Ended {
        /// How.
        status: &'static str,
        /// What can still be done.
        allowed: &'static str,
    },
    /// It did not end.
    #[error("the run has not ended: it is {status}; what is found out later is said of ended runs")]
    NotEnded {
        /// Where it stands.
        status: &'static str,
    },
    /// Its steps run.
    #[error("the run is running; approvals and votes are given before its steps begin")]
    AlreadyRunning,
    /// No gate was asked.
    #[error("the gates have not been asked about this run; `cku run --resume` asks them")]
    NotDecided,
    /// There is no such gate.
    #[error("there is no gate `{gate}` in this run's sequence: {known}{hint}")]
    NoSuchGate {
        /// What was named.
        gate: String,
        /// What there is.
        known: String,
        /// What was meant, perhaps.
        hint: String,
    },
    /// The run is not what was looked at.
    #[error(
        "the run is not what you looked at: its subject is {is}, not {said}; look at it again with `cku runs show`"
    )]
    OtherSubject {
        /// What was said.
        said: Digest,
        /// What it is.
        is: Digest,
    },
    /// The same person decided the gate before.
    #[error("`{who}` has {decided} the gate `{gate}` of this run already, at {at}; nobody decides twice")]
    Twice {
        /// Who.
        who: String,
        /// The gate.
        gate: String,
        /// What they said.
        decided: &'static str,
        /// When.
        at: Timestamp,
    },
    /// It would hold until a time that has passed.
    #[error("it would hold until {0}, which is not in the future")]
    Expired(Timestamp),
    /// There is no such step.
    #[error("there is no step `{step}` in this run's plan: {known}{hint}")]
    NoSuchStep {
        /// What was named.
        step: String,
        /// What there is.
        known: String,
        /// What was meant, perhaps.
        hint: String,
    },
    /// The step waits for nobody.
    #[error("the step `{step}` waits for nobody: it is {status}")]
    NothingToHeal {
        /// Which.
        step: String,
        /// Where it stands.
        status: &'static str,
    },
    /// The step runs, or did when cku went away.
    #[error(
        "the step `{0}` waits for nobody: it is running; if `cku runs show` says that the run is interrupted, go on with `cku run --resume`"
    )]
    StillRunning(String),
    /// The policy alone asks for people.
    #[error("`{0}` is what the policy says; say retry, skip, rollback or abort")]
    NotForPeople(&'static str),
    /// It makes no sense where the step stands.
    #[error("`{said}` cannot be said of step `{step}`: {because}; say {open}")]
    NotOpen {
        /// What was said.
        said: &'static str,
        /// Of which step.
        step: String,
        /// Why not.
        because: &'static str,
        /// What can be said.
        open: String,
    },
    /// It does not wait.
    #[error("the run does not wait: it is {0}")]
    NotWaiting(&'static str),
}

impl Run {
    /// What a command comes to, or why it is refused.
    pub fn decide(&self, by: &Submitter, command: &Command, now: Timestamp) -> Result<Vec<Event>, Refusal> {
        match command {
            Command::Consent { gate, decision, reason, expires_at, subject } => {
                let binding = self.open_for_consent()?;
                self.same_subject(*subject)?;
                self.gate_of_sequence(gate)?;
                if *expires_at <= now {
                    return Err(Refusal::Expired(*expires_at));
                }
                self.not_twice(by, gate, binding, now)?;
                Ok(vec![Event::Consented(Approval {
                    approver: by.principal.clone(),
                    gate: gate.clone(),
                    decision: *decision,
                    subject_digest: self.subject_digest(),
                    bundle_revision: binding,
                    reason: reason.clone(),
                    time: now,
                    expires_at: *expires_at,
                    key: key_of(by),
                })])
            }
            Command::Vote { voter_kind, vote, confidence } => {
                self.open_for_consent()?;
                Ok(vec![Event::Voted(Vote {
                    voter: by.principal.clone(),
                    voter_kind: *voter_kind,
                    subject_digest: self.subject_digest(),
                    vote: *vote,
                    confidence: *confidence,
                    time: now,
                    key: key_of(by),
                })])
            }
            Command::Heal { step, strategy, reason } => self.decide_healing(by, step, *strategy, reason),
            Command::Resume => match self.status {
                Status::Waiting(_) => Ok(vec![Event::Resumed(Resumed { by: by.clone() })]),
                Status::Ended(_) => Err(self.has_ended("it cannot go on; submit its plan again")),
                // Whoever carried it out went away without a word.
                Status::Planned | Status::Running => Ok(vec![Event::Resumed(Resumed { by: by.clone() })]),
            },
            Command::Cancel { reason } => match self.status {
                Status::Ended(_) => Err(self.has_ended("there is nothing to cancel")),
                _ => Ok(vec![Event::Ended(self.end(Ending::Cancelled, reason.clone(), now))]),
            },
            Command::Label(label) => match self.status {
                Status::Ended(_) => Ok(vec![Event::Labelled(label.clone())]),
                status => Err(Refusal::NotEnded { status: status.as_str() }),
            },
        }
    }

    fn decide_healing(
        &self,
        by: &Submitter,
        step: &str,
        strategy: Strategy,
        reason: &str,
    ) -> Result<Vec<Event>, Refusal> {
        if matches!(self.status, Status::Ended(_)) {
            return Err(self.has_ended("there is nothing to heal"));
        }
        let Some(status) = self.status_of(step) else {
            let known: Vec<&str> = self.plan_steps().map(|s| s.id.as_str()).collect();
            let hint = hint(step, &known);
            return Err(Refusal::NoSuchStep { step: step.to_owned(), known: known.join(", "), hint });
        };
        if strategy == Strategy::Alert {
            return Err(Refusal::NotForPeople("alert"));
        }
        let choices = self.choices(step);
        if choices.is_empty() && matches!(status, StepStatus::Running | StepStatus::Undoing(_)) {
            return Err(Refusal::StillRunning(step.to_owned()));
        }
        if choices.is_empty() {
            return Err(Refusal::NothingToHeal { step: step.to_owned(), status: status.as_str() });
        }
        if !choices.contains(&strategy) {
            return Err(Refusal::NotOpen {
                said: strategy.as_str(),
                step: step.to_owned(),
                because: match status {
                    StepStatus::UndoFailed(_) => "its undo failed",
                    _ => "the run is being rolled back",
                },
                open: choices.iter().map(|c| c.as_str()).collect::<Vec<_>>().join(", "),
            });
        }
        // A person's retry is a new effect, under a new key: what there may be of the last goes first.
        let undo_first = strategy == Strategy::Retry && self.may_be_undone(step);
        let (step, reason, by) = (step.to_owned(), reason.to_owned(), Some(by.clone()));
        Ok(vec![Event::Healing(Healing { step, strategy, reason, not_before: None, undo_first, by })])
    }

    /// Refuses approvals and votes that nothing would read; gives the policies they bind to.
    fn open_for_consent(&self) -> Result<Digest, Refusal> {
        match self.status {
            Status::Ended(_) => return Err(self.has_ended("there is nothing to decide")),
            Status::Running => return Err(Refusal::AlreadyRunning),
            Status::Planned | Status::Waiting(_) if self.workspace.is_some() => {
                return Err(Refusal::AlreadyRunning);
            }
            Status::Planned | Status::Waiting(_) => {}
        }
        self.decided.as_ref().map(|d| d.bundle_revision).ok_or(Refusal::NotDecided)
    }

    fn same_subject(&self, said: Option<Digest>) -> Result<(), Refusal> {
        match said {
            Some(said) if said != self.subject_digest() => {
                Err(Refusal::OtherSubject { said, is: self.subject_digest() })
            }
            _ => Ok(()),
        }
    }

    fn gate_of_sequence(&self, gate: &str) -> Result<(), Refusal> {
        let gates = self.decided.as_ref().and_then(|d| d.decision.get("gates")).and_then(Value::as_array);
        let known: Vec<&str> =
            gates.into_iter().flatten().filter_map(|g| g.get("gate").and_then(Value::as_str)).collect();
        if known.contains(&gate) {
            return Ok(());
        }
        let hint = hint(gate, &known);
        Err(Refusal::NoSuchGate { gate: crate::problem::shown(gate), known: known.join(", "), hint })
    }

    fn not_twice(&self, by: &Submitter, gate: &str, revision: Digest, now: Timestamp) -> Result<(), Refusal> {
        let who = &by.principal;
        // What another key said in their name may not be theirs; they count once all the same.
        let same = |a: &&Approval| {
            (a.approver.kind, &a.approver.id, &a.key) == (who.kind, &who.id, &key_of(by))
                && a.gate == gate
                && a.subject_digest == self.subject_digest()
                && a.bundle_revision == revision
                && a.expires_at > now
        };
        match self.approvals.iter().find(same) {
            None => Ok(()),
            Some(first) => Err(Refusal::Twice {
                who: who.to_string(),
                gate: gate.to_owned(),
                decided: match first.decision {
                    ApprovalDecision::Approve => "approved",
                    ApprovalDecision::Refuse => "refused",
                },
                at: first.time,
            }),
        }
    }

    fn has_ended(&self, allowed: &'static str) -> Refusal {
        Refusal::Ended { status: self.status.as_str(), allowed }
    }
}

impl StepStatus {
    /// As it is shown.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed(_) | Self::GivenUp(_) | Self::Alerted(_) => "failed",
            Self::ToUndo(_) | Self::Undoing(_) => "undoing",
            Self::UndoFailed(_) | Self::NotUndone(_) => "not undone",
            Self::Retrying(_) => "retrying",
            Self::Skipped => "skipped",
            Self::Undone => "undone",
        }
    }
}

/// The key that signed the token of whoever acts.
fn key_of(by: &Submitter) -> Option<String> {
    by.token.as_ref().and_then(|token| token.key.clone())
}

/// The gates of a decision that hold a run up.
pub fn holding(decision: &Decision) -> impl Iterator<Item = &GateOutcome> {
    decision.gates.iter().filter(|g| g.effective.is_some_and(|v| v != Verdict::Pass))
}

fn hint(text: &str, known: &[&str]) -> String {
    suggest(text, known.iter().copied()).map_or_else(String::new, |n| format!("; did you mean `{n}`?"))
}
