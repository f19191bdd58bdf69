//! From text to tokens to syntax tree, by recursive descent.
//!
//! The parser takes time linear in the text, never panics, and goes on after an error: at the next
//! entry of a block, the next clause of a gate, the next item of a file. What is left out of the tree
//! for an error is kept as its span, so that later checks do not blame others for it. The grammar that
//! it follows stands, for people and as a test's oracle, in `lang/tests/grammar/grammar.pest`.

mod clause;
mod cursor;
mod error;
mod expression;
mod item;
mod literal;

use cku_base::diagnostic::Diagnostic;

pub(crate) use literal::is_currency;

use crate::{
    ast::{Ast, Source},
    codes, token,
};

/// A gate fits on a page; this is some thousands of them.
const MAX_BYTES: usize = 16 << 20;

/// Parses a gate file.
///
/// `file` is its name in places and comments. The diagnostics say what is wrong with the syntax, all
/// of it; with any, parts of the tree are left out, and [`compile`](crate::compile) refuses it.
///
/// ```
/// let (_, diagnostics) = cku_lang::parse("a.gate", "gate a \"A\" { treshold x: count = 1 }");
/// assert_eq!(diagnostics[0].help.as_deref(), Some("did you mean `threshold`?"));
/// ```
pub fn parse(file: &str, text: &str) -> (Ast, Vec<Diagnostic>) {
    let source = Source::new(file, text);
    let mut ast = Ast::empty(file, text);
    if text.len() > MAX_BYTES {
        let message = format!("a gate file has at most {MAX_BYTES} bytes, this one has {}", text.len());
        ast.errors.push(Diagnostic::error(codes::TOO_LARGE, message).at(source.place(&(0..0))));
        ast.lost_items = true;
    } else {
        ast.tokens = token::lex(text);
        let mut cursor = cursor::Cursor::new(&source, text, &ast.tokens);
        let (items, lost) = item::file(&mut cursor);
        (ast.errors, ast.items, ast.lost_items) = (cursor.errors, items, lost);
    }
    let errors = ast.errors.clone();
    (ast, errors)
}
