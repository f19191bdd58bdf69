//! The clauses of a gate.

use super::{
    cursor::{Cursor, Parsed, Reported},
    error,
    expression::condition,
    literal::literal,
};
use crate::{
    ast::*,
    model::{Direction, RuleKind},
    token::TokenKind,
};

/// The words that clauses begin with.
pub(super) const CLAUSES: [&str; 8] =
    ["`decide`", "`facts`", "`in`", "`missing`", "`pause`", "`reject`", "`require`", "`threshold`"];

/// Whether a clause begins here, and no entry of a block of that name: `pause r:`, not `pause:`.
pub(super) fn begins_clause(at: &Cursor<'_>) -> bool {
    let is_word = at.word_at(0).is_some_and(|word| CLAUSES.iter().any(|c| c.trim_matches('`') == word));
    is_word && at.word_at(1).is_some()
}

/// A clause, and the spans within it that were left out for errors.
pub(super) fn clause(at: &mut Cursor<'_>) -> Parsed<(Clause, Vec<Span>)> {
    let start = at.offset();
    if at.eat_word("`facts`").is_some() {
        return facts(at, start);
    }
    if at.eat_word("`threshold`").is_some() {
        return threshold(at, start);
    }
    let clause = if at.eat_word("`require`").is_some() {
        at.word("`access`")?;
        let action = action(at)?;
        let on = at.eat_word("`on`").map(|_| at.any_name()).transpose()?;
        Clause::Access(AccessClause { action, on, span: at.since(start) })
    } else if at.eat_word("`decide`").is_some() {
        at.word("`by`")?;
        let by = if at.eat_word("`rego`").is_some() {
            DecideBy::Rego(path(at)?)
        } else {
            at.word("`cedar`")?;
            DecideBy::Cedar(action(at)?)
        };
        Clause::Decide(DecideClause { by, span: at.since(start) })
    } else {
        let modes = at.eat_word("`in`").map(|_| modes(at)).transpose()?;
        if at.eat_word("`missing`").is_some() {
            missing(at, modes, start)?
        } else {
            stop_rule(at, modes, start)?
        }
    };
    Ok((clause, Vec::new()))
}

fn path(at: &mut Cursor<'_>) -> Parsed<Name> {
    at.joined_words(error::A_PATH, TokenKind::Dot, 1)
}

fn action(at: &mut Cursor<'_>) -> Parsed<Name> {
    at.joined_words(error::AN_ACTION, TokenKind::Colon, 3)
}

fn modes(at: &mut Cursor<'_>) -> Parsed<Vec<Name>> {
    let mut modes = vec![at.any_name()?];
    while at.eat(TokenKind::Comma).is_some() {
        modes.push(at.any_name()?);
    }
    Ok(modes)
}

/// `reject` or `pause`.
fn kind(at: &mut Cursor<'_>) -> Parsed<RuleKind> {
    if at.eat_word("`reject`").is_some() {
        return Ok(RuleKind::Reject);
    }
    at.word("`pause`").map(|_| RuleKind::Pause)
}

fn stop_rule(at: &mut Cursor<'_>, modes: Option<Vec<Name>>, start: usize) -> Parsed<Clause> {
    let kind = kind(at)?;
    let name = at.any_name()?;
    at.sign(TokenKind::Colon)?;
    at.word("`when`")?;
    let when = condition(at)?;
    at.word("`because`")?;
    let because = at.quoted()?;
    Ok(Clause::Rule(RuleClause { kind, modes, name, when, because, span: at.since(start) }))
}

fn missing(at: &mut Cursor<'_>, modes: Option<Vec<Name>>, start: usize) -> Parsed<Clause> {
    let fact = at.any_name()?;
    let kind = kind(at)?;
    at.expect(error::A_TEXT);
    let message = match at.kind(0) {
        Some(TokenKind::Text | TokenKind::BrokenText) => Some(at.quoted()?),
        _ => None,
    };
    Ok(Clause::Missing(MissingClause { kind, modes, fact, message, span: at.since(start) }))
}

