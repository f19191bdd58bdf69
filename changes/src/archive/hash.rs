//! OPA's hash of a file: of the bytes as they are, or of a document without its white space and order.
//!
//! OPA reads `.manifest` and `data.json`, and hashes objects with their names in the order of their bytes,
//! no white space, and texts as Go writes them without its escapes for HTML (v1/bundle/hash.go).

use cku_base::Digest;
use serde_json::Value;

/// The bytes of a document that OPA hashes.
pub(crate) fn canonical(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

/// A digest as OPA writes it: 64 hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let text = Digest::of(bytes).to_string();
    text.trim_start_matches("sha256:").to_owned()
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<(&String, &Value)> = members.iter().collect();
            names.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (position, (name, value)) in names.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                text(name, out);
                out.push(':');
                write(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::String(value) => text(value, out),
        // OPA keeps numbers as they are written, and they are written like this.
        other => out.push_str(&other.to_string()),
    }
}

/// A text as Go's `encoding/json` writes it: beside what JSON asks for, it escapes U+2028 and U+2029.
fn text(value: &str, out: &mut String) {
    out.push('"');
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' || c == '\u{2028}' || c == '\u{2029}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn documents_are_hashed_as_opa_hashes_them() {
        // The one vector in OPA's tests (v1/bundle/verify_test.go) is an MD5 of this text.
        assert_eq!(canonical(&json!({"revision": "quickbrownfaux"})), "{\"revision\":\"quickbrownfaux\"}");
        let value = json!({"key2": {"b": 1, "a": 0}, "key1": ["<foo></foo>", null, false]});
        assert_eq!(canonical(&value), "{\"key1\":[\"<foo></foo>\",null,false],\"key2\":{\"a\":0,\"b\":1}}");
        assert_eq!(
            canonical(&json!("$ α ™ \u{2028} \u{1} \u{8} \u{7f} \"\\\n")),
            "\"$ α ™ \\u2028 \\u0001 \\b \u{7f} \\\"\\\\\\n\""
        );
    }
}
