//! The one way a gate file looks.
//!
//! Tokens are written in their order, so that no comment and no word is lost; the tree says only where
//! lines begin and which parts of neighbouring lines stand in columns. An author's line breaks before
//! `when`, `because`, `and`, `or` and the parts of a threshold stay.

mod columns;
mod layout;

use cku_base::diagnostic::Diagnostic;

use crate::{
    ast::Ast,
    syntax::{is_currency, parse},
    token::{Token, TokenKind},
};
use columns::Line;
use layout::{Layout, Start};

/// Formats a gate file; idempotent, and what it compiles to stays the same.
///
/// A text with syntax errors is not touched: they are given instead.
///
/// ```
/// let text = "gate a \"A\"{facts from data.a{x:count}\nreject r:when x>0 because \"{x}\"}";
/// assert_eq!(cku_lang::format("a.gate", text).unwrap(), r#"gate a "A" {
///   facts from data.a {
///     x: count
///   }
///   reject r: when x > 0 because "{x}"
/// }
/// "#);
/// ```
pub fn format(file: &str, text: &str) -> Result<String, Vec<Diagnostic>> {
    let (ast, errors) = parse(file, text);
    if !errors.is_empty() {
        return Err(errors);
    }
    let mut writer = Writer { ast: &ast, layout: Layout::of(&ast), lines: Vec::new(), depth: 0, ended: true };
    writer.write();
    Ok(columns::text(&writer.lines))
}

/// Words before which a line's break stays where the author made it.
const MAY_BREAK: [&str; 9] = ["when", "because", "and", "or", "in", "step", "stricter", "learn", "fixed"];

struct Writer<'a> {
    ast: &'a Ast,
    layout: Layout,
    lines: Vec<Line>,
    /// Blocks that are open.
    depth: usize,
    /// Whether nothing may follow on the last line: it ends with a comment, or with a block's brace.
    ended: bool,
}

impl Writer<'_> {
    fn write(&mut self) {
        let mut tokens = self.ast.tokens.iter().copied().peekable();
        // Line ends since the last token that says something, and in all since the last one.
        let mut gap = Gap::default();
        let mut before: Option<Token> = None;
        while let Some(token) = tokens.next() {
            match token.kind {
                TokenKind::Blank => gap.lines += self.slice(token).matches('\n').count(),
                TokenKind::Comment => {
                    self.comment(token, gap, before);
                    gap = Gap { after_comment: true, ..Gap::default() };
                    before = Some(token);
                }
                _ => {
                    let token = self.atom(token, &mut tokens);
                    self.token(token, gap, before);
                    gap = Gap::default();
                    before = Some(token);
                }
            }
        }
    }

    /// A path, an action or a number with its unit, as one token.
    fn atom(&self, token: Token, tokens: &mut std::iter::Peekable<impl Iterator<Item = Token>>) -> Token {
        let end = self.layout.atoms.get(&token.start).copied().unwrap_or(token.end);
        while tokens.next_if(|next| next.start < end).is_some() {}
        Token { end, ..token }
    }

    fn comment(&mut self, token: Token, gap: Gap, before: Option<Token>) {
        let text = self.slice(token).trim_end().to_owned();
        let trailing = gap.lines == 0 && before.is_some_and(|before| before.kind != TokenKind::Comment);
        match self.lines.last_mut() {
            Some(line) if trailing => line.comment = Some(text),
            _ => {
                let inside = self.layout.inside(token.start);
                let depth = self.depth + usize::from(inside);
                let after_item = self.depth == 0 && before.is_some_and(|b| b.kind == TokenKind::Close);
                let blank = after_item || !inside && self.is_blank_before(gap, before);
                self.lines.push(Line { comment: Some(text), blank, ..Line::at(depth) });
            }
        }
        self.ended = true;
    }

    fn token(&mut self, token: Token, gap: Gap, before: Option<Token>) {
        if token.kind == TokenKind::Close {
            self.depth = self.depth.saturating_sub(1);
        }
        let start = self.layout.starts.get(&token.start).copied();
        let text = self.written(token);
        let breaks = gap.lines > 0 && MAY_BREAK.contains(&text.as_str()) && self.layout.inside(token.start);
        if let Some(start) = start {
            // A comment right above an item belongs to it.
            let apart = start == Start::Item && self.lines.last().is_some_and(|line| !line.cells.is_empty());
            let blank = apart || token.kind != TokenKind::Close && self.is_blank_before(gap, before);
            self.lines.push(Line { blank, columns: start.columns(), ..Line::at(self.depth) });
        } else if self.ended || breaks {
            // A clause that goes on in another line stands in no columns.
            self.forget_columns();
            self.lines.push(Line::at(self.depth + 1));
        }
        self.ended = false;
        let new_cell = self.layout.cells.contains(&token.start);
        let space = before.is_some_and(|before| needs_space(before.kind, token.kind));
        if let Some(line) = self.lines.last_mut() {
            line.push(&text, new_cell, space);
        }
        if token.kind == TokenKind::Open {
            self.depth += 1;
            self.ended = true;
        }
    }

    fn forget_columns(&mut self) {
        let part_of_it = |line: &&mut Line| line.columns.is_some() || line.cells.is_empty();
        for line in self.lines.iter_mut().rev().take_while(part_of_it) {
            if line.columns.take().is_some() {
                return;
            }
        }
    }

    /// Whether a blank line that the author wrote stays: not at the beginning of a block or file.
    fn is_blank_before(&self, gap: Gap, before: Option<Token>) -> bool {
        let begins = before.is_none_or(|before| before.kind == TokenKind::Open);
        let begins = begins || gap.after_comment && self.lines.last().is_some_and(Line::opens);
        gap.lines > 1 && !begins
    }

    fn written(&self, token: Token) -> String {
        let text = self.slice(token);
        if token.kind != TokenKind::Number {
            return text.to_owned();
        }
        let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (digits, unit) = text.split_at(digits);
        match unit.trim() {
            "" => digits.to_owned(),
            // What is no currency would be no unit after a blank.
            unit if is_currency(unit) => format!("{digits} {unit}"),
            unit => format!("{digits}{unit}"),
        }
    }

    fn slice(&self, token: Token) -> &str {
        self.ast.text.get(token.span()).unwrap_or("")
    }
}

/// What stood between two tokens.
#[derive(Debug, Clone, Copy, Default)]
struct Gap {
    /// Ends of lines.
    lines: usize,
    /// Whether the first of the two is a comment.
    after_comment: bool,
}

fn needs_space(before: TokenKind, after: TokenKind) -> bool {
    use TokenKind::*;
    !matches!(before, Left | Dots) && !matches!(after, Right | Colon | Comma | Dots)
}
