//! Edits of a gate file that change exactly the bytes they mean.

use cku_base::{diagnostic::Diagnostic, suggest};

use crate::{
    ast::{Ast, Clause, GateItem, Item, Literal, LiteralKind, Span, ThresholdClause, ThresholdPart},
    literal::{Value, resolve},
    syntax::parse,
    types::Type,
};

/// A value of a threshold: which one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThresholdValue<'a> {
    /// The gate's name.
    pub gate: &'a str,
    /// The threshold's name.
    pub threshold: &'a str,
    /// The mode whose own value is meant; `None` for that of all modes that have none.
    pub mode: Option<&'a str>,
}

/// Why an edit was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// The text has syntax errors, so that what stands where is not known.
    #[error("the file has {} syntax errors; mend them first (`cku check`)", .0.len())]
    Syntax(Vec<Diagnostic>),
    /// There is no such gate, threshold or value by mode.
    #[error("there is no {what} `{name}`{hint}")]
    Unknown {
        /// What was looked for.
        what: &'static str,
        /// Its name.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// The mode has the value of all modes, and none of its own.
    #[error("`{threshold}` has no value of its own in mode `{mode}`; add one")]
    NoOwnValue {
        /// The threshold.
        threshold: String,
        /// The mode.
        mode: String,
    },
    /// The mode has a value of its own already.
    #[error("`{threshold}` has a value of its own in mode `{mode}` already; set it")]
    OwnValue {
        /// The threshold.
        threshold: String,
        /// The mode.
        mode: String,
    },
    /// The value is none that the threshold may have.
    #[error("`{threshold}` cannot be {value}: {why}")]
    Value {
        /// The threshold.
        threshold: String,
        /// The value, as it would be written for people.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// The threshold itself is not in order.
    #[error("`{0}` is not in order; `cku check` says what is wrong")]
    Broken(String),
}

/// Gives one value of a threshold another amount, in the unit of its type.
///
/// Exactly the bytes of that literal change, and it is written in the form that it has: `80%`, `80.50%`.
/// The value lies on the threshold's grid within its range, or nothing is changed.
///
/// ```
/// use cku_lang::{ThresholdValue, set_threshold};
///
/// let text = "gate a \"A\" {\n  threshold most: percent = 80% in 60%..98% step 1% { prod = 85% }\n}\n";
/// let prod = ThresholdValue { gate: "a", threshold: "most", mode: Some("prod") };
/// assert_eq!(set_threshold(text, prod, 9000).unwrap(), text.replace("85%", "90%"));
/// assert!(set_threshold(text, prod, 9050).unwrap_err().to_string().contains("off its grid"));
/// ```
pub fn set_threshold(text: &str, which: ThresholdValue<'_>, value: i64) -> Result<String, EditError> {
    let ast = read(text)?;
    let clause = threshold(&ast, which)?;
    let literal = match which.mode {
        None => &clause.value,
        Some(mode) => own_value(clause, mode).ok_or_else(|| EditError::NoOwnValue {
            threshold: which.threshold.to_owned(),
            mode: mode.to_owned(),
        })?,
    };
    let ty = allowed(clause, value)?;
    let edited = replaced(text, &literal.span, &written(text, literal, ty, value));
    checked(edited, which, value)
}

/// Gives a threshold a value of its own in a mode that had none.
///
/// The text stays as it is but for one entry, behind the last one of the block of values, which is
/// made if there is none.
pub fn add_threshold_value(
    text: &str,
    gate: &str,
    name: &str,
    mode: &str,
    value: i64,
) -> Result<String, EditError> {
    let ast = read(text)?;
    let which = ThresholdValue { gate, threshold: name, mode: Some(mode) };
    let clause = threshold(&ast, which)?;
    if own_value(clause, mode).is_some() {
        return Err(EditError::OwnValue { threshold: name.to_owned(), mode: mode.to_owned() });
    }
    let ty = allowed(clause, value)?;
    let literal = written(text, &clause.value, ty, value);
    let edited = match (clause.by_mode.last(), &clause.block) {
        (Some((last, last_value)), _) => {
            let end = last_value.span.end;
            // As the last entry: on a line of its own if that one is.
            let before = text.get(..last.span.start).unwrap_or("");
            let line = before.rfind('\n').map_or("", |at| before.get(at + 1..).unwrap_or(""));
            let own_line = before.contains('\n') && line.trim().is_empty();
            let gap = if own_line { format!("\n{line}") } else { " ".to_owned() };
            replaced(text, &(end..end), &format!("{gap}{mode} = {literal}"))
        }
        (None, Some(block)) => {
            let at = block.start + 1;
            replaced(text, &(at..at), &format!(" {mode} = {literal}"))
        }
        (None, None) => {
            let at = clause.span.end;
            replaced(text, &(at..at), &format!(" {{\n    {mode} = {literal}\n  }}"))
        }
    };
    checked(edited, which, value)
}

fn read(text: &str) -> Result<Ast, EditError> {
    let (ast, errors) = parse("", text);
    if errors.is_empty() { Ok(ast) } else { Err(EditError::Syntax(errors)) }
}

/// The threshold that is meant; one that is declared twice is not in order.
fn threshold<'a>(ast: &'a Ast, which: ThresholdValue<'_>) -> Result<&'a ThresholdClause, EditError> {
    let gates = ast.items.iter().filter_map(|item| match item {
        Item::Gate(gate) => Some(gate),
        Item::Mode(_) => None,
    });
    let gate: &GateItem = only("gate", which.gate, gates, |gate| &gate.name.text)?;
    let thresholds = gate.clauses.iter().filter_map(|clause| match clause {
        Clause::Threshold(threshold) => Some(threshold),
        _ => None,
    });
    only("threshold", which.threshold, thresholds, |threshold| &threshold.name.text)
}

fn only<'a, T>(
    what: &'static str,
    name: &str,
    all: impl Iterator<Item = &'a T> + Clone,
    name_of: impl Fn(&'a T) -> &'a str,
) -> Result<&'a T, EditError> {
    let mut found = all.clone().filter(|one| name_of(one) == name);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(EditError::Broken(name.to_owned())),
        (None, _) => {
            let hint = suggest(name, all.map(name_of));
            let hint = hint.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            Err(EditError::Unknown { what, name: name.to_owned(), hint })
        }
    }
}

