//! Those whose outcomes are counted.

use std::collections::BTreeMap;

use cku_learner::{Loss, reliability::Counts};
use serde::{Deserialize, Serialize};

/// What sort of subject outcomes are counted of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// Skills, by their tries: a try that was broken off is nobody's outcome, and one that a policy denied
    /// never began.
    Skills,
    /// Whoever submitted runs, by how these turned out.
    Agents,
    /// Gates, by how runs turned out of which they said PASS themselves; what was overridden, explored or let
    /// through by a canary is not their word.
    Gates,
    /// Voters, by whether runs that went ahead turned out as they said: *approve* is wrong by as much of the run
    /// as failed, *reject* by as much as succeeded. *Revise* says neither, and does not count; nor does what the
    /// submitter says of the own run.
    Voters,
    /// Tenants, by how their runs turned out.
    Tenants,
}

impl SubjectKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Skills, Self::Agents, Self::Gates, Self::Voters, Self::Tenants];

    /// As commands and documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Skills => "skills",
            Self::Agents => "agents",
            Self::Gates => "gates",
            Self::Voters => "voters",
            Self::Tenants => "tenants",
        }
    }

    /// Whether gates are given what is known of such subjects.
    pub fn is_given_to_gates(self) -> bool {
        matches!(self, Self::Skills | Self::Voters)
    }
}

/// The outcomes of subjects, by kind and name: that of a skill or gate, the text form of a principal, the path
/// of a tenant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Subjects(BTreeMap<SubjectKind, BTreeMap<String, Counts>>);

impl Subjects {
    /// The subjects of a kind, by name.
    pub fn of(&self, kind: SubjectKind) -> impl Iterator<Item = (&str, &Counts)> {
        self.0.get(&kind).into_iter().flatten().map(|(name, counts)| (name.as_str(), counts))
    }

    /// What is known of one.
    pub fn get(&self, kind: SubjectKind, name: &str) -> Option<&Counts> {
        self.0.get(&kind)?.get(name)
    }

    /// Whether nothing is known of anybody.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// With the outcomes of others: of another tenant, or another part of one.
    #[must_use]
    pub fn merge(mut self, others: &Self) -> Self {
        for (kind, others) in &others.0 {
            let subjects = self.0.entry(*kind).or_default();
            for (name, counts) in others {
                let of = subjects.entry(name.clone()).or_default();
                *of = of.merge(*counts);
            }
        }
        self
    }

    /// One more outcome.
    pub(super) fn count(&mut self, kind: SubjectKind, name: &str, loss: Loss, half_life: u32) {
        let subjects = self.0.entry(kind).or_default();
        match subjects.get_mut(name) {
            Some(counts) => *counts = counts.with(loss, half_life),
            None => drop(subjects.insert(name.to_owned(), Counts::default().with(loss, half_life))),
        }
    }

    /// An outcome that was another one.
    pub(super) fn correct(&mut self, kind: SubjectKind, name: &str, (from, to): (Loss, Loss)) {
        if let Some(counts) = self.0.get_mut(&kind).and_then(|subjects| subjects.get_mut(name)) {
            *counts = counts.corrected(from, to);
        }
    }
}
