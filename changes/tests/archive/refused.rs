//! What is refused, each for its own reason.

use cku_changes::archive::{Archive, ArchiveError, Limits};
use tar::{Builder, EntryType};

use crate::{add, archive_of, files_of, gzip, sources, tar_of, unpack};

fn packed() -> Vec<u8> {
    Archive::new(&sources(), true).unwrap().pack().unwrap()
}

/// The error about a tar with one entry of this kind.
fn entry(name: &[u8], kind: EntryType) -> ArchiveError {
    let mut tar = Builder::new(Vec::new());
    add(&mut tar, name, kind, b"");
    unpack(&gzip(&tar.into_inner().unwrap())).unwrap_err()
}

/// The error about an archive after its files were changed.
fn changed(change: impl FnOnce(&mut Vec<(String, Vec<u8>)>)) -> ArchiveError {
    let mut files = files_of(&packed());
    change(&mut files);
    unpack(&archive_of(&files)).unwrap_err()
}

#[test]
fn what_is_no_gzip_is_refused() {
    assert_eq!(unpack(b"PK\x03\x04"), Err(ArchiveError::NotGzip));
    assert_eq!(unpack(b""), Err(ArchiveError::NotGzip));
}

#[test]
fn an_archive_that_ends_early_is_refused() {
    let bytes = packed();
    assert_eq!(unpack(&bytes[..bytes.len() - 9]), Err(ArchiveError::Truncated));
    let tar = tar_of(&bytes);
    assert_eq!(unpack(&gzip(&tar[..tar.len() - 1024])), Err(ArchiveError::Truncated));
}

#[test]
fn what_follows_the_end_is_refused() {
    let bytes = packed();
    assert_eq!(unpack(&[&bytes[..], b"x"].concat()), Err(ArchiveError::TrailingBytes));
    assert_eq!(unpack(&[&bytes[..], &bytes[..]].concat()), Err(ArchiveError::SecondStream));
    let tar = [tar_of(&bytes), vec![b'x'; 512], vec![0; 1024]].concat();
    assert_eq!(unpack(&gzip(&tar)), Err(ArchiveError::TrailingBytes));
}

#[test]
fn a_damaged_checksum_is_refused() {
    let mut bytes = packed();
    let at = bytes.len() - 6;
    bytes[at] ^= 1;
    assert!(matches!(unpack(&bytes), Err(ArchiveError::Damaged(_))));
}

#[test]
fn paths_that_lead_out_are_refused() {
    let file = EntryType::Regular;
    assert_eq!(entry(b"a/../../b.rego", file), ArchiveError::LeadsOut("a/../../b.rego".to_owned()));
    assert_eq!(entry(b"/etc/passwd", file), ArchiveError::Absolute("/etc/passwd".to_owned()));
}

#[test]
fn names_that_are_none_are_refused() {
    for name in [&b"a\xff.rego"[..], b"a\n.rego", b"a\x1b[2J.rego", b"a\\b.rego", b"./"] {
        let error = entry(name, EntryType::Regular);
        let is = matches!(error, ArchiveError::BadPath(_) | ArchiveError::NoFile(_));
        assert!(is, "{error}");
    }
}

#[test]
fn what_is_no_file_is_refused() {
    let a = "a.rego".to_owned();
    assert_eq!(entry(b"a.rego", EntryType::Symlink), ArchiveError::Link(a.clone()));
    assert_eq!(entry(b"a.rego", EntryType::Link), ArchiveError::Link(a.clone()));
    for kind in [EntryType::Char, EntryType::Block, EntryType::Fifo] {
        assert_eq!(entry(b"a.rego", kind), ArchiveError::Device(a.clone()));
    }
    assert_eq!(entry(b"a.rego", EntryType::Directory), ArchiveError::NoFile(a));
}

#[test]
fn a_path_that_stands_twice_is_refused_however_it_is_spelt() {
    for spelt in ["a.rego", "./a.rego", ".//a.rego"] {
        let twice = changed(|files| files.push((spelt.to_owned(), b"package a".to_vec())));
        assert_eq!(twice, ArchiveError::Twice("a.rego".to_owned()));
    }
}

#[test]
fn limits_hold() {
    let bytes = packed();
    let with = |limits| Archive::unpack(&bytes, limits).unwrap_err();
    let all = Limits::default();
    assert_eq!(with(Limits { bytes: 2_000, ..all }), ArchiveError::TooLarge(2_000));
    assert!(matches!(with(Limits { file_bytes: 20, ..all }), ArchiveError::FileTooLarge { limit: 20, .. }));
    assert_eq!(with(Limits { files: 3, ..all }), ArchiveError::TooManyFiles(3));
    assert_eq!(unpack(&gzip(&vec![0; 60 << 20])), Err(ArchiveError::Bomb(250)));
    assert_eq!(
        Archive::unpack(&gzip(&vec![0; 65 << 20]), Limits { growth: 10_000, ..all }),
        Err(ArchiveError::TooLarge(64 << 20))
    );
}

#[test]
fn files_that_belong_to_no_bundle_are_refused() {
    let extra = changed(|files| files.push(("run.sh".to_owned(), Vec::new())));
    assert_eq!(extra, ArchiveError::UnknownFile("run.sh".to_owned()));
    let binary = changed(|files| files.push(("b.rego".to_owned(), vec![0xff])));
    assert_eq!(binary, ArchiveError::NotText("b.rego".to_owned()));
}

#[test]
fn generated_files_are_what_the_others_give() {
    for path in [".manifest", "data.json"] {
        let missing = changed(|files| files.retain(|(name, _)| name != path));
        assert!(matches!(missing, ArchiveError::Missing(_)), "{missing}");
        let other = changed(|files| {
            let file = files.iter_mut().find(|(name, _)| name == path).unwrap();
            file.1.push(b' ');
        });
        assert!(matches!(other, ArchiveError::Generated(_)), "{other}");
    }
}

#[test]
fn another_revision_or_language_than_the_manifest_says_is_refused() {
    let replaced = |from: &str, to: &str| {
        changed(|files| {
            let file = files.iter_mut().find(|(name, _)| name == ".manifest").unwrap();
            file.1 = String::from_utf8(file.1.clone()).unwrap().replace(from, to).into_bytes();
        })
    };
    assert!(matches!(replaced("sha256:", "sha256:0"), ArchiveError::WrongRevision { .. }));
    assert!(matches!(replaced("\"language\":1", "\"language\":2"), ArchiveError::OtherLanguage { .. }));
    assert!(matches!(replaced("{", "["), ArchiveError::Manifest(_)));
    let changed = changed(|files| {
        files.iter_mut().find(|(name, _)| name == "a.rego").unwrap().1.push(b'#');
    });
    assert!(matches!(changed, ArchiveError::WrongRevision { .. }));
}

#[test]
fn signatures_that_are_none_are_refused() {
    for text in [
        "{}",
        "[]",
        "{\"signatures\": []}",
        "{\"signatures\": [1]}",
        "{\"signatures\": [], \"plugin\": \"x\"}",
    ] {
        let error = changed(|files| files.push((".signatures.json".to_owned(), text.into())));
        assert!(matches!(error, ArchiveError::Signatures(_)), "{error}");
    }
}
