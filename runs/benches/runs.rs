//! Runs per second, with three trivial steps each, alone and with 32 clients.
//!
//! `cargo bench -p cku-runs`: each run is submitted, decided by the nine gates of the baseline, carried
//! out and recorded, every transition on the disk. `file` steps show what cku itself costs; `command`
//! steps start a supervisor and a program each.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use cku_authority::{Admin, Chains, Control, Floor, Genesis, found};
use cku_base::{Principal, PrincipalKind, TenantPath, Timestamp, document::Limits};
use cku_engine::{Bundle, Worker};
use cku_gates::{Authentication, Submitter, Verdict};
use cku_journal::{Journal, Options};
use cku_runs::{Ending, Execution, PlanFile, Projections, Request, Status, execute, gate, run_id, submit};
use cku_skills::{Cancel, Launcher, Workspace};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SPAN: Duration = Duration::from_secs(3);

fn main() {
    // The bench is its own supervisor.
    if std::env::args().any(|a| a == "supervise") {
        std::process::exit(i32::from(cku_skills::supervise() != std::process::ExitCode::SUCCESS));
    }
    println!("{:<36} {:>10} {:>16}", "three steps a run", "runs/s", "CPU a run, ms");
    for (name, steps) in [("file", FILES), ("command", COMMANDS)] {
        for clients in [1, 32] {
            let site = Site::new();
            let (rate, cpu) = site.measure(steps, clients);
            println!("{:<36} {rate:>10.1} {cpu:>16.2}", format!("{name}, {clients} at once"));
        }
    }
}

const FILES: &str = "
- { id: a, skill: file, with: { op: write, path: a, text: a }, targets: ['service:acme/payments/api'] }
- { id: b, skill: file, with: { op: write, path: b, text: b }, targets: ['service:acme/payments/api'], needs: [a] }
- { id: c, skill: file, with: { op: write, path: c, text: c }, targets: ['service:acme/payments/api'], needs: [b] }
";
const COMMANDS: &str = "
- { id: a, skill: command, with: { argv: ['true'] }, effects: false }
- { id: b, skill: command, with: { argv: ['true'] }, effects: false, needs: [a] }
- { id: c, skill: command, with: { argv: ['true'] }, effects: false, needs: [b] }
";

struct Site {
    folder: tempfile::TempDir,
    journal: Journal,
    bundle: Arc<Bundle>,
    by: Submitter,
    launcher: Launcher,
    chains: Chains,
    count: AtomicU64,
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_unix_micros(i64::try_from(since.as_micros()).unwrap()).unwrap()
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options =
            Options { clock: Arc::new(now), projector: Arc::new(Projections), ..Options::default() };
        let journal = Journal::create(&folder.path().join("journal.db"), options).unwrap();
        let baseline = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/baseline");
        let bundle = Bundle::load(&baseline).unwrap();
        let principal =
            Principal { kind: PrincipalKind::User, id: "dana".parse().unwrap(), tenant: TenantPath::root() };
        let genesis = Genesis {
            admin: Admin { issuer: None, principal: principal.clone() },
            authentication: Authentication::Local,
            audience: "cku".to_owned(),
            keys: Vec::new(),
            bundles: [("gates".to_owned(), bundle.revision())].into(),
            control: Control::Files,
            directory: None,
            floor: Floor::default(),
        };
        let by = Submitter { principal, authentication: Authentication::Local, token: None };
        found(&journal, &by, &genesis, &bundle, None).unwrap();
        let launcher = Launcher {
            program: std::env::current_exe().unwrap(),
            arguments: vec!["supervise".into()],
            unconfined: false,
        };
        let (chains, count) = (Chains::default(), AtomicU64::new(0));
        Self { folder, journal, bundle: Arc::new(bundle), by, launcher, chains, count }
    }

    /// Runs per second, and processor time of each with its children, in milliseconds.
    fn measure(&self, steps: &str, clients: usize) -> (f64, f64) {
        let text =
            format!("intent: A run for the bench\nchange: {{files: [a], boundary: ['**']}}\nsteps:{steps}");
        let mut plan = PlanFile::read("plan.yaml", text.as_bytes(), Limits::default()).unwrap();
        let reports = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/evidence/humanize");
        for name in ["coverage.xml", "junit.xml", "ruff.sarif", "secretlint.sarif"] {
            let bytes = std::fs::read(reports.join(name)).unwrap();
            let format = cku_gates::evidence::detect(name, &bytes).unwrap();
            let limits = cku_gates::evidence::Limits::default();
            plan.submission
                .evidence
                .extend(cku_gates::evidence::parse(format, name, &bytes, &limits).unwrap());
        }
        let (began, cpu) = (Instant::now(), cpu_millis());
        let until = began + SPAN;
        std::thread::scope(|scope| {
            for client in 0..clients {
                let plan = &plan;
                scope.spawn(move || {
                    let mut worker = Worker::new(self.bundle.clone());
                    let root: PathBuf = self.folder.path().join(format!("work-{client}"));
                    std::fs::create_dir(&root).unwrap();
                    let workspace = Workspace::open(&root, &self.folder.path().join("backups")).unwrap();
                    while Instant::now() < until {
                        self.one(plan, &mut worker, &workspace);
                    }
                });
            }
        });
        let count = self.count.load(Ordering::SeqCst) as f64;
        (count / began.elapsed().as_secs_f64(), (cpu_millis() - cpu) / count)
    }

    fn one(&self, plan: &PlanFile, worker: &mut Worker, workspace: &Workspace) {
        let n = self.count.fetch_add(1, Ordering::SeqCst);
        let mut random = [0; 10];
        random[2..].copy_from_slice(&n.to_be_bytes());
        let request = Request {
            id: run_id(now(), random),
            tenant: "acme/payments".parse().unwrap(),
            mode: "dev".to_owned(),
            by: self.by.clone(),
            submission: plan.submission.clone(),
            workspace: workspace.root().display().to_string(),
            confined: true,
            time: now(),
        };
        let run = submit(&self.journal, request).unwrap();
        let gated = gate(&self.journal, &self.chains, worker, run, now()).unwrap();
        assert_eq!(gated.decision.verdict, Verdict::Pass, "{:#?}", gated.decision.gates);
        let stop = Cancel::default();
        let execution = Execution {
            journal: &self.journal,
            workspace,
            launcher: &self.launcher,
            clock: &now,
            holder: "bench",
            stop: &stop,
            watch: &|_| {},
        };
        let ended = execute(&execution, worker, &gated.run).unwrap();
        assert_eq!(ended.status, Status::Ended(Ending::Succeeded));
    }
}

/// Processor time of this process and its children so far, in milliseconds.
fn cpu_millis() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    fields.skip(11).take(4).filter_map(|f| f.parse::<f64>().ok()).sum::<f64>() * 10.0
}
