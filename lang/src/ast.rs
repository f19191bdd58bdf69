//! The syntax tree: what is written, where, and nothing about what it means.

use std::{collections::BTreeSet, ops::Range};

use cku_base::diagnostic::{Diagnostic, LineIndex, Place};

use crate::{
    model::{CompareOp, Direction, RuleKind},
    token::{Token, TokenKind},
};

/// The bytes of a node in its file's text.
pub(crate) type Span = Range<usize>;

/// One gate file, parsed.
///
/// A file with syntax errors has a tree too, without what could not be read;
/// [`compile`](crate::compile) refuses it with the same diagnostics that [`parse`](crate::parse) gave.
#[derive(Debug, Clone)]
pub struct Ast {
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
    pub(crate) items: Vec<Item>,
    pub(crate) errors: Vec<Diagnostic>,
    /// Whether items were left out whose names are not known.
    pub(crate) lost_items: bool,
}

impl Ast {
    /// The file's name, as it was given to [`parse`](crate::parse).
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The text that was parsed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// All tokens of the text, blanks and comments among them: their texts, one after another, are the
    /// text that was parsed.
    pub fn tokens(&self) -> impl Iterator<Item = (TokenKind, &str)> {
        self.tokens.iter().map(|token| (token.kind, self.text.get(token.span()).unwrap_or("")))
    }

    pub(crate) fn empty(file: &str, text: &str) -> Self {
        Self {
            file: file.to_owned(),
            text: text.to_owned(),
            tokens: Vec::new(),
            items: Vec::new(),
            errors: Vec::new(),
            lost_items: false,
        }
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source { file: &self.file, text: &self.text, lines: LineIndex::new(&self.text) }
    }
}

/// A file's text with the index of its lines, to turn spans into places.
pub(crate) struct Source<'a> {
    file: &'a str,
    text: &'a str,
    lines: LineIndex<'a>,
}

impl<'a> Source<'a> {
    pub(crate) fn new(file: &'a str, text: &'a str) -> Self {
        Self { file, text, lines: LineIndex::new(text) }
    }

    pub(crate) fn place(&self, span: &Span) -> Place {
        self.lines.place(self.file, span.clone())
    }

    /// The words of spans that could not be read: what they would have declared or used.
    pub(crate) fn words(&self, spans: &[Span]) -> BTreeSet<&'a str> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let words = |span| self.slice(span).split(move |c| !is_word(c)).filter(|word| !word.is_empty());
        spans.iter().flat_map(words).collect()
    }

    pub(crate) fn slice(&self, span: &Span) -> &'a str {
        self.text.get(span.clone()).unwrap_or("")
    }
}

/// A name, where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// A text between quotes, escapes not yet resolved; the span is that of what is between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) raw: String,
    pub(crate) span: Span,
}

impl Text {
    /// The text with its escapes resolved.
    pub(crate) fn value(&self) -> String {
        let mut value = String::with_capacity(self.raw.len());
        let mut characters = self.raw.chars();
        while let Some(c) = characters.next() {
            match c {
                '\\' => value.extend(characters.next()),
                c => value.push(c),
            }
        }
        value
    }
}

#[derive(Debug, Clone)]
pub(crate) enum Item {
    Gate(GateItem),
    Mode(ModeItem),
}

#[derive(Debug, Clone)]
pub(crate) struct GateItem {
    pub(crate) name: Name,
    pub(crate) title: Text,
    pub(crate) clauses: Vec<Clause>,
    /// What was left out for errors.
    pub(crate) broken: Vec<Span>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Clause {
    Facts(FactsClause),
    Threshold(ThresholdClause),
    Rule(RuleClause),
    Missing(MissingClause),
    Access(AccessClause),
    Decide(DecideClause),
}

#[derive(Debug, Clone)]
pub(crate) struct FactsClause {
    pub(crate) path: Name,
    pub(crate) facts: Vec<(Name, TypeName)>,
    pub(crate) span: Span,
}

/// A type as written, blanks reduced: `percent`, `set of text`, or something unknown.
pub(crate) type TypeName = Name;

#[derive(Debug, Clone)]
pub(crate) struct ThresholdClause {
    pub(crate) name: Name,
    pub(crate) ty: TypeName,
    pub(crate) value: Literal,
    pub(crate) parts: Vec<(ThresholdPart, Span)>,
    pub(crate) by_mode: Vec<(Name, Literal)>,
    /// The block of values by mode, braces included, if there is one.
    pub(crate) block: Option<Span>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum ThresholdPart {
    Range(Literal, Literal),
    Step(Literal),
    Stricter(Direction),
    Learn,
    Fixed,
}

#[derive(Debug, Clone)]
pub(crate) struct RuleClause {
    pub(crate) kind: RuleKind,
    pub(crate) modes: Option<Vec<Name>>,
    pub(crate) name: Name,
    pub(crate) when: Expression,
    pub(crate) because: Text,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) struct MissingClause {
    pub(crate) kind: RuleKind,
    pub(crate) modes: Option<Vec<Name>>,
    pub(crate) fact: Name,
    pub(crate) message: Option<Text>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) struct AccessClause {
    pub(crate) action: Name,
    pub(crate) on: Option<Name>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) struct DecideClause {
    pub(crate) by: DecideBy,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum DecideBy {
    Rego(Name),
    Cedar(Name),
}

#[derive(Debug, Clone)]
pub(crate) struct ModeItem {
    pub(crate) name: Name,
    pub(crate) entries: Vec<Entry>,
    /// What was left out for errors.
    pub(crate) broken: Vec<Span>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) gate: Name,
    pub(crate) flags: Vec<(Flag, Span)>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum Flag {
    Advise,
    Barrier,
    OverrideBy(Name),
}

#[derive(Debug, Clone)]
pub(crate) struct Expression {
    pub(crate) kind: ExpressionKind,
    pub(crate) span: Span,
    /// Whether it stands in parentheses of its own.
    pub(crate) grouped: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum ExpressionKind {
    Name(String),
    Literal(Literal),
    Not(Box<Expression>),
    And(Vec<Expression>),
    Or(Vec<Expression>),
    Compare(CompareOp, Box<Expression>, Box<Expression>),
    /// `element in set`
    In(Box<Expression>, Box<Expression>),
    /// `set contains element`
    Contains(Box<Expression>, Box<Expression>),
}

impl Expression {
    /// How many operators stand within each other; `a and b and c` is one.
    pub(crate) fn depth(&self) -> usize {
        let inner = match &self.kind {
            ExpressionKind::Name(_) | ExpressionKind::Literal(_) => return 0,
            ExpressionKind::Not(operand) => operand.depth(),
            ExpressionKind::And(operands) | ExpressionKind::Or(operands) => {
                operands.iter().map(Self::depth).max().unwrap_or(0)
            }
            ExpressionKind::Compare(_, left, right)
            | ExpressionKind::In(left, right)
            | ExpressionKind::Contains(left, right) => left.depth().max(right.depth()),
        };
        inner + 1
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Literal {
    pub(crate) kind: LiteralKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone)]
pub(crate) enum LiteralKind {
    Bool(bool),
    Text(Text),
    /// Digits, with decimals if there are any, and the unit if there is one.
    Quantity(String, Option<String>),
}
