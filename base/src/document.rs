//! Strict reading of JSON and YAML texts.
//!
//! What two readers could understand in two ways is refused: duplicate keys, lone surrogates,
//! several documents in one file, numbers that are not finite. Size and depth are bounded.

use std::{cell::Cell, fmt};

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::diagnostic::{Diagnostic, LineIndex, Place};

/// How large a document may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text.
    pub bytes: usize,
    /// Nesting of arrays and objects.
    pub depth: usize,
}

impl Default for Limits {
    /// 4 MiB and 64 levels.
    fn default() -> Self {
        Self { bytes: 4 << 20, depth: 64 }
    }
}

/// Reads one JSON document; `file` is only for the diagnostic.
pub fn read_json(file: &str, bytes: &[u8], limits: Limits) -> Result<Value, Diagnostic> {
    let text = utf8_within(file, bytes, limits)?;
    let mut reader = serde_json::Deserializer::from_str(text);
    let budget = node_budget(text);
    let read = Strict { depth: limits.depth, budget: &budget }
        .deserialize(&mut reader)
        .and_then(|v| reader.end().map(|()| v));
    read.map_err(|error| {
        let (line, column) = (error.line() as u32, error.column() as u32);
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or("unreadable").to_owned();
        let place = LineIndex::new(text).place_at(file, line.max(1), column.max(1));
        Diagnostic::error("D003", format!("not a JSON document that can be used: {message}")).at(place)
    })
}

/// Reads one YAML document; `file` is only for the diagnostic.
///
/// Aliases may not make more of a document than is written there (a "billion laughs" is refused).
pub fn read_yaml(file: &str, bytes: &[u8], limits: Limits) -> Result<Value, Diagnostic> {
    let text = utf8_within(file, bytes, limits)?;
    let reader = serde_yaml::Deserializer::from_str(text);
    let budget = node_budget(text);
    Strict { depth: limits.depth, budget: &budget }.deserialize(reader).map_err(|error| {
        let place = error.location().map_or_else(
            || Place::whole_file(file),
            |at| LineIndex::new(text).place_at(file, at.line() as u32, at.column() as u32),
        );
        let message = error.to_string();
        let message = message.split(" at line ").next().unwrap_or("unreadable").to_owned();
        Diagnostic::error("D003", format!("not a YAML document that can be used: {message}")).at(place)
    })
}

/// Reads JSON when the name ends in `.json`, YAML otherwise (of which JSON is almost a subset).
pub fn read(file: &str, bytes: &[u8], limits: Limits) -> Result<Value, Diagnostic> {
    if file.ends_with(".json") { read_json(file, bytes, limits) } else { read_yaml(file, bytes, limits) }
}

fn utf8_within<'b>(file: &str, bytes: &'b [u8], limits: Limits) -> Result<&'b str, Diagnostic> {
    if bytes.len() > limits.bytes {
        let message = format!("more than the {} bytes that are accepted", limits.bytes);
        return Err(Diagnostic::error("D001", message).at(Place::whole_file(file)));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or(&[]);
        let before = String::from_utf8_lossy(valid);
        let place = LineIndex::new(&before).place(file, before.len()..before.len());
        Diagnostic::error("D002", "not UTF-8 text").at(place).help("save the file as UTF-8")
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// Reads any value, refusing what is ambiguous.
#[derive(Clone, Copy)]
struct Strict<'b> {
    depth: usize,
    budget: &'b Cell<usize>,
}

/// Each value that is written takes a byte at least, and a text its length (an escape is longer than
/// what it stands for), so more than the bytes of the document come from aliases.
fn node_budget(text: &str) -> Cell<usize> {
    Cell::new(2 * text.len() + 1)
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.spend(1)?;
        deserializer.deserialize_any(self)
    }
}

