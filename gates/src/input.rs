//! Everything that a decision depends on.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::{
    Digest, Principal, PrincipalId, PrincipalKind, TenantPath, Timestamp,
    canonical::{self, CanonicalError, ObjectWriter},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    consent::{Approval, Vote},
    policy_diff::PolicyDiff,
    state::State,
    submission::RunSubmission,
};

/// Everything that a decision depends on: with a bundle revision it determines the decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(expecting = "an object with the members of a decision input")]
pub struct DecisionInput {
    /// The run, named by cku.
    pub run_id: String,
    /// The tenant it is for.
    pub tenant: TenantPath,
    /// The mode it is for.
    pub mode: String,
    /// The time of the decision.
    pub time: Timestamp,
    /// When the run was submitted.
    pub submitted_at: Timestamp,
    /// Who submitted it.
    pub principal: Submitter,
    /// What was submitted.
    pub submission: RunSubmission,
    /// The change of a bundle that is decided on, where it is not a run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_diff: Option<PolicyDiff>,
    /// Who submitted each piece of evidence, by the digest of its canonical document: whoever repeats
    /// the digest of another's report beneath data of their own is not taken for the other.
    #[serde(default)]
    pub evidence_by: BTreeMap<Digest, Principal>,
    /// What people decided of the run's gates, in the order of time.
    #[serde(default)]
    pub approvals: Vec<Approval>,
    /// What voters said of the run, in the order of time.
    #[serde(default)]
    pub votes: Vec<Vote>,
    /// What was so.
    pub state: State,
}

/// A principal with how it proved who it is; as a document all members stand side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SubmitterDocument", into = "SubmitterDocument")]
pub struct Submitter {
    /// Who.
    pub principal: Principal,
    /// How.
    pub authentication: Authentication,
    /// What is known of the token.
    pub token: Option<TokenClaims>,
}

#[derive(Serialize, Deserialize)]
#[serde(expecting = "a principal, an object with `kind`, `id`, `tenant` and `authentication`")]
struct SubmitterDocument {
    kind: PrincipalKind,
    id: PrincipalId,
    tenant: TenantPath,
    authentication: Authentication,
    #[serde(default)]
    token: Option<TokenClaims>,
}

impl From<SubmitterDocument> for Submitter {
    fn from(document: SubmitterDocument) -> Self {
        let SubmitterDocument { kind, id, tenant, authentication, token } = document;
        Self { principal: Principal { kind, id, tenant }, authentication, token }
    }
}

impl From<Submitter> for SubmitterDocument {
    fn from(submitter: Submitter) -> Self {
        let Submitter { principal: Principal { kind, id, tenant }, authentication, token } = submitter;
        Self { kind, id, tenant, authentication, token }
    }
}

/// How a principal proved who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    /// By a token that was verified.
    Token,
    /// Not at all: a single user on the machine where cku runs.
    Local,
}

impl Authentication {
    /// As documents write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Local => "local",
        }
    }
}

/// What is known of a token; the token itself goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object with `valid`, `issuer`, `issued_at` and `expires_at`")]
pub struct TokenClaims {
    /// Whether its signature and audience were verified.
    pub valid: bool,
    /// Who issued it.
    pub issuer: String,
    /// When.
    pub issued_at: Timestamp,
    /// Until when it holds.
    pub expires_at: Timestamp,
    /// The key that signed it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl DecisionInput {
    /// Reads an input from its JSON form; the second part names members that are not known.
    pub fn read(document: &Value) -> Result<(Self, Vec<String>), InputError> {
        read(document)
    }

    /// Binds approvals to the revision that is asked, as if they had been given under it: for asking what
    /// another revision says of an input that was decided under `decided`.
    ///
    /// One that was bound to another revision than `decided` was void. It stays so, also where the revision
    /// that is asked is by chance the one it was given under.
    pub fn rebind(&mut self, decided: Digest, asked: Digest) {
        if decided == asked {
            return;
        }
        for approval in &mut self.approvals {
            if approval.bundle_revision == decided {
                approval.bundle_revision = asked;
            } else if approval.bundle_revision == asked {
                approval.bundle_revision = decided;
            }
        }
    }

    /// What approvals and votes bind to: the submission, its author, the tenant and the mode.
    pub fn subject_digest(&self) -> Result<Digest, CanonicalError> {
        let submission = canonical::to_vec(&self.submission)?;
        let author = &self.principal.principal;
        subject_over(&submission, self.policy_diff.as_ref(), author, &self.tenant, &self.mode)
    }

    /// The subject of a run that is not decided on yet.
    pub fn subject_of(
        submission: &RunSubmission,
        author: &Principal,
        tenant: &TenantPath,
        mode: &str,
    ) -> Result<Digest, CanonicalError> {
        Self::subject_of_canonical(&canonical::to_vec(submission)?, author, tenant, mode)
    }

