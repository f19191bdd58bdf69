//! What gates make of the reliability of voters.

use std::path::Path;

use cku_base::document;
use cku_gates::{Ballot, Verdict, VoterKind, read_submission};
use cku_learning::{SubjectKind, TrackRecords};
use cku_runs::{Beside, Command, Request, Run, gate};

use crate::place::{Course, Place, acme, agent, bundle, person};

/// A release with the reports of its tools, which waits for people.
fn submit(place: &Place) -> Run {
    let read = |name: &str| {
        let bytes =
            std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(name)).unwrap();
        document::read(name, &bytes, document::Limits::default()).unwrap()
    };
    let mut submission = read("inputs/release-humanize.yaml")["submission"].clone();
    submission["evidence"] = read("inputs/evidence/humanize.json")["evidence"].clone();
    let (submission, _) = read_submission(&submission).unwrap();
    let request = Request {
        id: "run-1000000".to_owned(),
        tenant: acme(),
        mode: "staging".to_owned(),
        by: agent("ci"),
        submission,
        workspace: String::new(),
        confined: true,
        time: place.now(),
    };
    cku_runs::submit(&place.journal, request).unwrap()
}

#[test]
fn who_voted_for_what_failed_has_little_weight() {
    let place = Place::new(&bundle("{}"));
    for number in 0..12 {
        place.run_voted(number, ("rhea", Ballot::Approve), Course::Failed);
    }
    for number in 12..24 {
        place.run_voted(number, ("sam", Ballot::Reject), Course::Failed);
    }
    let mut worker = place.gates();
    let run = gate(&place.journal, &place.chains, &mut worker, submit(&place), place.now()).unwrap().run;
    for voter in ["rhea", "sam"] {
        let vote = Command::Vote {
            voter_kind: VoterKind::Person,
            vote: Ballot::Approve,
            confidence: 10_000.try_into().unwrap(),
        };
        let at = (&acme(), run.id.as_str());
        cku_runs::act(&place.journal, &mut worker, at, &person(voter), &vote, place.now()).unwrap();
    }
    let consensus = |known: bool, worker: &mut cku_engine::Worker| {
        let run = cku_runs::load(&place.journal, &acme(), &run.id).unwrap();
        let records = TrackRecords::default();
        let reliability = records.given(&place.journal, worker.bundle(), &acme()).unwrap();
        let beside = Beside { reliability: known.then_some(&*reliability), ..Beside::from(&place.chains) };
        let judged =
            cku_runs::judge(&place.journal, beside, (worker, cku_runs::Trial::None), &run, place.now())
                .unwrap();
        let gate = judged.decision.gates.into_iter().find(|gate| gate.gate == "consensus").unwrap();
        (gate.verdict, gate.reasons, judged.input.state.reliability)
    };
    let (verdict, reasons, given) = consensus(false, &mut worker);
    assert_eq!((verdict, given.voters.len()), (Some(Verdict::Pass), 0), "{reasons:?}");
    let (verdict, reasons, given) = consensus(true, &mut worker);
    assert_eq!(verdict, Some(Verdict::Pause), "one voter without weight is none: {reasons:?}");
    assert_eq!(given.voters.len(), 1, "of sam too little is known, and that speaks for him: {given:?}");
    assert_eq!(given.voters["user:rhea"].get(), 0);
    let reckoning = cku_learning::Reckoning::of(worker.bundle()).unwrap();
    let record = TrackRecords::default().record(&place.journal, reckoning, &acme()).unwrap();
    let sam = record.subjects().get(SubjectKind::Voters, "user:sam").unwrap();
    assert_eq!((sam.outcomes, sam.losses), (12, 0));
}
