//! `cku learn simulate`: the whole way, from outcomes to a diff that people approve and take back.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cku_auth::{Claims, SigningKey, Trust, TrustedKey, verify};
use cku_authority::{
    Admin, Chains, Control, Floor, Genesis, Purpose, Stage, active_for, change_role, found_at, load_bundle,
    submitter,
};
use cku_base::{Digest, Principal, PrincipalKind, TenantPath, Timestamp};
use cku_changes::diff;
use cku_engine::{Bundle, Sources, Worker, access::RoleGrant};
use cku_gates::{ApprovalDecision, Authentication, Submitter, Verdict, read_submission};
use cku_journal::{Journal, Options};
use cku_learning::{Following, TrackRecords};
use cku_runs::{Beside, Command, Execution, Gated, Label, Request, Run};
use cku_skills::{Cancel, Launcher, Workspace};
use serde_json::{Value, json};

use crate::{
    commands::diff::{change_control, check::How},
    exit::Exit,
    journal, load, output,
    render::{foreign, style},
};

const ISSUER: &str = "https://id.acme.example";
const THRESHOLD: &str = "quality.min_line_coverage";

/// Outcomes are final after six hours, so that a few hundred runs tell something.
const SETTINGS: &str = "
defaults: { maturity_seconds: 21600, cool_down: 20, left_out: 1 }
thresholds:
  quality.min_line_coverage: { epsilon: 0.05, delta: 0.01, window: 2000 }
";

/// A budget that the simulated incidents do not spend: the learner is to be seen, and not the gate that would
/// stop everything before.
const BUDGET: (&str, &str) =
    ("data/cku/settings/error_budget.yaml", "objective: 1000\nwindow: 30d\nminimum_runs: 10\n");

/// Show the whole way in a journal of its own: runs go through the gates and are carried out, outcomes raise a
/// proposal, two people approve it, it becomes active, decisions change, it is taken back, and its evidence is
/// computed again.
///
/// Runs, decisions, entries and approvals are real; time goes by faster, and which changes turn out badly
/// is drawn from a seed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What happens: changes with little coverage begin to fail after sixty runs, or nothing does.
    #[arg(long, value_enum, default_value = "shift")]
    world: World,

    /// How many runs at most.
    #[arg(long, value_name = "NUMBER", default_value = "600", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,

    /// The seed of what turns out badly.
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    seed: u64,

    /// Keep the journal in this folder, which must not be there.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,

    #[command(flatten)]
    how: How,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum World {
    /// From the sixtieth run on, changes with little coverage fail often.
    Shift,
    /// Few changes fail, whatever their coverage.
    Steady,
}

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Whether something of a probability in ten-thousandths happens.
    fn happens(&mut self, points: u64) -> bool {
        self.next() % 10_000 < points
    }
}

