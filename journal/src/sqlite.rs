//! The journal in one SQLite file.

use std::{collections::HashMap, path::Path};

use cku_base::{Digest, TenantPath, Timestamp, canonical};
use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::{Map, Value};

use crate::{
    command::{AppendError, Appended, RowGuard},
    entry::{Body, Entry, Head, Header, Prepared},
    projection::{ProjectError, Projector, Rows},
    schema::{self, AUTHORITY, Making, OpenError, words},
    store::{Ready, StorageError, Store},
};

/// A connection to the file.
#[derive(Debug)]
pub(crate) struct Sqlite {
    pub(crate) connection: Connection,
    tenants: HashMap<TenantPath, i64>,
    /// How entries about authority are found: by their index, where the file has it.
    pub(crate) by_authority: &'static str,
}

/// Why one command of a batch does not go on: refused, or the file failed.
enum Stop {
    Refused(AppendError),
    Storage(StorageError),
}

impl From<rusqlite::Error> for StorageError {
    fn from(error: rusqlite::Error) -> Self {
        Self(words(&error))
    }
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<StorageError> for Stop {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

impl Sqlite {
    pub(crate) fn create(making: &Making) -> Result<Self, OpenError> {
        making.create().map(Self::over)
    }

    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        schema::open(path).map(Self::over)
    }

    pub(crate) fn open_to_read(path: &Path) -> Result<Self, OpenError> {
        schema::open_to_read(path).map(Self::over)
    }

    fn over(connection: Connection) -> Self {
        let by_authority = if schema::is_indexed(&connection) { "INDEXED BY authority" } else { "" };
        Self { connection, tenants: HashMap::new(), by_authority }
    }

    /// The number of a tenant; none for one without entries.
    fn tenant(&mut self, tenant: &TenantPath) -> Result<Option<i64>, StorageError> {
        if let Some(id) = self.tenants.get(tenant) {
            return Ok(Some(*id));
        }
        let mut find = self.connection.prepare_cached("SELECT id FROM tenants WHERE path = ?1")?;
        let id = find.query_row([tenant.as_str()], |row| row.get(0)).optional()?;
        if let Some(id) = id {
            self.tenants.insert(tenant.clone(), id);
        }
        Ok(id)
    }

    /// The number of a tenant and the end of its chain, inside a transaction; a new tenant gets a number.
    fn place_of(&mut self, tenant: &TenantPath) -> Result<(i64, Head), StorageError> {
        if let Some(id) = self.tenant(tenant)? {
            // A tenant gets its number with its first entry: one without entries has lost them.
            let lost = || {
                StorageError(format!(
                    "the chain of {tenant} has lost its entries; `cku journal verify` says more"
                ))
            };
            return Ok((id, self.head_of(id)?.ok_or_else(lost)?));
        }
        self.connection.execute("INSERT INTO tenants (path) VALUES (?1)", [tenant.as_str()])?;
        // Not remembered: the transaction may be taken back.
        Ok((self.connection.last_insert_rowid(), Head::empty(tenant)))
    }

    fn entries(
        &mut self,
        tenant: &TenantPath,
        condition: &str,
        parameters: &[&dyn rusqlite::ToSql],
    ) -> Result<Vec<Entry>, StorageError> {
        let sql = format!("SELECT {COLUMNS} FROM entries {condition}");
        let mut select = self.connection.prepare_cached(&sql)?;
        let mut rows = select.query(parameters)?;
        let mut entries = Vec::new();
        while let Some(row) = rows.next()? {
            entries.push(Stored::of(row, tenant)?.entry);
        }
        Ok(entries)
    }

    /// The end of a chain.
    fn head_of(&self, id: i64) -> Result<Option<Head>, StorageError> {
        let mut find =
            self.connection.prepare_cached("SELECT seq, hash, time FROM heads WHERE tenant = ?1")?;
        let mut rows = find.query([id])?;
        let head = rows.next()?.map(head).transpose()?;
        Ok(head.filter(|head| head.seq > 0))
    }

    fn write(&mut self, ready: &Ready, projector: &dyn Projector, now: Timestamp) -> Result<Appended, Stop> {
        let first_tenant = ready.drafts.first().map(|draft| &draft.tenant);
        if let (Some((key, content)), Some(tenant)) = (&ready.key, first_tenant)
            && let Some(first) = self.first_of(tenant, key, content)?
        {
            return Ok(Appended { entries: first, repeated: true });
        }
        self.is_still_so(ready)?;
        let mut entries = Vec::with_capacity(ready.drafts.len());
        for draft in &ready.drafts {
            let (id, head) = self.place_of(&draft.tenant)?;
            let sealed = draft.seal(&head, now);
            let entry = sealed.map_err(|e| Stop::Refused(AppendError::Unfit(e.to_string())))?;
            self.insert(id, draft, &entry)?;
            let mut rows = SqliteRows { connection: &self.connection, tenant: id };
            projector.project(&entry, &mut rows).map_err(|error| match error.storage {
                true => Stop::Storage(StorageError(error.to_string())),
                false => Stop::Refused(AppendError::Projection(error.to_string())),
            })?;
            entries.push(entry);
        }
        // Each of these tenants has an entry by now, which names the document.
        for (tenant, digest, bytes) in &ready.blobs {
            let (id, _) = self.place_of(tenant)?;
            let sql = "INSERT INTO blobs (tenant, digest, bytes) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
            self.connection.prepare_cached(sql)?.execute(params![id, digest.as_bytes(), bytes])?;
        }
        if let (Some((key, content)), Some(tenant)) = (&ready.key, first_tenant) {
            let (id, _) = self.place_of(tenant)?;
            let places: Vec<_> = entries.iter().map(|e| (e.header.tenant.as_str(), e.header.seq)).collect();
            let places = serde_json::to_string(&places)
                .map_err(|e| Stop::Refused(AppendError::Unfit(e.to_string())))?;
            let sql = "INSERT INTO keys (tenant, key, content, entries) VALUES (?1, ?2, ?3, ?4)";
            self.connection.prepare_cached(sql)?.execute(params![id, key, content.as_bytes(), places])?;
        }
        Ok(Appended { entries, repeated: false })
    }

    /// Refuses a command of whose guards one does not hold any more.
    fn is_still_so(&mut self, ready: &Ready) -> Result<(), Stop> {
        for guard in &ready.guards {
            let last = match self.tenant(&guard.tenant)? {
                Some(id) => self.last_of(id, &guard.subject)?,
                None => 0,
            };
            if last != guard.after {
                let (subject, expected) = (guard.subject.clone(), guard.after);
                return Err(Stop::Refused(AppendError::Conflict { subject, expected, last }));
            }
        }
        for RowGuard { tenant, table, key, value } in &ready.rows {
            if Store::row(self, tenant, table, key)? != *value {
                let (table, key) = (table.clone(), key.clone());
                return Err(Stop::Refused(AppendError::Outdated { table, key }));
            }
        }
        Ok(())
    }

    fn insert(&self, id: i64, draft: &Prepared, entry: &Entry) -> Result<(), StorageError> {
        let Header { seq, time, kind, prev, body_hash, .. } = &entry.header;
        let seq = place(*seq)?;
        let micros = time.unix_micros();
        let sql = "INSERT INTO entries (tenant, seq, time, kind, prev, body_hash, hash, subject, salt, body)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        self.connection.prepare_cached(sql)?.execute(params![
            id,
            seq,
            micros,
            kind,
            prev.as_bytes(),
            body_hash.as_bytes(),
            entry.hash.as_bytes(),
            entry.subject(),
            draft.body.salt,
            draft.text,
        ])?;
        let sql = "INSERT INTO heads (tenant, seq, hash, time) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (tenant) DO UPDATE SET seq = ?2, hash = ?3, time = ?4";
        self.connection.prepare_cached(sql)?.execute(params![id, seq, entry.hash.as_bytes(), micros])?;
        Ok(())
    }

    /// The entries that a key of a tenant stands for; another content under the same key is refused.
    fn first_of(
        &mut self,
        tenant: &TenantPath,
        key: &str,
        content: &Digest,
    ) -> Result<Option<Vec<Entry>>, Stop> {
        let Some(id) = self.tenant(tenant)? else { return Ok(None) };
        let sql = "SELECT content, entries FROM keys WHERE tenant = ?1 AND key = ?2";
        let mut find = self.connection.prepare_cached(sql)?;
        let found = find
            .query_row(params![id, key], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)))
            .optional()?;
        drop(find);
        let Some((known, places)) = found else { return Ok(None) };
        if known != content.as_bytes() {
            return Err(Stop::Refused(AppendError::KeyReused { key: key.to_owned() }));
        }
        let damaged = || StorageError(format!("the row of the idempotency key `{key}` is damaged"));
        let places: Vec<(String, u64)> = serde_json::from_str(&places).map_err(|_| damaged())?;
        let mut entries = Vec::with_capacity(places.len());
        for (tenant, seq) in places {
            let tenant: TenantPath = tenant.parse().map_err(|_| damaged())?;
            let found = Store::read(self, &tenant, seq.saturating_sub(1), 1)?;
            entries.extend(found.into_iter().filter(|e| e.header.seq == seq));
        }
        Ok(Some(entries))
    }

    fn last_of(&self, tenant: i64, subject: &str) -> Result<u64, StorageError> {
        let sql = "SELECT max(seq) FROM entries WHERE tenant = ?1 AND subject = ?2";
        let last: Option<i64> =
            self.connection.prepare_cached(sql)?.query_row(params![tenant, subject], |row| row.get(0))?;
        Ok(last.and_then(|l| u64::try_from(l).ok()).unwrap_or(0))
    }
}

