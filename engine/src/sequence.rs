//! The order of the gates in a mode, as `data.cku.sequence` gives it.

use cku_lang::Enforcement;
use regorus::Value;

/// The Rego path of the sequences.
pub(crate) const SEQUENCE_PATH: &str = "data.cku.sequence";

/// The gates of a mode in order, or why there is no order to go by.
pub type Sequence = Result<Vec<SequenceStep>, String>;

/// A gate's place in a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceStep {
    /// The gate.
    pub gate: String,
    /// Whether its outcome counts.
    pub enforcement: Enforcement,
    /// Whether its PAUSE ends the evaluation.
    pub barrier: bool,
    /// The role that may override its PAUSE.
    pub override_by: Option<String>,
}

/// Reads the sequence of one mode; every gate of the bundle must stand in it exactly once.
pub(crate) fn read(sequences: Option<&Value>, mode: &str, gates: &[&str], roles: &[&str]) -> Sequence {
    let undefined = || format!("`{SEQUENCE_PATH}` has no sequence for mode `{mode}`");
    let modes = sequences.and_then(|v| v.as_object().ok()).ok_or_else(undefined)?;
    let list = modes.get(&Value::from(mode)).ok_or_else(undefined)?;
    let list = list.as_array().map_err(|_| format!("the sequence for mode `{mode}` is not a list"))?;
    let steps = list.iter().map(|v| step(v, mode, gates)).collect::<Result<Vec<_>, _>>()?;
    let unknown = steps.iter().filter_map(|s| s.override_by.as_deref()).find(|role| !roles.contains(role));
    if let Some(role) = unknown {
        return Err(format!(
            "the sequence for mode `{mode}` names the role `{role}`, which the bundle does not have"
        ));
    }
    if gates.is_empty() {
        return Err("the bundle has no gates, so nothing is asked".to_owned());
    }
    for gate in gates {
        match steps.iter().filter(|s| s.gate == *gate).count() {
            1 => {}
            0 => return Err(format!("the sequence for mode `{mode}` leaves out the gate `{gate}`")),
            _ => return Err(format!("the sequence for mode `{mode}` has the gate `{gate}` twice")),
        }
    }
    Ok(steps)
}

fn step(value: &Value, mode: &str, gates: &[&str]) -> Result<SequenceStep, String> {
    let unfit = |what: &str| format!("an entry of the sequence for mode `{mode}` has {what}");
    let entry = value.as_object().map_err(|_| unfit("no members; write {\"gate\": …}"))?;
    let member = |name: &str| entry.get(&Value::from(name));
    let text = |name: &str| member(name).and_then(|v| v.as_string().ok()).map(|s| s.to_string());
    let gate = text("gate").ok_or_else(|| unfit("no `gate`"))?;
    if !gates.contains(&gate.as_str()) {
        return Err(unfit(&format!("the gate `{gate}`, which the bundle does not have")));
    }
    let enforcement = match text("enforcement").as_deref() {
        Some("enforce") => Enforcement::Enforce,
        Some("advise") => Enforcement::Advise,
        _ => return Err(unfit("an `enforcement` that is not `enforce` or `advise`")),
    };
    let barrier = match member("barrier") {
        Some(Value::Bool(barrier)) => *barrier,
        _ => return Err(unfit("a `barrier` that is not true or false")),
    };
    let override_by = match member("override") {
        None | Some(Value::Null) => None,
        Some(Value::String(role)) => Some(role.to_string()),
        Some(_) => return Err(unfit("an `override` that is not a role")),
    };
    Ok(SequenceStep { gate, enforcement, barrier, override_by })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_json(json: &str) -> Sequence {
        read(Some(&Value::from_json_str(json).unwrap()), "dev", &["a", "b"], &["reviewer"])
    }

    #[test]
    fn a_whole_sequence_is_read_in_order() {
        let steps = read_json(
            r#"{"dev": [{"gate": "b", "enforcement": "advise", "barrier": false, "override": "reviewer"},
                        {"gate": "a", "enforcement": "enforce", "barrier": true}]}"#,
        )
        .unwrap();
        let names: Vec<_> = steps.iter().map(|s| s.gate.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!(steps[0].override_by.as_deref(), Some("reviewer"));
        assert!(steps[1].barrier);
    }

    #[test]
    fn whatever_is_unclear_is_no_sequence() {
        let a = r#"{"gate": "a", "enforcement": "enforce", "barrier": false}"#;
        for bad in [
            "{}".to_owned(),
            r#"{"dev": "all"}"#.to_owned(),
            format!(r#"{{"dev": [{a}]}}"#),
            format!(r#"{{"dev": [{a}, {a}]}}"#),
            format!(r#"{{"dev": [{a}, {}]}}"#, a.replace("\"a\"", "\"c\"")),
            format!(r#"{{"dev": [{a}, {}]}}"#, a.replace("\"a\"", "\"b\"").replace("enforce\"", "ignore\"")),
            format!(r#"{{"dev": [{a}, {}]}}"#, a.replace("\"a\"", "\"b\"").replace("false", "0")),
            format!(
                r#"{{"dev": [{a}, {}]}}"#,
                a.replace("\"a\"", "\"b\"").replace("false", "false, \"override\": \"anyone\"")
            ),
        ] {
            assert!(read_json(&bad).is_err(), "{bad}");
        }
        assert!(read(None, "dev", &[], &[]).is_err());
    }
}
