//! Reading: whatever an archive may hold, it gives the files that its manifest names, or an error.

use std::{
    collections::BTreeMap,
    io::{Cursor, ErrorKind, Read},
};

use cku_base::document::{self, Limits as DocumentLimits};
use cku_engine::{FileKind, LANGUAGE_VERSION, Sources};
use flate2::bufread::GzDecoder;
use serde::Deserialize;
use serde_json::Value;
use tar::EntryType;

use super::{Archive, ArchiveError, OPA_DATA, OPA_MANIFEST, SIGNATURES};

/// How much of an archive is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes, unpacked.
    pub bytes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Files.
    pub files: usize,
    /// How many times its size an archive may grow to; what stays below 1 MiB is not asked.
    pub growth: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 64 << 20, file_bytes: 16 << 20, files: 10_000, growth: 250 }
    }
}

/// Growth is asked about past this many bytes: a few files of blanks grow much and harm nobody.
const SMALL: u64 = 1 << 20;

impl Archive {
    /// Reads an archive; it holds exactly what [`Archive::new`] of its files gives, and maybe signatures.
    pub fn unpack(bytes: &[u8], limits: Limits) -> Result<Self, ArchiveError> {
        let tar = decompressed(bytes, limits)?;
        let mut files = files(tar, limits)?;
        let manifest = files.remove(OPA_MANIFEST).ok_or(ArchiveError::Missing(OPA_MANIFEST))?;
        let data = files.remove(OPA_DATA).ok_or(ArchiveError::Missing(OPA_DATA))?;
        let signatures = files.remove(SIGNATURES).map(|bytes| signatures(&bytes)).transpose()?;
        let mut texts = Vec::new();
        for (path, bytes) in files {
            if FileKind::of(&path).is_none() {
                return Err(ArchiveError::UnknownFile(path));
            }
            let text = String::from_utf8(bytes).map_err(|_| ArchiveError::NotText(path.clone()))?;
            texts.push((path, text));
        }
        let sources = Sources::from_files(texts);
        said(&manifest, &sources)?;
        let archive = Self::new(&sources, true)?;
        for (path, given) in [(OPA_MANIFEST, &manifest), (OPA_DATA, &data)] {
            if archive.contents().get(path) != Some(&given.as_slice()) {
                return Err(ArchiveError::Generated(path));
            }
        }
        Ok(Self { signatures: signatures.unwrap_or_default(), ..archive })
    }
}

/// What is compressed, if it is one gzip stream and nothing else.
fn decompressed(bytes: &[u8], limits: Limits) -> Result<Vec<u8>, ArchiveError> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(ArchiveError::NotGzip);
    }
    let mut gzip = GzDecoder::new(bytes);
    let (mut out, mut chunk) = (Vec::new(), [0; 16 << 10]);
    loop {
        let read = gzip.read(&mut chunk).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => ArchiveError::Truncated,
            _ => ArchiveError::Damaged(error.to_string()),
        })?;
        if read == 0 {
            break;
        }
        out.extend_from_slice(chunk.get(..read).unwrap_or_default());
        let size = out.len() as u64;
        if size > limits.bytes {
            return Err(ArchiveError::TooLarge(limits.bytes));
        }
        if size > SMALL && size / limits.growth.max(1) > bytes.len() as u64 {
            return Err(ArchiveError::Bomb(limits.growth));
        }
    }
    match gzip.into_inner() {
        [] => Ok(out),
        [0x1f, 0x8b, ..] => Err(ArchiveError::SecondStream),
        _ => Err(ArchiveError::TrailingBytes),
    }
}