impl Store for Sqlite {
    fn append(
        &mut self,
        batch: &[Ready],
        projector: &dyn Projector,
        now: Timestamp,
    ) -> Result<Vec<Result<Appended, AppendError>>, StorageError> {
        let begin = |c: &Connection, sql: &str| c.prepare_cached(sql)?.execute([]).map(|_| ());
        begin(&self.connection, "BEGIN IMMEDIATE")?;
        let mut answers = Vec::with_capacity(batch.len());
        for ready in batch {
            begin(&self.connection, "SAVEPOINT command")?;
            match self.write(ready, projector, now) {
                Ok(appended) => answers.push(Ok(appended)),
                Err(Stop::Refused(refusal)) => {
                    begin(&self.connection, "ROLLBACK TO command")?;
                    // A tenant that was new in it is none again.
                    self.tenants.clear();
                    answers.push(Err(refusal));
                }
                // The connection goes, and the transaction with it.
                Err(Stop::Storage(error)) => return Err(error),
            }
            begin(&self.connection, "RELEASE command")?;
        }
        begin(&self.connection, "COMMIT")?;
        Ok(answers)
    }

    fn read(&mut self, tenant: &TenantPath, after: u64, limit: usize) -> Result<Vec<Entry>, StorageError> {
        let Some(id) = self.tenant(tenant)? else { return Ok(Vec::new()) };
        let (after, limit) = (place(after)?, i64::try_from(limit).unwrap_or(i64::MAX));
        let condition = "WHERE tenant = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
        self.entries(tenant, condition, &[&id, &after, &limit])
    }

