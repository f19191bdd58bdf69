//! Loading what commands work on: bundles and documents, with their errors shown.

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use cku_base::{
    diagnostic::{Diagnostic, Place},
    document::{self, Limits},
};
use cku_engine::{Bundle, Sources};
use serde_json::Value;

use crate::{
    exit::Exit,
    output::{self, Format},
    render::diagnostics,
};

/// What to name where a bundle is wanted.
pub(crate) const OF_A_BUNDLE: &str = "the folder of a bundle";

/// Loads a bundle; what is wrong with it has been shown when this is an error.
pub(crate) fn bundle(dir: &Path, format: Format) -> Result<Arc<Bundle>, Exit> {
    folder(dir, OF_A_BUNDLE)?;
    let _span = tracing::debug_span!("load").entered();
    match Bundle::load(dir) {
        Ok(bundle) => {
            diagnostics::show_of_bundle(bundle.warnings(), dir, format);
            Ok(Arc::new(bundle))
        }
        Err(error) => {
            diagnostics::show_of_bundle(&error.diagnostics, dir, format);
            Err(Exit::Bundle)
        }
    }
}

/// The baseline bundle, as it was when cku was built.
pub(crate) static BASELINE: BuiltIn = include!(concat!(env!("OUT_DIR"), "/baseline.rs"));

/// The bundle of change control, as it was when cku was built.
pub(crate) static CHANGE_CONTROL: BuiltIn = include!(concat!(env!("OUT_DIR"), "/change-control.rs"));

/// Paths and texts.
type BuiltIn = &'static [(&'static str, &'static str)];

/// Loads the bundle in a folder, or the baseline that is built into cku.
pub(crate) fn bundle_or_baseline(dir: Option<&Path>) -> Result<Arc<Bundle>, Exit> {
    bundle_or(BASELINE, dir)
}

/// Loads the bundle in a folder, or one that is built into cku.
pub(crate) fn bundle_or(built_in: BuiltIn, dir: Option<&Path>) -> Result<Arc<Bundle>, Exit> {
    let Some(dir) = dir else {
        let sources = Sources::from_files(built_in.iter().map(|(path, text)| (*path, *text)));
        return Bundle::from_sources(sources).map(Arc::new).map_err(|error| {
            diagnostics::show(&error.diagnostics);
            Exit::Internal
        });
    };
    bundle(dir, Format::Pretty)
}

/// Loads a bundle like [`bundle_or_baseline`]; what is wrong with it is told in one line.
pub(crate) fn quietly(dir: Option<&Path>) -> Result<Arc<Bundle>, String> {
    let loaded = match dir {
        Some(dir) => Bundle::load(dir),
        None => Bundle::from_sources(Sources::from_files(BASELINE.iter().map(|(path, text)| (*path, *text)))),
    };
    loaded.map(Arc::new).map_err(|error| {
        let errors: Vec<&Diagnostic> = error.diagnostics.iter().filter(|d| d.is_error()).collect();
        let first = errors.first().map_or_else(String::new, |problem| {
            let place = problem.place.as_ref().map_or_else(String::new, ToString::to_string);
            format!("{place}: {} ({})", problem.message, problem.code)
        });
        match errors.len() {
            0 | 1 => first,
            many => format!("{first}, and {} more", many - 1),
        }
    })
}

/// Refuses what is no folder; `wanted` says what to name instead.
pub(crate) fn folder(dir: &Path, wanted: &str) -> Result<(), Exit> {
    if dir.is_dir() {
        return Ok(());
    }
    output::problem(format_args!("`{}` is no folder; name {wanted}", dir.display()));
    Err(Exit::Usage)
}

/// Reads a JSON or YAML document; what is wrong with it has been shown when this is an error.
pub(crate) fn document(path: &Path, limits: Limits) -> Result<Value, Exit> {
    let name = path.display().to_string();
    let bytes = bytes(path, limits.bytes)?;
    document::read(&name, &bytes, limits).map_err(|problem| {
        diagnostics::show(&[problem]);
        Exit::Usage
    })
}

/// Reads a file no further than to see that it is too large; that it cannot be read has been shown when
/// this is an error.
pub(crate) fn bytes(path: &Path, limit: usize) -> Result<Vec<u8>, Exit> {
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limit as u64 + 1).read_to_end(&mut bytes));
    read.map(|_| bytes).map_err(|error| {
        diagnostics::show(&[unreadable("file", &path.display().to_string(), &error)]);
        Exit::Usage
    })
}

/// A file or folder that is there and cannot be read.
pub(crate) fn unreadable(what: &str, name: &str, error: &std::io::Error) -> Diagnostic {
    Diagnostic::error("I002", format!("the {what} cannot be read: {error}")).at(Place::whole_file(name))
}

/// The bundle argument that most commands have.
#[derive(Debug, clap::Args)]
pub(crate) struct BundleArg {
    /// The folder of the bundle.
    #[arg(value_name = "BUNDLE")]
    pub(crate) dir: PathBuf,
}
