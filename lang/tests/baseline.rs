//! What the gates of the baseline compile to stands in `testdata/compiled/baseline`, for reviewers.
//!
//! `CKU_UPDATE_COMPILED=1 cargo test -p cku-lang --test baseline` writes it anew.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use cku_lang::{Ast, compile, parse};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files that the baseline compiles to, one of Cedar and one of Rego for each gate.
fn compiled() -> BTreeMap<String, String> {
    let bundle = repository().join("policies/baseline");
    let gates = fs::read_dir(bundle.join("gates")).unwrap().map(|entry| entry.unwrap().path());
    let files = gates.filter(|path| path.extension().is_some_and(|e| e == "gate"));
    let files = files.chain([bundle.join("pipeline.gate")]);
    let read = |path: PathBuf| -> Ast {
        let name = path.strip_prefix(&bundle).unwrap().display().to_string();
        parse(&name, &fs::read_to_string(&path).unwrap()).0
    };
    let asts: Vec<Ast> = files.map(read).collect();
    let compiled = compile(&asts, &["dev", "staging", "prod"].map(str::to_owned)).unwrap();
    assert_eq!(compiled.warnings, []);
    let mut files = BTreeMap::from([("gates.cedarschema".to_owned(), compiled.schema.clone())]);
    for policy in &compiled.policies {
        let text: &mut String = files.entry(format!("{}.cedar", policy.gate)).or_default();
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&policy.text);
    }
    for module in &compiled.modules {
        let name = module.path.trim_start_matches("compiled/").replace('/', "_");
        files.insert(name, module.text.clone());
    }
    files
}

#[test]
fn what_the_baseline_compiles_to_is_what_reviewers_see() {
    let folder = repository().join("testdata/compiled/baseline");
    let files = compiled();
    if std::env::var_os("CKU_UPDATE_COMPILED").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in &files {
            fs::write(folder.join(name), text).unwrap();
        }
    }
    let kept: BTreeMap<String, String> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_none_or(|extension| extension != "md"))
        .map(|path| {
            (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(&path).unwrap())
        })
        .collect();
    let names = |files: &BTreeMap<String, String>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&kept), names(&files), "CKU_UPDATE_COMPILED=1 writes them; take away what is no more");
    for (name, text) in &files {
        assert_eq!(&kept[name], text, "{name}; CKU_UPDATE_COMPILED=1 writes it anew");
    }
    // Eight gates decide by rules, one by Rego alone.
    assert_eq!(names(&files).iter().filter(|name| name.ends_with(".cedar")).count(), 8);
}
