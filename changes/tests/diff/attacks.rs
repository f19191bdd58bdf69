//! What somebody could try who wants a change that others would not approve.

use cku_authority::{Control, Modes, Purpose};
use cku_base::{PrincipalKind, Timestamp};
use cku_changes::diff::{self, ActError, Diff, ProposeError, Refusal, Status};
use cku_engine::{Bundle, Sources};
use cku_gates::{ApprovalDecision, Submitter};
use cku_journal::Kind;
use serde_json::json;

use crate::place::{Place, bundle, grant, later, noon, note, owned, person, principal, with_token};

/// Change control that lets everything pass that its floor lets pass.
const LAX: [(&str, &str, &str); 4] = [
    ("gates/invariants.gate", "unproved > 0", "unproved > 1000"),
    ("gates/proposal.gate", "when tests_passed < 1", "when tests_passed < 0"),
    ("gates/approval.gate", "admin_approvals < min_admins", "admin_approvals < 0"),
    ("gates/approval.gate", "admin_approvals < floor_admins", "admin_approvals < 0"),
];

fn propose_control(place: &Place, changed: (&str, &str, &str)) -> Diff {
    let new = bundle("change-control", &[&LAX[..], &[changed]].concat(), false);
    let actor = place.actor();
    let proposed = actor.propose_as(&person("otto"), &new, |p| p.purpose = Purpose::ChangeControl).unwrap();
    actor.check(&proposed.id).unwrap()
}

#[test]
fn change_control_keeps_its_modes_whoever_approves() {
    for modes in ["modes: [dev, prod, staging]", "modes: [prod, staging, dev]"] {
        let place = Place::of(Control::Managed, &bundle("change-control", &LAX, false));
        let diff = propose_control(&place, ("bundle.yaml", "modes: [dev, staging, prod]", modes));
        assert!(
            diff.checked.as_ref().unwrap().violated.contains(&"modes of change control".to_owned()),
            "{modes}: {:?}",
            diff.checked
        );
        for who in ["rhea", "sam", "dana", "ada"] {
            let _ = place.actor().approve(&diff.id, who);
        }
        assert!(place.actor().activate(&diff.id, "dana").is_err(), "{modes}");
    }
}

/// Somebody whose token was signed with this key.
fn signed(id: &str, key: &str) -> Submitter {
    let mut by = person(id);
    by.token.as_mut().unwrap().key = Some(key.to_owned());
    by
}

#[test]
fn a_key_that_one_administrator_just_trusted_makes_no_second_one() {
    let place = Place::of(Control::Managed, &bundle("change-control", &LAX, false));
    let key = json!({"key": {"id": "evil", "tenant": "/"}, "id": "evil"});
    note(&place.journal, Kind::KeyTrusted, "keys", key);
    let diff = propose_control(&place, ("bundle.yaml", "owners: [security]", "owners: [others]"));
    let approve_at = |who: &Submitter, now: Timestamp| {
        let actor = place.actor().at(now);
        actor.consent_as(who, &diff.id, ApprovalDecision::Approve).unwrap();
    };
    for who in ["rhea", "sam", "ada"] {
        approve_at(&person(who), noon());
    }
    approve_at(&signed("dana", "evil"), noon());
    let error = place.actor().activate(&diff.id, "ada").unwrap_err();
    assert!(matches!(error, ActError::Floor { have: 1, .. }), "{error}");
    // What the real administrator says is another word, under another key.
    approve_at(&person("dana"), noon());
    place.actor().activate(&diff.id, "ada").unwrap();
}

#[test]
fn an_approval_without_a_key_is_no_administrators_word_over_change_control() {
    let place = Place::of(Control::Managed, &bundle("change-control", &LAX, false));
    let diff = propose_control(&place, ("bundle.yaml", "owners: [security]", "owners: [others]"));
    let approve = |who: &Submitter| {
        place.actor().consent_as(who, &diff.id, ApprovalDecision::Approve).unwrap();
    };
    for who in ["rhea", "sam", "ada"] {
        approve(&person(who));
    }
    let mut keyless = person("dana");
    keyless.token.as_mut().unwrap().key = None;
    approve(&keyless);
    let error = place.actor().activate(&diff.id, "ada").unwrap_err();
    assert!(matches!(error, ActError::Floor { have: 1, .. }), "{error}");
}

