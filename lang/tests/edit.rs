//! Edits: exactly the bytes that are meant change, and the result says what was meant.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

use std::fmt::Write as _;

use cku_lang::{ThresholdValue, Type, add_threshold_value, compile, format, parse, set_threshold};
use proptest::prelude::*;

const QUALITY: &str = include_str!("../../policies/baseline/gates/quality.gate");

/// A threshold with a grid: its type, low end, step, and how many steps.
#[derive(Debug, Clone)]
struct Grid {
    ty: Type,
    low: i64,
    step: i64,
    steps: i64,
    /// Where on the grid the values of all modes, `dev` and `prod` lie; `prod` may have none.
    values: (i64, i64, Option<i64>),
}

impl Grid {
    fn at(&self, n: i64) -> i64 {
        self.low + n.rem_euclid(self.steps + 1) * self.step
    }

    fn text(&self, blanks: &str) -> String {
        let write = |value: i64| literal(self.ty, value);
        let mut text = format!(
            "// é\ngate g \"G\" {{\n  facts from data.g {{ x: {ty} }}\n  threshold t: {ty} ={blanks}{} in {}..{} step {} stricter up learn {{{blanks}dev = {}",
            write(self.at(self.values.0)),
            write(self.low),
            write(self.at(self.steps)),
            write(self.step),
            write(self.at(self.values.1)),
            ty = self.ty.name(),
        );
        if let Some(prod) = self.values.2 {
            write!(text, "{blanks}prod = {} // why", write(self.at(prod))).unwrap();
        }
        text + "\n  }\n  pause r: when x < t because \"{x} {t}\"\n}\n"
    }
}

fn literal(ty: Type, value: i64) -> String {
    match ty {
        Type::Percent => format!("{}.{:02} %", value / 100, value % 100),
        Type::Ratio => format!("{}.{:04}", value / 10_000, value % 10_000),
        Type::Money => format!("{}.{:02} EUR", value / 100, value % 100),
        Type::Duration if value % 60 == 0 => format!("{}m", value / 60),
        Type::Duration => format!("{value}s"),
        _ => value.to_string(),
    }
}

fn grid() -> impl Strategy<Value = Grid> {
    let types = vec![Type::Percent, Type::Ratio, Type::Money, Type::Duration, Type::Count];
    let values = (any::<i64>(), any::<i64>(), prop::option::of(any::<i64>()));
    (prop::sample::select(types), 0..5_000_i64, 1..500_i64, 1..10_i64, values)
        .prop_map(|(ty, low, step, steps, values)| Grid { ty, low, step, steps, values })
}

fn value_in(text: &str, mode: &str) -> i64 {
    let compiled = compile(&[parse("g.gate", text).0], &["dev".into(), "prod".into(), "other".into()]);
    let compiled = compiled.unwrap_or_else(|errors| panic!("{text}\n{errors:?}"));
    let cku_lang::GateBody::Rules(rules) = &compiled.gates[0].body else { panic!() };
    rules.thresholds[0].value(mode)
}

