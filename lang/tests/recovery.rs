//! One error does not hide the next, and nobody is blamed for what could not be read.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use cku_base::diagnostic::fixed;
use cku_lang::{codes, compile, parse};
use common::{FILES, changed, changes, diagnose, modes};
use proptest::prelude::*;

/// A file with ten mistakes of ten kinds, each of which a person makes.
const TEN: &str = include_str!("broken/ten.gate");

#[test]
fn ten_mistakes_are_ten_diagnostics() {
    let shown = diagnose(&[("ten.gate", TEN)]);
    insta::assert_snapshot!(shown);
    assert_eq!(shown.matches("-->").count(), 10);
}

#[test]
fn what_can_be_mended_without_asking_is() {
    let (ast, _) = parse("ten.gate", TEN);
    let errors = compile(&[ast], &modes()).unwrap_err();
    let (mended, count) = fixed(TEN, &errors);
    assert!(count >= 3, "{count}");
    insta::assert_snapshot!(similar(TEN, &mended));
}

/// The lines that differ.
fn similar(before: &str, after: &str) -> String {
    let lines = before.lines().zip(after.lines()).filter(|(a, b)| a != b);
    lines.map(|(a, b)| format!("-{a}\n+{b}\n")).collect()
}

#[test]
fn what_each_broken_file_is_told() {
    let cases = [
        // A clause in the middle, and a name that it would have declared.
        "gate a \"A\" {\n  facts from data.a { x: count }\n  threshold most: count 5\n  reject r: when x > most because \"{x} of {most}\"\n  reject s: when y > most because \"y\"\n}\n",
        // A block that is not closed, before the next clause and before the next gate.
        "gate a \"A\" {\n  facts from data.a {\n    x: count\n  reject r: when x > 1 because \"x\"\n}\n\ngate b \"B\" {\n  facts from data.b { y: bool\n\ngate c \"C\" {\n  facts from data.c { z: bool }\n  reject r: when zz because \"z\"\n}\n",
        // A gate without a name: its clauses are read, and it is not missed in the sequence.
        "gate \"A\" {\n  rejct r: when x because \"x\"\n}\nmode dev {\n  a\n}\nmode staging {\n  a\n}\nmode prod {\n  a\n}\n",
        // Entries: one bad, the others good.
        "gate a \"A\" {\n  facts from data.a {\n    x count\n    y: bool\n    z; bool\n  }\n  reject r: when x > 1 and y and z because \"x\"\n  reject s: when u because \"u\"\n}\n",
        // A sequence with an entry that cannot be read.
        "gate a \"A\" { decide by rego data.a.d }\ngate b \"B\" { decide by rego data.b.d }\nmode dev { a\n  b overide by admin\n}\nmode staging { a b }\nmode prod { a\n  b override admin\n}\n",
        // Words of other languages.
        "gate a \"A\" {\n  facts from data.a { x: count, y: bool }\n  reject r: if x > 1 because \"x\"\n  reject s: when x > 1 && !y because \"x\"\n  deny t: when y because \"y\";\n}\n",
        // What follows a text that is not closed.
        "gate a \"A\" {\n  facts from data.a { x: count }\n  reject r: when x > 1 because \"{x} is too much\n  reject s: when x > 2 becuse \"x\"\n}\n",
    ];
    let page: Vec<String> =
        cases.iter().map(|text| format!("{text}{}", diagnose(&[("a.gate", text)]))).collect();
    insta::assert_snapshot!(page.join("\n----\n"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_broken_clause_hides_no_error_of_another(which in 0..2_usize, changes in changes()) {
        // A gate that is whole but for one name stands behind whatever was done to the first.
        let witness = "\ngate witness \"W\" {\n  facts from data.w { seen: bool }\n  reject r: when unseen because \"x\"\n}\n";
        let text = format!("{}{witness}", changed(FILES[which].1, &changes));
        let (ast, _) = parse("f.gate", &text);
        if let Err(errors) = compile(&[ast], &modes()) {
            let told = errors.iter().any(|e| e.code == codes::UNKNOWN_NAME && e.message.contains("`unseen`"));
            prop_assert!(told, "{}\n{:?}", text, errors);
        }
    }
}

#[test]
fn a_chain_is_mended_to_what_it_meant() {
    let text = |condition: &str| {
        format!(
            "gate g \"G\" {{\n  facts from data.g {{ x: count y: bool }}\n  reject r: when {condition} because \"{{x}} {{y}}\"\n}}\n"
        )
    };
    for (chain, meant) in [
        ("1 < x < 3", Some("1 < x and x < 3")),
        ("not 1 < x <= 3", Some("not (1 < x and x <= 3)")),
        ("y or 1 < x < 3", Some("y or (1 < x and x < 3)")),
        ("(1 < x < 3)", Some("((1 < x and x < 3))")),
        // What is meant is not certain.
        ("y == y == y", None),
        ("1 < x == y", None),
    ] {
        let broken = text(chain);
        let errors = compile(&[parse("f.gate", &broken).0], &modes()).unwrap_err();
        assert_eq!(errors.len(), 1, "{errors:?}");
        let (mended, made) = fixed(&broken, &errors);
        assert_eq!(mended, text(meant.unwrap_or(chain)));
        assert_eq!(made, usize::from(meant.is_some()));
    }
}
