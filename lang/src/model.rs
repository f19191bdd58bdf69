//! What compiling gives: gates and sequences for the engine, policies for Cedar, modules for Rego.

use std::collections::BTreeMap;

use cku_base::diagnostic::{Diagnostic, Place};

use crate::types::Type;

/// Everything that the gate files of a bundle compile to.
#[derive(Debug, Clone)]
pub struct Compiled {
    /// The gates, by name.
    pub gates: Vec<Gate>,
    /// The sequence of each mode, in the order of the bundle's modes; empty if no file has a mode block.
    pub sequences: Vec<Sequence>,
    /// The Cedar policies of all gates that have rules: per gate permits, missing facts, access, rules.
    pub policies: Vec<Policy>,
    /// The Cedar schema (in Cedar's own syntax) under which the policies are valid.
    pub schema: String,
    /// The Rego modules: the facts of each gate that has rules, and the sequences.
    pub modules: Vec<RegoModule>,
    /// What is allowed, but somebody should look at.
    pub warnings: Vec<Diagnostic>,
}

impl Compiled {
    /// All policies as one Cedar text, with a comment on each that points back to its source line.
    pub fn cedar(&self) -> String {
        let texts: Vec<&str> = self.policies.iter().map(|policy| policy.text.as_str()).collect();
        texts.join("\n")
    }
}

/// A gate: a question with a verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// Its name, unique in the bundle.
    pub name: String,
    /// What it asks, for people.
    pub title: String,
    /// Where its name stands.
    pub place: Place,
    /// How it decides.
    pub body: GateBody,
}

/// How a gate decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateBody {
    /// By rules over facts, compiled to Cedar.
    Rules(Rules),
    /// By a Rego rule that gives a verdict with reasons.
    Rego {
        /// The rule, such as `data.acme.policy.decision`.
        path: String,
        /// Where the path stands.
        place: Place,
    },
}

/// The clauses of a gate that decides by rules, in the order they are written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The facts it reads.
    pub facts: Vec<Fact>,
    /// Its thresholds.
    pub thresholds: Vec<Threshold>,
    /// The access questions that must be answered with yes.
    pub access: Vec<AccessRequirement>,
    /// Its `reject` and `pause` rules.
    pub rules: Vec<Rule>,
    /// What the absence of each fact means, in every mode: what is written, then what is implied.
    pub missing: Vec<Missing>,
}

impl Rules {
    /// The thresholds that may be learned, each with the one comparison of a PAUSE rule that it stands in.
    ///
    /// One that no such rule compares, or several do, is left out: moving it would mean more than one thing.
    pub fn learnable(&self) -> impl Iterator<Item = (&Threshold, &Rule, &Comparison)> {
        self.thresholds.iter().filter(|threshold| threshold.learn).filter_map(|threshold| {
            let of = |rule: &&Rule| {
                let bound = rule.comparison.as_ref().map(|comparison| &comparison.bound);
                bound.is_some_and(|bound| *bound == Bound::Threshold(threshold.name.clone()))
            };
            let mut rules = self.rules.iter().filter(of);
            let only = rules.next().filter(|rule| rule.kind == RuleKind::Pause && rules.next().is_none())?;
            Some((threshold, only, only.comparison.as_ref()?))
        })
    }
}

/// A value that Rego computes and rules compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    /// Its name, unique in the gate.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// The Rego rule it comes from, such as `data.cku.quality.line_coverage`.
    pub path: String,
    /// Where it is declared.
    pub place: Place,
}

/// A named limit. All values are in the unit of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Threshold {
    /// Its name, unique in the gate.
    pub name: String,
    /// Its type, always a number.
    pub ty: Type,
    /// The value in every mode that has none of its own.
    pub default: i64,
    /// The values of single modes.
    pub by_mode: BTreeMap<String, i64>,
    /// The least and the greatest value it may have.
    pub range: Option<(i64, i64)>,
    /// The grid, from the lower end of the range, on which its values lie.
    pub step: Option<i64>,
    /// The direction in which fewer runs pass.
    pub stricter: Option<Direction>,
    /// Whether the learner may propose other values.
    pub learn: bool,
    /// Where its name stands.
    pub place: Place,
}

impl Threshold {
    /// The value in a mode.
    pub fn value(&self, mode: &str) -> i64 {
        self.by_mode.get(mode).copied().unwrap_or(self.default)
    }

    /// The value in a mode after so many steps in the direction in which more runs pass, no further than
    /// its range goes; none without a range, a step and a direction.
    pub fn loosened(&self, mode: &str, steps: u32) -> Option<i64> {
        let ((low, high), step) = (self.range?, self.step?);
        let far = step.saturating_mul(i64::from(steps));
        Some(match self.stricter? {
            Direction::Up => self.value(mode).saturating_sub(far).max(low),
            Direction::Down => self.value(mode).saturating_add(far).min(high),
        })
    }
}

/// A direction on a threshold's scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Toward greater values.
    Up,
    /// Toward smaller values.
    Down,
}

/// A question to the access policies whose answer must be yes, or the gate rejects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRequirement {
    /// The Cedar action, such as `run:create`.
    pub action: String,
    /// The fact that names the targets to ask about; without it, the run is asked about.
    pub on: Option<String>,
    /// The context attribute that carries the answer, such as `access:run:create`.
    pub attribute: String,
    /// Where the clause stands.
    pub place: Place,
}

/// A condition that stops a run, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name, unique in the gate.
    pub name: String,
    /// Whether it pauses or rejects.
    pub kind: RuleKind,
    /// The modes it holds in, in the order of the bundle; `None` for all.
    pub modes: Option<Vec<String>>,
    /// The facts its condition reads, sorted.
    pub reads: Vec<String>,
    /// Why it stops the run, to be filled in.
    pub message: Vec<Segment>,
    /// The condition, where it is one comparison of a number.
    pub comparison: Option<Comparison>,
    /// Where the clause stands.
    pub place: Place,
}

