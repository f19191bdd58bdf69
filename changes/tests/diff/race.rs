//! Many who act at once: never two active revisions, never an unapproved one.

use std::sync::Barrier;

use cku_authority::Purpose;
#[cfg(not(feature = "unguarded"))]
use cku_authority::{Modes, Stage};
use cku_changes::diff;
use cku_gates::ApprovalDecision;
use cku_journal::Kind;
use serde_json::json;

use crate::{
    checker::faults,
    place::{Actor, Place, owned},
};

/// The next of a sequence that looks random, the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % n
    }
}

#[cfg(not(feature = "unguarded"))]
/// Does something to some diff, whether it is allowed or not.
pub(crate) fn something(actor: Actor<'_>, dice: &mut Dice, owner: &str) {
    let people = ["rhea", "sam", "dana", "ada", "otto"];
    let who = people[dice.below(people.len())];
    let all = diff::list(actor.journal).unwrap();
    let recent: Vec<_> = all.iter().rev().take(4).map(|(id, _)| *id).collect();
    let one = (!recent.is_empty()).then(|| recent[dice.below(recent.len())]);
    match (dice.below(12), one) {
        (0..2, _) | (_, None) => {
            // Somebody else may have activated meanwhile; then it applies to what is active no longer.
            let modes = match dice.below(3) {
                0 => Modes::all(),
                1 => Modes::of(["dev"]),
                _ => Modes::of(["prod"]),
            };
            let otto = crate::place::person("otto");
            if let Ok(diff) = actor.propose_as(&otto, &owned(owner), |proposal| proposal.modes = modes) {
                let _ = actor.check(&diff.id);
            }
        }
        (2..5, Some(id)) => drop(actor.approve(&id, who)),
        (5, Some(id)) => {
            let canary = Stage::Canary { share: 1_000.try_into().unwrap(), stop_after: None };
            let stage = if dice.below(2) == 0 { Stage::Shadow } else { canary };
            drop(actor.stage(&id, stage, "dana"));
        }
        (6..9, Some(id)) => drop(actor.activate(&id, if who == "otto" { "otto" } else { "dana" })),
        (9, Some(id)) => drop(actor.roll_back(&id, "ada", crate::place::noon())),
        (10, Some(id)) => drop(actor.check(&id)),
        (_, Some(id)) if dice.below(4) == 0 => drop(actor.withdraw(&id, who)),
        _ => {}
    }
}

/// Four approved diffs from one base, activated, refused and checked anew by all at once; how many became
/// active.
fn round(place: &Place, name: &str) -> usize {
    let actor = place.actor();
    let ids: Vec<_> = (0..4).map(|n| actor.propose(&owned(&format!("{name}-{n}")))).collect();
    for id in &ids {
        actor.approve(id, "rhea").unwrap();
    }
    let start = Barrier::new(7);
    std::thread::scope(|scope| {
        let (start, ids) = (&start, &ids);
        let activating = (0..4).map(|n| {
            scope.spawn(move || {
                start.wait();
                actor.activate(&ids[n], "dana").is_ok()
            })
        });
        let activating: Vec<_> = activating.collect();
        scope.spawn(move || {
            start.wait();
            drop(actor.consent(&ids[0], "sam", ApprovalDecision::Refuse));
        });
        scope.spawn(move || {
            start.wait();
            drop(actor.check(&ids[1]));
        });
        scope.spawn(move || {
            start.wait();
            drop(actor.withdraw(&ids[2], "otto"));
        });
        activating.into_iter().map(|thread| thread.join().unwrap()).filter(|activated| *activated).count()
    })
}

#[cfg(not(feature = "unguarded"))]
#[test]
fn whoever_acts_at_once_there_is_one_active_revision_and_it_was_approved() {
    let place = Place::new();
    let mut became = 0;
    for n in 0..12 {
        let activated = round(&place, &format!("r{n}"));
        assert!(activated <= 1, "{activated} from one base");
        became += activated;
    }
    assert_eq!(faults(&place.journal), [""; 0]);
    place.journal.verify_all().unwrap();
    assert!(became > 2, "in {became} rounds of 12 something became active");
    let all = diff::list(&place.journal).unwrap();
    assert!(all.iter().any(|(_, row)| row.status == "stale"), "somebody came too late");
}

