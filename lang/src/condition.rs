//! A rule's condition after checking: every name resolved, every operand of the right type.

use std::collections::BTreeSet;

use crate::model::{CompareOp, Direction};

/// A checked expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    Fact(String),
    Threshold(String),
    Number(i64),
    Text(String),
    Bool(bool),
    Not(Box<Condition>),
    And(Vec<Condition>),
    Or(Vec<Condition>),
    Compare(CompareOp, Box<Condition>, Box<Condition>),
    /// Whether the set (first) holds the text (second).
    Contains(Box<Condition>, Box<Condition>),
}

impl Condition {
    /// The facts it reads.
    pub(crate) fn facts(&self) -> BTreeSet<&str> {
        let mut facts = BTreeSet::new();
        self.visit(&mut |condition| {
            if let Self::Fact(name) = condition {
                facts.insert(name.as_str());
            }
        });
        facts
    }

    /// The thresholds it reads.
    pub(crate) fn thresholds(&self) -> BTreeSet<&str> {
        let mut thresholds = BTreeSet::new();
        self.visit(&mut |condition| {
            if let Self::Threshold(name) = condition {
                thresholds.insert(name.as_str());
            }
        });
        thresholds
    }

    /// The thresholds that it compares with facts.
    pub(crate) fn compared_with_facts(&self) -> BTreeSet<&str> {
        let mut thresholds = BTreeSet::new();
        self.visit(&mut |condition| {
            let Self::Compare(_, left, right) = condition else { return };
            if let (Self::Fact(_), Self::Threshold(name)) | (Self::Threshold(name), Self::Fact(_)) =
                (&**left, &**right)
            {
                thresholds.insert(name.as_str());
            }
        });
        thresholds
    }

    /// In which direction of each threshold it read becomes true more often: `None` is neither.
    pub(crate) fn directions(&self) -> Vec<(&str, Option<Direction>)> {
        let mut found = Vec::new();
        self.collect_directions(Polarity::Positive, &mut found);
        found
    }

    fn collect_directions<'a>(&'a self, polarity: Polarity, found: &mut Vec<(&'a str, Option<Direction>)>) {
        match self {
            Self::Not(operand) => operand.collect_directions(polarity.negated(), found),
            Self::And(operands) | Self::Or(operands) => {
                operands.iter().for_each(|operand| operand.collect_directions(polarity, found));
            }
            Self::Compare(op, left, right) => {
                let sides = [(left, op.flipped()), (right, *op)];
                for (side, op) in sides {
                    match &**side {
                        // `fact op threshold`: a greater threshold makes `<` and `<=` true more often.
                        Self::Threshold(name) => found.push((name, polarity.apply(direction(op)))),
                        // Two truth values compared: either may need to become true or false.
                        other => other.collect_directions(Polarity::Unknown, found),
                    }
                }
            }
            Self::Fact(_)
            | Self::Threshold(_)
            | Self::Number(_)
            | Self::Text(_)
            | Self::Bool(_)
            | Self::Contains(..) => {}
        }
    }

    fn visit<'a>(&'a self, see: &mut impl FnMut(&'a Self)) {
        see(self);
        match self {
            Self::Not(operand) => operand.visit(see),
            Self::And(operands) | Self::Or(operands) => {
                operands.iter().for_each(|operand| operand.visit(see))
            }
            Self::Compare(_, left, right) | Self::Contains(left, right) => {
                left.visit(see);
                right.visit(see);
            }
            Self::Fact(_) | Self::Threshold(_) | Self::Number(_) | Self::Text(_) | Self::Bool(_) => {}
        }
    }
}

fn direction(op: CompareOp) -> Option<Direction> {
    match op {
        CompareOp::Less | CompareOp::AtMost => Some(Direction::Up),
        CompareOp::Greater | CompareOp::AtLeast => Some(Direction::Down),
        CompareOp::Equal | CompareOp::NotEqual => None,
    }
}

/// Whether a part that becomes true makes the whole true more often, or less.
#[derive(Clone, Copy)]
enum Polarity {
    Positive,
    Negative,
    Unknown,
}

impl Polarity {
    fn negated(self) -> Self {
        match self {
            Self::Positive => Self::Negative,
            Self::Negative => Self::Positive,
            Self::Unknown => Self::Unknown,
        }
    }

    fn apply(self, direction: Option<Direction>) -> Option<Direction> {
        match (self, direction?) {
            (Self::Positive, direction) => Some(direction),
            (Self::Negative, Direction::Up) => Some(Direction::Down),
            (Self::Negative, Direction::Down) => Some(Direction::Up),
            (Self::Unknown, _) => None,
        }
    }
}
