//! What an AuthZEN request says; members that the standard does not name are passed over.

use cku_engine::authzen::{Asked, Thing};
use serde_json::{Map, Value};

use crate::answer::Problem;

/// Bytes of a type, an id or a name.
const LONGEST: usize = 1_024;

/// The members of an object.
pub(super) type Members = Map<String, Value>;

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evaluation {
    pub(super) subject: Thing,
    pub(super) action: String,
    pub(super) action_properties: Members,
    pub(super) resource: Thing,
    pub(super) context: Members,
}

impl Evaluation {
    /// Reads a question; what is required and missing, or is something else, is named.
    pub(super) fn read(members: &mut Members) -> Result<Self, Problem> {
        let subject = thing("subject", members.remove("subject"), true)?;
        let (action, action_properties) = action(members.remove("action"))?;
        Ok(Self {
            subject,
            action,
            action_properties,
            resource: thing("resource", members.remove("resource"), true)?,
            context: object("context", members.remove("context"))?,
        })
    }

    /// As it is asked of the policies.
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked {
            subject: &self.subject,
            action: &self.action,
            action_properties: &self.action_properties,
            resource: &self.resource,
            context: &self.context,
        }
    }

    /// As it is recorded: what was said, and no empty members.
    pub(super) fn into_record(self) -> Members {
        let mut record = Members::new();
        record.insert("subject".to_owned(), of_thing(self.subject));
        let mut action = Members::new();
        action.insert("name".to_owned(), Value::String(self.action));
        if !self.action_properties.is_empty() {
            action.insert("properties".to_owned(), Value::Object(self.action_properties));
        }
        record.insert("action".to_owned(), Value::Object(action));
        record.insert("resource".to_owned(), of_thing(self.resource));
        if !self.context.is_empty() {
            record.insert("context".to_owned(), Value::Object(self.context));
        }
        record
    }
}

/// A subject or a resource as it is recorded.
pub(super) fn of_thing(thing: Thing) -> Value {
    let mut members = Members::new();
    members.insert("type".to_owned(), Value::String(thing.kind));
    if !thing.id.is_empty() {
        members.insert("id".to_owned(), Value::String(thing.id));
    }
    if !thing.properties.is_empty() {
        members.insert("properties".to_owned(), Value::Object(thing.properties));
    }
    Value::Object(members)
}

/// Reads a subject or a resource; in a search that of which is looked for has no id.
pub(super) fn thing(name: &str, value: Option<Value>, with_id: bool) -> Result<Thing, Problem> {
    let mut members = match value {
        Some(Value::Object(members)) => members,
        None | Some(Value::Null) => return Err(Problem::unusable(format!("`{name}` is missing"))),
        Some(_) => return Err(Problem::unusable(format!("`{name}` is not an object"))),
    };
    Ok(Thing {
        kind: text(name, "type", &mut members)?,
        id: if with_id { text(name, "id", &mut members)? } else { String::new() },
        properties: object(&format!("{name}.properties"), members.remove("properties"))?,
    })
}

/// Reads an action.
pub(super) fn action(value: Option<Value>) -> Result<(String, Members), Problem> {
    let mut members = match value {
        Some(Value::Object(members)) => members,
        None | Some(Value::Null) => return Err(Problem::unusable("`action` is missing")),
        Some(_) => return Err(Problem::unusable("`action` is not an object")),
    };
    let name = text("action", "name", &mut members)?;
    Ok((name, object("action.properties", members.remove("properties"))?))
}

/// Reads an object that may be left out.
pub(super) fn object(name: &str, value: Option<Value>) -> Result<Members, Problem> {
    match value {
        None | Some(Value::Null) => Ok(Members::new()),
        Some(Value::Object(members)) => Ok(members),
        Some(_) => Err(Problem::unusable(format!("`{name}` is not an object"))),
    }
}

fn text(of: &str, name: &str, members: &mut Members) -> Result<String, Problem> {
    match members.remove(name) {
        Some(Value::String(text)) if text.len() > LONGEST => {
            Err(Problem::unusable(format!("`{of}.{name}` is longer than {LONGEST} bytes")))
        }
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        Some(Value::String(_)) => Err(Problem::unusable(format!("`{of}.{name}` is empty"))),
        None | Some(Value::Null) => Err(Problem::unusable(format!("`{of}.{name}` is missing"))),
        Some(_) => Err(Problem::unusable(format!("`{of}.{name}` is not a text"))),
    }
}

/// How a batch is gone through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Semantic {
    All,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

impl Semantic {
    /// Reads it from `options`.
    pub(super) fn read(options: Option<Value>) -> Result<Self, Problem> {
        let mut options = object("options", options)?;
        let wrong = |said: &str| {
            let said: String = said.chars().take(80).collect();
            Problem::unusable(format!(
                "`options.evaluations_semantic` is `{said}`; it is `execute_all`, `deny_on_first_deny` or `permit_on_first_permit`"
            ))
        };
        match options.remove("evaluations_semantic") {
            None | Some(Value::Null) => Ok(Self::All),
            Some(Value::String(text)) => match text.as_str() {
                "execute_all" => Ok(Self::All),
                "deny_on_first_deny" => Ok(Self::DenyOnFirstDeny),
                "permit_on_first_permit" => Ok(Self::PermitOnFirstPermit),
                other => Err(wrong(other)),
            },
            Some(other) => Err(wrong(&other.to_string())),
        }
    }

    /// Whether nothing after this answer is asked.
    pub(super) fn ends_at(self, permitted: bool) -> bool {
        match self {
            Self::All => false,
            Self::DenyOnFirstDeny => !permitted,
            Self::PermitOnFirstPermit => permitted,
        }
    }
}
