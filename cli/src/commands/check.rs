//! `cku check`: does a bundle load, and what should somebody look at?

use std::{collections::BTreeMap, fs, path::Path};

use cku_base::diagnostic::{Diagnostic, fixed};
use cku_engine::Bundle;

use crate::{
    exit::Exit,
    load::{self, BundleArg},
    output::{self, Format, counted},
    render::{diagnostics, sarif, style},
};

/// Check a bundle: everything that is wrong with it, in one go.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    bundle: BundleArg,

    /// How to write what was found.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Report,

    /// Mend what can be mended without asking, and check again.
    #[arg(long)]
    fix: bool,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Report {
    /// For people.
    Pretty,
    /// A list, for programs.
    Json,
    /// SARIF 2.1.0, for code scanning.
    Sarif,
    /// Workflow commands that GitHub shows as annotations.
    Github,
}

/// Loads the bundle and shows what was found.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let dir = &args.bundle.dir;
    load::folder(dir, load::OF_A_BUNDLE)?;
    if args.fix {
        mend(dir)?;
    }
    let loaded = Bundle::load(dir);
    let found = match &loaded {
        Ok(bundle) => [bundle.warnings(), &cku_learning::problems(bundle)].concat(),
        Err(error) => error.diagnostics.clone(),
    };
    match args.format {
        Report::Json => output::json(&found)?,
        Report::Sarif => output::json(&sarif::log(&diagnostics::below(&found, dir)))?,
        Report::Github => output::result(sarif::annotations(&diagnostics::below(&found, dir)))?,
        Report::Pretty => {
            diagnostics::show_of_bundle(&found, dir, Format::Pretty);
            output::result(summary(&loaded, &found))?;
        }
    }
    if found.iter().any(Diagnostic::is_error) { Err(Exit::Bundle) } else { Ok(Exit::Pass) }
}

/// Mends files until nothing is left that can be mended without asking: one error may hide another.
fn mend(dir: &Path) -> Result<(), Exit> {
    const ROUNDS: usize = 10;
    let mut mended: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let found = match Bundle::load(dir) {
            Ok(bundle) => bundle.warnings().to_vec(),
            Err(error) => error.diagnostics,
        };
        let count = mend_once(&diagnostics::below(&found, dir), &mut mended)?;
        if count == 0 {
            break;
        }
    }
    if mended.is_empty() {
        output::note("nothing to mend without asking\n");
    }
    for (file, count) in mended {
        output::note(format_args!("{file}: {} mended\n", counted(count, "mistake")));
    }
    Ok(())
}

fn mend_once(found: &[Diagnostic], mended: &mut BTreeMap<String, usize>) -> Result<usize, Exit> {
    let mut by_file: BTreeMap<&str, Vec<&Diagnostic>> = BTreeMap::new();
    for diagnostic in found {
        if let Some(fix) = &diagnostic.fix {
            by_file.entry(&fix.place.file).or_default().push(diagnostic);
        }
    }
    let mut count = 0;
    for (file, diagnostics) in by_file {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let (text, made) = fixed(&text, diagnostics);
        if made == 0 {
            continue;
        }
        fs::write(file, text).map_err(|error| {
            output::problem(format_args!("`{file}` cannot be written: {error}"));
            Exit::Internal
        })?;
        count += made;
        *mended.entry(file.to_owned()).or_default() += made;
    }
    Ok(count)
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
