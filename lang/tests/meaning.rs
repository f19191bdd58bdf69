//! A condition means the same in Cedar as it does to a reader: random conditions, written as text,
//! compiled and asked, against an evaluation that knows nothing of the compiler.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may panic")]

use std::{fmt, str::FromStr};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression, Schema,
    ValidationMode, Validator,
};
use cku_lang::{compile, parse};
use proptest::prelude::*;

/// A condition over the facts `a`, `b` (bool), `n`, `m` (count), `t` (text) and `s` (set of text),
/// and the threshold `limit`.
#[derive(Debug, Clone)]
enum When {
    Fact(&'static str),
    Number(&'static str, &'static str, i64),
    Numbers(&'static str),
    Limit(&'static str),
    Text(bool),
    Member(bool),
    SameTruth(Box<When>, Box<When>),
    Not(Box<When>),
    And(Box<When>, Box<When>),
    Or(Box<When>, Box<When>),
}

/// Parentheses only where the language needs them: `or` < `and` < `not` < comparisons.
impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fact(name) => f.write_str(name),
            Self::Number(name, op, value) => write!(f, "{name} {op} {value}"),
            Self::Numbers(op) => write!(f, "n {op} m"),
            Self::Limit(op) => write!(f, "limit {op} n"),
            Self::Text(equal) => write!(f, "t {} \"x\"", if *equal { "==" } else { "!=" }),
            Self::Member(true) => write!(f, "t in s"),
            Self::Member(false) => write!(f, "s contains \"x\""),
            Self::SameTruth(left, right) => write!(f, "({left}) == ({right})"),
            Self::Not(inner) => match **inner {
                Self::And(..) | Self::Or(..) => write!(f, "not ({inner})"),
                _ => write!(f, "not {inner}"),
            },
            Self::And(left, right) => {
                let group = |side: &Self| match side {
                    Self::Or(..) => format!("({side})"),
                    _ => side.to_string(),
                };
                write!(f, "{} and {}", group(left), group(right))
            }
            Self::Or(left, right) => write!(f, "{left} or {right}"),
        }
    }
}

#[derive(Debug, Clone)]
struct Facts {
    a: Option<bool>,
    b: Option<bool>,
    n: Option<i64>,
    m: Option<i64>,
    t: Option<&'static str>,
    s: Option<Vec<&'static str>>,
}

impl When {
    /// `None` if it reads a fact that is missing, evaluated or not.
    fn holds(&self, facts: &Facts, limit: i64) -> Option<bool> {
        Some(match self {
            Self::Fact("a") => facts.a?,
            Self::Fact(_) => facts.b?,
            Self::Number("n", op, value) => compare(facts.n?, op, *value),
            Self::Number(_, op, value) => compare(facts.m?, op, *value),
            Self::Numbers(op) => compare(facts.n?, op, facts.m?),
            Self::Limit(op) => compare(limit, op, facts.n?),
            Self::Text(equal) => (facts.t? == "x") == *equal,
            Self::Member(true) => facts.s.as_ref()?.contains(&facts.t?),
            Self::Member(false) => facts.s.as_ref()?.contains(&"x"),
            Self::SameTruth(left, right) => left.holds(facts, limit)? == right.holds(facts, limit)?,
            Self::Not(inner) => !inner.holds(facts, limit)?,
            Self::And(left, right) => {
                let (left, right) = (left.holds(facts, limit), right.holds(facts, limit));
                left? & right?
            }
            Self::Or(left, right) => {
                let (left, right) = (left.holds(facts, limit), right.holds(facts, limit));
                left? | right?
            }
        })
    }
}

fn compare(left: i64, op: &str, right: i64) -> bool {
    match op {
        "==" => left == right,
        "!=" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    }
}

fn condition() -> impl Strategy<Value = When> {
    let op = || prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let leaf = prop_oneof![
        prop::sample::select(vec!["a", "b"]).prop_map(When::Fact),
        (prop::sample::select(vec!["n", "m"]), op(), 0..3_i64)
            .prop_map(|(name, op, value)| When::Number(name, op, value)),
        op().prop_map(When::Numbers),
        op().prop_map(When::Limit),
        any::<bool>().prop_map(When::Text),
        any::<bool>().prop_map(When::Member),
    ];
    leaf.prop_recursive(5, 24, 2, |inner| {
        let pair = || (inner.clone().prop_map(Box::new), inner.clone().prop_map(Box::new));
        prop_oneof![
            inner.clone().prop_map(|operand| When::Not(Box::new(operand))),
            pair().prop_map(|(left, right)| When::And(left, right)),
            pair().prop_map(|(left, right)| When::Or(left, right)),
            pair().prop_map(|(left, right)| When::SameTruth(left, right)),
        ]
    })
}

