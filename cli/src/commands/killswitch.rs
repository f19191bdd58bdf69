//! `cku killswitch`: stop everything, or let it go on.

use cku_authority::KillSwitch;
use cku_base::TenantPath;

use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    output, render,
};

/// Stop everything in a tenant and below: nothing is decided to go ahead, and no further step begins.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// On stops everything, off lets it go on.
    #[arg(value_enum, value_name = "ON|OFF")]
    set: Set,

    /// Where, and below.
    #[arg(long, value_name = "TENANT", default_value = "/")]
    tenant: TenantPath,

    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "no reason given")]
    reason: String,

    #[command(flatten)]
    journal: JournalArg,

    #[command(flatten)]
    token: TokenArg,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Set {
    On,
    Off,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let journal = args.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = args.token.submitter(&journal, &genesis)?;
    let strange = journal::strange(&journal, &args.tenant)?;
    let before = journal.stream(&args.tenant, "killswitch").map_err(|e| journal::failed(&e))?;
    let set_before = before.last().and_then(|entry| entry.body.as_ref()?.value.get("on")?.as_bool());
    let mut worker = journal::active_worker(&journal)?;
    let set = KillSwitch { on: args.set == Set::On, reason: args.reason.clone() };
    let done = cku_authority::set_kill_switch(&journal, &mut worker, &by, &args.tenant, &set);
    done.map_err(|error| render::problems::of_access(&error))?;
    let still = cku_authority::kill_switch(&journal, &args.tenant).map_err(|e| journal::failed(&e))?;
    let is = match set.on {
        true => "is on",
        false if set_before == Some(true) => "is off",
        false => "was not on",
    };
    let above = match still {
        Some((at, _)) if !set.on => format!(", and that of {at} is still on"),
        _ => String::new(),
    };
    output::result(format_args!("the kill switch of {} {is}{above}\n", args.tenant))?;
    output::note(strange.unwrap_or_default());
    Ok(Exit::Pass)
}
