//! A gate means the same in Cedar as it does to a reader: random gates, written as text, compiled and
//! asked over random facts, against an interpreter that knows nothing of the compiler.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests may panic")]

use std::{collections::BTreeSet, fmt, fmt::Write as _, str::FromStr};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, EntityUid, PolicySet, Request, RestrictedExpression, Schema,
    ValidationMode, Validator,
};
use cku_lang::{codes, compile, parse};
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

const MODES: [&str; 2] = ["dev", "prod"];

/// A clause that holds in all modes, or in one.
type Scope = Option<&'static str>;

fn prefix(scope: &Scope) -> String {
    scope.map_or_else(String::new, |mode| format!("in {mode} "))
}

#[derive(Debug, Clone)]
struct Rule {
    rejects: bool,
    scope: Scope,
    when: When,
}

/// A gate over the facts, with a threshold that has a value for each mode.
#[derive(Debug, Clone)]
struct Gate {
    limits: [i64; 2],
    rules: Vec<Rule>,
    /// What the absence of a fact means; rejection where nothing is said.
    missing: Vec<(&'static str, bool, Scope)>,
    access: bool,
}

const FACTS: [(&str, &str); 6] =
    [("a", "bool"), ("b", "bool"), ("n", "count"), ("m", "count"), ("t", "text"), ("s", "set of text")];

/// What somebody who reads the gate says of a run: a verdict, and what it comes from.
#[derive(Debug, PartialEq, Eq)]
struct Verdict {
    verdict: &'static str,
    stops: BTreeSet<String>,
}

fn verdict(stops: impl IntoIterator<Item = (bool, String)>) -> Verdict {
    let stops: Vec<(bool, String)> = stops.into_iter().collect();
    let rejects = stops.iter().any(|(rejects, _)| *rejects);
    let verdict = if rejects {
        "REJECT"
    } else if stops.is_empty() {
        "PASS"
    } else {
        "PAUSE"
    };
    // A rejection is explained by what rejects.
    let stops = stops.into_iter().filter(|(rejecting, _)| *rejecting || !rejects).map(|(_, id)| id).collect();
    Verdict { verdict, stops }
}

impl Gate {
    fn text(&self) -> String {
        let mut text = "gate g \"G\" {\n  facts from data.g {\n".to_owned();
        for (name, ty) in FACTS {
            writeln!(text, "    {name}: {ty}").unwrap();
        }
        let [dev, prod] = self.limits;
        writeln!(text, "  }}\n  threshold limit: count = {dev} {{ prod = {prod} }}").unwrap();
        if self.access {
            text.push_str("  require access run:create\n");
        }
        for (n, rule) in self.rules.iter().enumerate() {
            let (scope, kind) = (prefix(&rule.scope), if rule.rejects { "reject" } else { "pause" });
            writeln!(text, "  {scope}{kind} r{n}: when {} because \"r\"", rule.when).unwrap();
        }
        for (fact, rejects, scope) in &self.missing {
            let kind = if *rejects { "reject" } else { "pause" };
            writeln!(text, "  {}missing {fact} {kind}", prefix(scope)).unwrap();
        }
        text + "}\n"
    }

    fn decides(&self, mode: usize, facts: &Facts, access: Option<bool>) -> Verdict {
        let here = |scope: &Scope| scope.is_none_or(|name| name == MODES[mode]);
        let fired =
            self.rules.iter().enumerate().filter(|(_, rule)| {
                here(&rule.scope) && rule.when.holds(facts, self.limits[mode]) == Some(true)
            });
        let fired = fired.map(|(n, rule)| (rule.rejects, format!("r{n}")));
        let absent = [
            ("a", facts.a.is_none()),
            ("b", facts.b.is_none()),
            ("n", facts.n.is_none()),
            ("m", facts.m.is_none()),
            ("t", facts.t.is_none()),
            ("s", facts.s.is_none()),
        ];
        let missing = absent.into_iter().filter(|(_, is_absent)| *is_absent).map(|(fact, _)| {
            let said = self.missing.iter().find(|(name, _, scope)| *name == fact && here(scope));
            (said.is_none_or(|(_, rejects, _)| *rejects), format!("missing:{fact}"))
        });
        let denied = (self.access && access != Some(true)).then(|| (true, "access:run:create".to_owned()));
        verdict(fired.chain(missing).chain(denied))
    }
}

/// The same gate as Cedar has it.
struct Asked {
    text: String,
    schema: Schema,
    policies: PolicySet,
    /// Rules that are said never to fire, or to fire whenever their facts are there, in every mode.
    never: Vec<String>,
    always: Vec<String>,
}

impl Asked {
    fn of(gate: &Gate) -> Self {
        let text = gate.text();
        let (ast, errors) = parse("m.gate", &text);
        assert_eq!(errors, []);
        let modes = MODES.map(str::to_owned);
        let compiled = compile(&[ast], &modes).unwrap_or_else(|e| panic!("{text}\n{e:?}"));
        let schema = Schema::from_str(&compiled.schema).unwrap();
        let policies = PolicySet::from_str(&compiled.cedar()).unwrap();
        let valid = Validator::new(schema.clone()).validate(&policies, ValidationMode::Strict);
        assert!(valid.validation_passed(), "{text}\n{valid}");
        let told = |code: &str| -> Vec<String> {
            let of = compiled.warnings.iter().filter(|w| w.code == code && !w.message.contains("in `"));
            of.map(|w| w.message.split('`').nth(1).unwrap().to_owned()).collect()
        };
        let (never, always) = (told(codes::NEVER_FIRES), told(codes::ALWAYS_FIRES));
        Self { text, schema, policies, never, always }
    }

