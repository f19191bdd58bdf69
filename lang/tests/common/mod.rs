//! What the tests share: the gates beside them, and diagnostics as plain text.

#![allow(dead_code, reason = "each test file uses its part")]

use cku_base::diagnostic::Diagnostic;
use cku_lang::{Ast, Compiled, compile, parse};

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