/// A journal in which time goes by as it is told to.
struct Simulated {
    journal: Journal,
    chains: Chains,
    records: TrackRecords,
    workspace: Workspace,
    launcher: Launcher,
    key: SigningKey,
    trust: Trust,
    seconds: Arc<AtomicU64>,
    begun: Timestamp,
}

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    let temporary =
        tempfile::tempdir().map_err(|e| journal::failed(&format!("no folder can be made: {e}")))?;
    let folder = match &args.keep {
        Some(folder) => {
            std::fs::create_dir(folder)
                .map_err(|e| journal::refuse(&format!("--keep {}: {e}", folder.display())))?;
            folder.as_path()
        }
        None => temporary.path(),
    };
    let simulated = Simulated::make(folder)?;
    say(format_args!("a journal under change control, with the baseline: {} in dev is 60 %", THRESHOLD))?;
    let mut draw = Draw(args.seed);
    let mut following = Following::new(simulated.tenant());
    let mut done = 0;
    let raised = loop {
        if done == args.runs {
            break None;
        }
        let coverage = 60 + draw.next() % 38;
        let fails = match args.world {
            World::Shift if done >= 60 && coverage < 75 => 6_000,
            _ => 150,
        };
        let bad = draw.happens(fails);
        let run = simulated.submit(done, coverage)?;
        done += 1;
        if let Some(run) = simulated.carry_out(run)?
            && bad
        {
            simulated.incident(&run)?;
        }
        if done.is_multiple_of(10) {
            following.follow(&simulated.journal, None).map_err(|e| journal::failed(&e))?;
            if let Some(raised) = following.to_propose().next() {
                break Some(raised.clone());
            }
        }
    };
    let Some(raised) = raised else {
        say(format_args!("{done} runs went through the gates, and outcomes raise nothing"))?;
        intact(&simulated)?;
        return Ok(Exit::Pass);
    };
    let (from, to) = (raised.evidence.from / 100, raised.evidence.to / 100);
    say(format_args!(
        "{done} runs went through the gates; their outcomes raise: {THRESHOLD} from {from} % to {to} %"
    ))?;
    say(format_args!(
        "the evidence is {} of {} that are needed, whichever source is left out",
        whole(&raised.evidence.detectors.least),
        whole(&raised.evidence.detectors.tighten_level)
    ))?;
    let between = u64::try_from((from + to) / 2).unwrap_or(0);
    let before = simulated.decide(done, between)?;
    let id = simulated.propose(&raised, &args.how)?;
    say(format_args!("the learner proposed {id}"))?;
    for who in ["rhea@acme.example", "sam@acme.example"] {
        simulated.approve(&id, who)?;
        say(format_args!("{who} approved it"))?;
    }
    simulated.activate(&id)?;
    let after = simulated.decide(done + 1, between)?;
    say(format_args!(
        "it is active: a change with {between} % coverage was {}, and is {} now",
        before.as_str(),
        after.as_str()
    ))?;
    simulated.roll_back(&id)?;
    let back = simulated.decide(done + 2, between)?;
    say(format_args!("dana took it back: the same change is {} again", back.as_str()))?;
    let again = cku_learning::verify(&simulated.journal, &id).map_err(|e| journal::failed(&e))?;
    let digest = again.digest().map_err(|e| journal::failed(&e))?;
    say(format_args!(
        "its evidence, computed again from the first entry on, is the same, bit for bit: {digest}"
    ))?;
    intact(&simulated)?;
    let changed = (before, after, back) == (Verdict::Pass, Verdict::Pause, Verdict::Pass);
    if !changed {
        output::problem("the decisions did not change as they should have");
        return Err(Exit::Internal);
    }
    Ok(Exit::Pass)
}

fn say(text: std::fmt::Arguments<'_>) -> Result<(), Exit> {
    let dim = style::DIM;
    output::result(format_args!("{dim}·{dim:#} {}\n", foreign(&text.to_string())))
}

/// A number of the evidence, which is written to its last bit, as people read it.
fn whole(number: &str) -> String {
    number.parse::<f64>().map_or_else(|_| number.to_owned(), |number| format!("{number:.0}"))
}

fn intact(simulated: &Simulated) -> Result<(), Exit> {
    let verified = simulated.journal.verify_all().map_err(|e| journal::failed(&e))?;
    let entries: u64 = verified.iter().map(|chain| chain.to).sum();
    say(format_args!("the journal is intact: {entries} entries in {} chains", verified.len()))
}

fn failed(error: impl std::fmt::Display) -> Exit {
    journal::failed(&error)
}