/// The texts before and after the bytes that differ, and those bytes.
fn difference<'t>(before: &'t str, after: &'t str) -> (usize, &'t str, &'t str) {
    let same = before.bytes().zip(after.bytes()).take_while(|(a, b)| a == b).count();
    let most = before.len().min(after.len()) - same;
    let same_end =
        before.bytes().rev().zip(after.bytes().rev()).take(most).take_while(|(a, b)| a == b).count();
    (same, &before[same..before.len() - same_end], &after[same..after.len() - same_end])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exactly_one_literal_changes(grid in grid(), to in any::<i64>(), which in 0..3_usize, blanks in "[ \n]{1,3}") {
        let text = grid.text(&blanks);
        let mode = [None, Some("dev"), Some("prod")][which];
        let value = grid.at(to);
        let target = ThresholdValue { gate: "g", threshold: "t", mode };
        let edited = match set_threshold(&text, target, value) {
            Ok(edited) => edited,
            Err(error) => {
                prop_assert_eq!((mode, grid.values.2), (Some("prod"), None), "{}", error);
                return Ok(());
            }
        };
        for (name, changed) in [("other", mode.is_none()), ("dev", mode == Some("dev")), ("prod", mode == Some("prod"))] {
            let follows = changed || name == "prod" && grid.values.2.is_none() && mode.is_none();
            let expected = if follows { value } else { value_in(&text, name) };
            prop_assert_eq!(value_in(&edited, name), expected, "{} in {}", name, edited);
        }
        // What differs lies within the literal.
        let old = value_in(&text, mode.unwrap_or("other"));
        let (at, was, is) = difference(&text, &edited);
        if old == value {
            prop_assert_eq!(&edited, &text);
        }
        prop_assert!(was.len() <= literal(grid.ty, old).len() && is.len() <= 20, "{:?} {:?}", was, is);
        prop_assert!(text.is_char_boundary(at) && !was.contains(['{', '}', '=', '\n']), "{:?}", was);
    }

    #[test]
    fn a_value_off_the_grid_changes_nothing(grid in grid(), to in any::<i64>(), off in 1..500_i64) {
        let target = ThresholdValue { gate: "g", threshold: "t", mode: None };
        let text = grid.text(" ");
        if off % grid.step != 0 {
            let told = set_threshold(&text, target, grid.at(to) + off).unwrap_err().to_string();
            prop_assert!(told.contains("off its grid") || told.contains("its range is"), "{}", told);
        }
        for outside in [grid.low - grid.step, grid.at(grid.steps) + grid.step, -1, i64::MAX, i64::MIN] {
            prop_assert!(set_threshold(&text, target, outside).is_err());
        }
    }

    #[test]
    fn an_added_value_is_all_that_is_added(grid in grid(), to in any::<i64>(), blanks in "[ \n]{1,3}") {
        let text = grid.text(&blanks);
        let added = add_threshold_value(&text, "g", "t", "prod", grid.at(to));
        let Ok(added) = added else {
            prop_assert!(grid.values.2.is_some());
            return Ok(());
        };
        let (at, was, is) = difference(&text, &added);
        prop_assert_eq!(was, "", "{}", added);
        prop_assert!(text[at..].contains('}'), "{} {}", is, added);
        prop_assert_eq!(value_in(&added, "prod"), grid.at(to));
        prop_assert_eq!(value_in(&added, "dev"), value_in(&text, "dev"));
    }
}

#[test]
fn the_baseline_is_edited_and_stays_formatted() {
    let target = |mode| ThresholdValue { gate: "quality", threshold: "min_line_coverage", mode };
    let edited = set_threshold(QUALITY, target(Some("prod")), 9_000).unwrap();
    assert_eq!(edited, QUALITY.replace("prod = 85%", "prod = 90%"));
    let edited = set_threshold(QUALITY, target(None), 8_100).unwrap();
    assert_eq!(edited, QUALITY.replace("= 80% in", "= 81% in"));
    let added = add_threshold_value(QUALITY, "quality", "min_line_coverage", "staging", 8_200).unwrap();
    assert_eq!(added, QUALITY.replace("    prod = 85%\n", "    prod = 85%\n    staging = 82%\n"));
    let added = add_threshold_value(QUALITY, "quality", "max_lint_errors", "dev", 3).unwrap();
    assert_eq!(format("q", &added).unwrap(), added);
}

#[test]
fn what_cannot_be_edited_is_told() {
    let told: Vec<String> = [
        ("qualty", "min_line_coverage", None, 8_100),
        ("quality", "min_line_covrage", None, 8_100),
        ("quality", "min_line_coverage", Some("staging"), 8_100),
        ("quality", "min_line_coverage", None, 8_150),
        ("quality", "min_line_coverage", None, 9_900),
        ("quality", "min_line_coverage", None, -100),
        ("quality", "min_line_coverage", None, 10_100),
    ]
    .into_iter()
    .map(|(gate, threshold, mode, value)| {
        set_threshold(QUALITY, ThresholdValue { gate, threshold, mode }, value).unwrap_err().to_string()
    })
    .chain([
        add_threshold_value(QUALITY, "quality", "min_line_coverage", "prod", 9_000).unwrap_err().to_string(),
        set_threshold("gate", ThresholdValue { gate: "a", threshold: "b", mode: None }, 1)
            .unwrap_err()
            .to_string(),
    ])
    .collect();
    insta::assert_snapshot!(told.join("\n"));
}
