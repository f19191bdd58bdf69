//! An independent reading of a journal: was there ever an unapproved active revision, or two from one base?
//!
//! It knows the entries' JSON and nothing of the product's types for diffs.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::TenantPath;
use cku_journal::Journal;
use serde_json::Value;

/// What is so in one mode.
#[derive(Default)]
struct Place {
    decides: String,
    /// The diff that brought it; none after a rollback, and for the first.
    by: Option<String>,
    tried: Option<String>,
}

#[derive(Default)]
struct Known {
    base: String,
    modes: Vec<String>,
    revision: String,
    author: String,
    evidence: Option<String>,
    /// Who approved since the evidence was last written, by it.
    approvals: BTreeMap<String, BTreeSet<String>>,
    /// Whether the last entry of the stream is a PASS over the last evidence.
    passed: bool,
    ended: Option<String>,
}

/// What is wrong with the activations of a journal, in words.
pub(crate) fn faults(journal: &Journal) -> Vec<String> {
    let root = TenantPath::root();
    let mut faults = Vec::new();
    let mut diffs: BTreeMap<String, Known> = BTreeMap::new();
    let mut places: BTreeMap<String, BTreeMap<String, Place>> = BTreeMap::new();
    let head = journal.head(&root).unwrap().unwrap().seq;
    let entries = journal.read(&root, 0, usize::try_from(head).unwrap()).unwrap();
    assert_eq!(entries.len() as u64, head, "every entry is read");
    for entry in entries {
        let body = Value::Object((*entry.body.as_ref().unwrap().value).clone());
        let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let subject = text("/subject").replace("diff:", "");
        let seq = entry.header.seq;
        match entry.header.kind.to_string().as_str() {
            "diff.proposed/1" => {
                let author = text("/author/id");
                let (base, revision, modes) = (text("/base"), text("/revision"), names(&body));
                let known = Known { base, modes, revision, author, ..Known::default() };
                diffs.insert(subject, known);
            }
            "diff.checked/1" => {
                let diff = diffs.get_mut(&subject).unwrap();
                (diff.evidence, diff.passed) = (Some(text("/evidence")), false);
            }
            "diff.consented/1" => {
                let diff = diffs.get_mut(&subject).unwrap();
                diff.passed = false;
                let said = text("/approval/decision");
                let (about, who) = (text("/approval/subject_digest"), text("/approval/approver/id"));
                if said == "approve" {
                    diff.approvals.entry(about).or_default().insert(who);
                }
            }
            "diff.decided/1" => {
                let diff = diffs.get_mut(&subject).unwrap();
                let about = text("/decision/subject_digest");
                let enough =
                    diff.approvals.get(&about).is_some_and(|who| who.iter().any(|w| *w != diff.author));
                let over = Some(text("/evidence")) == diff.evidence;
                diff.passed = text("/verdict") == "PASS" && over && enough;
            }
            "diff.ended/1" => {
                diffs.get_mut(&subject).unwrap().ended = Some(text("/ending"));
            }
            "bundle.activated/1" => {
                let purpose = if text("/purpose").is_empty() { "gates".to_owned() } else { text("/purpose") };
                let known = body.get("diff").and_then(Value::as_str).and_then(|id| diffs.get_mut(id));
                let places = places.entry(purpose).or_default();
                let found = activated(&body, known, places);
                faults.extend(found.into_iter().map(|fault| format!("entry {seq}: {fault}")));
            }
            _ => {}
        }
    }
    faults
}

/// The modes that an entry names; none for all.
fn names(body: &Value) -> Vec<String> {
    let names = body.get("modes").and_then(Value::as_array).into_iter().flatten();
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// What is wrong with an activation; `places` is what is so in each mode.
fn activated(body: &Value, diff: Option<&mut Known>, places: &mut BTreeMap<String, Place>) -> Vec<String> {
    let mut faults = Vec::new();
    let revision = body["revision"].as_str().unwrap().to_owned();
    let first = places.is_empty();
    for mode in ["dev", "staging", "prod"] {
        places.entry(mode.to_owned()).or_default();
    }
    let modes = names(body);
    let here = places.iter_mut().filter(|(mode, _)| modes.is_empty() || modes.contains(mode));
    let here: Vec<&mut Place> = here.map(|(_, place)| place).collect();
    let id = body.get("diff").and_then(Value::as_str).map(str::to_owned);
    let (Some(id), Some(diff)) = (id.clone(), diff) else {
        if !first {
            faults.push(format!("{revision} became active without a diff that was proposed: {id:?}"));
        }
        for place in here {
            *place = Place { decides: revision.clone(), ..Place::default() };
        }
        return faults;
    };
    let tries = body.get("stage").is_some_and(|stage| stage != "active");
    if modes != diff.modes {
        faults.push(format!("{revision} was not proposed for {modes:?}"));
    }
    if body.get("rollback") == Some(&Value::Bool(true)) {
        if revision != diff.base {
            faults.push("a rollback to what was not active right before".to_owned());
        }
        if diff.ended.as_deref() != Some("rolled_back") {
            faults.push("its diff was not rolled back".to_owned());
        }
        for place in here {
            let last = if tries { place.tried.take() } else { place.by.take() };
            if last.as_ref() != Some(&id) {
                faults.push("what was rolled back is not the last".to_owned());
            }
            if tries && place.decides != diff.base {
                faults.push("a trial was taken back that another base had ended".to_owned());
            }
            place.decides.clone_from(&revision);
        }
        return faults;
    }
    if diff.revision != revision {
        faults.push(format!("{revision} is not what was proposed"));
    }
    if !diff.passed {
        faults.push(format!("{revision} became active unapproved"));
    }
    let ended = if tries { None } else { Some("activated") };
    if diff.ended.as_deref() != ended {
        faults.push("its diff had ended otherwise, or not".to_owned());
    }
    // A second activation of the same diff would need another PASS.
    diff.passed = false;
    for place in here {
        if place.decides != diff.base {
            faults.push(format!("{revision} became active beside another: its base was not active"));
        }
        if tries && place.tried.as_ref().is_some_and(|other| *other != id) {
            faults.push("two diffs are tried in one mode".to_owned());
        }
        match tries {
            true => place.tried = Some(id.clone()),
            false => *place = Place { decides: revision.clone(), by: Some(id.clone()), tried: None },
        }
    }
    faults.dedup();
    faults
}