    /// The subject of a run whose submission is in canonical form already.
    pub fn subject_of_canonical(
        submission: &[u8],
        author: &Principal,
        tenant: &TenantPath,
        mode: &str,
    ) -> Result<Digest, CanonicalError> {
        subject_over(submission, None, author, tenant, mode)
    }

    /// The whole input in canonical form, with its digests; the evidence and the submission, which are
    /// most of it, are written once.
    pub(crate) fn canonical(&self) -> Result<CanonicalInput, CanonicalError> {
        let evidence =
            self.submission.evidence.iter().map(canonical::to_vec).collect::<Result<Vec<_>, _>>()?;
        let submission = ObjectWriter::default()
            .member("intent", &self.submission.intent)?
            .member("labels", &self.submission.labels)?
            .member("plan", &self.submission.plan)?
            .member("change", &self.submission.change)?
            .canonical("evidence", &canonical::list(&evidence))
            .finish();
        let members = ObjectWriter::default()
            .member("run_id", &self.run_id)?
            .member("tenant", &self.tenant)?
            .member("mode", &self.mode)?
            .member("time", &self.time)?
            .member("submitted_at", &self.submitted_at)?
            .member("principal", &self.principal)?
            .canonical("submission", &submission)
            .member("evidence_by", &self.evidence_by)?
            .member("approvals", &self.approvals)?
            .member("votes", &self.votes)?
            .member("state", &self.state)?;
        let members = match &self.policy_diff {
            Some(diff) => members.member("policy_diff", diff)?,
            None => members,
        };
        let bytes = members.finish();
        let input_digest = Digest::of(&bytes);
        let (author, diff) = (&self.principal.principal, self.policy_diff.as_ref());
        let subject_digest = subject_over(&submission, diff, author, &self.tenant, &self.mode)?;
        let submitter = |document: &Vec<u8>| self.evidence_by.get(&Digest::of(document)).cloned();
        let submitted_by = evidence.iter().map(submitter).collect();
        Ok(CanonicalInput { members, length: bytes.len(), input_digest, subject_digest, submitted_by })
    }

    /// The text forms of those who submitted the run or wrote its plan.
    pub fn authors(&self) -> BTreeSet<String> {
        let plan = self.submission.plan.as_ref().and_then(|p| p.author.as_ref());
        std::iter::once(&self.principal.principal).chain(plan).map(ToString::to_string).collect()
    }
}

fn subject_over(
    submission: &[u8],
    diff: Option<&PolicyDiff>,
    author: &Principal,
    tenant: &TenantPath,
    mode: &str,
) -> Result<Digest, CanonicalError> {
    let subject = ObjectWriter::default()
        .canonical("submission", submission)
        .member("author", author)?
        .member("tenant", tenant)?
        .member("mode", &mode)?;
    let subject = match diff {
        Some(diff) => subject.member("policy_diff", diff)?,
        None => subject,
    };
    Ok(Digest::of(&subject.finish()))
}

/// An input in canonical form.
#[derive(Debug)]
pub(crate) struct CanonicalInput {
    /// Its members.
    pub(crate) members: ObjectWriter,
    /// Bytes of the whole.
    pub(crate) length: usize,
    /// For replay.
    pub(crate) input_digest: Digest,
    /// What approvals and votes bind to.
    pub(crate) subject_digest: Digest,
    /// Who submitted each piece of evidence, in its order; none where nobody is known.
    pub(crate) submitted_by: Vec<Option<Principal>>,
}

/// Reads a submission from its JSON form; the second part names members that are not known.
pub fn read_submission(document: &Value) -> Result<(RunSubmission, Vec<String>), InputError> {
    read(document)
}

/// An input that is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", at(.path))]
pub struct InputError {
    /// The member, like `submission.plan.steps[0].id`; empty for the document as a whole.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

fn at(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!("`{path}`: ") }
}

/// A message quotes what was found, which may be anything.
const LONGEST: usize = 300;

/// The words of the reader without the names of Rust's types.
fn plain(message: &str) -> String {
    let message: &str = &if message.len() > LONGEST {
        message.chars().take(LONGEST).chain("…".chars()).collect()
    } else {
        message.to_owned()
    };
    if let Some(member) = message.strip_prefix("missing field ") {
        return format!("{member} is missing");
    }
    message
        .replace("expected u64", "expected an integer from 0")
        .replace("expected u32", "expected an integer from 0")
}

