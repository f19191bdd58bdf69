//! Inputs from files, for `cku eval` and for tests.
//!
//! In a file nobody can know the digests that approvals and votes bind to, so `$subject` and
//! `$revision` stand for them there. What is decided over such an input is marked `simulated`.

use cku_base::Digest;
use serde_json::Value;

use crate::input::{DecisionInput, InputError};

const SUBJECT: &str = "$subject";
const REVISION: &str = "$revision";

/// Reads an input whose approvals and votes may say `$subject` and `$revision`.
///
/// The second part names members that are not known.
pub fn read(mut document: Value, revision: Digest) -> Result<(DecisionInput, Vec<String>), InputError> {
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
