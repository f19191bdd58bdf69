//! What a scope proposes, and when.

use cku_base::BasisPoints;
use proptest::prelude::*;

use super::*;
use crate::{Advisory, Band, Certifying, Declared, Source};

fn tables() -> Tables {
    let declared = Declared {
        window: 400,
        fresh_start: 100,
        cool_down: 20,
        delta: 0.2,
        burst_expiry: 60,
        exploration_rate: BasisPoints::try_from(5_000).unwrap(),
        exploration_bands: 4,
        max_step: 4,
        loosenings: 2,
        ..Declared::default()
    };
    Tables::new(Settings::check(declared).unwrap(), 12)
}

fn run(band: u16, cut: Cut, failed: bool, n: u32) -> Event {
    let loss = if failed { Loss::FULL } else { Loss::NONE };
    let propensity = 5_000.try_into().unwrap();
    let route = match cut.passes(Band(band)) {
        true => Route::Certifying(Certifying::Passed { propensity }),
        false if n.is_multiple_of(2) => Route::Certifying(Certifying::Explored { propensity }),
        false => Route::Advisory(Advisory),
    };
    Event::Matured(Matured {
        band: Band(band),
        cut,
        route,
        source: Source(n % 7),
        tighten: loss,
        loosen: loss,
    })
}

/// Feeds runs until a notice comes.
fn until_notice(state: &mut ScopeState, every: u32, most: u32) -> Option<Notice> {
    let tables = tables();
    (0..most).find_map(|n| {
        let band = (n * 5 % u32::from(state.cut().0)) as u16;
        state.apply(&tables, &run(band, state.cut(), n % every == every - 1, n))
    })
}

