//! Bundles in the journal: their bytes are kept, so that every decision can be looked at again under
//! the policies that made it, and acts of people are judged by the bundle that is active.

use std::{collections::BTreeMap, sync::Arc};

use cku_base::{Digest, TenantPath, Timestamp, canonical};
use cku_engine::{Bundle, Sources};
use cku_journal::{Command, Journal, Kind};
use serde_json::Value;

use crate::{
    office::{BundleActivated, Control, Genesis, Modes, Purpose, Stage},
    rollout::{Placed, Rollout},
    rows::{BUNDLES, GENESIS, rollout_key},
    store::{self, StoreError},
};

/// The subject of all activations: one stream, so that of two at once one happens.
pub const ACTIVATIONS: &str = "bundle";

/// Why there is no active bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The journal has no first entry.
    #[error("the journal has no genesis; `cku init` makes one")]
    NoGenesis,
    /// What is active is not what was given.
    #[error(
        "the bundle {given} is not the active one, {active}; `control: managed` means that only change control activates"
    )]
    NotActive {
        /// The revision that was given.
        given: Digest,
        /// The revision that is active.
        active: String,
    },
    /// The kept bytes do not load.
    #[error("the bundle {0} that the journal keeps does not load with this version of cku")]
    Unloadable(Digest),
    /// The journal did not give or take something.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The first entry; none for a journal that is empty.
pub fn genesis(journal: &Journal) -> Result<Option<Genesis>, StoreError> {
    let row = journal.row(&TenantPath::root(), GENESIS, "genesis").map_err(StoreError::from)?;
    Ok(row.map(serde_json::from_value).transpose()?)
}

/// Makes a bundle the active one where files say so, if it is not; its bytes are kept.
///
/// `actor` is who, as entries name it: see [`crate::named`] and [`crate::CKU`].
pub fn activate(journal: &Journal, actor: &Value, bundle: &Bundle) -> Result<(), BundleError> {
    let root = TenantPath::root();
    let genesis = genesis(journal)?.ok_or(BundleError::NoGenesis)?;
    let active = active_revision(journal)?;
    if active == Some(bundle.revision()) {
        return Ok(());
    }
    if let (Control::Managed, Some(active)) = (genesis.control, active) {
        return Err(BundleError::NotActive { given: bundle.revision(), active: active.to_string() });
    }
    let (activated, bytes) = activation(bundle, Purpose::Gates)?;
    let place = (&root, Kind::BundleActivated, ACTIVATIONS);
    let drafts = vec![store::draft_of(place, actor, &activated)?];
    let blobs = vec![(root.clone(), bytes)];
    journal.append(Command { drafts, blobs, ..Command::default() }).map_err(StoreError::from)?;
    Ok(())
}

/// What is recorded of a bundle that becomes active, and its files.
pub fn activation(bundle: &Bundle, purpose: Purpose) -> Result<(BundleActivated, Vec<u8>), StoreError> {
    let bytes = bytes_of(bundle)?;
    let name = bundle.manifest().name.clone();
    let (revision, files) = (bundle.revision(), Digest::of(&bytes));
    let (modes, stage) = (Modes::all(), Stage::Active);
    Ok((BundleActivated { revision, files, name, purpose, diff: None, rollback: false, modes, stage }, bytes))
}

/// The revision that is active; none before the first.
pub fn active_revision(journal: &Journal) -> Result<Option<Digest>, StoreError> {
    Ok(active_for(journal, Purpose::Gates)?.map(|activated| activated.revision))
}

/// What is active for a purpose where no mode is in question; none before the first.
pub fn active_for(journal: &Journal, purpose: Purpose) -> Result<Option<BundleActivated>, StoreError> {
    Ok(rollout(journal, purpose)?.strictest().map(|placed| placed.activated.clone()))
}