    fn stream(&mut self, tenant: &TenantPath, subject: &str) -> Result<Vec<Entry>, StorageError> {
        let Some(id) = self.tenant(tenant)? else { return Ok(Vec::new()) };
        self.entries(tenant, STREAM, &[&id, &subject])
    }

    fn head(&mut self, tenant: &TenantPath) -> Result<Option<Head>, StorageError> {
        let Some(id) = self.tenant(tenant)? else { return Ok(None) };
        self.head_of(id)
    }

    fn authority_entries(&mut self) -> Result<u64, StorageError> {
        let sql = format!("SELECT count(*) FROM entries {} WHERE {AUTHORITY}", self.by_authority);
        let mut select = self.connection.prepare_cached(&sql)?;
        let count: i64 = select.query_row([], |row| row.get(0))?;
        Ok(count.unsigned_abs())
    }

    fn tenants(&mut self) -> Result<Vec<TenantPath>, StorageError> {
        let mut select = self.connection.prepare_cached("SELECT path FROM tenants ORDER BY path")?;
        let paths = select.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        paths
            .into_iter()
            .map(|p| p.parse().map_err(|e| StorageError(format!("a tenant is damaged: {e}"))))
            .collect()
    }

    fn blob(&mut self, tenant: &TenantPath, digest: &Digest) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(id) = self.tenant(tenant)? else { return Ok(None) };
        let sql = "SELECT bytes FROM blobs WHERE tenant = ?1 AND digest = ?2";
        let mut find = self.connection.prepare_cached(sql)?;
        let bytes: Option<Vec<u8>> =
            find.query_row(params![id, digest.as_bytes()], |row| row.get(0)).optional()?;
        bytes.map(|bytes| unpack(&bytes, digest)).transpose()
    }

    fn row(&mut self, tenant: &TenantPath, table: &str, key: &str) -> Result<Option<Value>, StorageError> {
        let Some(id) = self.tenant(tenant)? else { return Ok(None) };
        let mut rows = SqliteRows { connection: &self.connection, tenant: id };
        rows.get(table, key).map_err(|e| StorageError(e.to_string()))
    }

    fn rows(&mut self, tenant: &TenantPath, table: &str) -> Result<Vec<(String, Value)>, StorageError> {
        let Some(id) = self.tenant(tenant)? else { return Ok(Vec::new()) };
        let sql = "SELECT key, value FROM projections WHERE tenant = ?1 AND name = ?2 ORDER BY key";
        let mut select = self.connection.prepare_cached(sql)?;
        let mut rows = select.query(params![id, table])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let value: String = row.get(1)?;
            found.push((row.get(0)?, json(&value).map_err(|e| StorageError(e.to_string()))?));
        }
        Ok(found)
    }
}

