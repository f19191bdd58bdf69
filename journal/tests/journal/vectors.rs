//! The published vectors, recomputed here and by Python.

use std::{path::PathBuf, process::Command as Process, sync::Arc};

use cku_journal::{Journal, Kind, Options};
use serde_json::{Value, json};

use crate::support::{Place, command, counting_clock, draft, tenant};

fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/journal")
}

/// The entries of the vectors: all that is awkward in canonical JSON is in them.
fn write(journal: &Journal) {
    let says = [
        json!("plain"),
        json!({"b": 1, "a": [true, null, ""], "\u{fb33}": "hebrew", "\u{1f600}": "beyond the first plane"}),
        json!({"text": "quote \" backslash \\ tab \t newline \n bell \u{7} euro € \u{1f600}"}),
        json!({"integers": [0, -1, 9_007_199_254_740_991_i64, -9_007_199_254_740_991_i64], "large": "9007199254740993"}),
        json!({"doubles": [1.5, 0.1, 1e21, 1e-7, 333333333.3333333, 4.5e-5]}),
        json!({"of the same tenant as the entry before": "half a second later"}),
    ];
    for (n, says) in says.into_iter().enumerate() {
        let at = if n % 2 == 0 || n == 5 { "acme/payments" } else { "/" };
        let mut draft = draft(at, "run:run-1", says);
        draft.kind = Kind::KNOWN[n].clone();
        journal.append(command(vec![draft])).unwrap();
    }
}

/// An entry as the vectors, and `cku journal show --format json`, write it.
fn lines(journal: &Journal, erased: (&str, u64)) -> String {
    let mut lines = String::new();
    for at in ["/", "acme/payments"] {
        for entry in journal.read(&tenant(at), 0, 100).unwrap() {
            let kept = entry.body.as_ref().filter(|_| (at, entry.header.seq) != erased);
            let hex = |salt: &[u8; 32]| salt.iter().map(|b| format!("{b:02x}")).collect::<String>();
            let line = json!({
                "header": entry.header, "hash": entry.hash,
                "salt": kept.map(|b| hex(&b.salt)), "body": kept.map(|b| &b.value),
            });
            lines.push_str(&format!("{line}\n"));
        }
    }
    lines
}

#[test]
fn the_vectors_are_what_is_written() {
    let place = Place::new();
    let counter = std::sync::atomic::AtomicU8::new(0);
    let salt = move || Ok([counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst); 32]);
    // From the last entry of a tenant to the next is half a second: as texts, `…05Z` comes after `…04.5…Z`.
    let whole = counting_clock();
    let ticks = std::sync::atomic::AtomicU64::new(0);
    let clock = move || match ticks.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        5 => "2026-11-20T12:00:04.500001Z".parse().unwrap(),
        _ => whole(),
    };
    let options = Options { clock: Arc::new(clock), salt: Arc::new(salt), ..Options::default() };
    let journal = Journal::create(&place.path(), options).unwrap();
    write(&journal);
    let written = lines(&journal, ("acme/payments", 2));
    let file = vectors().join("entries.jsonl");
    if std::env::var_os("CKU_UPDATE_VECTORS").is_some() {
        std::fs::write(&file, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
}

#[test]
fn python_recomputes_the_vectors_and_finds_what_was_changed() {
    let run =
        |file: &std::path::Path| Process::new("python3").arg(vectors().join("verify.py")).arg(file).output();
    let file = vectors().join("entries.jsonl");
    let Ok(output) = run(&file) else {
        assert!(std::env::var_os("CI").is_none(), "python3 is missing");
        eprintln!("skipped: no python3");
        return;
    };
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(
        said,
        "6 entries of 2 tenants are intact; of 1 the body was erased, so that what it said is not known\n"
    );
    let text = std::fs::read_to_string(&file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let changed = folder.path().join("changed.jsonl");
    for (from, to, finds) in [
        ("plain", "plane", "body"),
        ("\"seq\":2", "\"seq\":3", "follow"),
        ("12:00:02", "12:00:03", "hash"),
        ("\"salt\":\"00", "\"salt\":\"01", "body"),
    ] {
        assert!(text.contains(from), "{from}");
        std::fs::write(&changed, text.replacen(from, to, 1)).unwrap();
        let output = run(&changed).unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{from}: {said}");
        assert!(said.contains(finds), "{from}: {said}");
    }
    let first_gone: String = text.lines().skip(1).map(|l| format!("{l}\n")).collect();
    std::fs::write(&changed, first_gone).unwrap();
    assert_eq!(run(&changed).unwrap().status.code(), Some(1));
    let _: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    // What is no file of entries is not damaged, but of no use: another code, and one line.
    for unusable in [vectors().join("none.jsonl"), vectors(), vectors().join("README.md")] {
        let output = run(&unusable).unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    }
}
