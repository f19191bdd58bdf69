//! Files: what is done is undone to the byte, and nothing outside is touched.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use cku_skills::{Tried, find};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Place, failure, members};

/// All files below a folder: bytes and permissions; folders by their names.
fn tree(root: &Path) -> BTreeMap<String, Option<(Vec<u8>, u32)>> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let name = entry.path().strip_prefix(root).unwrap().display().to_string();
            if entry.path().is_dir() {
                found.insert(name, None);
                open.push(entry.path());
            } else {
                let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
                found.insert(name, Some((fs::read(entry.path()).unwrap(), mode)));
            }
        }
    }
    found
}

#[test]
fn each_operation_does_what_it_says_and_is_undone() {
    let place = Place::new();
    place.write("a.txt", "one\n");
    fs::set_permissions(place.path("a.txt"), fs::Permissions::from_mode(0o640)).unwrap();
    let before = tree(place.workspace.root());
    for (n, with, then) in [
        (1, json!({"op": "write", "path": "a.txt", "text": "two\n"}), "two\n"),
        (2, json!({"op": "append", "path": "a.txt", "text": "two\n"}), "one\ntwo\n"),
        (3, json!({"op": "write", "path": "a.txt", "base64": "AP8=", "mode": "0755"}), ""),
        (4, json!({"op": "move", "path": "a.txt", "to": "deep/er/b.txt", "create_dirs": true}), ""),
        (5, json!({"op": "delete", "path": "a.txt"}), ""),
        (6, json!({"op": "write", "path": "new/c.txt", "text": "x", "create_dirs": true}), "one\n"),
    ] {
        let key = format!("run-1/step/{n}");
        assert_eq!(failure(&place.act("file", with.clone(), &key, false)), "succeeded", "{with}");
        let after = tree(place.workspace.root());
        assert_ne!(after, before);
        if !then.is_empty() {
            assert_eq!(place.text("a.txt").as_deref(), Some(then));
        }
        // The same again, as after a crash that nobody heard of: done once.
        assert_eq!(failure(&place.act("file", with.clone(), &key, false)), "succeeded", "{with}");
        assert_eq!(tree(place.workspace.root()), after, "{with}");
        assert_eq!(failure(&place.act("file", with.clone(), &key, true)), "succeeded", "{with}");
        assert_eq!(tree(place.workspace.root()), before, "{with}");
        assert_eq!(failure(&place.act("file", with, &key, true)), "succeeded", "undone twice");
        assert_eq!(tree(place.workspace.root()), before);
    }
    let mode = |name: &str| fs::metadata(place.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        failure(&place.act("file", json!({"op": "write", "path": "a.txt", "text": "x"}), "k", false)),
        "succeeded"
    );
    assert_eq!(mode("a.txt"), 0o640, "a file keeps its permissions");
}

#[test]
fn what_somebody_else_changed_stays() {
    let place = Place::new();
    place.write("a.txt", "one");
    let with = json!({"op": "write", "path": "a.txt", "text": "two"});
    place.run("file", with.clone());
    place.write("a.txt", "three");
    let told = failure(&place.act("file", with.clone(), "run-1/step/1", true));
    assert_eq!(told, "conflict: `a.txt` was changed after the step; it is not put back");
    let told = failure(&place.run("file", with));
    assert!(told.starts_with("conflict: a file is neither as it was"), "{told}");
    assert_eq!(place.text("a.txt").as_deref(), Some("three"));
}

#[test]
fn what_never_happened_is_undone_by_nothing() {
    let place = Place::new();
    let told = failure(&place.act("file", json!({"op": "delete", "path": "a.txt"}), "k", true));
    assert_eq!(told, "succeeded");
}

#[test]
fn what_succeeded_and_was_not_kept_is_not_undone() {
    let place = Place::new();
    let with = json!({"op": "write", "path": "a.txt", "text": "x"});
    assert_eq!(failure(&place.act("file", with.clone(), "k", false)), "succeeded");
    fs::remove_dir_all(place.workspace.backups().join("files")).unwrap();
    let told = failure(&place.undo("file", with, "k", Tried::Succeeded));
    assert!(told.starts_with("not_found: what was kept for undo is not there"), "{told}");
    assert_eq!(place.text("a.txt").as_deref(), Some("x"));
}

#[test]
fn a_try_ran_once_something_was_kept_for_its_undo() {
    let place = Place::new();
    assert!(!place.run("file", json!({"op": "delete", "path": "none"})).ran);
    assert!(place.run("file", json!({"op": "write", "path": "a.txt", "text": "x"})).ran);
}

