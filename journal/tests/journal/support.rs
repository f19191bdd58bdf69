//! Journals for tests: a clock that counts, salts that count, and rows that count entries.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use cku_base::{TenantPath, Timestamp};
use cku_journal::{Command, Draft, Entry, Journal, Kind, Options, ProjectError, Projector, Rows};
use serde_json::{Map, Value, json};

/// Counts the entries of each subject; refuses what says so.
pub(crate) struct Counts;

impl Projector for Counts {
    fn project(&self, entry: &Entry, rows: &mut dyn Rows) -> Result<(), ProjectError> {
        let Some(subject) = entry.subject() else { return Ok(()) };
        if let Some(row) = entry.body.as_ref().and_then(|b| b.value.get("row")?.as_str()) {
            return rows.put("authority", row, json!(true));
        }
        if entry.body.as_ref().is_some_and(|b| b.value.contains_key("refused")) {
            rows.put("counts", "garbage", json!("must not stay"))?;
            return Err(ProjectError::new("it is refused"));
        }
        let count = rows.get("counts", subject)?.and_then(|v| v.as_u64()).unwrap_or(0);
        rows.put("counts", subject, json!(count + 1))
    }

    fn authority(&self) -> &[&str] {
        &["authority"]
    }
}

/// The time in steps of a second from 2026-11-20T12:00:00Z.
pub(crate) fn counting_clock() -> Arc<dyn Fn() -> Timestamp + Send + Sync> {
    let ticks = AtomicU64::new(0);
    let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    Arc::new(move || {
        let tick = ticks.fetch_add(1, Ordering::SeqCst);
        noon.after(std::time::Duration::from_secs(tick)).unwrap()
    })
}

pub(crate) fn options() -> Options {
    Options { clock: counting_clock(), projector: Arc::new(Counts), ..Options::default() }
}

pub(crate) fn tenant(text: &str) -> TenantPath {
    text.parse().unwrap()
}

pub(crate) fn body(subject: &str, says: Value) -> Map<String, Value> {
    let Value::Object(mut members) = json!({"actor": "test", "subject": subject}) else { unreachable!() };
    members.insert("says".to_owned(), says);
    members
}

pub(crate) fn draft(at: &str, subject: &str, says: Value) -> Draft {
    Draft { tenant: tenant(at), kind: Kind::VoteCast, body: body(subject, says) }
}

pub(crate) fn command(drafts: Vec<Draft>) -> Command {
    Command { drafts, ..Command::default() }
}

/// A journal in a folder of its own.
pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("journal.db")
    }

    pub(crate) fn create(&self) -> Journal {
        Journal::create(&self.path(), options()).unwrap()
    }

    pub(crate) fn open(&self) -> Journal {
        Journal::open(&self.path(), options()).unwrap()
    }
}

/// Entries of two tenants in a few streams, with keys, documents and rows.
pub(crate) fn filled(path: &Path, entries: usize) -> Journal {
    let journal = Journal::create(path, options()).unwrap();
    for n in 0..entries {
        let at = if n % 3 == 0 { "globex" } else { "acme/payments" };
        let mut command =
            command(vec![draft(at, &format!("run:{}", n % 5), json!({"n": n, "text": "größer ✓"}))]);
        command.key = (n % 4 == 0).then(|| format!("key-{n}"));
        if n % 5 == 0 {
            command.blobs.push((tenant(at), format!("document {n} ").repeat(20).into_bytes()));
        }
        journal.append(command).unwrap();
    }
    journal
}
