//! What the tests share: the gates beside them, and diagnostics as plain text.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; tests may panic")]

use cku_base::diagnostic::Diagnostic;
use cku_lang::{Ast, Compiled, compile, parse};
use proptest::prelude::*;

/// The files of a small bundle.
pub(crate) const FILES: [(&str, &str); 3] = [
    ("gates/quality.gate", include_str!("../gates/quality.gate")),
    ("gates/scope.gate", include_str!("../gates/scope.gate")),
    ("pipeline.gate", include_str!("../gates/pipeline.gate")),
];

/// The modes of the small bundle.
pub(crate) fn modes() -> Vec<String> {
    ["dev", "staging", "prod"].map(str::to_owned).to_vec()
}

/// The small bundle, compiled.
pub(crate) fn compiled() -> Compiled {
    let asts: Vec<Ast> = FILES.iter().map(|(file, text)| parse(file, text).0).collect();
    compile(&asts, &modes()).unwrap_or_else(|errors| panic!("{}", render(&FILES, &errors)))
}

/// All errors and warnings of these files, as a person reads them.
pub(crate) fn diagnose(files: &[(&str, &str)]) -> String {
    let asts: Vec<Ast> = files.iter().map(|(file, text)| parse(file, text).0).collect();
    let diagnostics = match compile(&asts, &modes()) {
        Ok(compiled) => compiled.warnings,
        Err(errors) => errors,
    };
    render(files, &diagnostics)
}

fn render(files: &[(&str, &str)], diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        let severity = if diagnostic.is_error() { "error" } else { "warning" };
        out.push_str(&format!("{severity}[{}]: {}\n", diagnostic.code, diagnostic.message));
        if let Some(place) = &diagnostic.place {
            let text = files.iter().find(|(file, _)| *file == place.file).map_or("", |(_, text)| text);
            let line = text.lines().nth(place.line.saturating_sub(1) as usize).unwrap_or("");
            let before = place.column.saturating_sub(1) as usize;
            let spanned = text[place.span.clone()].lines().next().unwrap_or("").chars().count().max(1);
            out.push_str(&format!(
                "  --> {place}\n   | {line}\n   | {}{}\n",
                " ".repeat(before),
                "^".repeat(spanned)
            ));
        }
        if let Some(label) = &diagnostic.label {
            out.push_str(&format!("   = {label}\n"));
        }
        if let Some(help) = &diagnostic.help {
            out.push_str(&format!("   = help: {help}\n"));
        }
    }
    out
}

/// A change to a file: at an offset (in thousandths), this many bytes are replaced by this.
pub(crate) type Change = (usize, usize, String);

/// A few changes of the sort that people and editors make.
pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec(change(), 1..6)
}

fn change() -> impl Strategy<Value = Change> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "(",
            ")",
            "\"",
            "\\",
            "//",
            "\n",
            "gate ",
            "mode ",
            "in ",
            "not ",
            "and ",
            "because ",
            "..",
            "%",
            " EUR",
            "==",
            "<",
            "80%",
            "0.75",
            "1e9",
            "99999999999999999999",
            "set of text",
            "{{",
            "é",
            "\u{0}",
            "\r",
            "data.",
            "run:create",
            "missing ",
            "threshold ",
            "decide by cedar x:y ",
            "learn ",
            "prod",
            "line_coverage",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,4}",
    ];
    (0..1000_usize, 0..40_usize, piece)
}

/// The text after these changes.
pub(crate) fn changed(text: &str, changes: &[Change]) -> String {
    let floor = |text: &str, at: usize| {
        let at = at.min(text.len());
        (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap()
    };
    let mut text = text.to_owned();
    for (at, len, piece) in changes {
        let start = floor(&text, text.len() * at / 1000);
        let end = floor(&text, start + len).max(start);
        text.replace_range(start..end, piece);
    }
    text
}
