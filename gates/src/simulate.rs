//! Inputs from files, for `cku eval` and for tests.
//!
//! In a file nobody can know the digests that approvals and votes bind to, so `$subject` and
//! `$revision` stand for them there; and a piece of evidence may say itself, in `submitted_by`, who
//! submitted it. What is decided over such an input is marked `simulated`.

use cku_base::Digest;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    evidence::Evidence,
    input::{DecisionInput, InputError},
};

const SUBJECT: &str = "$subject";
const REVISION: &str = "$revision";

/// Reads an input whose approvals and votes may say `$subject` and `$revision`.
///
/// The second part names members that are not known.
pub fn read(mut document: Value, revision: Digest) -> Result<(DecisionInput, Vec<String>), InputError> {
    place_submitters(&mut document);
    replace(&mut document, "bundle_revision", REVISION, &revision.to_string());
    let mut provisional = document.clone();
    // The subject does not depend on approvals and votes, so any digest does to find it.
    let replaced = replace(&mut provisional, "subject_digest", SUBJECT, &Digest::of(b"").to_string());
    let (input, unknown) = DecisionInput::read(&provisional)?;
    if !replaced {
        return Ok((input, unknown));
    }
    let subject = input
        .subject_digest()
        .map_err(|e| InputError { path: "submission".to_owned(), message: e.to_string() })?;
    replace(&mut document, "subject_digest", SUBJECT, &subject.to_string());
    DecisionInput::read(&document)
}

/// Moves `submitted_by` from pieces of evidence to `evidence_by`, under the digest of each.
fn place_submitters(document: &mut Value) {
    let evidence = document.pointer_mut("/submission/evidence").and_then(Value::as_array_mut);
    let mut placed = Vec::new();
    for item in evidence.into_iter().flatten() {
        let Some(by) = item.as_object_mut().and_then(|members| members.remove("submitted_by")) else {
            continue;
        };
        // Evidence that cannot be read is refused a moment later, with its place.
        if let Ok(Ok(digest)) = Evidence::deserialize(&*item).map(|e| e.document_digest()) {
            placed.push((digest.to_string(), by));
        }
    }
    if placed.is_empty() {
        return;
    }
    if let Some(members) = document.as_object_mut() {
        let known = members.entry("evidence_by").or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Some(known) = known.as_object_mut() {
            known.extend(placed);
        }
    }
}

/// Whether anything was replaced.
fn replace(document: &mut Value, member: &str, placeholder: &str, text: &str) -> bool {
    let mut replaced = false;
    for list in ["approvals", "votes"] {
        let items = document.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten();
        for value in items.filter_map(|item| item.get_mut(member)) {
            if value.as_str() == Some(placeholder) {
                *value = Value::from(text);
                replaced = true;
            }
        }
    }
    replaced
}
