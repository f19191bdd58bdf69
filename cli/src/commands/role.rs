//! `cku role`: who may do what, where.

use cku_base::{Principal, PrincipalId, PrincipalKind, TenantPath};
use cku_engine::access::RoleGrant;

use super::auth::Kind;
use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    output,
    render::style,
};

/// Grant roles, take them away, list them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Grant a role (an administrator of the tenant).
    Grant(Change),
    /// Take a role away (an administrator of the tenant).
    Revoke(Change),
    /// List who holds which role where.
    List {
        /// Only roles that count in this tenant, or below it.
        #[arg(long, value_name = "TENANT", default_value = "/")]
        tenant: TenantPath,
        #[command(flatten)]
        journal: JournalArg,
    },
}

#[derive(Debug, clap::Args)]
struct Change {
    /// The role, as the bundle names it, like `reviewer`.
    #[arg(value_name = "ROLE")]
    role: String,
    /// Whom, as tokens name them, like `rhea@acme.example`.
    #[arg(value_name = "SUBJECT")]
    subject: PrincipalId,
    /// Where the role counts, and below.
    #[arg(long, value_name = "TENANT")]
    tenant: TenantPath,
    /// What sort of principal that is.
    #[arg(long, value_enum, default_value = "user")]
    kind: Kind,
    /// Where they are at home, as their tokens say; without it, the tenant of the role.
    #[arg(long, value_name = "TENANT")]
    home: Option<TenantPath>,
    #[command(flatten)]
    journal: JournalArg,
    #[command(flatten)]
    token: TokenArg,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    match &args.command {
        Command::Grant(change) => set(change, true),
        Command::Revoke(change) => set(change, false),
        Command::List { tenant, journal } => list(tenant, journal),
    }
}

fn set(change: &Change, granted: bool) -> Result<Exit, Exit> {
    let journal = change.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = change.token.submitter(&journal, &genesis)?;
    let home = change.home.clone().unwrap_or_else(|| change.tenant.clone());
    if !home.contains(&change.tenant) {
        return Err(journal::refuse(&format!(
            "whoever is at home in {home} can do nothing in {}; give the --home that their tokens name",
            change.tenant
        )));
    }
    let principal =
        Principal { kind: PrincipalKind::from(change.kind), id: change.subject.clone(), tenant: home };
    let grant = RoleGrant { principal, role: change.role.clone(), tenant: change.tenant.clone() };
    let held = cku_authority::role_grants(&journal, &grant.tenant)
        .map_err(|e| journal::failed(&e))?
        .contains(&grant);
    if held == granted {
        let said = if granted { "holds it already" } else { "does not hold it" };
        return Err(journal::refuse(&format!(
            "{} at home in {} {said}: {} in {}; `cku role list` shows who holds what",
            grant.principal, grant.principal.tenant, grant.role, grant.tenant
        )));
    }
    let strange = journal::strange(&journal, &grant.tenant)?;
    let mut worker = journal::active_worker(&journal)?;
    let changed = cku_authority::change_role(&journal, &mut worker, &by, &grant, granted);
    changed.map_err(|error| journal::not_changed(&error))?;
    let verb = if granted { "holds" } else { "no longer holds" };
    output::result(format_args!("{} {verb} {} in {}\n", grant.principal, grant.role, grant.tenant))?;
    output::note(strange.unwrap_or_default());
    Ok(Exit::Pass)
}

fn list(tenant: &TenantPath, journal: &JournalArg) -> Result<Exit, Exit> {
    let journal = journal.open_to_read()?;
    let grants = cku_authority::role_grants(&journal, tenant).map_err(|e| journal::failed(&e))?;
    if grants.is_empty() {
        output::result("no roles\n")?;
    }
    let dim = style::DIM;
    for grant in grants {
        output::result(format_args!(
            "{:<10} {} in {}  {dim}at home in {}{dim:#}\n",
            grant.role, grant.principal, grant.tenant, grant.principal.tenant
        ))?;
    }
    Ok(Exit::Pass)
}