impl Simulated {
    fn make(folder: &Path) -> Result<Self, Exit> {
        let begun = journal::now();
        let seconds = Arc::new(AtomicU64::new(0));
        let of = seconds.clone();
        let clock = move || begun.after(Duration::from_secs(of.load(Ordering::SeqCst))).unwrap_or(begun);
        let key = SigningKey::from_seed(Digest::of(begun.to_string().as_bytes()).as_bytes());
        let kinds = [PrincipalKind::User, PrincipalKind::ServiceAccount];
        let trusted = TrustedKey::new(key.public_key(), ISSUER, TenantPath::root(), kinds);
        let settings = [("data/cku/learner.yaml", SETTINGS), BUDGET];
        let others = load::BASELINE.iter().copied().filter(|(path, _)| *path != BUDGET.0);
        let files = others.chain(settings);
        let bundle = Bundle::from_sources(Sources::from_files(files)).map_err(|_| failed("the baseline"))?;
        let changes = load::CHANGE_CONTROL.iter().copied();
        let changes =
            Bundle::from_sources(Sources::from_files(changes)).map_err(|_| failed("change control"))?;
        let dana = principal(PrincipalKind::User, "dana@acme.example", &TenantPath::root())?;
        let genesis = Genesis {
            admin: Admin { issuer: Some(ISSUER.to_owned()), principal: dana.clone() },
            authentication: Authentication::Token,
            audience: "cku".to_owned(),
            keys: vec![serde_json::to_value(&trusted).map_err(failed)?],
            bundles: [("gates".to_owned(), bundle.revision())].into(),
            control: Control::Managed,
            directory: None,
            floor: Floor::default(),
        };
        let options = Options { clock: Arc::new(clock), ..journal::options() };
        let by = Submitter { principal: dana, authentication: Authentication::Token, token: None };
        let path = folder.join("journal.db");
        let journal = found_at(&path, options, &by, &genesis, &bundle, Some(&changes)).map_err(failed)?;
        let work = folder.join("work");
        std::fs::create_dir(&work).map_err(failed)?;
        let workspace = Workspace::open(&work, &folder.join("backups"))
            .and_then(|workspace| workspace.beside(journal.path()))
            .map_err(failed)?;
        let program = std::env::current_exe().map_err(failed)?;
        let launcher =
            Launcher { program, arguments: vec![crate::commands::run::SUPERVISE.into()], unconfined: false };
        let trust = Trust::new(vec![trusted], "cku").map_err(failed)?;
        let simulated = Self {
            journal,
            chains: Chains::default(),
            records: TrackRecords::default(),
            workspace,
            launcher,
            key,
            trust,
            seconds,
            begun,
        };
        for (who, role) in [("rhea@acme.example", "reviewer"), ("sam@acme.example", "security")] {
            let principal = principal(PrincipalKind::User, who, &TenantPath::root())?;
            let grant = RoleGrant { principal, role: role.to_owned(), tenant: TenantPath::root() };
            let mut worker = simulated.gates()?;
            change_role(
                &simulated.journal,
                &mut worker,
                &simulated.person("dana@acme.example")?,
                &grant,
                true,
            )
            .map_err(failed)?;
        }
        Ok(simulated)
    }

    fn tenant(&self) -> TenantPath {
        "acme/payments".parse().unwrap_or_else(|_| TenantPath::root())
    }

    fn now(&self) -> Timestamp {
        let gone = Duration::from_secs(self.seconds.load(Ordering::SeqCst));
        self.begun.after(gone).unwrap_or(self.begun)
    }

    /// An hour goes by.
    fn wait(&self) {
        self.seconds.fetch_add(3_600, Ordering::SeqCst);
    }

    /// Somebody, by a token that is signed and verified.
    fn token(&self, kind: PrincipalKind, id: &str, tenant: &TenantPath) -> Result<Submitter, Exit> {
        let now = self.now();
        let token = self.key.token(&Claims {
            issuer: ISSUER.to_owned(),
            audience: "cku".to_owned(),
            principal: principal(kind, id, tenant)?,
            token_id: None,
            issued_at: now,
            expires_at: now.after(Duration::from_secs(600)).unwrap_or(now),
        });
        verify(&token, &self.trust, now).map(submitter).map_err(failed)
    }

    fn person(&self, id: &str) -> Result<Submitter, Exit> {
        self.token(PrincipalKind::User, id, &TenantPath::root())
    }

