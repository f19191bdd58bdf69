//! Outcomes that cannot be: of unknown runs, twice, contradictory, from the future, of another tenant; a chain with a
//! hole; runs of one who lies.

use cku_base::Timestamp;
use cku_learning::{FollowError, Following};
use cku_runs::{Ended, Ending, Event, Label, Outcome};

use crate::place::{Course, Place, acme, bundle, person};

const SETTINGS: &str = "
defaults: { maturity_seconds: 60, left_out: 1, burst_expiry: 0, cool_down: 20, window: 2000 }
";

const THRESHOLD: &str = "quality.min_line_coverage";

fn ended(status: Ending, outcome: Outcome) -> Event {
    let cause = "as the test says".to_owned();
    Event::Ended(Ended { status, outcome: Some(outcome), cause, attempts: 1, took_ms: 1, waited_ms: 0 })
}

/// What the tighten detector of the coverage holds.
fn tighten(place: &Place) -> f64 {
    let following = place.followed();
    following.scopes().find(|scope| scope.threshold == THRESHOLD).unwrap().tighten.0
}

#[test]
fn ends_of_runs_that_nobody_submitted_are_told_and_move_nothing() {
    let place = Place::new(&bundle(SETTINGS));
    place.run(1, "ci-1", 7_000, Course::Succeeded);
    for number in 500..600 {
        place.events(number, &person("rhea"), vec![ended(Ending::Failed, Outcome::Failure)]);
        place.label(number, "incident");
    }
    place.settle();
    let counts = place.followed().counts();
    assert_eq!((counts.matured, counts.stray, counts.late), (1, 100, 100));
    assert_eq!(place.followed().to_propose().count(), 0);
}

#[test]
fn of_two_ends_that_contradict_each_other_the_first_counts() {
    let place = Place::new(&bundle(SETTINGS));
    for number in 0..60 {
        place.run(number, ["ci-1", "ci-2"][number % 2], 7_000, Course::Succeeded);
    }
    place.settle();
    let good = tighten(&place);
    let twice = Place::new(&bundle(SETTINGS));
    for number in 0..60 {
        twice.run(number, ["ci-1", "ci-2"][number % 2], 7_000, Course::Succeeded);
        twice.events(number, &person("rhea"), vec![ended(Ending::Failed, Outcome::Failure)]);
        twice.events(number, &person("rhea"), vec![ended(Ending::Failed, Outcome::Failure)]);
    }
    twice.settle();
    assert!(good > 0.0);
    assert_eq!(tighten(&twice), good);
    assert_eq!(twice.followed().counts().stray, 120);
}

#[test]
fn a_label_counts_once_and_by_the_time_of_its_entry() {
    let far: Timestamp = "2999-01-01T00:00:00Z".parse().unwrap();
    let values = [1, 5].map(|times| {
        let place = Place::new(&bundle(SETTINGS));
        for number in 0..40 {
            place.run(number, ["ci-1", "ci-2", "ci-3"][number % 3], 7_000, Course::Succeeded);
            if number % 4 == 0 {
                for _ in 0..times {
                    let label = Label { label: "incident".to_owned(), at: far, note: String::new() };
                    place.events(number, &person("rhea"), vec![Event::Labelled(label)]);
                }
            }
        }
        place.settle();
        tighten(&place)
    });
    assert_eq!(values[0], values[1]);
    assert!(values[0] > 0.0);
}

#[test]
fn what_happens_in_another_tenant_moves_nothing_here() {
    let place = Place::new(&bundle(SETTINGS));
    place.run(1, "ci-1", 7_000, Course::Succeeded);
    place.settle();
    let before = serde_json::to_string(&place.followed()).unwrap();
    place.tenant.replace("other".parse().unwrap());
    for number in 0..200 {
        place.run(number, "ci-1", 7_000, Course::Failed);
    }
    // The same name of a run, in the other chain.
    place.label(1, "incident");
    place.tenant.replace(acme());
    assert_eq!(serde_json::to_string(&place.followed()).unwrap(), before);
}

#[test]
fn one_who_lies_moves_no_gate() {
    let place = Place::new(&bundle(SETTINGS));
    for number in 0..400 {
        let (by, course) = match number % 4 {
            0 => ("liar", Course::Failed),
            of => (["ci-1", "ci-2", "ci-3"][of - 1], Course::Succeeded),
        };
        place.run(number, by, 7_000, course);
    }
    place.settle();
    assert_eq!(place.followed().to_propose().count(), 0, "a quarter of all failed, and one reported it");
}

#[test]
fn a_chain_with_a_hole_is_read_up_to_it() {
    for (read, damage) in [
        (0, "DELETE FROM entries WHERE seq = 1 AND tenant = (SELECT MAX(tenant) FROM entries)"),
        (8, "DELETE FROM entries WHERE seq = 9 AND tenant = (SELECT MAX(tenant) FROM entries)"),
        (
            8,
            "DELETE FROM entries WHERE seq = 9 AND tenant = (SELECT MAX(tenant) FROM entries); UPDATE entries SET seq = seq - 1 WHERE seq > 9 AND tenant = (SELECT MAX(tenant) FROM entries)",
        ),
    ] {
        let place = Place::new(&bundle(SETTINGS));
        for number in 0..10 {
            place.run(number, "ci-1", 7_000, Course::Succeeded);
        }
        let file = rusqlite::Connection::open(place.journal.path()).unwrap();
        file.execute_batch(damage).unwrap();
        let mut following = Following::new(acme());
        let error = following.follow(&place.journal, None).unwrap_err();
        assert!(matches!(error, FollowError::Broken { .. }), "{error}");
        assert_eq!(following.seq(), read);
        assert!(error.to_string().contains("does not follow the one that was read before it"), "{error}");
    }
}
