//! Track records: what is counted of whom, in parts as in one go, and what can change nothing.

use cku_authority::{named, with_actor};
use cku_base::{Digest, TenantPath};
use cku_gates::{Ballot, Verdict, Vote, VoterKind};
use cku_journal::{Body, Command, Draft, Entry, Header, Journal, Kind, Options};
use cku_learning::{Reckoning, ReliabilityError, SubjectKind, Subjects, TrackRecord, TrackRecords};
use cku_runs::{
    Decided, Ended, Ending, Event, Failure, Label, Outcome, StepFinished, StepStarted, Submitted, subject,
};
use cku_skills::FailureClass;
use proptest::prelude::*;
use serde_json::json;

use crate::place::{acme, agent, bundle, noon, person};

/// The shipped numbers.
fn reckoning() -> Reckoning {
    let (partial, doubt) = (5_000.try_into().unwrap(), 9_000.try_into().unwrap());
    Reckoning { half_life: 1_000, partial, from: 100, doubt }
}

fn submitted(by: &str) -> Event {
    Event::Submitted(Submitted {
        mode: "dev".to_owned(),
        principal: agent(by),
        submitted_at: noon(),
        submission: Digest::of(b"submission"),
        subject_digest: Digest::of(b"subject"),
        evidence_by: Default::default(),
        intent: "a run of a test".to_owned(),
        workspace: String::new(),
        confined: true,
    })
}

/// What the gates say: each with its own verdict.
fn decided(verdict: Verdict, gates: &[(&str, &str)], canary: bool) -> Event {
    let gates: Vec<_> =
        gates.iter().map(|(gate, verdict)| json!({"gate": gate, "verdict": verdict})).collect();
    Event::Decided(Decided {
        verdict,
        bundle_revision: Digest::of(b"bundle"),
        subject_digest: Digest::of(b"subject"),
        input_digest: Digest::of(b"input"),
        input: Digest::of(b"input"),
        replayable: false,
        decision: json!({"gates": gates}),
        observed: Default::default(),
        exploration: None,
        explorable: None,
        canary: canary.then(|| Digest::of(b"diff")),
        shadow: None,
    })
}

fn passed() -> Event {
    decided(Verdict::Pass, &[("security", "PASS"), ("quality", "PAUSE")], false)
}

fn voted(voter: &str, vote: Ballot) -> Event {
    Event::Voted(Vote {
        voter: agent(voter).principal,
        voter_kind: VoterKind::Planner,
        subject_digest: Digest::of(b"subject"),
        vote,
        confidence: Default::default(),
        time: noon(),
        key: None,
    })
}

fn started(step: &str, skill: &str) -> Event {
    let (step, skill) = (step.to_owned(), skill.to_owned());
    Event::StepStarted(StepStarted { step, skill, attempt: 1, key: String::new() })
}

fn finished(step: &str, class: Option<FailureClass>) -> Event {
    let failure = class.map(|class| Failure { class, message: String::new(), exit_code: None, signal: None });
    Event::StepFinished(StepFinished { step: step.to_owned(), attempt: 1, failure, report: None })
}

fn ended(status: Ending, outcome: Option<Outcome>) -> Event {
    Event::Ended(Ended { status, outcome, cause: String::new(), attempts: 1, took_ms: 1, waited_ms: 0 })
}

fn succeeded() -> Event {
    ended(Ending::Succeeded, Some(Outcome::Success))
}

fn failed() -> Event {
    ended(Ending::Failed, Some(Outcome::Failure))
}

fn labelled(label: &str) -> Event {
    Event::Labelled(Label { label: label.to_owned(), at: noon(), note: String::new() })
}

/// A chain of a tenant; an event that is none is one whose body was erased.
fn chain(tenant: &TenantPath, events: Vec<(&str, Option<Event>)>) -> Vec<Entry> {
    let entry = |(at, (run, event)): (usize, (&str, Option<Event>))| {
        let members = event.as_ref().map(|event| event.members().unwrap());
        let value = members.map(|members| with_actor(members, &json!("cku"), &subject(run)));
        let header = Header {
            tenant: tenant.clone(),
            seq: at as u64 + 1,
            time: noon(),
            kind: event.map_or(Kind::RunEnded, |event| event.kind()).as_str().to_owned(),
            prev: Digest::of(b"prev"),
            body_hash: Digest::of(b"body"),
        };
        Entry {
            header,
            body: value.map(|value| Body { salt: [0; 32], value: value.into() }),
            hash: Digest::of(b"hash"),
        }
    };
    events.into_iter().enumerate().map(entry).collect()
}