    fn decides(&self, mode: usize, facts: &Facts, access: Option<bool>) -> Verdict {
        let uid = |text: &str| EntityUid::from_str(text).unwrap();
        let bool_of = |value: bool| RestrictedExpression::new_bool(value);
        let text_of = |value: &str| RestrictedExpression::new_string(value.to_owned());
        let set_of = |set: &Vec<&str>| RestrictedExpression::new_set(set.iter().map(|text| text_of(text)));
        let mode = RestrictedExpression::new_entity_uid(uid(&format!("Mode::\"{}\"", MODES[mode])));
        let present = [
            ("a", facts.a.map(bool_of)),
            ("b", facts.b.map(bool_of)),
            ("n", facts.n.map(RestrictedExpression::new_long)),
            ("m", facts.m.map(RestrictedExpression::new_long)),
            ("t", facts.t.map(text_of)),
            ("s", facts.s.as_ref().map(set_of)),
            ("access:run:create", access.map(bool_of).filter(|_| self.text.contains("require access"))),
            ("mode", Some(mode)),
        ];
        let pairs = present.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let context = Context::from_pairs(pairs).unwrap();
        let ask = |verb: &str| {
            let (subject, run) = (uid("Subject::\"s\""), uid("Run::\"r\""));
            let action = uid(&format!("Action::\"g.{verb}\""));
            let request = Request::new(subject, action, run, context.clone(), Some(&self.schema)).unwrap();
            let response = Authorizer::new().is_authorized(&request, &self.policies, &Entities::empty());
            assert_eq!(response.diagnostics().errors().count(), 0, "{}", self.text);
            let id = |id| {
                let id = self.policies.policy(id).unwrap().annotation("id").unwrap();
                let id = id.strip_prefix("g.").unwrap();
                MODES.iter().find_map(|mode| id.strip_suffix(&format!(".{mode}"))).unwrap_or(id).to_owned()
            };
            let ids: BTreeSet<String> = response.diagnostics().reason().map(id).collect();
            (response.decision() == Decision::Allow, ids)
        };
        // As the engine asks: whether it may hold, only after it may not proceed.
        match (ask("proceed"), ask("hold")) {
            ((true, _), (allowed, _)) => {
                assert!(allowed, "what may proceed may hold: {}", self.text);
                Verdict { verdict: "PASS", stops: BTreeSet::new() }
            }
            ((false, stops), (true, _)) => Verdict { verdict: "PAUSE", stops },
            ((false, _), (false, stops)) => Verdict { verdict: "REJECT", stops },
        }
    }
}

fn gate() -> impl Strategy<Value = Gate> {
    let scope = || prop::sample::select(vec![None, None, Some("dev"), Some("prod")]);
    let rule = (any::<bool>(), scope(), condition());
    let rule = rule.prop_map(|(rejects, scope, when)| Rule { rejects, scope, when });
    let names: Vec<&str> = FACTS.iter().map(|(name, _)| *name).collect();
    let missing = prop::sample::subsequence(names, 0..4).prop_flat_map(move |names| {
        names.into_iter().map(|n| (Just(n), any::<bool>(), scope())).collect::<Vec<_>>()
    });
    let limits = prop::array::uniform2(0..4_i64);
    (limits, prop::collection::vec(rule, 1..6), missing, any::<bool>())
        .prop_map(|(limits, rules, missing, access)| Gate { limits, rules, missing, access })
}

/// So many gates, each over so many facts in both modes.
fn hold_against_each_other(gates: u32, facts_each: usize) {
    let config = ProptestConfig { cases: gates, failure_persistence: None, ..ProptestConfig::default() };
    let seen = std::cell::RefCell::new([0_usize; 3]);
    let runs = prop::collection::vec((facts(), prop::option::weighted(0.9, any::<bool>())), facts_each);
    proptest::test_runner::TestRunner::new(config)
        .run(&(gate(), runs), |(gate, runs)| {
            let asked = Asked::of(&gate);
            for (facts, access) in &runs {
                for (mode, name) in MODES.iter().enumerate() {
                    let (cedar, reader) =
                        (asked.decides(mode, facts, *access), gate.decides(mode, facts, *access));
                    prop_assert_eq!(&cedar, &reader, "{} over {:?}, {:?}", asked.text, facts, access);
                    let place = ["PASS", "PAUSE", "REJECT"].iter().position(|v| *v == cedar.verdict);
                    seen.borrow_mut()[place.unwrap()] += 1;
                    let here = |rule: &Rule| rule.scope.is_none_or(|scope| scope == *name);
                    for (n, rule) in gate.rules.iter().enumerate().filter(|(_, rule)| here(rule)) {
                        let (name, holds) = (format!("r{n}"), rule.when.holds(facts, gate.limits[mode]));
                        let wrong = asked.never.contains(&name) && holds == Some(true)
                            || asked.always.contains(&name) && holds == Some(false);
                        prop_assert!(!wrong, "{} of {} over {:?}", name, asked.text, facts);
                    }
                }
            }
            Ok(())
        })
        .unwrap();
    let [passed, paused, rejected] = seen.into_inner();
    println!(
        "{} verdicts agree: {passed} PASS, {paused} PAUSE, {rejected} REJECT",
        passed + paused + rejected
    );
    assert!(passed > 0 && paused > 0 && rejected > 0, "all three are seen");
}

#[test]
fn cedar_decides_as_a_reader_does_a_hundred_thousand_times() {
    hold_against_each_other(1_250, 40);
}
