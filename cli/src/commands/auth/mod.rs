//! `cku auth`: keys and tokens of a small installation.

mod account;
pub(crate) mod issuer;
mod issuers;
pub(crate) mod keys;
mod session;

use std::{collections::BTreeSet, path::PathBuf};

use cku_auth::{Claims, Trust, TrustedKey};
use cku_authority::{KeyRevoked, KeyTrusted};
use cku_base::{Principal, PrincipalId, PrincipalKind, TenantPath};
use cku_engine::access::RoleGrant;
use cku_journal::Journal;

use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    output,
    render::{foreign, style},
};

/// Keys and tokens: who people are.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key to sign tokens with.
    Keygen {
        /// Where it is written, for its owner alone.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Sign a token.
    Token(TokenArgs),
    /// Say who a token is from, if the journal trusts it.
    Whoami {
        #[command(flatten)]
        journal: JournalArg,
        #[command(flatten)]
        token: TokenArg,
    },
    /// List the keys that the journal trusts.
    Keys {
        #[command(flatten)]
        journal: JournalArg,
    },
    /// Trust a key from now on (an administrator of the root tenant).
    Trust(TrustArgs),
    /// Trust a key no longer: all its tokens are refused at once.
    Revoke {
        /// The id of the key, as `cku auth keys` shows it.
        #[arg(value_name = "KEY", allow_hyphen_values = true)]
        key: String,
        /// Why.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
        #[command(flatten)]
        journal: JournalArg,
        #[command(flatten)]
        token: TokenArg,
    },
    /// Trust an issuer whose keys are found at an address (an administrator of the root tenant).
    TrustIssuer(issuers::TrustArgs),
    /// Trust such an issuer no longer, nor any key that was found there.
    RevokeIssuer(issuers::RevokeArgs),
    /// Look at the keys that issuers publish now, and write down what changed; a server does so by itself.
    Learn {
        #[command(flatten)]
        journal: JournalArg,
    },
    /// Refuse one token from now on.
    RevokeToken(session::Args),
    /// Service accounts that are kept here, and their tokens.
    ServiceAccount(account::Args),
}

#[derive(Debug, clap::Args)]
struct TokenArgs {
    /// The key to sign with; without it, `issuer.pem`.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Whom it names, like `rhea@acme.example`.
    #[arg(long, value_name = "SUBJECT")]
    sub: PrincipalId,
    /// What sort of principal that is.
    #[arg(long, value_enum, default_value = "user")]
    kind: Kind,
    /// Where they are at home, like `acme`.
    #[arg(long, value_name = "TENANT")]
    tenant: TenantPath,
    /// How long it holds, like `15m` or `8h`; at most 24h.
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    ttl: String,
    /// Who signs it; without it, the issuer of this key in the journal.
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Whom it is meant for.
    #[arg(long, value_name = "AUDIENCE", default_value = "cku")]
    audience: String,
    #[command(flatten)]
    journal: JournalArg,
}

#[derive(Debug, clap::Args)]
struct TrustArgs {
    /// The public key, a JWK in JSON.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Who signs with it, like `https://id.acme.example`.
    #[arg(long, value_name = "ISSUER", value_parser = issuer::issuer)]
    issuer: String,
    /// It speaks for principals at home here and below.
    #[arg(long, value_name = "TENANT")]
    tenant: TenantPath,
    /// It speaks for principals of these kinds.
    #[arg(long, value_enum, value_delimiter = ',', required = true)]
    kinds: Vec<Kind>,
    #[command(flatten)]
    journal: JournalArg,
    #[command(flatten)]
    token: TokenArg,
}

/// What sort of principal.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum Kind {
    /// A person.
    User,
    /// A machine, such as a CI job.
    #[value(name = "service_account", alias = "service-account")]
    ServiceAccount,
    /// A coding agent.
    Agent,
}

impl From<Kind> for PrincipalKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::User => Self::User,
            Kind::ServiceAccount => Self::ServiceAccount,
            Kind::Agent => Self::Agent,
        }
    }
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    match &args.command {
        Command::Keygen { file } => keygen(file),
        Command::Token(args) => token(args),
        Command::Whoami { journal, token } => whoami(journal, token),
        Command::Keys { journal } => list(journal),
        Command::Trust(args) => trust(args),
        Command::Revoke { key, reason, journal, token } => revoke(key, reason, journal, token),
        Command::TrustIssuer(args) => issuers::trust(args),
        Command::RevokeIssuer(args) => issuers::revoke(args),
        Command::Learn { journal } => issuers::learn(journal),
        Command::RevokeToken(args) => session::run(args),
        Command::ServiceAccount(args) => account::run(args),
    }
}

