//! What is wrong with what a bundle declares for the learner, as whoever checks the bundle is told.

use std::collections::BTreeMap;

use cku_base::{
    diagnostic::{Diagnostic, Place},
    suggest,
};
use cku_engine::Bundle;
use cku_learner::Declared;
use serde_json::{Map, Value};

use crate::{
    declared::{PARTS, PATH},
    thresholds::learnable,
};

/// Declarations in `data.cku.learner` that cannot be used, so that nothing is learned under them; errors (B014).
///
/// A bundle loads with them all the same, since no decision depends on them. What explores, and which modes and
/// thresholds there are, is checked when it loads.
pub fn problems(bundle: &Bundle) -> Vec<Diagnostic> {
    let Some(declared) = bundle.data().pointer(PATH).and_then(Value::as_object) else { return Vec::new() };
    let mut wrong = unreadable(declared);
    if wrong.is_empty() {
        wrong.extend(out_of_range(bundle));
    }
    let file = bundle.data_file(PATH).unwrap_or("data");
    let told = |Wrong { message, help }: Wrong| {
        let problem = Diagnostic::error("B014", message).at(Place::whole_file(file));
        match help {
            Some(help) => problem.help(help),
            None => problem,
        }
    };
    wrong.into_iter().map(told).collect()
}

/// What is wrong, and what to do.
struct Wrong {
    message: String,
    help: Option<String>,
}

impl Wrong {
    /// A member that there is not.
    fn unknown<'k>(at: &str, name: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let help = match suggest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", known.join(", ")),
        };
        Self { message: format!("`{at}` has no `{name}`"), help: Some(help) }
    }
}

/// Members that there are not, and values that are none of their setting.
fn unreadable(declared: &Map<String, Value>) -> Vec<Wrong> {
    let unknown = declared.keys().filter(|name| !PARTS.contains(&name.as_str()));
    let mut wrong: Vec<Wrong> = unknown.map(|name| Wrong::unknown("data.cku.learner", name, PARTS)).collect();
    let Ok(Value::Object(shipped)) = serde_json::to_value(Declared::default()) else { return wrong };
    for (at, settings) in settings(declared) {
        for (name, value) in settings {
            match shipped.get(name) {
                None => wrong.push(Wrong::unknown(&at, name, shipped.keys().map(String::as_str))),
                Some(_) if is_readable(name, value) => {}
                Some(default) => wrong.push(Wrong {
                    message: format!("`{at}.{name}` cannot be read: {value}"),
                    help: Some(format!(
                        "write a number such as {default}, which holds where nothing is said"
                    )),
                }),
            }
        }
    }
    wrong
}

/// Each object of settings, with its place in the data.
fn settings(declared: &Map<String, Value>) -> Vec<(String, &Map<String, Value>)> {
    let mut all = Vec::new();
    if let Some(defaults) = declared.get("defaults").and_then(Value::as_object) {
        all.push(("data.cku.learner.defaults".to_owned(), defaults));
    }
    for part in ["modes", "thresholds"] {
        let by_name = declared.get(part).and_then(Value::as_object);
        all.extend(by_name.into_iter().flatten().filter_map(|(name, value)| {
            Some((format!("data.cku.learner.{part}.{name}"), value.as_object()?))
        }));
    }
    all
}

fn is_readable(name: &str, value: &Value) -> bool {
    let alone = Map::from_iter([(name.to_owned(), value.clone())]);
    serde_json::from_value::<Declared>(Value::Object(alone)).is_ok()
}

/// Numbers out of their range as they come together for a threshold in a mode, each told once.
fn out_of_range(bundle: &Bundle) -> Vec<Wrong> {
    let unusable = bundle.manifest().modes.iter().flat_map(|mode| learnable(bundle, mode).1);
    let mut told: BTreeMap<String, (String, usize)> = BTreeMap::new();
    for error in unusable {
        let first = || (error.to_string(), 0);
        told.entry(error.why()).or_insert_with(first).1 += 1;
    }
    let with_count = |(message, count): (String, usize)| {
        let help = match count {
            1 => None,
            2 => Some("it is the same for one other".to_owned()),
            count => Some(format!("it is the same for {} others", count - 1)),
        };
        Wrong { message, help }
    };
    told.into_values().map(with_count).collect()
}
