//! Who holds which role, what is switched off, which keys count for nothing.

use std::collections::BTreeSet;

use cku_base::{TenantPath, Timestamp};
use cku_engine::access::RoleGrant;
use cku_gates::Freeze;
use cku_journal::Journal;

use crate::{
    office::{FreezeSet, KillSwitch},
    rows::{FREEZE, GRANTS, KEYS, KILL_SWITCH},
    store::StoreError,
};

/// Who holds which role in the tenant, above it and below it.
pub fn role_grants(journal: &Journal, tenant: &TenantPath) -> Result<Vec<RoleGrant>, StoreError> {
    let mut grants = Vec::new();
    for at in journal.tenants()?.iter().filter(|at| at.contains(tenant) || tenant.contains(at)) {
        for (_, grant) in journal.rows(at, GRANTS)? {
            grants.push(serde_json::from_value(grant)?);
        }
    }
    grants.sort();
    Ok(grants)
}

/// The kill switch that stops a tenant, its own or one above: where it was set, and why.
pub fn kill_switch(
    journal: &Journal,
    tenant: &TenantPath,
) -> Result<Option<(TenantPath, KillSwitch)>, StoreError> {
    for above in tenant.ancestry() {
        if let Some(row) = journal.row(&above, KILL_SWITCH, "set")? {
            let set: KillSwitch = serde_json::from_value(row)?;
            if set.on {
                return Ok(Some((above, set)));
            }
        }
    }
    Ok(None)
}

/// Whether releases of a tenant are frozen at this time, by its own entry or one above, and why.
pub fn freeze(journal: &Journal, tenant: &TenantPath, now: Timestamp) -> Result<Freeze, StoreError> {
    for above in tenant.ancestry() {
        if let Some(row) = journal.row(&above, FREEZE, "set")? {
            let set: FreezeSet = serde_json::from_value(row)?;
            if set.holds(now) {
                return Ok(Freeze { active: true, reason: set.reason });
            }
        }
    }
    Ok(Freeze { active: false, reason: String::new() })
}

/// The keys that count for nothing any more: whoever stole one may have used it before it was revoked.
pub fn revoked_keys(journal: &Journal) -> Result<BTreeSet<String>, StoreError> {
    let keys = journal.rows(&TenantPath::root(), KEYS)?.into_iter();
    let revoked = keys.filter(|(_, key)| key.get("revoked_at").is_some_and(|at| !at.is_null()));
    Ok(revoked.map(|(id, _)| id).collect())
}
