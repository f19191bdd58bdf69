//! Diagnostics for programs that show them beside the code: SARIF 2.1.0, and GitHub's workflow commands.

use std::collections::BTreeMap;

use cku_base::diagnostic::{Diagnostic, Fix, Place};
use serde_json::{Value, json};

/// One SARIF log with one run.
///
/// Source: OASIS, Static Analysis Results Interchange Format 2.1.0. Columns count code points.
pub(crate) fn log(diagnostics: &[Diagnostic]) -> Value {
    let described: BTreeMap<&str, &str> = cku_lang::codes::ALL.iter().copied().collect();
    let mut codes: Vec<&str> = diagnostics.iter().map(|d| d.code).collect();
    codes.sort_unstable();
    codes.dedup();
    let rules: Vec<Value> = codes
        .iter()
        .map(|code| match described.get(code) {
            Some(text) => json!({"id": code, "shortDescription": {"text": text}}),
            None => json!({"id": code}),
        })
        .collect();
    let results: Vec<Value> = diagnostics
        .iter()
        .map(|diagnostic| result(diagnostic, codes.binary_search(&diagnostic.code).unwrap_or_default()))
        .collect();
    json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "cku", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn result(diagnostic: &Diagnostic, rule: usize) -> Value {
    let text = match &diagnostic.help {
        Some(help) => format!("{}\n{help}", diagnostic.message),
        None => diagnostic.message.clone(),
    };
    let mut result = json!({
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": if diagnostic.is_error() { "error" } else { "warning" },
        "message": {"text": text},
    });
    let mut put = |name: &str, value: Value| {
        if let Value::Object(result) = &mut result {
            result.insert(name.to_owned(), value);
        }
    };
    if let Some(place) = &diagnostic.place {
        put("locations", json!([{"physicalLocation": location(place)}]));
    }
    if let Some(fix) = &diagnostic.fix {
        put("fixes", json!([change(fix)]));
    }
    result
}

fn location(place: &Place) -> Value {
    match region(place) {
        Some(region) => json!({"artifactLocation": {"uri": uri(&place.file)}, "region": region}),
        None => json!({"artifactLocation": {"uri": uri(&place.file)}}),
    }
}

fn region(place: &Place) -> Option<Value> {
    (place.line > 0).then(|| {
        json!({
            "startLine": place.line, "startColumn": place.column,
            "endLine": place.end_line, "endColumn": place.end_column,
        })
    })
}

fn change(fix: &Fix) -> Value {
    json!({
        "description": {"text": fix.title},
        "artifactChanges": [{
            "artifactLocation": {"uri": uri(&fix.place.file)},
            "replacements": [{"deletedRegion": region(&fix.place), "insertedContent": {"text": fix.text}}],
        }],
    })
}

/// A path as a relative or absolute URI reference (RFC 3986).
fn uri(path: &str) -> String {
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~' => {
                uri.push(char::from(byte))
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// Workflow commands, which GitHub shows as annotations of the lines: one line each.
pub(crate) fn annotations(diagnostics: &[Diagnostic]) -> String {
    diagnostics.iter().map(annotation).collect()
}

fn annotation(diagnostic: &Diagnostic) -> String {
    let level = if diagnostic.is_error() { "error" } else { "warning" };
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut properties = Vec::new();
    if let Some(place) = &diagnostic.place {
        properties.push(format!("file={}", property(&place.file)));
        if place.line > 0 {
            properties.push(format!("line={},endLine={}", place.line, place.end_line));
            // Columns mean something only within a line.
            if place.line == place.end_line {
                properties.push(format!("col={},endColumn={}", place.column, place.end_column));
            }
        }
    }
    properties.push(format!("title={}", property(diagnostic.code)));
    let help = diagnostic.help.as_ref().map_or_else(String::new, |help| format!("\n{help}"));
    format!("::{level} {}::{}\n", properties.join(","), data(&format!("{}{help}", diagnostic.message)))
}
