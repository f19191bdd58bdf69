//! The facts of a gate: what Rego collected, checked against the declared types.
//!
//! Cedar answers *Allow plus an error* on a missing or mistyped attribute, so nothing reaches it
//! that was not checked here.

use std::collections::{BTreeMap, BTreeSet};

use cku_lang::{Fact, Type};
use regorus::Value;
use serde::Serialize;

/// The value of a fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum FactValue {
    /// `bool`.
    Bool(bool),
    /// Any number, in the unit of its type.
    Number(i64),
    /// `text`.
    Text(String),
    /// `set of text`.
    Texts(BTreeSet<String>),
}

/// The facts of one gate for one input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    values: BTreeMap<String, FactValue>,
    missing: Vec<String>,
}

/// A fact that is not what its gate declares.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactError {
    /// The collecting rule gave something else than an object of sets.
    #[error("the facts were not collected")]
    NotCollected,
    /// The value has another type or lies outside its domain.
    #[error("the fact `{name}` is {found}, its type is `{expected}`: {help}")]
    Unfit {
        /// The fact.
        name: String,
        /// What came instead.
        found: String,
        /// The declared type.
        expected: &'static str,
        /// What the type takes.
        help: &'static str,
    },
}

impl Facts {
    /// Reads what `collected` gave: for each fact the set of its values, empty where it is undefined.
    pub fn read(declared: &[Fact], collected: Option<&Value>) -> Result<Self, FactError> {
        let collected = collected.and_then(|v| v.as_object().ok()).ok_or(FactError::NotCollected)?;
        let mut facts = Self::default();
        for fact in declared {
            let values = collected.get(&Value::from(fact.name.as_str()));
            let values = values.and_then(|v| v.as_set().ok()).ok_or(FactError::NotCollected)?;
            let mut values = values.iter();
            match (values.next(), values.next()) {
                (None, _) | (Some(Value::Undefined), None) => facts.missing.push(fact.name.clone()),
                (Some(value), None) => {
                    let read = typed(fact.ty, value).ok_or_else(|| unfit(fact, value))?;
                    facts.values.insert(fact.name.clone(), read);
                }
                (Some(_), Some(_)) => return Err(FactError::NotCollected),
            }
        }
        Ok(facts)
    }

    /// The value of a fact; none where it is missing.
    pub fn get(&self, name: &str) -> Option<&FactValue> {
        self.values.get(name)
    }

    /// All facts that have a value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FactValue)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// The facts without a value, in the order of their declaration.
    pub fn missing(&self) -> &[String] {
        &self.missing
    }
}

fn typed(ty: Type, value: &Value) -> Option<FactValue> {
    match (ty, value) {
        (Type::Bool, Value::Bool(b)) => Some(FactValue::Bool(*b)),
        (Type::Text, Value::String(text)) => Some(FactValue::Text(text.to_string())),
        (Type::SetOfText, Value::Set(set)) => {
            set.iter().map(text).collect::<Option<_>>().map(FactValue::Texts)
        }
        (Type::SetOfText, Value::Array(array)) => {
            array.iter().map(text).collect::<Option<_>>().map(FactValue::Texts)
        }
        (ty, Value::Number(number)) => {
            let number = number.as_i64()?;
            ty.domain()?.contains(&number).then_some(FactValue::Number(number))
        }
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_string().ok().map(|s| s.to_string())
}

fn unfit(fact: &Fact, value: &Value) -> FactError {
    let found = match value {
        Value::String(text) => format!("the text `{}`", text.chars().take(60).collect::<String>()),
        Value::Number(_) | Value::Bool(_) | Value::Null => format!("`{value}`"),
        Value::Array(_) => "an array".to_owned(),
        Value::Set(_) => "a set with members that are no texts".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::Undefined => "undefined".to_owned(),
    };
    let help = match fact.ty {
        Type::Bool => "give true or false",
        Type::Count => "give an integer from 0",
        Type::Percent => "give hundredths of a percent, an integer from 0 to 10000",
        Type::Ratio => "give ten-thousandths, an integer from 0 to 10000",
        Type::Money => "give cents, an integer from 0",
        Type::Duration => "give seconds, an integer from 0",
        Type::Text => "give a text",
        Type::SetOfText => "give a set of texts",
    };
    FactError::Unfit { name: fact.name.clone(), found, expected: fact.ty.name(), help }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cku_base::diagnostic::Place;
    use proptest::prelude::*;

    fn read(ty: Type, collected: &str) -> Result<Facts, FactError> {
        let name = "f".to_owned();
        let fact = Fact { name, ty, path: "data.x.f".to_owned(), place: Place::whole_file("x.gate") };
        let mut engine = regorus::Engine::new();
        engine.add_policy("p".into(), format!("package p\nv := {{\"f\": {collected}}}")).unwrap();
        Facts::read(&[fact], Some(&engine.eval_rule("data.p.v".into()).unwrap()))
    }

    #[test]
    fn each_type_takes_its_domain_and_nothing_else() {
        let good = [
            (Type::Bool, "{true}"),
            (Type::Count, "{0}"),
            (Type::Count, "{9007199254740991}"),
            (Type::Percent, "{10000}"),
            (Type::Text, "{\"x\"}"),
            (Type::SetOfText, "{{\"a\", \"b\"}}"),
            (Type::SetOfText, "{set()}"),
        ];
        for (ty, value) in good {
            assert!(read(ty, value).is_ok_and(|f| f.missing().is_empty()), "{ty:?} {value}");
        }
        let bad = [
            (Type::Bool, "{1}"),
            (Type::Count, "{-1}"),
            (Type::Count, "{9007199254740992}"),
            (Type::Count, "{1.5}"),
            (Type::Count, "{\"1\"}"),
            (Type::Percent, "{10001}"),
            (Type::Ratio, "{0.5}"),
            (Type::Text, "{null}"),
            (Type::SetOfText, "{{1}}"),
            (Type::SetOfText, "{\"a\"}"),
        ];
        for (ty, value) in bad {
            assert!(matches!(read(ty, value), Err(FactError::Unfit { .. })), "{ty:?} {value}");
        }
    }

    #[test]
    fn an_undefined_fact_is_missing_and_two_values_are_an_error() {
        assert_eq!(read(Type::Count, "set()").unwrap().missing(), ["f"]);
        assert_eq!(read(Type::Count, "{1, 2}"), Err(FactError::NotCollected));
        assert_eq!(Facts::read(&[], None), Err(FactError::NotCollected));
    }

    proptest! {
        #[test]
        fn a_number_is_a_fact_exactly_within_its_domain(n in any::<i64>()) {
            let inside = (0..=(1i64 << 53) - 1).contains(&n);
            prop_assert_eq!(read(Type::Duration, &format!("{{{n}}}")).is_ok(), inside);
        }
    }
}
