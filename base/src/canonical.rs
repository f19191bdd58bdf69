//! Canonical JSON (RFC 8785): one byte sequence for one document.

use serde::Serialize;
use serde_json::{Map, Value};

/// A value that has no canonical form, such as one with a key that is not text.
#[derive(Debug, thiserror::Error)]
#[error("no canonical JSON for this value: {0}")]
pub struct CanonicalError(#[from] serde_json::Error);

/// The canonical bytes of `value`: members sorted, no white space, numbers as ECMAScript writes them.
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(256);
    write_value(&mut out, &serde_json::to_value(value)?)?;
    Ok(out)
}

/// The canonical bytes of a JSON object, as [`to_vec`] gives them.
pub fn object(members: &Map<String, Value>) -> Result<Vec<u8>, CanonicalError> {
    let mut out = Vec::with_capacity(512);
    write_object(&mut out, members)?;
    Ok(out)
}

fn write_object(out: &mut Vec<u8>, members: &Map<String, Value>) -> Result<(), CanonicalError> {
    let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
    match sorted.iter().all(|(name, _)| name.is_ascii()) {
        true => sorted.sort_unstable_by_key(|(name, _)| *name),
        false => sorted.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16())),
    }
    out.push(b'{');
    for (at, (name, value)) in sorted.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        serde_json::to_writer(&mut *out, name)?;
        out.push(b':');
        write_value(out, value)?;
    }
    out.push(b'}');
    Ok(())
}

fn write_value(out: &mut Vec<u8>, value: &Value) -> Result<(), CanonicalError> {
    /// Doubles hold the integers up to here, and write them as they are.
    const EXACT: u64 = 1 << 53;
    match value {
        Value::Object(members) => return write_object(out, members),
        Value::Array(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_value(out, item)?;
            }
            out.push(b']');
        }
        Value::Number(number) if number.as_i64().is_none_or(|n| n.unsigned_abs() > EXACT) => {
            // How ECMAScript writes doubles is for the library to know; for what else there is it takes more
            // than twice as long (`benches/canonical.rs`), and that is paid for at every decision.
            out.extend_from_slice(&serde_json_canonicalizer::to_vec(number)?);
        }
        plain => serde_json::to_writer(out, plain)?,
    }
    Ok(())
}

/// The canonical list of items that are canonical already.
pub fn list(items: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(b',');
        }
        out.extend_from_slice(item);
    }
    out.push(b']');
    out
}

/// A canonical object put together from members that are canonical already, so that a large member
/// which several documents share is written once.
#[derive(Debug, Clone, Default)]
pub struct ObjectWriter {
    members: std::collections::BTreeMap<&'static str, Vec<u8>>,
}

impl ObjectWriter {
    /// Adds a member or replaces it; the name is plain ASCII without quotes and escapes.
    pub fn member<T: Serialize>(mut self, name: &'static str, value: &T) -> Result<Self, CanonicalError> {
        self.members.insert(name, to_vec(value)?);
        Ok(self)
    }

    /// Adds a member whose canonical bytes are known.
    pub fn canonical(mut self, name: &'static str, bytes: &[u8]) -> Self {
        self.members.insert(name, bytes.to_vec());
        self
    }

    /// The canonical bytes of the object.
    pub fn finish(&self) -> Vec<u8> {
        // For ASCII the order of bytes is the order of UTF-16 units that RFC 8785 asks for.
        let length = self.members.iter().map(|(name, bytes)| name.len() + bytes.len() + 4).sum::<usize>();
        let mut out = Vec::with_capacity(length + 2);
        out.push(b'{');
        for (position, (name, bytes)) in self.members.iter().enumerate() {
            if position > 0 {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\":");
            out.extend_from_slice(bytes);
        }
        out.push(b'}');
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn members_are_sorted_by_utf16_and_numbers_are_shortest() {
        let value = json!({"\u{fb33}": 1, "\u{1f600}": 2, "b": 1e3, "a": [1, 2.50]});
        let text = String::from_utf8(to_vec(&value).unwrap()).unwrap();
        // U+1F600 is the surrogate pair D83D DE00, so it sorts before U+FB33 (RFC 8785, 3.2.3).
        assert_eq!(text, "{\"a\":[1,2.5],\"b\":1000,\"\u{1f600}\":2,\"\u{fb33}\":1}");
    }

    #[test]
    fn an_object_put_together_is_the_object_written_at_once() {
        let inner = json!({"z": 1, "a": [true, null]});
        let whole = json!({"b": inner, "a": "text", "run_id": 7});
        let bytes = to_vec(&inner).unwrap();
        let writer = ObjectWriter::default().canonical("b", &bytes);
        let written = writer.member("run_id", &7).unwrap().member("a", &"text").unwrap().finish();
        assert_eq!(written, to_vec(&whole).unwrap());
        assert_eq!(ObjectWriter::default().finish(), b"{}");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-(1i64 << 53)..(1i64 << 53)).prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,6}", inner, 0..6)
                    .prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    /// Numbers of all kinds, and texts with what is escaped.
    fn awkward() -> impl Strategy<Value = Value> {
        prop_oneof![
            any_json(),
            any::<f64>().prop_filter("JSON has no such number", |n| n.is_finite()).prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\u{0}-\u{ff}\u{2028}\u{fb33}\u{1f600}\"\\\\]{0,12}".prop_map(Value::from),
        ]
    }

    proptest! {
        #[test]
        fn an_object_has_one_canonical_text_whoever_writes_it(
            members in prop::collection::btree_map("[a-c\u{e9}\u{fb33}\u{1f600}\"]{0,3}", awkward(), 0..6),
        ) {
            let members: Map<String, Value> = members.into_iter().collect();
            prop_assert_eq!(
                String::from_utf8(object(&members).unwrap()).unwrap(),
                String::from_utf8(serde_json_canonicalizer::to_vec(&members).unwrap()).unwrap()
            );
        }

        #[test]
        fn canonical_text_reads_back_as_the_same_document(value in any_json()) {
            let bytes = to_vec(&value).unwrap();
            let again: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(&again, &value);
            prop_assert_eq!(to_vec(&again).unwrap(), bytes);
        }
    }
}
