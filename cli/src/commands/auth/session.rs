//! `cku auth revoke-token`: one token is refused from now on.

use std::time::Duration;

use cku_authority::TokenRevoked;
use cku_base::TenantPath;

use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    output,
    render::foreign,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The token that is refused from now on; `@FILE` reads it from a file.
    #[arg(value_name = "REVOKED", required_unless_present = "id", conflicts_with_all = ["id", "issuer", "tenant"])]
    revoked: Option<String>,
    /// Its name, `jti`, where the token itself is not at hand.
    #[arg(long, value_name = "JTI", requires = "issuer")]
    id: Option<String>,
    /// Who issued it.
    #[arg(long, value_name = "ISSUER", requires = "id")]
    issuer: Option<String>,
    /// It is refused for principals at home here and below.
    #[arg(long, value_name = "TENANT", default_value = "/")]
    tenant: TenantPath,
    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    journal: JournalArg,
    #[command(flatten)]
    token: TokenArg,
}

/// What a token holds at most, and how far clocks may differ.
const LONGEST: Duration = Duration::from_secs(86_430);

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    let journal = args.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = args.token.submitter(&journal, &genesis)?;
    let now = journal::now();
    let (tenant, issuer, token_id, until) = match (&args.revoked, &args.id, &args.issuer) {
        (Some(text), _, _) => {
            let token = journal::read_token(text)?;
            let of = journal::verified(&token, &journal::trust(&journal, &genesis)?)?;
            let id = of.token_id.ok_or_else(|| {
                journal::refuse(
                    "the token has no `jti` by which it could be revoked; revoke the key that signed it",
                )
            })?;
            (of.principal.tenant, of.issuer, id, of.expires_at)
        }
        (None, Some(id), Some(issuer)) => {
            (args.tenant.clone(), issuer.clone(), id.clone(), now.after(LONGEST).unwrap_or(now))
        }
        _ => return Err(journal::refuse("give the token, or its --id and --issuer")),
    };
    let revoked = TokenRevoked { issuer, token_id, until, reason: args.reason.clone() };
    let mut worker = journal::active_worker(&journal)?;
    cku_authority::revoke_token(&journal, &mut worker, &by, &tenant, &revoked)
        .map_err(|e| journal::not_changed(&e))?;
    output::result(format_args!("{} is refused from now on\n", foreign(&revoked.token_id)))?;
    Ok(Exit::Pass)
}
