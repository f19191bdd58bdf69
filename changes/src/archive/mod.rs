//! Archives of bundles in the layout of OPA, deterministic, with signatures.
//!
//! [`Archive::new`] takes the files of a bundle and adds what OPA reads: `.manifest`, and `data.json` with
//! all base documents. [`Archive::pack`] writes a `tar.gz` whose bytes follow from the files alone.
//! [`Archive::unpack`] reads one and refuses whatever it would not have written itself.
//! [`sign`](Archive::sign) and [`verify`](Archive::verify) are OPA's bundle signing.
//!
//! ```
//! use cku_changes::archive::{Archive, Limits};
//! use cku_engine::Sources;
//!
//! let sources = Sources::from_files([("bundle.yaml", "name: tiny\nmodes: [dev]\n"), ("a.rego", "package a\n")]);
//! let bytes = Archive::new(&sources, false)?.pack()?;
//! let archive = Archive::unpack(&bytes, Limits::default())?;
//! assert_eq!(archive.revision(), sources.revision());
//! # Ok::<(), cku_changes::archive::ArchiveError>(())
//! ```

mod compare;
mod error;
mod generated;
mod hash;
mod pack;
mod signature;
mod unpack;

use std::collections::BTreeMap;

use cku_base::Digest;
use cku_engine::{Manifest, Sources};

pub use compare::{Change, Comparison, FileChange, RuleChange, ThresholdChange, compare};
pub use error::ArchiveError;
pub use signature::{BundleKey, SignatureError, Signed, key_ids};
pub use unpack::Limits;

/// OPA's manifest.
pub(crate) const OPA_MANIFEST: &str = ".manifest";
/// The base documents, as OPA reads them.
pub(crate) const OPA_DATA: &str = "data.json";
/// The signatures.
pub(crate) const SIGNATURES: &str = ".signatures.json";

/// The files of a bundle with what OPA needs beside them, and signatures.
///
/// INVARIANT: `generated` is what the files alone give.
#[derive(Debug, Clone, PartialEq)]
pub struct Archive {
    sources: Sources,
    manifest: Manifest,
    generated: generated::Generated,
    signatures: Vec<String>,
}

impl Archive {
    /// An archive of these files, not signed; tests stay out unless they are asked for.
    pub fn new(sources: &Sources, with_tests: bool) -> Result<Self, ArchiveError> {
        let kept = sources.files().iter().filter(|file| with_tests || !file.kind.is_test());
        let sources = Sources::from_files(kept.map(|file| (file.path.clone(), file.text.clone())));
        let text = sources.text("bundle.yaml").ok_or(ArchiveError::NoBundle)?;
        let manifest = Manifest::read(text).map_err(|problem| ArchiveError::Bundle(problem.to_string()))?;
        let generated = generated::of(&sources, &manifest)?;
        Ok(Self { sources, manifest, generated, signatures: Vec::new() })
    }

    /// The files of the bundle.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What the bundle says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The revision of the bundle; neither tests nor signatures change it.
    pub fn revision(&self) -> Digest {
        self.sources.revision()
    }

    /// The signatures, JWTs in their compact form; nobody has verified them.
    pub fn signatures(&self) -> &[String] {
        &self.signatures
    }

    /// All files but the signatures: path to bytes.
    pub(crate) fn contents(&self) -> BTreeMap<&str, &[u8]> {
        let own = self.sources.files().iter().map(|file| (file.path.as_str(), file.text.as_bytes()));
        own.chain(self.generated.files()).collect()
    }
}
