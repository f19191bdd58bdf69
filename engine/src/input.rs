//! What is evaluated: one JSON document, as Rego sees it.

use regorus::Value;

/// A document that Rego evaluates as `input`.
#[derive(Debug, Clone)]
pub struct Input(pub(crate) Value);

/// A text that is no JSON document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON document: {0}")]
pub struct InputError(String);

impl Input {
    /// Reads JSON text, which is quicker than converting a parsed document.
    pub fn from_json(text: &str) -> Result<Self, InputError> {
        Value::from_json_str(text).map(Self).map_err(|e| InputError(e.to_string()))
    }
}

impl From<serde_json::Value> for Input {
    fn from(document: serde_json::Value) -> Self {
        Self(Value::from(document))
    }
}
