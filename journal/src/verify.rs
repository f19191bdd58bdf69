//! Recomputing a journal: what it holds must be what was written.

use std::collections::BTreeSet;

use cku_base::{Digest, TenantPath};
use rusqlite::params;
use serde_json::Value;

use crate::{
    command::{DOCUMENTS, KEY},
    damage::{Damage, DamageKind, Verified, VerifyError},
    entry::{Entry, Head, Misfit, check},
    journal::ReadError,
    projection::Projector,
    schema,
    sqlite::{COLUMNS, Sqlite, Stored, head, unpack},
    store::{StorageError, Store},
};

/// Entries that are recomputed at the end of each chain when a journal is opened.
const TAIL: u64 = 16;

impl From<StorageError> for VerifyError {
    fn from(error: StorageError) -> Self {
        Self::Read(ReadError(error))
    }
}

impl From<rusqlite::Error> for VerifyError {
    fn from(error: rusqlite::Error) -> Self {
        Self::from(StorageError::from(error))
    }
}

/// Verifies the end of each chain.
pub(crate) fn tails(store: &mut Sqlite) -> Result<(), VerifyError> {
    for tenant in store.tenants()? {
        let last = store.head(&tenant)?.map_or(0, |head| head.seq);
        chain(store, &tenant, last.saturating_sub(TAIL).max(1))?;
    }
    Ok(())
}

/// Verifies a chain from an entry on; what stands before is taken as it is.
pub(crate) fn chain(store: &mut Sqlite, tenant: &TenantPath, from: u64) -> Result<Verified, VerifyError> {
    // One look at one state, whoever writes meanwhile.
    let consistent = Snapshot::begin(store)?;
    let verified = chain_in_snapshot(consistent.store, tenant, from);
    consistent.end();
    verified
}

/// A read transaction.
struct Snapshot<'s> {
    store: &'s mut Sqlite,
    ours: bool,
}

impl<'s> Snapshot<'s> {
    fn begin(store: &'s mut Sqlite) -> Result<Self, VerifyError> {
        let ours = store.connection.is_autocommit();
        if ours {
            store.connection.execute_batch("BEGIN")?;
        }
        Ok(Self { store, ours })
    }

    fn end(self) {
        if self.ours {
            // Nothing was written, so nothing can be lost by it.
            let _ = self.store.connection.execute_batch("ROLLBACK");
        }
    }
}