fn facts(at: &mut Cursor<'_>, start: usize) -> Parsed<(Clause, Vec<Span>)> {
    at.word("`from`")?;
    let path = path(at)?;
    at.sign(TokenKind::Open)?;
    let (facts, broken) = entries(at, TokenKind::Colon, |at| {
        let name = at.any_name()?;
        at.sign(TokenKind::Colon)?;
        Ok((name, type_name(at)?))
    });
    Ok((Clause::Facts(FactsClause { path, facts, span: at.since(start) }), broken))
}

fn type_name(at: &mut Cursor<'_>) -> Parsed<TypeName> {
    let start = at.offset();
    let is_set = at.word_at(0) == Some("set") && at.word_at(1) == Some("of") && at.word_at(2).is_some();
    let word = at.name_that(error::A_TYPE, |_| true)?;
    if !is_set {
        return Ok(word);
    }
    at.word("`of`")?;
    let element = at.any_name()?;
    Ok(Name { text: format!("set of {}", element.text), span: at.since(start) })
}

/// The entries of a block up to its `}`, each a word and a sign; an error ends only its entry.
fn entries<T>(
    at: &mut Cursor<'_>,
    sign: TokenKind,
    entry: impl Fn(&mut Cursor<'_>) -> Parsed<T>,
) -> (Vec<T>, Vec<Span>) {
    let is_entry = |at: &Cursor<'_>| at.word_at(0).is_some() && at.kind(1) == Some(sign);
    let (mut entries, mut broken) = (Vec::new(), Vec::new());
    loop {
        if at.eat(TokenKind::Close).is_some() {
            return (entries, broken);
        }
        let (from, start) = (at.position(), at.offset());
        // A clause or an item where an entry should be: the block was not closed.
        let unclosed =
            at.is_at_end() || at.begins_line(0) && !is_entry(at) && (at.is_item() || begins_clause(at));
        if unclosed {
            at.expect(error::A_NAME);
            at.fail();
            broken.push(at.since(start));
            return (entries, broken);
        }
        match entry(at) {
            Ok(entry) => entries.push(entry),
            Err(Reported) => {
                at.skip_until(from, |at| is_entry(at) || at.begins_line(0) && begins_clause(at));
                broken.push(at.since(start));
            }
        }
    }
}

fn threshold(at: &mut Cursor<'_>, whole: usize) -> Parsed<(Clause, Vec<Span>)> {
    let name = at.any_name()?;
    at.sign(TokenKind::Colon)?;
    let ty = type_name(at)?;
    at.sign(TokenKind::Assign)?;
    let value = literal(at)?;
    let (parts, by_mode, block) = (Vec::new(), Vec::new(), None);
    let mut clause = ThresholdClause { name, ty, value, parts, by_mode, block, span: whole..whole };
    loop {
        let start = at.offset();
        let part = if is_range(at) {
            at.step();
            let low = literal(at)?;
            at.sign(TokenKind::Dots)?;
            ThresholdPart::Range(low, literal(at)?)
        } else if at.eat_word("`step`").is_some() {
            ThresholdPart::Step(literal(at)?)
        } else if at.eat_word("`stricter`").is_some() {
            ThresholdPart::Stricter(match at.eat_word("`up`") {
                Some(_) => Direction::Up,
                None => at.word("`down`").map(|_| Direction::Down)?,
            })
        } else if at.eat_word("`learn`").is_some() {
            ThresholdPart::Learn
        } else if at.eat_word("`fixed`").is_some() {
            ThresholdPart::Fixed
        } else {
            break;
        };
        clause.parts.push((part, at.since(start)));
    }
    let start = at.offset();
    let mut broken = Vec::new();
    if at.eat(TokenKind::Open).is_some() {
        (clause.by_mode, broken) = entries(at, TokenKind::Assign, |at| {
            let mode = at.any_name()?;
            at.sign(TokenKind::Assign)?;
            Ok((mode, literal(at)?))
        });
        clause.block = Some(at.since(start));
    }
    clause.span = at.since(whole);
    Ok((Clause::Threshold(clause), broken))
}

/// Whether `in` begins a range here, and not the next clause: `in 1..2`, not `in prod missing x`.
fn is_range(at: &mut Cursor<'_>) -> bool {
    at.is_word("`in`") && at.word_at(1).is_none_or(|word| matches!(word, "true" | "false"))
}