fn proposed(notice: Option<Notice>) -> Proposal {
    match notice {
        Some(Notice::Propose(proposal)) => proposal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn there_is_at_most_one_open_proposal_and_a_pause_after_an_activation() {
    let tables = tables();
    let mut state = ScopeState::new(&tables, Cut(8));
    let proposal = proposed(until_notice(&mut state, 3, 300));
    assert_eq!((proposal.direction, proposal.from), (Direction::Tighten, Cut(8)));
    assert_eq!(until_notice(&mut state, 3, 100), None, "one is open");
    state.apply(&tables, &Event::Adopted { cut: proposal.to, proposed: true });
    assert_eq!(state.cut(), proposal.to);
    assert_eq!(until_notice(&mut state, 2, 19), None, "cool-down");
    assert!(until_notice(&mut state, 2, 100).is_some());
}

#[test]
fn what_is_frozen_proposes_nothing_until_it_is_resumed() {
    let tables = tables();
    let mut state = ScopeState::new(&tables, Cut(8));
    state.apply(&tables, &Event::Frozen);
    assert_eq!(until_notice(&mut state, 3, 200), None);
    state.apply(&tables, &Event::Resumed);
    assert!(until_notice(&mut state, 3, 5).is_some(), "the evidence was taken in");
}

#[test]
fn nothing_is_loosened_on_evidence_that_failures_spoke_against_meanwhile() {
    let tables = tables();
    let mut state = ScopeState::new(&tables, Cut(8));
    state.apply(&tables, &Event::Frozen);
    // Safe runs, explored ones among them, until a loosening would be certified.
    for n in 0..300 {
        state.apply(&tables, &run((n * 5 % 12) as u16, Cut(8), false, n));
    }
    assert!(state.loosen().certified() > 0);
    for n in 0..90 {
        state.apply(&tables, &run((n * 5 % 12) as u16, Cut(8), n % 2 == 0, n));
    }
    state.apply(&tables, &Event::Resumed);
    // The first success after that.
    let notice = state.apply(&tables, &run(3, Cut(8), false, 0));
    assert!(!matches!(notice, Some(Notice::Propose(p)) if p.direction == Direction::Loosen), "{notice:?}");
    let next = proposed(until_notice(&mut state, 2, 10));
    assert_eq!(next.direction, Direction::Tighten);
}

#[test]
fn a_way_back_that_was_declined_is_looked_at_again() {
    let tables = tables();
    let mut state = ScopeState::new(&tables, Cut(8));
    for n in 0..100 {
        state.apply(&tables, &run((n % 8) as u16, Cut(8), n % 40 == 0, n));
    }
    let proposal = proposed(until_notice(&mut state, 3, 300));
    state.apply(&tables, &Event::Adopted { cut: proposal.to, proposed: true });
    // Runs that pass, where exploration is not open.
    let clean = |state: &mut ScopeState| {
        (0..200).find_map(|n: u32| {
            let Event::Matured(matured) = run((n % u32::from(state.cut().0)) as u16, state.cut(), false, n)
            else {
                return None;
            };
            let matured = Matured { route: Route::PassedUnexplorable, ..matured };
            state.apply(&tables, &Event::Matured(matured))
        })
    };
    let back = clean(&mut state);
    assert!(matches!(back, Some(Notice::Expire(_))), "{back:?}");
    assert_eq!(clean(&mut state), None, "it was said once");
    state.apply(&tables, &Event::Declined);
    let again = clean(&mut state);
    assert!(matches!(again, Some(Notice::Expire(_))), "{again:?}");
}

#[test]
fn a_declined_proposal_is_not_made_again_on_the_same_evidence() {
    let tables = tables();
    let mut state = ScopeState::new(&tables, Cut(8));
    proposed(until_notice(&mut state, 3, 300));
    state.apply(&tables, &Event::Declined);
    assert_eq!(until_notice(&mut state, 25, 100), None);
}

#[test]
fn a_tightening_after_a_burst_ends_by_itself_and_a_lasting_one_is_confirmed() {
    let tables = tables();
    let start = || {
        let mut state = ScopeState::new(&tables, Cut(8));
        for n in 0..100 {
            state.apply(&tables, &run((n % 8) as u16, Cut(8), n % 40 == 0, n));
        }
        let proposal = proposed(until_notice(&mut state, 3, 300));
        state.apply(&tables, &Event::Adopted { cut: proposal.to, proposed: true });
        state
    };
    let mut burst = start();
    assert_eq!(until_notice(&mut burst, 1_000, 200), Some(Notice::Expire(Cut(8))));
    burst.apply(&tables, &Event::Adopted { cut: Cut(8), proposed: false });
    assert_eq!(burst.cut(), Cut(8));
    let mut lasting = start();
    assert_eq!(until_notice(&mut lasting, 14, 241), Some(Notice::Confirm));
}

#[test]
fn evidence_that_a_person_chose_moves_no_detector() {
    let tables = tables();
    let mut state = ScopeState::new(&tables, Cut(8));
    let (tighten, loosen) = (state.tighten.clone(), state.loosen.clone());
    for n in 0..200 {
        state.apply(&tables, &run(9, Cut(8), n % 3 == 0, 2 * n + 1));
    }
    assert_eq!((tighten, loosen), (state.tighten, state.loosen));
}

fn events() -> impl Strategy<Value = Vec<(u8, u16, bool)>> {
    prop::collection::vec((0u8..40, 0u16..12, prop::bool::weighted(0.2)), 1..700)
}

/// What a seed of numbers means depends on the state, as in the world: adoption follows a proposal.
fn event(state: &ScopeState, notice: Option<Notice>, n: u32, (kind, band, failed): (u8, u16, bool)) -> Event {
    match (notice, kind) {
        (Some(Notice::Propose(p)), 0..30) => Event::Adopted { cut: p.to, proposed: true },
        (Some(Notice::Propose(_)), _) => Event::Declined,
        (Some(Notice::Expire(cut)), _) => Event::Adopted { cut, proposed: false },
        (_, 0) => Event::Frozen,
        (_, 1..3) => Event::Resumed,
        (_, 3) if failed => Event::Redefined { cut: state.cut() },
        (_, 4) if failed => Event::Adopted { cut: Cut(band.max(1)), proposed: false },
        (_, 5..8) => Event::Held(Band(band)),
        _ => run(band, state.cut(), failed, n),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_state_that_is_stored_and_read_back_goes_on_the_same(all in events(), every in 1u32..50) {
        let tables = tables();
        let mut state = ScopeState::new(&tables, Cut(8));
        let mut stored = state.clone();
        let mut notice = None;
        for (seed, n) in all.into_iter().zip(0u32..) {
            let event = event(&state, notice, n, seed);
            notice = state.apply(&tables, &event);
            prop_assert_eq!(stored.apply(&tables, &event), notice);
            if n % every == 0 {
                let text = serde_json::to_string(&stored).unwrap();
                stored = serde_json::from_str(&text).unwrap();
            }
            prop_assert_eq!(&stored, &state);
            prop_assert!(state.cut().0 >= 1 && state.cut().0 <= 12);
        }
    }

    #[test]
    fn loosenings_stay_within_their_budget_and_proposals_within_the_grid(all in events()) {
        let tables = tables();
        let mut state = ScopeState::new(&tables, Cut(4));
        let (mut notice, mut window, mut loosened) = (None, 0, 0);
        for (seed, n) in all.into_iter().zip(0u32..) {
            // Nothing fails: whatever is proposed loosens.
            let event = event(&state, notice, n, (seed.0, seed.1, false));
            if matches!(event, Event::Matured(_)) {
                window += 1;
                if window > 400 {
                    (window, loosened) = (1, 0);
                }
            }
            notice = state.apply(&tables, &event);
            if let Some(Notice::Propose(proposal)) = notice {
                prop_assert_eq!(proposal.direction, Direction::Loosen);
                prop_assert!(proposal.to.0 <= 12 && proposal.to > proposal.from);
                prop_assert!(proposal.to.0 - proposal.from.0 <= 4);
                prop_assert!(loosened < 2);
            }
            if let Event::Adopted { proposed: true, .. } = event {
                loosened += 1;
            }
        }
    }
}
