//! Thresholds: their values lie on the grid within the range, in every mode.

use std::collections::BTreeMap;

use cku_base::diagnostic::Diagnostic;

use super::{Declared, Report, expression::literal_value, names};
use crate::{
    ast::{Literal, Source, ThresholdClause, ThresholdPart},
    codes,
    literal::Value,
    model::Threshold,
    types::Type,
};

/// Checks a threshold of a known type. `None` means that errors were reported.
pub(super) fn check(
    source: &Source<'_>,
    clause: &ThresholdClause,
    ty: Type,
    modes: &[String],
    report: &mut Report,
) -> Option<Threshold> {
    if !ty.is_number() {
        let message =
            format!("threshold `{}` is {}, but a threshold is a number", clause.name.text, ty.name());
        let diagnostic = Diagnostic::error(codes::THRESHOLD_TYPE, message).at(source.place(&clause.ty.span));
        report.add(diagnostic.help("compare the fact with a literal in the rule"));
        return None;
    }
    let default = value(source, clause, &clause.value, ty, report);
    let mut threshold = Threshold {
        name: clause.name.text.clone(),
        ty,
        default: default.unwrap_or_default(),
        by_mode: BTreeMap::new(),
        range: None,
        step: None,
        stricter: None,
        learn: false,
        place: source.place(&clause.name.span),
    };
    let parts_are_good = parts(source, clause, &mut threshold, report);

    let mut written = vec![(default, &clause.value)];
    let mut declared = Declared::default();
    for (mode, literal) in &clause.by_mode {
        let known = names::is_mode(source, mode, modes, report);
        let first = known && declared.declare(source, mode, "the value of mode", report);
        let value = value(source, clause, literal, ty, report);
        written.push((value, literal));
        if let (true, Some(value)) = (first, value) {
            threshold.by_mode.insert(mode.text.clone(), value);
        }
    }
    let all_written = written.iter().all(|(value, _)| value.is_some());
    for (value, literal) in written {
        if let Some(value) = value {
            on_grid(source, &threshold, value, literal, report);
        }
    }
    (parts_are_good && all_written).then_some(threshold)
}

/// Range, step, direction and whether it is learned, each at most once and fitting together.
fn parts(
    source: &Source<'_>,
    clause: &ThresholdClause,
    threshold: &mut Threshold,
    report: &mut Report,
) -> bool {
    let errors = report.diagnostics.len();
    let ty = threshold.ty;
    let mut seen: Vec<&str> = Vec::new();
    let mut learn_at = None;
    for (part, span) in &clause.parts {
        let word = match part {
            ThresholdPart::Range(..) => "in",
            ThresholdPart::Step(_) => "step",
            ThresholdPart::Stricter(_) => "stricter",
            ThresholdPart::Learn => "learn",
            ThresholdPart::Fixed => "fixed",
        };
        if seen.contains(&word) {
            let message = format!("threshold `{}` has `{word}` twice", threshold.name);
            report.add(Diagnostic::error(codes::DUPLICATE, message).at(source.place(span)));
            continue;
        }
        seen.push(word);
        match part {
            ThresholdPart::Range(low, high) => {
                let low = value(source, clause, low, ty, report);
                let high = value(source, clause, high, ty, report);
                let (Some(low), Some(high)) = (low, high) else { continue };
                if low < high {
                    threshold.range = Some((low, high));
                } else {
                    let message = format!("the range of `{}` is empty", threshold.name);
                    report.add(Diagnostic::error(codes::BAD_RANGE, message).at(source.place(span)));
                }
            }
            ThresholdPart::Step(literal) => match value(source, clause, literal, ty, report) {
                Some(0) => {
                    let message = format!("the step of `{}` is zero", threshold.name);
                    report.add(Diagnostic::error(codes::BAD_RANGE, message).at(source.place(span)));
                }
                step => threshold.step = step,
            },
            ThresholdPart::Stricter(direction) => threshold.stricter = Some(*direction),
            ThresholdPart::Learn => {
                threshold.learn = true;
                learn_at = Some(span);
            }
            ThresholdPart::Fixed => {}
        }
    }
    if let (Some(span), true) = (learn_at, seen.contains(&"fixed")) {
        let message = format!("threshold `{}` is both `learn` and `fixed`", threshold.name);
        report.add(Diagnostic::error(codes::CONTRADICTION, message).at(source.place(span)));
    }
    if let Some(span) = learn_at {
        let needed = [
            ("in", "a range (`in a..b`)"),
            ("step", "a grid (`step s`)"),
            ("stricter", "a direction (`stricter up` or `down`)"),
        ];
        let lacking: Vec<&str> =
            needed.iter().filter(|(word, _)| !seen.contains(word)).map(|(_, form)| *form).collect();
        if !lacking.is_empty() {
            let message = format!("`{}` cannot be learned without {}", threshold.name, lacking.join(", "));
            report.add(Diagnostic::error(codes::LEARN_NEEDS, message).at(source.place(span)));
        }
    }
    grid(source, clause, threshold, seen.contains(&"in"), report);
    report.diagnostics.len() == errors
}

