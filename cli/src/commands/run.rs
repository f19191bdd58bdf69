//! `cku run`: a plan, through the gates, to its end; or a run that waited, from where it was.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use cku_authority::{Chains, Control, Deciding, Genesis, Purpose};
use cku_base::{TenantPath, document::Limits};
use cku_engine::{Bundle, Worker};
use cku_gates::{Authentication, RunSubmission, Submitter, Verdict};
use cku_journal::Journal;
use cku_learning::TrackRecords;
use cku_runs::{
    Beside, Command, Ending, Execution, ExplorationKey, Gated, PlanFile, Request, Run, Status, Trial,
};
use cku_skills::{Cancel, Launcher, Workspace};

use super::{collect, local, trial};
use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    load,
    output::{self, Format},
    render::{self, diagnostics, foreign, run as shown},
};

/// Carry out a plan, once the gates let it go ahead.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plan, YAML or JSON.
    #[arg(value_name = "PLAN")]
    plan: Option<PathBuf>,

    /// Go on with a run that waits, or that cku was carrying out when it went away.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["plan", "mode", "tenant", "evidence"])]
    resume: Option<String>,

    /// The mode, in place of the plan's.
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,

    /// The tenant, in place of the plan's.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantPath>,

    /// A folder with reports for the gates; may be given more than once.
    #[arg(long, value_name = "DIR")]
    evidence: Vec<PathBuf>,

    /// Where the steps work; without it, here.
    #[arg(long, value_name = "DIR")]
    workspace: Option<PathBuf>,

    /// The bundle of a single user's journal; without it, the baseline that is built into cku.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,

    /// Decide under no older activation than this one, as `cku diff activate` prints it.
    #[arg(long, value_name = "NUMBER")]
    at_least: Option<u64>,

    /// Let commands write anywhere, where the kernel cannot confine them.
    #[arg(long)]
    unconfined: bool,

    /// The key that draws of exploration are made with, 32 bytes; without it, that beside the journal.
    #[arg(long, value_name = "FILE", env = "CKU_EXPLORATION_KEY")]
    exploration_key: Option<PathBuf>,

    /// Show what the steps write, as they write it.
    #[arg(long)]
    follow: bool,

    /// How to write the result.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,

    #[command(flatten)]
    journal: JournalArg,

    #[command(flatten)]
    token: TokenArg,
}

/// The hidden subcommand that supervises a command.
pub(crate) const SUPERVISE: &str = "supervise-step";

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    match (&args.resume, &args.plan) {
        (Some(run), _) => resume(args, run),
        (None, Some(plan)) => begin(args, plan),
        (None, None) => Err(journal::refuse(
            "name a plan, or a run that goes on: `cku run PLAN` or `cku run --resume RUN`; `cku run --help` says more",
        )),
    }
}

/// Where a run is carried out, and by whom.
struct Site {
    journal: Journal,
    genesis: Genesis,
    by: Submitter,
    /// What a folder says; none where change control says what decides over a run.
    files: Option<Arc<Bundle>>,
    launcher: Launcher,
    chains: Chains,
    records: TrackRecords,
    exploration: ExplorationKey,
}

/// Opens the journal; where there is none, `mode` is that of the plan for which one may be made.
fn site(args: &Args, mode: Option<&str>) -> Result<Site, Exit> {
    let path = real(args.journal.path()?);
    let makes = mode.filter(|_| !path.exists() && args.token.token.is_none());
    let journal = match makes {
        Some(mode) => single_user(args, &path, mode)?,
        None => JournalArg { journal: Some(path) }.open()?,
    };
    let genesis = journal::genesis(&journal)?;
    let by = args.token.submitter(&journal, &genesis)?;
    let files = files(args, &journal, &genesis, &by)?;
    at_least(args, &journal)?;
    let exploration = match &args.exploration_key {
        Some(named) => {
            ExplorationKey::read_from(named.clone()).map_err(|e| journal::refuse(&e.to_string()))?
        }
        None => ExplorationKey::beside(journal.path()),
    };
    let (launcher, chains, records) = (launcher(args)?, Chains::default(), TrackRecords::default());
    Ok(Site { journal, genesis, by, files, launcher, chains, records, exploration })
}

