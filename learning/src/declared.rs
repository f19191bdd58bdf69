//! What a bundle declares for the learner, in `data.cku.learner`.

use cku_engine::Bundle;
use cku_learner::{Declared, Settings, SettingsError};
use serde_json::{Map, Value};

/// Where it stands among the data of a bundle.
pub(crate) const PATH: &str = "/cku/learner";

/// What it has; later parts win.
pub(crate) const PARTS: [&str; 3] = ["defaults", "modes", "thresholds"];

/// A declaration that cannot be used: nothing is learned under it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DeclaredError {
    /// A member that there is not.
    #[error("`data.cku.learner` has `{0}`; it has `defaults`, `modes` and `thresholds`")]
    Member(String),
    /// A part is no object.
    #[error("`data.cku.learner.{0}` is no object of settings")]
    Shape(String),
    /// Settings that cannot be read, or a number out of its range.
    #[error("`data.cku.learner`, for `{threshold}` in `{mode}`: {why}")]
    Settings {
        /// The mode.
        mode: String,
        /// The threshold, as `gate.name`.
        threshold: String,
        /// What is wrong.
        why: String,
    },
}

impl DeclaredError {
    /// What is wrong, without where it was found: what one part says is found for several thresholds.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Settings { why, .. } => why.clone(),
            other => other.to_string(),
        }
    }
}

/// The settings for a threshold (`gate.name`) in a mode: the shipped ones, then those of `defaults`, of the
/// mode and of the threshold, later ones over earlier ones.
pub fn settings(bundle: &Bundle, mode: &str, threshold: &str) -> Result<Settings, DeclaredError> {
    let mut all = Map::new();
    if let Some(declared) = bundle.data().pointer(PATH) {
        let members = object(declared, "")?;
        if let Some(other) = members.keys().find(|name| !PARTS.contains(&name.as_str())) {
            return Err(DeclaredError::Member(other.clone()));
        }
        let of = |part: &str, name: &str| -> Result<Option<&Map<String, Value>>, DeclaredError> {
            let Some(part_of) = members.get(part) else { return Ok(None) };
            match object(part_of, part)?.get(name) {
                Some(settings) => object(settings, &format!("{part}.{name}")).map(Some),
                None => Ok(None),
            }
        };
        let defaults = members.get("defaults").map(|defaults| object(defaults, "defaults")).transpose()?;
        for part in [defaults, of("modes", mode)?, of("thresholds", threshold)?].into_iter().flatten() {
            all.extend(part.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
    }
    let wrong = |why: String| {
        let (mode, threshold) = (mode.to_owned(), threshold.to_owned());
        DeclaredError::Settings { mode, threshold, why }
    };
    let declared: Declared = serde_json::from_value(Value::Object(all)).map_err(|e| wrong(e.to_string()))?;
    Settings::check(declared).map_err(|error: SettingsError| wrong(error.to_string()))
}

fn object<'v>(value: &'v Value, at: &str) -> Result<&'v Map<String, Value>, DeclaredError> {
    value.as_object().ok_or_else(|| DeclaredError::Shape(at.to_owned()))
}
