//! The types of expressions.

use cku_base::diagnostic::{Diagnostic, Fix};

use super::{Report, names, scope::Scope};
use crate::{
    ast::{Expression, ExpressionKind, Literal, Source, Span},
    codes,
    condition::Condition,
    literal::{self, Value},
    model::CompareOp,
    types::Type,
};

/// Checks a rule's condition. `None` means that errors were reported.
pub(super) fn condition(
    source: &Source<'_>,
    expression: &Expression,
    scope: &Scope,
    report: &mut Report,
) -> Option<Condition> {
    Typing { source, scope, report, whole: expression.span.clone() }.truth(expression)
}

struct Typing<'a> {
    source: &'a Source<'a>,
    scope: &'a Scope,
    report: &'a mut Report,
    /// Where the condition stands.
    whole: Span,
}

impl Typing<'_> {
    fn typed(&mut self, expression: &Expression) -> Option<(Condition, Type)> {
        match &expression.kind {
            ExpressionKind::Name(name) => self.name(name, expression),
            ExpressionKind::Literal(literal) => {
                let (ty, value) = literal_value(self.source, literal, self.report)?;
                let condition = match value {
                    Value::Bool(value) => Condition::Bool(value),
                    Value::Text(value) => Condition::Text(value),
                    Value::Number(value) => Condition::Number(value),
                };
                Some((condition, ty))
            }
            ExpressionKind::Not(operand) => {
                let operand = self.truth(operand)?;
                Some((Condition::Not(Box::new(operand)), Type::Bool))
            }
            ExpressionKind::And(operands) => Some((Condition::And(self.truths(operands)?), Type::Bool)),
            ExpressionKind::Or(operands) => Some((Condition::Or(self.truths(operands)?), Type::Bool)),
            ExpressionKind::Compare(op, left, right) => self.compare(*op, left, right),
            ExpressionKind::In(element, set) => self.contains(expression, "in", set, element),
            ExpressionKind::Contains(set, element) => self.contains(expression, "contains", set, element),
        }
    }

    fn name(&mut self, name: &str, expression: &Expression) -> Option<(Condition, Type)> {
        if let Some(ty) = self.scope.facts.get(name) {
            return Some((Condition::Fact(name.to_owned()), (*ty)?));
        }
        if let Some(ty) = self.scope.thresholds.get(name) {
            return Some((Condition::Threshold(name.to_owned()), (*ty)?));
        }
        if self.scope.unread.contains(name) {
            return None;
        }
        let message = format!("`{name}` is no fact or threshold of this gate");
        let names = self.scope.names();
        let diagnostic = names::unknown(codes::UNKNOWN_NAME, self.source, &expression.span, message, names);
        self.report.add(diagnostic);
        None
    }

    fn truths(&mut self, operands: &[Expression]) -> Option<Vec<Condition>> {
        // All of them, so that one error does not hide the next.
        let truths: Vec<_> = operands.iter().map(|operand| self.truth(operand)).collect();
        truths.into_iter().collect()
    }

    fn truth(&mut self, expression: &Expression) -> Option<Condition> {
        let (condition, ty) = self.typed(expression)?;
        if ty == Type::Bool {
            return Some(condition);
        }
        let message = format!("{} is {}, not bool", self.quote(expression), ty.name());
        let diagnostic = Diagnostic::error(codes::NOT_BOOL, message).at(self.source.place(&expression.span));
        self.report.add(diagnostic.help("compare it with something"));
        None
    }

    fn compare(&mut self, op: CompareOp, left: &Expression, right: &Expression) -> Option<(Condition, Type)> {
        if let Some((first_op, chained)) = chained(left) {
            let (middle, symbol) = (self.source.slice(&chained.span), op.symbol());
            let (first, last) = (self.source.slice(&left.span), self.source.slice(&right.span));
            let span = left.span.start..right.span.end;
            let diagnostic = Diagnostic::error(codes::CHAINED, "comparisons are not chained");
            // Behind a `not`, or between other operators, it must stay one condition.
            let meant = match span == self.whole {
                true => format!("{first} and {middle} {symbol} {last}"),
                false => format!("({first} and {middle} {symbol} {last})"),
            };
            let place = self.source.place(&span);
            let title = format!("write `{meant}`");
            let diagnostic = diagnostic.at(place.clone()).help(title.clone());
            // Only of an order it is certain that each two neighbours are meant.
            self.report.add(diagnostic.fix(
                match first_op.is_some_and(CompareOp::is_ordering) && op.is_ordering() {
                    true => Fix::sure(title, place, meant),
                    false => Fix::maybe(title, place, meant),
                },
            ));
            return None;
        }
        let (left_typed, right_typed) = (self.typed(left), self.typed(right));
        let ((left_condition, left_type), (right_condition, right_type)) = (left_typed?, right_typed?);
        let place = self.source.place(&(left.span.start..right.span.end));
        if left_type != right_type {
            let (left_text, right_text) = (self.quote(left), self.quote(right));
            let (left_name, right_name) = (left_type.name(), right_type.name());
            let message = format!(
                "{left_text} is {left_name} and {right_text} is {right_name}: they cannot be compared"
            );
            let diagnostic = Diagnostic::error(codes::TWO_TYPES, message).at(place);
            let form = match (&left.kind, &right.kind) {
                (_, ExpressionKind::Literal(_)) => Some(left_type),
                (ExpressionKind::Literal(_), _) => Some(right_type),
                _ => None,
            };
            self.report.add(match form {
                Some(ty) => diagnostic.help(format!("{} is written like {}", ty.noun(), ty.example())),
                None => diagnostic,
            });
            return None;
        }
        if op.is_ordering() && !left_type.is_number() {
            let message = format!("`{}` needs numbers, not {}", op.symbol(), left_type.name());
            self.report.add(Diagnostic::error(codes::WRONG_OPERATOR, message).at(place));
            return None;
        }
        if let Some(answer) = constant(op, &left_condition, &right_condition, left_type) {
            let text = self.source.slice(&(left.span.start..right.span.end));
            let message = format!("`{text}` is {answer} whatever the {} is", left_type.name());
            self.report.add(Diagnostic::warning(codes::CONSTANT, message).at(place));
        }
        let compare = Condition::Compare(op, Box::new(left_condition), Box::new(right_condition));
        Some((compare, Type::Bool))
    }

    fn contains(
        &mut self,
        whole: &Expression,
        word: &str,
        set: &Expression,
        element: &Expression,
    ) -> Option<(Condition, Type)> {
        let (typed_set, typed_element) = (self.typed(set), self.typed(element));
        let ((set_condition, set_type), (element_condition, element_type)) = (typed_set?, typed_element?);
        if (set_type, element_type) != (Type::SetOfText, Type::Text) {
            let (set_text, element_text) = (self.quote(set), self.quote(element));
            let message = format!(
                "`{word}` asks whether a text is in a set of text, but {element_text} is {} and {set_text} is {}",
                element_type.name(),
                set_type.name()
            );
            let place = self.source.place(&whole.span);
            self.report.add(Diagnostic::error(codes::WRONG_OPERATOR, message).at(place));
            return None;
        }
        Some((Condition::Contains(Box::new(set_condition), Box::new(element_condition)), Type::Bool))
    }

    fn quote(&self, expression: &Expression) -> String {
        format!("`{}`", self.source.slice(&expression.span))
    }
}

