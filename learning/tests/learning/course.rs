//! From outcomes to a diff that people approve, and back.

use cku_changes::diff;
use cku_gates::ApprovalDecision;
use cku_learner::Direction;
use cku_learning::{Following, LearnerPaused, LearnerSettled, Settlement, pause, propose, settle, verify};
use cku_runs::Outcome;

use crate::place::{Course, Place, acme, bundle, learner, person, with};

/// Outcomes are final after a minute; no source is left out.
const SETTINGS: &str = "
defaults: { maturity_seconds: 60, left_out: 0, burst_expiry: 0, cool_down: 20 }
thresholds:
  quality.min_line_coverage: { epsilon: 0.05, delta: 0.01, window: 2000 }
";

const THRESHOLD: &str = "quality.min_line_coverage";

/// Runs of which those with little coverage fail three times of ten; all pass at 60 %.
fn bad_weeks(place: &Place, runs: std::ops::Range<usize>) {
    for number in runs {
        let coverage = 6_000 + (number as i64 * 37 % 38) * 100;
        let fails = coverage < 7_500 && number % 10 < 3;
        let course = if fails { Course::Failed } else { Course::Succeeded };
        place.run(number, ["ci-1", "ci-2", "ci-3"][number % 3], coverage, course);
    }
    place.settle();
}

#[test]
fn outcomes_raise_a_tightening_that_people_approve_and_that_takes_effect() {
    let place = Place::new(&bundle(SETTINGS));
    bad_weeks(&place, 0..400);
    let following = place.followed();
    let raised = following.to_propose().next().expect("something is raised").clone();
    assert_eq!((raised.mode.as_str(), raised.threshold.as_str()), ("dev", THRESHOLD));
    let evidence = &raised.evidence;
    assert_eq!((evidence.direction, evidence.from), (Direction::Tighten, 6_000));
    assert!(evidence.to > 6_000 && evidence.to % 100 == 0, "{evidence:?}");
    let number = |text: &str| text.parse::<f64>().unwrap();
    assert!(number(&evidence.detectors.least) >= number(&evidence.detectors.tighten_level));
    assert!(number(&evidence.predicted.after) < number(&evidence.predicted.before));
    // Every claim that the scopes might make counts: three of each of them.
    let ranked = cku_learning::ranked([&following]);
    let e_value = number(evidence.e_value.as_ref().unwrap());
    assert_eq!((ranked.len(), ranked[0].subject), (1, &raised));
    let claims = 3.0 * following.scopes().count() as f64;
    assert!(e_value >= 100.0 && (ranked[0].share - claims / e_value).abs() < 1e-9, "{ranked:?}");
    let mut worker = place.change_control();
    let by = (&learner(), place.now());
    let proposed = propose(&place.journal, &mut worker, &acme(), &raised, by).unwrap();
    let id = proposed.diff.id;
    // Once more comes to the same diff: whoever was cut off goes on.
    assert_eq!(propose(&place.journal, &mut worker, &acme(), &raised, by).unwrap().diff.id, id);
    assert_eq!(place.followed().to_propose().count(), 0, "what was proposed is not raised again");
    assert_eq!(verify(&place.journal, &id).unwrap(), raised.evidence);
    // Change control knows it for the learner's, and one person is enough in dev.
    place.check(&id);
    place.consent(&id, "rhea", ApprovalDecision::Approve);
    place.activate(&id, "ada");
    let gate = place.active();
    let text = gate.sources().text("gates/quality.gate").unwrap();
    assert!(text.contains(&format!("dev  = {}%", evidence.to / 100)), "{text}");
    // The scope begins anew at the new value with the first decision under it.
    bad_weeks(&place, 400..401);
    let following = place.followed();
    let scope = following.scopes().find(|scope| scope.threshold == THRESHOLD).unwrap();
    assert_eq!(scope.grid.value(scope.state.cut()), evidence.to);
    assert!(scope.raised.is_none() && scope.tighten.0 < 10.0, "{:?}", scope.tighten);
    assert_eq!(verify(&place.journal, &id).unwrap(), raised.evidence, "also after that");
    let diff = diff::load(&place.journal, &id).unwrap();
    assert!(diff.proposed.origin.contains(&proposed.evidence.to_string()));
}

#[test]
fn what_is_read_in_two_goes_is_what_is_read_in_one() {
    let place = Place::new(&bundle(SETTINGS));
    bad_weeks(&place, 0..300);
    let whole = place.followed();
    for cut in [1, 7, 300, 777, whole.seq() - 1] {
        let mut first = Following::new(acme());
        first.follow(&place.journal, Some(cut)).unwrap();
        assert_eq!(first.seq(), cut);
        let written = serde_json::to_string(&first).unwrap();
        let mut second: Following = serde_json::from_str(&written).unwrap();
        second.follow(&place.journal, None).unwrap();
        assert_eq!(
            serde_json::to_string(&second).unwrap(),
            serde_json::to_string(&whole).unwrap(),
            "at {cut}"
        );
    }
}

