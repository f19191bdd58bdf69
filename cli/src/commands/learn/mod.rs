//! `cku learn`: what outcomes say of thresholds, and the policy diffs that come of it.

mod bench;
mod history;
mod pause;
mod propose;
mod simulate;
mod status;
mod verify;

use cku_base::TenantPath;
use cku_journal::Journal;
use cku_lang::{GateBody, Type};
use cku_learning::{FollowError, Following};

use crate::{
    exit::Exit,
    journal::{self, JournalArg},
    render::problems,
};

/// Learn from outcomes: see what they say of thresholds, and propose changes that people approve.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Status(status::StatusArgs),
    Explain(status::ExplainArgs),
    Propose(propose::Args),
    Verify(verify::Args),
    Pause(pause::Args),
    Resume(pause::Args),
    History(history::Args),
    Bench(bench::Args),
    Simulate(simulate::Args),
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    match &args.command {
        Command::Status(args) => status::status(args),
        Command::Explain(args) => status::explain(args),
        Command::Propose(args) => propose::run(args),
        Command::Verify(args) => verify::run(args),
        Command::Pause(args) => pause::run(args, true),
        Command::Resume(args) => pause::run(args, false),
        Command::History(args) => history::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Simulate(args) => simulate::run(args),
    }
}

/// Which journal, and whose outcomes.
#[derive(Debug, clap::Args)]
struct Of {
    /// Only the outcomes of this tenant.
    #[arg(long, value_name = "TENANT")]
    tenant: Option<TenantPath>,

    #[command(flatten)]
    journal: JournalArg,
}

/// The tenants whose outcomes are meant.
fn tenants(journal: &Journal, only: Option<&TenantPath>) -> Result<Vec<TenantPath>, Exit> {
    let all = journal.tenants().map_err(|e| journal::failed(&e))?;
    match only {
        None => Ok(all),
        Some(tenant) if all.contains(tenant) => Ok(vec![tenant.clone()]),
        Some(tenant) => {
            let near = cku_base::suggest(tenant.as_str(), all.iter().map(TenantPath::as_str));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Err(journal::refuse(&format!("the journal has no entries of {tenant}{hint}")))
        }
    }
}

/// What the entries of a tenant say, from the first on.
fn followed(journal: &Journal, tenant: &TenantPath) -> Result<Following, Exit> {
    let mut following = Following::new(tenant.clone());
    following.follow(journal, None).map_err(|error| not_followed(&error))?;
    Ok(following)
}

/// Shows why entries could not be followed.
fn not_followed(error: &FollowError) -> Exit {
    match error {
        FollowError::Store(error) => problems::of_store(error),
        FollowError::Bundle(error) => problems::of_bundle(error),
        broken @ FollowError::Broken { .. } => journal::failed(broken),
    }
}

/// How values of thresholds are written, by `gate.name`, under the policies that decide in a mode now; plain
/// numbers where the threshold is gone.
struct Units(std::collections::BTreeMap<String, Type>);

impl Units {
    fn of(journal: &Journal, mode: &str) -> Self {
        let decides = cku_authority::deciding(journal, mode, "").ok();
        let mut units = std::collections::BTreeMap::new();
        for gate in decides.iter().flat_map(|decides| &decides.bundle.compiled().gates) {
            let GateBody::Rules(rules) = &gate.body else { continue };
            for threshold in &rules.thresholds {
                units.insert(format!("{}.{}", gate.name, threshold.name), threshold.ty);
            }
        }
        Self(units)
    }

    fn shown(&self, threshold: &str, value: i64) -> String {
        self.0.get(threshold).map_or_else(|| value.to_string(), |ty| ty.format(value))
    }
}
