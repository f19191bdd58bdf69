//! What flips, what does not, and what cannot be told.

use std::{cell::Cell, collections::BTreeSet};

use cku_changes::replay::{
    Bands, Filter, Observed, Options, Replay, ReplayError, Said, WhyNot, heads, recorded_bands, replay,
};
use cku_gates::Verdict::{Pass, Pause, Reject};
use cku_journal::Kind;
use proptest::prelude::*;
use serde_json::json;

use crate::place::{Place, baseline, tightened};

const ACME: &str = "acme/payments";

/// Eight runs, six of which pass the baseline in `dev` by their coverage.
fn recorded() -> Place {
    let mut place = Place::new();
    let old = baseline(&[]);
    for (hit, failed, expected) in [
        (5_999, 0, Pause),
        (6_000, 0, Pass),
        (7_000, 0, Pass),
        (7_999, 0, Pass),
        (8_000, 0, Pass),
        (9_000, 0, Pass),
        (7_500, 3, Reject),
    ] {
        assert_eq!(place.decide(&old, ACME, hit, failed).1, expected, "{hit} {failed}");
    }
    place.end(ACME, "run-2", "success");
    place.end(ACME, "run-3", "failure");
    place.end(ACME, "run-4", "success");
    place.note(ACME, Kind::RunLabelled, "run-4", json!({"label": "incident", "at": "2026-11-20T13:00:00Z"}));
    place
}

fn quiet(_: usize, _: usize) {}

#[test]
fn a_tightened_threshold_flips_those_between_and_no_others() {
    let place = recorded();
    let found = replay(&place.journal, baseline(&[]), tightened(), &Options::default(), &quiet).unwrap();
    assert_eq!((found.recorded, found.replayed, found.flips), (7, 7, 3));
    assert_eq!(found.verdicts.count(Pass, Pause), 3);
    assert_eq!(found.verdicts.count(Pass, Pass), 2);
    assert_eq!(found.verdicts.count(Pause, Pause), 1);
    assert_eq!(found.verdicts.count(Reject, Reject), 1);
    let outcomes = found.verdicts.cell(Pass, Pause).unwrap().outcomes;
    assert_eq!((outcomes.success, outcomes.failure, outcomes.none), (1, 2, 0));
    let mut runs: Vec<(&str, Observed)> = found.samples.iter().map(|s| (&*s.run, s.outcome)).collect();
    runs.sort();
    let expected = [("run-2", Observed::Success), ("run-3", Observed::Failure), ("run-4", Observed::Failure)];
    assert_eq!(runs, expected);
    let sample = found.samples.iter().find(|s| s.run == "run-3").unwrap();
    assert_eq!(sample.intent, "Change what run-3 changes");
    assert_eq!(sample.old_reasons, [""; 0]);
    assert_eq!(sample.new_reasons, ["quality: line coverage 70.00 % is below 80.00 %"]);
    assert_eq!(found.by_gate["quality"].count(Said::Pass, Said::Pause), 3);
    assert_eq!(found.by_gate["security"].flips(), 0);
    assert_eq!(found.by_mode["dev"].flips(), 3);
    assert_eq!(found.by_tenant[&ACME.parse().unwrap()].flips(), 3);
    assert_eq!((found.agreement.same_revision, found.agreement.agrees), (7, 7));
    assert_eq!(found.bound.at_most_millionths, 428_572);
    assert!(found.not_replayable.is_empty());
}

#[test]
fn what_people_let_pass_passes_under_another_revision_as_well() {
    let mut place = Place::new();
    let old = baseline(&[]);
    let (run, verdict) = place.decide(&old, ACME, 5_000, 0);
    assert_eq!(verdict, Pause);
    assert_eq!(place.approve(&old, ACME, &run), Pass);
    // Whichever side is the recorded revision, or neither.
    let third = baseline(&[("gates/quality.gate", "dev  = 60%", "dev  = 70%")]);
    for (old, new) in [(old.clone(), tightened()), (tightened(), old), (third, tightened())] {
        let found = replay(&place.journal, old, new, &Options::default(), &quiet).unwrap();
        assert_eq!((found.replayed, found.flips), (2, 0));
        assert_eq!((found.verdicts.count(Pause, Pause), found.verdicts.count(Pass, Pass)), (1, 1));
    }
}

