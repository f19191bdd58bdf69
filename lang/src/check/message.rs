//! The messages of rules: text with `{names}` in it.

use cku_base::diagnostic::Diagnostic;

use super::{Report, names, scope::Scope};
use crate::{
    ast::{Source, Text},
    codes,
    model::Segment,
};

/// Splits a message at its placeholders. `{{` and `}}` stand for braces.
pub(super) fn segments(source: &Source<'_>, text: &Text, scope: &Scope, report: &mut Report) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut said = String::new();
    let mut rest = text.raw.as_str();
    let offset = |rest: &str| text.span.start + text.raw.len() - rest.len();
    while let Some(c) = rest.chars().next() {
        let after = rest.get(c.len_utf8()..).unwrap_or("");
        let doubled = after.chars().next().filter(|next| *next == c);
        match (c, doubled) {
            ('\\', _) => {
                said.extend(after.chars().next());
                rest = after.get(1..).unwrap_or("");
            }
            ('{' | '}', Some(_)) => {
                said.push(c);
                rest = after.get(1..).unwrap_or("");
            }
            ('{', None) => {
                let start = offset(rest);
                let Some((name, tail)) = after.split_once('}').filter(|(name, _)| !name.contains('{')) else {
                    let place = source.place(&(start..start + 1));
                    let diagnostic = Diagnostic::error(codes::PLACEHOLDER, "a placeholder is not closed");
                    report.add(diagnostic.at(place).help("write `{name}`, or `{{` for a brace"));
                    return segments;
                };
                if !said.is_empty() {
                    segments.push(Segment::Text(std::mem::take(&mut said)));
                }
                if scope.facts.contains_key(name) {
                    segments.push(Segment::Fact(name.to_owned()));
                } else if scope.thresholds.contains_key(name) {
                    segments.push(Segment::Threshold(name.to_owned()));
                } else if !scope.unread.contains(name) {
                    let message = format!("`{{{name}}}` is no fact or threshold of this gate");
                    let span = start..offset(tail);
                    report.add(names::unknown(codes::PLACEHOLDER, source, &span, message, scope.names()));
                }
                rest = tail;
            }
            ('}', None) => {
                let start = offset(rest);
                let diagnostic = Diagnostic::error(codes::PLACEHOLDER, "a brace closes no placeholder");
                report.add(diagnostic.at(source.place(&(start..start + 1))).help("write `}}` for a brace"));
                rest = after;
            }
            _ => {
                said.push(c);
                rest = after;
            }
        }
    }
    if !said.is_empty() || segments.is_empty() {
        segments.push(Segment::Text(said));
    }
    segments
}