#[test]
fn what_people_let_through_proves_nothing() {
    let place = Place::new(&bundle(SETTINGS));
    for number in 0..600 {
        let below = number % 2 == 0;
        let course = if below { Course::LetThrough(Outcome::Success) } else { Course::Succeeded };
        place.run(number, "ci-1", if below { 5_500 } else { 7_000 }, course);
    }
    place.wait(120);
    place.run(9_999, "ci-1", 7_000, Course::Held);
    let following = place.followed();
    assert_eq!(following.to_propose().count(), 0);
    let scope = following.scopes().find(|scope| scope.threshold == THRESHOLD).unwrap();
    let wealth: Vec<f64> = scope.state.loosen().wealth().collect();
    assert!(wealth.iter().all(|wealth| *wealth <= 2.0), "no bet was made: {wealth:?}");
}

#[test]
fn what_is_not_known_speaks_for_no_proposal_and_what_is_found_out_in_time_counts() {
    let place = Place::new(&bundle(SETTINGS));
    for number in 0..300 {
        place.run(number, "ci-1", 7_000, Course::Open);
    }
    place.wait(120);
    place.run(301, "ci-1", 7_000, Course::Held);
    let counts = place.followed().counts();
    assert_eq!((counts.matured, counts.unknown), (300, 300));
    assert_eq!(place.followed().to_propose().count(), 0);
    // Labels that come too late change no detector; those in time do.
    for number in 0..300 {
        place.label(number, "incident");
    }
    place.wait(120);
    place.run(302, "ci-1", 7_000, Course::Held);
    assert_eq!(place.followed().to_propose().count(), 0);
    assert_eq!(place.followed().counts().late, 300);
    for number in 1_000..1_300 {
        let bad = number % 3 == 0;
        place.run(number, "ci-1", if bad { 6_500 } else { 9_000 }, Course::Succeeded);
        if bad {
            place.label(number, "revert");
        }
    }
    place.wait(120);
    place.run(303, "ci-1", 7_000, Course::Held);
    assert_eq!(place.followed().to_propose().count(), 1);
}

#[test]
fn evidence_does_not_cross_another_meaning_of_its_fact() {
    let first = bundle(SETTINGS);
    let place = Place::new(&first);
    let number = |from: usize, to: usize| {
        for number in from..to {
            let course = if number % 4 == 0 { Course::Failed } else { Course::Succeeded };
            place.run(number, "ci-1", 7_000, course);
        }
    };
    number(0, 60);
    // A comment in Rego is enough: what it means, nobody here can tell.
    let other = with(&first, |path, text| {
        let comment = if path.ends_with(".rego") { "\n# other\n" } else { "" };
        format!("{text}{comment}")
    });
    place.activate_by_entry(&other);
    number(60, 100);
    place.wait(120);
    place.run(5_000, "ci-1", 7_000, Course::Held);
    let following = place.followed();
    assert!(following.counts().redefined >= 50, "{:?}", following.counts());
    assert_eq!(following.to_propose().count(), 0, "forty runs are not enough, and sixty do not count");
}

#[test]
fn a_learner_that_is_paused_proposes_nothing_and_one_that_was_refused_begins_anew() {
    let place = Place::new(&bundle(SETTINGS));
    let said = |paused| LearnerPaused {
        mode: None,
        threshold: Some(THRESHOLD.to_owned()),
        paused,
        reason: "an audit".to_owned(),
    };
    let denied = pause(&place.journal, &mut place.gates(), &acme(), &person("rhea"), &said(true));
    assert!(matches!(denied, Err(cku_authority::AccessError::Denied { .. })), "{denied:?}");
    pause(&place.journal, &mut place.gates(), &acme(), &person("dana"), &said(true)).unwrap();
    bad_weeks(&place, 0..300);
    assert_eq!(place.followed().to_propose().count(), 0);
    pause(&place.journal, &mut place.gates(), &acme(), &person("dana"), &said(false)).unwrap();
    bad_weeks(&place, 300..310);
    let following = place.followed();
    let raised = following.to_propose().next().unwrap();
    let (journal, by) = (&place.journal, learner());
    let mut worker = place.change_control();
    let diff = propose(journal, &mut worker, &acme(), raised, (&by, place.now())).unwrap().diff;
    let settled = LearnerSettled {
        mode: "dev".to_owned(),
        threshold: THRESHOLD.to_owned(),
        diff: diff.id,
        how: Settlement::Refused,
    };
    settle(journal, &acme(), &by, &settled).unwrap();
    bad_weeks(&place, 310..320);
    let following = place.followed();
    assert_eq!(following.to_propose().count(), 0);
    let scope = following.scopes().find(|scope| scope.threshold == THRESHOLD).unwrap();
    assert!(scope.tighten.0 < 1_000.0, "what was refused is not proposed again on the same evidence");
}

