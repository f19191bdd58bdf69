//! What the schema says a property is, and JSON values as that.

use std::{collections::BTreeMap, str::FromStr};

use cedar_policy::{EntityId, EntityTypeName, EntityUid, RestrictedExpression};
use serde_json::{Map, Value};

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Bool,
    Long,
    Text,
    /// `decimal`, `datetime`, `duration`, `ip`: made of a text by the function of that name.
    Extension(String),
    /// Written in JSON as the id alone, since the type is known.
    Entity(EntityTypeName),
    Set(Box<Shape>),
    Record(Record),
}

/// Members by name, and whether each must be there.
#[derive(Debug, Clone, Default)]
pub(super) struct Record(BTreeMap<String, (Shape, bool)>);

impl Record {
    /// The declared members of a JSON object, as Cedar values; others are passed over.
    ///
    /// A member that is missing and must be there, or that is something else, is an error that names it.
    pub(super) fn values<'v>(
        &self,
        member: impl Fn(&str) -> Option<&'v Value>,
    ) -> Result<Vec<(String, RestrictedExpression)>, String> {
        let mut values = Vec::with_capacity(self.0.len());
        for (name, (shape, required)) in &self.0 {
            match member(name) {
                Some(value) => {
                    let value =
                        shape.value(value).ok_or_else(|| format!("`{name}` is not {}", shape.told()))?;
                    values.push((name.clone(), value));
                }
                None if *required => return Err(format!("`{name}` is missing")),
                None => {}
            }
        }
        Ok(values)
    }

    /// Whether there are no members.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Shape {
    fn value(&self, value: &Value) -> Option<RestrictedExpression> {
        match (self, value) {
            (Self::Bool, Value::Bool(b)) => Some(RestrictedExpression::new_bool(*b)),
            (Self::Long, Value::Number(n)) => n.as_i64().map(RestrictedExpression::new_long),
            (Self::Text, Value::String(text)) => Some(RestrictedExpression::new_string(text.clone())),
            (Self::Extension(name), Value::String(text)) => extension(name, text),
            (Self::Entity(name), Value::String(id)) => {
                let uid = EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id));
                Some(RestrictedExpression::new_entity_uid(uid))
            }
            (Self::Set(element), Value::Array(items)) => {
                let items = items.iter().map(|item| element.value(item));
                Some(RestrictedExpression::new_set(items.collect::<Option<Vec<_>>>()?))
            }
            (Self::Record(record), Value::Object(members)) => {
                RestrictedExpression::new_record(record.values(|name| members.get(name)).ok()?).ok()
            }
            _ => None,
        }
    }

    /// The entities that a value names.
    pub(super) fn named<'v>(&'v self, value: &'v Value, found: &mut Vec<(&'v EntityTypeName, &'v str)>) {
        match (self, value) {
            (Self::Entity(name), Value::String(id)) => found.push((name, id)),
            (Self::Set(element), Value::Array(items)) => {
                items.iter().for_each(|item| element.named(item, found));
            }
            (Self::Record(record), Value::Object(members)) => record.named(members, found),
            _ => {}
        }
    }

    fn told(&self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::Long => "an integer".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::Extension(name) => format!("a text that is a {name}"),
            Self::Entity(name) => format!("the id of a {name}"),
            Self::Set(element) => format!("a list whose items are each {}", element.told()),
            Self::Record(_) => "an object with the declared members".to_owned(),
        }
    }
}

impl Record {
    /// The entities that the declared members name.
    pub(super) fn named<'v>(
        &'v self,
        members: &'v Map<String, Value>,
        found: &mut Vec<(&'v EntityTypeName, &'v str)>,
    ) {
        for (name, (shape, _)) in &self.0 {
            if let Some(value) = members.get(name) {
                shape.named(value, found);
            }
        }
    }
}

fn extension(name: &str, text: &str) -> Option<RestrictedExpression> {
    // Texts that the function refuses make the entity or the context unusable, which is a denial.
    match name {
        "decimal" => Some(RestrictedExpression::new_decimal(text)),
        "datetime" => Some(RestrictedExpression::new_datetime(text)),
        "duration" => Some(RestrictedExpression::new_duration(text)),
        "ipaddr" => Some(RestrictedExpression::new_ip(text)),
        _ => None,
    }
}

