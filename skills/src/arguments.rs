//! The arguments of a step, read strictly.

use std::time::Duration;

use cku_base::suggest;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Arguments that a skill cannot take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArgumentError(pub(crate) String);

/// Reads the members of `with` or `undo`; a member that is not known is an error.
pub(crate) fn read<T: DeserializeOwned>(
    place: &str,
    members: &Map<String, Value>,
    known: &[&str],
) -> Result<T, ArgumentError> {
    if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
        let shown: String = unknown.chars().take(60).flat_map(char::escape_debug).collect();
        let hint = match suggest(unknown, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        return Err(ArgumentError(format!("`{place}.{shown}` is not known; {hint}")));
    }
    serde_json::from_value(Value::Object(members.clone())).map_err(|error| {
        let message = error.to_string();
        let message: String = message.chars().take(200).collect();
        match message.strip_prefix("missing field ") {
            Some(name) => ArgumentError(format!("`{place}` has no {name}")),
            None => ArgumentError(format!("`{place}`: {message}")),
        }
    })
}

/// A span of time: a number and `ms`, `s`, `m`, `h` or `d`, like `10m`.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(at)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        assert_eq!(parse_duration("10m"), Some(Duration::from_secs(600)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        for bad in
            ["", "10", "m", "1.5h", "-1s", "10 m", "1w", "99999999999999999999s", "18446744073709551615d"]
        {
            assert_eq!(parse_duration(bad), None, "{bad}");
        }
    }
}
