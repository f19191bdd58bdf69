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
use cku_engine::Bundle;
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
    // Read no further than to see that it is too large.
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(limits.bytes as u64 + 1).read_to_end(&mut bytes));
    let bytes = read.map(|_| bytes).map_err(|error| unreadable("file", &name, &error));
    bytes.and_then(|bytes| document::read(&name, &bytes, limits)).map_err(|problem| {
        diagnostics::show(&[problem]);
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
