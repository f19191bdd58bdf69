//! Proposing a change of a bundle.

use std::collections::BTreeMap;

use cku_authority::{
    AccessError, BundleError, Control, Modes, Purpose, StoreError, allowed, genesis, load_bundle, rollout,
};
use cku_base::{Digest, TenantPath, Timestamp, canonical};
use cku_engine::{Bundle, Worker, access::Resource};
use cku_gates::{Authentication, Submitter};
use cku_journal::Journal;
use serde_json::Value;

use super::{
    event::{Event, Proposed, is_learner},
    state::Diff,
    store,
};

/// A change that somebody wants.
#[derive(Debug, Clone)]
pub struct Proposal<'p> {
    /// One sentence that says why.
    pub title: String,
    /// What the bundle decides over.
    pub purpose: Purpose,
    /// Where it is to decide.
    pub modes: Modes,
    /// The bundle as it would be.
    pub bundle: &'p Bundle,
    /// The revision that whoever proposes was looking at; the active one without it.
    pub base: Option<Digest>,
    /// Who.
    pub by: Submitter,
    /// When.
    pub time: Timestamp,
    /// Until when it can be approved.
    pub expires_at: Timestamp,
    /// Where the files come from.
    pub origin: String,
}

/// Why nothing was proposed.
#[derive(Debug, thiserror::Error)]
pub enum ProposeError {
    /// Files say what is active.
    #[error(
        "the journal's control is `files`: what its directory holds is active; `cku init --control managed` makes a journal in which changes are proposed"
    )]
    Files,
    /// Nothing decides over changes.
    #[error("the journal has no active bundle for {0}; `cku init --control managed` sets one")]
    NoBundle(&'static str),
    /// It takes a token.
    #[error("this takes a token: who proposes a change cannot approve it")]
    TakesToken,
    /// Nothing changes.
    #[error("nothing changes: {0} is the active revision already; tests are no part of it")]
    Nothing(Digest),
    /// It applies to something else.
    #[error(
        "the diff applies to {base}, and {active} is active; take the change onto the active revision and propose it again"
    )]
    OtherBase {
        /// What it applies to.
        base: Digest,
        /// What is active.
        active: Digest,
    },
    /// It is another bundle.
    #[error(
        "the bundle's name is `{given}`, and the active one is `{active}`; a diff does not rename a bundle"
    )]
    OtherName {
        /// The name of the one that was given.
        given: String,
        /// The name of the active one.
        active: String,
    },
    /// Several revisions are active where it is to decide.
    #[error(
        "several revisions are active in {0}, and a diff applies to one; name modes in which one is active with --mode"
    )]
    SeveralBases(Modes),
    /// A mode that the bundle does not have.
    #[error("the bundle has no mode `{mode}`: {known}{hint}")]
    NoSuchMode {
        /// What was named.
        mode: String,
        /// What there is.
        known: String,
        /// What was meant, perhaps.
        hint: String,
    },
    /// What decides over changes decides in all modes.
    #[error("what decides over changes changes in all modes at once; leave --mode away")]
    AllModes,
    /// It could be approved for too long.
    #[error("it could be approved until {0}; what is found out about a diff holds for 30 days at most")]
    TooLong(Timestamp),
    /// It says nothing.
    #[error("the title is empty; say in one sentence why the change is wanted")]
    NoTitle,
    /// The learner may not touch what decides over it.
    #[error("the learner proposes no change of the bundle that decides over changes")]
    Learner,
    /// The learner changes values of thresholds, and nothing else.
    #[error(
        "the learner proposes values of thresholds that may be learned, within their ranges, and nothing else"
    )]
    LearnerOther,
    /// It may not be proposed.
    #[error(transparent)]
    Access(#[from] AccessError),
}

impl From<StoreError> for ProposeError {
    fn from(error: StoreError) -> Self {
        Self::Access(error.into())
    }
}

/// How long a diff can be approved at most.
const LONGEST: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3_600);

