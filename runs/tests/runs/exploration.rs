//! Exploration over a real journal: what is drawn, what is kept of it, and what no submitter can change.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{Arc, Barrier},
};

use cku_authority::{Admin, Chains, Control, Floor, Genesis, found};
use cku_base::{Principal, PrincipalKind, TenantPath, Timestamp, document::Limits};
use cku_engine::{Bundle, Sources, Worker};
use cku_gates::{Authentication, DecisionInput, RunSubmission, Submitter, Verdict, decide, read_submission};
use cku_journal::{Journal, Options};
use cku_runs::{
    Beside, Decided, Event, ExplorationKey, PlanFile, Projections, Request, Run, Trial, gate_trying, submit,
};
use serde_json::json;

const BUNDLE: [(&str, &str); 4] = [
    ("bundle.yaml", "name: explored\nmodes: [dev, prod]\nroles: {admin: admins}"),
    (
        "facts.rego",
        "package facts\nimport rego.v1\ncoverage := input.submission.labels.coverage\nrisk := input.submission.labels.risk\nseen := input.state.exploration",
    ),
    (
        "all.gate",
        r#"gate quality "Is it tested?" {
             facts from data.facts { coverage: percent }
             threshold min_coverage: percent = 80% in 60%..98% step 1% stricter up learn
             pause thin: when coverage < min_coverage because "{coverage} covered"
           }
           gate operations "Is it risky?" {
             facts from data.facts { risk: ratio }
             threshold max_risk: ratio = 0.70 in 0.20..0.95 step 0.025 stricter down learn
             pause risky: when risk > max_risk because "risk {risk}"
           }
           mode dev { quality operations }
           mode prod { quality operations }"#,
    ),
    (
        "access.cedarschema",
        "entity Role in [Role];\nentity Tenant in [Tenant] { admins: Role };\nentity User in [Role] { name: String, tenant: Tenant };\nentity ServiceAccount in [Role] { name: String, tenant: Tenant };\nentity Agent in [Role] { name: String, tenant: Tenant };\nentity Run { tenant: Tenant, authors: Set<String> };\naction \"run:create\" appliesTo { principal: [User, ServiceAccount, Agent], resource: [Run] };",
    ),
];

struct Place {
    _folder: tempfile::TempDir,
    path: PathBuf,
    journal: Journal,
    chains: Chains,
    key: ExplorationKey,
    worker: Worker,
    runs: usize,
}

fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn principal(id: &str) -> Submitter {
    let principal =
        Principal { kind: PrincipalKind::Agent, id: id.parse().unwrap(), tenant: TenantPath::root() };
    Submitter { principal, authentication: Authentication::Local, token: None }
}

fn place(cap: u32) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let options = Options { clock: Arc::new(noon), projector: Arc::new(Projections), ..Options::default() };
    let journal = Journal::create(&path, options).unwrap();
    let learner = format!("modes: {{dev: {{exploration_rate: 5000, exploration_cap: {cap}}}}}");
    let files = BUNDLE.into_iter().chain([("data/cku/learner.yaml", learner.as_str())]);
    let bundle = Bundle::from_sources(Sources::from_files(files)).unwrap();
    let by = Submitter {
        principal: Principal { kind: PrincipalKind::User, ..principal("dana").principal },
        ..principal("dana")
    };
    let genesis = Genesis {
        admin: Admin { issuer: None, principal: by.principal.clone() },
        authentication: Authentication::Local,
        audience: "cku".to_owned(),
        keys: Vec::new(),
        bundles: [("gates".to_owned(), bundle.revision())].into(),
        control: Control::Files,
        directory: None,
        floor: Floor::default(),
    };
    found(&journal, &by, &genesis, &bundle, None).unwrap();
    Place {
        _folder: folder,
        key: ExplorationKey::beside(&path),
        path,
        journal,
        chains: Chains::default(),
        worker: Worker::new(Arc::new(bundle)),
        runs: 0,
    }
}

fn commit(number: usize) -> String {
    format!("{number:040x}")
}