    fn gates(&self) -> Result<Worker, Exit> {
        let active = active_for(&self.journal, Purpose::Gates).map_err(failed)?;
        let active = active.ok_or_else(|| failed("nothing is active"))?;
        load_bundle(&self.journal, active.revision).map(Worker::new).map_err(failed)
    }

    /// The worker of what decides in dev.
    fn dev(&self) -> Result<Worker, Exit> {
        cku_authority::deciding(&self.journal, "dev", "").map(|d| Worker::new(d.bundle)).map_err(failed)
    }

    fn submit(&self, number: u32, coverage: u64) -> Result<Run, Exit> {
        self.wait();
        let by = self.token(
            PrincipalKind::ServiceAccount,
            &format!("ci-{}@acme.example", number % 4),
            &self.tenant(),
        )?;
        let (submission, _) = read_submission(&submission(number, coverage)).map_err(failed)?;
        let request = Request {
            id: cku_runs::run_id(
                self.now(),
                Digest::of(&number.to_be_bytes()).as_bytes()[..10].try_into().map_err(failed)?,
            ),
            tenant: self.tenant(),
            mode: "dev".to_owned(),
            by,
            submission,
            workspace: self.workspace.root().display().to_string(),
            confined: true,
            time: self.now(),
        };
        cku_runs::submit(&self.journal, request).map_err(failed)
    }

    /// What the gates say of a run.
    fn gate(&self, worker: &mut Worker, run: Run) -> Result<Gated, Exit> {
        self.records.refresh(&self.journal).map_err(failed)?;
        let reliability = self.records.given(&self.journal, worker.bundle(), &run.tenant).map_err(failed)?;
        let beside = Beside { chains: &self.chains, exploration: None, reliability: Some(&reliability) };
        cku_runs::gate(&self.journal, beside, worker, run, self.now()).map_err(failed)
    }

    /// Asks the gates, and carries the run out if they let it; none where they do not.
    fn carry_out(&self, run: Run) -> Result<Option<Run>, Exit> {
        let mut worker = self.dev()?;
        let gated = self.gate(&mut worker, run)?;
        if gated.decision.verdict != Verdict::Pass {
            return Ok(None);
        }
        let execution = Execution {
            journal: &self.journal,
            workspace: &self.workspace,
            launcher: &self.launcher,
            clock: &|| self.now(),
            holder: "the simulation",
            stop: &Cancel::default(),
            watch: &|_| {},
        };
        cku_runs::execute(&execution, &mut worker, &gated.run).map(Some).map_err(failed)
    }

    /// What the gates say of a change with this coverage.
    fn decide(&self, number: u32, coverage: u64) -> Result<Verdict, Exit> {
        let run = self.submit(number, coverage)?;
        let mut worker = self.dev()?;
        let gated = self.gate(&mut worker, run)?;
        Ok(gated.decision.verdict)
    }

    /// What a run did turns out to be an incident.
    fn incident(&self, run: &Run) -> Result<(), Exit> {
        let label = Label { label: "incident".to_owned(), at: self.now(), note: String::new() };
        let mut worker = self.dev()?;
        let by = self.person("dana@acme.example")?;
        let place = (&run.tenant, run.id.as_str());
        cku_runs::act(&self.journal, &mut worker, place, &by, &Command::Label(label), self.now())
            .map(drop)
            .map_err(failed)
    }

