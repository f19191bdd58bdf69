//! Canonical JSON (RFC 8785): one byte sequence for one document.

use serde::Serialize;

/// A value that has no canonical form, such as one with a key that is not text.
#[derive(Debug, thiserror::Error)]
#[error("no canonical JSON for this value: {0}")]
pub struct CanonicalError(#[from] serde_json::Error);

/// The canonical bytes of `value`: members sorted, no white space, numbers as ECMAScript writes them.
pub fn to_vec<T: Serialize>(value: &T) -> Result<Vec<u8>, CanonicalError> {
    Ok(serde_json_canonicalizer::to_vec(value)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn members_are_sorted_by_utf16_and_numbers_are_shortest() {
        let value = json!({"\u{fb33}": 1, "\u{1f600}": 2, "b": 1e3, "a": [1, 2.50]});
        let text = String::from_utf8(to_vec(&value).unwrap()).unwrap();
        // U+1F600 is the surrogate pair D83D DE00, so it sorts before U+FB33 (RFC 8785, 3.2.3).
        assert_eq!(text, "{\"a\":[1,2.5],\"b\":1000,\"\u{1f600}\":2,\"\u{fb33}\":1}");
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

    proptest! {
        #[test]
        fn canonical_text_reads_back_as_the_same_document(value in any_json()) {
            let bytes = to_vec(&value).unwrap();
            let again: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(&again, &value);
            prop_assert_eq!(to_vec(&again).unwrap(), bytes);
        }
    }
}
