//! `cku bundle build`: the archive of a bundle.

use std::path::PathBuf;

use cku_changes::archive::Archive;

use super::source;
use crate::{
    exit::Exit,
    journal,
    load::{self, BundleArg},
    output::{self, Format},
    render::style,
};

/// Write a bundle that loads as an archive; the same files give the same bytes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    bundle: BundleArg,

    /// Where it is written, like `baseline.tar.gz`.
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,

    /// Take the tests along, which are no part of the revision.
    #[arg(long)]
    with_tests: bool,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let bundle = load::bundle(&args.bundle.dir, Format::Pretty)?;
    let archive = Archive::new(bundle.sources(), args.with_tests);
    let archive = archive.map_err(|error| journal::refuse(&format!("no archive was written: {error}")))?;
    source::write_archive(&args.output, &archive)?;
    let dim = style::DIM;
    let (name, revision) = (&bundle.manifest().name, bundle.revision());
    output::result(format_args!("{name} in {}\n{dim}{revision}{dim:#}\n", args.output.display()))?;
    Ok(Exit::Pass)
}
