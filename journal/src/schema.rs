//! The file: its tables, how it is made and opened, and what is refused.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Raised when a journal of before could not be read by this code.
pub const FORMAT: i32 = 2;

/// `cku1`: says that a database is a journal.
const APPLICATION_ID: i32 = 0x636b_7531;

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(10);

/// The entries about authority, as a condition; [`crate::Kind::is_authority`] says the same.
macro_rules! authority {
    () => {
        "kind IN ('genesis/1', 'role.granted/1', 'role.revoked/1', 'key.trusted/1', 'key.revoked/1', 'session.revoked/1', 'killswitch.set/1', 'freeze.set/1', 'bundle.activated/1', 'issuer.trusted/1', 'issuer.revoked/1', 'key.learned/1', 'key.retired/1', 'account.opened/1', 'account.closed/1', 'credential.issued/1')"
    };
}
pub(crate) const AUTHORITY: &str = authority!();

/// The index of entries about authority.
const INDEX: &str = concat!("CREATE INDEX authority ON entries (tenant, seq) WHERE ", authority!());

pub(crate) const TABLES: &str = concat!(
    "
CREATE TABLE tenants (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE entries (
  tenant INTEGER NOT NULL, seq INTEGER NOT NULL, time INTEGER NOT NULL, kind TEXT NOT NULL,
  prev BLOB NOT NULL, body_hash BLOB NOT NULL, hash BLOB NOT NULL,
  subject TEXT, salt BLOB, body BLOB,
  PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX streams ON entries (tenant, subject, seq);
CREATE INDEX authority ON entries (tenant, seq) WHERE ",
    authority!(),
    ";
CREATE TABLE heads (tenant INTEGER PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL, time INTEGER NOT NULL) STRICT;
CREATE TABLE blobs (tenant INTEGER NOT NULL, digest BLOB NOT NULL, bytes BLOB NOT NULL, UNIQUE (tenant, digest)) STRICT;
CREATE TABLE keys (
  tenant INTEGER NOT NULL, key TEXT NOT NULL, content BLOB NOT NULL, entries TEXT NOT NULL,
  PRIMARY KEY (tenant, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE projections (
  tenant INTEGER NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (tenant, name, key)
) STRICT, WITHOUT ROWID;
"
);

/// Why a journal cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is something already.
    #[error("there is a file already; name another one")]
    Exists,
    /// There is nothing.
    #[error("there is no such file")]
    Missing,
    /// It is something else.
    #[error("it is not a journal of cku; name the file that `cku init` made")]
    NotAJournal,
    /// Another version of cku made it.
    #[error(
        "it has the format {found}, and this version of cku reads format {FORMAT}; use the version of cku that made it"
    )]
    OtherFormat {
        /// What it says.
        found: i32,
    },
    /// It cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// Its end is damaged.
    #[error("{0}")]
    Damaged(String),
}

/// A journal in the making, under a name of its own, which is gone with this.
///
/// Nobody ever finds half a journal: it gets its name when all of it is on the disk.
#[derive(Debug)]
pub(crate) struct Making {
    temporary: PathBuf,
}

impl Making {
    /// Begins to make the journal at `path`, beside it.
    pub(crate) fn of(path: &Path) -> Result<Self, OpenError> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(OpenError::Exists);
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|e| OpenError::Unusable(format!("no random bytes: {e}")))?;
        let name = format!(".new-{:016x}", u64::from_be_bytes(random));
        Ok(Self { temporary: with_suffix(path, &name) })
    }

    /// Where it is made.
    pub(crate) fn path(&self) -> &Path {
        &self.temporary
    }

    /// Makes its empty tables; only its owner can read them.
    pub(crate) fn create(&self) -> Result<Connection, OpenError> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.temporary);
        made.map_err(|error| OpenError::Unusable(format!("it cannot be made: {error}")))?;
        let connection = connect(&self.temporary)?;
        settle(&connection)?;
        let tables = format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {FORMAT}; COMMIT");
        connection
            .pragma_update(None, "application_id", APPLICATION_ID)
            .and_then(|()| connection.execute_batch(&tables))
            .map_err(|e| unusable(&e))?;
        Ok(connection)
    }

    /// Gives it its name, once everybody has closed it; it is there after a crash from then on.
    pub(crate) fn publish(self, path: &Path) -> Result<(), OpenError> {
        if with_suffix(&self.temporary, "-wal").exists() {
            return Err(OpenError::Unusable("it is still written to where it was made".to_owned()));
        }
        let failed = |error: std::io::Error| match error.kind() {
            ErrorKind::AlreadyExists => OpenError::Exists,
            _ => OpenError::Unusable(format!(
                "it cannot be given its name: {error}; keep it on a disk that has hard links"
            )),
        };
        File::open(&self.temporary).and_then(|file| file.sync_all()).map_err(failed)?;
        // A link, since a rename would put it in the place of one that somebody else made meanwhile.
        fs::hard_link(&self.temporary, path).map_err(failed)?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm"] {
            // What is not there need not be taken away.
            let _ = fs::remove_file(with_suffix(&self.temporary, suffix));
        }
    }
}