/// What decides where, and what is tried beside it; empty before the first activation.
pub fn rollout(journal: &Journal, purpose: Purpose) -> Result<Rollout, StoreError> {
    let row = journal.row(&TenantPath::root(), BUNDLES, rollout_key(purpose)).map_err(StoreError::from)?;
    Ok(row.map(serde_json::from_value).transpose()?.unwrap_or_default())
}

/// What decides over one run: the bundle, and what is tried on the run.
#[derive(Debug, Clone)]
pub struct Deciding {
    /// The bundle that decides.
    pub bundle: Arc<Bundle>,
    /// The diff whose canary that is, if it is one.
    pub canary: Option<Digest>,
    /// What decides beside it without effect: the diff, and its bundle.
    pub shadow: Option<(Digest, Arc<Bundle>)>,
    /// What would be tried on the run and is left out, since its bundle does not load: say so.
    pub lost: Option<Digest>,
}

/// What decides over a run in a mode.
///
/// What is tried and cannot be loaded is left out and named: what is active decides without it.
pub fn deciding(journal: &Journal, mode: &str, run: &str) -> Result<Deciding, BundleError> {
    let rollout = rollout(journal, Purpose::Gates)?;
    let active = rollout.in_mode(mode).ok_or(BundleError::NoGenesis)?;
    let tried = |placed: &Placed| placed.activated.diff.zip(load(journal, placed.activated.revision).ok());
    let canary = rollout.canary_of(mode, run);
    if let Some((diff, bundle)) = canary.and_then(tried) {
        return Ok(Deciding { bundle, canary: Some(diff), shadow: None, lost: None });
    }
    let placed = rollout.shadow_in(mode);
    let shadow = placed.and_then(tried);
    let lost = canary.or(placed.filter(|_| shadow.is_none())).and_then(|placed| placed.activated.diff);
    Ok(Deciding { bundle: load(journal, active.activated.revision)?, canary: None, shadow, lost })
}

/// All activations, of whatever purpose, with their places and times, in order.
pub fn activations(journal: &Journal) -> Result<Vec<(BundleActivated, u64, Timestamp)>, StoreError> {
    let entries = journal.stream(&TenantPath::root(), ACTIVATIONS)?;
    let activated = entries.iter().filter(|entry| entry.kind() == Kind::BundleActivated);
    activated.map(|entry| Ok((store::body(entry)?, entry.header.seq, entry.header.time))).collect()
}

/// The bundle that is active where no mode is in question, from the bytes that the journal keeps.
pub fn active(journal: &Journal) -> Result<Arc<Bundle>, BundleError> {
    let revision = active_revision(journal)?.ok_or(BundleError::NoGenesis)?;
    load(journal, revision)
}

/// A bundle that was active once, from the bytes that the journal keeps.
pub fn load(journal: &Journal, revision: Digest) -> Result<Arc<Bundle>, BundleError> {
    let root = TenantPath::root();
    let missing = || StoreError::Missing { what: format!("bundle {revision}") };
    let row = journal.row(&root, BUNDLES, &revision.to_string()).map_err(StoreError::from)?;
    let row: BundleActivated = serde_json::from_value(row.ok_or_else(missing)?).map_err(StoreError::from)?;
    let bytes = journal.blob(&root, &row.files).map_err(StoreError::from)?.ok_or_else(missing)?;
    let files: BTreeMap<String, String> = serde_json::from_slice(&bytes).map_err(StoreError::from)?;
    let sources = Sources::from_files(files);
    let bundle = Bundle::from_sources(sources).map_err(|_| BundleError::Unloadable(revision))?;
    // What is kept must be what was named, whoever changed the file of the journal.
    if bundle.revision() == revision { Ok(Arc::new(bundle)) } else { Err(BundleError::Unloadable(revision)) }
}

/// The files of a bundle, tests included, as one document.
fn bytes_of(bundle: &Bundle) -> Result<Vec<u8>, canonical::CanonicalError> {
    let files = bundle.sources().files().iter();
    let files: BTreeMap<&str, Value> = files.map(|f| (f.path.as_str(), Value::from(&*f.text))).collect();
    canonical::to_vec(&files)
}