fn read<T: DeserializeOwned>(document: &Value) -> Result<(T, Vec<String>), InputError> {
    let mut unknown = Vec::new();
    let mut note = |path: serde_ignored::Path<'_>| unknown.push(path.to_string().replace(".?", ""));
    let mut track = serde_path_to_error::Track::new();
    let tracked = serde_path_to_error::Deserializer::new(document, &mut track);
    let read = serde_ignored::deserialize(tracked, &mut note);
    match read {
        Ok(value) => Ok((value, unknown)),
        Err(error) => {
            let error: serde_json::Error = error;
            let path = match track.path().to_string().as_str() {
                "." => String::new(),
                path => path.to_owned(),
            };
            Err(InputError { path, message: plain(&error.to_string()) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_input_is_that_of_the_whole_document() {
        let document: Value = serde_json::from_str(include_str!("../benches/input.json")).unwrap();
        let (input, unknown) = crate::simulate::read(document, Digest::of(b"bundle")).unwrap();
        assert_eq!(unknown, [""; 0]);
        let whole = input.canonical().unwrap();
        let bytes = whole.members.finish();
        assert_eq!(bytes, canonical::to_vec(&input).unwrap());
        assert_eq!(whole.input_digest, Digest::of(&bytes));
        assert_eq!(whole.subject_digest, input.subject_digest().unwrap());
        let again: DecisionInput = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(again, input);
    }

    #[test]
    fn the_subject_is_the_submission_its_author_tenant_and_mode_and_nothing_else() {
        let document: Value = serde_json::from_str(include_str!("../benches/input.json")).unwrap();
        let (input, _) = crate::simulate::read(document, Digest::of(b"bundle")).unwrap();
        let subject = |change: fn(&mut DecisionInput)| {
            let mut changed = input.clone();
            change(&mut changed);
            changed.subject_digest().unwrap() == input.subject_digest().unwrap()
        };
        assert!(subject(|i| i.approvals.clear()));
        assert!(subject(|i| i.votes.clear()));
        assert!(subject(|i| i.state.kill_switch = true));
        assert!(subject(|i| i.run_id = "another".to_owned()));
        assert!(!subject(|i| i.submission.intent.push('!')));
        assert!(!subject(|i| i.submission.evidence.clear()));
        assert!(!subject(|i| i.principal.principal.id = "x".parse().unwrap()));
        assert!(!subject(|i| i.tenant = TenantPath::root()));
        assert!(!subject(|i| i.mode.push('x')));
    }

    #[test]
    fn the_subject_of_a_policy_diff_binds_its_base_its_evidence_and_all_that_was_found() {
        let mut document: Value = serde_json::from_str(include_str!("../benches/input.json")).unwrap();
        let digest = |text: &str| Digest::of(text.as_bytes()).to_string();
        document["policy_diff"] = serde_json::json!({
            "id": digest("diff"), "bundle": {"name": "baseline", "protected": false},
            "base": digest("base"), "revision": digest("new"), "evidence": digest("evidence"),
            "learned": false, "loads": true, "tests": {"passed": 3, "failed": 0}, "direction": "tighten",
            "invariants": {"held": 2, "violated": [], "unproved": []},
            "expires_at": "2026-11-28T00:00:00Z",
        });
        let (input, unknown) = crate::simulate::read(document, Digest::of(b"bundle")).unwrap();
        assert_eq!(unknown, [""; 0]);
        let whole = input.canonical().unwrap();
        assert_eq!(whole.members.finish(), canonical::to_vec(&input).unwrap());
        assert_eq!(whole.subject_digest, input.subject_digest().unwrap());
        let changes: [fn(&mut PolicyDiff); 5] = [
            |d| d.base = Digest::of(b"x"),
            |d| d.evidence = Digest::of(b"x"),
            |d| d.direction = "neutral".to_owned(),
            |d| d.tests.failed = 1,
            |d| d.revision = Digest::of(b"x"),
        ];
        for change in changes {
            let mut changed = input.clone();
            change(changed.policy_diff.as_mut().unwrap());
            assert_ne!(changed.subject_digest().unwrap(), input.subject_digest().unwrap());
        }
    }

    #[test]
    fn an_approval_counts_for_the_revision_that_is_asked_if_it_did_for_the_recorded_one() {
        let [recorded, asked, third] = ["a", "b", "c"].map(|text| Digest::of(text.as_bytes()));
        let approval = |revision: Digest| {
            serde_json::json!({
                "approver": {"kind": "user", "id": "rhea", "tenant": "acme"}, "gate": "quality",
                "decision": "approve", "subject_digest": Digest::of(b"s"), "bundle_revision": revision,
                "time": "2026-11-20T12:00:00Z", "expires_at": "2026-11-21T12:00:00Z",
            })
        };
        let document = serde_json::json!({
            "run_id": "run-1", "tenant": "acme", "mode": "dev",
            "time": "2026-11-20T12:00:00Z", "submitted_at": "2026-11-20T11:59:00Z",
            "principal": {"kind": "user", "id": "dana", "tenant": "acme", "authentication": "local"},
            "submission": {"intent": "tidy up"},
            "approvals": [approval(recorded), approval(asked), approval(third)],
            "state": {"kill_switch": false, "role_grants": []},
        });
        let (mut input, _) = DecisionInput::read(&document).unwrap();
        let unchanged = input.clone();
        input.rebind(recorded, recorded);
        assert_eq!(input, unchanged);
        input.rebind(recorded, asked);
        let bound: Vec<Digest> = input.approvals.iter().map(|a| a.bundle_revision).collect();
        assert_eq!(bound, [asked, recorded, third]);
    }
}
