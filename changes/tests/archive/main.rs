//! Archives: written, read, refused, signed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod mutated;
mod refused;
mod signed;
mod written;

use cku_changes::archive::{Archive, ArchiveError, Limits};
use cku_engine::Sources;

/// A bundle with one file of most kinds.
pub(crate) fn sources() -> Sources {
    Sources::from_files([
        ("bundle.yaml", "name: tiny\nmodes: [dev]\n"),
        ("a.rego", "package a\n\nx := data.cku.limit\n"),
        ("a_test.rego", "package a_test\n"),
        ("data/cku.yaml", "limit: 3\nname: \"<a> & \\u2028\"\n"),
        ("data/cku/more.json", "{\"z\": [1, 2.50], \"a\": null}"),
        ("gates/g.gate", "gate g \"x\" { decide by rego data.a.x }\n"),
    ])
}

pub(crate) fn unpack(bytes: &[u8]) -> Result<Archive, ArchiveError> {
    Archive::unpack(bytes, Limits::default())
}

/// The tar in an archive.
pub(crate) fn tar_of(bytes: &[u8]) -> Vec<u8> {
    use std::io::Read;
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(bytes).read_to_end(&mut tar).unwrap();
    tar
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// The files of an archive, to be written again.
pub(crate) fn files_of(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    use std::io::Read;
    let tar = tar_of(bytes);
    let mut archive = tar::Archive::new(tar.as_slice());
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (path, bytes)
    });
    entries.collect()
}

/// An archive of these files, in this order, with names that are written as they are.
pub(crate) fn archive_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        add(&mut tar, path.as_bytes(), tar::EntryType::Regular, bytes);
    }
    gzip(&tar.into_inner().unwrap())
}

/// Adds an entry; names go into the header as they are, past what the writer would refuse.
pub(crate) fn add(tar: &mut tar::Builder<Vec<u8>>, name: &[u8], kind: tar::EntryType, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    tar.append(&header, bytes).unwrap();
}