/// Opens a journal to write; what is none is left as it is, to the byte.
pub(crate) fn open(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing);
    }
    check_header(path)?;
    let connection = connect(path)?;
    check(&connection)?;
    settle(&connection)?;
    if !is_indexed(&connection) {
        // It was made when fewer kinds were about authority.
        let again = format!("BEGIN IMMEDIATE; DROP INDEX IF EXISTS authority; {INDEX}; COMMIT");
        connection.execute_batch(&again).map_err(|e| unusable(&e))?;
    }
    Ok(connection)
}

/// Whether the file has the index of the entries about authority as they are now; a file of before that is
/// only read has none that helps.
pub(crate) fn is_indexed(connection: &Connection) -> bool {
    let sql = "SELECT sql FROM sqlite_schema WHERE type = 'index' AND name = 'authority'";
    connection.query_row(sql, [], |row| row.get::<_, String>(0)).is_ok_and(|sql| sql == INDEX)
}

/// Opens a journal to read; nothing of it changes.
pub(crate) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing);
    }
    let opened = read_connection(path, false).and_then(|connection| {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    let connection = match opened {
        Ok(connection) => connection,
        // In a folder that cannot be written, what only helps several processes is left away, if the
        // file holds everything.
        Err(_) if !with_suffix(path, "-wal").exists() => {
            read_connection(path, true).map_err(|e| unusable(&e))?
        }
        Err(error) => return Err(unusable(&error)),
    };
    check(&connection)?;
    Ok(connection)
}

fn read_connection(path: &Path, immutable: bool) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let name: String = path.to_string_lossy().bytes().map(escaped).collect();
    let immutable = if immutable { "&immutable=1" } else { "" };
    let connection = Connection::open_with_flags(format!("file:{name}?mode=ro{immutable}"), flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn escaped(byte: u8) -> String {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => char::from(byte).to_string(),
        _ => format!("%{byte:02x}"),
    }
}

fn connect(path: &Path) -> Result<Connection, OpenError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|e| unusable(&e))?;
    connection.busy_timeout(BUSY).map_err(|e| unusable(&e))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

/// Makes each commit be on the disk before it is answered, and sees that it is so.
fn settle(connection: &Connection) -> Result<(), OpenError> {
    let set = || {
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)
    };
    set().map_err(|e| unusable(&e))?;
    durable(connection)
}

/// SQLite's number of `synchronous = FULL`.
const FULL: i64 = 2;

/// Refuses a connection whose commits may be lost: a pragma that cannot be followed is no error.
fn durable(connection: &Connection) -> Result<(), OpenError> {
    let mode = connection.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0));
    let synchronous = connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0));
    let (mode, synchronous) = (mode.map_err(|e| unusable(&e))?, synchronous.map_err(|e| unusable(&e))?);
    if mode == "wal" && synchronous == FULL {
        return Ok(());
    }
    Err(OpenError::Unusable(format!(
        "what is written to it could be lost (journal_mode {mode}, synchronous {synchronous}); keep it on a local disk"
    )))
}

