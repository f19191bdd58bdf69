//! The file: its tables, how it is made and opened, and what is refused.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Raised when a journal of before could not be read by this code.
pub const FORMAT: i32 = 1;

/// `cku1`: says that a database is a journal.
const APPLICATION_ID: i32 = 0x636b_7531;

/// How long a writer waits for another one.
const BUSY: Duration = Duration::from_secs(10);

pub(crate) const TABLES: &str = "
CREATE TABLE tenants (id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE entries (
  tenant INTEGER NOT NULL, seq INTEGER NOT NULL, time INTEGER NOT NULL, kind TEXT NOT NULL,
  prev BLOB NOT NULL, body_hash BLOB NOT NULL, hash BLOB NOT NULL,
  subject TEXT, salt BLOB, body BLOB,
  PRIMARY KEY (tenant, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX streams ON entries (tenant, subject, seq);
CREATE TABLE heads (tenant INTEGER PRIMARY KEY, seq INTEGER NOT NULL, hash BLOB NOT NULL, time INTEGER NOT NULL) STRICT;
CREATE TABLE blobs (tenant INTEGER NOT NULL, digest BLOB NOT NULL, bytes BLOB NOT NULL, UNIQUE (tenant, digest)) STRICT;
CREATE TABLE keys (key TEXT PRIMARY KEY, content BLOB NOT NULL, entries TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE projections (
  tenant INTEGER NOT NULL, name TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (tenant, name, key)
) STRICT, WITHOUT ROWID;
";

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

/// Makes an empty journal that only its owner can read.
pub(crate) fn create(path: &Path) -> Result<Connection, OpenError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Err(OpenError::Exists),
        Err(error) => return Err(OpenError::Unusable(format!("it cannot be made: {error}"))),
    }
    let made = connect(path).and_then(|connection| {
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection
            .execute_batch(&format!("BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {FORMAT}; COMMIT"))?;
        Ok(connection)
    });
    made.map_err(|error| {
        // Nobody else can know the file yet: it was made here.
        let _ = fs::remove_file(path);
        unusable(&error)
    })
}

/// Opens a journal to write.
pub(crate) fn open(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::Missing);
    }
    let connection = connect(path).map_err(|e| unusable(&e))?;
    check(&connection)?;
    Ok(connection)
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

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Each commit is on the disk before it is answered.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    Ok(connection)
}

/// Refuses what is no journal, or one of another format.
fn check(connection: &Connection) -> Result<(), OpenError> {
    let number = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i32>(0));
    let application = number("application_id").map_err(|e| unusable(&e))?;
    if application != APPLICATION_ID {
        return Err(OpenError::NotAJournal);
    }
    match number("user_version").map_err(|e| unusable(&e))? {
        FORMAT => Ok(()),
        found => Err(OpenError::OtherFormat { found }),
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
            "the file is damaged; `cku journal verify` says more"
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
