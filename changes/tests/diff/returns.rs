//! Learned changes that go back on the last one: what cools down, and what does not have to.

use std::sync::Arc;

use cku_authority::Modes;
use cku_base::{Digest, PrincipalKind};
use cku_changes::diff::{self, ActError, Proposal};
use cku_engine::{Bundle, Sources};
use cku_gates::Submitter;

use crate::place::{Actor, Place, bundle, later, noon, person, principal, with_token};

/// The smallest example with a threshold that may be learned, at this value in dev.
fn limit(dev: u32) -> Arc<Bundle> {
    let minimal = bundle("examples/minimal", &[], true);
    let files = minimal.sources().files().iter().map(|file| (file.path.clone(), file.text.to_string()));
    let gate = format!(
        "gate size \"How much changes\" {{
  facts from data.size {{
    files: count
  }}
  threshold max_files: count = 50 in 10..100 step 10 stricter down learn {{
    dev = {dev}
  }}
  pause large: when files > max_files because \"{{files}} files\"
}}
"
    );
    let rego = "package size\n\nimport rego.v1\n\nfiles := count(object.get(input.submission, [\"change\", \"files\"], []))\n";
    let asked = |(path, text): (String, String)| match path.as_str() {
        "minimal.gate" => (path, text.replace("  may_run\n", "  may_run\n  size\n")),
        _ => (path, text),
    };
    let added = [("size.gate".to_owned(), gate), ("size.rego".to_owned(), rego.to_owned())];
    Arc::new(Bundle::from_sources(Sources::from_files(files.map(asked).chain(added))).unwrap())
}

/// Change control without a solver and over a journal without runs: what nobody proved or replayed passes.
fn change_control() -> Arc<Bundle> {
    let lax = [
        ("gates/invariants.gate", "unproved > 0", "unproved > 1000"),
        ("gates/evidence.gate", "max_not_replayable: percent = 5%", "max_not_replayable: percent = 100%"),
        ("gates/evidence.gate", "min_replayed: count = 200", "min_replayed: count = 0"),
    ];
    bundle("change-control", &lax, false)
}

fn learner() -> Submitter {
    with_token(principal(PrincipalKind::ServiceAccount, "learner"))
}

/// Proposes this value for dev and finds out about it, at the actor's time; the journal's own clock stands.
fn propose(actor: Actor<'_>, by: &Submitter, dev: u32) -> Digest {
    let change = |proposal: &mut Proposal<'_>| {
        proposal.modes = Modes::of(["dev"]);
        proposal.time = actor.now;
        proposal.expires_at = actor.now.after(std::time::Duration::from_secs(72 * 3_600)).unwrap();
    };
    let id = actor.propose_as(by, &limit(dev), change).unwrap().id;
    actor.check(&id).unwrap();
    id
}

/// Proposes, approves and activates a value for dev; what does not become active is withdrawn.
fn set(actor: Actor<'_>, by: &Submitter, dev: u32) -> Result<(), ActError> {
    let id = propose(actor, by, dev);
    actor.approve(&id, "rhea")?;
    let activated = actor.activate(&id, "dana").map(|_| ());
    if activated.is_err() {
        actor.withdraw(&id, "dana")?;
    }
    activated
}

/// Whether change control rejects this value because the threshold was learned a short while ago.
fn cools_down(actor: Actor<'_>, dev: u32) -> bool {
    match set(actor, &learner(), dev) {
        Ok(()) => false,
        Err(ActError::NotPassed { verdict: "REJECT", why }) if why.contains("was learned anew") => true,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_end_of_a_tightening_passes_within_the_week_and_a_further_step_does_not() {
    let place = Place::over(&limit(50), &change_control());
    let actor = place.actor();
    set(actor, &learner(), 30).unwrap();
    let soon = actor.at(later(24));
    assert!(cools_down(soon, 20), "tighter still");
    assert!(cools_down(soon, 60), "back and beyond");
    assert!(!cools_down(soon, 40), "part of the way back");
    assert!(cools_down(actor.at(later(48)), 30), "forth again");
    assert!(cools_down(actor.at(later(167)), 30));
    assert!(!cools_down(actor.at(later(168)), 30), "a week later it may");
}

#[test]
fn a_loosening_is_taken_back_within_the_week_and_no_second_one_follows() {
    let place = Place::over(&limit(50), &change_control());
    let actor = place.actor();
    set(actor, &learner(), 70).unwrap();
    let soon = actor.at(later(24));
    assert!(cools_down(soon, 80), "a second loosening");
    assert!(!cools_down(soon, 50), "all the way back");
    assert!(cools_down(actor.at(later(48)), 70), "what was taken back is not taken back");
}

#[test]
fn what_people_changed_meanwhile_is_not_undone_in_passing() {
    let place = Place::over(&limit(50), &change_control());
    let actor = place.actor();
    set(actor, &learner(), 70).unwrap();
    let soon = actor.at(later(24));
    set(soon, &person("otto"), 90).unwrap();
    assert!(cools_down(soon, 60));
}

#[test]
fn what_the_journal_says_of_the_way_back_is_in_the_input_and_not_in_the_evidence() {
    let place = Place::over(&limit(50), &change_control());
    let actor = place.actor();
    set(actor, &learner(), 30).unwrap();
    let id = propose(actor.at(later(24)), &learner(), 40);
    let diff = diff::load(&place.journal, &id).unwrap();
    let mut worker = cku_engine::Worker::new(change_control());
    let judged = diff::judge(&place.journal, &place.chains, &mut worker, &diff, noon()).unwrap();
    let seen = judged.input.policy_diff.unwrap().thresholds;
    let found = diff::evidence_of(&place.journal, &diff).unwrap().unwrap().thresholds;
    let said = |changed: &[cku_gates::ThresholdChange]| {
        changed.iter().map(|c| (c.mode.clone(), c.from, c.to, c.returns)).collect::<Vec<_>>()
    };
    assert_eq!(said(&seen), [("dev".to_owned(), 30, 40, true)]);
    assert_eq!(said(&found), [("dev".to_owned(), 30, 40, false)]);
}
