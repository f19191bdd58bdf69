//! What is large or nested deep is read, or refused with one diagnostic; how long that takes, the benchmark says.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use cku_base::diagnostic::Diagnostic;
use cku_lang::{codes, compile, parse};
use common::{FILES, modes};

/// Parses and compiles on a small stack, as the threads of a server have.
fn check(text: String) -> Vec<Diagnostic> {
    let run = move || {
        let (ast, syntax) = parse("f.gate", &text);
        let result = compile(&[ast], &modes());
        assert!(syntax.is_empty() || result.is_err(), "a broken file compiled");
        result.map_or_else(|errors| errors, |compiled| compiled.warnings)
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap().join().unwrap()
}

fn rule(condition: &str) -> String {
    format!(
        "gate g \"G\" {{ facts from data.g {{ a: bool b: count }} reject r: when {condition} because \"{{a}} {{b}}\" }}"
    )
}

fn codes_of(diagnostics: &[Diagnostic]) -> Vec<&str> {
    diagnostics.iter().map(|diagnostic| diagnostic.code).collect()
}

#[test]
fn ten_thousand_parentheses_are_one_diagnostic() {
    for condition in ["(".repeat(10_000), format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000))] {
        let diagnostics = check(rule(&condition));
        assert_eq!(codes_of(&diagnostics), [codes::TOO_LARGE]);
    }
}

#[test]
fn sixty_parentheses_are_fine() {
    let conditions = [
        format!("{}a{}", "(".repeat(60), ")".repeat(60)),
        format!("{}a{}", "(b > 1 and not (".repeat(30), "))".repeat(30)),
    ];
    for condition in conditions {
        let diagnostics = check(rule(&condition));
        assert_eq!(diagnostics, []);
    }
}

#[test]
fn long_chains_of_operators_are_one_diagnostic() {
    let conditions = [
        format!("{}a", "not ".repeat(10_000)),
        format!("a{}", " and a".repeat(10_000)),
        format!("b{}", " < b".repeat(10_000)),
        format!("a{}", " and (a or a)".repeat(5_000)),
    ];
    for condition in conditions {
        let diagnostics = check(rule(&condition));
        assert_eq!(codes_of(&diagnostics), [codes::TOO_LARGE]);
    }
    assert_eq!(codes_of(&check(rule(&format!("{}a", "not ".repeat(100))))), [codes::TOO_LARGE]);
}

#[test]
fn cedar_takes_the_largest_condition_on_a_small_stack() {
    let deep = format!("{}a{}", "not (b > 1 or ".repeat(31), ")".repeat(31));
    let wide = format!("a{}", " or b > 1".repeat(100));
    let nots = format!("{}a", "not ".repeat(60));
    for condition in [deep, wide, nots] {
        let (ast, _) = parse("f.gate", &rule(&condition));
        let compiled = compile(&[ast], &modes()).unwrap();
        let validate = move || {
            let schema: cedar_policy::Schema = compiled.schema.parse().unwrap();
            let set: cedar_policy::PolicySet = compiled.cedar().parse().unwrap();
            let result =
                cedar_policy::Validator::new(schema).validate(&set, cedar_policy::ValidationMode::Strict);
            assert!(result.validation_passed());
        };
        std::thread::Builder::new().stack_size(2 << 20).spawn(validate).unwrap().join().unwrap();
    }
}

#[test]
fn two_hundred_gates_are_read_and_a_larger_file_refused() {
    let gate = |n: usize| FILES[0].1.replace("gate quality", &format!("gate quality{n}"));
    let text: String = (0..200).map(gate).collect();
    let (ast, errors) = parse("large.gate", &text);
    assert_eq!(errors, []);
    assert_eq!(compile(&[ast], &modes()).unwrap().gates.len(), 200);
    let (_, errors) = parse("large.gate", &" ".repeat((16 << 20) + 1));
    assert_eq!(codes_of(&errors), [codes::TOO_LARGE]);
}

#[test]
fn every_truncation_is_reported() {
    for (file, text) in FILES {
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let cut = &text[..end];
            let whole = cut.lines().rev().find(|line| !line.trim().is_empty()).is_none_or(|line| {
                line.trim_start().starts_with("//")
                    || line.starts_with('}')
                    || line.starts_with("mode staging {")
            });
            let (_, errors) = parse(file, cut);
            assert!(whole || matches!(errors.len(), 1..=2), "{file} cut at {end}: {errors:?}");
        }
    }
}
