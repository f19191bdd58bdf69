//! Names: which words are taken, which are known, and which were probably meant.

use cku_base::{
    diagnostic::{Diagnostic, Fix},
    suggest,
};

use super::Report;
use crate::{
    ast::{Name, Source, Span},
    codes,
};

/// Words that the gate language reads as operators or flags wherever a name could stand.
const OWN: [&str; 12] = [
    "and", "or", "not", "in", "contains", "true", "false", "when", "because", "advise", "barrier", "override",
];

/// Words of Rego: a gate of that name could not be a package, a fact of that name not a rule.
const REGO: [&str; 18] = [
    "as", "contains", "data", "default", "else", "every", "false", "if", "import", "in", "input", "not",
    "null", "package", "some", "true", "with", "_",
];

/// Refuses a name that the language, or what it compiles to, reads as something else.
pub(super) fn not_reserved(source: &Source<'_>, name: &Name, what: &str, report: &mut Report) {
    let owner = match name.text.as_str() {
        word if OWN.contains(&word) => "the gate language",
        word if REGO.contains(&word) => "Rego",
        // The context of every question to Cedar has the run's mode under this name.
        "mode" if what != "gate" => "the compiled policies",
        _ => return,
    };
    let message = format!("`{}` is a word of {owner} and cannot name a {what}", name.text);
    report.add(Diagnostic::error(codes::RESERVED, message).at(source.place(&name.span)));
}

/// Refuses a path that does not begin with `data.`, has a word of Rego in it, or is generated.
pub(super) fn is_path(source: &Source<'_>, path: &Name, report: &mut Report) {
    let mut segments = path.text.split('.');
    let place = || source.place(&path.span);
    let message = if segments.next() != Some("data") || path.text == "data" {
        format!("`{}` does not begin with `data.`", path.text)
    } else if let Some(word) = segments.find(|segment| REGO.contains(segment)) {
        format!("`{word}` is a word of Rego, so that `{}` cannot be a rule", path.text)
    } else if ["data.cku.facts", "data.cku.sequence"].iter().any(|generated| is_within(&path.text, generated))
    {
        format!("`{}` is compiled from gate files and cannot be their source", path.text)
    } else {
        return;
    };
    report.add(Diagnostic::error(codes::BAD_PATH, message).at(place()));
}

fn is_within(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// An error about a name that is not known, with the one that was probably meant.
pub(super) fn unknown<'a>(
    code: &'static str,
    source: &Source<'_>,
    span: &Span,
    message: String,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Diagnostic {
    let place = source.place(span);
    let diagnostic = Diagnostic::error(code, message).at(place.clone());
    let written = source.slice(span);
    match suggest(written.trim_matches(['{', '}', ' ']), known.clone()) {
        Some(meant) => {
            let text = if written.starts_with('{') { format!("{{{meant}}}") } else { meant.to_owned() };
            let fix = Fix::maybe(format!("write `{text}`"), place, text);
            diagnostic.help(format!("did you mean `{meant}`?")).fix(fix)
        }
        None => {
            let known: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
            match known.len() {
                0 | 13.. => diagnostic,
                _ => diagnostic.help(format!("known are {}", known.join(", "))),
            }
        }
    }
}

/// The named modes, in the order of the bundle; unknown and repeated ones are errors.
pub(super) fn modes(
    source: &Source<'_>,
    names: &[Name],
    modes: &[String],
    report: &mut Report,
) -> Vec<String> {
    let mut seen = super::Declared::listed();
    let mut found = Vec::new();
    for name in names {
        if is_mode(source, name, modes, report) && seen.declare(source, name, "mode", report) {
            found.push(name.text.clone());
        }
    }
    found.sort_by_key(|name| modes.iter().position(|mode| mode == name));
    found
}

/// Whether the bundle has this mode; an error if not.
pub(super) fn is_mode(source: &Source<'_>, name: &Name, modes: &[String], report: &mut Report) -> bool {
    let known = modes.contains(&name.text);
    if !known {
        let message = format!("the bundle has no mode `{}`", name.text);
        let modes = modes.iter().map(String::as_str);
        report.add(unknown(codes::UNKNOWN_MODE, source, &name.span, message, modes));
    }
    known
}
