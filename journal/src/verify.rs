//! Recomputing a chain: its entries must be what was written, one after another.

use cku_base::TenantPath;
use rusqlite::{OptionalExtension, params};

use crate::{
    damage::{Damage, DamageKind, Verified, VerifyError},
    entry::{Entry, Head, Misfit, check},
    sqlite::{COLUMNS, Sqlite, Stored, head},
    store::{ReadError, StorageError, Store},
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
    let at = match from.saturating_sub(1) {
        0 => Head::empty(tenant),
        before => match store.read(tenant, before - 1, 1)?.first() {
            Some(entry) if entry.header.seq == before => entry.head(),
            _ => return Err(Damage::new(DamageKind::Dropped, tenant, Some(before), "it is missing").into()),
        },
    };
    let head = walk(store, tenant, at, &mut |_, _| Ok(()))?;
    Ok(Verified::at(tenant, &head))
}

/// Looks at one state of the file, whoever writes meanwhile.
pub(crate) fn in_one_state<T>(
    store: &mut Sqlite,
    look: impl FnOnce(&mut Sqlite) -> Result<T, VerifyError>,
) -> Result<T, VerifyError> {
    let ours = store.connection.is_autocommit();
    if ours {
        store.connection.execute_batch("BEGIN")?;
    }
    let seen = look(store);
    if ours {
        // Nothing was written, so nothing can be lost by it.
        let _ = store.connection.execute_batch("ROLLBACK");
    }
    seen
}

/// Goes through the entries of a chain after `at`, each of them verified; gives the end of the chain.
///
/// The visitor is given the number of the tenant and the entry, which has its body.
pub(crate) fn walk(
    store: &mut Sqlite,
    tenant: &TenantPath,
    mut at: Head,
    visit: &mut dyn FnMut(i64, &Entry) -> Result<(), VerifyError>,
) -> Result<Head, VerifyError> {
    let Some(id) = tenant_id(store, tenant)? else { return Ok(Head::empty(tenant)) };
    if at.seq == 0 {
        before_the_first(store, tenant, id)?;
    }
    let sql = format!("SELECT {COLUMNS} FROM entries WHERE tenant = ?1 AND seq > ?2 ORDER BY seq");
    let mut misfit = None;
    {
        let mut select = store.connection.prepare(&sql)?;
        let mut rows = select.query(params![id, i64::try_from(at.seq).unwrap_or(i64::MAX)])?;
        while let Some(row) = rows.next()? {
            let seq: i64 = row.get(0)?;
            let Stored { entry, text, subject } = Stored::of(row, tenant).map_err(|error| {
                let seq = u64::try_from(seq).ok();
                Damage::new(DamageKind::Changed, tenant, seq, error.to_string())
            })?;
            let fits = check(&entry, text.as_deref(), tenant, &at);
            // No entry can say yet that a body was erased, so none may be gone.
            if let Err(how) = fits.and_then(|()| entry.body.as_ref().map(|_| ()).ok_or(Misfit::Erased)) {
                misfit = Some((entry, how));
                break;
            }
            if subject.as_deref() != entry.subject() {
                let detail = "the index of streams names another subject than its body";
                return Err(Damage::new(DamageKind::Changed, tenant, Some(entry.header.seq), detail).into());
            }
            visit(id, &entry)?;
            at = entry.head();
        }
    }
    if let Some((entry, how)) = misfit {
        return Err(diagnose(store, tenant, &at, &entry, how).into());
    }
    let Some(recorded) = recorded_head(store, tenant, id)? else {
        let detail = "it has no entries, though it had some";
        return Err(Damage::new(DamageKind::Truncated, tenant, None, detail).into());
    };
    if recorded != at {
        let (kind, detail) = match recorded.seq {
            n if n > at.seq => {
                (DamageKind::Truncated, format!("the chain ends here, and its head is entry {n}"))
            }
            _ => (DamageKind::Changed, format!("the chain goes on past its head, entry {}", recorded.seq)),
        };
        return Err(Damage::new(kind, tenant, Some(at.seq), detail).into());
    }
    Ok(at)
}

