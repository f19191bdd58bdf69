//! Damage to a copy of a journal: each is found, and named.

use std::path::{Path, PathBuf};

use cku_journal::{Journal, Kind, VerifyError};
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::json;

use crate::support::{command, draft, filled, options, tenant};

/// A journal at rest: everything in one file.
fn at_rest(folder: &Path) -> PathBuf {
    let path = folder.join("journal.db");
    drop(filled(&path, 60));
    let connection = Connection::open(&path).unwrap();
    let left: i64 = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    drop(connection);
    path
}

/// What verification says of a file; none if it finds it intact.
fn found(path: &Path) -> Option<String> {
    match Journal::read_only(path, options()) {
        Err(error) => Some(error.to_string()),
        Ok(journal) => match journal.verify_all() {
            Ok(_) => None,
            Err(VerifyError::Damaged(damage)) => Some(damage.to_string()),
            Err(VerifyError::Read(error)) => Some(error.to_string()),
        },
    }
}

/// All that a reader can see.
fn content(path: &Path) -> Result<Vec<String>, rusqlite::Error> {
    let connection = Connection::open(path)?;
    let mut all = Vec::new();
    for (table, columns) in [
        ("sqlite_schema", "name || coalesce(sql, '')"),
        ("tenants", "id || path"),
        (
            "entries",
            "tenant || ' ' || seq || ' ' || time || kind || hex(prev) || hex(body_hash) || hex(hash) || coalesce(subject, '-') || coalesce(hex(salt), '-') || coalesce(hex(body), '-')",
        ),
        ("heads", "tenant || ' ' || seq || hex(hash) || time"),
        ("blobs", "tenant || hex(digest) || hex(bytes)"),
        ("keys", "tenant || key || hex(content) || entries"),
        ("projections", "tenant || name || ' ' || key || ' ' || value"),
    ] {
        let mut select = connection.prepare(&format!("SELECT {columns} FROM {table} NOT INDEXED"))?;
        let rows = select.query_map([], |row| row.get::<_, String>(0))?;
        for row in rows {
            all.push(format!("{table} {}", row?));
        }
    }
    all.push(connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))?.to_string());
    all.push(connection.query_row("PRAGMA application_id", [], |row| row.get::<_, i64>(0))?.to_string());
    Ok(all)
}

