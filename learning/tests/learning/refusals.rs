//! What the learner does not do, and what it does not forget.

use cku_learner::Direction;
use cku_learning::{FollowError, Following, ProposalError, Raised, objection, propose, round};

use crate::place::{Course, Place, acme, at, bundle, learner, person, with};

const SETTINGS: &str = "
defaults: { maturity_seconds: 60, left_out: 0, burst_expiry: 0, cool_down: 20, window: 2000, fresh_start: 200, loosenings: 2 }
";

const THRESHOLD: &str = "quality.min_line_coverage";

fn bad(place: &Place, runs: std::ops::Range<usize>) {
    for number in runs {
        let coverage = 6_000 + (number as i64 * 37 % 38) * 100;
        let fails = coverage < 7_500 && number % 10 < 3;
        place.run(number, "ci-1", coverage, if fails { Course::Failed } else { Course::Succeeded });
    }
    place.settle();
}

#[test]
fn nobody_but_the_learner_proposes_what_outcomes_raise() {
    let place = Place::new(&bundle(SETTINGS));
    bad(&place, 0..400);
    let raised = place.followed().to_propose().next().unwrap().clone();
    assert_eq!(raised.evidence.direction, Direction::Tighten);
    for who in ["rhea", "dana", "learner"] {
        let by = (&person(who), place.now());
        let refused = propose(&place.journal, &mut place.change_control(), &acme(), &raised, by);
        assert!(matches!(refused, Err(ProposalError::NotTheLearner(_))), "{who}: {refused:?}");
    }
    let by = (&learner(), place.now());
    propose(&place.journal, &mut place.change_control(), &acme(), &raised, by).unwrap();
}

#[test]
fn other_settings_or_a_threshold_that_was_away_for_a_while_give_no_new_budget() {
    let first = bundle(SETTINGS);
    let place = Place::new(&at(&first, 80));
    place.run(0, "ci-1", 9_000, Course::Succeeded);
    // Three loosenings by people use up the two watches of the window.
    for (number, percent) in [(1, 78), (2, 76), (3, 74)] {
        let id = place.approved(&at(&first, percent));
        place.activate(&id, "ada");
        place.run(number, "ci-1", 9_000, Course::Succeeded);
    }
    let watched = |place: &Place| {
        let following = place.followed();
        let scope = following.scopes().find(|scope| scope.threshold == THRESHOLD);
        scope.map(|scope| scope.state.watch().is_some())
    };
    assert_eq!(watched(&place), Some(false));
    let other = with(&at(&first, 74), |path, text| match path {
        "data/cku/learner.yaml" => text.replace("cool_down: 20", "cool_down: 21"),
        _ => text.to_owned(),
    });
    place.activate_by_entry(&other);
    place.run(4, "ci-1", 9_000, Course::Succeeded);
    place.activate_by_entry(&at(&other, 72));
    place.run(5, "ci-1", 9_000, Course::Succeeded);
    assert_eq!(watched(&place), Some(false), "other settings");
    let fixed = with(&at(&other, 72), |path, text| match path {
        "gates/quality.gate" => text.replace("in 60%..98% step 1% stricter up learn", "fixed"),
        _ => text.to_owned(),
    });
    place.activate_by_entry(&fixed);
    place.run(6, "ci-1", 9_000, Course::Succeeded);
    assert_eq!(watched(&place), None, "it is not learned now");
    place.activate_by_entry(&at(&other, 72));
    place.run(7, "ci-1", 9_000, Course::Succeeded);
    place.activate_by_entry(&at(&other, 70));
    place.run(8, "ci-1", 9_000, Course::Succeeded);
    assert_eq!(watched(&place), Some(false), "it was away");
}

#[test]
fn what_was_decided_under_a_bundle_that_does_not_load_ends_the_reading() {
    let place = Place::new(&bundle(SETTINGS));
    bad(&place, 0..20);
    let known = place.followed().seq();
    let unknown = cku_base::Digest::of(b"no bundle");
    place.run_by((unknown, None), 21, "ci-1", 7_000, Course::Succeeded);
    let mut following = Following::new(acme());
    let error = following.follow(&place.journal, None).unwrap_err();
    assert!(matches!(error, FollowError::Bundle(_) | FollowError::Store(_)), "{error}");
    // The submission is read; what the gates said of it is not, and is tried again the next time.
    assert_eq!(following.seq(), known + 1);
    assert!(following.follow(&place.journal, None).is_err());
    assert_eq!(following.seq(), known + 1);
}