impl Strict<'_> {
    fn spend<E: de::Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.budget.get().checked_sub(bytes);
        self.budget.set(left.ok_or_else(|| E::custom("aliases expand to more than is written"))?);
        Ok(())
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))?;
        Ok(Self { depth, ..self })
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value that JSON can hold")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is not finite"))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Value, E> {
        self.spend(value.len())?;
        Ok(Value::from(value))
    }

    fn visit_string<E: de::Error>(self, value: String) -> Result<Value, E> {
        self.spend(value.len())?;
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            array.push(item);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut object = Map::new();
        while let Some(Key(key)) = members.next_key()? {
            if object.contains_key(&key) {
                return Err(de::Error::custom(format_args!("the key `{key}` stands twice")));
            }
            self.spend(key.len())?;
            let value = members.next_value_seed(inner)?;
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}

/// A member's name; YAML's integers and Booleans as keys are taken by their text.
struct Key(String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl Visitor<'_> for KeyVisitor {
            type Value = Key;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key that is text")
            }

            fn visit_str<E>(self, value: &str) -> Result<Key, E> {
                Ok(Key(value.to_owned()))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Key, E> {
                Ok(Key(value.to_string()))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Key, E> {
                Ok(Key(value.to_string()))
            }
        }
        deserializer.deserialize_any(KeyVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn yaml(text: &str) -> Result<Value, String> {
        read_yaml("f.yaml", text.as_bytes(), Limits::default()).map_err(|d| d.to_string())
    }

    fn json_of(text: &str) -> Result<Value, String> {
        read_json("f.json", text.as_bytes(), Limits::default()).map_err(|d| d.to_string())
    }

    #[test]
    fn duplicate_keys_are_refused_with_their_place() {
        assert_eq!(
            json_of("{\"a\": 1,\n \"a\": 2}").unwrap_err(),
            "error[D003] f.json:2:4: not a JSON document that can be used: the key `a` stands twice"
        );
        assert!(yaml("a: 1\na: 2\n").unwrap_err().contains("the key `a` stands twice"));
        assert!(yaml("a: {b: 1, b: 2}\n").unwrap_err().contains("the key `b` stands twice"));
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        for bad in ["{\"a\": \"\\ud800\"}", "{} {}", "{\"a\": 1e999}", "nul", ""] {
            assert!(json_of(bad).is_err(), "{bad}");
        }
        for bad in ["a: .nan\n", "a: 1\n---\nb: 2\n", "- *x\n"] {
            assert!(yaml(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn aliases_work_until_they_multiply() {
        assert_eq!(yaml("a: &x [1]\nb: *x\n").unwrap(), json!({"a": [1], "b": [1]}));
        let laughs: String = (1..30).map(|i| format!("- &l{i} [*l{p}, *l{p}, *l{p}]\n", p = i - 1)).collect();
        let long = format!("- &x \"{}\"\n{}", "a".repeat(10_000), "- *x\n".repeat(1_000));
        for bomb in [format!("- &l0 [ha, ha, ha]\n{laughs}"), long] {
            let message = yaml(&bomb).unwrap_err();
            assert!(message.contains("aliases expand"), "{message}");
        }
    }

    #[test]
    fn depth_and_size_are_bounded() {
        let deep = "[".repeat(100_000);
        assert!(json_of(&deep).unwrap_err().contains("nested too deeply"));
        let limits = Limits { bytes: 3, depth: 9 };
        assert!(read_json("f", b"[1,2]", limits).unwrap_err().to_string().contains("more than the 3 bytes"));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_value_or_a_diagnostic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read_json("f", &bytes, Limits::default());
            let _ = read_yaml("f", &bytes, Limits::default());
        }

        #[test]
        fn yaml_aliases_never_expand(text in "[a&*:{}\\[\\], \n-]{0,40}") {
            if let Ok(value) = read_yaml("f", text.as_bytes(), Limits::default()) {
                prop_assert!(value.to_string().len() < 2_000);
            }
        }
    }
}
