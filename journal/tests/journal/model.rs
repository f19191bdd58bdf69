//! The file against a model in memory: the same commands, the same answers.

use std::collections::BTreeMap;

use cku_journal::{AppendError, Command, Guard, Journal, RowGuard};
use proptest::prelude::*;
use serde_json::json;

use crate::support::{Place, command, draft, options, tenant};

const TENANTS: [&str; 3] = ["acme", "acme/payments", "globex"];
const SUBJECTS: [&str; 3] = ["a", "b", "c"];

/// What is expected of a tenant and a subject.
type Expected = Option<(usize, usize, u64)>;

/// What a test does.
#[derive(Debug, Clone)]
enum Step {
    Append {
        drafts: Vec<(usize, usize, u8)>,
        key: Option<u8>,
        guard: Expected,
        /// A count that is expected in the rows.
        row: Expected,
        refused: bool,
    },
    Reopen,
    Rebuild,
}

fn step() -> impl Strategy<Value = Step> {
    let drafts = prop::collection::vec((0..3usize, 0..3usize, any::<u8>()), 1..4);
    let guard = prop::option::of((0..3usize, 0..3usize, 0..6u64));
    let row = prop::option::weighted(0.3, (0..3usize, 0..3usize, 0..4u64));
    let append = (drafts, prop::option::of(0..4u8), guard, row, prop::bool::weighted(0.15));
    prop_oneof![
        12 => append.prop_map(|(drafts, key, guard, row, refused)| {
            Step::Append { drafts, key, guard, row, refused }
        }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Rebuild),
    ]
}

/// Drafts by tenant, subject and what they say, and where their entries are.
type Written = (Vec<(usize, usize, u8)>, Vec<(String, u64)>);

/// What the journal should hold: per tenant the (subject, says) of each entry, and what keys stand for.
#[derive(Default)]
struct Model {
    chains: BTreeMap<&'static str, Vec<(&'static str, u8)>>,
    /// By the tenant of the first entry, and the key.
    keys: BTreeMap<(usize, u8), Written>,
}

impl Model {
    fn last(&self, at: usize, subject: usize) -> u64 {
        let chain = self.chains.get(TENANTS[at]).map(Vec::as_slice).unwrap_or_default();
        chain.iter().rposition(|(s, _)| *s == SUBJECTS[subject]).map_or(0, |p| p as u64 + 1)
    }

    fn count(&self, at: usize, subject: usize) -> u64 {
        let chain = self.chains.get(TENANTS[at]).map(Vec::as_slice).unwrap_or_default();
        chain.iter().filter(|(s, _)| *s == SUBJECTS[subject]).count() as u64
    }
}

fn to_command(
    drafts: &[(usize, usize, u8)],
    key: Option<u8>,
    (guard, row): (Expected, Expected),
    refused: bool,
) -> Command {
    let mut command = command(
        drafts.iter().map(|(at, subject, n)| draft(TENANTS[*at], SUBJECTS[*subject], json!(n))).collect(),
    );
    if refused {
        command.drafts.last_mut().unwrap().body.insert("refused".to_owned(), json!(true));
    }
    command.key = key.map(|key| format!("key-{key}"));
    command.guards = Vec::from_iter(guard.map(|(at, subject, after)| Guard {
        tenant: tenant(TENANTS[at]),
        subject: SUBJECTS[subject].to_owned(),
        after,
    }));
    command.rows = Vec::from_iter(row.map(|(at, subject, count)| RowGuard {
        tenant: tenant(TENANTS[at]),
        table: "counts".to_owned(),
        key: SUBJECTS[subject].to_owned(),
        value: (count > 0).then(|| json!(count)),
    }));
    command
}

fn expect(model: &mut Model, journal: &Journal, step: &Step) {
    let Step::Append { drafts, key, guard, row, refused } = step else { return };
    let answer = journal.append(to_command(drafts, *key, (*guard, *row), *refused));
    let of_tenant = |key| (drafts[0].0, key);
    if let Some((first, places)) = key.and_then(|key| model.keys.get(&of_tenant(key))) {
        if first == drafts && !refused {
            let answer = answer.unwrap();
            assert!(answer.repeated);
            let found: Vec<_> =
                answer.entries.iter().map(|e| (e.header.tenant.to_string(), e.header.seq)).collect();
            assert_eq!(&found, places);
        } else {
            assert!(matches!(answer, Err(AppendError::KeyReused { .. })), "{answer:?}");
        }
        return;
    }
    if let Some((at, subject, after)) = guard {
        let last = model.last(*at, *subject);
        if last != *after {
            assert_eq!(
                answer,
                Err(AppendError::Conflict { subject: SUBJECTS[*subject].to_owned(), expected: *after, last })
            );
            return;
        }
    }
    if let Some((at, subject, count)) = row
        && model.count(*at, *subject) != *count
    {
        let (table, key) = ("counts".to_owned(), SUBJECTS[*subject].to_owned());
        assert_eq!(answer, Err(AppendError::Outdated { table, key }));
        return;
    }
    if *refused {
        assert!(matches!(answer, Err(AppendError::Projection(_))), "{answer:?}");
        return;
    }
    let answer = answer.unwrap();
    assert!(!answer.repeated);
    let mut places = Vec::new();
    for ((at, subject, n), entry) in drafts.iter().zip(&answer.entries) {
        let chain = model.chains.entry(TENANTS[*at]).or_default();
        chain.push((SUBJECTS[*subject], *n));
        assert_eq!(entry.header.seq, chain.len() as u64);
        places.push((TENANTS[*at].to_owned(), entry.header.seq));
    }
    if let Some(key) = key {
        model.keys.insert(of_tenant(*key), (drafts.clone(), places));
    }
}