fn facts() -> impl Strategy<Value = Facts> {
    // Mostly present, so that conditions are evaluated and not only guarded.
    fn some<S: Strategy>(value: S) -> impl Strategy<Value = Option<S::Value>> {
        prop::option::weighted(0.9, value)
    }
    let texts = || prop::sample::select(vec!["x", "y", "z"]);
    let set = prop::collection::vec(texts(), 0..3);
    (some(any::<bool>()), some(any::<bool>()), some(0..4_i64), some(0..4_i64), some(texts()), some(set))
        .prop_map(|(a, b, n, m, t, s)| Facts { a, b, n, m, t, s })
}

/// The ids that forbid to proceed, asked with exactly these facts.
fn forbidding(text: &str, mode: &str, facts: &Facts) -> Vec<String> {
    let (ast, errors) = parse("m.gate", text);
    assert_eq!(errors, []);
    let compiled =
        compile(&[ast], &["dev".to_owned(), "prod".to_owned()]).unwrap_or_else(|e| panic!("{text}\n{e:?}"));
    let schema = Schema::from_str(&compiled.schema).unwrap();
    let policies = PolicySet::from_str(&compiled.cedar()).unwrap();
    let valid = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
    assert!(valid.validation_passed(), "{text}\n{valid}");
    let uid = |text: &str| EntityUid::from_str(text).unwrap();
    let bool_of = |value: bool| RestrictedExpression::new_bool(value);
    let text_of = |value: &str| RestrictedExpression::new_string(value.to_owned());
    let present = [
        ("a", facts.a.map(bool_of)),
        ("b", facts.b.map(bool_of)),
        ("n", facts.n.map(RestrictedExpression::new_long)),
        ("m", facts.m.map(RestrictedExpression::new_long)),
        ("t", facts.t.map(text_of)),
        (
            "s",
            facts.s.as_ref().map(|set| RestrictedExpression::new_set(set.iter().map(|text| text_of(text)))),
        ),
        ("mode", Some(RestrictedExpression::new_entity_uid(uid(&format!("Mode::\"{mode}\""))))),
    ];
    let pairs = present.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let context = Context::from_pairs(pairs).unwrap();
    let ask = |verb: &str| {
        let action = uid(&format!("Action::\"g.{verb}\""));
        let request =
            Request::new(uid("Subject::\"s\""), action, uid("Run::\"r\""), context.clone(), Some(&schema))
                .unwrap();
        let response = Authorizer::new().is_authorized(&request, &policies, &Entities::empty());
        assert_eq!(response.diagnostics().errors().count(), 0, "{text}");
        let annotation = |id| policies.policy(id).unwrap().annotation("id").unwrap().to_owned();
        let mut ids: Vec<String> = response.diagnostics().reason().map(annotation).collect();
        ids.sort();
        (response.decision(), ids)
    };
    let (proceed, hold) = (ask("proceed"), ask("hold"));
    assert!(proceed.0 == Decision::Deny || hold.0 == Decision::Allow, "proceed without hold");
    if proceed.0 == Decision::Allow { Vec::new() } else { proceed.1 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cedar_decides_as_the_condition_reads(when in condition(), facts in facts(), prod in any::<bool>(), pause in any::<bool>()) {
        let kind = if pause { "pause" } else { "reject" };
        let text = format!(
            "gate g \"G\" {{ facts from data.g {{ a: bool b: bool n: count m: count t: text s: set of text }} \
             threshold limit: count = 1 {{ prod = 2 }}\n{kind} r: when {when} because \"r\" }}"
        );
        let (mode, limit) = if prod { ("prod", 2) } else { ("dev", 1) };
        let ids = forbidding(&text, mode, &facts);
        let fired = ids.iter().any(|id| *id == "g.r" || *id == format!("g.r.{mode}"));
        prop_assert_eq!(fired, when.holds(&facts, limit) == Some(true), "{} over {:?}: {:?}", text, facts, ids);
        // Whatever is missing is said, and what is not is not.
        let missing = [
            ("a", facts.a.is_none()),
            ("b", facts.b.is_none()),
            ("n", facts.n.is_none()),
            ("m", facts.m.is_none()),
            ("t", facts.t.is_none()),
            ("s", facts.s.is_none()),
        ];
        for (name, is_missing) in missing {
            prop_assert_eq!(ids.contains(&format!("g.missing:{name}")), is_missing);
        }
    }
}