fn own_value<'a>(clause: &'a ThresholdClause, mode: &str) -> Option<&'a Literal> {
    clause.by_mode.iter().find(|(name, _)| name.text == mode).map(|(_, literal)| literal)
}

/// The type of a threshold that may have this value.
fn allowed(clause: &ThresholdClause, value: i64) -> Result<Type, EditError> {
    let name = &clause.name.text;
    let broken = || EditError::Broken(name.clone());
    let ty = Type::named(&clause.ty.text).ok_or_else(broken)?;
    let number = |literal: &Literal| match resolve(literal) {
        Ok((found, Value::Number(value))) if found == ty => Ok(value),
        _ => Err(broken()),
    };
    let refuse = |why: String| EditError::Value { threshold: name.clone(), value: ty.format(value), why };
    let domain = ty.domain().ok_or_else(broken)?;
    if !domain.contains(&value) {
        let (least, most) = (ty.format(*domain.start()), ty.format(*domain.end()));
        return Err(refuse(format!("{} is {least} to {most}", ty.noun())));
    }
    let (mut range, mut step) = (None, None);
    for (part, _) in &clause.parts {
        match part {
            ThresholdPart::Range(low, high) => range = Some((number(low)?, number(high)?)),
            ThresholdPart::Step(literal) => step = Some(number(literal)?),
            ThresholdPart::Stricter(_) | ThresholdPart::Learn | ThresholdPart::Fixed => {}
        }
    }
    if let Some((low, high)) = range {
        if !(low..=high).contains(&value) {
            return Err(refuse(format!("its range is {} to {}", ty.format(low), ty.format(high))));
        }
        if let Some(step) = step {
            let above = (value - low).checked_rem(step).ok_or_else(broken)?;
            if above != 0 {
                let (below, next) = (ty.format(value - above), ty.format(value - above + step));
                return Err(refuse(format!("it is off its grid; the nearest are {below} and {next}")));
            }
        }
    }
    Ok(ty)
}

/// A value in the form of a literal: its unit, its blanks, and at least as many decimals.
fn written(text: &str, like: &Literal, ty: Type, value: i64) -> String {
    let slice = text.get(like.span.clone()).unwrap_or("");
    let LiteralKind::Quantity(digits, unit) = &like.kind else { return value.to_string() };
    let behind = slice.get(digits.len()..).unwrap_or("");
    let decimals_of = digits.split_once('.').map_or(0, |(_, decimals)| decimals.len());
    match ty {
        Type::Percent | Type::Money => format!("{}{behind}", decimal(value, 2, decimals_of)),
        Type::Ratio => format!("{}{behind}", decimal(value, 4, decimals_of.max(1))),
        Type::Duration => {
            let length = |unit: &str| match unit {
                "d" => 86_400,
                "h" => 3_600,
                "m" => 60,
                _ => 1,
            };
            // Its own unit if it divides the value, else the largest that does.
            let own = unit.as_deref().unwrap_or("s");
            let fitting = [own, "d", "h", "m", "s"].into_iter().find(|unit| value % length(unit) == 0);
            let unit = fitting.unwrap_or("s");
            format!("{}{unit}", value / length(unit))
        }
        Type::Bool | Type::Count | Type::Text | Type::SetOfText => format!("{value}{behind}"),
    }
}

/// So many decimal places, without the zeros at the end that are not asked for.
fn decimal(value: i64, places: u32, least: usize) -> String {
    let unit = 10_i64.pow(places);
    let decimals = format!("{:0width$}", value % unit, width = places as usize);
    let needed = decimals.trim_end_matches('0').len().max(least.min(decimals.len()));
    match decimals.get(..needed).unwrap_or("") {
        "" => (value / unit).to_string(),
        decimals => format!("{}.{decimals}", value / unit),
    }
}

fn replaced(text: &str, span: &Span, with: &str) -> String {
    let (before, after) = (text.get(..span.start).unwrap_or(""), text.get(span.end..).unwrap_or(""));
    [before, with, after].concat()
}

/// Reads the edited text back: it says what was meant, or the edit is not made.
fn checked(edited: String, which: ThresholdValue<'_>, value: i64) -> Result<String, EditError> {
    let ast = read(&edited)?;
    let clause = threshold(&ast, which)?;
    let literal = which.mode.map_or(Some(&clause.value), |mode| own_value(clause, mode));
    match literal.map(resolve) {
        Some(Ok((_, Value::Number(found)))) if found == value => Ok(edited),
        _ => Err(EditError::Broken(which.threshold.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_decimals_are_written_than_are_needed_or_were_there() {
        assert_eq!(decimal(8000, 2, 0), "80");
        assert_eq!(decimal(8050, 2, 0), "80.5");
        assert_eq!(decimal(8000, 2, 1), "80.0");
        assert_eq!(decimal(6500, 4, 2), "0.65");
        assert_eq!(decimal(10_000, 4, 1), "1.0");
        assert_eq!(decimal(1, 4, 1), "0.0001");
    }
}