#[test]
fn a_threshold_that_does_not_tell_good_runs_from_bad_ones_is_not_tightened() {
    let place = Place::new(&bundle(SETTINGS));
    for number in 0..300 {
        let course = if number % 3 == 0 { Course::Failed } else { Course::Succeeded };
        place.run(number, "ci-1", 7_000, course);
    }
    place.wait(120);
    place.run(9_999, "ci-1", 7_000, Course::Held);
    let following = place.followed();
    assert_eq!(following.to_propose().count(), 0);
    let scope = following.scopes().find(|scope| scope.threshold == THRESHOLD).unwrap();
    assert!(scope.unhelpful.is_some(), "and that is told");
}

#[test]
fn whoever_cancels_runs_does_not_choose_among_their_outcomes() {
    let place = Place::new(&bundle(SETTINGS));
    for number in 0..40 {
        place.run(number, "ci-1", 7_000, Course::Cancelled);
    }
    place.wait(120);
    place.run(41, "ci-1", 7_000, Course::Held);
    let counts = place.followed().counts();
    assert_eq!((counts.matured, counts.unknown), (40, 40), "each counts, as one of which nothing is known");
}

#[test]
fn the_learner_proposes_values_of_thresholds_and_nothing_else() {
    let first = bundle(SETTINGS);
    let place = Place::new(&first);
    let with = |change: &dyn Fn(&str, &str) -> String| with(&first, change);
    let tighter = |path: &str, text: &str| match path {
        "gates/quality.gate" => text.replace("dev  = 60%", "dev  = 61%"),
        _ => text.to_owned(),
    };
    let attempts: [(&str, cku_engine::Bundle); 6] = [
        (
            "a rule less",
            with(&|path, text| {
                let rule = text
                    .lines()
                    .find(|line| line.trim_start().starts_with("pause  submitter"))
                    .unwrap_or("\0");
                tighter(path, text).replace(rule, "")
            }),
        ),
        (
            "another rule in Rego",
            with(&|path, text| {
                let more = if path == "gates/quality.rego" { "\n# more\n" } else { "" };
                format!("{}{more}", tighter(path, text))
            }),
        ),
        (
            "other settings of its own",
            with(&|path, text| tighter(path, text).replace("epsilon: 0.05", "epsilon: 0.5")),
        ),
        (
            "more exploration",
            with(&|path, text| {
                tighter(path, text).replace("left_out: 0,", "left_out: 0, exploration_rate: 9000,")
            }),
        ),
        ("a wider range", with(&|path, text| tighter(path, text).replace("in 60%..98%", "in 10%..98%"))),
        (
            "a threshold that is not learned",
            with(&|path, text| {
                tighter(path, text).replace("max_lint_errors: count = 0", "max_lint_errors: count = 9")
            }),
        ),
    ];
    let propose_as_learner = |bundle: &cku_engine::Bundle| {
        let proposal = diff::Proposal {
            title: "by the learner".to_owned(),
            purpose: cku_authority::Purpose::Gates,
            modes: cku_authority::Modes::of(["dev"]),
            bundle,
            base: None,
            by: learner(),
            time: place.now(),
            expires_at: place.now().after(std::time::Duration::from_secs(3_600)).unwrap(),
            origin: "a test".to_owned(),
        };
        diff::propose(&place.journal, &mut place.change_control(), &proposal)
    };
    for (what, bundle) in &attempts {
        let refused = propose_as_learner(bundle);
        assert!(matches!(refused, Err(diff::ProposeError::LearnerOther)), "{what}: {refused:?}");
    }
    propose_as_learner(&with(&tighter)).unwrap();
}

#[test]
fn how_far_runs_explore_is_read_alike_by_those_who_let_them_and_those_who_learn() {
    for settings in [
        "{}",
        "defaults: { exploration_rate: 1000 }",
        "{ defaults: { exploration_rate: 1000, exploration_bands: 3 }, modes: { dev: { exploration_cap: 7 } } }",
        "{ modes: { dev: { exploration_rate: 10 } }, thresholds: { quality.min_line_coverage: { exploration_bands: 9 } } }",
    ] {
        let bundle = bundle(settings);
        let declared = cku_learning::settings(&bundle, "dev", THRESHOLD).unwrap();
        let explores = bundle.exploration().of("dev", "quality", "min_line_coverage");
        let declared = declared.get();
        assert_eq!(explores.rate, declared.exploration_rate, "{settings}");
        assert_eq!(explores.bands, u32::from(declared.exploration_bands), "{settings}");
        assert_eq!(explores.cap, declared.exploration_cap, "{settings}");
    }
}
