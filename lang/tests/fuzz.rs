//! Any text at all: the parser, the formatter and the compiler keep their promises and never panic.
//!
//! The seeds are every gate file of the repository and those of `corpus/`, which are awkward each in its
//! own way. They are spliced, cut and changed for a bounded number of cases; `CKU_FUZZ_CASES` asks for
//! more.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use cku_lang::{add_threshold_value, compile, format, parse};
use common::{changed, changes, modes};
use proptest::prelude::*;

/// Every seed, by its path.
static SEEDS: LazyLock<Vec<(PathBuf, String)>> = LazyLock::new(|| {
    let mut seeds = Vec::new();
    for folder in ["tests", "../policies"] {
        collect(Path::new(folder), &mut seeds);
    }
    seeds.sort();
    assert!(seeds.len() > 30, "{} seeds", seeds.len());
    seeds
});

fn collect(folder: &Path, seeds: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, seeds);
        } else if path.extension().is_some_and(|extension| extension == "gate") {
            let text = fs::read_to_string(&path).unwrap();
            seeds.push((path, text));
        }
    }
}

/// The tokens are the text, every error has a place in it, and a file with errors does not compile.
fn parser(text: &str) {
    let (ast, errors) = parse("f.gate", text);
    let tokens: String = ast.tokens().map(|(_, token)| token).collect();
    assert_eq!(tokens, text);
    for error in &errors {
        let place = error.place.as_ref().unwrap();
        assert!(text.get(place.span.clone()).is_some(), "{error:?}");
        if let Some(fix) = &error.fix {
            assert!(text.get(fix.place.span.clone()).is_some(), "{error:?}");
        }
    }
    assert!(errors.is_empty() || compile(&[ast], &modes()).is_err());
}

/// A file that is read is formatted, once and for all, and reads as the same words.
fn formatter(text: &str) {
    let words = |text: &str| -> String {
        let (ast, _) = parse("f.gate", text);
        ast.tokens().filter(|(kind, _)| !kind.is_trivia()).map(|(_, token)| token).collect()
    };
    match format("f.gate", text) {
        Err(errors) => assert_eq!(errors, parse("f.gate", text).1),
        Ok(formatted) => {
            assert_eq!(words(&formatted), words(text));
            assert_eq!(format("f.gate", &formatted).unwrap(), formatted);
        }
    }
}

/// What compiles is taken by Cedar and Rego, and edits of it are refused or give what compiles.
fn compiler(text: &str) {
    let Ok(compiled) = compile(&[parse("f.gate", text).0], &modes()) else { return };
    let policies: cedar_policy::PolicySet = compiled.cedar().parse().unwrap();
    let validator = cedar_policy::Validator::new(compiled.schema.parse().unwrap());
    let valid = validator.validate(&policies, cedar_policy::ValidationMode::Strict);
    assert!(valid.validation_passed(), "{text}\n{valid}");
    for module in &compiled.modules {
        regorus::Engine::new().add_policy(module.path.clone(), module.text.clone()).unwrap();
    }
    for gate in &compiled.gates {
        let cku_lang::GateBody::Rules(rules) = &gate.body else { continue };
        for threshold in &rules.thresholds {
            if let Ok(edited) =
                add_threshold_value(text, &gate.name, &threshold.name, "staging", threshold.default)
            {
                assert!(compile(&[parse("f.gate", &edited).0], &modes()).is_ok(), "{edited}");
            }
        }
    }
}

fn all(text: &str) {
    parser(text);
    formatter(text);
    compiler(text);
}

#[test]
fn every_seed_holds() {
    SEEDS.iter().for_each(|(_, text)| all(text));
}

fn cases() -> u32 {
    std::env::var("CKU_FUZZ_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(1_500)
}

/// A seed, or the beginning of one and the end of another, with a few changes.
fn text() -> impl Strategy<Value = String> {
    let seed = || any::<prop::sample::Index>();
    let cut = || any::<prop::sample::Index>();
    (seed(), prop::option::of((seed(), cut(), cut())), changes()).prop_map(|(one, other, changes)| {
        let one = &one.get(&SEEDS).1;
        let spliced = match other {
            None => one.clone(),
            Some((other, head, tail)) => {
                let other = &other.get(&SEEDS).1;
                let at = |text: &str, index: prop::sample::Index| {
                    let at = index.index(text.len() + 1);
                    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap()
                };
                [&one[..at(one, head)], &other[at(other, tail)..]].concat()
            }
        };
        changed(&spliced, &changes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_a_seed_holds(text in text()) {
        all(&text);
    }

    #[test]
    fn any_text_holds(text in "\\PC{0,200}") {
        all(&text);
    }
}
