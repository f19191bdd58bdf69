//! `cku bundle verify`: is an archive signed by who should have signed it?

use std::path::PathBuf;

use super::source;
use crate::{
    commands::auth::keys,
    exit::Exit,
    output,
    render::{foreign, style},
};

/// Verify the signatures of an archive: each is by a key that is given, and for exactly its files.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The archive.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The public keys that are trusted, each a file with a JWK in JSON.
    #[arg(long, value_name = "PUB", required = true, num_args = 1..)]
    key: Vec<PathBuf>,

    /// What the signatures are for.
    #[arg(long, value_name = "SCOPE", default_value = "")]
    scope: String,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let keys = args.key.iter().map(|file| keys::load_public(file)).collect::<Result<Vec<_>, _>>()?;
    let archive = source::archive(&args.file)?;
    let signed = archive.verify(&keys, &args.scope).map_err(|error| {
        output::problem(format_args!("`{}` is not verified: {error}", args.file.display()));
        Exit::Reject
    })?;
    let (good, dim) = (style::GOOD, style::DIM);
    let name = foreign(&archive.manifest().name);
    output::result(format_args!("{good}verified{good:#}  {name}  {dim}{}{dim:#}\n", archive.revision()))?;
    for signed in signed {
        let algorithm = signed.key.algorithm().as_str();
        output::result(format_args!("  by {} ({algorithm})\n", signed.key.id()))?;
    }
    Ok(Exit::Pass)
}
