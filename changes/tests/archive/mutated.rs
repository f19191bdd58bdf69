//! Archives with bytes changed: no panic, and never files that the manifest does not name.

use cku_changes::archive::Archive;
use proptest::prelude::*;

use crate::{files_of, gzip, sources, tar_of, unpack};

/// The revision in the manifest of an archive.
fn said(bytes: &[u8]) -> String {
    let manifest =
        files_of(bytes).into_iter().find(|(path, _)| path.trim_start_matches("./") == ".manifest").unwrap();
    let document: serde_json::Value = serde_json::from_slice(&manifest.1).unwrap();
    document["revision"].as_str().unwrap().to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn a_changed_archive_gives_what_its_manifest_names_or_an_error(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6),
        inside in any::<bool>(),
        cut in proptest::option::of(any::<proptest::sample::Index>()),
    ) {
        let packed = Archive::new(&sources(), false).unwrap().pack().unwrap();
        let mut bytes = if inside { tar_of(&packed) } else { packed };
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let bytes = if inside { gzip(&bytes) } else { bytes };
        if let Ok(archive) = unpack(&bytes) {
            prop_assert_eq!(archive.revision().to_string(), said(&bytes));
        }
    }

    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..2_000)) {
        prop_assert!(unpack(&bytes).is_err());
        prop_assert!(unpack(&gzip(&bytes)).is_err());
    }
}
