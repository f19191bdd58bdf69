//! The journal that commands work on: where it is, opening it, who acts on it.

use std::{
    collections::BTreeSet,
    env,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use cku_auth::Trust;
use cku_authority::{Genesis, OfficeError};
use cku_base::{Principal, PrincipalId, PrincipalKind, TenantPath, Timestamp};
use cku_changes::diff::DiffRows;
use cku_engine::Worker;
use cku_gates::{Authentication, Submitter};
use cku_journal::{Journal, OpenError, Options, Together};
use cku_runs::Projections;

use crate::{exit::Exit, output, render::foreign};

/// Where the journal is.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct JournalArg {
    /// The journal; without it, `journal.db` in cku's folder below $XDG_STATE_HOME or ~/.local/state.
    #[arg(long, value_name = "FILE", env = "CKU_JOURNAL", global = true)]
    pub(crate) journal: Option<PathBuf>,
}

impl JournalArg {
    /// The file, whether it is there or not.
    pub(crate) fn path(&self) -> Result<PathBuf, Exit> {
        if let Some(path) = &self.journal {
            return Ok(path.clone());
        }
        let state = env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        let home = env::var_os("HOME").map(PathBuf::from).filter(|p| p.is_absolute());
        let state = state.or_else(|| home.map(|home| home.join(".local/state")));
        state.map(|s| s.join("cku/journal.db")).ok_or_else(|| {
            output::problem("where the journal is cannot be told without $HOME; give --journal FILE");
            Exit::Usage
        })
    }

    /// The file, which is there; what is wrong has been shown when this is an error.
    pub(crate) fn existing(&self) -> Result<PathBuf, Exit> {
        let path = self.path()?;
        if path.exists() {
            return Ok(path);
        }
        output::problem(format_args!("there is no journal at `{}`; give --journal FILE", path.display()));
        Err(Exit::Usage)
    }

    /// Opens the journal; what is wrong with it has been shown when this is an error.
    pub(crate) fn open(&self) -> Result<Journal, Exit> {
        let path = self.path()?;
        if !path.exists() {
            output::problem(format_args!(
                "there is no journal at `{}`; `cku init` makes one, `cku run` one for a single user",
                path.display()
            ));
            return Err(Exit::Usage);
        }
        Journal::open(&path, options()).map_err(|error| refuse_to_open(&path, &error))
    }

    /// Opens the journal only to read; nothing of it is changed.
    pub(crate) fn open_to_read(&self) -> Result<Journal, Exit> {
        let path = self.existing()?;
        Journal::read_only(&path, options()).map_err(|error| refuse_to_open(&path, &error))
    }
}

/// One line about a journal that cannot be used.
pub(crate) fn refuse_to_open(path: &Path, error: &OpenError) -> Exit {
    output::problem(format_args!("the journal `{}` cannot be used: {error}", path.display()));
    match error {
        OpenError::NotAJournal | OpenError::Missing => Exit::Usage,
        _ => Exit::Internal,
    }
}

/// All that is derived from entries.
fn projector() -> Together {
    let authority: &[&str] = &cku_authority::TABLES;
    Together::new(vec![Box::new(Projections), Box::new(DiffRows)], authority)
}

/// How journals are opened here.
pub(crate) fn options() -> Options {
    Options { clock: Arc::new(now), projector: Arc::new(projector()), ..Options::default() }
}

/// Says that a tenant has no entries yet, since it may be mistyped; whoever asks first acts there then.
pub(crate) fn strange(journal: &Journal, tenant: &TenantPath) -> Result<Option<String>, Exit> {
    let tenants = journal.tenants().map_err(|e| failed(&e))?;
    // What lies above a tenant with entries is no slip, either.
    let known: BTreeSet<TenantPath> = tenants.iter().flat_map(TenantPath::ancestry).collect();
    if known.contains(tenant) {
        return Ok(None);
    }
    let meant = cku_base::suggest(tenant.as_str(), known.iter().map(TenantPath::as_str));
    let hint = meant.map_or_else(|| " yet".to_owned(), |meant| format!("; did you mean `{meant}`?"));
    Ok(Some(format!("note: the journal has no entries of `{tenant}`{hint}\n")))
}

/// The present time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since.as_micros()).unwrap_or(0);
    Timestamp::from_unix_micros(micros).unwrap_or(Timestamp::EPOCH)
}

