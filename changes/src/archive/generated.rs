//! What an archive holds for OPA beside the files of the bundle: its manifest and its base documents.

use cku_base::document;
use cku_engine::{FileKind, LANGUAGE_VERSION, Manifest, Sources};
use serde_json::{Map, Value, json};

use super::{ArchiveError, OPA_DATA, OPA_MANIFEST};

/// The generated files: each as a document and as the bytes that are written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Generated {
    pub(crate) manifest: Value,
    pub(crate) data: Value,
    manifest_text: String,
    data_text: String,
}

impl Generated {
    /// Path and bytes of each.
    pub(crate) fn files(&self) -> [(&'static str, &[u8]); 2] {
        [(OPA_MANIFEST, self.manifest_text.as_bytes()), (OPA_DATA, self.data_text.as_bytes())]
    }
}

/// The generated files of a bundle.
pub(crate) fn of(sources: &Sources, manifest: &Manifest) -> Result<Generated, ArchiveError> {
    // OPA takes no roots for all of `data`, and so does it take the empty root.
    let roots = if manifest.roots.is_empty() { vec![String::new()] } else { manifest.roots.clone() };
    let opa = json!({
        "revision": sources.revision(),
        "roots": roots,
        "rego_version": 1,
        "metadata": {"cku": {"name": manifest.name, "language": LANGUAGE_VERSION}},
    });
    let data = data(sources, manifest)?;
    let text = |value: &Value| format!("{value}\n");
    Ok(Generated { manifest_text: text(&opa), data_text: text(&data), manifest: opa, data })
}

/// The base documents as one tree: `data/a/b.yaml` holds `data.a.b`.
fn data(sources: &Sources, manifest: &Manifest) -> Result<Value, ArchiveError> {
    let mut tree = Value::Object(Map::new());
    for file in sources.of_kind(FileKind::Data) {
        if means_something_to_opa(&file.path) {
            return Err(ArchiveError::OpaName(file.path.clone()));
        }
        let unfit = |problem: String| ArchiveError::Data { path: file.path.clone(), problem };
        let limits = manifest.limits.document();
        let value = document::read(&file.path, file.text.as_bytes(), limits);
        let value = value.map_err(|problem| unfit(problem.message))?;
        let below = file.path.strip_prefix("data/").unwrap_or(&file.path);
        let stem = below.rsplit_once('.').map_or(below, |(stem, _)| stem);
        let twice = || unfit("another data file defines the same path".to_owned());
        let mut node = &mut tree;
        for name in stem.split('/') {
            let Value::Object(members) = node else { return Err(twice()) };
            node = members.entry(name).or_insert_with(|| Value::Object(Map::new()));
        }
        merge(node, value).ok_or_else(twice)?;
    }
    Ok(tree)
}

fn merge(node: &mut Value, value: Value) -> Option<()> {
    match (node, value) {
        (Value::Object(members), Value::Object(more)) => {
            for (key, value) in more {
                match members.get_mut(&key) {
                    Some(inner @ Value::Object(_)) if value.is_object() => merge(inner, value)?,
                    Some(_) => return None,
                    None => {
                        members.insert(key, value);
                    }
                }
            }
            Some(())
        }
        (node @ Value::Object(_), value) if node.as_object().is_some_and(Map::is_empty) => {
            *node = value;
            Some(())
        }
        _ => None,
    }
}

/// Names that OPA's loader looks for in every folder (v1/bundle/bundle.go).
fn means_something_to_opa(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    matches!(name, "data.json" | "data.yaml" | "data.yml" | "plan.json" | "patch.json")
        || name.ends_with("signatures.json")
}