/// Damages that a hand with SQL can do, and what they are called.
const BY_HAND: [(&str, &str); 41] = [
    (
        "entry before the first",
        "INSERT INTO entries SELECT tenant, 0, time, kind, prev, body_hash, hash, subject, salt, body FROM entries WHERE tenant = 2 AND seq = 12",
    ),
    (
        "entry far before the first",
        "INSERT INTO entries SELECT tenant, -5, time, kind, prev, body_hash, hash, subject, salt, body FROM entries WHERE tenant = 1 AND seq = 2",
    ),
    ("blank in a row", "UPDATE projections SET value = value || ' ' WHERE key = 'run:1' AND tenant = 1"),
    (
        "changed body",
        "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), '\"n\":7,', '\"n\":8,') AS BLOB) WHERE CAST(body AS TEXT) LIKE '%\"n\":7,%'",
    ),
    ("changed body and salt erased", "UPDATE entries SET salt = NULL WHERE tenant = 1 AND seq = 4"),
    ("changed salt", "UPDATE entries SET salt = randomblob(32) WHERE tenant = 2 AND seq = 9"),
    (
        "body erased",
        "UPDATE entries SET salt = NULL, body = NULL, subject = NULL WHERE tenant = 2 AND seq = 9",
    ),
    (
        "body of a key erased",
        "UPDATE entries SET salt = NULL, body = NULL, subject = NULL WHERE tenant = 2 AND seq = 3",
    ),
    ("changed time", "UPDATE entries SET time = time + 1 WHERE tenant = 2 AND seq = 9"),
    ("changed kind", "UPDATE entries SET kind = 'run.ended/1' WHERE tenant = 2 AND seq = 9"),
    ("changed stream", "UPDATE entries SET subject = 'run:9' WHERE tenant = 2 AND seq = 9"),
    ("changed hash", "UPDATE entries SET hash = randomblob(32) WHERE tenant = 1 AND seq = 20"),
    ("dropped one", "DELETE FROM entries WHERE tenant = 2 AND seq = 9"),
    ("dropped the first", "DELETE FROM entries WHERE tenant = 2 AND seq = 1"),
    ("truncated in the middle", "DELETE FROM entries WHERE tenant = 2 AND seq BETWEEN 9 AND 30"),
    ("truncated at the end", "DELETE FROM entries WHERE tenant = 2 AND seq > 38"),
    ("truncated to nothing", "DELETE FROM entries WHERE tenant = 2; DELETE FROM heads WHERE tenant = 2"),
    (
        "truncated to nothing, and its head to none",
        "DELETE FROM entries WHERE tenant = 2; UPDATE heads SET seq = 0 WHERE tenant = 2",
    ),
    ("no head", "DELETE FROM heads WHERE tenant = 2"),
    (
        "header changed, and what comes after it unreadable",
        "UPDATE entries SET time = time + 1 WHERE tenant = 2 AND seq = 9; UPDATE entries SET salt = NULL WHERE tenant = 2 AND seq = 12",
    ),
    ("head moved back", "UPDATE heads SET seq = 3 WHERE tenant = 2"),
    (
        "dropped and moved up",
        "DELETE FROM entries WHERE tenant = 2 AND seq = 9; UPDATE entries SET seq = seq - 1 WHERE tenant = 2 AND seq > 9",
    ),
    (
        "reordered",
        "UPDATE entries SET seq = -1 WHERE tenant = 2 AND seq = 9; UPDATE entries SET seq = 9 WHERE tenant = 2 AND seq = 10; UPDATE entries SET seq = 10 WHERE tenant = 2 AND seq = -1",
    ),
    (
        "replayed at the end",
        "INSERT INTO entries SELECT tenant, 41, time, kind, prev, body_hash, hash, subject, salt, body FROM entries WHERE tenant = 2 AND seq = 12",
    ),
    ("moved to another tenant", "UPDATE entries SET tenant = 1, seq = 21 WHERE tenant = 2 AND seq = 40"),
    ("tenant renamed", "UPDATE tenants SET path = 'initech' WHERE id = 1"),
    ("stranger", "INSERT INTO heads VALUES (7, 1, randomblob(32), 0)"),
    (
        "document changed",
        "UPDATE blobs SET bytes = (SELECT bytes FROM blobs ORDER BY rowid DESC LIMIT 1) WHERE rowid = 1",
    ),
    ("document named otherwise", "UPDATE blobs SET digest = zeroblob(32) WHERE rowid = 2"),
    ("document dropped", "DELETE FROM blobs WHERE rowid = 2"),
    ("document of another tenant", "UPDATE blobs SET tenant = 3 - tenant WHERE rowid = 2"),
    ("key dropped", "DELETE FROM keys WHERE key = 'key-4'"),
    ("key renamed", "UPDATE keys SET key = 'key-5' WHERE key = 'key-4'"),
    ("key changed", "UPDATE keys SET entries = '[[\"globex\",1]]' WHERE key = 'key-4'"),
    ("key of another tenant", "UPDATE keys SET tenant = 3 - tenant WHERE key = 'key-4'"),
    ("row changed", "UPDATE projections SET value = '99' WHERE key = 'run:1' AND tenant = 1"),
    ("row no JSON", "UPDATE projections SET value = '9,' WHERE key = 'run:1' AND tenant = 1"),
    ("row dropped", "DELETE FROM projections WHERE key = 'run:1' AND tenant = 1"),
    ("row added at the end", "INSERT INTO projections VALUES (2, 'more', 'a', '1')"),
    (
        "row and body changed",
        "UPDATE projections SET value = '99' WHERE tenant = 1; UPDATE entries SET salt = randomblob(32) WHERE tenant = 2 AND seq = 9",
    ),
    ("table added", "CREATE TABLE more (x)"),
];

#[test]
fn what_a_hand_did_is_named_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = at_rest(folder.path());
    assert_eq!(found(&path), None);
    let copy = folder.path().join("copy.db");
    let mut told = String::new();
    for (name, sql) in BY_HAND {
        std::fs::copy(&path, &copy).unwrap();
        Connection::open(&copy).unwrap().execute_batch(sql).unwrap();
        let found = found(&copy).unwrap_or_else(|| panic!("{name} is not found"));
        told.push_str(&format!("{name}\n    {found}\n"));
        for suffix in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(folder.path().join(format!("copy.db{suffix}")));
        }
    }
    insta::assert_snapshot!(told);
}

/// A journal at rest of which something about authority was written: a role, and a key.
fn with_authority(folder: &Path) -> PathBuf {
    let path = folder.join("journal.db");
    let journal = filled(&path, 60);
    for (kind, subject, row) in [(Kind::RoleGranted, "role:a", "a"), (Kind::KeyTrusted, "keys", "k")] {
        let mut draft = draft("globex", subject, json!(1));
        draft.kind = kind;
        draft.body.insert("row".to_owned(), json!(row));
        journal.append(command(vec![draft])).unwrap();
    }
    for n in 0..30 {
        journal.append(command(vec![draft("globex", "run:1", json!(n))])).unwrap();
    }
    path
}