#[test]
fn what_was_masked_and_mattered_is_counted_and_what_did_not_is_replayed() {
    let mut place = Place::new();
    let masking = |paths: &str| {
        baseline(&[("bundle.yaml", "name: baseline", &format!("name: baseline\nmask: ['{paths}']"))])
    };
    place.decide(&masking("submission.evidence[*].data"), ACME, 9_000, 0);
    place.decide(&masking("run_id"), ACME, 9_000, 0);
    place.decide(&baseline(&[]), ACME, 9_000, 0);
    let found = replay(&place.journal, baseline(&[]), tightened(), &Options::default(), &quiet).unwrap();
    assert_eq!((found.recorded, found.replayed, found.masked), (3, 2, 1));
    let not: Vec<_> = found.not_replayable.iter().map(|n| (n.reason, n.under, n.count)).collect();
    assert_eq!(not, [(WhyNot::Masked, None, 1)]);
    assert_eq!(found.agreement.same_revision, 1, "the others were made by other revisions");
}

#[test]
fn a_mode_that_the_new_bundle_does_not_have_is_no_verdict() {
    let place = recorded();
    let new = baseline(&[("bundle.yaml", "name: baseline", "name: other")]);
    let without = cku_engine::Sources::from_files([
        ("bundle.yaml", "name: tiny\nmodes: [prod]"),
        ("size.rego", "package size\nfiles := 1"),
        (
            "size.gate",
            "gate size \"How large?\" {\n facts from data.size { files: count }\n pause large: when files > 1 because \"large\"\n}\nmode prod { size }",
        ),
    ]);
    let without = std::sync::Arc::new(cku_engine::Bundle::from_sources(without).unwrap());
    let found = replay(&place.journal, new, without, &Options::default(), &quiet).unwrap();
    assert_eq!(found.replayed, 0);
    let not: Vec<_> = found.not_replayable.iter().map(|n| (n.reason, n.count)).collect();
    assert_eq!(not, [(WhyNot::UnknownMode, 7)]);
}

fn with_threads(place: &Place, threads: usize) -> Replay {
    let options = Options { threads, ..Options::default() };
    replay(&place.journal, baseline(&[]), tightened(), &options, &quiet).unwrap()
}

#[test]
fn the_evidence_is_the_same_on_however_many_threads_and_reads_back() {
    let mut place = recorded();
    let old = baseline(&[]);
    for at in 0..60 {
        place.decide(&old, "acme", 5_900 + at * 50, 0);
    }
    let one = with_threads(&place, 1);
    assert_eq!(one.by_tenant[&"acme".parse().unwrap()].flips(), 40);
    for threads in [2, 7] {
        assert_eq!(with_threads(&place, threads).evidence().unwrap(), one.evidence().unwrap(), "{threads}");
    }
    let evidence = one.evidence().unwrap();
    let read: Replay = serde_json::from_slice(&evidence).unwrap();
    assert_eq!(read.evidence().unwrap(), evidence);
    assert!(read.latency.is_none() && one.latency.is_some());
}

#[test]
fn what_is_written_later_does_not_change_the_evidence_up_to_a_head() {
    let mut place = recorded();
    let fixed = heads(&place.journal, &"/".parse().unwrap()).unwrap();
    let options = Options { heads: Some(fixed.clone()), ..Options::default() };
    let found = || replay(&place.journal, baseline(&[]), tightened(), &options, &quiet).unwrap();
    let before = found().digest().unwrap();
    place.decide(&baseline(&[]), ACME, 7_500, 0);
    place.end(ACME, "run-5", "failure");
    let found = replay(&place.journal, baseline(&[]), tightened(), &options, &quiet).unwrap();
    assert_eq!(found.digest().unwrap(), before);
    let mut other = fixed;
    other.get_mut(&ACME.parse().unwrap()).unwrap().hash = cku_base::Digest::of(b"another");
    let options = Options { heads: Some(other), ..Options::default() };
    let error = replay(&place.journal, baseline(&[]), tightened(), &options, &quiet).unwrap_err();
    assert!(matches!(error, ReplayError::OtherHead { .. }), "{error}");
}

