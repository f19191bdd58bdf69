//! `cku auth service-account`: machines whose tokens are kept here.

use std::time::Duration;

use cku_auth::{Secret, credential_id};
use cku_authority::{AccountClosed, AccountOpened, AccountRow, CredentialRow};
use cku_base::{PrincipalId, TenantPath, Timestamp};
use cku_gates::{Authentication, Submitter};
use cku_journal::Journal;

use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    output,
    render::{foreign, style},
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Open one (whoever may manage the service accounts of the tenant).
    Open {
        #[command(flatten)]
        which: Which,
        /// What it is for.
        #[arg(long, value_name = "TEXT", default_value = "")]
        purpose: String,
        #[command(flatten)]
        at: At,
    },
    /// List those of a tenant and below.
    List {
        /// The tenant.
        #[arg(long, value_name = "TENANT", default_value = "/")]
        tenant: TenantPath,
        #[command(flatten)]
        journal: JournalArg,
    },
    /// Issue a token, which is shown this once.
    Token {
        #[command(flatten)]
        which: Which,
        /// How long it holds, like `30d`; at most 366d.
        #[arg(long, value_name = "SPAN", default_value = "90d")]
        ttl: String,
        #[command(flatten)]
        at: At,
    },
    /// Issue a token in the place of those that hold, which end after a while.
    Rotate {
        #[command(flatten)]
        which: Which,
        /// How long it holds, like `30d`; at most 366d.
        #[arg(long, value_name = "SPAN", default_value = "90d")]
        ttl: String,
        /// How long the others hold still, like `1h`; at most 30d.
        #[arg(long, value_name = "SPAN", default_value = "24h")]
        grace: String,
        #[command(flatten)]
        at: At,
    },
    /// Refuse one of its tokens at once.
    Revoke {
        #[command(flatten)]
        which: Which,
        /// The token's id, as `list` shows it.
        #[arg(value_name = "ID")]
        id: String,
        /// Why.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        #[command(flatten)]
        at: At,
    },
    /// Close it for good: all its tokens are refused at once, and nobody else gets its name.
    Close {
        #[command(flatten)]
        which: Which,
        /// Why.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        #[command(flatten)]
        at: At,
    },
}

#[derive(Debug, clap::Args)]
struct Which {
    /// The account, like `gateway`.
    #[arg(value_name = "NAME")]
    name: PrincipalId,
    /// Where it is at home.
    #[arg(long, value_name = "TENANT")]
    tenant: TenantPath,
}

#[derive(Debug, clap::Args)]
struct At {
    #[command(flatten)]
    journal: JournalArg,
    #[command(flatten)]
    token: TokenArg,
}

impl At {
    /// The journal and who acts on it; a single user's takes no tokens, and so has none to issue.
    fn open(&self) -> Result<(Journal, Submitter), Exit> {
        let journal = self.journal.open()?;
        let genesis = journal::genesis(&journal)?;
        let by = self.token.submitter(&journal, &genesis)?;
        match genesis.authentication {
            Authentication::Token => Ok((journal, by)),
            Authentication::Local => Err(journal::refuse(
                "the journal is local, single-user: it takes no tokens; `cku init` makes one for several people",
            )),
        }
    }
}

const DAY: u64 = 86_400;

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    match &args.command {
        Command::Open { which, purpose, at } => open(which, purpose, at),
        Command::List { tenant, journal } => list(tenant, journal),
        Command::Token { which, ttl, at } => issue(which, ttl, None, at),
        Command::Rotate { which, ttl, grace, at } => issue(which, ttl, Some(grace), at),
        Command::Revoke { which, id, reason, at } => revoke(which, id, reason, at),
        Command::Close { which, reason, at } => close(which, reason, at),
    }
}

fn open(which: &Which, purpose: &str, at: &At) -> Result<Exit, Exit> {
    let (journal, by) = at.open()?;
    let mut worker = journal::active_worker(&journal)?;
    let opened = AccountOpened { name: which.name.clone(), purpose: purpose.to_owned() };
    cku_authority::open_account(&journal, &mut worker, &by, &which.tenant, &opened)
        .map_err(|e| journal::not_changed(&e))?;
    let mut text = format!("{} of {} is open\n", which.name, which.tenant);
    let grants = cku_authority::role_grants(&journal, &which.tenant).map_err(|e| journal::failed(&e))?;
    let whom = cku_auth::Account { tenant: which.tenant.clone(), name: which.name.clone(), closed_at: None };
    let whom = whom.principal();
    for grant in grants.iter().filter(|grant| grant.principal == whom) {
        text.push_str(&format!("  it has the role {} in {} already\n", grant.role, grant.tenant));
    }
    output::result(text)?;
    Ok(Exit::Pass)
}

