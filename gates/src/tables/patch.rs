//! Fixtures, and what a case changes in them.

use std::collections::BTreeMap;

use cku_base::{
    diagnostic::{Diagnostic, Place},
    suggest,
};
use cku_engine::BundleFile;
use serde::Deserialize;
use serde_json::Value;

use super::document::Table;

/// The fixtures of all table files of a bundle, resolved.
#[derive(Debug, Default)]
pub(super) struct Fixtures {
    resolved: BTreeMap<String, Value>,
}

/// A fixture that changes another one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Derived {
    from: String,
    #[serde(default)]
    set: BTreeMap<String, Value>,
    #[serde(default)]
    remove: Vec<String>,
}

impl Fixtures {
    /// Gathers and resolves the fixtures of all files.
    pub(super) fn gather(tables: &[(&BundleFile, Table)], problems: &mut Vec<Diagnostic>) -> Self {
        let mut fixtures = Self::default();
        let mut open: Vec<(&str, &str, Derived)> = Vec::new();
        let refuse =
            |file: &str, message: String| Diagnostic::error("T002", message).at(Place::whole_file(file));
        let mut names = std::collections::BTreeSet::new();
        for (file, table) in tables {
            for (name, value) in &table.fixtures {
                if !names.insert(name.as_str()) {
                    problems.push(refuse(&file.path, format!("a second fixture `{name}`")));
                    continue;
                }
                if value.get("from").is_none() {
                    fixtures.resolved.insert(name.clone(), value.clone());
                    continue;
                }
                match Derived::deserialize(value) {
                    Ok(derived) => open.push((&file.path, name, derived)),
                    Err(error) => problems.push(refuse(&file.path, format!("the fixture `{name}`: {error}"))),
                }
            }
        }
        // Each round resolves at least one, or what is left has no base or is its own.
        loop {
            let before = open.len();
            open.retain(|(file, name, derived)| {
                let Some(base) = fixtures.resolved.get(&derived.from) else { return true };
                match patched(base, &derived.set, &derived.remove) {
                    Ok(value) => {
                        fixtures.resolved.insert((*name).to_owned(), value);
                    }
                    Err(error) => problems.push(refuse(file, format!("the fixture `{name}`: {error}"))),
                }
                false
            });
            if open.len() == before {
                break;
            }
        }
        for (file, name, derived) in open {
            problems.push(refuse(
                file,
                format!("the fixture `{name}` is from `{}`, which is not there", derived.from),
            ));
        }
        fixtures
    }

    /// A fixture with changes.
    pub(super) fn patched(
        &self,
        name: &str,
        set: &BTreeMap<String, Value>,
        remove: &[String],
    ) -> Result<Value, String> {
        let base = self.resolved.get(name).ok_or_else(|| {
            let near = suggest(name, self.resolved.keys().map(String::as_str));
            let hint = near.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
            format!("there is no fixture `{name}`{hint}")
        })?;
        patched(base, set, remove)
    }
}

fn patched(base: &Value, set: &BTreeMap<String, Value>, remove: &[String]) -> Result<Value, String> {
    let mut value = base.clone();
    for (pointer, new) in set {
        self::set(&mut value, pointer, new.clone())?;
    }
    for pointer in remove {
        self::remove(&mut value, pointer)?;
    }
    Ok(value)
}

/// Puts a value at a JSON pointer (RFC 6901); the last member may be new, `-` appends to a list.
pub(super) fn set(document: &mut Value, pointer: &str, value: Value) -> Result<(), String> {
    let (parent, last) = parent(document, pointer)?;
    match parent {
        Value::Object(members) => {
            members.insert(last, value);
            Ok(())
        }
        Value::Array(items) if last == "-" => {
            items.push(value);
            Ok(())
        }
        Value::Array(items) => {
            let item = last.parse::<usize>().ok().and_then(|at| items.get_mut(at));
            *item.ok_or_else(|| format!("`{pointer}` is past the end of its list"))? = value;
            Ok(())
        }
        _ => Err(format!("`{pointer}` lies in something without members")),
    }
}

fn remove(document: &mut Value, pointer: &str) -> Result<(), String> {
    let nothing = || format!("there is nothing at `{pointer}` to remove");
    let (parent, last) = parent(document, pointer)?;
    match parent {
        Value::Object(members) => members.remove(&last).map(|_| ()).ok_or_else(nothing),
        Value::Array(items) => {
            let at = last.parse::<usize>().ok().filter(|at| *at < items.len()).ok_or_else(nothing)?;
            items.remove(at);
            Ok(())
        }
        _ => Err(nothing()),
    }
}

fn parent<'v>(document: &'v mut Value, pointer: &str) -> Result<(&'v mut Value, String), String> {
    let (above, last) = pointer
        .rsplit_once('/')
        .filter(|(above, _)| above.is_empty() || above.starts_with('/'))
        .ok_or_else(|| format!("`{pointer}` is no JSON pointer; write it like `/state/kill_switch`"))?;
    let parent = document.pointer_mut(above).ok_or_else(|| format!("there is nothing at `{above}`"))?;
    Ok((parent, last.replace("~1", "/").replace("~0", "~")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pointers_reach_members_lists_and_escaped_names() {
        let mut value = json!({"a": [1, {"b/c": 2}]});
        set(&mut value, "/a/1/b~1c", json!(3)).unwrap();
        set(&mut value, "/a/-", json!(4)).unwrap();
        set(&mut value, "/new", json!(5)).unwrap();
        remove(&mut value, "/a/0").unwrap();
        assert_eq!(value, json!({"a": [{"b/c": 3}, 4], "new": 5}));
    }

    #[test]
    fn a_pointer_that_leads_nowhere_is_an_error() {
        let mut value = json!({"a": [1]});
        for pointer in ["", "a", "/x/y", "/a/1", "/a/0/b"] {
            assert!(set(&mut value, pointer, json!(1)).is_err(), "{pointer}");
        }
        assert!(remove(&mut value, "/b").is_err());
        assert_eq!(value, json!({"a": [1]}));
    }
}
