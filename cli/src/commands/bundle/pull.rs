//! `cku bundle pull`: from a folder that serves as a registry.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cku_base::Digest;

use super::{
    push::{LATEST, OF_A_REGISTRY, file_name, is_folder_name},
    source,
};
use crate::{exit::Exit, journal, load, output};

/// Take an archive from a folder that serves as a registry.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the registry.
    #[arg(value_name = "REGISTRY")]
    registry: PathBuf,

    /// A name (its latest revision), or a revision or its beginning; without it, the only name there is.
    #[arg(value_name = "NAME|REVISION")]
    which: Option<String>,

    /// Where it is written.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    load::folder(&args.registry, OF_A_REGISTRY)?;
    let (file, revision) = find(args)?;
    let archive = source::archive(&file)?;
    if archive.revision() != revision {
        return Err(journal::refuse(&format!(
            "`{}` holds {}, which is not what its name says",
            file.display(),
            archive.revision()
        )));
    }
    source::write_archive(&args.output, &archive)?;
    output::result(format_args!("{} in {}\n{revision}\n", archive.manifest().name, args.output.display()))?;
    Ok(Exit::Pass)
}

/// The file that is asked for, and the revision that it has to hold.
fn find(args: &Args) -> Result<(PathBuf, Digest), Exit> {
    let names = names(&args.registry)?;
    let name = match args.which.as_deref() {
        Some(which) if which.starts_with("sha256:") => return of_revision(&args.registry, &names, which),
        Some(which) => names.iter().find(|name| *name == which).ok_or_else(|| {
            let meant = cku_base::suggest(which, names.iter().map(String::as_str));
            let hint = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            let shown = crate::render::foreign(which);
            journal::refuse(&format!("the registry has no bundle `{shown}`{hint}"))
        })?,
        None => match names.as_slice() {
            [one] => one,
            [] => return Err(journal::refuse("the registry is empty; `cku bundle push` fills it")),
            many => {
                let all = many.join(", ");
                return Err(journal::refuse(&format!("the registry has {all}; say which")));
            }
        },
    };
    let folder = args.registry.join(name);
    let latest = load::bytes(&folder.join(LATEST), 100)?;
    let text = String::from_utf8_lossy(&latest);
    let revision: Digest = text.trim_end().parse().map_err(|error| {
        journal::refuse(&format!("`{}` names no revision: {error}", folder.join(LATEST).display()))
    })?;
    Ok((folder.join(file_name(&revision.to_string())), revision))
}

fn of_revision(registry: &Path, names: &[String], which: &str) -> Result<(PathBuf, Digest), Exit> {
    let mut all = Vec::new();
    for name in names {
        for file in entries(&registry.join(name))? {
            let text = file.strip_suffix(".tar.gz").map(|stem| stem.replacen('-', ":", 1));
            if let Some(revision) = text.and_then(|text| text.parse::<Digest>().ok()) {
                all.push((registry.join(name).join(file), revision));
            }
        }
    }
    let revision = source::revision(which, all.iter().map(|(_, revision)| *revision))?;
    let found = all.into_iter().find(|(_, is)| *is == revision);
    found.ok_or_else(|| journal::refuse("the registry has no such revision"))
}

fn names(registry: &Path) -> Result<Vec<String>, Exit> {
    let all = entries(registry)?;
    Ok(all.into_iter().filter(|name| is_folder_name(name) && registry.join(name).is_dir()).collect())
}

fn entries(folder: &Path) -> Result<Vec<String>, Exit> {
    let read = fs::read_dir(folder).and_then(|all| all.map(|e| e.map(|e| e.file_name())).collect());
    let names: Vec<std::ffi::OsString> =
        read.map_err(|e| journal::refuse(&format!("the folder `{}` cannot be read: {e}", folder.display())))?;
    let mut names: Vec<String> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
    names.sort();
    Ok(names)
}