/// The rows of a tenant, inside a transaction.
pub(crate) struct SqliteRows<'c> {
    pub(crate) connection: &'c Connection,
    pub(crate) tenant: i64,
}

impl Rows for SqliteRows<'_> {
    fn get(&mut self, table: &str, key: &str) -> Result<Option<Value>, ProjectError> {
        let sql = "SELECT value FROM projections WHERE tenant = ?1 AND name = ?2 AND key = ?3";
        let mut find = self.connection.prepare_cached(sql).map_err(storage)?;
        let found = find.query_row(params![self.tenant, table, key], |row| row.get::<_, String>(0));
        found.optional().map_err(storage)?.map(|text| json(&text)).transpose()
    }

    fn put(&mut self, table: &str, key: &str, value: Value) -> Result<(), ProjectError> {
        let sql = "INSERT INTO projections (tenant, name, key, value) VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (tenant, name, key) DO UPDATE SET value = ?4";
        let mut insert = self.connection.prepare_cached(sql).map_err(storage)?;
        insert.execute(params![self.tenant, table, key, written(&value)?]).map_err(storage)?;
        Ok(())
    }

    fn remove(&mut self, table: &str, key: &str) -> Result<(), ProjectError> {
        let sql = "DELETE FROM projections WHERE tenant = ?1 AND name = ?2 AND key = ?3";
        let mut delete = self.connection.prepare_cached(sql).map_err(storage)?;
        delete.execute(params![self.tenant, table, key]).map_err(storage)?;
        Ok(())
    }
}

/// A derived value as it is kept: canonical, since bodies come in other orders than they are kept in.
pub(crate) fn written(value: &Value) -> Result<String, ProjectError> {
    let text = canonical::to_vec(value).map_err(|e| ProjectError::storage(e.to_string()))?;
    String::from_utf8(text).map_err(|e| ProjectError::storage(e.to_string()))
}

fn storage(error: rusqlite::Error) -> ProjectError {
    ProjectError::storage(words(&error))
}

fn json(text: &str) -> Result<Value, ProjectError> {
    serde_json::from_str(text).map_err(|e| ProjectError::storage(format!("a derived row is damaged: {e}")))
}

/// An entry as it is stored.
pub(crate) struct Stored {
    pub(crate) entry: Entry,
    /// The bytes of its body, which were hashed.
    pub(crate) text: Option<Vec<u8>>,
    /// What the index of streams says.
    pub(crate) subject: Option<String>,
}

/// The columns of an entry, in the order that [`Stored::of`] reads.
pub(crate) const COLUMNS: &str = "seq, time, kind, prev, body_hash, hash, subject, salt, body";