fn submission(coverage: u32, risk: u32, base: Option<&str>) -> RunSubmission {
    let plan = format!(
        "intent: test it\nlabels: {{coverage: {coverage}, risk: {risk}}}\nsteps: [{{id: a, skill: command, with: {{argv: [ls]}}}}]"
    );
    let mut submission = PlanFile::read("plan.yaml", plan.as_bytes(), Limits::default()).unwrap().submission;
    submission.change.get_or_insert_default().base = base.map(str::to_owned);
    submission
}

impl Place {
    fn request(&mut self, by: &str, mode: &str, submission: RunSubmission) -> Run {
        self.runs += 1;
        let request = Request {
            id: format!("run-{}", self.runs),
            tenant: "acme/payments".parse().unwrap(),
            mode: mode.to_owned(),
            by: principal(by),
            submission,
            workspace: "/w".to_owned(),
            confined: true,
            time: noon(),
        };
        submit(&self.journal, request).unwrap()
    }

    /// Decides, checks that the kept input decides the same, and gives what is recorded.
    fn decide(&mut self, by: &str, mode: &str, submission: RunSubmission) -> Decided {
        let run = self.request(by, mode, submission);
        let beside = Beside { chains: &self.chains, exploration: Some(&self.key), reliability: None };
        let trying = (&mut self.worker, Trial::None);
        let gated = gate_trying(&self.journal, beside, trying, run, noon()).unwrap();
        let decided = gated.run.decided.clone().unwrap();
        let kept = self.journal.blob(&gated.run.tenant, &decided.input).unwrap().unwrap();
        let (kept, unknown) = DecisionInput::read(&serde_json::from_slice(&kept).unwrap()).unwrap();
        assert_eq!((unknown.len(), decided.replayable), (0, true));
        assert_eq!(decide(&mut self.worker, &kept, false).unwrap(), gated.decision, "replay");
        let explored = decided.exploration.as_ref().is_some_and(|opened| opened.explored);
        assert_eq!(explored, gated.decision.gates.iter().any(|gate| gate.explored.is_some()));
        assert_eq!(cku_runs::load(&self.journal, &gated.run.tenant, &gated.run.id).unwrap(), gated.run);
        decided
    }

    /// Decides over a run that only coverage of 75 % stands in the way of.
    fn thin(&mut self, by: &str, base: &str) -> Decided {
        self.decide(by, "dev", submission(7_500, 0, Some(base)))
    }
}

fn explored(decided: &Decided) -> bool {
    let opened = decided.exploration.as_ref().unwrap();
    assert_eq!((opened.gate.as_str(), opened.threshold.as_str()), ("quality", "min_coverage"));
    assert_eq!(opened.propensity.get(), 5_000);
    assert_eq!(decided.verdict, if opened.explored { Verdict::Pass } else { Verdict::Pause });
    opened.explored
}

/// The probability of at most `k` of `n` at one half, exactly.
fn at_most(k: u32, n: u32) -> f64 {
    let mut term = 0.5_f64.powi(i32::try_from(n).unwrap());
    (0..=k).fold(0.0, |sum, i| {
        let now = term;
        term *= f64::from(n - i) / f64::from(i + 1);
        sum + now
    })
}

#[test]
fn half_of_the_runs_that_are_open_go_ahead_and_each_says_why() {
    let mut place = place(10_000);
    let n = 300;
    let decided: Vec<Decided> = (0..n).map(|number| place.thin("coder", &commit(number))).collect();
    let n = u32::try_from(n).unwrap();
    let yes = u32::try_from(decided.iter().filter(|decided| explored(decided)).count()).unwrap();
    assert!(at_most(yes.min(n - yes), n) > 5e-10, "{yes} of {n}");
    let changes: BTreeSet<String> =
        decided.iter().map(|d| d.exploration.as_ref().unwrap().change.to_string()).collect();
    assert_eq!(changes.len(), decided.len(), "each is another change");
    assert!(decided.iter().all(|decided| decided.explorable.as_ref().unwrap().is_empty()));
    assert!(decided.iter().all(|decided| decided.observed["quality.min_coverage"] == 7_500));
    let gates = |explored: bool| {
        let decided = decided.iter().find(|d| d.exploration.as_ref().unwrap().explored == explored).unwrap();
        decided.decision["gates"][0].clone()
    };
    assert_eq!(gates(true)["explored"], json!({"threshold": "min_coverage", "propensity": 5000}));
    assert_eq!((&gates(true)["verdict"], &gates(true)["effective"]), (&json!("PAUSE"), &json!("PASS")));
    assert!(gates(false).get("explored").is_none());
    place.journal.verify_all().unwrap();
    let key = std::fs::read(format!("{}.exploration-key", place.path.display())).unwrap();
    drop(place.journal);
    for file in std::fs::read_dir(place.path.parent().unwrap()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let holds = bytes.windows(key.len()).any(|window| window == key);
        assert_eq!(holds, path.to_string_lossy().ends_with(".exploration-key"), "{}", path.display());
    }
    let options = Options { clock: Arc::new(noon), projector: Arc::new(Projections), ..Options::default() };
    Journal::rebuild(&place.path, &options).unwrap();
}