#[test]
fn nobody_approves_what_an_agent_of_their_name_proposed() {
    let place = Place::new();
    let agent = principal(PrincipalKind::Agent, "rhea");
    grant(&place.journal, &agent, "operator");
    let actor = place.actor();
    let id = actor.propose_as(&with_token(agent), &owned("a"), |_| {}).unwrap().id;
    actor.check(&id).unwrap();
    assert!(matches!(actor.approve(&id, "rhea"), Err(ActError::Refused(Refusal::OwnWork(_)))));
}

#[test]
fn whoever_approved_may_still_refuse_and_what_is_over_may_be_said_again() {
    let place = Place::new();
    let actor = place.actor();
    let id = actor.propose(&owned("a"));
    actor.approve(&id, "rhea").unwrap();
    assert!(matches!(actor.approve(&id, "rhea"), Err(ActError::Refused(Refusal::Twice { .. }))));
    // It holds for 24 hours, and the diff can be approved for 72.
    actor.at(later(25)).approve(&id, "rhea").unwrap();
    let refused = actor.at(later(26)).consent(&id, "rhea", ApprovalDecision::Refuse).unwrap();
    assert!(matches!(refused.status(), Status::Ended(_)), "{:?}", refused.status());
}

#[test]
fn a_word_in_ones_name_under_another_key_does_not_silence_one() {
    let place = Place::new();
    let actor = place.actor();
    let id = actor.propose(&owned("a"));
    actor.consent_as(&signed("rhea", "stolen"), &id, ApprovalDecision::Approve).unwrap();
    let refused = actor.consent_as(&person("rhea"), &id, ApprovalDecision::Refuse).unwrap();
    assert!(matches!(refused.status(), Status::Ended(_)));
}

#[test]
fn only_a_person_takes_a_change_back() {
    let place = Place::new();
    let bot = principal(PrincipalKind::ServiceAccount, "bot");
    grant(&place.journal, &bot, "admin");
    let actor = place.actor();
    let id = actor.propose(&owned("a"));
    actor.approve(&id, "rhea").unwrap();
    actor.activate(&id, "dana").unwrap();
    let error = actor.roll_back_as(&with_token(bot), &id, later(1)).unwrap_err();
    assert!(matches!(error, ActError::Refused(Refusal::NotAPerson(_))), "{error}");
}

#[test]
fn what_may_have_made_change_control_stricter_is_taken_back_by_a_diff_alone() {
    let comment = ("# Facts of the gate `window`.", "# Facts of the gate `window`, as ever.", true);
    let rule = ("trim_space(reason) != \"\"", "reason != \"\"", false);
    for (old, new, goes_back) in [comment, rule] {
        let place = Place::of(Control::Managed, &bundle("change-control", &LAX, false));
        let diff = propose_control(&place, ("gates/window.rego", old, new));
        for who in ["rhea", "sam", "dana", "ada"] {
            place.actor().approve(&diff.id, who).unwrap();
        }
        place.actor().activate(&diff.id, "dana").unwrap();
        let back = place.actor().roll_back(&diff.id, "dana", later(1));
        match goes_back {
            true => drop(back.unwrap()),
            false => assert!(matches!(back, Err(ActError::TakesADiff)), "{back:?}"),
        }
    }
}

#[test]
fn tests_that_a_change_takes_away_are_run_all_the_same() {
    let place = Place::new();
    let gone = bundle(
        "examples/minimal",
        &[("bundle.yaml", "name: minimal\n", "name: minimal\nowners: [a]\n")],
        false,
    );
    let files = gone.sources().files().iter().map(|file| (file.path.clone(), file.text.to_string()));
    let nothing =
        ("tests/nothing_test.rego".to_owned(), "package nothing_test\n\ntest_nothing if true\n".to_owned());
    let new = Bundle::from_sources(Sources::from_files(files.chain([nothing]))).unwrap();
    let id = place.actor().propose(&new);
    let diff = diff::load(&place.journal, &id).unwrap();
    let evidence = diff::evidence_of(&place.journal, &diff).unwrap().unwrap();
    assert_eq!(evidence.tests.passed, 1);
    let base = evidence.base_tests.unwrap();
    assert!(base.passed > 10, "{base:?}");
}

#[test]
fn a_diff_is_open_for_thirty_days_at_most() {
    let place = Place::new();
    let propose = |hours| {
        let until = |p: &mut diff::Proposal<'_>| (p.expires_at, p.modes) = (later(hours), Modes::all());
        place.actor().propose_as(&person("otto"), &owned("a"), until)
    };
    assert!(matches!(propose(30 * 24 + 1), Err(ProposeError::TooLong(_))));
    propose(30 * 24).unwrap();
}
