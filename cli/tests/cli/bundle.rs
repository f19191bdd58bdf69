//! Bundles as archives.

use crate::{
    environment::{Ran, TestEnvironment, repository},
    installation::Installation,
};

const GATE: &str = "gate g \"Small enough?\" {\n  facts from data.f { lines: count }\n  threshold most: count = 3 { prod = 2 }\n  pause big: when lines > most because \"{lines} lines\"\n}\nmode dev { g }\nmode prod { g }\n";

/// A folder with a bundle `b`, a key, and another key.
fn environment() -> TestEnvironment {
    let environment = TestEnvironment::new();
    environment.write("b/bundle.yaml", "name: tiny\nmodes: [dev, prod]\n");
    environment.write("b/f.rego", "package f\n\nlines := 3\n");
    environment.write("b/g.gate", GATE);
    environment.write("b/f_test.rego", "package f_test\n\ntest_three if data.f.lines == 3\n");
    for name in ["key", "other"] {
        let key = environment.run(&["auth", "keygen", &format!("{name}.pem")]);
        environment.write(&format!("{name}.jwk"), &key.stdout);
    }
    environment
}

fn good(environment: &TestEnvironment, args: &[&str]) -> Ran {
    let ran = environment.run(args);
    assert_eq!(ran.code, 0, "{args:?}: {}", ran.shown());
    ran
}

/// What was said, without keys, which are made anew each time.
fn stable(ran: &Ran) -> String {
    let shown = ran.shown();
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let words = shown.split_inclusive(|c| !word(c)).map(|piece| {
        let text = piece.trim_end_matches(|c| !word(c));
        if text.len() == 43 { piece.replace(text, "KEY") } else { piece.to_owned() }
    });
    words.collect()
}

#[test]
fn a_bundle_is_built_signed_verified_and_shown() {
    let environment = environment();
    let mut told = String::new();
    let mut say = |args: &[&str]| {
        told.push_str(&format!("$ cku {}\n{}\n", args.join(" "), stable(&environment.run(args))))
    };
    say(&["bundle", "build", "b", "-o", "b.tar.gz"]);
    say(&["bundle", "verify", "b.tar.gz", "--key", "key.jwk"]);
    say(&["bundle", "sign", "b.tar.gz", "--key", "key.pem"]);
    say(&["bundle", "verify", "b.tar.gz", "--key", "other.jwk", "key.jwk"]);
    say(&["bundle", "verify", "b.tar.gz", "--key", "other.jwk"]);
    say(&["bundle", "show", "b.tar.gz"]);
    say(&["bundle", "show", "b"]);
    insta::assert_snapshot!(told);
}

#[test]
fn the_same_files_give_the_same_bytes() {
    let environment = environment();
    good(&environment, &["bundle", "build", "b", "-o", "one.tar.gz"]);
    good(&environment, &["bundle", "build", "b", "-o", "two.tar.gz"]);
    let bytes = |name: &str| std::fs::read(environment.path().join(name)).unwrap();
    assert_eq!(bytes("one.tar.gz"), bytes("two.tar.gz"));
    good(&environment, &["bundle", "build", "b", "-o", "tests.tar.gz", "--with-tests"]);
    let files = |name: &str| {
        let shown = good(&environment, &["bundle", "show", name, "--format", "json"]).json();
        shown["files"].as_array().unwrap().len()
    };
    assert_eq!((files("one.tar.gz"), files("tests.tar.gz")), (3, 4));
}

#[test]
fn a_changed_threshold_is_told_with_its_modes() {
    let environment = environment();
    good(&environment, &["bundle", "build", "b", "-o", "old.tar.gz"]);
    environment.write("b/g.gate", GATE.replace("= 3", "= 5"));
    let diff = environment.run(&["bundle", "diff", "old.tar.gz", "b"]);
    insta::assert_snapshot!(diff.shown());
    let json = good(&environment, &["bundle", "diff", "old.tar.gz", "b", "--format", "json"]).json();
    assert_eq!(json["thresholds"][0]["new"], "5");
    let same = good(&environment, &["bundle", "diff", "b", "b"]);
    assert!(same.stdout.ends_with("nothing differs\n"), "{}", same.stdout);
}

