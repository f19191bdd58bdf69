//! Invariants of the baseline.

use cku_changes::prove::invariants::{self, InvariantOutcome, Invariants};

use crate::edited::{baseline, edited, repository, solver};

fn bounds() -> Invariants {
    let path = repository().join("policies/invariants.cedar");
    Invariants::read(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_baseline_keeps_its_invariants() {
    let Some(mut solver) = solver() else { return };
    for result in invariants::check(&baseline(), &bounds(), Some(&mut solver)) {
        assert!(result.is_held(), "{result:#?}");
    }
}

#[test]
fn no_access_policy_of_the_baseline_errs() {
    let Some(mut solver) = solver() else { return };
    let results = invariants::never_errs(&baseline(), Some(&mut solver));
    assert!(results.len() > 10);
    for result in results {
        assert!(result.is_held(), "{result:#?}");
    }
}

#[test]
fn without_isolation_somebody_acts_outside_their_tenant() {
    let Some(mut solver) = solver() else { return };
    let edit = (
        "access/tenants.cedar",
        "forbid (principal, action, resource)\nunless",
        "forbid (principal is Agent, action, resource)\nunless",
    );
    let results = invariants::check(&edited(&[edit]), &bounds(), Some(&mut solver));
    let violated: Vec<_> = results.iter().filter(|result| !result.is_held()).collect();
    let [isolation] = violated.as_slice() else { panic!("{violated:#?}") };
    assert_eq!(isolation.id, "nobody acts outside their tenant");
    let InvariantOutcome::Violated { counterexample } = &isolation.outcome else { panic!("{isolation:#?}") };
    assert!(counterexample.sentence.contains("acts outside their home tenant"), "{counterexample:?}");
}

#[test]
fn without_a_solver_no_invariant_is_held() {
    assert!(!invariants::check(&baseline(), &bounds(), None).iter().any(|result| result.is_held()));
}

#[test]
fn gates_are_there_and_enforced() {
    let edit = ("pipeline.gate", "tenant_scope\n  quality ", "tenant_scope advise\n  quality ");
    let of = |bundle| invariants::structure(&bundle, &["release", "none"], &["security", "tenant_scope"]);
    let held: Vec<bool> = of(edited(&[edit])).iter().map(|result| result.is_held()).collect();
    assert_eq!(held, [true, false, true, false]);
    assert!(of(baseline()).iter().skip(2).all(|result| result.is_held()));
}
