//! What happens to a policy diff, as its entries say it.

use cku_authority::{Modes, Purpose, Stage, UnreadableEntry, body};
use cku_base::{Digest, Timestamp};
use cku_gates::{Approval, Submitter, Verdict};
use cku_journal::{Entry, Kind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::prove::Direction;

/// The gate of change control that people approve.
pub(super) const GATE: &str = "approval";

/// The name under which the learner acts.
const LEARNER: &str = "learner";

/// Whether this is the learner's service account, in whatever tenant.
pub(super) fn is_learner(by: &Submitter) -> bool {
    let id = by.principal.id.to_string();
    by.principal.kind == cku_base::PrincipalKind::ServiceAccount
        && (id == LEARNER || id.starts_with(&format!("{LEARNER}@")))
}

/// A change was proposed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposed {
    /// One sentence that says why.
    pub title: String,
    /// What the bundle decides over.
    pub purpose: Purpose,
    /// Where it is to decide.
    #[serde(default, skip_serializing_if = "Modes::is_all")]
    pub modes: Modes,
    /// The bundle's name.
    pub bundle: String,
    /// The revision it applies to.
    pub base: Digest,
    /// The revision it comes to.
    pub revision: Digest,
    /// The blob that holds the files of the new revision, tests included.
    pub files: Digest,
    /// Who proposed it.
    pub author: Submitter,
    /// When.
    pub proposed_at: Timestamp,
    /// Until when it can be approved.
    pub expires_at: Timestamp,
    /// Where the files come from, such as a git range.
    #[serde(default)]
    pub origin: String,
}

/// All that is to be known about it was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// The digest of the evidence, and the blob that holds it.
    pub evidence: Digest,
    /// The direction of the whole.
    pub direction: Direction,
    /// Tests of the new revision that failed.
    pub tests_failed: u64,
    /// Bounds that are violated.
    pub violated: Vec<String>,
}

/// Somebody approved or refused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consented {
    /// What they said, bound to the diff, its evidence and its base.
    pub approval: Approval,
}

/// Change control decided over it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What it said.
    pub verdict: Verdict,
    /// Under which revision of change control.
    pub bundle_revision: Digest,
    /// Over which evidence.
    pub evidence: Digest,
    /// The digest of the input, and the blob that holds it.
    pub input: Digest,
    /// The whole decision.
    pub decision: Value,
}

/// It is tried from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// How; never `active`, which is an end.
    pub stage: Stage,
    /// Since when.
    pub since: Timestamp,
}

/// It came to an end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// Which.
    pub ending: Ending,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// How a diff can end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Its revision became the active one.
    Activated,
    /// People or policies said no.
    Refused,
    /// Its author, or an administrator, took it away.
    Withdrawn,
    /// Nobody said enough in time.
    Expired,
    /// Its base is no longer active.
    Stale,
    /// It was active, and the one before is active again.
    RolledBack,
}

impl Ending {
    /// As people read it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activated => "active",
            Self::Refused => "refused",
            Self::Withdrawn => "withdrawn",
            Self::Expired => "expired",
            Self::Stale => "stale",
            Self::RolledBack => "rolled back",
        }
    }
}

/// What happened to a diff.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is documented where it is defined")]
pub enum Event {
    Proposed(Box<Proposed>),
    Checked(Checked),
    Consented(Consented),
    Decided(Decided),
    Staged(Staged),
    Ended(Ended),
}

impl Event {
    /// The kind of its entry.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Proposed(_) => Kind::DiffProposed,
            Self::Checked(_) => Kind::DiffChecked,
            Self::Consented(_) => Kind::DiffConsented,
            Self::Decided(_) => Kind::DiffDecided,
            Self::Staged(_) => Kind::DiffStaged,
            Self::Ended(_) => Kind::DiffEnded,
        }
    }

    /// The members of its entry's body.
    pub(super) fn members(&self) -> Result<Map<String, Value>, serde_json::Error> {
        let value = match self {
            Self::Proposed(event) => serde_json::to_value(event),
            Self::Checked(event) => serde_json::to_value(event),
            Self::Consented(event) => serde_json::to_value(event),
            Self::Decided(event) => serde_json::to_value(event),
            Self::Staged(event) => serde_json::to_value(event),
            Self::Ended(event) => serde_json::to_value(event),
        }?;
        Ok(match value {
            Value::Object(members) => members,
            _ => Map::new(),
        })
    }

    /// Reads it from an entry; none for entries of other kinds.
    pub fn of(entry: &Entry) -> Result<Option<Self>, UnreadableEntry> {
        Ok(Some(match entry.kind() {
            Kind::DiffProposed => Self::Proposed(Box::new(body(entry)?)),
            Kind::DiffChecked => Self::Checked(body(entry)?),
            Kind::DiffConsented => Self::Consented(body(entry)?),
            Kind::DiffDecided => Self::Decided(body(entry)?),
            Kind::DiffStaged => Self::Staged(body(entry)?),
            Kind::DiffEnded => Self::Ended(body(entry)?),
            _ => return Ok(None),
        }))
    }
}