/// The entries about a subject. Left to itself, SQLite goes through all entries of the tenant, as these are in
/// order.
const STREAM: &str = "INDEXED BY streams WHERE tenant = ?1 AND subject = ?2 ORDER BY seq";

impl Stored {
    pub(crate) fn of(row: &Row<'_>, tenant: &TenantPath) -> Result<Self, StorageError> {
        let seq: i64 = row.get(0)?;
        let damaged = |what: &str| StorageError(format!("entry {seq} of {tenant} is damaged: {what}"));
        let time = Timestamp::from_unix_micros(row.get(1)?).ok_or_else(|| damaged("its time is none"))?;
        let text: Option<Vec<u8>> = row.get(8)?;
        let salt: Option<Vec<u8>> = row.get(7)?;
        let body = match (&text, salt) {
            (Some(text), Some(salt)) => {
                let value: Map<String, Value> =
                    serde_json::from_slice(text).map_err(|_| damaged("its body is not JSON"))?;
                let salt = salt.try_into().map_err(|_| damaged("its salt has another length"))?;
                Some(Body { salt, value: value.into() })
            }
            (None, None) => None,
            _ => return Err(damaged("of body and salt one is missing")),
        };
        let digest = |column: usize, what: &str| -> Result<Digest, StorageError> {
            let bytes: Vec<u8> = row.get(column)?;
            bytes.try_into().map(Digest::from_bytes).map_err(|_| damaged(what))
        };
        let header = Header {
            tenant: tenant.clone(),
            seq: u64::try_from(seq).map_err(|_| damaged("its place is negative"))?,
            time,
            kind: row.get(2)?,
            prev: digest(3, "what it points back to is no hash")?,
            body_hash: digest(4, "its body's hash is none")?,
        };
        let hash = digest(5, "its hash is none")?;
        Ok(Self { entry: Entry { header, body, hash }, text, subject: row.get(6)? })
    }
}

/// A head from a row of seq, hash, time.
pub(crate) fn head(row: &Row<'_>) -> Result<Head, StorageError> {
    let damaged = || StorageError("a head is damaged".to_owned());
    let hash: Vec<u8> = row.get(1)?;
    Ok(Head {
        seq: u64::try_from(row.get::<_, i64>(0)?).map_err(|_| damaged())?,
        hash: hash.try_into().map(Digest::from_bytes).map_err(|_| damaged())?,
        time: Timestamp::from_unix_micros(row.get(2)?).ok_or_else(damaged)?,
    })
}

fn place(seq: u64) -> Result<i64, StorageError> {
    i64::try_from(seq).map_err(|_| StorageError(format!("{seq} is beyond the places of a chain")))
}

/// The most bytes of a document.
const LARGEST: usize = 256 << 20;

/// Compresses a document.
pub(crate) fn pack(bytes: &[u8]) -> Result<Vec<u8>, AppendError> {
    if bytes.len() > LARGEST {
        return Err(AppendError::Unfit(format!("a document of {} bytes; at most {LARGEST}", bytes.len())));
    }
    zstd::bulk::compress(bytes, 3)
        .map_err(|e| AppendError::Unfit(format!("a document cannot be packed: {e}")))
}

/// Reads a document, and sees that it is the one that was asked for.
pub(crate) fn unpack(packed: &[u8], digest: &Digest) -> Result<Vec<u8>, StorageError> {
    let damaged = || StorageError(format!("the document {digest} is damaged"));
    let size = zstd::zstd_safe::get_frame_content_size(packed).ok().flatten().ok_or_else(damaged)?;
    let size = usize::try_from(size).ok().filter(|size| *size <= LARGEST).ok_or_else(damaged)?;
    let bytes = zstd::bulk::decompress(packed, size).map_err(|_| damaged())?;
    if Digest::of(&bytes) == *digest { Ok(bytes) } else { Err(damaged()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entries_about_a_subject_are_found_without_going_through_all() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(schema::TABLES).unwrap();
        let explain = format!("EXPLAIN QUERY PLAN SELECT {COLUMNS} FROM entries {STREAM}");
        let plan: String =
            connection.query_row(&explain, params![1, "run:1"], |row| row.get("detail")).unwrap();
        insta::assert_snapshot!(plan, @"SEARCH entries USING INDEX streams (tenant=? AND subject=?)");
    }
}