#[test]
fn whoever_submits_again_gets_the_same_answer_whatever_else_is_changed() {
    let mut place = place(10_000);
    let evidence = json!({
        "kind": "coverage", "format": "lcov", "tool": "lcov", "version": "1",
        "digest": cku_base::Digest::of(b"a report"), "data": {"lines": {"hit": 1, "total": 2}, "branches": null, "files": []},
    });
    for number in 0..12 {
        let base = commit(number);
        let first = place.thin("coder", &base);
        for again in 0..8_u32 {
            let mut changed = submission(7_500 + again, again, Some(&base));
            changed.intent = format!("try {again}");
            changed.labels.insert("try".to_owned(), json!(again));
            let change = changed.change.get_or_insert_default();
            change.head = Some(commit(999 + number));
            change.files.push(format!("src/{again}.rs"));
            if again % 2 == 1 {
                change.base = Some(base.to_uppercase());
            }
            if again == 7 {
                changed.evidence.push(serde_json::from_value(evidence.clone()).unwrap());
            }
            let decided = place.decide("coder", "dev", changed);
            assert_eq!(explored(&decided), explored(&first), "{number}, {again}");
            let (first, again) = (first.exploration.clone().unwrap(), decided.exploration.unwrap());
            assert_eq!((first.change, first.first, again.first), (again.change, true, false));
        }
    }
    // Another base commit, another principal and another gate are other draws: all of 40 alike is less
    // likely than one in a hundred thousand million.
    let of = |place: &mut Place, by: &str, number| explored(&place.thin(by, &commit(number)));
    let bases: BTreeSet<bool> = (0..40).map(|number| of(&mut place, "coder", number)).collect();
    let people: BTreeSet<bool> = (0..40).map(|n| of(&mut place, &format!("coder-{n}"), 0)).collect();
    assert_eq!((bases.len(), people.len()), (2, 2));
    let differ = (0..40).any(|number| {
        let risky = place.decide("coder", "dev", submission(9_000, 7_100, Some(&commit(number))));
        let opened = risky.exploration.unwrap();
        assert_eq!(opened.gate, "operations");
        opened.explored != of(&mut place, "coder", number)
    });
    assert!(differ, "the gates draw apart");
}

#[test]
fn a_principal_is_let_through_no_more_often_than_the_cap_says() {
    let mut place = place(3);
    let mut let_through = 0;
    let mut number = 0;
    while let_through < 3 {
        let_through += usize::from(explored(&place.thin("coder", &commit(number))));
        number += 1;
    }
    for number in 0..number + 20 {
        let decided = place.thin("coder", &commit(number));
        assert_eq!((decided.verdict, &decided.exploration), (Verdict::Pause, &None), "the cap is spent");
    }
    let passed = place.decide("coder", "dev", submission(9_000, 0, Some(&commit(1))));
    let explorable: Vec<String> = passed.explorable.unwrap().into_keys().collect();
    assert_eq!(explorable, ["operations.max_risk"], "of the other threshold nothing is spent");
    let passed = place.decide("other", "dev", submission(9_000, 0, Some(&commit(1))));
    assert_eq!(passed.explorable.unwrap().len(), 2, "nor by another principal");
    let others = (0..20).filter(|number| explored(&place.thin("other", &commit(*number)))).take(3).count();
    assert_eq!(others, 3);
    place.journal.verify_all().unwrap();
}

