//! What is written, and that it is read back.

use cku_changes::archive::{Archive, ArchiveError};
use cku_engine::Sources;
use proptest::prelude::*;

use crate::{files_of, sources, unpack};

#[test]
fn an_archive_holds_what_opa_reads_and_the_files_as_they_are() {
    let archive = Archive::new(&sources(), false).unwrap();
    let bytes = archive.pack().unwrap();
    let text: String = files_of(&bytes)
        .into_iter()
        .map(|(path, bytes)| format!("== {path}\n{}", String::from_utf8(bytes).unwrap()))
        .collect();
    insta::assert_snapshot!(text);
    assert_eq!(&bytes[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
    let back = unpack(&bytes).unwrap();
    assert_eq!(back, archive);
    assert_eq!(back.pack().unwrap(), bytes);
}

#[test]
fn tests_stay_out_unless_they_are_asked_for() {
    let without = Archive::new(&sources(), false).unwrap();
    let with = Archive::new(&sources(), true).unwrap();
    assert!(without.sources().text("a_test.rego").is_none());
    assert_eq!(unpack(&with.pack().unwrap()).unwrap().sources(), &sources());
    assert_eq!(with.revision(), without.revision());
}

#[test]
fn names_of_opas_own_are_refused() {
    for name in ["data/a/data.yaml", "data/data.json", "data/plan.json", "data/my.signatures.json"] {
        let sources = Sources::from_files([("bundle.yaml", "name: t\nmodes: [dev]\n"), (name, "{}")]);
        assert_eq!(Archive::new(&sources, false), Err(ArchiveError::OpaName(name.to_owned())));
    }
}

#[test]
fn data_at_one_path_twice_is_refused() {
    let files = [("bundle.yaml", "name: t\nmodes: [dev]\n"), ("data/a.yaml", "b: 1"), ("data/a/b.yaml", "2")];
    let error = Archive::new(&Sources::from_files(files), false).unwrap_err();
    assert!(matches!(error, ArchiveError::Data { .. }), "{error}");
}

#[test]
fn what_is_no_bundle_is_refused() {
    let none = Sources::from_files([("a.rego", "package a")]);
    assert_eq!(Archive::new(&none, false), Err(ArchiveError::NoBundle));
    let bad = Sources::from_files([("bundle.yaml", "nme: x")]);
    assert!(matches!(Archive::new(&bad, false), Err(ArchiveError::Bundle(_))));
}

#[test]
fn long_paths_are_read_back() {
    let long = format!("{}/a.rego", "folder/".repeat(40).trim_end_matches('/'));
    let files = [("bundle.yaml", "name: t\nmodes: [dev]\n"), (long.as_str(), "package a")];
    let archive = Archive::new(&Sources::from_files(files), false).unwrap();
    assert_eq!(unpack(&archive.pack().unwrap()).unwrap(), archive);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_packed_is_unpacked(
        files in proptest::collection::btree_map("[a-z]{1,8}(/[a-zäß ]{1,60}){0,3}\\.(rego|gate|cedar)", "\\PC{0,200}", 0..8),
        limit in any::<i64>(),
    ) {
        let more = [
            ("bundle.yaml".to_owned(), "name: t\nmodes: [dev]\n".to_owned()),
            ("data/x/y.json".to_owned(), format!("{{\"limit\": {limit}}}")),
        ];
        let sources = Sources::from_files(files.into_iter().chain(more));
        let archive = Archive::new(&sources, true).unwrap();
        let bytes = archive.pack().unwrap();
        let back = unpack(&bytes).unwrap();
        prop_assert_eq!(back.sources(), &sources);
        prop_assert_eq!(back.revision(), sources.revision());
        prop_assert_eq!(back.pack().unwrap(), bytes);
    }
}
