//! Literals: texts, truth values, numbers with their units.

use super::{
    cursor::{Cursor, Parsed},
    error,
};
use crate::{
    ast::{Literal, LiteralKind},
    token::TokenKind,
};

/// A text, a truth value, or a number with its unit.
pub(super) fn literal(at: &mut Cursor<'_>) -> Parsed<Literal> {
    let start = at.offset();
    at.expect(error::A_VALUE);
    let kind = match (at.kind(0), at.word_at(0)) {
        (Some(TokenKind::Text), _) => LiteralKind::Text(at.quoted()?),
        (Some(TokenKind::Number), _) => quantity(at),
        (_, Some("true")) => bool(at, true),
        (_, Some("false")) => bool(at, false),
        _ => return Err(at.fail()),
    };
    Ok(Literal { kind, span: at.since(start) })
}

fn bool(at: &mut Cursor<'_>, value: bool) -> LiteralKind {
    at.step();
    LiteralKind::Bool(value)
}

/// `80%`, `80 %`, `12h`, `50 EUR`, `0.75`, `7`. After a blank only `%` and currencies are units, and a
/// currency is none where a mode of that name gets its value.
fn quantity(at: &mut Cursor<'_>) -> LiteralKind {
    let digits = at.token(0).map_or("", |token| at.slice(token)).to_owned();
    let has_unit = match (at.kind(1), at.word_at(1)) {
        (Some(TokenKind::Percent), _) => at.joined(1) || at.next_is_near(),
        (_, Some(_)) if at.joined(1) => true,
        (_, Some(word)) => is_currency(word) && at.next_is_near() && at.kind(2) != Some(TokenKind::Assign),
        _ => false,
    };
    at.step();
    let unit = if has_unit { at.step() } else { None };
    LiteralKind::Quantity(digits, unit.map(|token| at.slice(token).to_owned()))
}

/// Whether a word is a currency by its form (ISO 4217), known or not.
pub(crate) fn is_currency(word: &str) -> bool {
    word.len() == 3 && word.bytes().all(|b| b.is_ascii_uppercase())
}