fn chain_in_snapshot(store: &mut Sqlite, tenant: &TenantPath, from: u64) -> Result<Verified, VerifyError> {
    let Some(id) = tenant_id(store, tenant)? else {
        let head = Head::empty(tenant);
        return Ok(Verified { tenant: tenant.clone(), to: 0, hash: head.hash, erased: 0 });
    };
    let mut at = match from.saturating_sub(1) {
        0 => Head::empty(tenant),
        before => match store.read(tenant, before - 1, 1)?.first() {
            Some(entry) if entry.header.seq == before => entry.head(),
            _ => return Err(Damage::new(DamageKind::Dropped, tenant, Some(before), "it is missing").into()),
        },
    };
    let sql = format!("SELECT {COLUMNS} FROM entries WHERE tenant = ?1 AND seq > ?2 ORDER BY seq");
    let (mut misfit, mut erased) = (None, 0);
    {
        let mut select = store.connection.prepare(&sql)?;
        let mut rows = select.query(params![id, i64::try_from(at.seq).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let seq: i64 = row.get(0)?;
            let stored = Stored::of(row, tenant).map_err(|error| {
                let seq = u64::try_from(seq).ok();
                Damage::new(DamageKind::Changed, tenant, seq, error.to_string())
            })?;
            if let Err(how) = check(&stored.entry, stored.text.as_deref(), tenant, &at) {
                misfit = Some((stored.entry, how));
                break;
            }
            let subject = stored.entry.subject();
            if stored.entry.body.is_some() && stored.subject.as_deref() != subject {
                let detail = "the index of streams names another subject than its body";
                return Err(
                    Damage::new(DamageKind::Changed, tenant, Some(stored.entry.header.seq), detail).into()
                );
            }
            erased += u64::from(stored.entry.body.is_none());
            at = stored.entry.head();
        }
    }
    if let Some((entry, how)) = misfit {
        return Err(diagnose(store, tenant, &at, &entry, how)?.into());
    }
    let recorded = recorded_head(store, tenant, id)?;
    if recorded != at {
        let (kind, detail) = match recorded.seq {
            n if n > at.seq => {
                (DamageKind::Truncated, format!("the chain ends here, and its head is entry {n}"))
            }
            _ => (DamageKind::Changed, format!("the chain goes on past its head, entry {}", recorded.seq)),
        };
        return Err(Damage::new(kind, tenant, Some(at.seq), detail).into());
    }
    Ok(Verified { tenant: tenant.clone(), to: at.seq, hash: at.hash, erased })
}

fn tenant_id(store: &Sqlite, tenant: &TenantPath) -> Result<Option<i64>, VerifyError> {
    use rusqlite::OptionalExtension;
    let find =
        store.connection.query_row("SELECT id FROM tenants WHERE path = ?1", [tenant.as_str()], |r| r.get(0));
    Ok(find.optional()?)
}

fn recorded_head(store: &Sqlite, tenant: &TenantPath, id: i64) -> Result<Head, VerifyError> {
    let mut find = store.connection.prepare("SELECT seq, hash, time FROM heads WHERE tenant = ?1")?;
    let mut rows = find.query([id])?;
    match rows.next()? {
        Some(row) => {
            head(row).map_err(|e| Damage::new(DamageKind::Changed, tenant, None, e.to_string()).into())
        }
        None => Ok(Head::empty(tenant)),
    }
}

/// What happened where an entry does not follow the one before.
fn diagnose(
    store: &mut Sqlite,
    tenant: &TenantPath,
    before: &Head,
    found: &Entry,
    how: Misfit,
) -> Result<Damage, StorageError> {
    let expected = before.seq + 1;
    let at = found.header.seq;
    let damage = |kind, detail: String| Damage::new(kind, tenant, Some(expected), detail);
    if at > expected {
        return Ok(match store.read(tenant, before.seq, 1)?.first() {
            Some(next) => damage(
                DamageKind::Dropped,
                format!(
                    "after entry {} comes entry {}; {} missing",
                    before.seq,
                    next.header.seq,
                    missing(expected, at)
                ),
            ),
            None => damage(DamageKind::Truncated, "the chain ends here".to_owned()),
        });
    }
    if how == Misfit::Body {
        return Ok(damage(DamageKind::Changed, "its body is not what was written".to_owned()));
    }
    // An entry that says of itself that it stands elsewhere: its hash is right for another place.
    let around = store.read(tenant, at.saturating_sub(1), 64)?;
    let fits_here = |entry: &Entry| entry.header.prev == before.hash && stands_at(entry, expected);
    if how == Misfit::Header {
        if let Some(other) = around.iter().skip(1).find(|e| fits_here(e)) {
            let detail = format!("what belongs here stands at entry {}", other.header.seq);
            return Ok(damage(DamageKind::Reordered, detail));
        }
        // The entry after it still follows the one before, so it was put in between; or it is one of before.
        let earlier = store.read(tenant, expected.saturating_sub(65), 64)?;
        if let Some(first) = earlier.iter().find(|e| e.header.seq < expected && e.hash == found.hash) {
            let detail = format!("it is entry {} once more", first.header.seq);
            return Ok(damage(DamageKind::Replayed, detail));
        }
        return Ok(damage(DamageKind::Changed, "its header is not what was written".to_owned()));
    }
    if how == Misfit::Prev {
        if around.iter().skip(1).any(|e| e.header.prev == before.hash) {
            let detail = "the next entry follows the one before it; this one was put in between".to_owned();
            return Ok(damage(DamageKind::Inserted, detail));
        }
        let detail = "it is whole, and follows another entry than the one before".to_owned();
        return Ok(damage(DamageKind::Forked, detail));
    }
    Ok(damage(
        DamageKind::Changed,
        match how {
            Misfit::Time => "it is older than the entry before",
            Misfit::Tenant => "it is of another tenant",
            _ => "its place is not the next one",
        }
        .to_owned(),
    ))
}

/// Whether the hash of an entry is right if it stood at this place.
fn stands_at(entry: &Entry, seq: u64) -> bool {
    let header = crate::entry::Header { seq, ..entry.header.clone() };
    header.hash().is_ok_and(|hash| hash == entry.hash)
}

fn missing(from: u64, to: u64) -> String {
    match to - from {
        1 => format!("entry {from} is"),
        _ => format!("entries {from} to {} are", to - 1),
    }
}

/// Verifies everything in the file.
pub(crate) fn everything(
    store: &mut Sqlite,
    projector: &dyn Projector,
) -> Result<Vec<Verified>, VerifyError> {
    let snapshot = Snapshot::begin(store)?;
    let verified = everything_in_snapshot(snapshot.store, projector);
    snapshot.end();
    verified
}

fn everything_in_snapshot(
    store: &mut Sqlite,
    projector: &dyn Projector,
) -> Result<Vec<Verified>, VerifyError> {
    tables(store)?;
    let tenants = store.tenants()?;
    let mut verified = Vec::with_capacity(tenants.len());
    for tenant in &tenants {
        verified.push(chain_in_snapshot(store, tenant, 1)?);
    }
    strangers(store)?;
    let named = Named::of(store)?;
    blobs(store, &named)?;
    keys(store, &named)?;
    derived(store, projector)?;
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
    for table in ["entries", "heads", "blobs", "projections"] {
        let sql = format!("SELECT count(*) FROM {table} WHERE tenant NOT IN (SELECT id FROM tenants)");
        let count: i64 = store.connection.query_row(&sql, [], |row| row.get(0))?;
        if count > 0 {
            let detail = format!("{count} rows of `{table}` belong to no tenant");
            return Err(Damage { kind: DamageKind::Changed, ..Damage::of_file(detail) }.into());
        }
    }
    let sql = "SELECT path FROM tenants WHERE id NOT IN (SELECT tenant FROM heads) ORDER BY path LIMIT 1";
    let headless: Option<String> =
        store.connection.prepare(sql)?.query_map([], |row| row.get(0))?.next().transpose()?;
    match headless.and_then(|path| path.parse().ok()) {
        Some(tenant) => {
            Err(Damage::new(DamageKind::Truncated, &tenant, None, "it has no entries, though it had some")
                .into())
        }
        None => Ok(()),
    }
}

/// What the bodies of a journal name: documents by tenant, and idempotency keys.
#[derive(Default)]
struct Named {
    documents: BTreeSet<(TenantPath, String)>,
    keys: BTreeSet<String>,
    /// Bodies that were erased may have named any.
    erased: bool,
}

impl Named {
    fn of(store: &mut Sqlite) -> Result<Self, StorageError> {
        let mut named = Self::default();
        store.each_entry(|_, entry, _| {
            let Some(body) = &entry.body else {
                named.erased = true;
                return Ok(());
            };
            let documents = body.value.get(DOCUMENTS).and_then(Value::as_array).into_iter().flatten();
            let tenant = &entry.header.tenant;
            named
                .documents
                .extend(documents.filter_map(Value::as_str).map(|d| (tenant.clone(), d.to_owned())));
            named.keys.extend(body.value.get(KEY).and_then(Value::as_str).map(str::to_owned));
            Ok(())
        })?;
        Ok(named)
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
        if !named.documents.contains(&place) && !named.erased {
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
    let rows: Vec<(String, Vec<u8>, String)> = {
        let mut select = store.connection.prepare("SELECT key, content, entries FROM keys ORDER BY key")?;
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect::<Result<_, _>>()?
    };
    let mut missing = named.keys.clone();
    for (key, content, places) in rows {
        let damage = |kind| Damage { kind, ..Damage::of_file(format!("the idempotency key `{key}`")) };
        missing.remove(&key);
        if !named.keys.contains(&key) && !named.erased {
            return Err(damage(DamageKind::Inserted).into());
        }
        let changed = || damage(DamageKind::Changed);
        let places: Vec<(String, u64)> = serde_json::from_str(&places).map_err(|_| changed())?;
        let mut listed: Vec<(String, String, Value)> = Vec::new();
        let mut erased = false;
        for (tenant, seq) in places {
            let path: TenantPath = tenant.parse().map_err(|_| changed())?;
            let entry = store.read(&path, seq.saturating_sub(1), 1)?.into_iter().next();
            let entry = entry.filter(|e| e.header.seq == seq).ok_or_else(changed)?;
            match entry.body {
                Some(body) => listed.push((tenant, entry.header.kind, Value::Object(body.value))),
                None => erased = true,
            }
        }
        let same = Digest::of_canonical(&listed).is_ok_and(|digest| digest.as_bytes().as_slice() == content);
        if !same && !erased {
            return Err(changed().into());
        }
    }
    match missing.first() {
        Some(key) => {
            let detail = format!("the idempotency key `{key}` is missing");
            Err(Damage { kind: DamageKind::Dropped, ..Damage::of_file(detail) }.into())
        }
        None => Ok(()),
    }
}

/// What is derived from the entries is what follows from them.
fn derived(store: &mut Sqlite, projector: &dyn Projector) -> Result<(), VerifyError> {
    let kept = store.derived_rows()?;
    let fresh = store.derive_anew(projector)?;
    if kept == fresh {
        return Ok(());
    }
    let differs =
        kept.iter().find(|row| !fresh.contains(row)).or_else(|| fresh.iter().find(|row| !kept.contains(row)));
    let what = differs.map_or_else(String::new, |(_, table, key, _)| format!("`{key}` of `{table}`"));
    let detail = format!("{what} is not what follows from the entries");
    Err(Damage { kind: DamageKind::Derived, ..Damage::of_file(detail) }.into())
}
