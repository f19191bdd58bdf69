//! The first entries of a journal, made once.

use std::{collections::BTreeMap, path::Path};

use cku_base::{TenantPath, Timestamp};
use cku_engine::{Bundle, access::RoleGrant};
use cku_gates::Submitter;
use cku_journal::{AppendError, Command, Guard, Journal, Kind, OpenError, Options};
use serde_json::Value;

use crate::{
    bundles::{ACTIVATIONS, activation},
    identity::KeyLearned,
    office::{self, ADMIN, GENESIS, Genesis, KeyTrusted, Purpose, RoleChange, role_subject},
    rows::KEYS,
    store::{self, StoreError},
};

/// Why a journal was not founded.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// It was before.
    #[error("the journal has its genesis already; it is made once")]
    Twice,
    /// Nobody could do anything.
    #[error(
        "the bundle `{0}` has no role `admin`, so nobody could do anything; add it to `roles` in bundle.yaml"
    )]
    NoAdmin(String),
    /// Its file could not be made or opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The journal did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Whether a journal can be founded with a bundle: somebody must be able to do something.
pub fn can_found(bundle: &Bundle) -> Result<(), FoundingError> {
    match bundle.manifest().roles.contains_key(ADMIN) {
        true => Ok(()),
        false => Err(FoundingError::NoAdmin(bundle.manifest().name.clone())),
    }
}

/// Makes the file of a journal with its first entries, all or none.
///
/// A file without a genesis is finished. Where there is one it is [`FoundingError::Twice`], also if
/// somebody else made it at the same time.
pub fn found_at(
    path: &Path,
    options: Options,
    by: &Submitter,
    genesis: &Genesis,
    bundle: &Bundle,
    change_control: Option<&Bundle>,
) -> Result<Journal, FoundingError> {
    can_found(bundle)?;
    let first = |journal: &Journal| found(journal, by, genesis, bundle, change_control);
    match Journal::create_with(path, options.clone(), first) {
        Err(FoundingError::Open(OpenError::Exists)) => {
            let journal = Journal::open(path, options)?;
            found(&journal, by, genesis, bundle, change_control)?;
            Ok(journal)
        }
        made => made,
    }
}

/// Writes the genesis, the role of the first administrator and the first bundles, all or none.
///
/// Without a bundle of change control nothing but files can change what is active.
pub fn found(
    journal: &Journal,
    by: &Submitter,
    genesis: &Genesis,
    bundle: &Bundle,
    change_control: Option<&Bundle>,
) -> Result<(), FoundingError> {
    can_found(bundle)?;
    let root = TenantPath::root();
    let grant = RoleGrant {
        principal: genesis.admin.principal.clone(),
        role: ADMIN.to_owned(),
        tenant: root.clone(),
    };
    let (activated, files) = activation(bundle, Purpose::Gates)?;
    let role = role_subject(&grant);
    let mut drafts = vec![
        store::draft((&root, Kind::Genesis, GENESIS), by, genesis)?,
        store::draft((&root, Kind::RoleGranted, &role), by, &RoleChange { grant })?,
        store::draft((&root, Kind::BundleActivated, ACTIVATIONS), by, &activated)?,
    ];
    let mut blobs = vec![(root.clone(), files)];
    if let Some(bundle) = change_control {
        let (activated, files) = activation(bundle, Purpose::ChangeControl)?;
        drafts.push(store::draft((&root, Kind::BundleActivated, ACTIVATIONS), by, &activated)?);
        blobs.push((root.clone(), files));
    }
    let guards = vec![Guard { tenant: root, subject: GENESIS.to_owned(), after: 0 }];
    match journal.append(Command { drafts, guards, blobs, ..Command::default() }) {
        Ok(_) => Ok(()),
        Err(AppendError::Conflict { .. }) => Err(FoundingError::Twice),
        Err(error) => Err(StoreError::from(error).into()),
    }
}

/// When each key that the genesis does not name was trusted; of a key that its issuer publishes, when the
/// issuer was.
pub fn keys_trusted_at(journal: &Journal) -> Result<Vec<(String, Timestamp)>, StoreError> {
    let mut issuers = BTreeMap::new();
    let mut trusted = Vec::new();
    for entry in journal.stream(&TenantPath::root(), office::KEYS)? {
        let (seq, time) = (entry.header.seq, entry.header.time);
        match entry.kind() {
            Kind::IssuerTrusted => drop(issuers.insert(seq, time)),
            Kind::KeyTrusted => trusted.push((store::body::<KeyTrusted>(&entry)?.id, time)),
            Kind::KeyLearned => {
                let learned: KeyLearned = store::body(&entry)?;
                trusted.push((learned.id, issuers.get(&learned.under).copied().unwrap_or(time)));
            }
            _ => {}
        }
    }
    Ok(trusted)
}

/// The keys that a journal trusts or trusted, as `auth` reads them.
pub fn trusted_keys(journal: &Journal) -> Result<Vec<Value>, StoreError> {
    Ok(journal.rows(&TenantPath::root(), KEYS)?.into_iter().map(|(_, key)| key).collect())
}

/// The place of the last entry about keys: who changes them says what they were looking at.
///
/// Asked before the keys are read, so that what is added meanwhile is noticed.
pub fn keys_changed_at(journal: &Journal) -> Result<u64, StoreError> {
    store::last(journal, &TenantPath::root(), office::KEYS)
}