fn take(record: &mut TrackRecord, entry: &Entry, all: &[Entry]) {
    let about =
        |subject: &str| all.iter().filter(|entry| entry.subject() == Some(subject)).cloned().collect();
    record.take(entry, |subject| Ok(about(subject))).unwrap();
}

fn read<'e>(entries: impl IntoIterator<Item = &'e Entry>, all: &[Entry]) -> TrackRecord {
    let mut record = TrackRecord::new(acme(), reckoning());
    entries.into_iter().for_each(|entry| take(&mut record, entry, all));
    record
}

fn of(events: Vec<Event>) -> TrackRecord {
    let entries = chain(&acme(), events.into_iter().map(|event| ("run-1", Some(event))).collect());
    read(&entries, &entries)
}

/// Outcomes and losses in ten-thousandths of all, as `kind/name`.
fn counted(subjects: &Subjects) -> Vec<(String, u64, u64)> {
    let of = |kind: SubjectKind| {
        let known = subjects.of(kind);
        known.map(move |(name, counts)| (format!("{}/{name}", kind.as_str()), counts.outcomes, counts.losses))
    };
    SubjectKind::ALL.into_iter().flat_map(of).collect()
}

fn counted_of(events: Vec<Event>) -> Vec<(String, u64, u64)> {
    counted(of(events).subjects())
}

fn lines(expected: &[(&str, u64, u64)]) -> Vec<(String, u64, u64)> {
    expected.iter().map(|(name, outcomes, losses)| ((*name).to_owned(), *outcomes, *losses)).collect()
}

#[test]
fn a_run_that_failed_counts_against_all_who_said_that_it_would_not() {
    let votes = [("agree", Ballot::Approve), ("object", Ballot::Reject), ("hesitate", Ballot::Revise)];
    let votes = votes.map(|(voter, vote)| voted(voter, vote));
    let told = |end: Event| {
        let begin = [submitted("ci"), started("build", "command"), finished("build", None)];
        let [submitted, started, finished] = begin;
        let mut events = vec![submitted];
        events.extend(votes.clone());
        events.extend([passed(), started, finished, end]);
        counted_of(events)
    };
    let expected = |loss: u64| {
        lines(&[
            ("skills/command", 1, 0),
            ("agents/service_account:ci", 1, loss),
            // `quality` said PAUSE, and somebody overrode it.
            ("gates/security", 1, loss),
            ("voters/service_account:agree", 1, loss),
            ("voters/service_account:object", 1, 10_000 - loss),
            ("tenants/acme", 1, loss),
        ])
    };
    assert_eq!(told(failed()), expected(10_000));
    assert_eq!(told(succeeded()), expected(0));
    assert_eq!(told(ended(Ending::Partial, Some(Outcome::Partial))), expected(5_000));
    assert_eq!(told(ended(Ending::RolledBack, None)), expected(10_000));
    // What nobody can tell counts for nobody.
    assert_eq!(told(ended(Ending::Cancelled, None)), lines(&[("skills/command", 1, 0)]));
}

#[test]
fn a_vote_counts_as_it_stood_when_the_run_went_ahead_and_not_on_the_own_run() {
    let told = |events: Vec<Event>| {
        let all = counted_of(events);
        all.into_iter().filter(|(name, ..)| name.starts_with("voters/")).collect::<Vec<_>>()
    };
    let pause = || decided(Verdict::Pause, &[], false);
    let changed = vec![
        submitted("ci"),
        pause(),
        voted("vic", Ballot::Reject),
        voted("vic", Ballot::Approve),
        passed(),
        // Whoever sees how it goes has it easy.
        voted("vic", Ballot::Reject),
        failed(),
    ];
    assert_eq!(told(changed), lines(&[("voters/service_account:vic", 1, 10_000)]));
    let own = vec![submitted("ci"), voted("ci", Ballot::Approve), passed(), succeeded()];
    assert_eq!(told(own), []);
    let held = vec![submitted("ci"), voted("vic", Ballot::Reject), pause(), ended(Ending::Rejected, None)];
    assert_eq!(told(held), [], "what did not go ahead tells nothing of who opposed it");
}

