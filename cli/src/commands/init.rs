//! `cku init`: the first entry of a journal, made once.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cku_authority::{Admin, Control, Floor, FoundingError, Genesis};
use cku_base::{PrincipalId, PrincipalKind, TenantPath};
use cku_engine::Bundle;
use cku_gates::{Authentication, Submitter};
use cku_journal::Journal;
use std::{collections::BTreeMap, sync::Arc};

use super::auth::{issuer::issuer, keys};
use crate::{
    exit::Exit,
    journal::{self, JournalArg},
    load, output,
    render::{foreign, style},
};

/// Make a journal: who may do everything at first, which keys are trusted, which policies are active.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    journal: JournalArg,

    /// Who may do everything at first, as tokens name them, like `dana@acme.example`.
    #[arg(long, value_name = "SUBJECT")]
    admin: PrincipalId,

    /// Who signs the tokens, like `https://id.acme.example`; the policies name the issuers they trust.
    #[arg(long, value_name = "ISSUER", value_parser = issuer)]
    issuer: String,

    /// What tokens must be meant for.
    #[arg(long, value_name = "AUDIENCE", default_value = "cku")]
    audience: String,

    /// The issuer's key: made if there is none; keep it where only the issuer can read it.
    #[arg(long, value_name = "FILE", default_value = "issuer.pem")]
    key: PathBuf,

    /// The folder of the bundle; without it, the baseline that is built into cku.
    #[arg(long, value_name = "DIR")]
    bundle: Option<PathBuf>,

    /// How bundles become active: what the folder holds, or by change control alone.
    #[arg(long, value_enum, default_value = "files")]
    control: ControlArg,

    /// The folder of the bundle that decides over changes, where control is managed; without it, the one
    /// that is built into cku.
    #[arg(long, value_name = "DIR")]
    change_control: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ControlArg {
    /// What the folder holds is active once it loads.
    Files,
    /// Only change control activates.
    Managed,
}

/// Makes the journal; no file of it is left behind when it cannot be made.
///
/// The key is made first: a key without a journal is of no use, a journal without its key of none ever.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let path = args.journal.path()?;
    let bundle = load::bundle_or_baseline(args.bundle.as_deref())?;
    let directory = args.bundle.as_deref().map(absolute).transpose()?;
    cku_authority::can_found(&bundle).map_err(|error| journal::refuse(&error.to_string()))?;
    if existing(&path)?.is_some() {
        return Err(made_once(&path));
    }
    let (key, made) = keys::load_or_make(&args.key)?;
    let trusted = keys::trusted(&key, &args.issuer, &TenantPath::root());
    let admin = Admin {
        issuer: Some(args.issuer.clone()),
        principal: cku_base::Principal {
            kind: PrincipalKind::User,
            id: args.admin.clone(),
            tenant: TenantPath::root(),
        },
    };
    let trusted = serde_json::to_value(&trusted).map_err(|e| journal::failed(&e))?;
    let genesis = Genesis {
        admin,
        authentication: Authentication::Token,
        audience: args.audience.clone(),
        keys: vec![trusted],
        bundles: BTreeMap::from([("gates".to_owned(), bundle.revision())]),
        control: match args.control {
            ControlArg::Files => Control::Files,
            ControlArg::Managed => Control::Managed,
        },
        directory,
        floor: Floor::default(),
    };
    let changes = match args.control {
        ControlArg::Files => None,
        ControlArg::Managed => Some(change_control(args.change_control.as_deref(), &bundle)?),
    };
    let journal = create(&path, &genesis, &bundle, changes.as_deref())?;
    let (bold, dim) = (style::BOLD, style::DIM);
    output::result(format_args!(
        "{bold}{}{bold:#}\n  admin    {} (issuer {})\n  key      {} {dim}{}{dim:#}\n  bundle   {} {dim}{}{dim:#}\n  control  {}\n",
        path.display(),
        genesis.admin.principal,
        args.issuer,
        args.key.display(),
        if made { "made; whoever has it can sign tokens for anybody" } else { "was there" },
        bundle.manifest().name,
        bundle.revision(),
        match args.control {
            ControlArg::Files => "files",
            ControlArg::Managed => "managed",
        },
    ))?;
    drop(journal);
    Ok(Exit::Pass)
}

/// The bundle that decides over changes of this one: it must know its modes and its roles.
fn change_control(dir: Option<&Path>, bundle: &Bundle) -> Result<Arc<Bundle>, Exit> {
    let changes = load::bundle_or(load::CHANGE_CONTROL, dir)?;
    let known = &changes.manifest().modes;
    if let Some(mode) = bundle.manifest().modes.iter().find(|mode| !known.contains(mode)) {
        return Err(journal::refuse(&format!(
            "the bundle of change control has no mode `{mode}`, so no change could become active in it; it has {}",
            known.join(", ")
        )));
    }
    Ok(changes)
}

/// Makes a journal with its first entries, or finishes one that has none.
///
/// That of a single user may have been made by another command meanwhile: it is as good as this one.
pub(crate) fn create(
    path: &Path,
    genesis: &Genesis,
    bundle: &Bundle,
    changes: Option<&Bundle>,
) -> Result<Journal, Exit> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(parent).map_err(|error| {
            output::problem(format_args!("the folder `{}` cannot be made: {error}", parent.display()));
            Exit::Usage
        })?;
    }
    let by = Submitter {
        principal: genesis.admin.principal.clone(),
        authentication: genesis.authentication,
        token: None,
    };
    cku_authority::found_at(path, journal::options(), &by, genesis, bundle, changes).or_else(|error| {
        match error {
            FoundingError::Twice if genesis.authentication == Authentication::Local => {
                Journal::open(path, journal::options()).map_err(|error| journal::refuse_to_open(path, &error))
            }
            FoundingError::Twice => Err(made_once(path)),
            FoundingError::Open(error) => Err(journal::refuse_to_open(path, &error)),
            error @ FoundingError::NoAdmin(_) => {
                output::problem(foreign(&error.to_string()));
                Err(Exit::Bundle)
            }
            error => Err(journal::failed(&error)),
        }
    })
}

/// Makes a folder and those it lies in; they are there after a crash, too.
fn make_folder(folder: &Path) -> std::io::Result<()> {
    let new: Vec<&Path> =
        folder.ancestors().take_while(|at| !at.as_os_str().is_empty() && !at.exists()).collect();
    fs::create_dir_all(folder)?;
    for at in new {
        let above = at.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::File::open(above)?.sync_all()?;
    }
    Ok(())
}

fn made_once(path: &Path) -> Exit {
    output::problem(format_args!(
        "the journal `{}` has its genesis already; it is made once. Name another file with --journal",
        path.display()
    ));
    Exit::Usage
}

fn existing(path: &Path) -> Result<Option<Genesis>, Exit> {
    if !path.exists() {
        return Ok(None);
    }
    let journal = Journal::open(path, journal::options()).map_err(|e| journal::refuse_to_open(path, &e))?;
    cku_authority::genesis(&journal).map_err(|e| journal::failed(&e))
}

fn absolute(dir: &Path) -> Result<String, Exit> {
    let absolute = fs::canonicalize(dir).map_err(|error| {
        output::problem(format_args!("`{}` cannot be found: {error}", dir.display()));
        Exit::Usage
    })?;
    Ok(absolute.display().to_string())
}
