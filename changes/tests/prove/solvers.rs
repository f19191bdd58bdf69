//! Solvers that cannot be believed, and answers that were kept.
#![cfg(unix)]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use cku_changes::prove::{Cache, Check, Direction, Proof, Solver, SolverOptions, compare};

use crate::edited::{baseline, change, edited, sentences, solver};

const EDIT: (&str, &str, &str) = ("gates/quality.gate", "prod = 85%", "prod = 90%");

/// A solver that is a script: what it does with each line of input.
fn script(dir: &Path, body: &str) -> Solver {
    let program = dir.join("solver");
    let text = format!("#!/bin/sh\nif [ \"$1\" = --version ]; then echo 'fake 1'; exit; fi\n{body}\n");
    fs::write(&program, text).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let options = SolverOptions { program, time_limit: Duration::from_secs(1), workers: 1 };
    Solver::new(options, Cache::default()).unwrap()
}

/// Answers each `(check-sat)` with this, and echoes marks.
fn answering(answer: &str) -> String {
    format!(
        "n=0; while read -r line; do case \"$line\" in\n\
         '(check-sat)') n=$((n+1)); {answer};;\n\
         '(echo '*) m=${{line#*\\\"}}; echo \"${{m%%\\\"*}}\";;\nesac; done"
    )
}

#[test]
fn a_solver_that_cannot_be_believed_proves_nothing() {
    let right_at_first = "if [ $n = 1 ]; then echo unsat; elif [ $n = 2 ]; then echo sat; else";
    let bodies = [
        ("always unsat", answering("echo unsat")),
        ("always sat", answering("echo sat")),
        ("garbage after unsat", answering(&format!("{right_at_first} echo unsat; echo '; or is it?'; fi"))),
        ("other case", answering(&format!("{right_at_first} echo UNSAT; fi"))),
        ("no model", answering(&format!("{right_at_first} echo sat; fi"))),
        ("unknown", answering(&format!("{right_at_first} echo unknown; fi"))),
        ("hangs", answering(&format!("{right_at_first} exec sleep 600; fi"))),
        ("dies", answering(&format!("{right_at_first} exit 1; fi"))),
        ("unsat without being asked", "echo unsat; exec sleep 600".to_owned()),
        ("nothing", "exit 0".to_owned()),
    ];
    for (name, body) in bodies {
        let dir = tempfile::tempdir().unwrap();
        let mut solver = script(dir.path(), &body);
        let change = change(&[EDIT], &mut solver);
        assert_eq!(change.whole, Direction::Unproved, "{name}: {change:#?}");
        assert!(solver.cache().is_empty(), "{name}");
        let told = |proof: &Proof| matches!(proof, Proof::Unproved { why } if !why.is_empty());
        assert!(change.parts.iter().flat_map(|p| &p.checks).all(|c| told(&c.proof)), "{name}: {change:#?}");
    }
}

#[test]
fn a_missing_solver_is_told() {
    let options = SolverOptions { program: "/nowhere/cvc5".into(), ..SolverOptions::default() };
    assert!(Solver::new(options, Cache::default()).unwrap_err().contains("/nowhere/cvc5"));
}

#[test]
fn what_was_proved_is_not_asked_again() {
    let Some(mut solver) = solver() else { return };
    let dir = tempfile::tempdir().unwrap();
    let first = change(&[EDIT], &mut solver);
    solver.cache().save(dir.path()).unwrap();
    fs::write(dir.path().join("corrupt.json"), "{").unwrap();
    let cache = Cache::load(dir.path());
    assert_eq!(cache.len(), solver.cache().len());
    assert!(!cache.is_empty());
    let mut again = Solver::new(SolverOptions::default(), cache).unwrap();
    let second = change(&[EDIT], &mut again);
    assert_eq!(first.whole, second.whole);
    let checks = second.parts.iter().flat_map(|part| &part.checks);
    assert!(checks.map(|c| &c.proof).all(|p| !matches!(p, Proof::Proved { ms, .. } if *ms > 0)));
}

#[test]
fn kept_answers_that_were_damaged_are_proved_again() {
    let Some(mut solver) = solver() else { return };
    let folder = tempfile::tempdir().unwrap();
    let edit = ("gates/operations.gate", "max_risk: ratio = 0.70", "max_risk: ratio = 0.75");
    let first = change(&[edit], &mut solver);
    solver.cache().save(folder.path()).unwrap();
    let again = |cache: Cache| {
        let mut solver = Solver::new(SolverOptions::default(), cache).unwrap();
        change(&[edit], &mut solver)
    };
    let kept = again(Cache::load(folder.path()));
    let fresh = |check: &Check| matches!(&check.proof, Proof::Proved { ms, .. } if *ms > 0);
    assert!(!kept.parts.iter().flat_map(|part| &part.checks).any(fresh), "{kept:#?}");
    assert_eq!(sentences(&kept), sentences(&first));
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        let mut entry: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        entry["answer"] = "proved".into();
        std::fs::write(&path, entry.to_string()).unwrap();
    }
    assert_eq!(again(Cache::load(folder.path())).whole, Direction::Loosen);
}

#[test]
fn a_kept_counterexample_is_not_told_in_the_words_of_the_other_direction() {
    let Some(mut solver) = solver() else { return };
    let edit = ("gates/operations.gate", "max_risk: ratio = 0.70", "max_risk: ratio = 0.75");
    let there = change(&[edit], &mut solver);
    let back = compare(&edited(&[edit]), &baseline(), Some(&mut solver));
    assert!(sentences(&there)[0].ends_with("now passes `operations`"), "{there:#?}");
    assert!(sentences(&back)[0].ends_with("no longer passes `operations`"), "{back:#?}");
}
