//! A diff from its proposal to its end, and what is refused on the way.

use cku_authority::{Control, Purpose};
use cku_base::{Digest, PrincipalKind};
use cku_changes::diff::{self, ActError, Ending, ProposeError, Refusal, Status};
use cku_gates::{ApprovalDecision, Authentication};
use cku_journal::Kind;
use serde_json::json;

use crate::{
    checker::faults,
    place::{Place, bundle, grant, later, note, owned, person, principal, with_token},
};

#[test]
fn a_diff_becomes_active_and_is_taken_back() {
    let place = Place::new();
    let actor = place.actor();
    let before = actor.active();
    let id = actor.propose(&owned("a"));
    assert!(matches!(actor.activate(&id, "dana"), Err(ActError::NotPassed { verdict: "PAUSE", .. })));
    assert_eq!(actor.approve(&id, "rhea").unwrap().status(), Status::Approved);
    let activated = actor.activate(&id, "dana").unwrap();
    assert_eq!(actor.active(), activated.revision);
    assert!(matches!(actor.activate(&id, "dana"), Err(ActError::Refused(Refusal::Ended(Ending::Activated)))));
    assert!(matches!(actor.roll_back(&id, "rhea", later(1)), Err(ActError::Access(_))));
    assert!(matches!(actor.roll_back(&id, "dana", later(7 * 24)), Err(ActError::TooLate(_))));
    actor.roll_back(&id, "dana", later(7 * 24 - 1)).unwrap();
    assert_eq!(actor.active(), before);
    assert!(matches!(actor.roll_back(&id, "dana", later(1)), Err(ActError::Refused(_))));
    assert_eq!(faults(&place.journal), [""; 0]);
}

#[test]
fn only_the_last_change_is_taken_back() {
    let place = Place::new();
    let actor = place.actor();
    let mut ids = Vec::new();
    for owner in ["a", "b"] {
        let id = actor.propose(&owned(owner));
        actor.approve(&id, "rhea").unwrap();
        actor.activate(&id, "dana").unwrap();
        ids.push(id);
    }
    assert!(matches!(actor.roll_back(&ids[0], "dana", later(1)), Err(ActError::NotLast)));
    actor.roll_back(&ids[1], "dana", later(1)).unwrap();
    assert!(matches!(actor.roll_back(&ids[0], "dana", later(1)), Err(ActError::NotLast)), "no further back");
}

#[test]
fn a_refusal_ends_it_and_so_does_its_author() {
    let place = Place::new();
    let actor = place.actor();
    let id = actor.propose(&owned("a"));
    let refused = actor.consent(&id, "rhea", ApprovalDecision::Refuse).unwrap();
    assert_eq!(refused.status(), Status::Ended(Ending::Refused));
    let id = actor.propose(&owned("b"));
    assert!(matches!(actor.withdraw(&id, "rhea"), Err(ActError::Access(_))));
    assert_eq!(actor.withdraw(&id, "otto").unwrap().status(), Status::Ended(Ending::Withdrawn));
    assert!(actor.approve(&id, "rhea").is_err());
}

#[test]
fn who_comes_second_is_stale() {
    let place = Place::new();
    let actor = place.actor();
    let (one, two) = (actor.propose(&owned("a")), actor.propose(&owned("b")));
    actor.approve(&one, "rhea").unwrap();
    actor.approve(&two, "rhea").unwrap();
    actor.activate(&one, "dana").unwrap();
    assert!(matches!(actor.activate(&two, "dana"), Err(ActError::Stale { .. })));
    let two = diff::load(&place.journal, &two).unwrap();
    assert_eq!(two.status(), Status::Ended(Ending::Stale));
}

#[test]
fn what_is_found_again_keeps_approvals() {
    let place = Place::new();
    let actor = place.actor();
    let id = actor.propose(&owned("a"));
    actor.approve(&id, "rhea").unwrap();
    // There is more in the journal now, and what is replayed stays what it was.
    let before = actor.active();
    note(&place.journal, Kind::KillSwitchSet, "killswitch", json!({"on": false, "reason": "an entry"}));
    assert_eq!(actor.check(&id).unwrap().status(), Status::Checked, "it is decided anew");
    assert_eq!(actor.active(), before);
    actor.activate(&id, "dana").unwrap();
}

#[test]
fn who_may_not_propose_may_not_check_anew() {
    let place = Place::new();
    let actor = place.actor();
    let id = actor.propose(&owned("a"));
    let by = person("eve");
    assert!(matches!(actor.check_as(&by, &id), Err(diff::CheckError::Access(_))));
}

#[test]
fn what_is_no_proposal_is_refused() {
    let place = Place::new();
    let actor = place.actor();
    let (otto, new) = (person("otto"), owned("a"));
    let error = |found: Result<_, ProposeError>| found.map(|d: diff::Diff| d.id).unwrap_err();
    let base = bundle("examples/minimal", &[], true);
    assert!(matches!(error(actor.propose_as(&otto, &base, |_| {})), ProposeError::Nothing(_)));
    assert!(matches!(error(actor.propose_as(&otto, &new, |p| p.title.clear())), ProposeError::NoTitle));
    let other = |p: &mut diff::Proposal<'_>| p.base = Some(Digest::of(b"x"));
    assert!(matches!(error(actor.propose_as(&otto, &new, other)), ProposeError::OtherBase { .. }));
    let renamed = bundle("examples/minimal", &[("bundle.yaml", "name: minimal", "name: other")], true);
    assert!(matches!(error(actor.propose_as(&otto, &renamed, |_| {})), ProposeError::OtherName { .. }));
    assert!(matches!(error(actor.propose_as(&person("eve"), &new, |_| {})), ProposeError::Access(_)));
    let mut local = otto.clone();
    local.authentication = Authentication::Local;
    assert!(matches!(error(actor.propose_as(&local, &new, |_| {})), ProposeError::TakesToken));
    let learner = with_token(principal(PrincipalKind::ServiceAccount, "learner"));
    let control = bundle("change-control", &[("bundle.yaml", "owners: [security]", "owners: [x]")], false);
    let change_control = |p: &mut diff::Proposal<'_>| p.purpose = Purpose::ChangeControl;
    assert!(matches!(error(actor.propose_as(&learner, &control, change_control)), ProposeError::Learner));
    let files = Place::of(Control::Files, &crate::place::change_control());
    assert!(matches!(error(files.actor().propose_as(&otto, &new, |_| {})), ProposeError::Files));
}

