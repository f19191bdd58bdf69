//! `cku check`: does a bundle load, and what should somebody look at?

use cku_base::diagnostic::Diagnostic;
use cku_engine::Bundle;

use crate::{
    exit::Exit,
    load::{self, BundleArg},
    output::{self, Format},
    render::{diagnostics, style},
};

/// Check a bundle: everything that is wrong with it, in one go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    bundle: BundleArg,

    /// How to write what was found.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

/// Loads the bundle and shows what was found.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let dir = &args.bundle.dir;
    load::folder(dir, load::OF_A_BUNDLE)?;
    let loaded = Bundle::load(dir);
    let found = match &loaded {
        Ok(bundle) => bundle.warnings(),
        Err(error) => &error.diagnostics,
    };
    match args.format {
        Format::Json => output::json(&found)?,
        Format::Pretty => {
            diagnostics::show_of_bundle(found, dir, Format::Pretty);
            output::result(summary(&loaded, found))?;
        }
    }
    if loaded.is_ok() { Ok(Exit::Pass) } else { Err(Exit::Bundle) }
}

fn summary(loaded: &Result<Bundle, cku_engine::LoadError>, found: &[Diagnostic]) -> String {
    let errors = found.iter().filter(|d| d.is_error()).count();
    let warnings = found.len() - errors;
    let counts = format!("{}, {}", counted(errors, "error"), counted(warnings, "warning"));
    let (good, error, dim) = (style::GOOD, style::ERROR, style::DIM);
    match loaded {
        Ok(bundle) => {
            let gates = counted(bundle.compiled().gates.len(), "gate");
            let modes = bundle.manifest().modes.join(", ");
            let name = &bundle.manifest().name;
            let revision = bundle.revision();
            format!("{good}{name}{good:#} loads: {gates} in {modes}; {counts}\n{dim}{revision}{dim:#}\n")
        }
        Err(_) => format!("{error}the bundle does not load{error:#}: {counts}\n"),
    }
}

fn counted(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}
