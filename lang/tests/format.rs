//! The formatter: idempotent, nothing lost, and what it compiles to stays the same.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use cku_lang::{Compiled, TokenKind, compile, format, parse};
use common::{FILES, changed, changes, modes};
use proptest::prelude::*;

const MESSY: &str = include_str!("format/messy.gate");

#[test]
fn a_messy_file_is_put_in_order() {
    insta::assert_snapshot!(format("messy.gate", MESSY).unwrap());
}

#[test]
fn the_shipped_gates_are_formatted() {
    let mut seen = 0;
    visit(std::path::Path::new("../policies"), &mut |path, text| {
        seen += 1;
        assert_eq!(format(&path, text).unwrap(), text, "{path} is not formatted; run `cku fmt`");
    });
    assert!(seen > 20, "{seen} files");
}

fn visit(folder: &std::path::Path, see: &mut impl FnMut(String, &str)) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            visit(&path, see);
        } else if path.extension().is_some_and(|e| e == "gate") {
            see(path.display().to_string(), &std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn what_cannot_be_read_is_not_formatted() {
    let errors = format("a.gate", "gate a \"A\" { treshold }").unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(format("a.gate", "").unwrap(), "");
    assert_eq!(format("a.gate", "\n\n // c \n\n\n").unwrap(), "// c\n");
}

/// Without the comments, which name lines, everything it compiles to.
fn meaning(compiled: &Compiled) -> Vec<String> {
    let no_comments = |text: &str| -> String {
        let code = |line: &&str| !line.trim_start().starts_with(['#', '/']);
        text.lines().filter(code).map(|line| format!("{line}\n")).collect()
    };
    let policies = compiled.policies.iter().map(|p| format!("{} {}", p.id, no_comments(&p.text)));
    let modules = compiled.modules.iter().map(|m| no_comments(&m.text));
    policies.chain(modules).chain([compiled.schema.clone()]).collect()
}

/// Comments and everything else that says something, without blanks.
fn said(text: &str) -> (Vec<String>, String) {
    let (ast, _) = parse("f.gate", text);
    let comments = ast.tokens().filter(|(kind, _)| *kind == TokenKind::Comment);
    let words = ast.tokens().filter(|(kind, _)| !kind.is_trivia());
    (comments.map(|(_, text)| text.trim_end().to_owned()).collect(), words.map(|(_, text)| text).collect())
}

/// A file with blanks, line ends and comments thrown in between its tokens.
fn scattered() -> impl Strategy<Value = String> {
    let trivia = prop::sample::select(vec![
        "",
        " ",
        "  ",
        "\t",
        "\n",
        "\n\n",
        "\n\n\n",
        " \r\n",
        " // why\n",
        "\n// above\n",
        "\n  // a\n\n  // b\n",
        "//x\n",
    ]);
    let texts = [FILES[0].1, FILES[1].1, FILES[2].1, MESSY];
    (0..texts.len(), prop::collection::vec((0..400_usize, trivia), 0..12)).prop_map(move |(which, puts)| {
        let (ast, _) = parse("f.gate", texts[which]);
        let tokens: Vec<&str> = ast.tokens().map(|(_, text)| text).collect();
        let mut text = String::new();
        for (n, token) in tokens.iter().enumerate() {
            text.extend(puts.iter().filter(|(at, _)| at % tokens.len() == n).map(|(_, trivia)| *trivia));
            text.push_str(token);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn formatting_keeps_what_is_said_and_twice_is_once(text in scattered()) {
        // A blank put within `80%` or a path may make another file of it, or none.
        if let Ok(formatted) = format("f.gate", &text) {
            prop_assert_eq!(said(&formatted), said(&text), "{}", text);
            prop_assert_eq!(&format("f.gate", &formatted).unwrap(), &formatted, "{}", text);
            for line in formatted.lines() {
                prop_assert_eq!(line.trim_end(), line);
            }
        }
    }

    #[test]
    fn formatting_changes_no_meaning(which in 0..FILES.len(), text in scattered(), changes in changes()) {
        for text in [text, changed(FILES[which].1, &changes)] {
            let (ast, _) = parse("f.gate", &text);
            let Ok(before) = compile(&[ast], &modes()) else { continue };
            let formatted = format("f.gate", &text).unwrap();
            let after = compile(&[parse("f.gate", &formatted).0], &modes()).unwrap();
            prop_assert_eq!(meaning(&after), meaning(&before), "{}", text);
        }
    }
}
