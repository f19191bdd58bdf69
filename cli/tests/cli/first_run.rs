//! `docs/first-run.md`, as it is written.

use std::process::Command;

use crate::environment::{TestEnvironment, repository};

#[test]
fn the_page_works_as_it_is_written() {
    let page = std::fs::read_to_string(repository().join("docs/first-run.md")).unwrap();
    let blocks = page.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let script: String = std::iter::once("set -eu\n").chain(blocks).collect();
    assert!(script.contains("cku run --resume"));
    let environment = TestEnvironment::new();
    std::os::unix::fs::symlink(repository().join("testdata"), environment.path().join("testdata")).unwrap();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_cku")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-c", &script])
        .current_dir(environment.path())
        .env_clear()
        .env("PATH", path)
        .output()
        .unwrap();
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