#[test]
fn a_loosening_waits_while_outcomes_of_another_tenant_speak_against_it() {
    let place = Place::new(&bundle(SETTINGS));
    bad(&place, 0..400);
    let acme = place.followed();
    let tightens = acme.to_propose().next().unwrap().clone();
    let few = |tenant: &str, runs, fails: bool| {
        place.tenant.replace(tenant.parse().unwrap());
        for number in 0..runs {
            let course = if fails && number % 8 == 0 { Course::Failed } else { Course::Succeeded };
            place.run(number, "ci-1", 6_500 + (number as i64 % 30) * 100, course);
        }
        place.wait(120);
        place.run(9_999_999, "ci-1", 9_000, Course::Held);
        place.followed()
    };
    let (good, young, bad) = (few("good", 150, false), few("young", 40, true), few("bad", 130, true));
    // What another tenant raised to let more pass.
    let mut loosens = tightens.clone();
    loosens.evidence.scope.tenant = "elsewhere".parse().unwrap();
    loosens.evidence.direction = Direction::Loosen;
    loosens.evidence.to = 6_000;
    let against = |raised: &Raised, others: &[&Following]| {
        objection(raised, others.iter().copied()).map(|objection| objection.tenant.to_string())
    };
    assert_eq!(against(&loosens, &[&good, &young]), None, "forty outcomes are not enough");
    assert_eq!(against(&loosens, &[&good, &young, &bad]).as_deref(), Some("bad"));
    assert_eq!(against(&loosens, &[&acme]).as_deref(), Some("acme"));
    place.tenant.replace("early".parse().unwrap());
    for number in 0..70 {
        let low = number % 2 == 0;
        let (coverage, course) = if low { (6_500, Course::Failed) } else { (9_000, Course::Succeeded) };
        place.run(number, "ci-1", coverage, course);
    }
    place.settle();
    let early = place.followed();
    let scope = early.scopes().find(|scope| scope.threshold == THRESHOLD).unwrap();
    assert!(scope.raised.is_some() && scope.state.counts().since_change() < 100);
    assert_eq!(against(&loosens, &[&early]).as_deref(), Some("early"), "there it is to be tightened");
    assert_eq!(against(&tightens, &[&bad]), None, "nothing speaks against a tightening");
    loosens.evidence.scope.tenant = "bad".parse().unwrap();
    assert_eq!(against(&loosens, &[&bad]), None, "its own outcomes are its evidence");
}

#[test]
fn a_round_proposes_no_loosening_that_waits() {
    let first = bundle(&SETTINGS.replace("burst_expiry: 0", "burst_expiry: 60"));
    let place = Place::new(&first);
    place.tenant.replace("elsewhere".parse().unwrap());
    bad(&place, 0..400);
    let elsewhere = place.followed();
    place.tenant.replace(acme());
    bad(&place, 0..400);
    let by = (&learner(), place.now());
    let raised = place.followed().to_propose().next().unwrap().clone();
    let diff = propose(&place.journal, &mut place.change_control(), &acme(), &raised, by).unwrap().diff;
    place.check(&diff.id);
    place.consent(&diff.id, "rhea", cku_gates::ApprovalDecision::Approve);
    place.activate(&diff.id, "ada");
    // What passes is spread over all bands, and all of it turns out well.
    let bands = (9_800 - raised.evidence.to) / 100 + 1;
    for number in 400..700 {
        let coverage = raised.evidence.to + number as i64 * 37 % bands * 100;
        place.run(number, "ci-1", coverage, Course::Succeeded);
    }
    place.settle();
    let mut following = place.followed();
    let expired = following.to_propose().next().expect("the tightening ran out").clone();
    assert!(expired.evidence.expiry && expired.evidence.direction == Direction::Loosen);
    let round = |following: &mut Following, others: &[Following]| {
        let by = (&learner(), place.now());
        round(&place.journal, &place.chains, following, others, by).unwrap().proposed.len()
    };
    assert_eq!(round(&mut following, &[elsewhere]), 0);
    assert_eq!(round(&mut following, &[]), 1);
}
