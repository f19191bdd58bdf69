//! What becomes active in some modes, and what is tried first.

use cku_authority::{Modes, Purpose, Stage, rollout};
use cku_base::Digest;
use cku_changes::diff::{self, ActError, Ending, ProposeError, Refusal, Status};
use cku_gates::ApprovalDecision;

use crate::{
    checker::faults,
    place::{Actor, Place, change_control, later, owned, person},
};

fn canary(share: u32, stop_after: Option<u64>) -> Stage {
    Stage::Canary { share: share.try_into().unwrap(), stop_after }
}

/// What decides in dev and in prod.
fn decides(actor: Actor<'_>) -> [Digest; 2] {
    let rollout = rollout(actor.journal, Purpose::Gates).unwrap();
    ["dev", "prod"].map(|mode| rollout.in_mode(mode).unwrap().activated.revision)
}

fn proposed_for(actor: Actor<'_>, owner: &str, modes: &[&str]) -> Digest {
    let modes = Modes::of(modes.iter().copied());
    let diff = actor.propose_as(&person("otto"), &owned(owner), |proposal| proposal.modes = modes).unwrap();
    actor.check(&diff.id).unwrap();
    diff.id
}

#[test]
fn a_change_of_one_mode_leaves_the_others_and_is_decided_in_that_mode() {
    let place = Place::new();
    let actor = place.actor();
    let [first, _] = decides(actor);
    let dev = proposed_for(actor, "a", &["dev"]);
    actor.approve(&dev, "rhea").unwrap();
    let loaded = diff::load(&place.journal, &dev).unwrap();
    let mode =
        |diff: &diff::Diff| diff.decided.as_ref().unwrap().decision["mode"].as_str().unwrap().to_owned();
    assert_eq!(mode(&loaded), "dev");
    actor.activate(&dev, "dana").unwrap();
    assert_eq!(decides(actor), [owned("a").revision(), first]);
    // A diff of all modes would apply to two revisions.
    let all = actor.propose_as(&person("otto"), &owned("b"), |_| {}).unwrap_err();
    assert!(matches!(all, ProposeError::SeveralBases(_)), "{all}");
    let prod = proposed_for(actor, "a", &["prod"]);
    actor.approve(&prod, "rhea").unwrap();
    assert_eq!(mode(&diff::load(&place.journal, &prod).unwrap()), "prod");
    actor.activate(&prod, "dana").unwrap();
    assert_eq!(decides(actor), [owned("a").revision(); 2]);
    // Each is the last in its modes, and taking one back leaves the other.
    actor.roll_back(&dev, "dana", later(1)).unwrap();
    assert_eq!(decides(actor), [first, owned("a").revision()]);
    assert_eq!(faults(&place.journal), [""; 0]);
}

#[test]
fn a_mode_that_nothing_decides_in_is_refused() {
    let place = Place::new();
    let propose = |purpose, modes: &[&str], bundle: &cku_engine::Bundle| {
        let modes = Modes::of(modes.iter().copied());
        let change = |p: &mut diff::Proposal<'_>| (p.modes, p.purpose) = (modes, purpose);
        place.actor().propose_as(&person("otto"), bundle, change).unwrap_err()
    };
    let unknown = propose(Purpose::Gates, &["prd"], &owned("a"));
    insta::assert_snapshot!(unknown, @"the bundle has no mode `prd`: dev, prod; did you mean `prod`?");
    let control = propose(Purpose::ChangeControl, &["dev"], &change_control());
    assert!(matches!(control, ProposeError::AllModes));
}

#[test]
fn a_trial_goes_on_from_shadow_to_canary_to_all_runs() {
    let place = Place::new();
    let actor = place.actor();
    let [first, _] = decides(actor);
    let id = actor.propose(&owned("a"));
    assert!(matches!(actor.stage(&id, Stage::Shadow, "dana"), Err(ActError::NotPassed { .. })), "unapproved");
    actor.approve(&id, "rhea").unwrap();
    actor.stage(&id, Stage::Shadow, "dana").unwrap();
    assert_eq!(decides(actor), [first; 2], "a shadow decides over nothing");
    let rollout_now = || rollout(&place.journal, Purpose::Gates).unwrap();
    assert_eq!(rollout_now().shadow_in("prod").unwrap().activated.diff, Some(id));
    let spoils = [
        actor.withdraw(&id, "otto").map(|_| ()).unwrap_err(),
        actor.consent(&id, "sam", ApprovalDecision::Refuse).map(|_| ()).unwrap_err(),
        actor.stage(&id, Stage::Shadow, "dana").map(|_| ()).unwrap_err(),
    ];
    for error in spoils {
        let refused =
            matches!(error, ActError::Refused(Refusal::Tried("shadow") | Refusal::NotBack("shadow")));
        assert!(refused, "{error}");
    }
    assert!(actor.check(&id).is_err());
    actor.stage(&id, canary(1_000, None), "dana").unwrap();
    assert!(rollout_now().shadow_in("prod").is_none());
    assert_eq!(diff::load(&place.journal, &id).unwrap().status(), Status::Tried(canary(1_000, None)));
    actor.stage(&id, canary(5_000, None), "dana").unwrap();
    assert!(actor.stage(&id, Stage::Shadow, "dana").is_err(), "not back");
    actor.activate(&id, "dana").unwrap();
    assert_eq!(decides(actor), [owned("a").revision(); 2]);
    assert!(rollout_now().trials.is_empty());
    assert_eq!(faults(&place.journal), [""; 0]);
}

