//! `cku freeze`: no releases for a time, or again.

use cku_authority::FreezeSet;
use cku_base::{TenantPath, Timestamp};

use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    output, render,
};

/// Freeze releases in a tenant and below: gates and change control see it, and say what waits.
///
/// Whoever may set the kill switch may do it. There is one freeze a tenant: setting it anew takes the place
/// of the one before.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// On freezes, off ends the freeze.
    #[arg(value_enum, value_name = "ON|OFF")]
    set: Set,

    /// Where, and below.
    #[arg(long, value_name = "TENANT", default_value = "/")]
    tenant: TenantPath,

    /// Since when; without it, at once.
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,

    /// Until when; without it, until it is set to off.
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,

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
    let now = journal::now();
    if args.set == Set::Off && (args.from.is_some() || args.until.is_some()) {
        return Err(journal::refuse(
            "--from and --until say when a freeze holds; leave them away with `off`",
        ));
    }
    if let Some(until) = args.until.filter(|until| *until <= args.from.map_or(now, |from| from.max(now))) {
        return Err(journal::refuse(&format!("--until {until} has passed, or is not after --from")));
    }
    let journal = args.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = args.token.submitter(&journal, &genesis)?;
    let strange = journal::strange(&journal, &args.tenant)?;
    let mut worker = journal::active_worker(&journal)?;
    let set = FreezeSet {
        on: args.set == Set::On,
        from: args.from,
        until: args.until,
        reason: args.reason.clone(),
    };
    let done = cku_authority::set_freeze(&journal, &mut worker, &by, &args.tenant, &set);
    done.map_err(|error| render::problems::of_access(&error))?;
    let until =
        args.until.map_or_else(|| "until it is set to off".to_owned(), |until| format!("until {until}"));
    let since = args.from.map_or_else(|| "from now".to_owned(), |from| format!("from {from}"));
    let tenant = &args.tenant;
    match args.set {
        Set::On => output::result(format_args!("releases of {tenant} are frozen {since} {until}\n"))?,
        Set::Off => {
            let above = cku_authority::freeze(&journal, tenant, now).map_err(|e| journal::failed(&e))?;
            let still = if above.active { ", and a freeze above it still holds" } else { "" };
            output::result(format_args!("releases of {tenant} are not frozen{still}\n"))?;
        }
    }
    output::note(strange.unwrap_or_default());
    Ok(Exit::Pass)
}
