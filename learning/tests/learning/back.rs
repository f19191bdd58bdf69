//! A loosening is watched, in a canary and when it is active, and taken back where too much fails.

use cku_authority::{Purpose, Stage, rollout};
use cku_changes::diff::{self, Ending, Status};
use cku_gates::ApprovalDecision;
use cku_learner::Direction;
use cku_learning::{Following, Round, propose, round, stop_failing, verify};

use crate::place::{Course, Place, acme, at, bundle, learner};

const SETTINGS: &str = "
defaults: { maturity_seconds: 60, left_out: 0, burst_expiry: 0, cool_down: 20 }
";

const THRESHOLD: &str = "quality.min_line_coverage";

/// What became of so many runs of which one in five fails is final.
fn failing(place: &Place, runs: std::ops::Range<usize>) {
    for number in runs {
        let course = if number % 5 == 4 { Course::Failed } else { Course::Succeeded };
        place.run(number, ["ci-1", "ci-2"][number % 2], 7_600, course);
    }
    place.settle();
}

#[test]
fn an_active_loosening_after_which_too_much_fails_is_proposed_to_be_taken_back() {
    let base = at(&bundle(SETTINGS), 80);
    let place = Place::new(&base);
    place.run(0, "ci-1", 9_000, Course::Succeeded);
    let loosening = place.approved(&at(&base, 75));
    place.activate(&loosening, "ada");
    failing(&place, 1..100);
    let following = place.followed();
    let raised = following.to_propose().next().expect("something is raised").clone();
    let evidence = &raised.evidence;
    assert_eq!((evidence.direction, evidence.from, evidence.to), (Direction::Tighten, 7_500, 8_000));
    assert!(evidence.takes_back && !evidence.expiry && evidence.rollback.is_none());
    let watch = evidence.detectors.watch.as_ref().unwrap();
    let number = |text: &str| text.parse::<f64>().unwrap();
    assert!(number(&watch.least) >= number(&watch.level) && watch.outcomes < 99);
    assert!(number(&evidence.detectors.least) < number(&evidence.detectors.tighten_level), "it is quicker");
    let by = (&learner(), place.now());
    let made = propose(&place.journal, &mut place.change_control(), &acme(), &raised, by).unwrap();
    insta::assert_snapshot!(
        made.diff.proposed.title,
        @"Take back the loosening of quality.min_line_coverage in dev from 75.00 % to 80.00 %, by outcomes of acme"
    );
    assert_eq!(verify(&place.journal, &made.diff.id).unwrap(), raised.evidence);
    // The way of every diff, and no wait for the cool-down of change control.
    place.check(&made.diff.id);
    place.consent(&made.diff.id, "rhea", ApprovalDecision::Approve);
    place.activate(&made.diff.id, "ada");
    assert_eq!(place.active().revision(), base.revision());
    failing(&place, 100..101);
    let following = place.followed();
    let scope = following.scopes().find(|scope| scope.threshold == THRESHOLD).unwrap();
    assert_eq!(scope.grid.value(scope.state.cut()), 8_000);
    assert!(scope.state.watch().is_none() && scope.raised.is_none());
}

#[test]
fn a_canary_that_lets_pass_what_fails_is_ended_and_what_decides_elsewhere_decides_there_too() {
    let base = at(&bundle(SETTINGS), 80);
    let place = Place::new(&base);
    place.run(0, "ci-1", 9_000, Course::Succeeded);
    let loosening = place.approved(&at(&base, 75));
    place.stage(&loosening, Stage::Canary { share: 1_000.try_into().unwrap(), stop_after: None }, "ada");
    let looser = at(&base, 75).revision();
    for number in 1..60 {
        let course = if number % 4 == 0 { Course::Failed } else { Course::Succeeded };
        place.run_by((looser, Some(loosening)), number, "ci-1", 7_600, course);
        place.run(1_000 + number, "ci-1", 8_600, Course::Succeeded);
    }
    place.settle();
    let following = place.followed();
    assert_eq!(following.to_propose().count(), 0);
    let scope = following.scopes().find(|scope| scope.threshold == THRESHOLD).unwrap();
    let failing = scope.failing.expect("it is found out");
    assert_eq!((failing.diff, failing.value), (loosening, 7_500));
    assert_eq!(scope.grid.value(scope.state.cut()), 8_000);
    // Read in two goes it is the same.
    let mut first = Following::new(acme());
    first.follow(&place.journal, Some(120)).unwrap();
    let mut second: Following = serde_json::from_str(&serde_json::to_string(&first).unwrap()).unwrap();
    second.follow(&place.journal, None).unwrap();
    assert_eq!(serde_json::to_string(&second).unwrap(), serde_json::to_string(&following).unwrap());
    assert_eq!(stop_failing(&place.journal, &following).unwrap(), [loosening]);
    assert!(rollout(&place.journal, Purpose::Gates).unwrap().trials.is_empty());
    let diff = diff::load(&place.journal, &loosening).unwrap();
    assert_eq!(diff.status(), Status::Ended(Ending::RolledBack));
    insta::assert_snapshot!(diff.ended.unwrap().reason, @"what its canary let pass failed too often in 36 outcomes for the budget of 0.05 of quality.min_line_coverage");
    assert!(stop_failing(&place.journal, &following).unwrap().is_empty(), "once");
}

#[test]
fn a_round_proposes_what_was_raised_and_ends_canaries_that_fail_each_once() {
    let base = at(&bundle(SETTINGS), 80);
    let place = Place::new(&base);
    let round = |following: &mut Following| {
        let by = (&learner(), place.now());
        round(&place.journal, &place.chains, following, [], by).unwrap()
    };
    let mut following = place.followed();
    assert_eq!(round(&mut following), Round::default());
    place.run(0, "ci-1", 9_000, Course::Succeeded);
    let loosening = place.approved(&at(&base, 75));
    place.stage(&loosening, Stage::Canary { share: 1_000.try_into().unwrap(), stop_after: None }, "ada");
    let looser = at(&base, 75).revision();
    for number in 1..60 {
        let course = if number % 4 == 0 { Course::Failed } else { Course::Succeeded };
        place.run_by((looser, Some(loosening)), number, "ci-1", 7_600, course);
    }
    place.settle();
    assert_eq!(round(&mut following), Round { stopped: vec![loosening], proposed: Vec::new() });
    let again = place.approved(&at(&base, 76));
    place.activate(&again, "ada");
    failing(&place, 100..200);
    let done = round(&mut following);
    assert!(done.stopped.is_empty());
    let [proposed] = done.proposed[..] else { panic!("{done:?}") };
    assert!(
        diff::load(&place.journal, &proposed).unwrap().checked.is_some(),
        "what is to be known is found out"
    );
    assert_eq!(round(&mut following), Round::default(), "once");
}
