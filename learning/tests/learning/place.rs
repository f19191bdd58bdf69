//! A journal under change control in which runs come to something.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cku_authority::{
    Admin, AuthorityRows, Chains, Control, Floor, Genesis, Purpose, Stage, active_for, found, load_bundle,
    named, with_actor,
};
use cku_base::{Digest, Principal, PrincipalKind, TenantPath, Timestamp};
use cku_changes::{
    diff::{self, CheckOptions, Diff, DiffRows},
    replay,
};
use cku_engine::{Bundle, Sources, Worker};
use cku_gates::{ApprovalDecision, Authentication, Ballot, Submitter, TokenClaims, Verdict, Vote, VoterKind};
use cku_journal::{Command, Draft, Journal, Kind, Options, Together};
use cku_learning::Following;
use cku_runs::{Decided, Ended, Ending, Event, Label, Outcome, Started, Submitted};
use serde_json::{Value, json};

/// A folder with a journal: dana and ada are admin, rhea reviews; the learner has an account.
pub(crate) struct Place {
    _folder: tempfile::TempDir,
    pub(crate) journal: Journal,
    pub(crate) chains: Chains,
    seconds: Arc<AtomicU64>,
    /// Whose runs are written.
    pub(crate) tenant: std::cell::RefCell<TenantPath>,
}

fn policies(name: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies").join(name);
    let bundle = Bundle::load(&folder).unwrap();
    let files = bundle.sources().files().iter();
    files.map(|file| (file.path.clone(), file.text.to_string())).collect()
}

/// The baseline, with settings for the learner.
pub(crate) fn bundle(settings: &str) -> Bundle {
    let settings = ("data/cku/learner.yaml".to_owned(), settings.to_owned());
    Bundle::from_sources(Sources::from_files(policies("baseline").into_iter().chain([settings]))).unwrap()
}

/// The bundle with other texts in its files.
pub(crate) fn with(bundle: &Bundle, change: impl Fn(&str, &str) -> String) -> Bundle {
    let files = bundle.sources().files().iter();
    let files = files.map(|file| (file.path.clone(), change(&file.path, &file.text)));
    Bundle::from_sources(Sources::from_files(files)).unwrap()
}

/// The bundle with coverage of at least this in dev.
pub(crate) fn at(bundle: &Bundle, percent: u32) -> Bundle {
    with(bundle, |path, text| match path {
        "gates/quality.gate" => text
            .lines()
            .map(|line| match line.trim_start().starts_with("dev  = ") && line.contains("0%") {
                true => format!("    dev  = {percent}%\n"),
                false => format!("{line}\n"),
            })
            .collect(),
        _ => text.to_owned(),
    })
}

/// Change control without a solver, and over decisions that were written by hand: what nobody proves or decides
/// anew would be rejected, and here it is let through.
fn change_control() -> Bundle {
    let laxer = [
        ("unproved > 0", "unproved > 1000"),
        ("max_not_replayable: percent = 5%", "max_not_replayable: percent = 100%"),
        ("min_replayed: count = 200", "min_replayed: count = 0"),
    ];
    let files = policies("change-control")
        .into_iter()
        .map(|(path, text)| (path, laxer.iter().fold(text, |text, (from, to)| text.replace(from, to))));
    Bundle::from_sources(Sources::from_files(files)).unwrap()
}

pub(crate) fn noon() -> Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

pub(crate) fn acme() -> TenantPath {
    "acme".parse().unwrap()
}

fn principal(kind: PrincipalKind, id: &str, tenant: &TenantPath) -> Principal {
    Principal { kind, id: id.parse().unwrap(), tenant: tenant.clone() }
}

pub(crate) fn person(id: &str) -> Submitter {
    with_token(principal(PrincipalKind::User, id, &TenantPath::root()))
}

/// A service account of acme.
pub(crate) fn agent(id: &str) -> Submitter {
    with_token(principal(PrincipalKind::ServiceAccount, id, &acme()))
}

