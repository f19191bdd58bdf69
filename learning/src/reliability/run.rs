//! A run as far as it was read, and what its outcome says of whom.

use std::collections::BTreeMap;

use cku_base::TenantPath;
use cku_gates::{Ballot, Verdict, Vote};
use cku_learner::Loss;
use cku_runs::{Decided, Event, Submitted};
use cku_skills::FailureClass;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::subjects::SubjectKind;
use crate::intake::outcome;

/// A run as far as it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RunSeen {
    pub(super) mode: String,
    author: String,
    /// The skills of tries whose end was not heard of, by step.
    tries: BTreeMap<String, String>,
    /// The last vote of each voter before it went ahead.
    votes: BTreeMap<String, Ballot>,
    /// The gates that said PASS when it went ahead; none before.
    passed: Option<Vec<String>>,
    ended: bool,
    /// How it ended, where that is an outcome.
    loss: Option<Loss>,
    /// What was found out later said that it was a failure.
    refuted: bool,
}

/// What happened to a run, for those whose outcomes are counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Nothing.
    Nothing,
    /// A try of a skill ended.
    Tried { skill: String, class: Option<&'static str> },
    /// It ended.
    Ended,
}

impl RunSeen {
    pub(super) fn new(submitted: &Submitted) -> Self {
        Self {
            mode: submitted.mode.clone(),
            author: submitted.principal.principal.to_string(),
            tries: BTreeMap::new(),
            votes: BTreeMap::new(),
            passed: None,
            ended: false,
            loss: None,
            refuted: false,
        }
    }

    /// A run by its events, in order; none if they don't say who submitted it. As where they are taken in one
    /// after another, nothing is submitted twice before it ended.
    pub(super) fn of<'e>(events: impl IntoIterator<Item = &'e Event>, partial: Loss) -> Option<Self> {
        let mut run: Option<Self> = None;
        for event in events {
            match (&mut run, event) {
                (None, Event::Submitted(submitted)) => run = Some(Self::new(submitted)),
                (Some(ended), Event::Submitted(submitted)) if ended.ended => *ended = Self::new(submitted),
                (Some(run), event) => drop(run.tell(event, partial)),
                (None, _) => {}
            }
        }
        run
    }

    /// Whether it ended, as far as it was read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes in what happened to it; a partial outcome weighs `partial`.
    pub(super) fn tell(&mut self, event: &Event, partial: Loss) -> Told {
        match event {
            Event::Labelled(label) => self.refuted |= label.counts(),
            _ if self.ended => {}
            Event::Decided(decided) if self.passed.is_none() && decided.verdict == Verdict::Pass => {
                self.passed = Some(gates_that_passed(decided));
            }
            // What is said while it runs is not what it went ahead on.
            Event::Voted(vote) if self.passed.is_none() => self.vote(vote),
            Event::StepStarted(started) => {
                self.tries.insert(started.step.clone(), started.skill.clone());
            }
            Event::StepFinished(finished) => {
                // Denied by a policy, it never began.
                let Some(skill) = self.tries.remove(&finished.step) else { return Told::Nothing };
                let class = finished.failure.as_ref().map(|failure| failure.class);
                if class == Some(FailureClass::Interrupted) {
                    return Told::Nothing;
                }
                return Told::Tried { skill, class: class.map(FailureClass::as_str) };
            }
            Event::Ended(ended) => {
                self.ended = true;
                self.loss = outcome(ended).map(|outcome| outcome.loss(partial));
                return Told::Ended;
            }
            _ => {}
        }
        Told::Nothing
    }

    fn vote(&mut self, vote: &Vote) {
        let voter = vote.voter.to_string();
        // Nobody earns a good name by the own runs.
        if voter != self.author {
            self.votes.insert(voter, vote.vote);
        }
    }

    /// How badly it turned out; none where it did not go ahead, or nobody can tell.
    fn turned_out(&self) -> Option<Loss> {
        self.passed.as_ref()?;
        if self.refuted { Some(Loss::FULL) } else { self.loss }
    }

    /// What its outcome says of whom: kind, name and loss. In the same order, whatever the outcome.
    pub(super) fn says<'r>(&'r self, tenant: &'r TenantPath) -> Vec<(SubjectKind, &'r str, Loss)> {
        let Some(loss) = self.turned_out() else { return Vec::new() };
        let gates = self.passed.iter().flatten().map(|gate| (SubjectKind::Gates, gate.as_str(), loss));
        let voters = self.votes.iter().filter_map(|(voter, ballot)| {
            let wrong = match ballot {
                Ballot::Approve => loss,
                Ballot::Reject => loss.opposite(),
                Ballot::Revise => return None,
            };
            Some((SubjectKind::Voters, voter.as_str(), wrong))
        });
        [(SubjectKind::Agents, self.author.as_str(), loss), (SubjectKind::Tenants, tenant.as_str(), loss)]
            .into_iter()
            .chain(gates)
            .chain(voters)
            .collect()
    }
}

/// The gates whose own verdict was PASS, in any enforcement; none where the policies are only tried.
fn gates_that_passed(decided: &Decided) -> Vec<String> {
    if decided.canary.is_some() {
        return Vec::new();
    }
    let gates = decided.decision.get("gates").and_then(Value::as_array).into_iter().flatten();
    let passed =
        gates.filter(|gate| gate.get("verdict").and_then(Value::as_str) == Some(Verdict::Pass.as_str()));
    passed.filter_map(|gate| gate.get("gate")?.as_str().map(str::to_owned)).collect()
}