#[test]
fn a_canary_is_no_word_of_the_gates() {
    let tried = decided(Verdict::Pass, &[("security", "PASS")], true);
    let counted = counted_of(vec![submitted("ci"), tried, failed()]);
    assert_eq!(counted, lines(&[("agents/service_account:ci", 1, 10_000), ("tenants/acme", 1, 10_000)]));
}

#[test]
fn tries_count_each_and_what_was_broken_off_or_never_began_does_not() {
    let class = |class| finished("build", Some(class));
    let counted = counted_of(vec![
        submitted("ci"),
        // A policy denied it.
        class(FailureClass::Policy),
        started("build", "command"),
        class(FailureClass::Timeout),
        started("build", "command"),
        class(FailureClass::Interrupted),
        started("build", "command"),
        finished("build", None),
        finished("build", None),
        started("other", "file"),
    ]);
    assert_eq!(counted, lines(&[("skills/command", 2, 10_000)]));
}

#[test]
fn an_incident_that_is_found_later_changes_all_but_the_skills_and_once() {
    let run = || {
        vec![
            submitted("ci"),
            voted("agree", Ballot::Approve),
            voted("object", Ballot::Reject),
            passed(),
            started("build", "command"),
            finished("build", None),
            succeeded(),
        ]
    };
    let told = |labels: &[&str]| {
        let mut events = run();
        events.extend(labels.iter().map(|label| labelled(label)));
        of(events)
    };
    let expected = lines(&[
        ("skills/command", 1, 0),
        ("agents/service_account:ci", 1, 10_000),
        ("gates/security", 1, 10_000),
        ("voters/service_account:agree", 1, 10_000),
        ("voters/service_account:object", 1, 0),
        ("tenants/acme", 1, 10_000),
    ]);
    for labels in [&["incident"][..], &["revert", "incident"], &["praised", "incident", "incident"]] {
        assert_eq!(counted(told(labels).subjects()), expected, "{labels:?}");
    }
    let mean = |record: &TrackRecord| {
        record.subjects().get(SubjectKind::Agents, "service_account:ci").unwrap().mean()
    };
    assert!(mean(&told(&["incident"])) < mean(&told(&["praised"])));
    // Nobody could tell how a cancelled one turned out; now somebody can.
    let cancelled = vec![submitted("ci"), passed(), ended(Ending::Cancelled, None), labelled("incident")];
    assert_eq!(counted_of(cancelled)[0], ("agents/service_account:ci".to_owned(), 1, 10_000));
    let held = vec![submitted("ci"), ended(Ending::Rejected, None), labelled("incident")];
    assert_eq!(counted_of(held), [], "what never went ahead did no harm");
}

#[test]
fn strangers_repeats_and_what_was_erased_change_nothing() {
    let events = |erased: bool| {
        let end = (!erased).then(succeeded);
        let mut events = vec![
            ("run-1", Some(submitted("ci"))),
            ("run-1", Some(passed())),
            ("run-1", end),
            ("run-2", Some(succeeded())),
            ("run-2", Some(labelled("incident"))),
        ];
        if erased {
            events.push(("run-1", Some(labelled("incident"))));
        }
        chain(&acme(), events)
    };
    let whole = events(false);
    let record = read(&whole, &whole);
    assert_eq!((counted(record.subjects()).len(), record.erased()), (3, 0));
    let repeated = read(whole.iter().chain(&whole), &whole);
    assert_eq!(repeated, record);
    let elsewhere = chain(&"elsewhere".parse().unwrap(), vec![("run-1", Some(failed())); 9]);
    assert_eq!(read(whole.iter().chain(&elsewhere), &whole), record);
    let erased = events(true);
    let record = read(&erased, &erased);
    assert_eq!((counted(record.subjects()), record.erased()), (Vec::new(), 1), "nobody knows how it ended");
}

