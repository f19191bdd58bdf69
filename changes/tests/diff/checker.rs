//! An independent reading of a journal: was there ever an unapproved active revision, or two from one base?
//!
//! It knows the entries' JSON and nothing of the product's types for diffs.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::TenantPath;
use cku_journal::Journal;
use serde_json::Value;

#[derive(Default)]
struct Known {
    base: String,
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
    let mut active: BTreeMap<String, Vec<(String, Option<String>)>> = BTreeMap::new();
    let head = journal.head(&root).unwrap().unwrap().seq;
    let entries = journal.read(&root, 0, usize::try_from(head).unwrap()).unwrap();
    assert_eq!(entries.len() as u64, head, "every entry is read");
    for entry in entries {
        let body = Value::Object(entry.body.as_ref().unwrap().value.clone());
        let text = |path: &str| body.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
        let subject = text("/subject").replace("diff:", "");
        let seq = entry.header.seq;
        match entry.header.kind.to_string().as_str() {
            "diff.proposed/1" => {
                let author = text("/author/id");
                let known =
                    Known { base: text("/base"), revision: text("/revision"), author, ..Known::default() };
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
                let of_purpose = active.entry(purpose).or_default();
                let revision = text("/revision");
                let id = body.get("diff").and_then(Value::as_str).map(str::to_owned);
                let Some(id) = id else {
                    if !of_purpose.is_empty() {
                        faults.push(format!("entry {seq}: {revision} became active without a diff"));
                    }
                    of_purpose.push((revision, None));
                    continue;
                };
                let Some(diff) = diffs.get_mut(&id) else {
                    faults.push(format!("entry {seq}: the diff {id} was never proposed"));
                    continue;
                };
                if body.get("rollback") == Some(&Value::Bool(true)) {
                    let before = of_purpose.len().checked_sub(2).and_then(|at| of_purpose.get(at));
                    if of_purpose.last().and_then(|(_, by)| by.clone()).as_ref() != Some(&id) {
                        faults.push(format!("entry {seq}: what was rolled back is not the last"));
                    }
                    if before.map(|(before, _)| before) != Some(&revision) {
                        faults.push(format!("entry {seq}: a rollback to what was not active right before"));
                    }
                    of_purpose.push((revision, None));
                    continue;
                }
                if of_purpose.last().map(|(last, _)| last) != Some(&diff.base) {
                    faults.push(format!(
                        "entry {seq}: {revision} became active beside another: its base was not active"
                    ));
                }
                if diff.revision != revision {
                    faults.push(format!("entry {seq}: {revision} is not what was proposed"));
                }
                if !diff.passed {
                    faults.push(format!("entry {seq}: {revision} became active unapproved"));
                }
                if diff.ended.as_deref() != Some("activated") {
                    faults.push(format!("entry {seq}: its diff had ended otherwise, or not"));
                }
                // A second activation of the same diff would need another PASS.
                diff.passed = false;
                of_purpose.push((revision, Some(id)));
            }
            _ => {}
        }
    }
    faults
}
