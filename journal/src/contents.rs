//! Recomputing all that a file holds beside its chains, and what hangs together among them.

use std::collections::BTreeSet;

use cku_base::{Digest, TenantPath};
use serde_json::Value;

use crate::{
    command::{DOCUMENTS, KEY},
    damage::{Damage, DamageKind, Verified, VerifyError},
    derived::{self, Derived},
    entry::{Entry, Head},
    projection::Projector,
    schema,
    sqlite::{Sqlite, unpack},
    store::Store,
    verify::walk,
};

/// Verifies everything in the file: the chains first, since all else is held against them.
///
/// Each entry is read once; what is derived from all of them is in memory meanwhile.
pub(crate) fn everything(
    store: &mut Sqlite,
    projector: &dyn Projector,
) -> Result<Vec<Verified>, VerifyError> {
    tables(store)?;
    let (mut verified, mut rows, mut named) = (Vec::new(), Vec::new(), Named::default());
    for tenant in store.tenants()? {
        let mut fresh = Derived::default();
        let head = walk(store, &tenant, Head::empty(&tenant), &mut |_, entry| {
            named.add(entry);
            fresh.add(projector, entry)
        })?;
        verified.push(Verified::at(&tenant, &head));
        rows.push((tenant, fresh));
    }
    strangers(store)?;
    blobs(store, &named)?;
    keys(store, &named)?;
    for (tenant, fresh) in &rows {
        derived::compare(store, tenant, fresh)?;
    }
    file(store)?;
    Ok(verified)
}

/// The file as such: last, since what it finds it cannot name.
fn file(store: &Sqlite) -> Result<(), VerifyError> {
    let mut check = store.connection.prepare("PRAGMA integrity_check(1)")?;
    let said: String = check.query_row([], |row| row.get(0))?;
    if said == "ok" { Ok(()) } else { Err(Damage::of_file(said.replace('\n', "; ")).into()) }
}

/// The tables are those that the format has, word for word.
fn tables(store: &Sqlite) -> Result<(), VerifyError> {
    let list = |connection: &rusqlite::Connection| -> Result<Vec<(String, String)>, rusqlite::Error> {
        let sql = "SELECT name, coalesce(sql, '') FROM sqlite_schema ORDER BY name";
        let mut select = connection.prepare(sql)?;
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
    };
    let fresh = rusqlite::Connection::open_in_memory()?;
    fresh.execute_batch(schema::TABLES)?;
    if list(&store.connection)? == list(&fresh)? {
        return Ok(());
    }
    Err(Damage::of_file("its tables are not those of a journal").into())
}

/// No entry, head or document belongs to a tenant that is not there.
fn strangers(store: &Sqlite) -> Result<(), VerifyError> {
    for table in ["entries", "heads", "blobs", "keys", "projections"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE tenant NOT IN (SELECT id FROM tenants)");
        let count: i64 = store.connection.query_row(&sql, [], |row| row.get(0))?;
        if count > 0 {
            let detail = format!("{count} rows of `{table}` belong to no tenant");
            return Err(Damage { kind: DamageKind::Changed, ..Damage::of_file(detail) }.into());
        }
    }
    Ok(())
}

/// What the bodies of a journal name, by tenant: documents, and idempotency keys.
#[derive(Default)]
struct Named {
    documents: BTreeSet<(TenantPath, String)>,
    keys: BTreeSet<(TenantPath, String)>,
}

impl Named {
    fn add(&mut self, entry: &Entry) {
        let Some(body) = &entry.body else { return };
        let tenant = &entry.header.tenant;
        let of_tenant = |text: &str| (tenant.clone(), text.to_owned());
        let documents = body.value.get(DOCUMENTS).and_then(Value::as_array).into_iter().flatten();
        self.documents.extend(documents.filter_map(Value::as_str).map(of_tenant));
        self.keys.extend(body.value.get(KEY).and_then(Value::as_str).map(of_tenant));
    }
}

/// Each document is the one that its digest names; those that entries name are there, and no others.
fn blobs(store: &Sqlite, named: &Named) -> Result<(), VerifyError> {
    let sql =
        "SELECT t.path, b.digest, b.bytes FROM blobs b JOIN tenants t ON t.id = b.tenant ORDER BY b.rowid";
    let mut select = store.connection.prepare(sql)?;
    let mut rows = select.query([])?;
    let mut missing = named.documents.clone();
    while let Some(row) = rows.next()? {
        let path: String = row.get(0)?;
        let bytes: Vec<u8> = row.get(2)?;
        let digest: Result<[u8; 32], _> = row.get::<_, Vec<u8>>(1)?.try_into();
        let tenant: TenantPath = path.parse().unwrap_or_else(|_| TenantPath::root());
        let damage = |kind, detail: String| Damage::new(kind, &tenant, None, detail);
        let digest = digest
            .map(Digest::from_bytes)
            .map_err(|_| damage(DamageKind::Changed, "the digest of a document".to_owned()))?;
        unpack(&bytes, &digest).map_err(|e| damage(DamageKind::Changed, e.to_string()))?;
        let place = (tenant.clone(), digest.to_string());
        if !named.documents.contains(&place) {
            return Err(damage(DamageKind::Inserted, format!("no entry names the document {digest}")).into());
        }
        missing.remove(&place);
    }
    match missing.first() {
        Some((tenant, digest)) => {
            let detail = format!("the document {digest} is missing");
            Err(Damage::new(DamageKind::Dropped, tenant, None, detail).into())
        }
        None => Ok(()),
    }
}

/// Each idempotency key stands for entries that are there and say what it says they do; those that
/// entries name are there, and no others.
fn keys(store: &mut Sqlite, named: &Named) -> Result<(), VerifyError> {
    let rows: Vec<(String, String, Vec<u8>, String)> = {
        let sql = "SELECT t.path, k.key, k.content, k.entries FROM keys k JOIN tenants t ON t.id = k.tenant
                   ORDER BY t.path, k.key";
        let mut select = store.connection.prepare(sql)?;
        let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        rows.collect::<Result<_, _>>()?
    };
    let mut missing = named.keys.clone();
    for (path, key, content, places) in rows {
        let tenant: TenantPath = path.parse().unwrap_or_else(|_| TenantPath::root());
        let damage = |kind| Damage::new(kind, &tenant, None, format!("the idempotency key `{key}`"));
        let place = (tenant.clone(), key.clone());
        if !missing.remove(&place) {
            return Err(damage(DamageKind::Inserted).into());
        }
        let changed = || damage(DamageKind::Changed);
        let places: Vec<(String, u64)> = serde_json::from_str(&places).map_err(|_| changed())?;
        let mut listed: Vec<(String, String, Value)> = Vec::new();
        for (tenant, seq) in places {
            let path: TenantPath = tenant.parse().map_err(|_| changed())?;
            let entry = store.read(&path, seq.saturating_sub(1), 1)?.into_iter().next();
            let entry = entry.filter(|e| e.header.seq == seq).ok_or_else(changed)?;
            let body = entry.body.ok_or_else(changed)?;
            listed.push((
                tenant,
                entry.header.kind,
                Value::Object(std::sync::Arc::unwrap_or_clone(body.value)),
            ));
        }
        if Digest::of_canonical(&listed).is_ok_and(|digest| digest.as_bytes().as_slice() == content) {
            continue;
        }
        return Err(changed().into());
    }
    match missing.first() {
        Some((tenant, key)) => {
            let detail = format!("the idempotency key `{key}` is missing");
            Err(Damage::new(DamageKind::Dropped, tenant, None, detail).into())
        }
        None => Ok(()),
    }
}