/// Who acts.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct TokenArg {
    /// The token of whoever acts; `@FILE` reads it from a file, so that it does not show in process lists.
    #[arg(long, value_name = "TOKEN", env = "CKU_TOKEN", hide_env_values = true)]
    pub(crate) token: Option<String>,
}

impl TokenArg {
    /// Who acts: by the token, or the single local user of a journal that knows no tokens.
    pub(crate) fn submitter(&self, journal: &Journal, genesis: &Genesis) -> Result<Submitter, Exit> {
        match (genesis.authentication, &self.token) {
            (Authentication::Local, None) => Ok(Submitter {
                principal: genesis.admin.principal.clone(),
                authentication: Authentication::Local,
                token: None,
            }),
            (Authentication::Local, Some(_)) => Err(refuse(
                "the journal is local, single-user: it trusts no keys; `cku init` makes one for several people",
            )),
            (Authentication::Token, None) => {
                Err(refuse("this takes a token: give --token TOKEN or --token @FILE, or set CKU_TOKEN"))
            }
            (Authentication::Token, Some(text)) => {
                let trust = trust(journal, genesis)?;
                verified(&read_token(text)?, &trust).map(cku_authority::submitter)
            }
        }
    }
}

/// The keys that a journal trusts.
pub(crate) fn trust(journal: &Journal, genesis: &Genesis) -> Result<Trust, Exit> {
    let trusted = cku_authority::trusted(journal).map_err(|e| failed(&e))?;
    Trust::read(trusted, &genesis.audience).map_err(|e| refuse(foreign(&e.to_string()).as_ref()))
}

/// A token from an argument, or from the file it names.
pub(crate) fn read_token(text: &str) -> Result<String, Exit> {
    let Some(file) = text.strip_prefix('@') else { return Ok(text.to_owned()) };
    let limits = cku_base::document::Limits { bytes: 64 << 10, depth: 1 };
    let bytes = crate::load::bytes(Path::new(file), limits.bytes)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.trim_end().to_owned()),
        Err(_) => Err(refuse(&format!("`{file}` holds no token"))),
    }
}

/// Verifies a token now.
pub(crate) fn verified(token: &str, trust: &Trust) -> Result<cku_auth::Authenticated, Exit> {
    cku_auth::verify(token, trust, now()).map_err(|error| refuse(&format!("the token is refused: {error}")))
}

/// The first entry of a journal.
pub(crate) fn genesis(journal: &Journal) -> Result<Genesis, Exit> {
    let genesis = cku_authority::genesis(journal).map_err(|e| failed(&e))?;
    genesis.ok_or_else(|| refuse("the journal has no genesis; `cku init` makes one"))
}

/// A worker over the bundle that is active.
pub(crate) fn active_worker(journal: &Journal) -> Result<Worker, Exit> {
    cku_authority::active(journal).map(Worker::new).map_err(|e| failed(&e))
}

/// A worker over the bundle that decides over a run.
pub(crate) fn worker_of(journal: &Journal, mode: &str, run: &str) -> Result<Worker, Exit> {
    let deciding = cku_authority::deciding(journal, mode, run).map_err(|e| failed(&e))?;
    Ok(Worker::new(deciding.bundle))
}

/// The single user of this machine.
pub(crate) fn local_user() -> Principal {
    let name = env::var("USER").ok().and_then(|name| name.parse::<PrincipalId>().ok());
    let id = name.or_else(|| "local".parse().ok());
    let id = id.unwrap_or_else(|| unreachable!("`local` names a principal"));
    Principal { kind: PrincipalKind::User, id, tenant: TenantPath::root() }
}

/// Shows why a role or a key was not changed.
pub(crate) fn not_changed(error: &OfficeError) -> Exit {
    match error {
        OfficeError::Access(error) => crate::render::problems::of_access(error),
        // Not what was asked for, but what others did meanwhile: it may be tried again.
        OfficeError::Meanwhile(_) => failed(error),
        refused => refuse(&foreign(&refused.to_string())),
    }
}

/// One line, and wrong usage.
pub(crate) fn refuse(why: &str) -> Exit {
    output::problem(why);
    Exit::Usage
}

/// One line, and an internal failure.
pub(crate) fn failed(why: &dyn std::fmt::Display) -> Exit {
    output::problem(why);
    Exit::Internal
}
