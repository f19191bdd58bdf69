//! The first entries of a journal, made once.

use cku_base::TenantPath;
use cku_engine::{Bundle, access::RoleGrant};
use cku_gates::Submitter;
use cku_journal::{AppendError, Command, Draft, Guard, Journal, Kind};
use serde::Serialize;
use serde_json::Value;

use crate::{
    bundles::activation,
    office::{GENESIS, Genesis, RoleChange, actor},
    projection::KEYS,
    store::{StoreError, with_actor},
};

/// The role of the first administrator, in the bundles that have it.
const ADMIN: &str = "admin";

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
    /// The journal did not take it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes the genesis, the role of the first administrator and the first bundle, all or none.
pub fn found(
    journal: &Journal,
    by: &Submitter,
    genesis: &Genesis,
    bundle: &Bundle,
) -> Result<(), FoundingError> {
    if !bundle.manifest().roles.contains_key(ADMIN) {
        return Err(FoundingError::NoAdmin(bundle.manifest().name.clone()));
    }
    let root = TenantPath::root();
    let grant = RoleGrant {
        principal: genesis.admin.principal.clone(),
        role: ADMIN.to_owned(),
        tenant: root.clone(),
    };
    let (activated, files) = activation(bundle)?;
    let role = format!("role:{}", grant.principal);
    let drafts = vec![
        draft(&root, Kind::Genesis, GENESIS, by, genesis)?,
        draft(&root, Kind::RoleGranted, &role, by, &RoleChange { grant })?,
        draft(&root, Kind::BundleActivated, "bundle", by, &activated)?,
    ];
    let guard = Some(Guard { tenant: root.clone(), subject: GENESIS.to_owned(), after: 0 });
    match journal.append(Command { drafts, key: None, guard, blobs: vec![(root, files)] }) {
        Ok(_) => Ok(()),
        Err(AppendError::Conflict { .. }) => Err(FoundingError::Twice),
        Err(error) => Err(StoreError::from(error).into()),
    }
}

fn draft(
    tenant: &TenantPath,
    kind: Kind,
    subject: &str,
    by: &Submitter,
    body: &impl Serialize,
) -> Result<Draft, StoreError> {
    let Value::Object(members) = serde_json::to_value(body)? else {
        return Err(StoreError::Json("not an object".to_owned()));
    };
    Ok(Draft { tenant: tenant.clone(), kind, body: with_actor(members, &actor(by), subject) })
}

/// The keys that a journal trusts or trusted, as `auth` reads them.
pub fn trusted_keys(journal: &Journal) -> Result<Vec<Value>, StoreError> {
    Ok(journal.rows(&TenantPath::root(), KEYS)?.into_iter().map(|(_, key)| key).collect())
}
