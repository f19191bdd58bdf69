//! What is wrong with the syntax, in the words of the language.

use std::collections::BTreeSet;

use cku_base::{
    diagnostic::{Diagnostic, Fix},
    suggest,
};

use crate::{
    ast::Source,
    codes,
    token::{Token, TokenKind},
};

pub(super) const A_NAME: &str = "a name";
pub(super) const A_TEXT: &str = "a text in quotes";
pub(super) const A_VALUE: &str = "a value";
pub(super) const A_CONDITION: &str = "a condition";
pub(super) const AN_OPERATOR: &str = "an operator";
pub(super) const A_TYPE: &str = "a type";
pub(super) const A_PATH: &str = "a path";
pub(super) const AN_ACTION: &str = "an action such as `run:create`";
pub(super) const THE_END: &str = "the end of the file";

/// A sign, as it is named where it is missed.
pub(super) fn sign(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Open => "`{`",
        TokenKind::Close => "`}`",
        TokenKind::Left => "`(`",
        TokenKind::Right => "`)`",
        TokenKind::Colon => "`:`",
        TokenKind::Comma => "`,`",
        TokenKind::Dots => "`..`",
        TokenKind::Assign => "`=`",
        _ => "something else",
    }
}

/// Says what was expected, what stands there, and which word may have been meant.
pub(super) fn unexpected(
    source: &Source<'_>,
    text: &str,
    token: Option<Token>,
    expected: &BTreeSet<&'static str>,
) -> Diagnostic {
    let span = token.map_or(text.len()..text.len(), Token::span);
    let found = source.slice(&span);
    let list = list(expected);
    let message = match found {
        "" => format!("expected {list}, found the end of the file"),
        // A text is not repeated: what is wrong is that it stands here.
        found if found.starts_with('"') => format!("expected {list}, found a text"),
        found => format!("expected {list}, found `{}`", shown(found)),
    };
    let place = source.place(&span);
    let diagnostic = Diagnostic::error(codes::SYNTAX, message).at(place.clone());
    let operator = expected.contains(AN_OPERATOR);
    let value = expected.contains(A_VALUE) || expected.contains(A_CONDITION);
    let instead = |word: &str| Fix::sure(format!("write `{}`", word.trim()), place.clone(), word);
    if let (Some(sign), Some(TokenKind::Word | TokenKind::Number)) =
        (only_sign(expected), token.map(|t| t.kind))
    {
        let title = format!("write `{sign}` before it");
        let before = source.place(&(span.start..span.start));
        return diagnostic.help(title.clone()).fix(Fix::sure(title, before, format!("{sign} ")));
    }
    match found {
        "\\" => diagnostic.help(r#"in a text, `\"` and `\\` are the only escapes"#),
        "=" if operator => diagnostic.help("write `==` to compare").fix(instead("==")),
        "&&" if operator => diagnostic.help("write `and`").fix(instead("and")),
        "||" if operator => diagnostic.help("write `or`").fix(instead("or")),
        "!" if value => diagnostic.help("write `not`").fix(instead("not ")),
        "-" if value => diagnostic.help("values are not negative"),
        "+" | "-" | "*" | "/" | "%" if operator => {
            diagnostic.help("there is no arithmetic here: compute a fact in Rego")
        }
        "\u{feff}" => diagnostic.help("save the file without a byte order mark").fix(Fix::sure(
            "take the byte order mark away",
            place,
            "",
        )),
        "#" => diagnostic.help("a comment begins with `//`").fix(instead("//")),
        "," | ";" if expected.contains("`}`") => diagnostic
            .help(format!("nothing stands between entries or clauses: take the `{found}` away"))
            .fix(Fix::sure(format!("take the `{found}` away"), place, "")),
        "if" | "where" if expected.contains("`when`") => diagnostic.help("write `when`").fix(instead("when")),
        "deny" | "forbid" if expected.contains("`reject`") => {
            diagnostic.help("write `reject`").fix(Fix::maybe("write `reject`", place, "reject"))
        }
        "allow" | "permit" | "pass" if expected.contains("`reject`") => diagnostic
            .help("what no rule rejects or pauses passes: say with `reject` or `pause` what does not"),
        "gate" | "mode" | "decide" | "facts" | "in" | "missing" | "pause" | "reject" | "require"
        | "threshold"
            if expected.contains("`}`") =>
        {
            diagnostic.help("close the block before it with `}`")
        }
        _ if !found.starts_with(char::is_alphabetic) => diagnostic,
        _ => {
            let quoted = expected.iter().filter_map(|word| word.strip_prefix('`')?.strip_suffix('`'));
            let keywords = quoted.filter(|word| word.starts_with(char::is_alphabetic));
            match suggest(found, keywords) {
                Some(word) => diagnostic.help(format!("did you mean `{word}`?")).fix(Fix::maybe(
                    format!("write `{word}`"),
                    place,
                    word,
                )),
                None => diagnostic,
            }
        }
    }
}

/// The sign between a name and what is said of it, if nothing else could stand here.
fn only_sign(expected: &BTreeSet<&'static str>) -> Option<&'static str> {
    let only = expected.first().filter(|_| expected.len() == 1)?.trim_matches('`');
    [":", "="].contains(&only).then_some(only)
}

/// A text that ends before its quote does; `end` is where.
pub(super) fn broken_text(source: &Source<'_>, text: &str, end: usize) -> Diagnostic {
    let found = text.get(end..).and_then(|rest| rest.chars().next());
    let place = source.place(&(end..end + found.map_or(0, char::len_utf8)));
    let error = |found: &str| {
        Diagnostic::error(codes::SYNTAX, format!("expected `\"`, found {found}")).at(place.clone())
    };
    match found {
        None => error("the end of the file"),
        Some('\n' | '\r') => error("the end of the line").help("a text stands on one line"),
        Some('\\') => error("`\\`").help(r#"in a text, `\"` and `\\` are the only escapes"#),
        Some(_) => error("a control character").help("a text holds no control characters"),
    }
}

/// A long word is cut: a reader knows it by its beginning.
fn shown(found: &str) -> String {
    match found.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", found.get(..at).unwrap_or(found)),
        None => found.escape_debug().to_string().replace("\\\\", "\\").replace("\\'", "'"),
    }
}

fn list(expected: &BTreeSet<&'static str>) -> String {
    let words: Vec<&str> = expected.iter().copied().collect();
    match words.as_slice() {
        [] => "something else".to_owned(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