impl Place {
    /// Decides over all of these at once, each with gates of its own.
    fn at_once(&mut self, submissions: impl IntoIterator<Item = RunSubmission>) -> Vec<Decided> {
        let runs: Vec<Run> =
            submissions.into_iter().map(|submission| self.request("coder", "dev", submission)).collect();
        let (journal, chains, key) = (&self.journal, &self.chains, &self.key);
        let (bundle, together) = (self.worker.bundle(), Barrier::new(runs.len()));
        let decide = |run| {
            let mut worker = Worker::new(bundle.clone());
            together.wait();
            let beside = Beside { chains, exploration: Some(key), reliability: None };
            let gated = gate_trying(journal, beside, (&mut worker, Trial::None), run, noon()).unwrap();
            gated.run.decided.unwrap()
        };
        let decide = &decide;
        std::thread::scope(|scope| {
            let deciding: Vec<_> = runs.into_iter().map(|run| scope.spawn(move || decide(run))).collect();
            deciding.into_iter().map(|decided| decided.join().unwrap()).collect()
        })
    }
}

#[test]
fn of_those_who_are_decided_on_at_once_one_is_the_first_under_a_draw() {
    let mut place = place(10_000);
    for number in 0..6 {
        let base = commit(number);
        // Half of them pass by themselves: they speak as a sample only as long as nobody saw the draw.
        let coverage = |at: u32| if at.is_multiple_of(2) { 7_500 } else { 9_000 };
        let decided = place.at_once((0..12).map(|at| submission(coverage(at), 0, Some(&base))));
        let opened = decided.iter().filter_map(|decided| decided.exploration.as_ref());
        let firsts = opened.clone().filter(|opened| opened.first).count();
        assert_eq!((opened.clone().count(), firsts), (6, 1), "{number}");
        let answers: BTreeSet<bool> = opened.map(|opened| opened.explored).collect();
        assert_eq!(answers.len(), 1, "and all get one answer");
        // In the order of the journal, no run that passed speaks for the threshold after the first.
        let mut seen = false;
        for entry in place.journal.read(&"acme/payments".parse().unwrap(), 0, 1_000).unwrap() {
            let Ok(Some(Event::Decided(decided))) = Event::of(&entry) else { continue };
            let run = entry.subject().unwrap().strip_prefix("run:").unwrap().to_owned();
            let of = cku_runs::load(&place.journal, &entry.header.tenant, &run).unwrap();
            if of.submission.change.unwrap().base.as_deref() != Some(&base) {
                continue;
            }
            seen |= decided.exploration.is_some_and(|opened| opened.first);
            let speaks = decided.explorable.is_some_and(|all| all.contains_key("quality.min_coverage"));
            assert!(!(seen && speaks), "{number}: {run}");
        }
    }
    place.journal.verify_all().unwrap();
}

#[test]
fn those_who_are_decided_on_at_once_do_not_overshoot_the_cap() {
    let mut place = place(3);
    let mut let_through = 0;
    for round in 0..4 {
        let decided = place.at_once((0..12).map(|at| submission(7_500, 0, Some(&commit(12 * round + at)))));
        let_through += decided.iter().filter(|decided| decided.verdict == Verdict::Pass).count();
        assert!(let_through <= 3, "{let_through} after round {round}");
    }
    assert_eq!(let_through, 3);
    place.journal.verify_all().unwrap();
}

