//! Appends per second, alone and in a crowd, beside what the disk can do in the same minute.
//!
//! `cargo bench -p cku-journal`, or with a folder on the disk to measure: `cargo bench -p cku-journal -- DIR`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a bench fails by panicking")]

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use cku_base::{TenantPath, Timestamp};
use cku_journal::{Command, Draft, Journal, Kind, Options};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rounds of each; the median counts.
const ROUNDS: usize = 5;

fn main() {
    let folder = std::env::args().skip(1).find(|a| !a.starts_with("--")).map(PathBuf::from);
    let folder = folder.unwrap_or_else(std::env::temp_dir);
    let place = tempfile::tempdir_in(folder).unwrap();
    println!("{:<28} {:>12} {:>14} {:>12}", "median of 5 rounds", "per second", "CPU each, µs", "× fsync");
    let disk = median(|round| fsyncs(&place.path().join(format!("fsync-{round}"))));
    let show = |name: &str, (rate, cpu): (f64, f64)| {
        println!("{name:<28} {rate:>12.0} {cpu:>14.1} {:>12.2}", rate / disk.0);
    };
    show("write 512 bytes + fdatasync", disk);
    for appenders in [1, 32, 128] {
        let rate = median(|round| appends(&place.path().join(format!("{appenders}-{round}.db")), appenders));
        show(&format!("append, {appenders} at once"), rate);
    }
}

/// The median by rate of (operations per second, CPU microseconds each).
fn median(mut round: impl FnMut(usize) -> (f64, f64)) -> (f64, f64) {
    let mut rounds: Vec<_> = (0..ROUNDS).map(&mut round).collect();
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    rounds.get(ROUNDS / 2).copied().unwrap()
}

fn fsyncs(path: &Path) -> (f64, f64) {
    let mut file = fs::File::create(path).unwrap();
    let (began, cpu, mut count) = (Instant::now(), cpu_micros(), 0u32);
    while began.elapsed() < Duration::from_millis(500) {
        file.write_all(&[7; 512]).unwrap();
        file.sync_data().unwrap();
        count += 1;
    }
    (f64::from(count) / began.elapsed().as_secs_f64(), (cpu_micros() - cpu) / f64::from(count))
}

fn appends(path: &Path, appenders: usize) -> (f64, f64) {
    let options = Options { clock: Arc::new(|| Timestamp::EPOCH), ..Options::default() };
    let journal = Journal::create(path, options).unwrap();
    let (began, cpu) = (Instant::now(), cpu_micros());
    let until = began + Duration::from_secs(1);
    let counts: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..appenders)
            .map(|n| {
                let journal = journal.clone();
                scope.spawn(move || {
                    let mut count = 0;
                    while Instant::now() < until {
                        journal.append(command(n, count)).unwrap();
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    (counts as f64 / began.elapsed().as_secs_f64(), (cpu_micros() - cpu) / counts as f64)
}

/// An entry of the size of a step's.
fn command(appender: usize, count: u64) -> Command {
    let Value::Object(body) = json!({
        "actor": "cku", "subject": format!("run:run-{appender}"), "step": "build", "skill": "command",
        "attempt": count, "key": format!("run-{appender}/build/1"),
    }) else {
        unreachable!()
    };
    let tenant: TenantPath = "acme/payments".parse().unwrap();
    Command { drafts: vec![Draft { tenant, kind: Kind::StepStarted, body }], ..Command::default() }
}

/// Processor time of this process so far, in microseconds.
fn cpu_micros() -> f64 {
    // Ticks of a hundredth of a second, of all threads, those that have ended included.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(2).filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() * 10_000.0
}
