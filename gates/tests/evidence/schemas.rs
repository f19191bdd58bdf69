//! The schema files are those of the types, and real evidence is valid under them.
//!
//! `CKU_UPDATE_SCHEMAS=1 cargo test -p cku-gates --test evidence` writes the files again.

use std::path::PathBuf;

use cku_gates::evidence::{Evidence, Kind, schema};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::real::{REPORTS, read};

fn file(kind: Kind) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("schema/evidence-{kind}.json"))
}

fn validator(kind: Kind) -> Validator {
    let text = std::fs::read_to_string(file(kind)).unwrap();
    let schema: Value = serde_json::from_str(&text).unwrap();
    jsonschema::draft202012::meta::validate(&schema).unwrap();
    jsonschema::draft202012::new(&schema).unwrap()
}

#[test]
fn the_schema_files_are_up_to_date() {
    for kind in Kind::ALL {
        let expected = format!("{:#}\n", schema(kind).to_value());
        if std::env::var_os("CKU_UPDATE_SCHEMAS").is_some() {
            std::fs::create_dir_all(file(kind).parent().unwrap()).unwrap();
            std::fs::write(file(kind), &expected).unwrap();
        }
        let found = std::fs::read_to_string(file(kind)).unwrap_or_default();
        assert!(found == expected, "gates/schema/evidence-{kind}.json is stale; set CKU_UPDATE_SCHEMAS=1");
    }
}

#[test]
fn real_evidence_is_valid_under_its_schema_and_no_other() {
    for (name, _) in REPORTS {
        let evidence = read(name);
        let document = serde_json::to_value(&evidence).unwrap();
        for kind in Kind::ALL {
            let valid = validator(kind).is_valid(&document);
            assert_eq!(valid, kind == evidence.kind(), "{name} under {kind}");
        }
    }
}

#[test]
fn a_document_that_a_schema_refuses_is_refused_when_read() {
    let good = serde_json::to_value(read("xmltodict/ruff.sarif")).unwrap();
    for (pointer, wrong) in [
        ("/kind", json!("coverage")),
        ("/format", json!("lcov")),
        ("/digest", json!("sha256:00")),
        ("/tool", json!(1)),
        ("/data", json!({})),
        ("/data/findings/0/level", json!("fatal")),
        ("/data/findings/0/line", json!(0)),
        ("/data/findings/0/message", json!(null)),
        ("/data/counts/error", json!(-1)),
    ] {
        let mut document = good.clone();
        *document.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator(Kind::Findings).is_valid(&document), "{pointer}");
        assert!(serde_json::from_value::<Evidence>(document).is_err(), "{pointer}");
    }
}