/// Puts a diff into the journal; nothing is found out about it yet.
///
/// `worker` asks the active bundle of change control whether this may be proposed.
pub fn propose(
    journal: &Journal,
    worker: &mut Worker,
    proposal: &Proposal<'_>,
) -> Result<Diff, ProposeError> {
    let Proposal { title, purpose, modes, bundle, base, by, time, expires_at, origin } = proposal;
    let control = genesis(journal)?.map(|genesis| genesis.control);
    if control != Some(Control::Managed) {
        return Err(ProposeError::Files);
    }
    if by.authentication != Authentication::Token {
        return Err(ProposeError::TakesToken);
    }
    if title.trim().is_empty() {
        return Err(ProposeError::NoTitle);
    }
    if time.after(LONGEST).is_some_and(|latest| *expires_at > latest) {
        return Err(ProposeError::TooLong(*expires_at));
    }
    let rollout = rollout(journal, *purpose)?;
    let active = rollout.active.first().ok_or(ProposeError::NoBundle(purpose.as_str()))?.activated.clone();
    can_be_of(modes, *purpose, bundle)?;
    if *purpose == Purpose::ChangeControl && is_learner(by) {
        return Err(ProposeError::Learner);
    }
    if bundle.manifest().name != active.name {
        let given = bundle.manifest().name.clone();
        return Err(ProposeError::OtherName { given, active: active.name });
    }
    let active_revision = rollout.only(modes).ok_or_else(|| ProposeError::SeveralBases(modes.clone()))?;
    let base = base.unwrap_or(active_revision);
    if base != active_revision {
        return Err(ProposeError::OtherBase { base, active: active_revision });
    }
    if bundle.revision() == active_revision {
        return Err(ProposeError::Nothing(active_revision));
    }
    if is_learner(by) {
        let active = load_bundle(journal, active_revision).map_err(|error| match error {
            BundleError::Store(error) => error,
            error => StoreError::Missing { what: error.to_string() },
        })?;
        if !super::thresholds::only_learnable(&active, bundle) {
            return Err(ProposeError::LearnerOther);
        }
    }
    let root = TenantPath::root();
    let authors = std::collections::BTreeSet::from([by.principal.to_string()]);
    let resource = Resource::policy_diff(&root, &authors);
    let mode = super::gate::mode_of(worker.bundle(), modes);
    allowed(journal, worker, by, ("policy:propose", &resource), (&mode, None))?;
    let bytes = files_of(bundle).map_err(StoreError::from)?;
    let proposed = Proposed {
        title: title.trim().to_owned(),
        purpose: *purpose,
        modes: modes.clone(),
        bundle: active.name,
        base,
        revision: bundle.revision(),
        files: Digest::of(&bytes),
        author: by.clone(),
        proposed_at: *time,
        expires_at: *expires_at,
        origin: origin.clone(),
    };
    let id = Digest::of_canonical(&proposed).map_err(StoreError::from)?;
    let diff = Diff::new(id, proposed.clone(), 0);
    Ok(store::add(journal, diff, by, &[Event::Proposed(Box::new(proposed))], vec![bytes])?)
}

/// Refuses modes that nothing decides in.
fn can_be_of(modes: &Modes, purpose: Purpose, bundle: &Bundle) -> Result<(), ProposeError> {
    if purpose == Purpose::ChangeControl && !modes.is_all() {
        return Err(ProposeError::AllModes);
    }
    let known = &bundle.manifest().modes;
    match modes.names().find(|mode| !known.iter().any(|known| known == mode)) {
        None => Ok(()),
        Some(mode) => {
            let hint = cku_base::suggest(mode, known.iter().map(String::as_str));
            Err(ProposeError::NoSuchMode {
                mode: mode.chars().take(80).flat_map(char::escape_debug).collect(),
                known: known.join(", "),
                hint: hint.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?")),
            })
        }
    }
}

/// The files of a bundle, with its tests, as one document.
fn files_of(bundle: &Bundle) -> Result<Vec<u8>, canonical::CanonicalError> {
    let files = bundle.sources().files().iter();
    let files: BTreeMap<&str, Value> = files.map(|f| (f.path.as_str(), Value::from(&*f.text))).collect();
    canonical::to_vec(&files)
}