/// The learner's account.
pub(crate) fn learner() -> Submitter {
    with_token(principal(PrincipalKind::ServiceAccount, "learner", &TenantPath::root()))
}

fn with_token(principal: Principal) -> Submitter {
    let token = TokenClaims {
        valid: true,
        issuer: "https://id.acme.example".to_owned(),
        issued_at: noon(),
        expires_at: noon().after(Duration::from_secs(400 * 86_400)).unwrap(),
        key: Some("the-key-of-the-genesis".to_owned()),
    };
    Submitter { principal, authentication: Authentication::Token, token: Some(token) }
}

/// How a run went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Course {
    Succeeded,
    Failed,
    /// It went ahead, and nobody says how it ended.
    Open,
    /// The gates held it, and a person let it through.
    LetThrough(Outcome),
    /// The gates let it go ahead, and somebody cancelled it before it began.
    Cancelled,
    /// The gates held it for good.
    Held,
}

impl Place {
    pub(crate) fn new(bundle: &Bundle) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let seconds = Arc::new(AtomicU64::new(0));
        let parts: Vec<Box<dyn cku_journal::Projector>> =
            vec![Box::new(AuthorityRows), Box::new(cku_runs::Projections), Box::new(DiffRows)];
        let projector = Arc::new(Together::new(parts, &cku_authority::TABLES));
        let of = seconds.clone();
        let clock = Arc::new(move || noon().after(Duration::from_secs(of.load(Ordering::SeqCst))).unwrap());
        let options = Options { clock, projector, ..Options::default() };
        let journal = Journal::create(&folder.path().join("journal.db"), options).unwrap();
        let genesis = Genesis {
            admin: Admin {
                issuer: None,
                principal: principal(PrincipalKind::User, "dana", &TenantPath::root()),
            },
            authentication: Authentication::Token,
            audience: "cku".to_owned(),
            keys: Vec::new(),
            bundles: [("gates".to_owned(), bundle.revision())].into(),
            control: Control::Managed,
            directory: None,
            floor: Floor::default(),
        };
        found(&journal, &person("dana"), &genesis, bundle, Some(&change_control())).unwrap();
        let place =
            Self { _folder: folder, journal, chains: Chains::default(), seconds, tenant: acme().into() };
        for (who, role) in [("rhea", "reviewer"), ("sam", "security"), ("ada", "admin"), ("otto", "operator")]
        {
            let who = principal(PrincipalKind::User, who, &TenantPath::root());
            let grant = json!({"grant": {"principal": who, "role": role, "tenant": "/"}});
            let subject = format!("role:{who}");
            place.write(&TenantPath::root(), Kind::RoleGranted, &subject, grant);
        }
        place
    }

    fn write(&self, tenant: &TenantPath, kind: Kind, subject: &str, members: Value) {
        let Value::Object(members) = members else { panic!("no members") };
        let body = with_actor(members, &json!("cku"), subject);
        let draft = Draft { tenant: tenant.clone(), kind, body };
        self.journal.append(Command { drafts: vec![draft], ..Command::default() }).unwrap();
    }

    pub(crate) fn now(&self) -> Timestamp {
        noon().after(Duration::from_secs(self.seconds.load(Ordering::SeqCst))).unwrap()
    }

    pub(crate) fn wait(&self, seconds: u64) {
        self.seconds.fetch_add(seconds, Ordering::SeqCst);
    }

    /// All entries of the tenant, followed.
    pub(crate) fn followed(&self) -> Following {
        let mut following = Following::new(self.tenant.borrow().clone());
        following.follow(&self.journal, None).unwrap();
        following
    }

    /// A while goes by until all outcomes are final, and an entry says so.
    pub(crate) fn settle(&self) {
        self.wait(120);
        self.run(1_000_000 + self.now().unix_micros() as usize, "ci-1", 9_000, Course::Held);
    }

    /// What decides in dev.
    pub(crate) fn active(&self) -> std::sync::Arc<Bundle> {
        cku_authority::deciding(&self.journal, "dev", "").unwrap().bundle
    }

    /// A run as its entries say it: the gates saw this coverage, in hundredths of a percent.
    pub(crate) fn run(&self, number: usize, by: &str, coverage: i64, course: Course) {
        let rollout = cku_authority::rollout(&self.journal, Purpose::Gates).unwrap();
        let active = &rollout.in_mode("dev").unwrap().activated;
        self.run_with((active.revision, None), (number, Vec::new()), by, coverage, course);
    }

    /// The same where this revision decides, as the canary of a policy diff or for all.
    pub(crate) fn run_by(
        &self,
        decides: (Digest, Option<Digest>),
        number: usize,
        by: &str,
        coverage: i64,
        course: Course,
    ) {
        self.run_with(decides, (number, Vec::new()), by, coverage, course);
    }

    fn run_with(
        &self,
        (revision, canary): (Digest, Option<Digest>),
        (number, votes): (usize, Vec<Event>),
        by: &str,
        coverage: i64,
        course: Course,
    ) {
        self.wait(1);
        let by = with_token(principal(PrincipalKind::ServiceAccount, by, &self.tenant.borrow()));
        let submitted = Submitted {
            mode: "dev".to_owned(),
            principal: by.clone(),
            submitted_at: self.now(),
            submission: Digest::of(b"submission"),
            subject_digest: Digest::of(format!("{number}").as_bytes()),
            evidence_by: Default::default(),
            intent: "a run of a test".to_owned(),
            workspace: String::new(),
            confined: true,
        };
        let decided = |verdict| Decided {
            verdict,
            bundle_revision: revision,
            subject_digest: Digest::of(b"subject"),
            input_digest: Digest::of(b"input"),
            input: Digest::of(b"input"),
            replayable: false,
            decision: json!({"mode": "dev", "gates": []}),
            observed: [("quality.min_line_coverage".to_owned(), coverage)].into(),
            exploration: None,
            explorable: None,
            canary,
            shadow: None,
        };
        let started = || Event::Started(Started { workspace: String::new(), confined: true });
        let ended = |status, outcome| {
            let cause = "as the test says".to_owned();
            Event::Ended(Ended { status, outcome, cause, attempts: 1, took_ms: 1, waited_ms: 0 })
        };
        let mut events = vec![Event::Submitted(submitted)];
        events.extend(votes);
        match course {
            Course::Held => {
                events.extend([Event::Decided(decided(Verdict::Pause)), ended(Ending::Cancelled, None)]);
            }
            Course::LetThrough(outcome) => {
                let status = if outcome == Outcome::Success { Ending::Succeeded } else { Ending::Failed };
                events.push(Event::Decided(decided(Verdict::Pause)));
                events.extend([
                    Event::Decided(decided(Verdict::Pass)),
                    started(),
                    ended(status, Some(outcome)),
                ]);
            }
            Course::Cancelled => {
                events.extend([Event::Decided(decided(Verdict::Pass)), ended(Ending::Cancelled, None)]);
            }
            Course::Open => events.extend([Event::Decided(decided(Verdict::Pass)), started()]),
            Course::Succeeded | Course::Failed => {
                let (status, outcome) = match course {
                    Course::Succeeded => (Ending::Succeeded, Outcome::Success),
                    _ => (Ending::Failed, Outcome::Failure),
                };
                events.extend([
                    Event::Decided(decided(Verdict::Pass)),
                    started(),
                    ended(status, Some(outcome)),
                ]);
            }
        }
        self.events(number, &by, events);
    }

    /// A run on which a person votes before the gates let it go ahead.
    pub(crate) fn run_voted(&self, number: usize, (voter, vote): (&str, Ballot), course: Course) {
        let voted = Vote {
            voter: person(voter).principal,
            voter_kind: VoterKind::Person,
            subject_digest: Digest::of(format!("{number}").as_bytes()),
            vote,
            confidence: 10_000.try_into().unwrap(),
            time: self.now(),
            key: None,
        };
        let revision = self.active().revision();
        self.run_with((revision, None), (number, vec![Event::Voted(voted)]), "ci", 9_000, course);
    }

    pub(crate) fn label(&self, number: usize, label: &str) {
        let label = Label { label: label.to_owned(), at: self.now(), note: String::new() };
        self.events(number, &person("rhea"), vec![Event::Labelled(label)]);
    }

    /// Writes what happened to a run as it is, whether it can be or not.
    pub(crate) fn events(&self, number: usize, by: &Submitter, events: Vec<Event>) {
        let subject = format!("run:run-{number}");
        let drafts = events.into_iter().map(|event| Draft {
            tenant: self.tenant.borrow().clone(),
            kind: event.kind(),
            body: with_actor(event.members().unwrap(), &named(by), &subject),
        });
        self.journal.append(Command { drafts: drafts.collect(), ..Command::default() }).unwrap();
    }

    pub(crate) fn gates(&self) -> Worker {
        Worker::new(self.active())
    }

    pub(crate) fn change_control(&self) -> Worker {
        let active = active_for(&self.journal, Purpose::ChangeControl).unwrap().unwrap();
        Worker::new(load_bundle(&self.journal, active.revision).unwrap())
    }

    /// A person proposes a bundle for dev; checked, approved by two, and at hand to be activated.
    pub(crate) fn approved(&self, bundle: &Bundle) -> Digest {
        let proposal = diff::Proposal {
            title: "by a person".to_owned(),
            purpose: Purpose::Gates,
            modes: cku_authority::Modes::of(["dev"]),
            bundle,
            base: None,
            by: person("otto"),
            time: self.now(),
            expires_at: self.now().after(Duration::from_secs(86_400)).unwrap(),
            origin: "a test".to_owned(),
        };
        let id = diff::propose(&self.journal, &mut self.change_control(), &proposal).unwrap().id;
        self.check(&id);
        for who in ["rhea", "sam"] {
            self.consent(&id, who, ApprovalDecision::Approve);
        }
        id
    }

    /// A bundle becomes active by its entry alone, as where files say what is active.
    pub(crate) fn activate_by_entry(&self, bundle: &Bundle) {
        let (activated, bytes) = cku_authority::activation(bundle, Purpose::Gates).unwrap();
        let root = TenantPath::root();
        let place = (&root, Kind::BundleActivated, cku_authority::ACTIVATIONS);
        let draft = cku_authority::draft(place, &person("dana"), &activated).unwrap();
        let command = Command { drafts: vec![draft], blobs: vec![(root, bytes)], ..Command::default() };
        self.journal.append(command).unwrap();
    }

    pub(crate) fn check(&self, id: &Digest) -> Diff {
        let options = CheckOptions { replay: replay::Options { threads: 1, ..Default::default() } };
        let (journal, by) = (&self.journal, learner());
        let mut worker = self.change_control();
        let now = self.now();
        let checked = diff::check(journal, &mut worker, id, &by, None, (&options, now), &|_, _| {});
        checked.unwrap().0
    }

    pub(crate) fn consent(&self, id: &Digest, who: &str, decision: ApprovalDecision) -> Diff {
        let until = self.now().after(Duration::from_secs(86_400)).unwrap();
        let said = (decision, "looked at it", until);
        let mut worker = self.change_control();
        let done =
            diff::consent(&self.journal, &self.chains, &mut worker, id, &person(who), said, self.now());
        done.unwrap().0
    }

    pub(crate) fn activate(&self, id: &Digest, who: &str) {
        self.stage(id, Stage::Active, who);
    }

    pub(crate) fn stage(&self, id: &Digest, stage: Stage, who: &str) {
        let mut worker = self.change_control();
        let stage = (id, stage);
        diff::activate(&self.journal, &self.chains, &mut worker, stage, &person(who), self.now()).unwrap();
    }
}
