//! Where bundles come from: a folder, an archive, the journal; and writing archives.

use std::{fs, io::Write, path::Path, sync::Arc};

use cku_authority::BundleActivated;
use cku_base::Digest;
use cku_changes::archive::{Archive, Limits};
use cku_engine::Bundle;

use crate::{
    exit::Exit,
    journal::{self, JournalArg},
    load,
    output::{self, Format},
    render::diagnostics,
};

/// Bytes of an archive that are read; what is unpacked has its own limit.
const LARGEST: usize = 64 << 20;

/// Reads an archive; what is wrong with it has been shown when this is an error.
pub(crate) fn archive(file: &Path) -> Result<Archive, Exit> {
    if file.is_dir() {
        return Err(journal::refuse(&format!(
            "`{}` is a folder; name an archive, which `cku bundle build` writes",
            file.display()
        )));
    }
    let bytes = load::bytes(file, LARGEST)?;
    if bytes.len() > LARGEST {
        return Err(journal::refuse(&format!("`{}` has more than {LARGEST} bytes", file.display())));
    }
    unpacked(file, &bytes)
}

/// Unpacks the bytes of an archive.
pub(crate) fn unpacked(file: &Path, bytes: &[u8]) -> Result<Archive, Exit> {
    let read = Archive::unpack(bytes, Limits::default());
    read.map_err(|error| journal::refuse(&format!("`{}` is no archive of a bundle: {error}", file.display())))
}

/// Loads the bundle of an archive.
pub(crate) fn loaded(file: &Path, archive: &Archive) -> Result<Arc<Bundle>, Exit> {
    Bundle::from_sources(archive.sources().clone()).map(Arc::new).map_err(|error| {
        diagnostics::show_of_bundle(&error.diagnostics, file, Format::Pretty);
        Exit::Bundle
    })
}

/// A bundle in a folder, in an archive, or (`sha256:…`, or its beginning) in the journal.
pub(crate) fn bundle(name: &str, journal: &JournalArg) -> Result<Arc<Bundle>, Exit> {
    if name.starts_with("sha256:") {
        let journal = journal.open_to_read()?;
        let revision = revision(name, kept(&journal)?.iter().map(|(activated, _, _)| activated.revision))?;
        return cku_authority::load_bundle(&journal, revision).map_err(|e| journal::failed(&e));
    }
    let path = Path::new(name);
    if path.is_file() {
        return loaded(path, &archive(path)?);
    }
    load::folder(path, "the folder of a bundle, an archive, or a revision like `sha256:1f2e…`")?;
    load::bundle(path, Format::Json)
}

/// The one revision that begins like this.
pub(crate) fn revision(name: &str, known: impl Iterator<Item = Digest>) -> Result<Digest, Exit> {
    let mut found: Vec<Digest> = known.filter(|revision| revision.to_string().starts_with(name)).collect();
    found.sort();
    found.dedup();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(journal::refuse(&format!("no revision that is kept begins with `{name}`"))),
        many => {
            Err(journal::refuse(&format!("{} revisions begin with `{name}`; give more digits", many.len())))
        }
    }
}

/// The revisions that the journal keeps, with the times they became active, in that order.
pub(crate) fn kept(
    journal: &cku_journal::Journal,
) -> Result<Vec<(BundleActivated, u64, cku_base::Timestamp)>, Exit> {
    cku_authority::activations(journal).map_err(|e| crate::render::problems::of_store(&e))
}

/// Writes a file whole or not at all: beside its place first, then renamed.
pub(crate) fn write(file: &Path, bytes: &[u8]) -> Result<(), Exit> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let written = tempfile::NamedTempFile::new_in(folder).and_then(|mut temporary| {
        temporary.write_all(bytes)?;
        // Temporary files are their owner's alone; what is handed on is for all to read.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            temporary.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        }
        temporary.as_file().sync_all()?;
        temporary.persist(file).map(drop).map_err(|error| error.error)
    });
    written.map_err(|error| {
        // The words of the temporary file name a path that is nobody's concern.
        let why = error.kind();
        output::problem(format_args!("`{}` cannot be written: {why}", file.display()));
        Exit::Usage
    })
}

/// Packs and writes an archive.
pub(crate) fn write_archive(file: &Path, archive: &Archive) -> Result<(), Exit> {
    let bytes = archive.pack().map_err(|e| journal::failed(&e))?;
    write(file, &bytes)
}
