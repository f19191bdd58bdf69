//! Rego, data and the manifest: nothing is proved about them, so whatever decisions can reach must be equal.

use std::collections::BTreeSet;

use cku_engine::{Bundle, FileKind, Manifest};
use serde_json::Value;

use super::{Check, Direction, Part, Proof, What, policies::bare};

/// Entities of targets are read by access, not by Rego.
const ENTITIES: &str = "entities";

/// What changed in Rego, data and the manifest, as far as decisions can depend on it.
///
/// A module counts as reached if one of its rules is: rules of a module share its imports.
pub(super) fn compare(old: &Bundle, new: &Bundle) -> Vec<Part> {
    let (before, after) = (old.reach(), new.reach());
    let mut parts = Vec::new();
    let files: BTreeSet<&str> = before.modules.keys().chain(after.modules.keys()).copied().collect();
    for file in files {
        let text = |text: Option<&&str>| text.map(|text| bare(text, "#"));
        if text(before.modules.get(file)) != text(after.modules.get(file)) {
            parts
                .push(unproved(What::Rego { file: file.to_owned() }, "the Rego behind decisions or healing"));
        }
    }
    let mut changed = Vec::new();
    differences(old.data(), new.data(), &mut Vec::new(), &mut changed);
    let reached = |path: &[String]| {
        path.is_empty()
            || path.first().is_some_and(|first| first == ENTITIES)
            || before.paths.iter().chain(&after.paths).any(|p| p.starts_with(path) || path.starts_with(p))
    };
    for path in changed.iter().filter(|path| reached(path)) {
        let path = std::iter::once("data").chain(path.iter().map(String::as_str)).collect::<Vec<_>>();
        parts.push(unproved(What::Data { path: path.join(".") }, "data behind decisions or healing"));
    }
    if authzen(old) != authzen(new) {
        parts.push(unproved(What::Authzen, "what answers questions of other systems"));
    }
    if bearing(old.manifest()) != bearing(new.manifest()) {
        parts.push(unproved(What::Manifest, "roles, targets, limits, roots, masks or protection"));
    }
    parts
}

fn unproved(what: What, of: &str) -> Part {
    let why = format!("{of} changed, and nothing is proved about that");
    let check =
        Check { statement: "every decision stays the same".to_owned(), proof: Proof::Unproved { why } };
    Part { what, direction: Direction::Unproved, checks: vec![check] }
}

/// The paths at which two documents differ, as deep as both have objects.
fn differences(old: &Value, new: &Value, at: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for name in names {
                at.push(name.clone());
                match (before.get(name), after.get(name)) {
                    (Some(before), Some(after)) => differences(before, after, at, found),
                    _ => found.push(at.clone()),
                }
                at.pop();
            }
        }
        _ if old == new => {}
        _ => found.push(at.clone()),
    }
}

/// The policies, schema and entities of AuthZEN, by file.
fn authzen(bundle: &Bundle) -> (Vec<(&str, String)>, Option<&Value>) {
    let kinds = [FileKind::AuthzenCedar, FileKind::AuthzenSchema];
    let files = bundle.sources().files().iter().filter(|file| kinds.contains(&file.kind));
    let texts = files.map(|file| (file.path.as_str(), bare(&file.text, "//"))).collect();
    (texts, bundle.data().get("authzen"))
}

/// The manifest without what no decision depends on; modes are compared as sequences.
fn bearing(manifest: &Manifest) -> Manifest {
    Manifest { name: String::new(), cku: None, modes: Vec::new(), owners: Vec::new(), ..manifest.clone() }
}