/// A step needs a range, and divides it.
fn grid(
    source: &Source<'_>,
    clause: &ThresholdClause,
    threshold: &Threshold,
    ranged: bool,
    report: &mut Report,
) {
    let Some(step) = threshold.step else { return };
    let place = || source.place(&clause.name.span);
    match threshold.range {
        Some((low, high)) if (high - low) % step != 0 => {
            let (ty, name) = (threshold.ty, &threshold.name);
            let (low_text, step_text) = (ty.format(low), ty.format(step));
            let last = ty.format(high - (high - low) % step);
            let message = format!(
                "the range of `{name}` does not end on its grid: from {low_text} in steps of {step_text} the last is {last}"
            );
            report.add(Diagnostic::error(codes::BAD_RANGE, message).at(place()));
        }
        None if !ranged => {
            let message = format!("`{}` has a step but no range to lay it on", threshold.name);
            report.add(
                Diagnostic::error(codes::BAD_RANGE, message).at(place()).help("write `in a..b` before it"),
            );
        }
        _ => {}
    }
}

/// The value of a literal of the threshold's type.
fn value(
    source: &Source<'_>,
    clause: &ThresholdClause,
    literal: &Literal,
    ty: Type,
    report: &mut Report,
) -> Option<i64> {
    match literal_value(source, literal, report)? {
        (found, Value::Number(value)) if found == ty => Some(value),
        (found, _) => {
            let (text, name) = (source.slice(&literal.span), &clause.name.text);
            let message = format!("`{text}` is {}, but `{name}` is {}", found.name(), ty.name());
            let diagnostic = Diagnostic::error(codes::WRONG_LITERAL, message).at(source.place(&literal.span));
            report.add(diagnostic.help(format!("{} is written like {}", ty.noun(), ty.example())));
            None
        }
    }
}

fn on_grid(source: &Source<'_>, threshold: &Threshold, value: i64, literal: &Literal, report: &mut Report) {
    let Some((low, high)) = threshold.range else { return };
    let (ty, name) = (threshold.ty, &threshold.name);
    let place = || source.place(&literal.span);
    if !(low..=high).contains(&value) {
        let (low, high) = (ty.format(low), ty.format(high));
        let message = format!("{} is outside the range of `{name}`, {low} to {high}", ty.format(value));
        report.add(Diagnostic::error(codes::OUT_OF_RANGE, message).at(place()));
        return;
    }
    let Some(step) = threshold.step else { return };
    let above = (value - low) % step;
    if above != 0 {
        let (below, next) = (ty.format(value - above), ty.format(value - above + step));
        let message = format!("{} is off the grid of `{name}`", ty.format(value));
        let help = format!("the nearest values are {below} and {next}");
        report.add(Diagnostic::error(codes::OFF_GRID, message).at(place()).help(help));
    }
}