#[test]
fn what_says_who_may_do_what_is_verified_when_a_journal_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = with_authority(folder.path());
    drop(Journal::open(&path, options()).unwrap());
    let copy = folder.path().join("copy.db");
    let mut told = String::new();
    for (name, sql) in [
        ("row added", "INSERT INTO projections VALUES (1, 'authority', 'mallory', 'true')"),
        ("row added to another tenant", "INSERT INTO projections VALUES (2, 'authority', 'mallory', 'true')"),
        ("row dropped", "DELETE FROM projections WHERE name = 'authority' AND key = 'k'"),
        ("row changed", "UPDATE projections SET value = 'false' WHERE name = 'authority' AND key = 'k'"),
        ("body erased", "UPDATE entries SET salt = NULL, body = NULL WHERE kind = 'key.trusted/1'"),
        (
            "body changed",
            "UPDATE entries SET body = CAST(replace(CAST(body AS TEXT), '\"k\"', '\"m\"') AS BLOB) WHERE kind = 'key.trusted/1'",
        ),
        (
            "chain truncated to nothing",
            "DELETE FROM entries WHERE tenant = 2; DELETE FROM heads WHERE tenant = 2",
        ),
    ] {
        std::fs::copy(&path, &copy).unwrap();
        Connection::open(&copy).unwrap().execute_batch(sql).unwrap();
        let error = Journal::open(&copy, options()).unwrap_err();
        told.push_str(&format!("{name}\n    {error}\n"));
        let _ = std::fs::remove_file(folder.path().join("copy.db-wal"));
    }
    insta::assert_snapshot!(told);
}

#[test]
fn a_chain_is_confirmed_with_what_is_derived_from_it_and_later_from_there_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let journal = filled(&path, 60);
    let acme = tenant("acme/payments");
    let first = journal.confirm(&acme, None).unwrap();
    assert_eq!(first.verified().to, 40);
    journal.append(command(vec![draft("acme/payments", "run:1", json!("more"))])).unwrap();
    let hand = Connection::open(&path).unwrap();
    // What stands before is taken as it was, and what follows from it with it.
    hand.execute_batch("UPDATE entries SET time = time + 1 WHERE tenant = 2 AND seq = 9").unwrap();
    let then = journal.confirm(&acme, Some(first.clone())).unwrap();
    assert_eq!(then.verified().to, 41);
    assert!(journal.confirm(&acme, None).is_err());
    hand.execute_batch("UPDATE projections SET value = '1' WHERE tenant = 2 AND key = 'run:1'").unwrap();
    let error = journal.confirm(&acme, Some(then.clone())).unwrap_err();
    assert!(error.to_string().starts_with("derived in acme/payments: `run:1` of `counts`"), "{error}");
    assert_eq!(journal.confirm(&tenant("none"), None).unwrap().verified().to, 0);
    hand.execute_batch("DELETE FROM entries WHERE tenant = 2; DELETE FROM heads WHERE tenant = 2").unwrap();
    let error = journal.confirm(&acme, Some(then)).unwrap_err();
    assert!(error.to_string().starts_with("truncated in acme/payments"), "{error}");
    assert!(journal.verify(&acme, 1).unwrap_err().to_string().starts_with("truncated in acme/payments"));
    // Nor does it begin at 1 again.
    let error = journal.append(command(vec![draft("acme/payments", "run:1", json!(1))])).unwrap_err();
    assert!(error.to_string().contains("has lost its entries"), "{error}");
}

#[test]
fn what_is_derived_is_computed_anew_from_whole_entries_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = with_authority(folder.path());
    let hand = Connection::open(&path).unwrap();
    hand.execute_batch("UPDATE projections SET value = '\"forged\"'").unwrap();
    assert!(Journal::open(&path, options()).is_err());
    Journal::rebuild(&path, &options()).unwrap();
    Journal::open(&path, options()).unwrap().verify_all().unwrap();
    hand.execute_batch(
        "UPDATE projections SET value = '\"forged\"'; UPDATE entries SET salt = NULL, body = NULL, subject = NULL WHERE tenant = 2 AND seq = 9",
    )
    .unwrap();
    let error = Journal::rebuild(&path, &options()).unwrap_err();
    assert!(error.to_string().starts_with("changed at entry 9 of acme/payments"), "{error}");
    let kept: i64 = hand
        .query_row("SELECT count(*) FROM projections WHERE value = '\"forged\"'", [], |row| row.get(0))
        .unwrap();
    assert!(kept > 0, "nothing was written");
}

