//! Files, gates and mode blocks, and how the parser goes on after an error in one.

use super::{
    clause::{self, CLAUSES, begins_clause},
    cursor::{Cursor, Parsed, Reported},
    error,
};
use crate::{
    ast::{Entry, Flag, GateItem, Item, ModeItem, Span, Text},
    token::TokenKind,
};

/// The items of a file, and whether some were left out.
pub(super) fn file(at: &mut Cursor<'_>) -> (Vec<Item>, bool) {
    let (mut items, mut lost) = (Vec::new(), false);
    loop {
        let from = at.position();
        let item = if at.is_word("`gate`") {
            gate(at)
        } else if at.is_word("`mode`") {
            mode(at)
        } else if at.is_at_end() {
            return (items, lost);
        } else {
            at.expect(error::THE_END);
            at.fail();
            Err(Reported)
        };
        match item {
            Ok(item) => items.push(item),
            Err(Reported) => {
                lost = true;
                to_next_item(at, from);
            }
        }
    }
}

/// Passes what cannot be read, at least one token.
fn to_next_item(at: &mut Cursor<'_>, from: usize) {
    if at.position() == from {
        at.step();
    }
    let begins = |at: &Cursor<'_>| at.begins_line(0) && matches!(at.word_at(0), Some("gate" | "mode"));
    while !at.is_at_end() && !begins(at) {
        at.step();
    }
}

fn gate(at: &mut Cursor<'_>) -> Parsed<Item> {
    let start = at.word("`gate`")?.start;
    let name = at.any_name();
    let title = if name.is_ok() { at.quoted() } else { Err(Reported) };
    block(at, title.is_err())?;
    let mut clauses = Vec::new();
    // Without its title something of it is not known, as without its end.
    let mut broken: Vec<Span> = title.is_err().then_some(0..0).into_iter().collect();
    while !closes(at, is_clause_word, &mut broken) {
        let (from, start) = (at.position(), at.offset());
        match clause::clause(at) {
            Ok((clause, spans)) => {
                clauses.push(clause);
                broken.extend(spans);
            }
            Err(Reported) => {
                at.skip_until(from, |at| at.begins_line(0) && looks_like_a_clause(at));
                broken.push(at.since(start));
            }
        }
    }
    let title = title.unwrap_or_else(|_| Text { raw: String::new(), span: 0..0 });
    Ok(Item::Gate(GateItem { name: name?, title, clauses, broken, span: at.since(start) }))
}

/// Goes past the `{` of a block; after an error before it, to the one on the same line.
fn block(at: &mut Cursor<'_>, after_error: bool) -> Parsed<Span> {
    if after_error {
        while !at.is_at_end() && !at.begins_line(0) && at.kind(0) != Some(TokenKind::Open) {
            at.step();
        }
        return at.eat(TokenKind::Open).map(|token| token.span()).ok_or(Reported);
    }
    at.sign(TokenKind::Open).map(|token| token.span())
}

/// Whether a block ends here: with its `}`, or with an error where the file ends or an item begins.
fn closes(at: &mut Cursor<'_>, expect_all: fn(&mut Cursor<'_>) -> bool, broken: &mut Vec<Span>) -> bool {
    if at.eat(TokenKind::Close).is_some() {
        return true;
    }
    let ends = at.is_at_end() || at.is_item();
    if ends {
        expect_all(at);
        at.fail();
        broken.push(at.since(at.offset()));
    }
    ends
}

/// Whether a clause begins here; notes that it could.
fn is_clause_word(at: &mut Cursor<'_>) -> bool {
    // All are looked for, so that all are said where none is found.
    CLAUSES.map(|word| at.is_word(word)).contains(&true)
}

/// Whether a clause begins here, or what its author took for one: `deny r:`, `treshold x:`.
fn looks_like_a_clause(at: &Cursor<'_>) -> bool {
    const GOES_ON: [&str; 12] =
        ["and", "or", "not", "contains", "when", "because", "step", "stricter", "learn", "fixed", "on", "by"];
    let goes_on = |further| at.word_at(further).is_some_and(|word| GOES_ON.contains(&word) || word == "in");
    let two_words = at.word_at(0).is_some() && at.word_at(1).is_some();
    begins_clause(at) || two_words && !goes_on(0) && !goes_on(1)
}

fn mode(at: &mut Cursor<'_>) -> Parsed<Item> {
    let start = at.word("`mode`")?.start;
    let name = at.any_name();
    block(at, name.is_err())?;
    let (mut entries, mut broken) = (Vec::new(), Vec::new());
    while !closes(at, expects_a_name, &mut broken) {
        let (from, start) = (at.position(), at.offset());
        match entry(at) {
            Ok(entry) => entries.push(entry),
            Err(Reported) => {
                at.skip_until(from, |at| at.begins_line(0) && at.word_at(0).is_some());
                broken.push(at.since(start));
            }
        }
    }
    Ok(Item::Mode(ModeItem { name: name?, entries, broken, span: at.since(start) }))
}

fn expects_a_name(at: &mut Cursor<'_>) -> bool {
    at.expect(error::A_NAME);
    false
}

fn entry(at: &mut Cursor<'_>) -> Parsed<Entry> {
    let gate = at.free_name(error::A_NAME)?;
    let mut flags = Vec::new();
    loop {
        let start = at.offset();
        let flag = if at.eat_word("`advise`").is_some() {
            Flag::Advise
        } else if at.eat_word("`barrier`").is_some() {
            Flag::Barrier
        } else if at.eat_word("`override`").is_some() {
            at.word("`by`")?;
            Flag::OverrideBy(at.any_name()?)
        } else {
            let span = at.since(gate.span.start);
            return Ok(Entry { gate, flags, span });
        };
        flags.push((flag, at.since(start)));
    }
}
