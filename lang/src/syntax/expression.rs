//! Conditions, by precedence: `or`, `and`, `not`, comparisons, from loose to tight.

use cku_base::diagnostic::Diagnostic;

use super::{
    cursor::{Cursor, Parsed, Reported},
    error,
    literal::literal,
};
use crate::{
    ast::{Expression, ExpressionKind},
    codes,
    model::CompareOp,
    token::TokenKind,
};

/// Parentheses within parentheses, and operators within operators: Cedar aborts a thread with 2 MiB
/// of stack at about 150.
const MAX_NESTING: usize = 64;

/// Operators of one condition. Beyond this a reviewer cannot follow, and Cedar's recursion grows.
const MAX_OPERATORS: usize = 200;

/// A whole condition, of bounded size.
pub(super) fn condition(at: &mut Cursor<'_>) -> Parsed<Expression> {
    let start = at.offset();
    let mut parsing = Parsing { at, start, operators: 0, groups: 0 };
    let condition = parsing.expression(0)?;
    if condition.depth() > MAX_NESTING {
        return Err(parsing.too_large(format!("a condition is nested at most {MAX_NESTING} deep")));
    }
    Ok(condition)
}

const NOT: u8 = 3;

/// An operator between two operands, and how tightly it binds.
#[derive(Clone, Copy)]
enum Infix {
    Or,
    And,
    In,
    Contains,
    Compare(CompareOp),
}

impl Infix {
    fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And => 2,
            Self::In | Self::Contains | Self::Compare(_) => 4,
        }
    }
}

struct Parsing<'c, 'a> {
    at: &'c mut Cursor<'a>,
    start: usize,
    operators: usize,
    groups: usize,
}

impl Parsing<'_, '_> {
    /// An expression whose operators all bind tighter than `looser`.
    fn expression(&mut self, looser: u8) -> Parsed<Expression> {
        let what = if looser > NOT { error::A_VALUE } else { error::A_CONDITION };
        let mut left = self.prefix(what)?;
        while let Some(operator) = self.infix().filter(|operator| operator.precedence() > looser) {
            self.at.step();
            self.count()?;
            let right = self.expression(operator.precedence())?;
            left = joined(left, operator, right);
        }
        Ok(left)
    }

    fn prefix(&mut self, what: &'static str) -> Parsed<Expression> {
        let start = self.at.offset();
        if self.at.word_at(0) != Some("not") {
            return self.operand(what);
        }
        self.at.step();
        self.count()?;
        let operand = self.expression(NOT)?;
        let span = start..operand.span.end;
        Ok(Expression { kind: ExpressionKind::Not(Box::new(operand)), span, grouped: false })
    }

    fn operand(&mut self, what: &'static str) -> Parsed<Expression> {
        let start = self.at.offset();
        self.at.expect(what);
        let kind = match (self.at.kind(0), self.at.word_at(0)) {
            (Some(TokenKind::Left), _) => {
                self.groups += 1;
                if self.groups > MAX_NESTING {
                    self.start = start;
                    let message = format!("brackets are nested more than {MAX_NESTING} deep");
                    return Err(self.too_large(message));
                }
                self.at.step();
                let inner = self.expression(0)?;
                self.at.sign(TokenKind::Right)?;
                self.groups -= 1;
                return Ok(Expression { kind: inner.kind, span: self.at.since(start), grouped: true });
            }
            (Some(TokenKind::Text | TokenKind::Number | TokenKind::BrokenText), _)
            | (_, Some("true" | "false")) => ExpressionKind::Literal(literal(self.at)?),
            _ => ExpressionKind::Name(self.at.free_name(what)?.text),
        };
        Ok(Expression { kind, span: self.at.since(start), grouped: false })
    }

    /// The operator here, which is not passed.
    fn infix(&mut self) -> Option<Infix> {
        self.at.expect(error::AN_OPERATOR);
        Some(match (self.at.kind(0)?, self.at.word_at(0)) {
            (TokenKind::Equal, _) => Infix::Compare(CompareOp::Equal),
            (TokenKind::NotEqual, _) => Infix::Compare(CompareOp::NotEqual),
            (TokenKind::AtMost, _) => Infix::Compare(CompareOp::AtMost),
            (TokenKind::Less, _) => Infix::Compare(CompareOp::Less),
            (TokenKind::AtLeast, _) => Infix::Compare(CompareOp::AtLeast),
            (TokenKind::Greater, _) => Infix::Compare(CompareOp::Greater),
            (_, Some("or")) => Infix::Or,
            (_, Some("and")) => Infix::And,
            (_, Some("in")) => Infix::In,
            (_, Some("contains")) => Infix::Contains,
            _ => return None,
        })
    }

    fn count(&mut self) -> Parsed<()> {
        self.operators += 1;
        if self.operators <= MAX_OPERATORS {
            return Ok(());
        }
        Err(self.too_large(format!("a condition has at most {MAX_OPERATORS} operators")))
    }

    fn too_large(&mut self, message: String) -> Reported {
        let place = self.at.source.place(&self.at.since(self.start));
        let help = "compute a fact in Rego, or split the rule in several";
        self.at.report(Diagnostic::error(codes::TOO_LARGE, message).at(place).help(help))
    }
}

fn joined(left: Expression, operator: Infix, right: Expression) -> Expression {
    let span = left.span.start..right.span.end;
    let kind = match operator {
        Infix::Or => ExpressionKind::Or(listed(left, right, |kind| match kind {
            ExpressionKind::Or(operands) => Ok(operands),
            other => Err(other),
        })),
        Infix::And => ExpressionKind::And(listed(left, right, |kind| match kind {
            ExpressionKind::And(operands) => Ok(operands),
            other => Err(other),
        })),
        Infix::In => ExpressionKind::In(Box::new(left), Box::new(right)),
        Infix::Contains => ExpressionKind::Contains(Box::new(left), Box::new(right)),
        Infix::Compare(op) => ExpressionKind::Compare(op, Box::new(left), Box::new(right)),
    };
    Expression { kind, span, grouped: false }
}

/// `a and b and c` as one list, so that a long condition is not a deep tree.
fn listed(
    left: Expression,
    right: Expression,
    operands_of: impl Fn(ExpressionKind) -> Result<Vec<Expression>, ExpressionKind>,
) -> Vec<Expression> {
    let Expression { kind, span, grouped } = left;
    let mut operands = match if grouped { Err(kind) } else { operands_of(kind) } {
        Ok(operands) => operands,
        Err(kind) => vec![Expression { kind, span, grouped }],
    };
    operands.push(right);
    operands
}
