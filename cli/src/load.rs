//! Loading what commands work on: bundles and documents, with their errors shown.

use std::{
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

/// Loads a bundle; what is wrong with it has been shown when this is an error.
pub(crate) fn bundle(dir: &Path, format: Format) -> Result<Arc<Bundle>, Exit> {
    if !dir.is_dir() {
        output::problem(format_args!("`{}` is no folder; name the folder of a bundle", dir.display()));
        return Err(Exit::Usage);
    }
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

/// Reads a JSON or YAML document; what is wrong with it has been shown when this is an error.
pub(crate) fn document(path: &Path, limits: Limits) -> Result<Value, Exit> {
    let name = path.display().to_string();
    let bytes = bytes(path).inspect_err(|problem| diagnostics::show(std::slice::from_ref(problem)));
    let bytes = bytes.map_err(|_| Exit::Usage)?;
    document::read(&name, &bytes, limits).map_err(|problem| {
        diagnostics::show(&[problem]);
        Exit::Usage
    })
}

/// Reads a file.
pub(crate) fn bytes(path: &Path) -> Result<Vec<u8>, Diagnostic> {
    std::fs::read(path).map_err(|error| {
        Diagnostic::error("I002", format!("the file cannot be read: {error}"))
            .at(Place::whole_file(path.display().to_string()))
    })
}

/// The bundle argument that most commands have.
#[derive(Debug, clap::Args)]
pub(crate) struct BundleArg {
    /// The folder of the bundle.
    #[arg(value_name = "BUNDLE")]
    pub(crate) dir: PathBuf,
}