#[test]
fn a_registry_gives_what_was_put_into_it() {
    let environment = environment();
    good(&environment, &["bundle", "build", "b", "-o", "b.tar.gz"]);
    std::fs::create_dir(environment.path().join("registry")).unwrap();
    let pushed = good(&environment, &["bundle", "push", "b.tar.gz", "registry"]);
    assert!(pushed.stdout.starts_with("registry/tiny/sha256-"), "{}", pushed.stdout);
    let digits = pushed.stdout.split("sha256-").nth(1).unwrap()[..8].to_owned();
    let bytes = |name: &str| std::fs::read(environment.path().join(name)).unwrap();
    for which in [None, Some("tiny".to_owned()), Some(format!("sha256:{digits}"))] {
        let mut args = vec!["bundle", "pull", "registry", "-o", "back.tar.gz"];
        args.extend(which.as_deref());
        good(&environment, &args);
        assert_eq!(bytes("back.tar.gz"), bytes("b.tar.gz"));
        std::fs::remove_file(environment.path().join("back.tar.gz")).unwrap();
    }
    let folder = environment.path().join("registry/tiny");
    let archive = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().path());
    let archive = archive.into_iter().find(|p| p.extension().is_some_and(|e| e == "gz")).unwrap();
    environment.write("b/f.rego", "package f\n\nlines := 4\n");
    good(&environment, &["bundle", "build", "b", "-o", archive.to_str().unwrap()]);
    let pulled = environment.run(&["bundle", "pull", "registry", "-o", "back.tar.gz"]);
    assert!(
        pulled.code == 2 && pulled.stderr.contains("which is not what its name says"),
        "{}",
        pulled.shown()
    );
}

#[test]
fn the_journal_lists_what_was_active() {
    let installation = Installation::of_people();
    let list = installation.cku(&["bundle", "list", "--format", "json"]);
    assert_eq!(list.code, 0, "{}", list.shown());
    let list = list.json();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["active"]), (1, &serde_json::json!(true)));
    let revision = list[0]["revision"].as_str().unwrap();
    let baseline = repository().join("policies/baseline").display().to_string();
    let diff = installation.cku(&["bundle", "diff", &revision[..20], &baseline, "--format", "json"]);
    let json = diff.json();
    assert_eq!(json["old"], json["new"], "{}", diff.shown());
    let pretty = installation.cku(&["bundle", "list"]);
    assert!(
        pretty.stdout.contains("  baseline  ") && pretty.stdout.ends_with("active\n"),
        "{}",
        pretty.shown()
    );
}

#[test]
fn what_a_mistyped_argument_is_told() {
    let environment = environment();
    good(&environment, &["bundle", "build", "b", "-o", "b.tar.gz"]);
    std::fs::create_dir_all(environment.path().join("registry/tiny")).unwrap();
    environment.write("registry/tiny/latest", "newest\n");
    environment.write("open.pem", std::fs::read(environment.path().join("key.pem")).unwrap());
    environment.write("cut.tar.gz", &std::fs::read(environment.path().join("b.tar.gz")).unwrap()[..100]);
    let cases: &[&[&str]] = &[
        &["bundel"],
        &["bundle", "build", "c", "-o", "c.tar.gz"],
        &["bundle", "build", "b"],
        &["bundle", "build", "b", "-o", "nowhere/b.tar.gz"],
        &["bundle", "sign", "c.tar.gz", "--key", "key.pem"],
        &["bundle", "sign", "b", "--key", "key.pem"],
        &["bundle", "sign", "b.tar.gz", "--key", "key.jwk"],
        &["bundle", "sign", "b.tar.gz", "--key", "open.pem"],
        &["bundle", "verify", "b.tar.gz"],
        &["bundle", "verify", "b.tar.gz", "--key", "key.pem"],
        &["bundle", "verify", "cut.tar.gz", "--key", "key.jwk"],
        &["bundle", "show", "c.tar.gz"],
        &["bundle", "show", "b/g.gate"],
        &["bundle", "show", "b", "--format", "yaml"],
        &["bundle", "list", "--journal", "none.db"],
        &["bundle", "diff", "b"],
        &["bundle", "diff", "b", "c"],
        &["bundle", "diff", "b", "sha256:12", "--journal", "none.db"],
        &["bundle", "push", "b.tar.gz", "b/g.gate"],
        &["bundle", "push", "b.tar.gz", "nowhere"],
        &["bundle", "pull", "nowhere", "-o", "c.tar.gz"],
        &["bundle", "pull", "registry", "tinny", "-o", "c.tar.gz"],
        &["bundle", "pull", "registry", "tiny", "-o", "c.tar.gz"],
        &["bundle", "pull", "registry", "sha256:00", "-o", "c.tar.gz"],
    ];
    let shown: String = cases
        .iter()
        .map(|args| format!("$ cku {}\n{}\n", args.join(" "), stable(&environment.run(args))))
        .collect();
    insta::assert_snapshot!(shown);
}
