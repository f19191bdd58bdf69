//! A loosening is watched from the moment that it decides, in a canary or for all, and taken back where it fails.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use cku_base::BasisPoints;
use cku_learner::{
    Band, Certifying, Cut, Declared, Direction, Event, Loss, Matured, Notice, Proposal, Route, ScopeState,
    Settings, Source, Tables, evidence,
};

const START: Cut = Cut(5);

fn tables(change: fn(&mut Declared)) -> Tables {
    let mut declared = Declared {
        exploration_rate: BasisPoints::try_from(10_000).unwrap(),
        exploration_bands: 4,
        left_out: 1,
        cool_down: 300,
        ..Declared::default()
    };
    change(&mut declared);
    Tables::new(Settings::check(declared).unwrap(), 12)
}

fn run(number: u32, cut: Cut, band: u16, failed: bool) -> Matured {
    let loss = if failed { Loss::FULL } else { Loss::NONE };
    let propensity = 10_000.try_into().unwrap();
    let route = match cut.passes(Band(band)) {
        true => Route::Certifying(Certifying::Passed { propensity }),
        false => Route::Certifying(Certifying::Explored { propensity }),
    };
    Matured { band: Band(band), cut, route, source: Source(number % 9), tighten: loss, loosen: loss }
}

/// A scope that proposed a loosening, and the events up to it.
fn loosened(tables: &Tables) -> (ScopeState, Proposal, Vec<Event>) {
    let mut state = ScopeState::new(tables, START);
    let mut events = Vec::new();
    for number in 0..2_000 {
        let event = Event::Matured(run(number, START, (number % 9) as u16, number % 100 == 99));
        events.push(event);
        if let Some(Notice::Propose(proposal)) = state.apply(tables, &event) {
            assert_eq!((proposal.direction, proposal.takes_back), (Direction::Loosen, false));
            return (state, proposal, events);
        }
    }
    panic!("nothing is proposed");
}

/// Every fourth run that passes fails; the first notice, and after how many outcomes.
fn failing(
    tables: &Tables,
    state: &mut ScopeState,
    events: &mut Vec<Event>,
    tried: Option<Cut>,
) -> (Notice, u32) {
    let cut = tried.unwrap_or(state.cut());
    for number in 0..1_500u32 {
        let matured = run(number, cut, (number % u32::from(cut.0)) as u16, number % 4 == 3);
        let event = if tried.is_some() { Event::Tried(matured) } else { Event::Matured(matured) };
        events.push(event);
        if let Some(notice) = state.apply(tables, &event) {
            return (notice, number + 1);
        }
    }
    panic!("nothing is said");
}

#[test]
fn a_loosening_after_which_too_much_fails_is_taken_back_to_where_it_came_from() {
    let tables = tables(|_| ());
    let (mut state, loosening, mut events) = loosened(&tables);
    let adopted = Event::Adopted { cut: loosening.to, proposed: true };
    events.push(adopted);
    state.apply(&tables, &adopted);
    let (notice, after) = failing(&tables, &mut state, &mut events, None);
    let Notice::Propose(back) = notice else { panic!("{notice:?}") };
    assert_eq!((back.direction, back.from, back.to), (Direction::Tighten, loosening.to, START));
    assert!(back.takes_back && back.expires_after.is_none());
    assert!(after < 300, "the cool-down does not hold it up: {after}");
    let claimed = evidence::gather(&tables, START, &events).unwrap();
    assert!(claimed.e_value >= claimed.level && claimed.level == tables.settings().watch_level());
    assert_eq!(claimed.course.last().unwrap().e_value, claimed.e_value);
    assert_eq!(claimed.before.outcomes, after, "what came before it was active is no part of it");
    assert!((claimed.before.estimate - 0.25).abs() < 0.02);
    let same = claimed.sensitivity.iter().find(|v| v.epsilon == 0.05 && v.label_noise == 0.0).unwrap();
    assert!((same.e_value / claimed.e_value - 1.0).abs() < 1e-9);
    assert!(claimed.leave_one_out.unwrap().e_value >= claimed.level);
    let digest = claimed.digest().unwrap();
    assert_eq!(evidence::verify(&tables, START, &events, digest).unwrap(), claimed);
    state.apply(&tables, &Event::Adopted { cut: START, proposed: true });
    assert!(state.watch().is_none() && state.open().is_none());
}

