//! What is derived from entries, computed anew and held against what is kept.

use std::collections::BTreeMap;

use cku_base::TenantPath;
use rusqlite::params;
use serde_json::Value;

use crate::{
    damage::{Damage, DamageKind, Verified, VerifyError},
    entry::{Entry, Head, Misfit, hashed},
    projection::{ProjectError, Projector, Rows},
    schema::AUTHORITY,
    sqlite::{COLUMNS, Sqlite, SqliteRows, Stored, written},
    store::{StorageError, Store},
    verify::{tenant_id, walk},
};

/// The derived rows of a tenant in memory: table, key -> value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Derived {
    rows: BTreeMap<(String, String), Value>,
}

impl Derived {
    /// Puts in what follows from an entry.
    pub(crate) fn add(&mut self, projector: &dyn Projector, entry: &Entry) -> Result<(), VerifyError> {
        projector.project(entry, self).map_err(|error| {
            let header = &entry.header;
            let detail = format!("nothing can be derived from it: {error}");
            Damage::new(DamageKind::Changed, &header.tenant, Some(header.seq), detail).into()
        })
    }
}

fn place(table: &str, key: &str) -> (String, String) {
    (table.to_owned(), key.to_owned())
}

impl Rows for Derived {
    fn get(&mut self, table: &str, key: &str) -> Result<Option<Value>, ProjectError> {
        Ok(self.rows.get(&place(table, key)).cloned())
    }

    fn put(&mut self, table: &str, key: &str, value: Value) -> Result<(), ProjectError> {
        self.rows.insert(place(table, key), value);
        Ok(())
    }

    fn remove(&mut self, table: &str, key: &str) -> Result<(), ProjectError> {
        self.rows.remove(&place(table, key));
        Ok(())
    }
}

/// A chain that was verified together with all that is derived from it, up to an entry.
#[derive(Debug, Clone)]
pub struct Confirmed {
    tenant: TenantPath,
    head: Head,
    rows: Derived,
}

impl Confirmed {
    /// Up to where.
    pub fn verified(&self) -> Verified {
        Verified::at(&self.tenant, &self.head)
    }
}

/// Verifies a chain and its derived rows; with what was confirmed before, only from there on.
pub(crate) fn confirm(
    store: &mut Sqlite,
    projector: &dyn Projector,
    tenant: &TenantPath,
    since: Option<Confirmed>,
) -> Result<Confirmed, VerifyError> {
    let since = since.filter(|since| since.tenant == *tenant);
    let (head, mut rows) =
        since.map_or_else(|| (Head::empty(tenant), Derived::default()), |since| (since.head, since.rows));
    let before = head.seq;
    let head = walk(store, tenant, head, &mut |_, entry| rows.add(projector, entry))?;
    if head.seq < before {
        let detail = format!("it had {before} entries");
        return Err(Damage::new(DamageKind::Truncated, tenant, Some(head.seq), detail).into());
    }
    compare(store, tenant, &rows)?;
    Ok(Confirmed { tenant: tenant.clone(), head, rows })
}

/// Holds the derived rows that are kept of a tenant against those that follow from its entries.
pub(crate) fn compare(store: &Sqlite, tenant: &TenantPath, fresh: &Derived) -> Result<(), VerifyError> {
    let Some(id) = tenant_id(store, tenant)? else { return Ok(()) };
    let condition = "tenant = ?1 ORDER BY name, key";
    differs(store, tenant, (condition, &[&id]), &mut fresh.rows.iter())
}