/// The real name of a journal: claims and backups lie beside it, by whatever name it is reached.
pub(super) fn real(path: PathBuf) -> PathBuf {
    let folder = path.parent().map(|folder| match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    });
    let beside = || Some(std::fs::canonicalize(folder?).ok()?.join(path.file_name()?));
    std::fs::canonicalize(&path).ok().or_else(beside).unwrap_or(path)
}

/// A journal for the one who runs cku here; none is made for a plan that could not be submitted to it.
fn single_user(args: &Args, path: &Path, mode: &str) -> Result<Journal, Exit> {
    let bundle = load::bundle_or_baseline(args.bundle.as_deref())?;
    has_mode(&bundle, mode)?;
    local::make(path, &bundle)
}

/// The bundle that decides, where a folder says so; it is made the active one.
fn files(
    args: &Args,
    journal: &Journal,
    genesis: &Genesis,
    by: &Submitter,
) -> Result<Option<Arc<Bundle>>, Exit> {
    let local = genesis.authentication == Authentication::Local;
    if args.bundle.is_some() && !local {
        return Err(journal::refuse(
            "--bundle is for a single user's journal; here `cku init` or change control says which policies decide",
        ));
    }
    if genesis.control == Control::Managed {
        return Ok(None);
    }
    let directory = args.bundle.clone().or_else(|| genesis.directory.as_ref().map(PathBuf::from));
    let bundle = load::bundle_or_baseline(directory.as_deref())?;
    cku_authority::activate(journal, &cku_authority::named(by), &bundle)
        .map_err(|e| render::problems::of_bundle(&e))?;
    Ok(Some(bundle))
}

/// Refuses to decide under an older activation than was asked for.
fn at_least(args: &Args, journal: &Journal) -> Result<(), Exit> {
    let Some(wanted) = args.at_least else { return Ok(()) };
    let rollout =
        cku_authority::rollout(journal, Purpose::Gates).map_err(|e| render::problems::of_store(&e))?;
    match rollout.latest >= wanted {
        true => Ok(()),
        false => Err(journal::refuse(&format!(
            "the last activation of this journal is {}, and at least {wanted} was asked for",
            rollout.latest
        ))),
    }
}

impl Site {
    /// What decides over a run, and what is tried on it.
    fn deciding(&self, mode: &str, run: &str) -> Result<Deciding, Exit> {
        match &self.files {
            Some(bundle) => Ok(Deciding { bundle: bundle.clone(), canary: None, shadow: None, lost: None }),
            None => {
                cku_authority::deciding(&self.journal, mode, run).map_err(|e| render::problems::of_bundle(&e))
            }
        }
    }
}

fn launcher(args: &Args) -> Result<Launcher, Exit> {
    let program =
        std::env::current_exe().map_err(|e| journal::failed(&format!("where cku is cannot be told: {e}")))?;
    Ok(Launcher { program, arguments: vec![SUPERVISE.into()], unconfined: args.unconfined })
}

fn begin(args: &Args, plan: &Path) -> Result<Exit, Exit> {
    let name = plan.display().to_string();
    let limits = Limits::default();
    let bytes = load::bytes(plan, limits.bytes)?;
    let plan = PlanFile::read(&name, &bytes, limits).map_err(|problems| {
        diagnostics::show(&problems);
        Exit::Usage
    })?;
    let tenant = args.tenant.clone().or(plan.tenant).ok_or_else(|| {
        journal::refuse(&format!("`{name}` names no tenant; write `tenant` in it, or give --tenant"))
    })?;
    let mode = args.mode.clone().or(plan.mode).ok_or_else(|| {
        journal::refuse(&format!("`{name}` names no mode; write `mode` in it, or give --mode"))
    })?;
    let mut submission: RunSubmission = plan.submission;
    for dir in &args.evidence {
        submission.evidence.extend(collect::evidence(dir)?);
    }
    confinable(args, &submission)?;
    // Whatever is wrong with where it works is told before anything is made or recorded.
    let root = args.workspace.as_deref().unwrap_or(Path::new("."));
    Workspace::check(root, &args.journal.path()?).map_err(|e| journal::refuse(&e.to_string()))?;
    let site = site(args, Some(&mode))?;
    let mut random = [0; 10];
    getrandom::fill(&mut random).map_err(|e| journal::failed(&format!("no random bytes: {e}")))?;
    let time = journal::now();
    let id = cku_runs::run_id(time, random);
    has_mode(&site.deciding(&mode, &id)?.bundle, &mode)?;
    let workspace = workspace(&site.journal, root)?;
    let request = Request {
        id,
        tenant,
        mode,
        by: site.by.clone(),
        submission,
        workspace: workspace.root().display().to_string(),
        confined: !args.unconfined,
        time,
    };
    let run = cku_runs::submit(&site.journal, request).map_err(|e| render::problems::of_store(&e))?;
    ask_and_go(args, &site, run, &workspace)
}

