//! What a request of the control plane says: members of its body, and of its query.

use std::{collections::BTreeMap, time::Duration};

use cku_base::Timestamp;
use serde_json::{Map, Value};

use crate::answer::Problem;

/// The query of a path; a name that stands twice is refused.
#[derive(Debug, Clone, Default)]
pub(crate) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads it.
    pub(crate) fn read(text: Option<&str>) -> Result<Self, Problem> {
        let mut query = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
            if query.insert(name.to_string(), value.to_string()).is_some() {
                return Err(Problem::unusable(format!("`{}` stands twice", name.escape_debug())));
            }
        }
        Ok(Self(query))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// A number, if it is there.
    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let number = self.get(name).map(str::parse::<u64>).transpose();
        number.map_err(|_| Problem::unusable(format!("`{name}` is not a number")))
    }
}

/// A text that must be there.
pub(super) fn text(members: &mut Map<String, Value>, name: &str) -> Result<String, Problem> {
    optional(members, name)?.ok_or_else(|| Problem::unusable(format!("`{name}` is missing")))
}

/// A text that may be left out.
pub(super) fn optional(members: &mut Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match members.remove(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Problem::unusable(format!("`{name}` is not a text"))),
    }
}

/// A yes or no that must be there.
pub(super) fn yes(members: &mut Map<String, Value>, name: &str) -> Result<bool, Problem> {
    match members.remove(name) {
        Some(Value::Bool(yes)) => Ok(yes),
        None | Some(Value::Null) => Err(Problem::unusable(format!("`{name}` is missing"))),
        Some(_) => Err(Problem::unusable(format!("`{name}` is not true or false"))),
    }
}

/// Something that is read from a text, if it is there.
pub(super) fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(
    members: &mut Map<String, Value>,
    name: &str,
) -> Result<Option<T>, Problem> {
    let text = optional(members, name)?;
    let read = text.map(|text| text.parse::<T>()).transpose();
    read.map_err(|error| Problem::unusable(format!("`{name}`: {error}")))
}

/// A time that is so long after now; 72 hours without a word.
pub(super) fn until(members: &mut Map<String, Value>, now: Timestamp) -> Result<Timestamp, Problem> {
    let wrong = |text: &str| {
        let text: String = text.chars().take(40).flat_map(char::escape_debug).collect();
        Problem::unusable(format!("`expires` is `{text}`; write a span of time like `72h`, `30m`, `7d`"))
    };
    let text = optional(members, "expires")?.unwrap_or_else(|| "72h".to_owned());
    let span = cku_skills::parse_duration(&text).filter(|span| *span > Duration::ZERO);
    span.and_then(|span| now.after(span)).ok_or_else(|| wrong(&text))
}

/// Refuses what nobody reads: a misspelt name must not be taken for nothing.
pub(super) fn nothing_else(members: &Map<String, Value>) -> Result<(), Problem> {
    match members.keys().next() {
        None => Ok(()),
        Some(name) => {
            let name: String = name.chars().take(60).flat_map(char::escape_debug).collect();
            Err(Problem::unusable(format!("`{name}` is not read here")))
        }
    }
}
