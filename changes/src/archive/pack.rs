//! Writing: the same files give the same bytes.

use std::io::Write;

use flate2::{Compression, GzBuilder};
use serde_json::json;
use tar::{Builder, EntryType, Header};

use super::{Archive, ArchiveError, SIGNATURES};

/// The system in the header of a gzip that says nothing about it (RFC 1952).
const UNKNOWN_SYSTEM: u8 = 255;

impl Archive {
    /// The bytes of the archive, a `tar.gz`: files in the order of their paths, without times and owners.
    pub fn pack(&self) -> Result<Vec<u8>, ArchiveError> {
        let failed = |error: std::io::Error| ArchiveError::Write(error.to_string());
        let signatures =
            (!self.signatures.is_empty()).then(|| format!("{}\n", json!({"signatures": self.signatures})));
        let mut files = self.contents();
        if let Some(text) = &signatures {
            files.insert(SIGNATURES, text.as_bytes());
        }
        let mut tar = Builder::new(Vec::new());
        for (path, bytes) in files {
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, path, bytes).map_err(failed)?;
        }
        let tar = tar.into_inner().map_err(failed)?;
        let mut gzip =
            GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(Vec::new(), Compression::best());
        gzip.write_all(&tar).map_err(failed)?;
        gzip.finish().map_err(failed)
    }
}