/// Both lists are sorted: the first place where they are not the same is what differs.
fn differs<'d>(
    store: &Sqlite,
    tenant: &TenantPath,
    (condition, parameters): (&str, &[&dyn rusqlite::ToSql]),
    fresh: &mut dyn Iterator<Item = (&'d (String, String), &'d Value)>,
) -> Result<(), VerifyError> {
    let sql = format!("SELECT name, key, value FROM projections WHERE {condition}");
    let mut select = store.connection.prepare_cached(&sql)?;
    let mut kept = select.query(parameters)?;
    let place = loop {
        let Some(row) = kept.next()? else { break fresh.next().map(|(place, _)| place.clone()) };
        let place: (String, String) = (row.get(0)?, row.get(1)?);
        let text: String = row.get(2)?;
        match fresh.next() {
            // To the byte: what reads as the same and was not written is damage, too.
            Some((wanted, value)) if *wanted == place => {
                if written(value).ok() != Some(text) {
                    break Some(place);
                }
            }
            other => break other.map(|(wanted, _)| wanted.clone()).into_iter().chain([place]).min(),
        }
    };
    let Some((table, key)) = place else { return Ok(()) };
    let detail = format!("`{key}` of `{table}` is not what follows from the entries");
    Err(Damage::new(DamageKind::Derived, tenant, None, detail).into())
}

/// Holds the rows that say who may do what against the entries that say so, for all tenants.
///
/// It reads the entries about authority alone, which have an index of their own, and sees that they
/// are what was hashed. What it costs grows with the tenants and with the changes of roles, keys,
/// switches and bundles, not with the runs: some 20 µs each, measured with 10000 of them. Whether such an
/// entry was taken away is for the chain to say ([`confirm`]).
pub(crate) fn authority(store: &mut Sqlite, projector: &dyn Projector) -> Result<(), VerifyError> {
    let tables = projector.authority();
    if tables.is_empty() {
        return Ok(());
    }
    for tenant in store.tenants()? {
        let mut fresh = Derived::default();
        let Some(id) = tenant_id(store, &tenant)? else { continue };
        {
            let sql = format!(
                "SELECT {COLUMNS} FROM entries {} WHERE tenant = ?1 AND {AUTHORITY} ORDER BY seq",
                store.by_authority
            );
            let mut select = store.connection.prepare_cached(&sql)?;
            let mut rows = select.query(params![id])?;
            while let Some(row) = rows.next()? {
                let changed = |seq, detail: String| Damage::new(DamageKind::Changed, &tenant, seq, detail);
                let Stored { entry, text, .. } =
                    Stored::of(row, &tenant).map_err(|error| changed(None, error.to_string()))?;
                let whole = hashed(&entry, text.as_deref());
                whole.and_then(|()| entry.body.as_ref().map(|_| ()).ok_or(Misfit::Erased)).map_err(
                    |how| {
                        let detail = match how {
                            Misfit::Erased => "its body was erased, without an entry that says so",
                            Misfit::Body => "its body is not what was written",
                            _ => "its header is not what was written",
                        };
                        changed(Some(entry.header.seq), detail.to_owned())
                    },
                )?;
                fresh.add(projector, &entry)?;
            }
        }
        for table in tables {
            let mut of_table = fresh.rows.iter().filter(|((name, _), _)| name == table);
            let condition = "tenant = ?1 AND name = ?2 ORDER BY key";
            differs(store, &tenant, (condition, &[&id, table]), &mut of_table)?;
        }
    }
    Ok(())
}

/// Verifies all chains, and writes anew what is derived from them, in one transaction.
pub(crate) fn rebuild(store: &mut Sqlite, projector: &dyn Projector) -> Result<Vec<Verified>, VerifyError> {
    store.connection.execute_batch("BEGIN IMMEDIATE; DELETE FROM projections")?;
    let mut verified = Vec::new();
    for tenant in store.tenants()? {
        let mut fresh = Derived::default();
        // Damage ends this, and with the connection goes the transaction: nothing was written then.
        let head = walk(store, &tenant, Head::empty(&tenant), &mut |_, entry| fresh.add(projector, entry))?;
        verified.push(Verified::at(&tenant, &head));
        let Some(id) = tenant_id(store, &tenant)? else { continue };
        let mut rows = SqliteRows { connection: &store.connection, tenant: id };
        for ((table, key), value) in fresh.rows {
            rows.put(&table, &key, value).map_err(|e| StorageError(e.to_string()))?;
        }
    }
    store.connection.execute_batch("COMMIT")?;
    Ok(verified)
}
