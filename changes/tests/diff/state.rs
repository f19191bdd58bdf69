//! The machine of states, on its own.

use cku_authority::{Modes, Purpose, Stage};
use cku_base::Digest;
use cku_changes::{
    diff::{Checked, Command, Decided, Diff, Ending, Event, Proposed, Status},
    prove::Direction,
};
use cku_gates::{ApprovalDecision, Verdict};
use proptest::prelude::*;

use crate::place::{later, noon, person};

fn diff() -> Diff {
    let proposed = Proposed {
        title: "t".to_owned(),
        purpose: Purpose::Gates,
        modes: Modes::all(),
        bundle: "b".to_owned(),
        base: Digest::of(b"base"),
        revision: Digest::of(b"new"),
        files: Digest::of(b"files"),
        author: person("otto"),
        proposed_at: noon(),
        expires_at: later(72),
        origin: String::new(),
    };
    Diff::new(Digest::of(b"diff"), proposed, 1)
}

fn evidence(n: u8) -> Digest {
    Digest::of(&[n])
}

fn stage() -> impl Strategy<Value = Stage> {
    let canary = |share: u32| Stage::Canary { share: share.try_into().unwrap(), stop_after: None };
    prop_oneof![2 => Just(Stage::Active), 1 => Just(Stage::Shadow), 1 => (1u32..4).prop_map(canary)]
}

fn command() -> impl Strategy<Value = Command> {
    let checked = |n| {
        Command::Check(Checked {
            evidence: evidence(n),
            direction: Direction::Neutral,
            tests_failed: 0,
            violated: Vec::new(),
        })
    };
    let decided = |(n, verdict)| {
        Command::Decide(Decided {
            verdict,
            bundle_revision: Digest::of(b"control"),
            evidence: evidence(n),
            input: Digest::of(b"input"),
            decision: serde_json::Value::Null,
        })
    };
    let verdict = prop_oneof![Just(Verdict::Pass), Just(Verdict::Pause), Just(Verdict::Reject)];
    let consent = |(n, approves, hours)| Command::Consent {
        decision: if approves { ApprovalDecision::Approve } else { ApprovalDecision::Refuse },
        reason: String::new(),
        subject: evidence(n),
        bundle: Digest::of(b"control"),
        expires_at: later(hours),
    };
    prop_oneof![
        3 => (0u8..3).prop_map(checked),
        4 => (0u8..3, any::<bool>(), 0u64..160).prop_map(consent),
        5 => (0u8..3, verdict).prop_map(decided),
        1 => Just(Command::Withdraw { reason: String::new() }),
        1 => Just(Command::Expire),
        1 => Just(Command::GoStale),
        5 => stage().prop_map(Command::Activate),
        2 => Just(Command::RollBack { reason: String::new() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_diff_is_activated_only_right_after_a_pass_over_what_was_found_out_last(
        steps in prop::collection::vec((command(), 0usize..4, 0u64..90), 0..30),
    ) {
        let people = ["otto", "rhea", "sam", "dana"];
        let mut diff = diff();
        let mut passed = None;
        let mut checked = None;
        for (command, who, hours) in steps {
            let by = person(people[who]);
            let (before, rolls_back) = (diff.status(), matches!(command, Command::RollBack { .. }));
            let Ok(events) = diff.decide(&by, &command, later(hours)) else { continue };
            prop_assert!(!events.is_empty());
            match before {
                Status::Ended(Ending::Activated) => prop_assert!(rolls_back),
                Status::Ended(_) => prop_assert!(false, "{command:?} after {before:?}"),
                Status::Tried(_) => {
                    let spoils = matches!(command, Command::Check(_) | Command::Withdraw { .. } | Command::Expire);
                    prop_assert!(!spoils, "{command:?} while it is tried");
                }
                _ => prop_assert!(!rolls_back),
            }
            let late = hours >= 72;
            match &command {
                Command::Check(found) => {
                    prop_assert!(!late);
                    (checked, passed) = (Some(found.evidence), None);
                }
                Command::Consent { decision, subject, expires_at, .. } => {
                    prop_assert!(!late && checked.is_some() && who != 0);
                    prop_assert!(*expires_at > later(hours) && *expires_at <= later(hours + 72));
                    let same = |a: &&cku_gates::Approval| {
                        a.approver == by.principal && a.subject_digest == *subject && a.expires_at > later(hours)
                    };
                    if let Some(before) = diff.approvals.iter().rfind(same) {
                        prop_assert_eq!(before.decision, ApprovalDecision::Approve);
                        prop_assert_eq!(*decision, ApprovalDecision::Refuse, "only a mind is changed");
                    }
                    passed = None;
                }
                Command::Decide(decided) => {
                    prop_assert_eq!(Some(decided.evidence), checked);
                    passed = (decided.verdict == Verdict::Pass).then_some(decided.evidence);
                }
                Command::Activate(stage) => {
                    prop_assert!(!late && passed.is_some() && passed == checked);
                    let back = matches!((before, stage), (Status::Tried(Stage::Canary { .. }), Stage::Shadow));
                    prop_assert!(!back && before != Status::Tried(*stage));
                }
                Command::Expire => prop_assert!(late),
                _ => {}
            }
            for (at, event) in events.iter().enumerate() {
                let seq = diff.seq + 1;
                diff = diff.apply(event, seq);
                prop_assert_eq!(diff.seq, seq);
                if let Event::Ended(ended) = event {
                    prop_assert_eq!(at + 1, events.len());
                    prop_assert_eq!(diff.status(), Status::Ended(ended.ending));
                }
            }
            let approved = diff.status() == Status::Approved;
            let tried = matches!(diff.status(), Status::Tried(_));
            prop_assert_eq!(approved, diff.status().is_open() && passed.is_some() && !tried);
        }
    }
}