/// Refuses what is no journal by its first bytes, before anything that could change it.
fn check_header(path: &Path) -> Result<(), OpenError> {
    // https://www.sqlite.org/fileformat.html#the_database_header
    let mut header = [0; 100];
    // Opening a pipe would wait for somebody to write into it.
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(OpenError::NotAJournal);
    }
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut header));
    match read {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(OpenError::NotAJournal),
        Err(error) => return Err(OpenError::Unusable(format!("it cannot be read: {error}"))),
    }
    let number = |at: usize| {
        let bytes = header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, i32::from_be_bytes)
    };
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(OpenError::NotAJournal);
    }
    of_this_format(number(68), number(60))
}

/// Refuses what is no journal, or one of another format.
fn check(connection: &Connection) -> Result<(), OpenError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = number("application_id").map_err(|e| unusable(&e))?;
    of_this_format(application, number("user_version").map_err(|e| unusable(&e))?)
}

fn of_this_format(application: i32, format: i32) -> Result<(), OpenError> {
    match (application, format) {
        (APPLICATION_ID, FORMAT) => Ok(()),
        (APPLICATION_ID, found) => Err(OpenError::OtherFormat { found }),
        _ => Err(OpenError::NotAJournal),
    }
}

fn unusable(error: &rusqlite::Error) -> OpenError {
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotAJournal,
        _ => OpenError::Unusable(words(error)),
    }
}

/// What went wrong with the file, and what to do about it.
pub(crate) fn words(error: &rusqlite::Error) -> String {
    let advice = match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full; make room and try again, nothing was lost",
        Some(ErrorCode::ReadOnly) => "the file or its folder is read-only; make both writable",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another process keeps it locked; wait for it, or end it"
        }
        Some(ErrorCode::CannotOpen) => "the file cannot be opened; look at its name and its permissions",
        Some(ErrorCode::PermissionDenied) => "access is denied; look at its permissions",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "the file is damaged; restore the journal from a copy, and keep this one to look at"
        }
        Some(ErrorCode::SystemIoFailure) => "reading or writing failed; look at the disk",
        _ => "look at the file",
    };
    format!("{advice} ({error})")
}

/// A file beside the journal.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    #[test]
    fn the_index_of_authority_has_the_kinds_of_authority() {
        let listed = Kind::KNOWN.iter().filter(|kind| AUTHORITY.contains(&format!("'{kind}'")));
        assert!(listed.eq(Kind::KNOWN.iter().filter(|kind| kind.is_authority())));
        assert_eq!(AUTHORITY.matches('/').count(), Kind::KNOWN.iter().filter(|k| k.is_authority()).count());
    }

    #[test]
    fn a_file_of_before_has_its_index_made_anew_once_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let making = Making::of(&path).unwrap();
        let connection = making.create().unwrap();
        assert!(is_indexed(&connection));
        let before = "DROP INDEX authority; CREATE INDEX authority ON entries (tenant, seq) WHERE kind IN ('genesis/1')";
        connection.execute_batch(before).unwrap();
        drop(connection);
        making.publish(&path).unwrap();
        assert!(!is_indexed(&open_to_read(&path).unwrap()));
        assert!(is_indexed(&open(&path).unwrap()));
        assert!(is_indexed(&open_to_read(&path).unwrap()));
    }

    #[test]
    fn a_connection_whose_commits_may_be_lost_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let making = Making::of(&path).unwrap();
        drop(making.create().unwrap());
        making.publish(&path).unwrap();
        let connection = open(&path).unwrap();
        assert_eq!(durable(&connection), Ok(()));
        connection.pragma_update(None, "synchronous", "normal").unwrap();
        assert!(durable(&connection).unwrap_err().to_string().contains("synchronous 1"));
        // In memory there is no write-ahead log, and asking for one is no error.
        let memory = Connection::open_in_memory().unwrap();
        assert!(settle(&memory).unwrap_err().to_string().contains("journal_mode memory"));
    }
}