/// The files of a tar, by path.
fn files(tar: Vec<u8>, limits: Limits) -> Result<BTreeMap<String, Vec<u8>>, ArchiveError> {
    let damaged = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => ArchiveError::Truncated,
        _ => ArchiveError::Damaged(error.to_string()),
    };
    // Two blocks of zeros end a tar; the reader is content without them.
    if !tar.len().is_multiple_of(512) || !tar.ends_with(&[0; 1024]) {
        return Err(ArchiveError::Truncated);
    }
    let mut reader = tar::Archive::new(Cursor::new(tar));
    let mut files = BTreeMap::new();
    for entry in reader.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = path(&entry.path_bytes())?;
        match entry.header().entry_type() {
            EntryType::Regular => {}
            EntryType::Link | EntryType::Symlink => return Err(ArchiveError::Link(path)),
            EntryType::Char | EntryType::Block | EntryType::Fifo => return Err(ArchiveError::Device(path)),
            _ => return Err(ArchiveError::NoFile(path)),
        }
        if files.len() >= limits.files {
            return Err(ArchiveError::TooManyFiles(limits.files));
        }
        if entry.size() > limits.file_bytes {
            return Err(ArchiveError::FileTooLarge { path, limit: limits.file_bytes });
        }
        let (mut bytes, size) = (Vec::new(), entry.size());
        entry.read_to_end(&mut bytes).map_err(damaged)?;
        if bytes.len() as u64 != size {
            return Err(ArchiveError::Truncated);
        }
        if files.contains_key(&path) {
            return Err(ArchiveError::Twice(path));
        }
        files.insert(path, bytes);
    }
    let inner = reader.into_inner();
    let rest = usize::try_from(inner.position()).ok().and_then(|at| inner.get_ref().get(at..));
    if rest.is_some_and(|rest| rest.iter().all(|byte| *byte == 0)) {
        Ok(files)
    } else {
        Err(ArchiveError::TrailingBytes)
    }
}

/// A path in its one spelling: `./a//b` is `a/b`.
fn path(bytes: &[u8]) -> Result<String, ArchiveError> {
    let shown = || String::from_utf8_lossy(bytes).chars().take(200).flat_map(char::escape_debug).collect();
    let text = std::str::from_utf8(bytes).map_err(|_| ArchiveError::BadPath(shown()))?;
    if text.contains(|c: char| c.is_control() || c == '\\') {
        return Err(ArchiveError::BadPath(shown()));
    }
    if text.starts_with('/') {
        return Err(ArchiveError::Absolute(shown()));
    }
    let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    if names.contains(&"..") {
        return Err(ArchiveError::LeadsOut(shown()));
    }
    if names.is_empty() { Err(ArchiveError::BadPath(shown())) } else { Ok(names.join("/")) }
}

/// Refuses a manifest that names other files or another language.
fn said(manifest: &[u8], sources: &Sources) -> Result<(), ArchiveError> {
    let limits = DocumentLimits { bytes: 1 << 20, depth: 16 };
    let read = document::read_json(OPA_MANIFEST, manifest, limits);
    let said = read.map_err(|problem| ArchiveError::Manifest(problem.message))?;
    let language = said.pointer("/metadata/cku/language");
    if language != Some(&Value::from(LANGUAGE_VERSION)) {
        let said = language.map_or_else(|| "none".to_owned(), Value::to_string);
        return Err(ArchiveError::OtherLanguage {
            said: said.chars().take(40).collect(),
            here: LANGUAGE_VERSION,
        });
    }
    let is = sources.revision();
    match said.get("revision").and_then(Value::as_str) {
        Some(said) if said == is.to_string() => Ok(()),
        said => {
            let said = said.unwrap_or("no revision").chars().take(100).flat_map(char::escape_debug);
            Err(ArchiveError::WrongRevision { said: said.collect(), is })
        }
    }
}

/// The tokens in `.signatures.json`.
fn signatures(bytes: &[u8]) -> Result<Vec<String>, ArchiveError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Signatures {
        signatures: Vec<String>,
    }
    let limits = DocumentLimits { bytes: 16 << 20, depth: 4 };
    let read = document::read_json(SIGNATURES, bytes, limits);
    let value = read.map_err(|problem| ArchiveError::Signatures(problem.message))?;
    let read: Signatures =
        serde_json::from_value(value).map_err(|error| ArchiveError::Signatures(error.to_string()))?;
    if read.signatures.is_empty() {
        return Err(ArchiveError::Signatures("it holds no signature".to_owned()));
    }
    Ok(read.signatures)
}
