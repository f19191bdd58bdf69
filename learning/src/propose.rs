//! A policy diff of what was raised.

use std::collections::BTreeMap;

use cku_authority::{BundleError, Modes, Purpose, StoreError, load_bundle, rollout};
use cku_base::{Digest, PrincipalKind, TenantPath, Timestamp};
use cku_changes::diff::{self, Diff, Proposal, ProposeError};
use cku_engine::{Bundle, Sources, Worker};
use cku_gates::Submitter;
use cku_journal::{Journal, Kind};
use cku_lang::{EditError, GateBody, ThresholdValue, Type, add_threshold_value, set_threshold};
use cku_learner::Direction;

use crate::{
    evidence,
    following::FollowError,
    notes::{self, LearnerProposed},
    scope::Raised,
};

/// How long a diff of the learner can be approved.
const APPROVABLE: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 3_600);

/// Why no policy diff was made of what was raised.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// The bundle that decides cannot be loaded.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// The threshold is not where it was.
    #[error("the threshold `{0}` is not in the bundle that decides in `{1}` any more")]
    Gone(String, String),
    /// Its value was changed meanwhile.
    #[error("`{0}` is {1} now, and was {2} when this was raised")]
    Moved(String, i64, i64),
    /// Somebody else's name is not the learner's.
    #[error(
        "`{0}` is not the learner's account: what the learner proposes is proposed by the service account `learner`"
    )]
    NotTheLearner(String),
    /// Its file could not be changed.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// The bundle does not load with it.
    #[error("the bundle does not load with the change: {0}")]
    Unloadable(String),
    /// Change control refused it.
    #[error(transparent)]
    Refused(#[from] ProposeError),
    /// The entries do not follow each other.
    #[error(transparent)]
    Broken(FollowError),
    /// The journal did not give or take something.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<FollowError> for ProposalError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Store(error) => Self::Store(error),
            FollowError::Bundle(error) => Self::Bundle(error),
            broken @ FollowError::Broken { .. } => Self::Broken(broken),
        }
    }
}

/// A policy diff that the learner proposed.
#[derive(Debug)]
pub struct Proposed {
    /// The diff.
    pub diff: Diff,
    /// The digest of its evidence.
    pub evidence: Digest,
}

/// Makes a policy diff of what was raised, in the name of the learner's account, with its evidence in the
/// tenant's chain. `worker` asks the bundle of change control.
///
/// What was proposed already is not proposed again, whatever came between.
pub fn propose(
    journal: &Journal,
    worker: &mut Worker,
    tenant: &TenantPath,
    raised: &Raised,
    (by, now): (&Submitter, Timestamp),
) -> Result<Proposed, ProposalError> {
    let who = &by.principal;
    let name = who.id.as_str();
    if who.kind != PrincipalKind::ServiceAccount || (name != "learner" && !name.starts_with("learner@")) {
        return Err(ProposalError::NotTheLearner(who.to_string()));
    }
    let evidence = raised.evidence.digest().map_err(StoreError::from)?;
    let origin = format!("learner: evidence {evidence}");
    let diff = match proposed_before(journal, &origin)? {
        Some(diff) => diff,
        None => {
            let (bundle, ty) = changed(journal, raised)?;
            let proposal = Proposal {
                title: title(tenant, raised, ty),
                purpose: Purpose::Gates,
                modes: Modes::of([raised.mode.as_str()]),
                bundle: &bundle,
                base: None,
                by: by.clone(),
                time: now,
                expires_at: now.after(APPROVABLE).unwrap_or(now),
                origin,
            };
            diff::propose(journal, worker, &proposal)?
        }
    };
    let details = evidence::details(journal, tenant, raised)?;
    let details = details.map(|details| cku_base::canonical::to_vec(&details)).transpose();
    let details = details.map_err(StoreError::from)?;
    let (mode, threshold) = (raised.mode.clone(), raised.threshold.clone());
    let of_details = details.as_ref().map(|bytes| Digest::of(bytes));
    let noted = LearnerProposed { mode, threshold, diff: diff.id, evidence, details: of_details };
    let bytes = raised.evidence.bytes().map_err(StoreError::from)?;
    let blobs = [bytes].into_iter().chain(details).map(|bytes| (tenant.clone(), bytes)).collect();
    notes::write(journal, tenant, Kind::LearnerProposed, by, &noted, blobs)?;
    Ok(Proposed { diff, evidence })
}

/// The diff that was made of the same evidence, by somebody who was cut off before it was noted.
fn proposed_before(journal: &Journal, origin: &str) -> Result<Option<Diff>, StoreError> {
    for (id, _) in diff::list(journal)? {
        let diff = diff::load(journal, &id)?;
        if diff.proposed.origin == origin {
            return Ok(Some(diff));
        }
    }
    Ok(None)
}

fn title(tenant: &TenantPath, raised: &Raised, ty: Type) -> String {
    let evidence = &raised.evidence;
    let verb = match (evidence.expiry, evidence.direction) {
        (true, _) => "End the tightening of",
        (false, Direction::Tighten) if evidence.takes_back => "Take back the loosening of",
        (false, Direction::Tighten) => "Tighten",
        (false, Direction::Loosen) => "Loosen",
    };
    format!(
        "{verb} {} in {} from {} to {}, by outcomes of {tenant}",
        raised.threshold,
        raised.mode,
        ty.format(evidence.from),
        ty.format(evidence.to)
    )
}

/// The bundle that decides in the mode, with the one value changed; and what the value is.
fn changed(journal: &Journal, raised: &Raised) -> Result<(Bundle, Type), ProposalError> {
    let gone = || ProposalError::Gone(raised.threshold.clone(), raised.mode.clone());
    let rollout = rollout(journal, Purpose::Gates)?;
    let active = rollout.in_mode(&raised.mode).ok_or(BundleError::NoGenesis)?;
    let bundle = load_bundle(journal, active.activated.revision)?;
    let scope = &raised.evidence.scope;
    let gate = bundle.gate(&scope.gate).ok_or_else(gone)?;
    let GateBody::Rules(rules) = &gate.body else { return Err(gone()) };
    let threshold =
        rules.thresholds.iter().find(|t| t.name == scope.threshold && t.learn).ok_or_else(gone)?;
    let (is, was) = (threshold.value(&raised.mode), raised.evidence.from);
    if is != was {
        return Err(ProposalError::Moved(raised.threshold.clone(), is, was));
    }
    let path = &gate.place.file;
    let text = bundle.sources().text(path).ok_or_else(gone)?;
    let to = raised.evidence.to;
    let mode = raised.mode.as_str();
    let text = match threshold.by_mode.contains_key(mode) {
        true => {
            let which = ThresholdValue { gate: &gate.name, threshold: &threshold.name, mode: Some(mode) };
            set_threshold(text, which, to)?
        }
        false => add_threshold_value(text, &gate.name, &threshold.name, mode, to)?,
    };
    let files = bundle.sources().files().iter();
    let mut files: BTreeMap<String, String> =
        files.map(|file| (file.path.clone(), file.text.to_string())).collect();
    files.insert(path.clone(), text);
    let changed = Bundle::from_sources(Sources::from_files(files)).map_err(|error| {
        let told: Vec<String> = error.diagnostics.iter().map(|d| d.message.clone()).collect();
        ProposalError::Unloadable(told.join("; "))
    })?;
    Ok((changed, threshold.ty))
}