/// Refuses a mode that a bundle does not know.
fn has_mode(bundle: &Bundle, mode: &str) -> Result<(), Exit> {
    if bundle.sequence(mode).is_some() {
        return Ok(());
    }
    let (mode, known) = (mode.to_owned(), bundle.manifest().modes.clone());
    let unknown = cku_gates::Undecidable::UnknownMode { mode, known };
    Err(render::problems::of_gating(&unknown.into()))
}

fn resume(args: &Args, id: &str) -> Result<Exit, Exit> {
    let site = site(args, None)?;
    let (tenant, _) = cku_runs::find(&site.journal, id).map_err(|e| render::problems::of_store(&e))?;
    let run = cku_runs::load(&site.journal, &tenant, id).map_err(|e| render::problems::of_store(&e))?;
    let root = workspace_of(args, &run)?;
    confinable(args, &run.submission)?;
    let workspace = workspace(&site.journal, &root)?;
    // Nobody else may be at it: whoever resumes takes what runs for broken off.
    let idle = cku_runs::claim(&site.journal, id, &holder());
    idle.map(drop).map_err(|error| journal::refuse(&format!("{id} is being carried out: {error}")))?;
    let mut worker = Worker::new(site.deciding(&run.submitted.mode, id)?.bundle);
    let acted =
        cku_runs::act(&site.journal, &mut worker, (&tenant, id), &site.by, &Command::Resume, journal::now());
    let run = acted.map_err(|error| render::problems::of_act(&error))?;
    match run.status {
        Status::Running => carry_out(args, &site, &mut worker, run, &workspace, None),
        _ => ask_and_go(args, &site, run, &workspace),
    }
}

/// Where a run goes on: where and how it was submitted to be carried out, which its approvals were for.
fn workspace_of(args: &Args, run: &Run) -> Result<PathBuf, Exit> {
    let place = run.place();
    let root = PathBuf::from(&place.workspace);
    if let Some(named) = &args.workspace
        && std::fs::canonicalize(named).ok().as_ref() != Some(&root)
    {
        return Err(journal::refuse(&format!(
            "the run was submitted to work in `{}`, and goes on there; leave --workspace away",
            foreign(&place.workspace)
        )));
    }
    match (place.confined, args.unconfined) {
        (true, true) => Err(journal::refuse(
            "the run was submitted to be confined, and goes on so; leave --unconfined away, or submit its plan again with it",
        )),
        (false, false) => Err(journal::refuse(
            "the run was submitted with --unconfined; give it again, or submit its plan again without it",
        )),
        _ => Ok(root),
    }
}

