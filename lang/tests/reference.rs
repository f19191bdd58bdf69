//! The pages about the language: every example on them is what it is said to be.
//!
//! A fenced block `gate` is a whole file, `gate clause` stands within a gate, and `gate wrong CODE` is
//! told this code and no other. A block without a word that begins with `gate` is a whole file, too.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

mod common;

use std::collections::BTreeSet;

use cku_lang::{codes, compile, format, parse};
use common::{diagnose, modes};

const LANGUAGE: (&str, &str) = ("docs/gate-language.md", include_str!("../../docs/gate-language.md"));
const DIAGNOSTICS: (&str, &str) = ("docs/diagnostics.md", include_str!("../../docs/diagnostics.md"));

/// Codes that no short example gives, so that their entries say why there is none.
const WITHOUT_EXAMPLE: [&str; 2] = [codes::TOO_LARGE, codes::NO_MODES];

/// What a block is said to be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    File,
    Clauses,
    Wrong(String),
}

/// An example on a page.
#[derive(Debug)]
struct Block {
    /// The page and the line of its fence.
    place: String,
    kind: Kind,
    text: String,
    /// The heading that it stands under.
    heading: String,
}

/// The examples of a page, in order.
fn blocks((page, text): (&str, &str)) -> Vec<Block> {
    let (mut found, mut heading) = (Vec::new(), String::new());
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        if line.starts_with('#') {
            heading = line.to_owned();
        }
        let Some(word) = line.strip_prefix("```") else { continue };
        let place = format!("{page}:{}", number + 1);
        let inner: Vec<&str> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let text = format!("{}\n", inner.join("\n"));
        let kind = match word.split(' ').collect::<Vec<_>>().as_slice() {
            ["gate"] => Kind::File,
            ["gate", "clause"] => Kind::Clauses,
            ["gate", "wrong", code] => Kind::Wrong((*code).to_owned()),
            [""] if text.starts_with("gate ") => Kind::File,
            ["gate", ..] => panic!("{place}: nobody knows what `{word}` is"),
            _ => continue,
        };
        found.push(Block { place, kind, text, heading: heading.clone() });
    }
    found
}

fn all() -> Vec<Block> {
    [LANGUAGE, DIAGNOSTICS].into_iter().flat_map(blocks).collect()
}

/// Clauses within a gate that has a fact of every type and reads them all, with a fact that no page
/// names, so that its own rule says nothing of theirs.
fn framed(clauses: &str) -> String {
    let indented: Vec<String> = clauses
        .lines()
        .map(|line| if line.is_empty() { String::new() } else { format!("  {line}") })
        .collect();
    format!(
        r#"gate example "Example" {{
  facts from data.acme.example {{
    line_coverage: percent
    lint_errors:   count
    cost:          money
    age:           duration
    support:       ratio
    accepted:      bool
    kind:          text
    targets:       set of text
    framed:        bool
  }}

  pause framed: when framed because "{{line_coverage}} {{lint_errors}} {{cost}} {{age}} {{support}} {{accepted}} {{kind}} {{targets}}"

{}
}}
"#,
        indented.join("\n")
    )
}

/// The page's first gate has the sequence of one mode; the others get theirs, as the text asks for.
fn completed(text: &str) -> String {
    let named =
        |word: &'static str| text.lines().filter_map(move |line| line.strip_prefix(word)?.split(' ').next());
    let sequences: BTreeSet<&str> = named("mode ").collect();
    let gates: Vec<String> = named("gate ").map(|gate| format!("  {gate}\n")).collect();
    let lacking =
        modes().into_iter().filter(|mode| !sequences.is_empty() && !sequences.contains(mode.as_str()));
    let added: String = lacking.map(|mode| format!("\nmode {mode} {{\n{}}}\n", gates.concat())).collect();
    format!("{text}{added}")
}

/// The codes that a file is told.
fn codes_of(text: &str) -> BTreeSet<&'static str> {
    let told = match compile(&[parse("example.gate", text).0], &modes()) {
        Ok(compiled) => compiled.warnings,
        Err(errors) => errors,
    };
    told.iter().map(|diagnostic| diagnostic.code).collect()
}

fn is_file(text: &str) -> bool {
    text.starts_with("gate ") || text.starts_with("mode ")
}

#[test]
fn there_are_examples_of_every_kind() {
    let count = |of: fn(&Kind) -> bool| all().iter().filter(|block| of(&block.kind)).count();
    let (files, clauses) = (count(|kind| *kind == Kind::File), count(|kind| *kind == Kind::Clauses));
    let wrong = count(|kind| matches!(kind, Kind::Wrong(_)));
    assert!(files >= 5 && clauses >= 20 && wrong >= 20, "{files} {clauses} {wrong}");
}

#[test]
fn what_is_right_compiles_without_a_word() {
    for block in all() {
        let text = match block.kind {
            Kind::File => completed(&block.text),
            Kind::Clauses => framed(&block.text),
            Kind::Wrong(_) => continue,
        };
        let told = diagnose(&[("example.gate", &text)]);
        assert!(told.is_empty(), "{}\n{told}", block.place);
    }
}

#[test]
fn what_is_wrong_is_told_so() {
    for block in all() {
        let Kind::Wrong(code) = &block.kind else { continue };
        let text = if is_file(&block.text) { block.text.clone() } else { framed(&block.text) };
        let told = codes_of(&text);
        assert_eq!(told, BTreeSet::from([code.as_str()]), "{}", block.place);
    }
}

#[test]
fn what_is_right_is_formatted() {
    for block in all() {
        let text = match block.kind {
            Kind::File => block.text,
            Kind::Clauses => framed(&block.text),
            Kind::Wrong(_) => continue,
        };
        assert_eq!(format("example.gate", &text).unwrap(), text, "{}", block.place);
    }
}

#[test]
fn every_code_has_its_entry() {
    let headings = DIAGNOSTICS.1.lines().filter_map(|line| line.strip_prefix("### "));
    let explained: Vec<&str> = headings.filter_map(|heading| heading.split(' ').next()).collect();
    let known: Vec<&str> = codes::ALL.iter().map(|(code, _)| *code).collect();
    assert_eq!(explained, known);

    let blocks = blocks(DIAGNOSTICS);
    for code in known {
        let here = || blocks.iter().filter(|block| block.heading.starts_with(&format!("### {code} ")));
        let wrong = Kind::Wrong(code.to_owned());
        let is_shown = here().any(|block| block.kind == wrong);
        assert_ne!(is_shown, WITHOUT_EXAMPLE.contains(&code), "{code}");
        if is_shown {
            let is_right = |block: &Block| !matches!(block.kind, Kind::Wrong(_));
            assert!(here().any(is_right), "{code} has no right form");
        }
    }
}

#[test]
fn the_pages_name_no_code_that_is_not_there() {
    for (page, text) in [LANGUAGE, DIAGNOSTICS] {
        let words = text.split(|c: char| !c.is_ascii_alphanumeric());
        let is_code =
            |word: &&str| word.len() == 4 && word.starts_with('G') && word[1..].parse::<u16>().is_ok();
        for code in words.filter(is_code) {
            assert!(codes::ALL.iter().any(|(known, _)| *known == code), "{page} names {code}");
        }
    }
}
