//! `cku bundle push`: into a folder that serves as a registry.

use std::{fs, path::PathBuf};

use super::source;
use crate::{exit::Exit, journal, load, output};

/// Put an archive into a folder that serves as a registry, and make it the latest of its name.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The folder of the registry.
    #[arg(value_name = "REGISTRY")]
    registry: PathBuf,
}

/// The file that names the latest revision of a bundle.
pub(crate) const LATEST: &str = "latest";

/// What to name where a registry is wanted.
pub(crate) const OF_A_REGISTRY: &str = "the folder of a registry, which may be an empty one";

/// The name of a revision's archive: `sha256-<64 hex digits>.tar.gz`.
pub(crate) fn file_name(revision: &str) -> String {
    format!("{}.tar.gz", revision.replace(':', "-"))
}

/// Whether a name can be that of a folder.
pub(crate) fn is_folder_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !name.is_empty() && !name.starts_with('.') && name.chars().all(plain)
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    load::folder(&args.registry, OF_A_REGISTRY)?;
    let archive = source::archive(&args.file)?;
    let name = &archive.manifest().name;
    if !is_folder_name(name) {
        return Err(journal::refuse(&format!(
            "the bundle's name `{}` is no name for a folder; take letters, digits, `-`, `_` and `.`",
            crate::render::foreign(name)
        )));
    }
    let folder = args.registry.join(name);
    fs::create_dir_all(&folder).map_err(|error| {
        journal::refuse(&format!("the folder `{}` cannot be made: {error}", folder.display()))
    })?;
    let revision = archive.revision().to_string();
    let file = folder.join(file_name(&revision));
    source::write_archive(&file, &archive)?;
    source::write(&folder.join(LATEST), format!("{revision}\n").as_bytes())?;
    output::result(format_args!("{}\n", file.display()))?;
    Ok(Exit::Pass)
}
