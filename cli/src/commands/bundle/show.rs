//! `cku bundle show`: what a bundle is.

use std::path::PathBuf;

use cku_base::Digest;
use cku_changes::archive;
use serde_json::json;

use super::source;
use crate::{
    exit::Exit,
    load,
    output::{self, Format, counted},
    render::{foreign, style},
};

/// Show a bundle: name, revision, gates, modes, files, and the keys that signatures name.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// An archive, or the folder of a bundle.
    #[arg(value_name = "BUNDLE")]
    bundle: PathBuf,

    /// How to write it.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let (bundle, signatures) = if args.bundle.is_file() {
        let archive = source::archive(&args.bundle)?;
        (source::loaded(&args.bundle, &archive)?, archive::key_ids(&archive))
    } else {
        load::folder(&args.bundle, "an archive or the folder of a bundle")?;
        (load::bundle(&args.bundle, args.format)?, Vec::new())
    };
    let manifest = bundle.manifest();
    let gates: Vec<&str> = bundle.compiled().gates.iter().map(|gate| gate.name.as_str()).collect();
    let files: Vec<_> = bundle
        .sources()
        .files()
        .iter()
        .map(|f| (f.path.as_str(), f.text.len(), Digest::of(f.text.as_bytes()), f.kind.is_test()))
        .collect();
    if args.format == Format::Json {
        let files: Vec<_> = files
            .iter()
            .map(|(path, bytes, digest, test)| json!({"path": path, "bytes": bytes, "digest": digest, "test": test}))
            .collect();
        output::json(&json!({
            "name": manifest.name, "revision": bundle.revision(), "gates": gates, "modes": manifest.modes,
            "files": files, "signatures": signatures,
        }))?;
        return Ok(Exit::Pass);
    }
    let dim = style::DIM;
    let mut text = format!("{}\n{dim}{}{dim:#}\n", foreign(&manifest.name), bundle.revision());
    text.push_str(&format!("gates  {}\nmodes  {}\n", gates.join(", "), manifest.modes.join(", ")));
    text.push_str(&format!("{}\n", counted(files.len(), "file")));
    for (path, bytes, _, test) in &files {
        let test = if *test { "  test" } else { "" };
        text.push_str(&format!("  {bytes:>7}  {}{dim}{test}{dim:#}\n", foreign(path)));
    }
    for key in &signatures {
        text.push_str(&format!("signed with {key}, as it says; `cku bundle verify` tells\n"));
    }
    output::result(text)?;
    Ok(Exit::Pass)
}