#[cfg(not(feature = "unguarded"))]
#[test]
fn whatever_many_do_the_checker_finds_no_fault() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let place = &place;
            scope.spawn(move || {
                let mut dice = Dice(thread);
                for n in 0..30 {
                    something(place.actor(), &mut dice, &format!("t{thread}-{n}"));
                }
            });
        }
    });
    assert_eq!(faults(&place.journal), [""; 0]);
    place.journal.verify_all().unwrap();
}

/// The same race, in a build that writes activations whatever happened meanwhile.
#[cfg(feature = "unguarded")]
#[test]
fn without_guards_the_race_is_lost_and_the_checker_finds_it() {
    let place = Place::new();
    for n in 0..60 {
        round(&place, &format!("r{n}"));
        if !faults(&place.journal).is_empty() {
            return;
        }
    }
    panic!("sixty rounds without guards, and no fault was found: the race shows nothing");
}

#[test]
fn without_its_guard_an_activation_is_found_by_the_checker() {
    let place = Place::new();
    let actor = place.actor();
    let (one, two) = (actor.propose(&owned("a")), actor.propose(&owned("b")));
    for id in [&one, &two] {
        actor.approve(id, "rhea").unwrap();
    }
    actor.activate(&one, "dana").unwrap();
    assert_eq!(faults(&place.journal), [""; 0]);
    // What `activate` would have written for the second, had it looked before the first and not again.
    let diff = diff::load(&place.journal, &two).unwrap();
    let bundle = diff::new_bundle(&place.journal, &diff).unwrap();
    let (activated, _) = cku_authority::activation(&bundle, Purpose::Gates).unwrap();
    crate::place::note(&place.journal, Kind::DiffEnded, &diff::subject(&two), json!({"ending": "activated"}));
    let mut body = serde_json::to_value(&activated).unwrap();
    body["diff"] = json!(two);
    crate::place::note(&place.journal, Kind::BundleActivated, "bundle", body);
    let found = faults(&place.journal);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("beside another"), "{found:?}");
}

#[test]
fn an_unapproved_activation_is_found_by_the_checker() {
    let place = Place::new();
    let id = place.actor().propose(&owned("a"));
    let diff = diff::load(&place.journal, &id).unwrap();
    let bundle = diff::new_bundle(&place.journal, &diff).unwrap();
    let (activated, _) = cku_authority::activation(&bundle, Purpose::Gates).unwrap();
    crate::place::note(&place.journal, Kind::DiffEnded, &diff::subject(&id), json!({"ending": "activated"}));
    let mut body = serde_json::to_value(&activated).unwrap();
    body["diff"] = json!(id);
    crate::place::note(&place.journal, Kind::BundleActivated, "bundle", body);
    let found = faults(&place.journal);
    assert!(found.iter().any(|fault| fault.contains("unapproved")), "{found:?}");
}

#[test]
fn a_rollback_to_something_else_and_another_revision_are_found_by_the_checker() {
    let place = Place::new();
    let actor = place.actor();
    let id = actor.propose(&owned("a"));
    actor.approve(&id, "rhea").unwrap();
    actor.activate(&id, "dana").unwrap();
    let (diff, other) = (diff::load(&place.journal, &id).unwrap(), owned("b"));
    let (activated, _) = cku_authority::activation(&other, Purpose::Gates).unwrap();
    let mut body = serde_json::to_value(&activated).unwrap();
    body["diff"] = json!(diff.id);
    let again = body.clone();
    body["rollback"] = json!(true);
    crate::place::note(
        &place.journal,
        Kind::DiffEnded,
        &diff::subject(&id),
        json!({"ending": "rolled_back"}),
    );
    crate::place::note(&place.journal, Kind::BundleActivated, "bundle", body);
    let found = faults(&place.journal);
    assert!(found.iter().any(|fault| fault.contains("not active right before")), "{found:?}");
    crate::place::note(&place.journal, Kind::BundleActivated, "bundle", again);
    let found = faults(&place.journal);
    assert!(found.iter().any(|fault| fault.contains("not what was proposed")), "{found:?}");
}