fn list(tenant: &TenantPath, journal: &JournalArg) -> Result<Exit, Exit> {
    let journal = journal.open_to_read()?;
    for account in cku_authority::accounts(&journal, tenant).map_err(|e| journal::failed(&e))? {
        output::result(shown(&journal, &account)?)?;
    }
    Ok(Exit::Pass)
}

fn shown(journal: &Journal, account: &AccountRow) -> Result<String, Exit> {
    let dim = style::DIM;
    let closed = account.closed_at.map_or_else(String::new, |at| format!("  closed {at}"));
    let purpose = foreign(&account.purpose);
    let mut text =
        format!("{}  {dim}service_account in {}  {purpose}{closed}{dim:#}\n", account.name, account.tenant);
    let tokens = cku_authority::credentials(journal, &account.tenant, &account.name);
    for (token, revoked) in tokens.map_err(|e| journal::failed(&e))? {
        let ended = if revoked { "  revoked" } else { "" };
        text.push_str(&format!(
            "  {}  {dim}issued {}, until {}{ended}{dim:#}\n",
            token.id, token.issued_at, token.expires_at
        ));
    }
    Ok(text)
}

fn span(name: &str, text: &str, at_most: u64) -> Result<Duration, Exit> {
    let span = cku_skills::parse_duration(text).filter(|span| span.as_secs() <= at_most);
    span.ok_or_else(|| {
        journal::refuse(&format!(
            "{name} `{}` is no span up to {}d; write one like `12h`",
            foreign(text),
            at_most / DAY
        ))
    })
}

fn issue(which: &Which, ttl: &str, grace: Option<&String>, at: &At) -> Result<Exit, Exit> {
    let ttl = span("--ttl", ttl, 366 * DAY)?;
    let grace = grace.map(|grace| span("--grace", grace, 30 * DAY)).transpose()?;
    if ttl.is_zero() {
        return Err(journal::refuse("--ttl is nothing; write how long the token holds, like `90d`"));
    }
    let (journal, by) = at.open()?;
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| journal::failed(&format!("no random bytes: {e}")))?;
    let (secret, now) = (Secret::new(&random), journal::now());
    let after = |span: Duration| now.after(span).unwrap_or(now);
    let digest = secret.digest();
    let credential = CredentialRow {
        id: credential_id(&digest),
        tenant: which.tenant.clone(),
        name: which.name.clone(),
        digest,
        issued_at: now,
        expires_at: after(ttl),
    };
    let until: Option<Timestamp> = grace.map(after);
    let mut worker = journal::active_worker(&journal)?;
    let issued = cku_authority::issue_credential(&journal, &mut worker, &by, &credential, until)
        .map_err(|e| journal::not_changed(&e))?;
    output::result(format_args!("{}\n", secret.reveal()))?;
    output::note(format_args!(
        "{} of {}, until {}; it is shown this once\n",
        credential.id, credential.name, credential.expires_at
    ));
    if let Some(until) = issued.replaced_until {
        output::note(format_args!("until {until} also {}\n", issued.replaces.join(", ")));
    }
    Ok(Exit::Pass)
}

fn revoke(which: &Which, id: &str, reason: &str, at: &At) -> Result<Exit, Exit> {
    let (journal, by) = at.open()?;
    let mut worker = journal::active_worker(&journal)?;
    let whose = (&which.tenant, &which.name);
    cku_authority::revoke_credential(&journal, &mut worker, &by, whose, (id, reason))
        .map_err(|e| journal::not_changed(&e))?;
    output::result(format_args!("{} is refused from now on\n", foreign(id)))?;
    Ok(Exit::Pass)
}

fn close(which: &Which, reason: &str, at: &At) -> Result<Exit, Exit> {
    let (journal, by) = at.open()?;
    let mut worker = journal::active_worker(&journal)?;
    let closed =
        AccountClosed { name: which.name.clone(), closed_at: journal::now(), reason: reason.to_owned() };
    cku_authority::close_account(&journal, &mut worker, &by, &which.tenant, &closed)
        .map_err(|e| journal::not_changed(&e))?;
    output::result(format_args!("{} of {} is closed\n", which.name, which.tenant))?;
    Ok(Exit::Pass)
}
