//! What the tree says about tokens: where lines begin, what stands in columns, what is one word.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    ast::*,
    token::{Token, TokenKind},
};

/// What begins with a token, and so on a line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    Item,
    Clause,
    /// The `}` of a block.
    End,
    Fact,
    Value,
    Entry,
    Rule,
    Missing,
    /// A rule that holds in some modes only.
    ScopedRule,
    /// A `missing` clause that holds in some modes only.
    ScopedMissing,
}

impl Start {
    /// Neighbouring lines of the same sort stand in the same columns.
    pub(super) fn columns(self) -> Option<Self> {
        (!matches!(self, Self::Item | Self::Clause | Self::End)).then_some(self)
    }
}

/// All of it, by the offsets of tokens.
#[derive(Debug, Default)]
pub(super) struct Layout {
    pub(super) starts: BTreeMap<usize, Start>,
    /// Tokens that begin a column.
    pub(super) cells: BTreeSet<usize>,
    /// Where a token ends that is more than one for the lexer.
    pub(super) atoms: BTreeMap<usize, usize>,
    /// Clauses and entries, within which a line goes on.
    spans: BTreeMap<usize, usize>,
}

impl Layout {
    pub(super) fn of(ast: &Ast) -> Self {
        let mut layout = Self::default();
        let closes = ast.tokens.iter().filter(|token| token.kind == TokenKind::Close);
        layout.starts.extend(closes.map(|token| (token.start, Start::End)));
        for item in &ast.items {
            match item {
                Item::Gate(gate) => {
                    layout.starts.insert(gate.span.start, Start::Item);
                    gate.clauses.iter().for_each(|clause| layout.clause(clause, &ast.tokens));
                }
                Item::Mode(mode) => {
                    layout.starts.insert(mode.span.start, Start::Item);
                    for entry in &mode.entries {
                        layout.begin(&entry.span, Start::Entry);
                        layout.cells.extend(entry.flags.first().map(|(_, span)| span.start));
                    }
                }
            }
        }
        layout
    }

    /// Whether an offset lies within a clause or an entry, not at its beginning.
    pub(super) fn inside(&self, offset: usize) -> bool {
        self.spans.range(..offset).next_back().is_some_and(|(_, end)| offset < *end)
    }

    fn begin(&mut self, span: &Span, start: Start) {
        self.starts.insert(span.start, start);
        self.spans.insert(span.start, span.end);
    }

    fn atom(&mut self, span: &Span) {
        self.atoms.insert(span.start, span.end);
    }

    fn clause(&mut self, clause: &Clause, tokens: &[Token]) {
        match clause {
            Clause::Facts(facts) => {
                // Its entries are lines of their own; up to them it is one.
                self.begin(&(facts.span.start..facts.path.span.end), Start::Clause);
                self.atom(&facts.path.span);
                for (name, ty) in &facts.facts {
                    self.begin(&(name.span.start..ty.span.end), Start::Fact);
                    self.cells.insert(ty.span.start);
                }
            }
            Clause::Threshold(threshold) => {
                let end = threshold.block.as_ref().map_or(threshold.span.end, |block| block.start);
                self.begin(&(threshold.span.start..end), Start::Clause);
                self.literal(&threshold.value);
                for (part, _) in &threshold.parts {
                    match part {
                        ThresholdPart::Range(low, high) => {
                            self.literal(low);
                            self.literal(high);
                        }
                        ThresholdPart::Step(step) => self.literal(step),
                        ThresholdPart::Stricter(_) | ThresholdPart::Learn | ThresholdPart::Fixed => {}
                    }
                }
                for (mode, value) in &threshold.by_mode {
                    self.begin(&(mode.span.start..value.span.end), Start::Value);
                    self.cells.extend(before(tokens, value.span.start).map(|sign| sign.start));
                    self.literal(value);
                }
            }
            Clause::Rule(rule) => {
                self.begin(&rule.span, rule.modes.as_ref().map_or(Start::Rule, |_| Start::ScopedRule));
                self.modes(rule.modes.as_deref(), &rule.name, tokens);
                let because = rule.because.span.start.saturating_sub(1);
                let words = [rule.when.span.start, because].map(|at| before(tokens, at));
                self.cells.insert(rule.name.span.start);
                self.cells.extend(words.into_iter().flatten().map(|word| word.start));
                self.expression(&rule.when);
            }
            Clause::Missing(missing) => {
                self.begin(
                    &missing.span,
                    missing.modes.as_ref().map_or(Start::Missing, |_| Start::ScopedMissing),
                );
                self.modes(missing.modes.as_deref(), &missing.fact, tokens);
                let kind = tokens.partition_point(|token| token.start <= missing.fact.span.start);
                let kind = tokens.iter().skip(kind).find(|token| !token.kind.is_trivia());
                self.cells.extend(kind.map(|token| token.start));
                self.cells.extend(missing.message.as_ref().map(|text| text.span.start.saturating_sub(1)));
            }
            Clause::Access(access) => {
                self.begin(&access.span, Start::Clause);
                self.atom(&access.action.span);
            }
            Clause::Decide(decide) => {
                self.begin(&decide.span, Start::Clause);
                match &decide.by {
                    DecideBy::Rego(name) | DecideBy::Cedar(name) => self.atom(&name.span),
                }
            }
        }
    }

    /// After the modes of a clause a column begins, with the word before its name.
    fn modes(&mut self, modes: Option<&[Name]>, name: &Name, tokens: &[Token]) {
        if modes.is_some() {
            self.cells.extend(before(tokens, name.span.start).map(|word| word.start));
        }
    }

    fn literal(&mut self, literal: &Literal) {
        self.atom(&literal.span);
    }

    fn expression(&mut self, expression: &Expression) {
        match &expression.kind {
            ExpressionKind::Literal(literal) => self.literal(literal),
            ExpressionKind::Name(_) => {}
            ExpressionKind::Not(operand) => self.expression(operand),
            ExpressionKind::And(operands) | ExpressionKind::Or(operands) => {
                operands.iter().for_each(|operand| self.expression(operand));
            }
            ExpressionKind::Compare(_, left, right)
            | ExpressionKind::In(left, right)
            | ExpressionKind::Contains(left, right) => {
                self.expression(left);
                self.expression(right);
            }
        }
    }
}

/// The token that says something before an offset.
fn before(tokens: &[Token], offset: usize) -> Option<Token> {
    let end = tokens.partition_point(|token| token.start < offset);
    tokens.iter().take(end).rev().find(|token| !token.kind.is_trivia()).copied()
}