/// Chains begin with entry 1: what stands before it is no part of one.
fn before_the_first(store: &Sqlite, tenant: &TenantPath, id: i64) -> Result<(), VerifyError> {
    let sql = "SELECT count(*) FROM entries WHERE tenant = ?1 AND seq < 1";
    match store.connection.query_row(sql, [id], |row| row.get::<_, i64>(0))? {
        0 => Ok(()),
        count => {
            let detail = match count {
                1 => "an entry stands before the first".to_owned(),
                _ => format!("{count} entries stand before the first"),
            };
            Err(Damage::new(DamageKind::Inserted, tenant, None, detail).into())
        }
    }
}

pub(crate) fn tenant_id(store: &Sqlite, tenant: &TenantPath) -> Result<Option<i64>, VerifyError> {
    let find =
        store.connection.query_row("SELECT id FROM tenants WHERE path = ?1", [tenant.as_str()], |r| r.get(0));
    Ok(find.optional()?)
}

/// The head that is recorded of a chain; none where there is no entry to be the head.
fn recorded_head(store: &Sqlite, tenant: &TenantPath, id: i64) -> Result<Option<Head>, VerifyError> {
    let mut find = store.connection.prepare("SELECT seq, hash, time FROM heads WHERE tenant = ?1")?;
    let mut rows = find.query([id])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let head = head(row).map_err(|e| Damage::new(DamageKind::Changed, tenant, None, e.to_string()))?;
    Ok(Some(head).filter(|head| head.seq > 0))
}

/// What happened where an entry does not follow the one before.
fn diagnose(store: &mut Sqlite, tenant: &TenantPath, before: &Head, found: &Entry, how: Misfit) -> Damage {
    let expected = before.seq + 1;
    let at = found.header.seq;
    let damage = |kind, detail: String| Damage::new(kind, tenant, Some(expected), detail);
    let changed = |detail: &str| damage(DamageKind::Changed, detail.to_owned());
    if at > expected {
        let missing = missing(expected, at);
        let detail = format!("after entry {} comes entry {at}; {missing} missing", before.seq);
        return damage(DamageKind::Dropped, detail);
    }
    match how {
        Misfit::Body => changed("its body is not what was written"),
        Misfit::Erased => changed("its body was erased, without an entry that says so"),
        Misfit::Header => header_misfit(store, tenant, before, found).unwrap_or_else(|_| {
            // What cannot be read around it hides nothing: this is the first damage all the same.
            changed("its header is not what was written")
        }),
        Misfit::Prev => match store.read(tenant, at, 64) {
            Ok(after) if after.iter().any(|e| e.header.prev == before.hash) => {
                let detail = "the next entry follows the one before it; this one was put in between";
                damage(DamageKind::Inserted, detail.to_owned())
            }
            Ok(_) => {
                let detail = "it is whole, and follows another entry than the one before";
                damage(DamageKind::Forked, detail.to_owned())
            }
            Err(_) => changed("it follows another entry than the one before"),
        },
        Misfit::Time => changed("it is older than the entry before"),
        Misfit::Tenant => changed("it is of another tenant"),
        Misfit::Seq => changed("its place is not the next one"),
    }
}

/// Of an entry whose hash is not right here: perhaps it is right for another place.
fn header_misfit(
    store: &mut Sqlite,
    tenant: &TenantPath,
    before: &Head,
    found: &Entry,
) -> Result<Damage, StorageError> {
    let expected = before.seq + 1;
    let damage = |kind, detail: String| Damage::new(kind, tenant, Some(expected), detail);
    let fits_here = |entry: &Entry| entry.header.prev == before.hash && stands_at(entry, expected);
    let after = store.read(tenant, found.header.seq, 64)?;
    if let Some(other) = after.iter().find(|e| fits_here(e)) {
        let detail = format!("what belongs here stands at entry {}", other.header.seq);
        return Ok(damage(DamageKind::Reordered, detail));
    }
    let earlier = store.read(tenant, expected.saturating_sub(65), 64)?;
    if let Some(first) = earlier.iter().find(|e| e.header.seq < expected && e.hash == found.hash) {
        let detail = format!("it is entry {} once more", first.header.seq);
        return Ok(damage(DamageKind::Replayed, detail));
    }
    Ok(damage(DamageKind::Changed, "its header is not what was written".to_owned()))
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
