//! What the journal keeps at hand of who may do what; all of it can be computed again from the entries.

use cku_engine::access::RoleGrant;
use cku_journal::{Entry, Kind, ProjectError, Projector, Rows};
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    office::{BundleActivated, FreezeSet, Genesis, KeyRevoked, KeyTrusted, KillSwitch, Purpose, RoleChange},
    rollout::Rollout,
    store::{UnreadableEntry, body},
};

/// Roles: `ROLE PRINCIPAL HOME` -> [`RoleGrant`].
pub(crate) const GRANTS: &str = "grants";
/// One row, `set` -> [`KillSwitch`].
pub(crate) const KILL_SWITCH: &str = "killswitch";
/// One row, `set` -> [`FreezeSet`].
pub(crate) const FREEZE: &str = "freeze";
/// Key id -> the trusted key; `revoked_at` is set in it once it is.
pub(crate) const KEYS: &str = "keys";
/// One row, `genesis` -> [`Genesis`].
pub(crate) const GENESIS: &str = "genesis";
/// Revision -> [`BundleActivated`]; by [`rollout_key`], the [`Rollout`].
pub(crate) const BUNDLES: &str = "bundles";
/// The tables that say who may do what.
pub const TABLES: [&str; 6] = [GRANTS, KILL_SWITCH, FREEZE, KEYS, GENESIS, BUNDLES];

/// The key of the row of what decides where.
pub(crate) fn rollout_key(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Gates => "rollout",
        Purpose::ChangeControl => "rollout change-control",
    }
}

/// Computes the rows of entries about authority; entries of other kinds have none here.
#[derive(Debug, Clone, Copy, Default)]
pub struct AuthorityRows;

impl Projector for AuthorityRows {
    fn project(&self, entry: &Entry, rows: &mut dyn Rows) -> Result<(), ProjectError> {
        // What was erased, or made by a later version, leaves its rows as they are.
        if entry.body.is_none() {
            return Ok(());
        }
        let unreadable = |e: UnreadableEntry| ProjectError::new(e.to_string());
        match entry.kind() {
            Kind::Genesis => {
                let genesis: Genesis = body(entry).map_err(unreadable)?;
                for key in &genesis.keys {
                    put_key(rows, key)?;
                }
                rows.put(GENESIS, "genesis", to_value(&genesis)?)
            }
            Kind::RoleGranted => {
                let change: RoleChange = body(entry).map_err(unreadable)?;
                rows.put(GRANTS, &grant_key(&change.grant), to_value(&change.grant)?)
            }
            Kind::RoleRevoked => {
                let change: RoleChange = body(entry).map_err(unreadable)?;
                rows.remove(GRANTS, &grant_key(&change.grant))
            }
            Kind::KeyTrusted => {
                let trusted: KeyTrusted = body(entry).map_err(unreadable)?;
                // A key that was revoked must not be trusted again by being trusted anew.
                if rows.get(KEYS, &trusted.id)?.is_some() {
                    return Err(ProjectError::new(format!("the key {} is there already", trusted.id)));
                }
                put_key(rows, &trusted.key)
            }
            Kind::KeyRevoked => {
                let revoked: KeyRevoked = body(entry).map_err(unreadable)?;
                let Some(mut key) = rows.get(KEYS, &revoked.id)? else { return Ok(()) };
                if let Some(members) = key.as_object_mut() {
                    members.insert("revoked_at".to_owned(), json!(revoked.revoked_at));
                }
                rows.put(KEYS, &revoked.id, key)
            }
            Kind::KillSwitchSet => {
                let set: KillSwitch = body(entry).map_err(unreadable)?;
                rows.put(KILL_SWITCH, "set", to_value(&set)?)
            }
            Kind::FreezeSet => {
                let set: FreezeSet = body(entry).map_err(unreadable)?;
                rows.put(FREEZE, "set", to_value(&set)?)
            }
            Kind::BundleActivated => {
                let activated: BundleActivated = body(entry).map_err(unreadable)?;
                rows.put(BUNDLES, &activated.revision.to_string(), to_value(&activated)?)?;
                let key = rollout_key(activated.purpose);
                let rollout = rows.get(BUNDLES, key)?.map(serde_json::from_value::<Rollout>).transpose();
                let rollout = rollout.map_err(|e| ProjectError::new(e.to_string()))?.unwrap_or_default();
                rows.put(BUNDLES, key, to_value(&rollout.after(activated, entry.header.seq))?)
            }
            _ => Ok(()),
        }
    }

    fn authority(&self) -> &[&str] {
        &TABLES
    }
}

fn put_key(rows: &mut dyn Rows, key: &Value) -> Result<(), ProjectError> {
    let id = key.get("id").and_then(Value::as_str);
    let id = id.ok_or_else(|| ProjectError::new("a trusted key without an id".to_owned()))?;
    rows.put(KEYS, id, key.clone())
}

fn grant_key(grant: &RoleGrant) -> String {
    format!("{} {} {}", grant.role, grant.principal, grant.principal.tenant)
}

fn to_value(value: &impl Serialize) -> Result<Value, ProjectError> {
    serde_json::to_value(value).map_err(|e| ProjectError::new(e.to_string()))
}