/// What a rule does to a run when its condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuleKind {
    /// The run waits for a person.
    Pause,
    /// The run ends.
    Reject,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// Said as it is.
    Text(String),
    /// The value of the fact of this name.
    Fact(String),
    /// The value, in the run's mode, of the threshold of this name.
    Threshold(String),
}

/// `fact op bound`: the rule fires where this is true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comparison {
    /// The fact on the left.
    pub fact: String,
    /// How it is compared.
    pub op: CompareOp,
    /// What it is compared with.
    pub bound: Bound,
    /// The type of both sides, always a number.
    pub ty: Type,
}

/// The right side of a [`Comparison`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// The threshold of this name.
    Threshold(String),
    /// A value in the type's unit.
    Literal(i64),
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl CompareOp {
    /// As it is written, in the gate language, Cedar and Rego alike.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        }
    }

    /// The operator that means the same with the sides exchanged.
    pub fn flipped(self) -> Self {
        match self {
            Self::Equal | Self::NotEqual => self,
            Self::Less => Self::Greater,
            Self::AtMost => Self::AtLeast,
            Self::Greater => Self::Less,
            Self::AtLeast => Self::AtMost,
        }
    }

    /// Whether it is so of two values.
    pub fn holds(self, left: i64, right: i64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::NotEqual => left != right,
            Self::Less => left < right,
            Self::AtMost => left <= right,
            Self::Greater => left > right,
            Self::AtLeast => left >= right,
        }
    }

    /// Whether it asks for an order, not only for sameness.
    pub fn is_ordering(self) -> bool {
        !matches!(self, Self::Equal | Self::NotEqual)
    }
}

/// What it means that a fact is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The fact.
    pub fact: String,
    /// Whether its absence pauses or rejects.
    pub kind: RuleKind,
    /// The modes this holds in, in the order of the bundle; `None` for all.
    pub modes: Option<Vec<String>>,
    /// What to say, if the author said something.
    pub message: Option<Vec<Segment>>,
    /// Whether no clause says it, and so it rejects.
    pub implicit: bool,
    /// Where the clause stands, or the fact's declaration if there is none.
    pub place: Place,
}

/// One Cedar policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `gate.rule[.mode]`, and `:` in the ids that no rule's name can collide with.
    pub id: String,
    /// The gate.
    pub gate: String,
    /// What it stands for.
    pub origin: Origin,
    /// What it allows or forbids.
    pub effect: PolicyEffect,
    /// The mode it holds in; `None` for all.
    pub mode: Option<String>,
    /// The Cedar expression under which a forbid applies in its mode; empty for a permit.
    pub condition: String,
    /// The complete policy in Cedar, with its `@id` and the comment that names its source line.
    pub text: String,
    /// The source it comes from.
    pub place: Place,
}

/// What a policy was compiled from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The gate itself: what no rule forbids is allowed.
    Permit,
    /// The rule of this name.
    Rule(String),
    /// The absence of the fact of this name.
    Missing(String),
    /// The requirement of access to this action.
    Access(String),
}

/// What a policy does to the two actions of its gate, `G.proceed` and `G.hold`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyEffect {
    /// Permits to proceed.
    PermitProceed,
    /// Permits to hold.
    PermitHold,
    /// Forbids to proceed: a pause.
    ForbidProceed,
    /// Forbids both: a rejection.
    ForbidBoth,
}

/// The order of the gates in one mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// The mode.
    pub mode: String,
    /// Every gate of the bundle, once.
    pub entries: Vec<SequenceEntry>,
    /// Where the mode's name stands.
    pub place: Place,
}

/// A gate's place in a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceEntry {
    /// The gate's name.
    pub gate: String,
    /// Whether its outcome counts.
    pub enforcement: Enforcement,
    /// Whether a pause ends the evaluation, as a rejection does.
    pub barrier: bool,
    /// The role that may override its pause.
    pub override_by: Option<String>,
    /// Where the entry stands.
    pub place: Place,
}

/// Whether a gate's outcome counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Enforcement {
    /// It counts.
    Enforce,
    /// It is recorded and never counts.
    Advise,
}

impl Enforcement {
    /// As it stands in `data.cku.sequence`: `enforce` or `advise`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Advise => "advise",
        }
    }
}

/// A compiled Rego module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegoModule {
    /// Its path in the bundle, such as `compiled/facts/quality.rego`.
    pub path: String,
    /// Its text.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use cku_base::diagnostic::Place;

    use super::*;

    #[test]
    fn a_threshold_is_loosened_by_steps_and_no_further_than_its_range() {
        let threshold = |stricter| Threshold {
            name: "most".to_owned(),
            ty: Type::Count,
            default: 100,
            by_mode: [("dev".to_owned(), 480)].into(),
            range: Some((10, 500)),
            step: Some(10),
            stricter,
            learn: true,
            place: Place::whole_file("most.gate"),
        };
        let (up, down) = (threshold(Some(Direction::Up)), threshold(Some(Direction::Down)));
        assert_eq!([0, 3, 9, 10, u32::MAX].map(|n| up.loosened("prod", n).unwrap()), [100, 70, 10, 10, 10]);
        assert_eq!([0, 2, 3, u32::MAX].map(|n| down.loosened("dev", n).unwrap()), [480, 500, 500, 500]);
        assert_eq!(threshold(None).loosened("dev", 1), None);
        assert_eq!(Threshold { step: None, ..down }.loosened("dev", 1), None);
    }
}
