//! A place in the tokens of a file: what stands there, what could, and what is wrong when neither fits.

use std::{cmp::Ordering, collections::BTreeSet};

use cku_base::diagnostic::Diagnostic;

use super::error;
use crate::{
    ast::{Name, Source, Span, Text},
    codes,
    token::{Token, TokenKind},
};

/// Errors of one file after which nobody reads on.
const MAX_ERRORS: usize = 1_000;

/// An error that was reported; whoever gets it looks for a place to go on from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reported;

pub(super) type Parsed<T> = Result<T, Reported>;

/// Words that an operand or an entry cannot be, or the grammar would read on past its end.
const RESERVED: [&str; 12] = [
    "and", "or", "not", "in", "contains", "true", "false", "when", "because", "advise", "barrier", "override",
];

pub(super) struct Cursor<'a> {
    pub(super) source: &'a Source<'a>,
    pub(super) text: &'a str,
    tokens: &'a [Token],
    /// The tokens that say something, by their place in `tokens`.
    significant: Vec<usize>,
    at: usize,
    /// What was looked for here, since the last step.
    expected: BTreeSet<&'static str>,
    failed_at: Option<usize>,
    pub(super) errors: Vec<Diagnostic>,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(source: &'a Source<'a>, text: &'a str, tokens: &'a [Token]) -> Self {
        let significant =
            tokens.iter().enumerate().filter(|(_, t)| !t.kind.is_trivia()).map(|(n, _)| n).collect();
        let (expected, failed_at, errors) = (BTreeSet::new(), None, Vec::new());
        Self { source, text, tokens, significant, at: 0, expected, failed_at, errors }
    }

    /// How many tokens were passed.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The token here, or so many further on.
    pub(super) fn token(&self, further: usize) -> Option<Token> {
        self.tokens.get(*self.significant.get(self.at + further)?).copied()
    }

    pub(super) fn kind(&self, further: usize) -> Option<TokenKind> {
        self.token(further).map(|token| token.kind)
    }

    pub(super) fn slice(&self, token: Token) -> &'a str {
        self.text.get(token.span()).unwrap_or("")
    }

    /// The word here, or so many tokens further on.
    pub(super) fn word_at(&self, further: usize) -> Option<&'a str> {
        self.token(further).filter(|token| token.kind == TokenKind::Word).map(|token| self.slice(token))
    }

    /// The offset where the next token begins, or the text ends.
    pub(super) fn offset(&self) -> usize {
        self.token(0).map_or(self.text.len(), |token| token.start)
    }

    /// The offset where the last token that was passed ends.
    pub(super) fn end(&self) -> usize {
        let last = self.at.checked_sub(1).and_then(|at| self.significant.get(at));
        last.and_then(|n| self.tokens.get(*n)).map_or(0, |token| token.end)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.significant.len()
    }

    /// Whether the token here, or so many further on, is the first of its line.
    pub(super) fn begins_line(&self, further: usize) -> bool {
        let Some(n) = self.significant.get(self.at + further) else { return true };
        let before = n.checked_sub(1).and_then(|n| self.tokens.get(n));
        before.is_none_or(|t| t.kind == TokenKind::Blank && self.slice(*t).contains('\n'))
    }

    /// Whether nothing stands between the token so many further on and the one before it.
    pub(super) fn joined(&self, further: usize) -> bool {
        let one = |n: usize| self.significant.get(self.at + n);
        further.checked_sub(1).and_then(one).zip(one(further)).is_some_and(|(a, b)| a + 1 == *b)
    }

    /// Whether blanks, but no comment, stand between the token here and the next.
    pub(super) fn next_is_near(&self) -> bool {
        match (self.token(0), self.token(1)) {
            (Some(a), Some(b)) => {
                let between = self.text.get(a.end..b.start).unwrap_or("/");
                !between.is_empty() && between.chars().all(char::is_whitespace)
            }
            _ => false,
        }
    }

    /// Goes one token on.
    pub(super) fn step(&mut self) -> Option<Token> {
        let token = self.token(0)?;
        self.at += 1;
        self.expected.clear();
        Some(token)
    }

    /// Notes that this could stand here.
    pub(super) fn expect(&mut self, what: &'static str) {
        self.expected.insert(what);
    }

    /// Whether this keyword stands here; `quoted` is the keyword in backticks.
    pub(super) fn is_word(&mut self, quoted: &'static str) -> bool {
        self.expect(quoted);
        self.word_at(0).is_some_and(|word| quoted.trim_matches('`') == word)
    }

    /// Goes past a keyword, if it stands here.
    pub(super) fn eat_word(&mut self, quoted: &'static str) -> Option<Token> {
        if self.is_word(quoted) { self.step() } else { None }
    }

    /// Goes past a keyword that must stand here.
    pub(super) fn word(&mut self, quoted: &'static str) -> Parsed<Token> {
        self.eat_word(quoted).ok_or_else(|| self.fail())
    }

    /// Goes past a sign, if it stands here.
    pub(super) fn eat(&mut self, kind: TokenKind) -> Option<Token> {
        self.expect(error::sign(kind));
        if self.kind(0) == Some(kind) { self.step() } else { None }
    }

    /// Goes past a sign that must stand here.
    pub(super) fn sign(&mut self, kind: TokenKind) -> Parsed<Token> {
        self.eat(kind).ok_or_else(|| self.fail())
    }

    /// Any word, as a name that is declared or used.
    pub(super) fn any_name(&mut self) -> Parsed<Name> {
        self.name_that(error::A_NAME, |_| true)
    }

    /// A word that is none of the language where it stands; `what` it is, if it is missed.
    pub(super) fn free_name(&mut self, what: &'static str) -> Parsed<Name> {
        self.name_that(what, |word| !RESERVED.contains(&word))
    }

    pub(super) fn name_that(&mut self, what: &'static str, fits: impl Fn(&str) -> bool) -> Parsed<Name> {
        self.expect(what);
        let next_item = self.begins_line(0) && self.is_item();
        match self.word_at(0).filter(|word| !next_item && fits(word)) {
            Some(word) => {
                let span = self.token(0).map(Token::span).unwrap_or_default();
                let name = Name { text: word.to_owned(), span };
                self.step();
                Ok(name)
            }
            None => Err(self.fail()),
        }
    }

    /// Words joined by a sign without blanks: `data.cku.quality`, `run:create`.
    pub(super) fn joined_words(&mut self, what: &'static str, by: TokenKind, least: usize) -> Parsed<Name> {
        self.expect(what);
        let mut tokens = 1;
        while self.kind(tokens) == Some(by)
            && self.kind(tokens + 1) == Some(TokenKind::Word)
            && self.joined(tokens)
            && self.joined(tokens + 1)
        {
            tokens += 2;
        }
        let next_item = self.begins_line(0) && self.is_item();
        if self.kind(0) != Some(TokenKind::Word) || tokens < least || next_item {
            return Err(self.fail());
        }
        let start = self.offset();
        for _ in 0..tokens {
            self.step();
        }
        let span = start..self.end();
        Ok(Name { text: self.source.slice(&span).to_owned(), span })
    }

    /// A text in quotes.
    pub(super) fn quoted(&mut self) -> Parsed<Text> {
        self.expect(error::A_TEXT);
        match self.token(0) {
            Some(token) if token.kind == TokenKind::Text => {
                self.step();
                let span = token.start + 1..token.end - 1;
                Ok(Text { raw: self.source.slice(&span).to_owned(), span })
            }
            Some(token) if token.kind == TokenKind::BrokenText => {
                // It is a text; what is wrong comes where it ends.
                let reported = self.report(error::broken_text(self.source, self.text, token.end));
                self.step();
                Err(reported)
            }
            _ => Err(self.fail()),
        }
    }

    /// Reports that nothing of what is expected stands here, unless something was reported here.
    pub(super) fn fail(&mut self) -> Reported {
        let token = self.token(0);
        if self.failed_at == Some(self.at) {
            return Reported;
        }
        self.failed_at = Some(self.at);
        let diagnostic = match token {
            Some(token) if token.kind == TokenKind::BrokenText && self.wants_a_value() => {
                error::broken_text(self.source, self.text, token.end)
            }
            _ => error::unexpected(self.source, self.text, token, &self.expected),
        };
        self.report(diagnostic)
    }

    fn wants_a_value(&self) -> bool {
        [error::A_VALUE, error::A_CONDITION].iter().any(|what| self.expected.contains(what))
    }

    pub(super) fn report(&mut self, diagnostic: Diagnostic) -> Reported {
        match self.errors.len().cmp(&MAX_ERRORS) {
            Ordering::Less => self.errors.push(diagnostic),
            Ordering::Equal => {
                let message = format!("there are more than {MAX_ERRORS} syntax errors; no more are shown");
                let place = diagnostic.place.unwrap_or_else(|| self.source.place(&(0..0)));
                self.errors.push(Diagnostic::error(codes::TOO_LARGE, message).at(place));
            }
            Ordering::Greater => {}
        }
        Reported
    }

    /// Passes tokens, at least one, until one of those that belong here stands there: `goes_on` says
    /// so of a token outside of brackets that are opened on the way.
    pub(super) fn skip_until(&mut self, from: usize, goes_on: impl Fn(&Self) -> bool) {
        let mut depth = 0_usize;
        if self.at == from {
            depth += usize::from(self.kind(0) == Some(TokenKind::Open));
            self.step();
        }
        while let Some(kind) = self.kind(0) {
            let begins_item = self.begins_line(0) && self.is_item();
            if begins_item || (depth == 0 && (kind == TokenKind::Close || goes_on(self))) {
                return;
            }
            match kind {
                TokenKind::Open => depth += 1,
                TokenKind::Close => depth -= 1,
                _ => {}
            }
            self.step();
        }
    }

    /// Whether a gate or a mode block begins here, and nothing that a block could hold.
    pub(super) fn is_item(&self) -> bool {
        use TokenKind::{BrokenText, Open, Text, Word};
        matches!(
            (self.word_at(0), self.kind(1), self.kind(2), self.kind(3)),
            (Some("gate"), Some(Word), Some(Text), Some(Open))
                | (Some("gate"), Some(Word), Some(BrokenText), _)
                | (Some("gate" | "mode"), Some(Word), Some(Open), _)
        )
    }

    /// The bytes from a token that was passed to here.
    pub(super) fn since(&self, offset: usize) -> Span {
        offset..self.end().max(offset)
    }
}
