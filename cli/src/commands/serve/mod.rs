//! `cku serve`: decisions over HTTP.

#[cfg(feature = "otel")]
mod collector;
mod files;
mod settings;
mod telemetry;

use std::{path::PathBuf, sync::Arc};

use cku_authority::Control;
use cku_journal::Journal;
use cku_server::{Policies, ServeError, Served};
use tokio::signal::unix::{SignalKind, signal};

use files::Files;
use telemetry::Telemetry;

use super::{local, run::real};
use crate::{
    exit::Exit,
    journal::{self, JournalArg},
    load, output,
    render::foreign,
};

/// Answer over HTTP: AuthZEN, the nine gates, health and metrics.
///
/// Every answer is in the journal before it leaves. Without --listen it listens on this machine only. SIGHUP
/// looks at the policies' files at once; SIGINT and SIGTERM answer what was accepted, and end.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    flags: settings::Flags,

    /// Settings in YAML: the names of the options with `_` for `-`. Options and the environment win.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Show all settings and where each comes from, and serve nothing.
    #[arg(long)]
    print_config: bool,

    /// The bundle of a single user's journal; without it, the baseline that is built into cku.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,

    #[command(flatten)]
    journal: JournalArg,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let settings = settings::read(&args.flags, args.config.as_deref())?;
    if args.print_config {
        output::result(settings.shown())?;
        return Ok(Exit::Pass);
    }
    let telemetry = Telemetry::begin(&settings.telling)?;
    let journal = open(args, &telemetry)?;
    let policies = policies(args, &journal)?;
    let is_local = journal::genesis(&journal)?.authentication == cku_gates::Authentication::Local;
    if is_local && !settings.config.listen.ip().is_loopback() {
        return Err(journal::refuse(
            "the journal is local, single-user: whoever reaches the server is taken for that user, so it listens on this machine only; `cku init` makes a journal for several people",
        ));
    }
    let server = cku_server::serve(settings.config, journal, policies, journal::now);
    let server = server.map_err(|error| not_served(&error))?;
    telemetry.say(&format!("listening at {}", server.address));
    if is_local {
        telemetry.say("the journal is local, single-user: whoever reaches the server is taken for that user");
    }
    until_asked_to_end(&server)?;
    telemetry.say("ending; what was accepted is answered");
    server.stop();
    Ok(Exit::Pass)
}

/// The journal; where there is none, one for a single user is made.
fn open(args: &Args, telemetry: &Telemetry) -> Result<Journal, Exit> {
    let path = real(args.journal.path()?);
    if path.exists() {
        return JournalArg { journal: Some(path) }.open();
    }
    let bundle = load::bundle_or_baseline(args.bundle.as_deref())?;
    let journal = local::make_quietly(&path, &bundle)?;
    telemetry.say(&local::made(&path));
    Ok(journal)
}

/// Where policies come from: as the journal's control says.
fn policies(args: &Args, journal: &Journal) -> Result<Policies, Exit> {
    let genesis = journal::genesis(journal)?;
    let is_local = genesis.authentication == cku_gates::Authentication::Local;
    if args.bundle.is_some() && !is_local {
        return Err(journal::refuse(
            "--bundle is for a single user's journal; here `cku init` or change control says which policies decide",
        ));
    }
    if genesis.control == Control::Managed {
        return Ok(Policies::Managed);
    }
    let directory = args.bundle.clone().or_else(|| genesis.directory.as_ref().map(PathBuf::from));
    // What is wrong at the start is told with its places; later, health says so in a line.
    let bundle = load::bundle_or_baseline(directory.as_deref())?;
    let files = Files::new(directory, bundle);
    Ok(Policies::Files(Arc::new(move || files.load())))
}

fn not_served(error: &ServeError) -> Exit {
    let exit = match error {
        ServeError::Listen { .. } | ServeError::Tls(_) | ServeError::ExplorationKey(_) => Exit::Usage,
        ServeError::Active(_) => Exit::Bundle,
        ServeError::Thread(_) => Exit::Internal,
    };
    output::problem(foreign(&error.to_string()));
    exit
}

/// Waits for a signal that says so; SIGHUP looks at files anew meanwhile.
fn until_asked_to_end(server: &Served) -> Result<(), Exit> {
    let failed = |error: std::io::Error| journal::failed(&format!("signals cannot be waited for: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    runtime.block_on(async {
        let mut ends = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut reloads = signal(SignalKind::hangup()).map_err(failed)?;
        loop {
            tokio::select! {
                _ = ends.recv() => return Ok(()),
                _ = interrupts.recv() => return Ok(()),
                _ = reloads.recv() => server.reload(),
            }
        }
    })
}