fn compare(model: &Model, journal: &Journal) {
    for at in TENANTS {
        let expected = model.chains.get(at).cloned().unwrap_or_default();
        let entries = journal.read(&tenant(at), 0, 1_000).unwrap();
        let found: Vec<_> = entries
            .iter()
            .map(|e| (e.subject().unwrap(), e.body.as_ref().unwrap().value["says"].as_u64().unwrap() as u8))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(journal.head(&tenant(at)).unwrap().map_or(0, |h| h.seq), expected.len() as u64);
        for subject in SUBJECTS {
            let count = expected.iter().filter(|(s, _)| *s == subject).count();
            assert_eq!(journal.stream(&tenant(at), subject).unwrap().len(), count);
            let row = journal.row(&tenant(at), "counts", subject).unwrap();
            assert_eq!(row.and_then(|r| r.as_u64()).unwrap_or(0), count as u64);
        }
        assert_eq!(journal.row(&tenant(at), "counts", "garbage").unwrap(), None);
    }
    let to: u64 = journal.verify_all().unwrap().iter().map(|v| v.to).sum();
    assert_eq!(to, model.chains.values().map(|c| c.len() as u64).sum::<u64>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_file_answers_as_the_model_does(steps in prop::collection::vec(step(), 1..40)) {
        let place = Place::new();
        let mut journal = place.create();
        let mut model = Model::default();
        for step in &steps {
            match step {
                Step::Append { .. } => expect(&mut model, &journal, step),
                Step::Reopen => {
                    drop(journal);
                    journal = place.open();
                }
                Step::Rebuild => drop(Journal::rebuild(&place.path(), &options()).unwrap()),
            }
        }
        compare(&model, &journal);
    }
}

#[test]
fn a_refused_command_leaves_the_others_of_its_batch_alone() {
    let place = Place::new();
    let journal = place.create();
    // Handed over together, so that the writer takes them together.
    let pending: Vec<_> = (0..200u32)
        .map(|n| {
            let mut command = command(vec![draft("acme", "a", json!(n)), draft("globex", "b", json!(n))]);
            if n % 2 == 1 {
                command.drafts[1].body.insert("refused".to_owned(), json!(true));
            }
            journal.submit(command).unwrap()
        })
        .collect();
    let answers: Vec<_> = pending.into_iter().map(cku_journal::Pending::wait).collect();
    assert!(answers.iter().enumerate().all(|(n, a)| a.is_ok() == (n % 2 == 0)));
    for at in ["acme", "globex"] {
        let says: Vec<_> = journal.read(&tenant(at), 0, 1_000).unwrap();
        let says: Vec<_> =
            says.iter().map(|e| e.body.as_ref().unwrap().value["says"].as_u64().unwrap()).collect();
        assert_eq!(says, (0..200).step_by(2).collect::<Vec<_>>());
    }
    journal.verify_all().unwrap();
}

#[test]
fn what_cannot_be_an_entry_is_refused() {
    let place = Place::new();
    let journal = place.create();
    let refused = |change: &dyn Fn(&mut Command)| {
        let mut command = command(vec![draft("acme", "a", json!(1))]);
        change(&mut command);
        journal.append(command).unwrap_err().to_string()
    };
    let told = [
        refused(&|c| c.drafts.clear()),
        refused(&|c| drop(c.drafts[0].body.remove("actor"))),
        refused(&|c| drop(c.drafts[0].body.insert("subject".to_owned(), json!(7)))),
        refused(&|c| c.drafts[0].kind = cku_journal::Kind::of("party.given/1")),
        refused(&|c| drop(c.drafts[0].body.insert("refused".to_owned(), json!(true)))),
    ];
    insta::assert_snapshot!(told.join("\n"));
    assert_eq!(journal.tenants().unwrap(), []);
}
