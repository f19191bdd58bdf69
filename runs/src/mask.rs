//! Masked paths: what a bundle does not want to be kept of a decision's input.

use serde_json::Value;

/// What stands where something was masked.
pub const MASKED: &str = "(masked)";

/// Masks all that lies at these paths, like `submission.labels.customer` or
/// `submission.change.files[*]`; whether anything did.
///
/// A name reaches a member, `*` every member or item.
pub fn mask(document: &mut Value, paths: &[String]) -> bool {
    let mut masked = false;
    for path in paths {
        let path = path.replace("[*]", ".*");
        let names: Vec<&str> = path.split('.').filter(|name| !name.is_empty()).collect();
        masked |= mask_below(document, &names);
    }
    masked
}

fn mask_below(node: &mut Value, names: &[&str]) -> bool {
    let Some((name, rest)) = names.split_first() else {
        let already = node.as_str() == Some(MASKED);
        *node = Value::from(MASKED);
        return !already;
    };
    let mut masked = false;
    match node {
        Value::Object(members) if *name == "*" => {
            for value in members.values_mut() {
                masked |= mask_below(value, rest);
            }
        }
        Value::Object(members) => {
            if let Some(value) = members.get_mut(*name) {
                masked |= mask_below(value, rest);
            }
        }
        Value::Array(items) if *name == "*" => {
            for value in items {
                masked |= mask_below(value, rest);
            }
        }
        _ => {}
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_lies_at_a_path_is_masked_and_nothing_else() {
        let mut document = json!({"a": {"b": 1, "c": [{"d": 2, "e": 3}, {"d": 4}]}, "x": "y"});
        let paths = ["a.b", "a.c[*].d", "a.none", "x.y"].map(str::to_owned);
        assert!(mask(&mut document, &paths));
        let expected =
            json!({"a": {"b": "(masked)", "c": [{"d": "(masked)", "e": 3}, {"d": "(masked)"}]}, "x": "y"});
        assert_eq!(document, expected);
        assert!(!mask(&mut document, &paths), "nothing is masked twice");
        assert!(!mask(&mut document, &["none".to_owned()]));
    }
}