#[test]
fn a_sample_is_as_large_as_the_limit_and_says_what_it_may_have_missed() {
    let place = recorded();
    let options = Options { limit: Some(4), ..Options::default() };
    let last = Cell::new((0, 0));
    let progress = |done, total| last.set((done, total));
    let found = replay(&place.journal, baseline(&[]), baseline(&[]), &options, &progress).unwrap();
    assert_eq!((found.recorded, found.looked_at, found.replayed, found.flips), (7, 4, 4, 0));
    // 1 - 0.05^(1/4)
    assert_eq!(found.bound.at_most_millionths, 527_130);
    assert_eq!(last.get(), (4, 4));
    let whole = Options { limit: Some(7), ..Options::default() };
    let found = replay(&place.journal, baseline(&[]), baseline(&[]), &whole, &quiet).unwrap();
    assert_eq!((found.looked_at, found.bound.at_most_millionths), (7, 0));
}

#[test]
fn flips_that_were_found_before_are_looked_at_beside_a_sample_and_do_not_weigh() {
    let place = recorded();
    let whole = replay(&place.journal, baseline(&[]), tightened(), &Options::default(), &quiet).unwrap();
    let also: BTreeSet<_> = whole.samples.iter().map(|sample| sample.place.clone()).collect();
    let options = Options { limit: Some(2), also, ..Options::default() };
    let found = replay(&place.journal, baseline(&[]), tightened(), &options, &quiet).unwrap();
    assert_eq!((found.looked_at, found.bound.flips), (2, found.flips));
    assert_eq!(found.flips + found.beside.flips, 3);
    assert_eq!(found.samples.len(), 3);
}

#[test]
fn bands_of_a_threshold_count_what_lies_between() {
    let place = recorded();
    let fact = ("quality", "line_coverage");
    let bands =
        recorded_bands(&place.journal, baseline(&[]), &Options::default(), fact, (6_000, 8_000)).unwrap();
    let expected = Bands { below: 1, between: 4, above: 2, missing: 0, not_replayable: 0 };
    assert_eq!(bands, expected, "one of those between is rejected for another reason");
}

#[test]
fn only_what_is_asked_for_is_looked_at() {
    let mut place = recorded();
    place.decide(&baseline(&[]), "globex", 7_000, 0);
    let count = |filter: Filter| {
        let options = Options { filter, ..Options::default() };
        replay(&place.journal, baseline(&[]), tightened(), &options, &quiet).unwrap().recorded
    };
    assert_eq!(count(Filter::default()), 8);
    assert_eq!(count(Filter { tenant: "acme".parse().unwrap(), ..Filter::default() }), 7);
    assert_eq!(count(Filter { mode: Some("prod".to_owned()), ..Filter::default() }), 0);
    assert_eq!(
        count(Filter { gate: Some("quality".to_owned()), ..Filter::default() }),
        7,
        "globex has no such target"
    );
    // It comes after the gate that rejects one.
    assert_eq!(count(Filter { gate: Some("operations".to_owned()), ..Filter::default() }), 6);
    let tomorrow = Some("2026-11-21T00:00:00Z".parse().unwrap());
    assert_eq!(count(Filter { since: tomorrow, ..Filter::default() }), 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]

    #[test]
    fn a_bundle_against_itself_has_no_flips(runs in prop::collection::vec((0u32..=10_000, 0u32..3), 1..6)) {
        let mut place = Place::new();
        let bundle = baseline(&[]);
        for (hit, failed) in &runs {
            place.decide(&bundle, ACME, *hit, *failed);
        }
        let found = replay(&place.journal, bundle.clone(), bundle, &Options::default(), &quiet).unwrap();
        prop_assert_eq!((found.flips, found.replayed), (0, runs.len() as u64));
        prop_assert_eq!(found.agreement.differs, 0);
        prop_assert!(found.by_gate.values().all(|table| table.flips() == 0));
    }
}