/// The shapes of a schema, read from its JSON form.
pub(super) struct Shapes<'s> {
    namespaces: &'s Map<String, Value>,
}

impl<'s> Shapes<'s> {
    pub(super) fn new(schema: &'s Value) -> Option<Self> {
        schema.as_object().map(|namespaces| Self { namespaces })
    }

    /// The entity types by their full names, with the shapes of their attributes.
    pub(super) fn entities(&self) -> Result<BTreeMap<String, Record>, String> {
        let mut entities = BTreeMap::new();
        for (namespace, members) in self.namespaces {
            let types = members.get("entityTypes").and_then(Value::as_object).into_iter().flatten();
            for (name, declared) in types {
                let shape = declared.get("shape").map(|shape| self.shape(namespace, shape)).transpose()?;
                let record = match shape {
                    Some(Shape::Record(record)) => record,
                    _ => Record::default(),
                };
                entities.insert(full(namespace, name), record);
            }
        }
        Ok(entities)
    }

    /// The shape of the context of an action.
    pub(super) fn context(&self, action: &str) -> Result<Record, String> {
        for (namespace, members) in self.namespaces {
            let context = members.pointer("/actions").and_then(|actions| actions.get(action));
            if let Some(context) = context.and_then(|action| action.pointer("/appliesTo/context")) {
                return match self.shape(namespace, context)? {
                    Shape::Record(record) => Ok(record),
                    other => Err(format!("the context of `{action}` is {}, not a record", other.told())),
                };
            }
        }
        Ok(Record::default())
    }

    fn shape(&self, namespace: &str, declared: &Value) -> Result<Shape, String> {
        let text = |member: &str| declared.get(member).and_then(Value::as_str).unwrap_or_default();
        match text("type") {
            "Boolean" | "Bool" => Ok(Shape::Bool),
            "Long" => Ok(Shape::Long),
            "String" => Ok(Shape::Text),
            "Extension" => Ok(Shape::Extension(text("name").to_owned())),
            "Set" => {
                let element = declared.get("element").unwrap_or(&Value::Null);
                Ok(Shape::Set(Box::new(self.shape(namespace, element)?)))
            }
            "Record" => {
                let attributes = declared.get("attributes").and_then(Value::as_object).into_iter().flatten();
                let attributes = attributes.map(|(name, attribute)| {
                    let required = attribute.get("required").and_then(Value::as_bool).unwrap_or(true);
                    Ok((name.clone(), (self.shape(namespace, attribute)?, required)))
                });
                Ok(Shape::Record(Record(attributes.collect::<Result<_, String>>()?)))
            }
            "Entity" | "EntityOrCommon" => self.named(namespace, text("name")),
            name => self.named(namespace, name),
        }
    }

    /// What a name stands for: a common type, an entity type, or one that is built in; here first, then
    /// outside of all namespaces.
    fn named(&self, namespace: &str, name: &str) -> Result<Shape, String> {
        let (inner, last) = name.rsplit_once("::").map_or((namespace, name), |(inner, last)| (inner, last));
        for place in [inner, ""] {
            let Some(members) = self.namespaces.get(place) else { continue };
            if let Some(common) = members.get("commonTypes").and_then(|types| types.get(last)) {
                return self.shape(place, common);
            }
            if members.get("entityTypes").is_some_and(|types| types.get(last).is_some()) {
                let name = EntityTypeName::from_str(&full(place, last));
                return name.map(Shape::Entity).map_err(|e| e.to_string());
            }
        }
        match last {
            "Bool" | "Boolean" => Ok(Shape::Bool),
            "Long" => Ok(Shape::Long),
            "String" => Ok(Shape::Text),
            "decimal" | "datetime" | "duration" | "ipaddr" => Ok(Shape::Extension(last.to_owned())),
            _ => Err(format!("the schema names `{name}`, and does not say what that is")),
        }
    }
}

fn full(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}::{name}") }
}