#[test]
fn what_is_recorded_of_runs_that_were_not_open() {
    let mut place = place(100);
    let base = commit(7);
    let passed = place.decide("coder", "dev", submission(8_000, 0, Some(&base)));
    let explorable = passed.explorable.unwrap();
    let named: Vec<(&str, u32)> = explorable.iter().map(|(name, p)| (name.as_str(), p.get())).collect();
    assert_eq!(named, [("operations.max_risk", 5_000), ("quality.min_coverage", 5_000)]);
    assert_eq!(passed.exploration, None);
    for (what, base) in
        [("none", None), ("abbreviated", Some(&base[33..])), ("a branch", Some("main")), ("empty", Some(""))]
    {
        for number in 0..3 {
            let decided = place.decide("coder", "dev", submission(7_500 + number, 0, base));
            assert_eq!((decided.verdict, decided.exploration), (Verdict::Pause, None), "base: {what}");
        }
        let passed = place.decide("coder", "dev", submission(8_000, 0, base));
        assert_eq!(passed.explorable.unwrap().len(), 0, "base: {what}");
    }
    let open = place.thin("coder", &base);
    assert!(open.exploration.unwrap().first, "a run that passed tells nobody what was drawn");
    let passed = place.decide("coder", "dev", submission(8_000, 0, Some(&base)));
    let explorable: Vec<String> = passed.explorable.unwrap().into_keys().collect();
    assert_eq!(explorable, ["operations.max_risk"], "the draw of `quality` is known");
    let both = place.decide("coder", "dev", submission(7_500, 7_100, Some(&base)));
    assert_eq!((both.verdict, both.exploration), (Verdict::Pause, None), "two gates");
    for coverage in [7_500, 8_000] {
        let prod = place.decide("coder", "prod", submission(coverage, 0, Some(&base)));
        assert_eq!((prod.exploration, prod.explorable), (None, None), "prod does not explore");
    }
}

#[test]
fn a_canary_and_whoever_has_no_key_explore_nothing() {
    let mut place = place(100);
    for number in 0..20 {
        let run = place.request("coder", "dev", submission(7_500, 0, Some(&commit(number))));
        let gated = cku_runs::gate(&place.journal, &place.chains, &mut place.worker, run, noon()).unwrap();
        let decided = gated.run.decided.unwrap();
        assert_eq!((decided.verdict, decided.exploration, decided.explorable), (Verdict::Pause, None, None));
    }
    assert!(!PathBuf::from(format!("{}.exploration-key", place.path.display())).exists());
    for number in 0..20 {
        let run = place.request("coder", "dev", submission(7_500, 0, Some(&commit(number))));
        let beside = Beside { chains: &place.chains, exploration: Some(&place.key), reliability: None };
        let trying = (&mut place.worker, Trial::Canary(cku_base::Digest::of(b"diff")));
        let gated = gate_trying(&place.journal, beside, trying, run, noon()).unwrap();
        assert_eq!(gated.decision.verdict, Verdict::Pause);
        assert_eq!(gated.input.state.exploration, None);
    }
    // A key that cannot be had is as none.
    place.key = ExplorationKey::at(place.path.with_file_name("no/such/key"));
    let decided = place.thin("coder", &commit(1));
    assert_eq!((decided.verdict, decided.exploration, decided.explorable), (Verdict::Pause, None, None));
}

#[test]
fn a_submission_that_brings_a_draw_of_its_own_gets_none() {
    let mut place = place(100);
    let draw = json!([{"gate": "quality", "threshold": "min_coverage", "propensity": 5000, "drawn": true}]);
    for number in 0..20 {
        let plain = submission(7_500, 0, Some(&commit(number)));
        let mut document = serde_json::to_value(&plain).unwrap();
        document["state"] = json!({"exploration": draw});
        document["exploration"] = draw.clone();
        document["change"]["exploration"] = draw.clone();
        let (read, mut unknown) = read_submission(&document).unwrap();
        unknown.sort();
        assert_eq!(unknown, ["change.exploration", "exploration", "state"]);
        assert_eq!(read, plain);
        let mut labelled = plain.clone();
        labelled.labels.insert("exploration".to_owned(), draw.clone());
        labelled.labels.insert("state".to_owned(), json!({"exploration": draw}));
        let answers =
            [read, labelled, plain].map(|submission| explored(&place.decide("coder", "dev", submission)));
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    }
    let nothing = submission(7_500, 0, None);
    let mut document = serde_json::to_value(&nothing).unwrap();
    document["state"] = json!({"exploration": draw});
    let (read, _) = read_submission(&document).unwrap();
    assert_eq!(place.decide("coder", "dev", read).verdict, Verdict::Pause);
}