fn keygen(file: &std::path::Path) -> Result<Exit, Exit> {
    let key = keys::make(file)?;
    output::json(&key.public_key())?;
    output::note(format_args!(
        "{}\n  key  {}\n  whoever has this file can sign tokens; the line above is public\n",
        file.display(),
        key.public_key().id()
    ));
    Ok(Exit::Pass)
}

fn token(args: &TokenArgs) -> Result<Exit, Exit> {
    let default = std::path::Path::new("issuer.pem");
    if args.key.is_none() && !default.exists() {
        return Err(journal::refuse(
            "there is no `issuer.pem` here, which is the default of --key; give --key FILE, the key that `cku init` made",
        ));
    }
    let key = keys::load(args.key.as_deref().unwrap_or(default))?;
    let ttl = cku_skills::parse_duration(&args.ttl);
    let ttl = ttl.filter(|ttl| (1..=86_400).contains(&ttl.as_secs())).ok_or_else(|| {
        journal::refuse(&format!("--ttl `{}` is no span up to 24h; write one like `15m`", foreign(&args.ttl)))
    })?;
    let issuer = match &args.issuer {
        Some(issuer) => issuer.clone(),
        None => issuer_of(&key, &args.journal)?,
    };
    let now = journal::now();
    let expires_at = now.after(ttl).ok_or(Exit::Usage)?;
    let principal = Principal { kind: args.kind.into(), id: args.sub.clone(), tenant: args.tenant.clone() };
    let claims = Claims {
        issuer,
        audience: args.audience.clone(),
        principal,
        issued_at: now,
        expires_at,
        token_id: Some(token_id()?),
    };
    output::result(format_args!("{}\n", key.token(&claims)))?;
    Ok(Exit::Pass)
}