#[test]
fn two_diffs_are_not_tried_in_one_mode_and_what_becomes_active_ends_what_was_tried() {
    let place = Place::new();
    let actor = place.actor();
    let (one, two) = (proposed_for(actor, "a", &["dev"]), actor.propose(&owned("b")));
    for id in [&one, &two] {
        actor.approve(id, "rhea").unwrap();
    }
    actor.stage(&one, canary(1_000, None), "dana").unwrap();
    let other = actor.stage(&two, Stage::Shadow, "dana").unwrap_err();
    assert!(matches!(other, ActError::OtherTrial { .. }), "{other}");
    actor.activate(&two, "dana").unwrap();
    assert!(matches!(actor.activate(&one, "dana"), Err(ActError::Stale { .. })), "its base is gone");
    assert_eq!(diff::load(&place.journal, &one).unwrap().status(), Status::Ended(Ending::Stale));
    assert_eq!(faults(&place.journal), [""; 0]);
}

#[test]
fn a_trial_is_taken_back_by_hand_whatever_became_active_in_other_modes() {
    let place = Place::new();
    let actor = place.actor();
    let before = decides(actor);
    let id = proposed_for(actor, "a", &["prod"]);
    actor.approve(&id, "rhea").unwrap();
    actor.stage(&id, canary(10_000, None), "dana").unwrap();
    let dev = proposed_for(actor, "b", &["dev"]);
    actor.approve(&dev, "rhea").unwrap();
    actor.activate(&dev, "dana").unwrap();
    assert!(matches!(actor.roll_back(&id, "rhea", later(1)), Err(ActError::Access(_))));
    actor.roll_back(&id, "dana", later(1)).unwrap();
    assert!(rollout(&place.journal, Purpose::Gates).unwrap().trials.is_empty());
    assert_eq!(decides(actor)[1], before[1]);
    // What was tried elsewhere does not stand in the way of taking back what became active.
    actor.roll_back(&dev, "dana", later(1)).unwrap();
    assert_eq!(decides(actor), before);
    assert_eq!(faults(&place.journal), [""; 0]);
}

#[test]
fn a_canary_is_taken_back_by_itself_once_enough_of_its_runs_failed() {
    let place = Place::new();
    let actor = place.actor();
    let id = actor.propose(&owned("a"));
    actor.approve(&id, "rhea").unwrap();
    actor.stage(&id, canary(1_000, Some(3)), "dana").unwrap();
    let stop = |failed| diff::stop_failing(&place.journal, |_| Ok(failed)).unwrap();
    assert!(stop(2).is_empty());
    let stopped = stop(3);
    assert_eq!(stopped.iter().map(|back| back.diff.id).collect::<Vec<_>>(), [id]);
    let diff = diff::load(&place.journal, &id).unwrap();
    assert_eq!(diff.status(), Status::Ended(Ending::RolledBack));
    insta::assert_snapshot!(diff.ended.unwrap().reason, @"3 runs of the canary failed, and it was to stop after 3");
    assert!(stop(3).is_empty(), "once");
    assert_eq!(faults(&place.journal), [""; 0]);
}

#[test]
fn what_is_done_too_late_ends_the_diff_with_an_entry() {
    let place = Place::new();
    let actor = place.actor();
    let id = actor.propose_as(&person("otto"), &owned("a"), |p| p.expires_at = later(1)).unwrap().id;
    actor.check(&id).unwrap();
    actor.approve(&id, "rhea").unwrap();
    let late = actor.at(later(1));
    assert!(matches!(late.activate(&id, "dana"), Err(ActError::Refused(Refusal::Expired(_)))));
    let diff = diff::load(&place.journal, &id).unwrap();
    assert_eq!(diff.status(), Status::Ended(Ending::Expired));
    assert!(matches!(late.activate(&id, "dana"), Err(ActError::Refused(Refusal::Ended(Ending::Expired)))));
}