#[test]
fn the_tighten_detector_alone_takes_longer() {
    let mut delays = Vec::new();
    for watched in [tables(|_| ()), tables(|d| d.watch = 0)] {
        let (mut state, loosening, mut events) = loosened(&watched);
        state.apply(&watched, &Event::Adopted { cut: loosening.to, proposed: true });
        delays.push(failing(&watched, &mut state, &mut events, None).1);
    }
    assert!(f64::from(delays[0]) < 0.6 * f64::from(delays[1]), "{delays:?}");
}

#[test]
fn a_canary_that_fails_is_told_and_goes_on_to_be_watched_when_it_becomes_active() {
    let tables = tables(|_| ());
    let (mut state, loosening, mut events) = loosened(&tables);
    state.apply(&tables, &Event::Trial { cut: loosening.to });
    let (tighten, loosen) = (state.tighten().clone(), state.loosen().clone());
    let (notice, _) = failing(&tables, &mut state, &mut events, Some(loosening.to));
    assert_eq!(notice, Notice::Failing(loosening.to));
    assert_eq!((&tighten, &loosen), (state.tighten(), state.loosen()), "the canary moves no other detector");
    assert_eq!(state.open(), Some(&loosening), "it is not for the learner to end it");
    let once_more = {
        let mut state = state.clone();
        state.apply(&tables, &Event::Trial { cut: loosening.to });
        state.apply(&tables, &Event::Tried(run(0, loosening.to, 1, true)))
    };
    assert_eq!(once_more, None, "another canary is judged by its own runs");
    // People let it become active all the same: the next failure is enough.
    state.apply(&tables, &Event::Adopted { cut: loosening.to, proposed: true });
    let next = state.apply(&tables, &Event::Matured(run(0, loosening.to, 1, true)));
    assert!(matches!(next, Some(Notice::Propose(back)) if back.takes_back), "{next:?}");
}

#[test]
fn what_keeps_within_the_budget_is_left_alone_and_the_watch_ends() {
    let tables = tables(|d| d.watch = 400);
    let (mut state, loosening, _) = loosened(&tables);
    state.apply(&tables, &Event::Adopted { cut: loosening.to, proposed: true });
    for number in 0..401u32 {
        let matured =
            run(number, loosening.to, (number % u32::from(loosening.to.0)) as u16, number % 25 == 24);
        let notice = state.apply(&tables, &Event::Matured(matured));
        assert!(!matches!(notice, Some(Notice::Propose(p)) if p.direction == Direction::Tighten));
    }
    assert!(state.watch().is_none());
}

#[test]
fn a_trial_of_the_present_or_a_stricter_threshold_is_not_watched_and_watches_are_as_many_as_loosenings() {
    let tables = tables(|d| d.loosenings = 2);
    let mut state = ScopeState::new(&tables, START);
    for cut in [START, Cut(2)] {
        state.apply(&tables, &Event::Trial { cut });
        assert!(state.watch().is_none());
    }
    state.apply(&tables, &Event::Trial { cut: Cut(6) });
    let first = state.watch().cloned();
    state.apply(&tables, &Event::Trial { cut: START });
    assert_eq!(state.watch().cloned(), first, "a trial of something else");
    state.apply(&tables, &Event::Trial { cut: Cut(7) });
    assert_eq!(state.watch().unwrap().to(), Cut(7));
    state.apply(&tables, &Event::Trial { cut: Cut(8) });
    assert!(state.watch().is_none(), "the level allows so many of them in a window");
}

#[test]
fn a_way_back_that_people_decline_is_not_raised_again_on_the_same_evidence() {
    let tables = tables(|_| ());
    let (mut state, loosening, mut events) = loosened(&tables);
    state.apply(&tables, &Event::Adopted { cut: loosening.to, proposed: true });
    failing(&tables, &mut state, &mut events, None);
    state.apply(&tables, &Event::Declined);
    assert!(state.watch().is_none());
    let next = state.apply(&tables, &Event::Matured(run(0, loosening.to, 1, true)));
    assert_eq!(next, None);
}