/// Asks the gates, shows what they say, and carries the run out if they let it go ahead.
fn ask_and_go(args: &Args, site: &Site, run: Run, workspace: &Workspace) -> Result<Exit, Exit> {
    let Deciding { bundle, canary, shadow, lost } = site.deciding(&run.submitted.mode, &run.id)?;
    if let Some(diff) = lost {
        output::note(format_args!(
            "the policies of the diff {diff} do not load, and are not tried on this run; what is active decides\n"
        ));
    }
    let mut worker = Worker::new(bundle);
    let mut shadow = shadow.map(|(diff, bundle)| (diff, Worker::new(bundle)));
    warn_of_denials(site, &mut worker, &run)?;
    let trial = match (canary, &mut shadow) {
        (Some(diff), _) => Trial::Canary(diff),
        (None, Some((diff, worker))) => Trial::Shadow(*diff, worker),
        (None, None) => Trial::None,
    };
    let reliability = site.records.given(&site.journal, worker.bundle(), &run.tenant);
    let reliability = reliability.map_err(|e| render::problems::of_reliability(&e))?;
    let exploration = Some(&site.exploration);
    let beside = Beside { chains: &site.chains, exploration, reliability: Some(&reliability) };
    let gated = cku_runs::gate_trying(&site.journal, beside, (&mut worker, trial), run, journal::now());
    let gated = gated.map_err(|e| render::problems::of_gating(&e))?;
    if args.format == Format::Pretty {
        output::result(render::decision::render(&gated.decision, &gated.input))?;
        output::result(shown::without_evidence(&gated.run, &gated.decision))?;
        if site.genesis.authentication == Authentication::Local {
            output::result(shown::SINGLE_USER)?;
        }
    }
    match gated.decision.verdict {
        Verdict::Pass => {
            let run = gated.run.clone();
            carry_out(args, site, &mut worker, run, workspace, Some(&gated))
        }
        Verdict::Pause => {
            let missing = cku_runs::missing(&site.journal, &mut worker, &gated.run, &gated.decision);
            let missing = missing.map_err(|e| render::problems::of_store(&e))?;
            match args.format {
                Format::Pretty => output::result(shown::missing(&gated.run, &missing))?,
                Format::Json => {
                    output::json(&cku_runs::document(&gated.run, Some(&gated.decision), Some(&missing)))?
                }
            }
            Ok(Exit::Pause)
        }
        Verdict::Reject => {
            if args.format == Format::Json {
                output::json(&cku_runs::document(&gated.run, Some(&gated.decision), None))?;
            }
            Ok(Exit::Reject)
        }
    }
}

/// Names the steps that will be denied when they are reached, before people approve what cannot finish.
fn warn_of_denials(site: &Site, worker: &mut Worker, run: &Run) -> Result<(), Exit> {
    let denied = cku_runs::not_permitted(&site.journal, worker, run);
    for (step, why) in denied.map_err(|e| render::problems::of_store(&e))? {
        let warn = render::style::WARNING;
        let why = foreign(&why);
        output::note(format_args!(
            "{warn}warning{warn:#}: the step `{step}` will fail, whatever the gates say: {why}; let somebody submit the plan who may\n"
        ));
    }
    Ok(())
}

fn carry_out(
    args: &Args,
    site: &Site,
    worker: &mut Worker,
    run: Run,
    workspace: &Workspace,
    gated: Option<&Gated>,
) -> Result<Exit, Exit> {
    let stop = Cancel::default();
    let asked = stop.clone();
    // A second handler cannot be set; there is one run a process.
    let _ = ctrlc::set_handler(move || asked.cancel("cku was asked to end"));
    let progress = shown::Progress::new(args.format, args.follow);
    let execution = Execution {
        journal: &site.journal,
        workspace,
        launcher: &site.launcher,
        clock: &journal::now,
        holder: &holder(),
        stop: &stop,
        watch: &|what| progress.show(&what),
    };
    let ended = cku_runs::execute(&execution, worker, &run);
    progress.finish();
    let run = ended.map_err(|e| render::problems::of_execution(&e))?;
    trial::stop_failing(&site.journal)?;
    match args.format {
        Format::Pretty => output::result(shown::end(&run))?,
        Format::Json => output::json(&cku_runs::document(&run, gated.map(|g| &g.decision), None))?,
    }
    Ok(exit_of(&run))
}

/// How the command ends by how the run stands.
fn exit_of(run: &Run) -> Exit {
    match run.status {
        Status::Ended(Ending::Succeeded | Ending::Partial) => Exit::Pass,
        Status::Ended(_) => Exit::Reject,
        Status::Waiting(_) => Exit::Pause,
        Status::Planned | Status::Running => Exit::Internal,
    }
}

fn holder() -> String {
    format!("process {}", std::process::id())
}

/// Refuses commands that cannot be confined, unless that was asked for.
fn confinable(args: &Args, submission: &RunSubmission) -> Result<(), Exit> {
    let commands = submission.plan.iter().flat_map(|p| &p.steps).any(|s| s.skill == "command");
    if args.unconfined || !commands {
        return Ok(());
    }
    cku_skills::can_confine().map_err(|why| journal::refuse(&why))
}

/// Where steps work; what cku keeps lies beside the journal, and not in there.
fn workspace(journal: &Journal, root: &Path) -> Result<Workspace, Exit> {
    let mut backups = journal.path().as_os_str().to_owned();
    backups.push("-backups");
    let workspace = Workspace::open(root, Path::new(&backups)).and_then(|w| w.beside(journal.path()));
    workspace.map_err(|e| journal::refuse(&e.to_string()))
}
