//! Built-ins that are made strict: what they leave open or swallow becomes an error.
//!
//! Some would fill the memory within a single call, which no time limit interrupts. Two of them give undefined for arguments that make no sense, also in the strict evaluator, and the
//! time built-ins take the zone `Local`, which is whatever the machine is set to.

use anyhow::{Result, anyhow, bail};
use regorus::{
    Engine, Source, Value,
    unstable::{BUILTINS, BuiltinFcn, Expr, Ref, Span},
};

/// Built-ins whose errors the evaluator turns into undefined.
const SWALLOWING: [&str; 2] = ["json.patch", "regex.replace"];

/// Built-ins that take a time with a zone as their first argument, `diff` as its second too.
const ZONED: [&str; 6] =
    ["time.add_date", "time.clock", "time.date", "time.diff", "time.format", "time.weekday"];

/// Built-ins whose value grows with a number in their arguments.
const GROWING: [&str; 5] =
    ["numbers.range", "numbers.range_step", "sprintf", "units.parse", "units.parse_bytes"];

/// Members of a range, and the largest number that a format or unit may name.
const LARGEST: i64 = 1_000_000;

/// Puts the strict forms in the place of the originals.
pub(super) fn add(engine: &mut Engine) -> Result<()> {
    for name in SWALLOWING {
        let original = Original::named(name)?;
        engine.add_extension(
            name.to_owned(),
            original.arguments(),
            Box::new(move |arguments: Vec<Value>| match original.call(&arguments)? {
                Value::Undefined => bail!("`{name}` has no value for these arguments"),
                value => Ok(value),
            }),
        )?;
    }
    for name in GROWING {
        let original = Original::named(name)?;
        engine.add_extension(
            name.to_owned(),
            original.arguments(),
            Box::new(move |arguments: Vec<Value>| {
                if grows(&arguments) {
                    bail!("`{name}`: the value would be too large");
                }
                original.call(&arguments)
            }),
        )?;
    }
    for name in ZONED {
        let original = Original::named(name)?;
        engine.add_extension(
            name.to_owned(),
            original.arguments(),
            Box::new(move |arguments: Vec<Value>| {
                if arguments.iter().any(names_local_zone) {
                    bail!("`{name}`: the zone `Local` differs from machine to machine; name one, like `UTC`");
                }
                original.call(&arguments)
            }),
        )?;
    }
    Ok(())
}

/// Whether the ends of a range lie far apart, or a text names a width or an exponent beyond reason.
fn grows(arguments: &[Value]) -> bool {
    match arguments {
        [Value::Number(from), Value::Number(to), ..] => match (from.as_i64(), to.as_i64()) {
            (Some(from), Some(to)) => from.abs_diff(to) > LARGEST.unsigned_abs(),
            _ => true,
        },
        [Value::String(format), Value::Array(_)] => format.split('%').skip(1).any(|conversion| {
            let width = conversion.trim_start_matches(['+', '-', '#', ' ']);
            width.split(|c: char| !c.is_ascii_digit()).take(2).any(|digits| digits.len() > 4)
                && width.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        }),
        [Value::String(unit)] => {
            let exponent = unit.split(['e', 'E']).nth(1);
            exponent.is_some_and(|e| e.chars().filter(char::is_ascii_digit).count() > 4)
        }
        _ => false,
    }
}

/// Whether a time is `[ns, "Local", …]`; an empty name means UTC.
fn names_local_zone(argument: &Value) -> bool {
    let zone = argument.as_array().ok().and_then(|a| a.get(1)).and_then(|z| z.as_string().ok());
    zone.is_some_and(|zone| zone.eq_ignore_ascii_case("local"))
}

/// A built-in as the evaluator has it.
#[derive(Clone)]
struct Original {
    builtin: BuiltinFcn,
    span: Span,
    parameters: Vec<Ref<Expr>>,
}

impl Original {
    fn named(name: &'static str) -> Result<Self> {
        let builtin = BUILTINS.get(name).ok_or_else(|| anyhow!("there is no built-in `{name}`"))?;
        let source = Source::from_contents(name.to_owned(), name.to_owned())?;
        let span = Span { source, line: 1, col: 1, start: 0, end: 0 };
        // Built-ins look at their parameters only to say where an argument stands.
        let parameter = || Ref::new(Expr::Null { span: span.clone(), value: Value::Null, eidx: 0 });
        let parameters = (0..builtin.1).map(|_| parameter()).collect();
        Ok(Self { builtin: *builtin, span, parameters })
    }

    fn arguments(&self) -> u8 {
        self.builtin.1
    }

    fn call(&self, arguments: &[Value]) -> Result<Value> {
        let (function, _) = self.builtin;
        function(&self.span, &self.parameters, arguments, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(expression: &str) -> Result<Value> {
        let mut engine = Engine::new();
        add(&mut engine)?;
        engine.add_policy("p.rego".into(), format!("package p\n\nx := {expression}\n"))?;
        engine.eval_rule("data.p.x".into())
    }

    #[test]
    fn what_the_originals_swallow_or_let_grow_is_an_error() {
        for bad in [
            "regex.replace(\"a\", \"(\", \"b\")",
            "json.patch({}, [{\"op\": \"x\"}])",
            "time.clock([1700000000000000000, \"Local\"])",
            "time.diff(0, [0, \"local\"])",
            "numbers.range(1, 1000000000)",
            "sprintf(\"%1000000000d\", [1])",
            "sprintf(\"%.1000000000f\", [1])",
            "units.parse(\"1e999999999\")",
        ] {
            assert!(value(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_makes_sense_has_the_value_of_the_originals() {
        for (good, expected) in [
            ("regex.replace(\"aab\", \"a+\", \"x\")", "\"xb\""),
            ("json.patch({}, [{\"op\": \"add\", \"path\": \"/a\", \"value\": 1}])", "{\"a\": 1}"),
            ("time.clock([1700000000000000000, \"UTC\"])", "[22, 13, 20]"),
            ("time.weekday(1700000000000000000)", "\"Tuesday\""),
            ("count(numbers.range(1, 1000))", "1000"),
            ("sprintf(\"order 1234567 of %d %v\", [12, 1.5])", "\"order 1234567 of 12 1.5\""),
            ("units.parse(\"10K\")", "10000"),
        ] {
            assert_eq!(value(good).unwrap(), Value::from_json_str(expected).unwrap(), "{good}");
        }
    }
}