/// A name for a token, by which it can be revoked alone.
fn token_id() -> Result<String, Exit> {
    let mut random = [0; 12];
    getrandom::fill(&mut random).map_err(|e| journal::failed(&format!("no random bytes: {e}")))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Who signs with this key, as the journal knows.
fn issuer_of(key: &cku_auth::SigningKey, journal: &JournalArg) -> Result<String, Exit> {
    let journal = journal.open_to_read()?;
    let id = key.public_key().id();
    let trust = journal::trust(&journal, &journal::genesis(&journal)?)?;
    let issuer = trust.keys().iter().find(|k| k.id == id).map(|k| k.issuer.clone());
    issuer.ok_or_else(|| {
        journal::refuse(&format!("the journal does not know the key {id}; give --issuer, or another --key"))
    })
}

fn whoami(journal: &JournalArg, token: &TokenArg) -> Result<Exit, Exit> {
    let journal = journal.open_to_read()?;
    let genesis = journal::genesis(&journal)?;
    let who = token.submitter(&journal, &genesis)?;
    let dim = style::DIM;
    let mut text = format!("{} at home in {}", who.principal, who.principal.tenant);
    match &who.token {
        Some(token) => {
            text.push_str(&format!("\n{dim}by {}, until {}{dim:#}", foreign(&token.issuer), token.expires_at))
        }
        None => text.push_str(&format!("\n{dim}local, single-user{dim:#}")),
    }
    let grants =
        cku_authority::role_grants(&journal, &who.principal.tenant).map_err(|e| journal::failed(&e))?;
    for grant in grants.iter().filter(|grant| grant.principal == who.principal) {
        text.push_str(&format!("\n  {} in {}", grant.role, grant.tenant));
    }
    output::result(format_args!("{text}\n"))?;
    Ok(Exit::Pass)
}

fn list(journal: &JournalArg) -> Result<Exit, Exit> {
    let journal = journal.open_to_read()?;
    let trust = journal::trust(&journal, &journal::genesis(&journal)?)?;
    let dim = style::DIM;
    for key in trust.keys() {
        let kinds: Vec<_> = key.kinds.iter().map(|k| k.as_str()).collect();
        let revoked = key.revoked_at.map(|at| format!("  revoked {at}"));
        let retired = key.retired_at.map(|at| format!("  not published since {at}"));
        let revoked = revoked.or(retired).unwrap_or_default();
        let kid = key.kid.as_ref().map_or_else(String::new, |kid| format!("  `{}`", foreign(kid)));
        output::result(format_args!(
            "{}  {}  {dim}{} {} in {}{kid}{revoked}{dim:#}\n",
            key.id,
            foreign(&key.issuer),
            key.public_key.algorithm().as_str(),
            kinds.join(", "),
            key.tenant
        ))?;
    }
    for known in trust.issuers() {
        let revoked = known.revoked_at.map_or_else(String::new, |at| format!("  revoked {at}"));
        let (issuer, jwks) = (foreign(&known.issuer.issuer), foreign(&known.issuer.jwks));
        output::result(format_args!("{issuer}  {dim}publishes its keys at {jwks}{revoked}{dim:#}\n"))?;
    }
    Ok(Exit::Pass)
}

fn trust(args: &TrustArgs) -> Result<Exit, Exit> {
    let public = keys::load_public(&args.file)?;
    let journal = args.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = args.token.submitter(&journal, &genesis)?;
    let kinds = args.kinds.iter().map(|kind| PrincipalKind::from(*kind));
    let key = TrustedKey::new(public, args.issuer.clone(), args.tenant.clone(), kinds);
    // Whether it can be trusted beside the others, before it is, and if nobody changes them meanwhile.
    let seen = cku_authority::keys_changed_at(&journal).map_err(|e| journal::failed(&e))?;
    let known = journal::trust(&journal, &genesis)?;
    known.with_key(key.clone()).map_err(|e| journal::refuse(&e.to_string()))?;
    let id = key.id.to_string();
    let passed = passed_on(&journal, &known, (&key.issuer, &key.tenant, &key.kinds))?;
    let key = serde_json::to_value(&key).map_err(|e| journal::failed(&e))?;
    let mut worker = journal::active_worker(&journal)?;
    let trusted = KeyTrusted { key, id: id.clone() };
    cku_authority::trust_key(&journal, &mut worker, &by, &trusted, seen)
        .map_err(|e| journal::not_changed(&e))?;
    output::result(format_args!("{id} is trusted\n{passed}"))?;
    Ok(Exit::Pass)
}

/// Whom another issuer names from now on, and the roles that go with the names: nobody inherits silently.
fn passed_on(
    journal: &Journal,
    known: &Trust,
    (issuer, tenant, kinds): (&str, &TenantPath, &BTreeSet<PrincipalKind>),
) -> Result<String, Exit> {
    let mut lines = String::new();
    for kind in kinds {
        let before = known.innermost(*kind, tenant).filter(|other| *other != issuer);
        let Some(before) = before else { continue };
        lines.push_str(&format!(
            "  {} names the {}s of {} and below from now on, no longer {}\n",
            foreign(issuer),
            kind.as_str(),
            tenant,
            foreign(before)
        ));
        let grants = cku_authority::role_grants(journal, tenant).map_err(|e| journal::failed(&e))?;
        let theirs = |grant: &&RoleGrant| {
            let whom = &grant.principal;
            whom.kind == *kind && tenant.contains(&whom.tenant)
        };
        for grant in grants.iter().filter(theirs) {
            lines.push_str(&format!(
                "  {} of {} has the role {} in {}; `cku role revoke` takes it away\n",
                grant.principal, grant.principal.tenant, grant.role, grant.tenant
            ));
        }
    }
    Ok(lines)
}

fn revoke(id: &str, reason: &str, journal: &JournalArg, token: &TokenArg) -> Result<Exit, Exit> {
    let journal = journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = token.submitter(&journal, &genesis)?;
    let mut worker = journal::active_worker(&journal)?;
    let revoked = KeyRevoked { id: id.to_owned(), revoked_at: journal::now(), reason: reason.to_owned() };
    cku_authority::revoke_key(&journal, &mut worker, &by, &revoked).map_err(|e| journal::not_changed(&e))?;
    output::result(format_args!("{id} is revoked: its tokens are refused from now on\n"))?;
    Ok(Exit::Pass)
}