#[test]
fn forged_entries_that_are_whole_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = at_rest(folder.path());
    // Another journal with as many entries: whole entries, only not of this chain.
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let other = at_rest(&other);
    let copy = folder.path().join("copy.db");
    let said = |sql: &str| {
        std::fs::copy(&path, &copy).unwrap();
        let connection = Connection::open(&copy).unwrap();
        connection.execute("ATTACH ?1 AS other", [other.to_str().unwrap()]).unwrap();
        connection.execute_batch(sql).unwrap();
        drop(connection);
        found(&copy).unwrap()
    };
    let forked = said(
        "DELETE FROM entries WHERE tenant = 2 AND seq > 30; INSERT INTO entries SELECT * FROM other.entries WHERE tenant = 2 AND seq > 30",
    );
    assert!(forked.starts_with("forked at entry 31 of acme/payments"), "{forked}");
    // What cannot be read around the first damage does not hide it.
    let forked = said(
        "DELETE FROM entries WHERE tenant = 2 AND seq > 30; INSERT INTO entries SELECT * FROM other.entries WHERE tenant = 2 AND seq > 30; UPDATE entries SET salt = NULL WHERE tenant = 2 AND seq = 33",
    );
    assert!(forked.starts_with("changed at entry 31 of acme/payments"), "{forked}");
    let inserted = said(
        "UPDATE entries SET seq = seq + 1000 WHERE tenant = 2 AND seq >= 31; UPDATE entries SET seq = seq - 999 WHERE tenant = 2 AND seq > 1000; INSERT INTO entries SELECT * FROM other.entries WHERE tenant = 2 AND seq = 31",
    );
    assert!(inserted.starts_with("inserted at entry 31 of acme/payments"), "{inserted}");
}

/// A damage that knows nothing of what it damages.
#[derive(Debug, Clone)]
enum Blind {
    Flip(usize, u8),
    Zero(usize, usize),
    Swap(usize, usize, usize),
    Cut(usize),
}

fn blind() -> impl Strategy<Value = Blind> {
    prop_oneof![
        6 => (any::<prop::sample::Index>(), 1..=255u8).prop_map(|(at, mask)| Blind::Flip(at.index(1 << 30), mask)),
        2 => (any::<usize>(), 1..64usize).prop_map(|(at, length)| Blind::Zero(at, length)),
        1 => (any::<usize>(), any::<usize>(), 1..64usize).prop_map(|(a, b, n)| Blind::Swap(a, b, n)),
        1 => any::<usize>().prop_map(Blind::Cut),
    ]
}

fn damaged(bytes: &[u8], blind: &Blind) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let length = bytes.len();
    match *blind {
        Blind::Flip(at, mask) => bytes[at % length] ^= mask,
        Blind::Zero(at, n) => bytes.iter_mut().skip(at % length).take(n).for_each(|b| *b = 0),
        Blind::Swap(a, b, n) => (0..n).for_each(|i| bytes.swap((a + i) % length, (b + i) % length)),
        Blind::Cut(at) => bytes.truncate(at % length),
    }
    bytes
}

/// How many of `count` random damages change what a reader sees; all of those are found.
fn random_damages(count: u32) -> u32 {
    let folder = tempfile::tempdir().unwrap();
    let path = at_rest(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    let before = content(&path).unwrap();
    let copy = folder.path().join("copy.db");
    let mut seen = 0;
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: count,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let seen_by = std::cell::Cell::new(0);
    runner
        .run(&blind(), |blind| {
            for suffix in ["", "-wal", "-shm", "-journal"] {
                let _ = std::fs::remove_file(folder.path().join(format!("copy.db{suffix}")));
            }
            let damaged = damaged(&bytes, &blind);
            if damaged == bytes {
                return Ok(());
            }
            std::fs::write(&copy, &damaged).unwrap();
            let found = found(&copy);
            // Bytes that hold nothing, such as the gaps between the cells of a page, change nothing.
            let changed = content(&copy).map_or(true, |after| after != before);
            seen_by.set(seen_by.get() + u32::from(changed));
            prop_assert!(found.is_some() || !changed, "{blind:?} is not found");
            Ok(())
        })
        .unwrap();
    seen += seen_by.get();
    seen
}

#[test]
fn a_thousand_random_damages_are_found() {
    let seen = random_damages(1_000);
    println!("of 1000 random damages {seen} change what a reader sees, and are all found");
    assert!(seen > 300);
}
