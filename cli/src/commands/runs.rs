//! `cku runs`: what ran, and what became of it.

use cku_base::TenantPath;
use cku_journal::Journal;
use cku_runs::{RunRow, Status};
use serde_json::json;

use crate::{
    exit::Exit,
    journal::{JournalArg, failed, refuse},
    output::{self, Format},
    render::{self, foreign, run as shown, style},
};

/// Look at runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List runs, the latest last.
    List {
        /// Only runs of this tenant and those below it.
        #[arg(long, value_name = "TENANT", default_value = "/")]
        tenant: TenantPath,
        /// Only runs that stand so, like `waiting`.
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        #[command(flatten)]
        journal: JournalArg,
        /// How to write them.
        #[arg(long, value_enum, default_value = "pretty")]
        format: Format,
    },
    /// Show a run: its decision, approvals, votes, steps and outcome.
    Show {
        /// The run.
        #[arg(value_name = "RUN")]
        run: String,
        #[command(flatten)]
        journal: JournalArg,
        /// How to write it.
        #[arg(long, value_enum, default_value = "pretty")]
        format: Format,
    },
}

const STATUSES: [&str; 9] = [
    "planned",
    "waiting",
    "running",
    "succeeded",
    "failed",
    "partial",
    "rolled_back",
    "cancelled",
    "rejected",
];

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    match &args.command {
        Command::List { tenant, status, journal, format } => {
            list(tenant, status.as_deref(), journal, *format)
        }
        Command::Show { run, journal, format } => show(run, journal, *format),
    }
}

fn list(
    tenant: &TenantPath,
    status: Option<&str>,
    journal: &JournalArg,
    format: Format,
) -> Result<Exit, Exit> {
    if let Some(status) = status.filter(|status| !STATUSES.contains(status)) {
        let hint = cku_base::suggest(status, STATUSES);
        let hint = hint.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        output::problem(format_args!(
            "--status `{}` is none: {}{hint}",
            foreign(status),
            STATUSES.join(", ")
        ));
        return Err(Exit::Usage);
    }
    let journal = open(journal)?;
    known(&journal, tenant)?;
    let mut runs = cku_runs::list(&journal, tenant).map_err(|e| render::problems::of_store(&e))?;
    runs.retain(|(_, _, row)| status.is_none_or(|status| row.status == status));
    if format == Format::Json {
        let document = |(tenant, id, row): &(TenantPath, String, RunRow)| json!({"run": id, "tenant": tenant, "is": row, "interrupted": interrupted(&journal, id, &row.status)});
        let runs: Vec<_> = runs.iter().map(document).collect();
        output::json(&runs)?;
        return Ok(Exit::Pass);
    }
    if runs.is_empty() {
        output::result("no runs\n")?;
    }
    for (tenant, id, row) in runs {
        let (colour, dim) = (shown::colour(&row.status), style::DIM);
        let labels: Vec<_> = row.labels.iter().map(|l| l.label.as_str()).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("  [{}]", labels.join(", ")) };
        output::result(format_args!(
            "{id}  {colour}{:<11}{colour:#} {tenant} {}  {}{labels}  {dim}{} {}{dim:#}\n",
            if interrupted(&journal, &id, &row.status) { shown::INTERRUPTED } else { &row.status },
            row.mode,
            foreign(&row.intent),
            row.by,
            row.submitted_at
        ))?;
    }
    Ok(Exit::Pass)
}

/// Opens a journal to read; through a link by its real name, since what claims runs lies beside that.
fn open(journal: &JournalArg) -> Result<Journal, Exit> {
    let path = journal.existing()?;
    let path = if path.is_symlink() { super::run::real(path) } else { path };
    JournalArg { journal: Some(path) }.open_to_read()
}

/// Refuses a tenant when the journal knows none there or below: no run of a mistyped one would be listed.
pub(super) fn known(journal: &Journal, tenant: &TenantPath) -> Result<(), Exit> {
    let tenants = journal.tenants().map_err(|e| failed(&e))?;
    if *tenant == TenantPath::root() || tenants.iter().any(|known| tenant.contains(known)) {
        return Ok(());
    }
    let names: Vec<&str> = tenants.iter().map(TenantPath::as_str).collect();
    let hint = cku_base::suggest(tenant.as_str(), names.iter().copied());
    let hint = hint.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
    Err(refuse(&format!("the journal has no entries of {tenant}, but of {}{hint}", names.join(", "))))
}

/// Whether a run is running and nobody carries it out.
fn interrupted(journal: &Journal, id: &str, status: &str) -> bool {
    status == Status::Running.as_str() && cku_runs::is_unattended(journal, id)
}

fn show(run: &str, journal: &JournalArg, format: Format) -> Result<Exit, Exit> {
    let journal = open(journal)?;
    let (tenant, _) = cku_runs::find(&journal, run).map_err(|e| render::problems::of_store(&e))?;
    let run = cku_runs::load(&journal, &tenant, run).map_err(|e| failed(&e))?;
    let interrupted = interrupted(&journal, &run.id, run.status.as_str());
    match format {
        Format::Json => {
            let mut document = cku_runs::document(&run, None, None);
            if let Some(members) = document.as_object_mut() {
                members.insert("interrupted".to_owned(), interrupted.into());
            }
            output::json(&document)?;
        }
        Format::Pretty => output::result(shown::details(&run, interrupted))?,
    }
    Ok(Exit::Pass)
}
