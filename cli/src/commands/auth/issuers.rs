//! `cku auth trust-issuer` and what belongs to it: issuers whose keys are found at an address.

use std::{collections::BTreeSet, path::PathBuf};

use cku_auth::{Account, Trust, TrustedIssuer};
use cku_authority::{IssuerRevoked, IssuerTrusted};
use cku_base::document::Limits;
use cku_journal::Journal;
use serde::Deserialize;

use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    load, output,
    render::foreign,
};

#[derive(Debug, clap::Args)]
pub(super) struct TrustArgs {
    /// What is trusted: `issuer`, `jwks`, and `names` or `accounts`, in YAML or JSON.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    journal: JournalArg,
    #[command(flatten)]
    token: TokenArg,
}

#[derive(Debug, clap::Args)]
pub(super) struct RevokeArgs {
    /// The issuer, as `cku auth keys` shows it.
    #[arg(value_name = "ISSUER")]
    issuer: String,
    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    #[command(flatten)]
    journal: JournalArg,
    #[command(flatten)]
    token: TokenArg,
}

pub(super) fn trust(args: &TrustArgs) -> Result<Exit, Exit> {
    let document = load::document(&args.file, Limits::default())?;
    let unusable =
        |why: String| journal::refuse(&format!("`{}` is not usable: {}", args.file.display(), foreign(&why)));
    let issuer = TrustedIssuer::deserialize(document).map_err(|error| unusable(error.to_string()))?;
    let journal = args.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = args.token.submitter(&journal, &genesis)?;
    // Whether it can be trusted beside the others, before it is, and if nobody changes them meanwhile.
    let seen = cku_authority::keys_changed_at(&journal).map_err(|e| journal::failed(&e))?;
    let known = journal::trust(&journal, &genesis)?;
    let same = |known: &cku_auth::Issuer| known.issuer == issuer && known.revoked_at.is_none();
    if known.issuers().iter().any(same) {
        return Err(journal::refuse(&format!("{} is trusted so already", foreign(&issuer.issuer))));
    }
    known.with_issuer(issuer.clone()).map_err(|e| unusable(e.to_string()))?;
    let mut told = match &issuer.names {
        Some(names) => super::passed_on(&journal, &known, (&issuer.issuer, &names.tenant, &names.kinds))?,
        None => taken(&journal, &known, &issuer)?,
    };
    for account in issuer.loose() {
        told.push_str(&format!(
            "  `{}` of {} is known by names alone, which can be others' one day; add `repository_id` or the like\n",
            account.name, account.tenant
        ));
    }
    let written = serde_json::to_value(&issuer).map_err(|e| journal::failed(&e))?;
    let trusted = IssuerTrusted { issuer: written, id: issuer.issuer.clone() };
    let mut worker = journal::active_worker(&journal)?;
    cku_authority::trust_issuer(&journal, &mut worker, &by, &trusted, seen)
        .map_err(|e| journal::not_changed(&e))?;
    output::result(format_args!("{} is trusted\n{told}", foreign(&issuer.issuer)))?;
    look(&journal, &journal::trust(&journal, &genesis)?)?;
    // It is trusted, whether its keys can be read right now or not.
    Ok(Exit::Pass)
}

/// The roles that go with the names of accounts, and who has them no longer: nobody inherits silently.
fn taken(journal: &Journal, known: &Trust, issuer: &TrustedIssuer) -> Result<String, Exit> {
    let mut lines = String::new();
    let mut seen = BTreeSet::new();
    for account in issuer.accounts.iter().filter(|account| seen.insert((&account.tenant, &account.name))) {
        let whom = Account { tenant: account.tenant.clone(), name: account.name.clone(), closed_at: None };
        let whom = whom.principal();
        let before = known.innermost(whom.kind, &whom.tenant).filter(|_| known.declared(&whom).is_none());
        if let Some(before) = before {
            lines.push_str(&format!(
                "  {whom} of {} is who it says from now on, no longer who {} says\n",
                whom.tenant,
                foreign(before)
            ));
        }
        let grants = cku_authority::role_grants(journal, &whom.tenant).map_err(|e| journal::failed(&e))?;
        for grant in grants.iter().filter(|grant| grant.principal == whom) {
            lines.push_str(&format!(
                "  {whom} of {} has the role {} in {}; `cku role revoke` takes it away\n",
                whom.tenant, grant.role, grant.tenant
            ));
        }
    }
    Ok(lines)
}

pub(super) fn revoke(args: &RevokeArgs) -> Result<Exit, Exit> {
    let journal = args.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = args.token.submitter(&journal, &genesis)?;
    let (id, reason) = (args.issuer.clone(), args.reason.clone());
    let revoked = IssuerRevoked { id, revoked_at: journal::now(), reason };
    let mut worker = journal::active_worker(&journal)?;
    cku_authority::revoke_issuer(&journal, &mut worker, &by, &revoked)
        .map_err(|e| journal::not_changed(&e))?;
    output::result(format_args!(
        "{} is revoked: tokens of its published keys are refused from now on\n",
        foreign(&args.issuer)
    ))?;
    Ok(Exit::Pass)
}

pub(super) fn learn(journal: &JournalArg) -> Result<Exit, Exit> {
    let journal = journal.open()?;
    let trust = journal::trust(&journal, &journal::genesis(&journal)?)?;
    match look(&journal, &trust)? {
        true => Ok(Exit::Pass),
        false => Err(Exit::Internal),
    }
}

/// Looks at the keys of all issuers; whether all could be read.
fn look(journal: &Journal, trust: &Trust) -> Result<bool, Exit> {
    let mut well = true;
    for (issuer, found) in cku_server::look_at_keys(journal, trust, journal::now) {
        let issuer = foreign(&issuer);
        match found {
            Ok(found) => {
                let (new, gone) = (found.learned.len(), found.retired.len());
                output::result(format_args!("{issuer}  {new} keys learned, {gone} retired\n"))?;
                for line in &found.skipped {
                    output::note(format_args!("  passed over: {}\n", foreign(line)));
                }
            }
            Err(why) => {
                well = false;
                output::problem(format_args!("the keys of `{issuer}` stay as they were: {}", foreign(&why)));
            }
        }
    }
    Ok(well)
}
