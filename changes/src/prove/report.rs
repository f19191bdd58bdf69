//! What a comparison found, as it is shown and stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Direction;

/// In which direction one bundle differs from another, with the reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// What changed, in a fixed order; equal parts are left out.
    pub parts: Vec<Part>,
    /// The join of the parts that bear on each mode.
    pub modes: BTreeMap<String, Direction>,
    /// The join of all parts.
    pub whole: Direction,
}

/// One thing that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The thing.
    pub what: What,
    /// Its direction.
    pub direction: Direction,
    /// From what the direction follows.
    pub checks: Vec<Check>,
}

/// A thing that can change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// The rules of a gate in a mode.
    Gate {
        /// The gate.
        gate: String,
        /// The mode.
        mode: String,
    },
    /// The facts that the rules of a gate speak about, or how it decides.
    Facts {
        /// The gate.
        gate: String,
    },
    /// Who may do what.
    Access {
        /// The action.
        action: String,
    },
    /// The schema of the access policies.
    AccessSchema,
    /// The sequence of a mode.
    Sequence {
        /// The mode.
        mode: String,
    },
    /// The Rego that decisions can reach.
    Rego {
        /// The module.
        file: String,
    },
    /// Data that decisions can reach.
    Data {
        /// The path, like `data.cku.settings`.
        path: String,
    },
    /// Policies over questions of other systems, their schema, and what is known of subjects and resources.
    Authzen,
    /// `bundle.yaml`.
    Manifest,
}

impl What {
    /// The mode it bears on; none for all.
    pub fn mode(&self) -> Option<&str> {
        match self {
            Self::Gate { mode, .. } | Self::Sequence { mode } => Some(mode),
            _ => None,
        }
    }
}

impl std::fmt::Display for What {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gate { gate, mode } => write!(f, "gate {gate} in {mode}"),
            Self::Facts { gate } => write!(f, "facts of gate {gate}"),
            Self::Access { action } => write!(f, "access {action}"),
            Self::AccessSchema => f.write_str("access schema"),
            Self::Sequence { mode } => write!(f, "sequence of {mode}"),
            Self::Rego { file } => write!(f, "Rego {file}"),
            Self::Data { path } => f.write_str(path),
            Self::Authzen => f.write_str("authzen"),
            Self::Manifest => f.write_str("bundle.yaml"),
        }
    }
}

/// A statement and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The statement.
    pub statement: String,
    /// What is known of it.
    pub proof: Proof,
}

/// What is known of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// It holds for every input.
    Proved {
        /// Who proved it.
        solver: String,
        /// In how many milliseconds; 0 for what was proved before.
        ms: u64,
    },
    /// It is read off the text.
    Structural,
    /// It does not hold.
    Refuted {
        /// For which input not.
        counterexample: Counterexample,
    },
    /// Nobody knows.
    Unproved {
        /// Why not.
        why: String,
    },
}

/// An input that shows that a statement does not hold; both sides were evaluated on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterexample {
    /// What happens, in a sentence.
    pub sentence: String,
    /// The facts or attributes of the input, as they are shown.
    pub input: BTreeMap<String, String>,
    /// The policies that decide on the side that says no.
    pub policies: Vec<String>,
}