/// The exact value of a literal; an error if it has none.
pub(super) fn literal_value(
    source: &Source<'_>,
    literal: &Literal,
    report: &mut Report,
) -> Option<(Type, Value)> {
    match literal::resolve(literal) {
        Ok(typed) => Some(typed),
        Err(error) => {
            let diagnostic = Diagnostic::error(codes::BAD_LITERAL, error.to_string());
            let diagnostic = diagnostic.at(source.place(&literal.span));
            report.add(match error {
                literal::LiteralError::UnknownUnit(_) => {
                    diagnostic.help("units are `%`, `EUR`, `s`, `m`, `h` and `d`")
                }
                _ => diagnostic,
            });
            None
        }
    }
}

/// The operator and last operand of a comparison that is compared again without parentheses.
fn chained(left: &Expression) -> Option<(Option<CompareOp>, &Expression)> {
    match &left.kind {
        ExpressionKind::Compare(op, _, last) if !left.grouped => Some((Some(*op), last)),
        ExpressionKind::In(_, last) | ExpressionKind::Contains(_, last) if !left.grouped => {
            Some((None, last))
        }
        _ => None,
    }
}

/// The answer to a comparison of a fact with a literal, if it is the same for the whole domain.
fn constant(op: CompareOp, left: &Condition, right: &Condition, ty: Type) -> Option<bool> {
    let (op, bound) = match (left, right) {
        (Condition::Fact(_), Condition::Number(bound)) => (op, bound),
        (Condition::Number(bound), Condition::Fact(_)) => (op.flipped(), bound),
        _ => return None,
    };
    let domain = ty.domain()?;
    match op {
        CompareOp::Less if bound <= domain.start() => Some(false),
        CompareOp::AtLeast if bound <= domain.start() => Some(true),
        CompareOp::Greater if bound >= domain.end() => Some(false),
        CompareOp::AtMost if bound >= domain.end() => Some(true),
        _ => None,
    }
}
