//! `docs/first-run.md` and `docs/tokens.md`, as they are written.

use std::process::{Command, Output};

use crate::environment::{TestEnvironment, repository};

/// Runs all blocks of a page in a folder that has what the clone has.
fn run_page(page: &str) -> (TestEnvironment, Output) {
    let page = std::fs::read_to_string(repository().join(page)).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let script: String = std::iter::once("set -eu\n").chain(blocks).collect();
    let environment = TestEnvironment::new();
    for folder in ["testdata", "policies"] {
        std::os::unix::fs::symlink(repository().join(folder), environment.path().join(folder)).unwrap();
    }
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_cku")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(environment.path())
        .env_clear()
        .env("PATH", path)
        .output()
        .unwrap();
    (environment, output)
}

#[test]
fn the_page_works_as_it_is_written() {
    let (environment, output) = run_page("docs/first-run.md");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("PASS in prod") && said.contains("succeeded: all steps succeeded"), "{said}");
    let manifest = std::fs::read_to_string(environment.path().join("target/released/released/MANIFEST"));
    assert_eq!(manifest.unwrap(), "humanize 4.13.0\n");
    // What the page says must not work does not, in one line each.
    let complained: Vec<&str> = complained.lines().filter(|l| l.starts_with("error")).collect();
    assert_eq!(complained.len(), 2, "{complained:?}");
    assert!(
        complained[0].contains("forbidden by separation.own_work, separation.people_approve"),
        "{complained:?}"
    );
    assert!(complained[1].contains("nobody decides twice"), "{complained:?}");
}

#[test]
fn the_page_on_tokens_works_as_it_is_written() {
    let (environment, output) = run_page("docs/tokens.md");
    let (said, complained) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    assert!(said.contains("is trusted") && said.contains("is revoked"), "{said}");
    let complained: Vec<&str> = complained.lines().filter(|l| l.starts_with("error")).collect();
    assert!(
        matches!(complained[..], [key, one] if key.contains("that signed it was revoked")
            && one.contains("the token is refused: it was revoked")),
        "{complained:?}"
    );
    let decided =
        environment.run(&["journal", "show", "--journal", "target/tokens/journal.db", "--format", "json"]);
    let decided = decided.stdout.lines().map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap());
    let mut decisions = decided.filter(|e| e["header"]["kind"] == "decision.made/1");
    let decided = decisions.next_back().unwrap();
    let gates = decided["body"]["decision"]["gates"].as_array().unwrap().clone();
    let security = gates.iter().find(|g| g["gate"] == "security").unwrap();
    assert_eq!(security["verdict"], "PASS", "the gate believes the second issuer: {security}");
}