#[test]
fn nothing_leads_out_and_nothing_hangs() {
    let place = Place::new();
    place.write("file", "x");
    place.write("folder/inner", "x");
    fs::write(place.outside().join("secret"), "before").unwrap();
    symlink(place.outside(), place.path("out")).unwrap();
    symlink("../secret", place.path("secret")).unwrap();
    symlink("file", place.path("inside")).unwrap();
    symlink("folder", place.path("shortcut")).unwrap();
    let fifo = std::process::Command::new("mkfifo").arg(place.path("pipe")).status().unwrap();
    assert!(fifo.success());
    let cases = [
        json!({"op": "write", "path": "out/new", "text": "no"}),
        json!({"op": "write", "path": "out/secret", "text": "no"}),
        json!({"op": "write", "path": "secret", "text": "no"}),
        json!({"op": "append", "path": "secret", "text": "no"}),
        json!({"op": "delete", "path": "secret"}),
        json!({"op": "move", "path": "file", "to": "out/moved"}),
        json!({"op": "move", "path": "out/secret", "to": "stolen"}),
        json!({"op": "write", "path": "out/a/b", "text": "no", "create_dirs": true}),
        json!({"op": "write", "path": "inside", "text": "no"}),
        json!({"op": "write", "path": "folder", "text": "no"}),
        json!({"op": "append", "path": "pipe", "text": "no"}),
        json!({"op": "write", "path": "file/below", "text": "no"}),
        json!({"op": "write", "path": "none/below", "text": "no"}),
        json!({"op": "delete", "path": "none"}),
        json!({"op": "move", "path": "none", "to": "x"}),
        json!({"op": "move", "path": "file", "to": "file"}),
        json!({"op": "write", "path": "file", "text": "no", "if_exists": "fail"}),
        json!({"op": "move", "path": "file", "to": "folder/inner", "if_exists": "fail"}),
        json!({"op": "write", "path": "shortcut/inner", "text": "a link that stays inside is followed"}),
    ];
    let told: Vec<String> = cases
        .into_iter()
        .enumerate()
        .map(|(n, with)| {
            format!("{with}\n    {}", failure(&place.act("file", with.clone(), &format!("k{n}"), false)))
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(fs::read_to_string(place.outside().join("secret")).unwrap(), "before");
    assert_eq!(place.text("file").as_deref(), Some("x"));
    let outside: Vec<_> = fs::read_dir(place.outside()).unwrap().flatten().map(|e| e.file_name()).collect();
    assert_eq!(outside.len(), 3, "{outside:?}");
}

#[test]
fn arguments_are_checked_before_anything_is_touched() {
    let file = find("file").unwrap();
    let cases = [
        json!({}),
        json!({"op": "write"}),
        json!({"op": "copy", "path": "a"}),
        json!({"op": "write", "path": "../a", "text": ""}),
        json!({"op": "write", "path": "/etc/passwd", "text": ""}),
        json!({"op": "write", "path": "a/", "text": ""}),
        json!({"op": "write", "path": "", "text": ""}),
        json!({"op": "write", "path": "./a", "text": ""}),
        json!({"op": "write", "path": "a"}),
        json!({"op": "write", "path": "a", "text": "", "base64": ""}),
        json!({"op": "write", "path": "a", "base64": "?"}),
        json!({"op": "write", "path": "a", "text": "", "mode": "rw"}),
        json!({"op": "write", "path": "a", "text": "", "mode": "4755"}),
        json!({"op": "move", "path": "a"}),
        json!({"op": "delete", "path": "a", "text": "x"}),
        json!({"op": "append", "path": "a", "text": "x", "mode": "0644"}),
        json!({"op": "write", "path": "a", "txet": "x"}),
    ];
    let told: Vec<String> = cases
        .into_iter()
        .map(|with| format!("{with}\n    {}", file.check(&members(with.clone()), None).unwrap_err()))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
    let with = members(json!({"op": "delete", "path": "a"}));
    assert!(file.check(&with, Some(&with)).is_err());
    assert!(file.check(&with, None).unwrap().reversible);
}

fn operation() -> impl Strategy<Value = Value> {
    let path = prop::sample::select(vec!["a", "b", "d/a", "d/e/b", "f/g"]);
    (path.clone(), path, "[a-c]{0,3}", 0..5u8).prop_map(|(path, to, text, op)| match op {
        0 => json!({"op": "write", "path": path, "text": text, "create_dirs": true, "mode": "0600"}),
        1 => json!({"op": "write", "path": path, "text": text, "create_dirs": true}),
        2 => json!({"op": "append", "path": path, "text": text, "create_dirs": true}),
        3 => json!({"op": "move", "path": path, "to": to, "create_dirs": true}),
        _ => json!({"op": "delete", "path": path}),
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn undone_in_reverse_all_is_as_it_was(operations in prop::collection::vec(operation(), 1..8)) {
        let place = Place::new();
        place.write("a", "first");
        place.write("d/a", "second");
        fs::set_permissions(place.path("d/a"), fs::Permissions::from_mode(0o600)).unwrap();
        let before = tree(place.workspace.root());
        let mut done = Vec::new();
        for (n, with) in operations.into_iter().enumerate() {
            let key = format!("run-1/step/{n}");
            if place.act("file", with.clone(), &key, false).failure.is_none() {
                done.push((with, key));
            }
        }
        for (with, key) in done.into_iter().rev() {
            let report = place.act("file", with, &key, true);
            prop_assert_eq!(failure(&report), "succeeded");
        }
        prop_assert_eq!(tree(place.workspace.root()), before);
    }
}

#[test]
fn runs_that_write_the_same_file_at_once_are_not_in_each_others_way() {
    let place = Place::new();
    let told: Vec<String> = std::thread::scope(|scope| {
        let write = |n: usize| {
            let place = &place;
            scope.spawn(move || {
                let with = json!({"op": "write", "path": "shared.txt", "text": "x".repeat(n)});
                (0..20)
                    .map(|m| failure(&place.act("file", with.clone(), &format!("run-{n}/step/{m}"), false)))
                    .collect()
            })
        };
        let threads: Vec<_> = (1..5).map(write).collect();
        threads.into_iter().flat_map(|thread| -> Vec<String> { thread.join().unwrap() }).collect()
    });
    assert!(told.iter().all(|told| told == "succeeded"), "{told:?}");
    let left: Vec<String> = tree(place.workspace.root()).into_keys().collect();
    assert_eq!(left, ["shared.txt"]);
}