    fn propose(&self, raised: &cku_learning::Raised, how: &How) -> Result<Digest, Exit> {
        let by = self.token(PrincipalKind::ServiceAccount, "learner", &TenantPath::root())?;
        let mut worker = change_control(&self.journal)?;
        let (tenant, now) = (self.tenant(), self.now());
        let made =
            cku_learning::propose(&self.journal, &mut worker, &tenant, raised, (&by, now)).map_err(failed)?;
        let id = made.diff.id;
        let mut solver = how.solver();
        let options = how.options();
        let checked =
            diff::check(&self.journal, &mut worker, &id, &by, solver.as_mut(), (&options, now), &|_, _| {});
        let (diff, evidence) = checked.map_err(failed)?;
        let judged = diff::gate(&self.journal, &self.chains, &mut worker, diff, &by, now).map_err(failed)?;
        let (flips, of) = evidence.replay.map_or((0, 0), |replay| (replay.flips, replay.replayed));
        let verdict = judged.1.decision.verdict.as_str();
        say(format_args!("change control: {verdict}; {flips} of {of} recorded decisions would be others"))?;
        Ok(id)
    }

    fn approve(&self, id: &Digest, who: &str) -> Result<(), Exit> {
        let now = self.now();
        let until = now.after(Duration::from_secs(86_400)).unwrap_or(now);
        let said = (ApprovalDecision::Approve, "looked at the evidence", until);
        let (mut worker, by) = (change_control(&self.journal)?, self.person(who)?);
        let done = diff::consent(&self.journal, &self.chains, &mut worker, id, &by, said, now);
        done.map(drop).map_err(failed)
    }

    fn activate(&self, id: &Digest) -> Result<(), Exit> {
        let (mut worker, by) = (change_control(&self.journal)?, self.person("dana@acme.example")?);
        let stage = (id, Stage::Active);
        let done = diff::activate(&self.journal, &self.chains, &mut worker, stage, &by, self.now());
        done.map(drop).map_err(|error| crate::commands::diff::not_done(&error))
    }

    fn roll_back(&self, id: &Digest) -> Result<(), Exit> {
        let (mut worker, by) = (change_control(&self.journal)?, self.person("dana@acme.example")?);
        let done =
            diff::roll_back(&self.journal, &mut worker, id, &by, "the end of the simulation", self.now());
        done.map(drop).map_err(failed)
    }
}

fn principal(kind: PrincipalKind, id: &str, tenant: &TenantPath) -> Result<Principal, Exit> {
    Ok(Principal { kind, id: id.parse().map_err(failed)?, tenant: tenant.clone() })
}

/// A small change with the reports of its tools.
fn submission(number: u32, coverage: u64) -> Value {
    let digest = |what: &str| Digest::of(format!("{what} {number}").as_bytes());
    let commit = |what: &str| digest(what).to_string().chars().skip(7).take(40).collect::<String>();
    let report = |kind: &str, format: &str, tool: &str, data: Value| json!({"kind": kind, "format": format, "tool": tool, "version": "1.0", "digest": digest(tool), "data": data});
    let clean =
        json!({"findings": [], "counts": {"error": 0, "warning": 0, "note": 0, "none": 0}, "suppressed": 0});
    let change = json!({"path": "src/api.py", "from": null, "added": 12, "removed": 3, "binary": false});
    json!({
        "intent": format!("Change {number}"),
        "labels": {},
        "plan": {
            "steps": [{
                "id": "publish", "skill": "file", "targets": ["service:acme/payments/api"],
                "with": {"op": "write", "path": "published.txt", "text": format!("{number}\n")},
                "effects": true, "reversible": true, "estimated_cost": 0,
            }],
            "rollback": "put the file of before back",
        },
        "change": {
            "files": ["src/api.py"], "commands": [], "boundary": ["src/**"],
            "base": commit("base"), "head": commit("head"),
        },
        "evidence": [
            report("coverage", "cobertura", "coverage.py", json!({"lines": {"hit": coverage, "total": 100}, "branches": null, "files": []})),
            report("tests", "junit", "pytest", json!({"total": 10, "passed": 10, "failed": 0, "errors": 0, "skipped": 0, "failures": []})),
            report("findings", "sarif", "ruff", clean.clone()),
            report("findings", "sarif", "gitleaks", clean),
            report("change", "numstat", "git", json!({"files": [change], "added": 12, "removed": 3})),
        ],
    })
}
