//! What can go wrong around a journal: crowds, crashes, clocks, disks.

use std::{
    io::{BufRead, BufReader, Write as _},
    os::unix::fs::PermissionsExt,
    process::{Command as Process, Stdio},
    sync::{Arc, Condvar, Mutex, mpsc::channel},
};

use cku_base::Timestamp;
use cku_journal::{AppendError, Health, Journal, OpenError, Options};
use serde_json::json;

use crate::support::{Place, command, draft, options, tenant};

#[test]
fn time_does_not_go_back_though_the_clock_does() {
    let place = Place::new();
    let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let times = Mutex::new(vec![Timestamp::EPOCH, noon]);
    let clock = Arc::new(move || times.lock().unwrap().pop().unwrap_or(Timestamp::EPOCH));
    let journal = Journal::create(&place.path(), Options { clock, ..options() }).unwrap();
    for _ in 0..3 {
        journal.append(command(vec![draft("acme", "a", json!(1))])).unwrap();
    }
    let entries = journal.read(&tenant("acme"), 0, 10).unwrap();
    assert!(entries.iter().all(|e| e.header.time == noon));
    journal.verify_all().unwrap();
}

#[test]
fn what_does_not_fit_into_the_queue_is_told_so() {
    let place = Place::new();
    // The writer stands still in its clock until it is let go.
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let waits = gate.clone();
    let (entered, inside) = channel();
    let clock = Arc::new(move || {
        let _ = entered.send(());
        let (open, changed) = &*waits;
        drop(changed.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
        Timestamp::EPOCH
    });
    let journal = Journal::create(&place.path(), Options { clock, queue: 3, ..options() }).unwrap();
    let one = || command(vec![draft("acme", "a", json!(1))]);
    let mut pending = vec![journal.submit(one()).unwrap()];
    inside.recv().unwrap();
    pending.extend((0..3).map(|_| journal.submit(one()).unwrap()));
    let error = journal.submit(one()).unwrap_err();
    assert_eq!(error, AppendError::Busy { waiting: 3 });
    *gate.0.lock().unwrap() = true;
    gate.1.notify_all();
    assert!(pending.into_iter().all(|p| p.wait().is_ok()));
    journal.append(one()).unwrap();
    assert_eq!(journal.head(&tenant("acme")).unwrap().unwrap().seq, 5);
}

#[test]
fn many_write_at_once_and_all_is_there() {
    let place = Place::new();
    let journal = place.create();
    std::thread::scope(|scope| {
        for thread in 0..16 {
            let journal = journal.clone();
            scope.spawn(move || {
                for n in 0..25 {
                    let at = if n % 2 == 0 { "acme" } else { "globex" };
                    journal.append(command(vec![draft(at, &format!("s{thread}"), json!(n))])).unwrap();
                }
            });
        }
    });
    let seqs: u64 = journal.verify_all().unwrap().iter().map(|v| v.to).sum();
    assert_eq!(seqs, 16 * 25);
    for thread in 0..16 {
        let says: Vec<_> = journal.stream(&tenant("acme"), &format!("s{thread}")).unwrap();
        let says: Vec<_> =
            says.iter().map(|e| e.body.as_ref().unwrap().value["says"].as_u64().unwrap()).collect();
        assert_eq!(says, (0..25).step_by(2).collect::<Vec<_>>());
    }
}

#[test]
fn two_handles_on_one_file_write_one_chain() {
    let place = Place::new();
    let (one, other) = (place.create(), place.open());
    std::thread::scope(|scope| {
        for journal in [&one, &other] {
            scope.spawn(move || {
                for n in 0..100 {
                    journal.append(command(vec![draft("acme", "a", json!(n))])).unwrap();
                }
            });
        }
    });
    assert_eq!(one.verify_all().unwrap()[0].to, 200);
    assert_eq!(one.row(&tenant("acme"), "counts", "a").unwrap(), Some(json!(200)));
}

/// Appends until it is killed; says each place once it is durable. Run by the test below.
#[test]
#[ignore = "the other process of `what_was_answered_is_there_after_a_kill`"]
fn appends_until_it_is_killed() {
    let Some(path) = std::env::var_os("CKU_TEST_JOURNAL") else { return };
    let journal = Journal::open(std::path::Path::new(&path), options()).unwrap();
    let mut out = std::io::stdout().lock();
    for n in 0.. {
        let appended =
            journal.append(command(vec![draft("acme", "a", json!(n)), draft("globex", "b", json!(n))]));
        writeln!(out, "durable {}", appended.unwrap().entries[0].header.seq).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn what_was_answered_is_there_after_a_kill() {
    let place = Place::new();
    drop(place.create());
    let mut last = 0;
    for round in 1..=5u64 {
        let mut child = Process::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "faults::appends_until_it_is_killed", "--nocapture"])
            .env("CKU_TEST_JOURNAL", place.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut answered = 0;
        for line in lines.map_while(Result::ok) {
            let Some(seq) = line.split("durable ").nth(1) else { continue };
            answered = seq.trim().parse().unwrap();
            if answered >= last + 20 * round {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let journal = place.open();
        let there = journal.head(&tenant("acme")).unwrap().unwrap().seq;
        assert!(answered > last && there >= answered, "{there} of {answered}");
        assert_eq!(journal.head(&tenant("globex")).unwrap().unwrap().seq, there, "all or none");
        journal.verify_all().unwrap();
        last = there;
    }
}

#[test]
fn what_is_no_journal_is_told_so() {
    let place = Place::new();
    let at = |name: &str| place.folder.path().join(name);
    let told = |name: &str| {
        let open = Journal::open(&at(name), options()).unwrap_err().to_string();
        let read = Journal::read_only(&at(name), options()).unwrap_err().to_string();
        assert_eq!(open, read, "{name}");
        format!("{name}: {open}")
    };
    std::fs::write(at("text"), "hello\n".repeat(1_000)).unwrap();
    let other = rusqlite::Connection::open(at("other")).unwrap();
    other.execute_batch("CREATE TABLE t (x)").unwrap();
    drop(place.create());
    let later = rusqlite::Connection::open(place.path()).unwrap();
    later.pragma_update(None, "user_version", 9).unwrap();
    drop((later, other));
    insta::assert_snapshot!([told("none"), told("text"), told("other"), told("journal.db")].join("\n"));
    assert_eq!(Journal::create(&place.path(), options()).unwrap_err(), OpenError::Exists);
}

#[test]
fn a_file_that_is_no_journal_stays_as_it_is_to_the_byte() {
    let place = Place::new();
    let foreign = place.folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    let before = std::fs::read(&foreign).unwrap();
    assert_eq!(Journal::open(&foreign, options()).unwrap_err(), OpenError::NotAJournal);
    assert_eq!(std::fs::read(&foreign).unwrap(), before);
    for empty in [&b""[..], b"SQLite format 3\0"] {
        std::fs::write(&foreign, empty).unwrap();
        assert_eq!(Journal::open(&foreign, options()).unwrap_err(), OpenError::NotAJournal);
        assert_eq!(std::fs::read(&foreign).unwrap(), empty);
    }
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 1, "nothing was put beside it");
}

#[test]
fn a_journal_is_there_with_its_first_entries_or_not_at_all() {
    let place = Place::new();
    let refused = Journal::create_with(&place.path(), options(), |journal| {
        journal.append(command(vec![draft("acme", "a", json!(1))])).unwrap();
        assert!(!place.path().exists(), "nobody finds half of it");
        Err(OpenError::Unusable("broken off".to_owned()))
    });
    assert_eq!(refused.unwrap_err().to_string(), "broken off");
    assert_eq!(std::fs::read_dir(place.folder.path()).unwrap().count(), 0, "nothing is left behind");
    let made = Journal::create_with(&place.path(), options(), |journal| {
        journal.append(command(vec![draft("acme", "a", json!(1))])).unwrap();
        Ok::<(), OpenError>(())
    });
    assert_eq!(made.unwrap().head(&tenant("acme")).unwrap().unwrap().seq, 1);
}

#[test]
fn of_many_who_make_a_journal_at_once_one_does() {
    let place = Place::new();
    let made = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (path, made) = (place.path(), &made);
            scope.spawn(move || {
                let first = |journal: &Journal| {
                    journal.append(command(vec![draft("acme", "a", json!(n))])).unwrap();
                    Ok::<(), OpenError>(())
                };
                match Journal::create_with(&path, options(), first) {
                    Ok(_) => drop(made.fetch_add(1, std::sync::atomic::Ordering::SeqCst)),
                    Err(error) => assert_eq!(error, OpenError::Exists),
                }
                assert_eq!(Journal::open(&path, options()).unwrap().verify_all().unwrap()[0].to, 1);
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
}

#[test]
#[ignore = "the other process of `each_answer_waits_for_the_disk`"]
fn appends_ten_times() {
    let Some(path) = std::env::var_os("CKU_TEST_JOURNAL") else { return };
    let journal = Journal::open(std::path::Path::new(&path), options()).unwrap();
    for n in 0..10 {
        journal.append(command(vec![draft("acme", "a", json!(n))])).unwrap();
    }
}

#[test]
fn each_answer_waits_for_the_disk() {
    let place = Place::new();
    drop(place.create());
    let calls = place.folder.path().join("calls");
    let traced = Process::new("strace")
        .args(["-f", "-e", "trace=fsync,fdatasync", "-o"])
        .arg(&calls)
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "faults::appends_ten_times"])
        .env("CKU_TEST_JOURNAL", place.path())
        .output();
    let Some(_) = traced.ok().filter(|o| o.status.success()) else {
        assert!(std::env::var_os("CI").is_none(), "no strace, or it may not trace");
        eprintln!("skipped: no strace, or it may not trace");
        return;
    };
    assert_eq!(place.open().head(&tenant("acme")).unwrap().unwrap().seq, 10);
    let calls = std::fs::read_to_string(calls).unwrap();
    let synced = calls.lines().filter(|l| l.contains("sync(") && l.ends_with("= 0")).count();
    assert!(synced >= 10, "ten answers, one after another, and {synced} times to the disk:\n{calls}");
}

#[test]
fn only_its_owner_reads_it() {
    let place = Place::new();
    drop(place.create());
    let mode = std::fs::metadata(place.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// A small disk of its own, gone with the test; none where this user cannot make one.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &std::path::Path) -> Option<Self> {
        let mounted =
            Process::new("mount").args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|o| o.status.success()).then(|| Self(at.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Process::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_loses_nothing_and_can_be_made_room_on() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        // Only an administrator can mount; CI runs as one.
        assert!(std::env::var_os("CI").is_none(), "no disk can be mounted here");
        eprintln!("skipped: no disk can be mounted here");
        return;
    };
    let path = disk.0.join("journal.db");
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; 100 << 10]).unwrap();
    let journal = Journal::create(&path, options()).unwrap();
    let one = |n: u64| command(vec![draft("acme", "a", json!("x".repeat(2_000) + &n.to_string()))]);
    let mut written = 0;
    let error = loop {
        match journal.append(one(written)) {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
    };
    assert!(error.to_string().contains("the disk is full; make room"), "{error}");
    assert!(matches!(journal.health(), Health::Failed { .. }));
    assert!(written > 10);
    std::fs::remove_file(&ballast).unwrap();
    journal.append(one(written)).unwrap();
    assert_eq!(journal.health(), Health::Well);
    assert_eq!(journal.head(&tenant("acme")).unwrap().unwrap().seq, written + 1);
    journal.verify_all().unwrap();
    drop(journal);
    drop(disk);
}

#[test]
fn a_journal_on_a_read_only_disk_can_be_read_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path()) else {
        assert!(std::env::var_os("CI").is_none(), "no disk can be mounted here");
        eprintln!("skipped: no disk can be mounted here");
        return;
    };
    let path = disk.0.join("journal.db");
    let journal = Journal::create(&path, options()).unwrap();
    journal.append(command(vec![draft("acme", "a", json!(1))])).unwrap();
    drop(journal);
    let remounted = Process::new("mount").args(["-o", "remount,ro"]).arg(&disk.0).status().unwrap();
    assert!(remounted.success());
    let read = Journal::read_only(&path, options()).unwrap();
    assert_eq!(read.verify_all().unwrap()[0].to, 1);
    assert_eq!(read.append(command(vec![draft("acme", "a", json!(2))])), Err(AppendError::ReadOnly));
    let error = match Journal::open(&path, options()) {
        Err(error) => error.to_string(),
        Ok(journal) => journal.append(command(vec![draft("acme", "a", json!(2))])).unwrap_err().to_string(),
    };
    assert!(error.contains("read-only") || error.contains("cannot be opened"), "{error}");
    drop(disk);
}

#[test]
fn a_file_that_was_moved_or_replaced_is_not_written_as_if_nothing_were() {
    let place = Place::new();
    let journal = place.create();
    let one = |n: u64| command(vec![draft("acme", "a", json!(n))]);
    journal.append(one(1)).unwrap();
    let (path, moved) = (place.path(), place.folder.path().join("moved.db"));
    std::fs::rename(&path, &moved).unwrap();
    let told = journal.append(one(2)).unwrap_err().to_string();
    assert!(told.contains("was moved or replaced while it was open"), "{told}");
    // Another journal in its place is not taken for it.
    std::fs::write(&path, std::fs::read(&moved).unwrap()).unwrap();
    let told = journal.append(one(3)).unwrap_err().to_string();
    assert!(told.contains("was moved or replaced while it was open"), "{told}");
    std::fs::remove_file(&path).unwrap();
    std::fs::rename(&moved, &path).unwrap();
    journal.append(one(4)).unwrap();
    journal.verify_all().unwrap();
}

#[test]
fn what_is_no_file_is_no_journal_and_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Process::new("mkfifo").arg(&pipe).status().unwrap().success());
    for path in [pipe, folder.path().to_owned()] {
        let told = Journal::open(&path, options()).err().unwrap().to_string();
        assert!(told.contains("not a journal of cku"), "{told}");
    }
}