#[test]
fn an_entry_that_cannot_be_read_ends_the_reading_and_nothing_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::create(&folder.path().join("journal.db"), Options::default()).unwrap();
    let write = |run: &str, kind: Kind, members| {
        let body = with_actor(members, &named(&person("rhea")), &subject(run));
        let draft = Draft { tenant: acme(), kind, body };
        journal.append(Command { drafts: vec![draft], ..Command::default() }).unwrap();
    };
    let event = |run: &str, event: Event| write(run, event.kind(), event.members().unwrap());
    event("run-1", submitted("ci"));
    event("run-1", started("build", "command"));
    let (records, bundle) = (TrackRecords::default(), bundle("{}"));
    let given = || records.given(&journal, &bundle, &acme());
    assert!(given().is_ok());
    write("run-1", Kind::StepFinished, serde_json::Map::new());
    records.refresh(&journal).unwrap_err();
    event("run-1", failed());
    for _ in 0..2 {
        let error = given().unwrap_err();
        assert!(matches!(error, ReliabilityError::Store(_)), "{error:?}");
        assert!(error.to_string().starts_with("entry 3 of acme"), "{error}");
    }
}

#[test]
fn what_a_bundle_declares_is_how_it_is_reckoned_and_nonsense_is_refused() {
    let declared =
        "defaults: { half_life: 20, reliability_from: 30, reliability_doubt: 9500, partial: 2500 }";
    let reckoning = Reckoning::of(&bundle(declared)).unwrap();
    let numbers = (reckoning.half_life, reckoning.partial.get(), reckoning.from, reckoning.doubt.get());
    assert_eq!(numbers, (20, 2_500, 30, 9_500));
    let error = Reckoning::of(&bundle("defaults: { reliability_from: 0 }")).unwrap_err();
    assert!(error.to_string().contains("`reliability_from` is 0; give 1 to 10000000"), "{error}");
}

/// Anything that may stand in a chain, in any order.
fn any_event() -> impl Strategy<Value = Option<Event>> {
    let class = prop_oneof![Just(FailureClass::Timeout), Just(FailureClass::Interrupted)];
    let ballot = prop_oneof![Just(Ballot::Approve), Just(Ballot::Revise), Just(Ballot::Reject)];
    let who = || prop_oneof![Just("a"), Just("b")];
    prop_oneof![
        4 => who().prop_map(|by| Some(submitted(by))),
        3 => Just(Some(passed())),
        1 => Just(Some(decided(Verdict::Pause, &[], false))),
        2 => (who(), ballot).prop_map(|(voter, ballot)| Some(voted(voter, ballot))),
        3 => who().prop_map(|skill| Some(started("build", skill))),
        3 => proptest::option::of(class).prop_map(|class| Some(finished("build", class))),
        2 => Just(Some(succeeded())),
        1 => Just(Some(failed())),
        1 => Just(Some(ended(Ending::Cancelled, None))),
        2 => Just(Some(labelled("incident"))),
        1 => Just(None),
    ]
}

fn any_chain() -> impl Strategy<Value = Vec<Entry>> {
    let run = prop_oneof![Just("run-1"), Just("run-2"), Just("run-3")];
    prop::collection::vec((run, any_event()), 0..60).prop_map(|events| chain(&acme(), events))
}

proptest! {
    #[test]
    fn read_in_parts_it_comes_to_the_same_bytes(entries in any_chain(), at in 0usize..60) {
        let bytes = |record: &TrackRecord| serde_json::to_string(record).unwrap();
        let (first, then) = entries.split_at(at.min(entries.len()));
        let mut record: TrackRecord = serde_json::from_str(&bytes(&read(first, &entries))).unwrap();
        then.iter().for_each(|entry| take(&mut record, entry, &entries));
        prop_assert_eq!(bytes(&record), bytes(&read(&entries, &entries)));
    }

    #[test]
    fn shards_come_to_what_the_whole_does(entries in any_chain()) {
        let of_first = |entry: &&Entry| entry.subject() == Some("run:run-1");
        let (first, others): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(of_first);
        let merged = read(first, &entries).subjects().clone().merge(read(others, &entries).subjects());
        let whole = read(&entries, &entries);
        prop_assert_eq!(counted(&merged), counted(whole.subjects()));
        for (name, outcomes, losses) in counted(&merged) {
            prop_assert!(losses <= outcomes * 10_000, "{name}");
        }
    }
}