#[test]
fn a_change_of_change_control_takes_two_admins_whatever_the_bundle_says() {
    let lax = [
        ("gates/invariants.gate", "unproved > 0", "unproved > 1000"),
        ("gates/proposal.gate", "when tests_passed < 1", "when tests_passed < 0"),
        ("gates/approval.gate", "admin_approvals < min_admins", "admin_approvals < 0"),
        ("gates/approval.gate", "admin_approvals < floor_admins", "admin_approvals < 0"),
    ];
    let place = Place::of(Control::Managed, &bundle("change-control", &lax, false));
    let actor = place.actor();
    let mut changed = lax.to_vec();
    changed.push(("bundle.yaml", "owners: [security]", "owners: [others]"));
    let new = bundle("change-control", &changed, false);
    let proposed = actor.propose_as(&person("otto"), &new, |p| p.purpose = Purpose::ChangeControl).unwrap();
    actor.check(&proposed.id).unwrap();
    for who in ["rhea", "sam", "dana"] {
        actor.approve(&proposed.id, who).unwrap();
    }
    let one = actor.activate(&proposed.id, "dana").unwrap_err();
    assert!(matches!(one, ActError::Floor { floor: 2, have: 1 }), "{one}");
    actor.approve(&proposed.id, "ada").unwrap();
    actor.activate(&proposed.id, "dana").unwrap();
}

#[test]
fn an_approval_that_is_forged_or_copied_counts_for_nothing() {
    let place = Place::new();
    let actor = place.actor();
    let (one, two) = (actor.propose(&owned("a")), actor.propose(&owned("b")));
    let good = actor.approve(&one, "rhea").unwrap().approvals.pop().unwrap();
    // That of another diff.
    note(&place.journal, Kind::DiffConsented, &diff::subject(&two), json!({"approval": good}));
    assert!(matches!(actor.activate(&two, "dana"), Err(ActError::NotPassed { .. })));
    // By somebody who may not, by its author, and by a machine that somebody made a reviewer.
    let three = actor.propose(&owned("c"));
    grant(&place.journal, &principal(PrincipalKind::ServiceAccount, "bot"), "reviewer");
    let judged = actor.consent(&three, "rhea", ApprovalDecision::Approve).unwrap().approvals.pop().unwrap();
    let four = actor.propose(&owned("d"));
    for (kind, who) in [("user", "eve"), ("user", "otto"), ("service_account", "bot")] {
        let mut forged = serde_json::to_value(&judged).unwrap();
        forged["approver"] = json!({"kind": kind, "id": who, "tenant": "/"});
        forged["subject_digest"] = json!(subject(&place, &four));
        note(&place.journal, Kind::DiffConsented, &diff::subject(&four), json!({"approval": forged}));
    }
    assert!(matches!(actor.activate(&four, "dana"), Err(ActError::NotPassed { verdict: "PAUSE", .. })));
}

#[test]
fn a_diff_cannot_choose_the_mode_in_which_it_is_decided() {
    let place = Place::new();
    let without_prod = [
        ("bundle.yaml", "modes: [dev, prod]", "modes: [dev]"),
        ("minimal.gate", "mode prod {\n  may_run\n}\n", ""),
    ];
    let id = place.actor().propose(&bundle("examples/minimal", &without_prod, false));
    assert_eq!(judged(&place, &id).decision.mode, "prod");
}

#[test]
fn a_diff_cannot_take_its_own_protection_away() {
    let place = Place::new();
    let actor = place.actor();
    let protected = [("bundle.yaml", "name: minimal\n", "name: minimal\nprotected: true\n")];
    let id = actor.propose(&bundle("examples/minimal", &protected, true));
    for who in ["rhea", "sam", "dana", "ada"] {
        actor.approve(&id, who).unwrap();
    }
    actor.activate(&id, "dana").unwrap();
    let id = actor.propose(&owned("a"));
    assert!(judged(&place, &id).input.policy_diff.unwrap().bundle.protected, "its base is");
    for who in ["rhea", "sam"] {
        actor.approve(&id, who).unwrap();
    }
    assert!(matches!(actor.activate(&id, "dana"), Err(ActError::NotPassed { verdict: "PAUSE", .. })));
}

/// What an approval of a diff is bound to.
fn subject(place: &Place, id: &Digest) -> Digest {
    judged(place, id).decision.subject_digest
}

/// What change control says of a diff.
fn judged(place: &Place, id: &Digest) -> diff::Judged {
    let diff = diff::load(&place.journal, id).unwrap();
    let active = cku_authority::active_for(&place.journal, Purpose::ChangeControl).unwrap().unwrap();
    let bundle = cku_authority::load_bundle(&place.journal, active.revision).unwrap();
    let mut worker = cku_engine::Worker::new(bundle);
    diff::judge(&place.journal, &place.chains, &mut worker, &diff, crate::place::noon()).unwrap()
}
