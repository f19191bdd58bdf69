//! Tokens: what a text is made of, byte for byte, blanks and comments among them.

use std::ops::Range;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Blanks and line ends.
    Blank,
    /// `// …` up to the end of its line.
    Comment,
    /// A word: a name, a keyword, a unit, a currency. Which one, only its place says.
    Word,
    /// Digits, with decimals if there are any.
    Number,
    /// A text in quotes, on one line.
    Text,
    /// A text that its line ends, or that holds what a text cannot.
    BrokenText,
    /// `{`
    Open,
    /// `}`
    Close,
    /// `(`
    Left,
    /// `)`
    Right,
    /// `:`
    Colon,
    /// `,`
    Comma,
    /// `.`
    Dot,
    /// `..`
    Dots,
    /// `%`
    Percent,
    /// `=`
    Assign,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<=`
    AtMost,
    /// `<`
    Less,
    /// `>=`
    AtLeast,
    /// `>`
    Greater,
    /// A character, or two that other languages know, that means nothing here.
    Stray,
}

impl TokenKind {
    /// Whether it stands between tokens and says nothing to the parser.
    pub fn is_trivia(self) -> bool {
        matches!(self, Self::Blank | Self::Comment)
    }
}

/// A token and the bytes it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// The offset of its first byte.
    pub start: usize,
    /// The offset after its last byte.
    pub end: usize,
}

impl Token {
    /// The bytes it takes.
    pub fn span(self) -> Range<usize> {
        self.start..self.end
    }
}

/// Splits a text into tokens that follow one another without a gap, from its first byte to its last.
pub(crate) fn lex(text: &str) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(text.len() / 4);
    let mut start = 0;
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let (kind, length) = first(rest);
        tokens.push(Token { kind, start, end: start + length });
        start += length;
    }
    tokens
}

/// The token that a text begins with, and its length in bytes.
fn first(rest: &str) -> (TokenKind, usize) {
    use TokenKind::*;
    let mut bytes = rest.bytes();
    let (Some(one), two) = (bytes.next(), bytes.next()) else { return (Stray, 0) };
    match (one, two) {
        (b' ' | b'\t' | b'\r' | b'\n', _) => {
            (Blank, run(rest, |b| matches!(b, b' ' | b'\t' | b'\r' | b'\n')))
        }
        (b'/', Some(b'/')) => (Comment, run(rest, |b| b != b'\n')),
        (b'a'..=b'z' | b'A'..=b'Z' | b'_', _) => (Word, run(rest, is_word)),
        (b'0'..=b'9', _) => (Number, number(rest)),
        (b'"', _) => text(rest),
        (b'{', _) => (Open, 1),
        (b'}', _) => (Close, 1),
        (b'(', _) => (Left, 1),
        (b')', _) => (Right, 1),
        (b':', _) => (Colon, 1),
        (b',', _) => (Comma, 1),
        (b'.', Some(b'.')) => (Dots, 2),
        (b'.', _) => (Dot, 1),
        (b'%', _) => (Percent, 1),
        (b'=', Some(b'=')) => (Equal, 2),
        (b'=', _) => (Assign, 1),
        (b'!', Some(b'=')) => (NotEqual, 2),
        (b'<', Some(b'=')) => (AtMost, 2),
        (b'<', _) => (Less, 1),
        (b'>', Some(b'=')) => (AtLeast, 2),
        (b'>', _) => (Greater, 1),
        (b'&', Some(b'&')) | (b'|', Some(b'|')) => (Stray, 2),
        // A word of another script is one slip, not one for each letter.
        _ => match rest.find(|c: char| !c.is_alphanumeric() && c != '_') {
            Some(0) => (Stray, rest.chars().next().map_or(1, char::len_utf8)),
            found => (Stray, found.unwrap_or(rest.len())),
        },
    }
}

/// How many bytes from the beginning are of this sort; the sort has whole characters only.
fn run(rest: &str, of: impl Fn(u8) -> bool) -> usize {
    rest.bytes().position(|b| !of(b)).unwrap_or(rest.len())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// `7`, `0.75`; not the dots of `60..98`.
fn number(rest: &str) -> usize {
    let digits = |from: usize| run(rest.get(from..).unwrap_or(""), |b| b.is_ascii_digit());
    let whole = digits(0);
    let decimals = match rest.as_bytes().get(whole) {
        Some(b'.') => digits(whole + 1),
        _ => 0,
    };
    if decimals > 0 { whole + 1 + decimals } else { whole }
}

/// A text in quotes. `\"` and `\\` are its escapes; what it cannot hold ends it.
fn text(rest: &str) -> (TokenKind, usize) {
    let mut bytes = rest.bytes().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return (TokenKind::Text, at + 1),
            b'\\' => match bytes.next() {
                Some((_, b'"' | b'\\')) => {}
                _ => return (TokenKind::BrokenText, at),
            },
            0..=0x1f => return (TokenKind::BrokenText, at),
            _ => {}
        }
    }
    (TokenKind::BrokenText, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(TokenKind, &str)> {
        lex(text).into_iter().map(|t| (t.kind, &text[t.span()])).collect()
    }

    #[test]
    fn ranges_and_decimals_are_told_apart() {
        use TokenKind::*;
        assert_eq!(kinds("60..98.5%"), [(Number, "60"), (Dots, ".."), (Number, "98.5"), (Percent, "%")]);
        assert_eq!(kinds("1.x"), [(Number, "1"), (Dot, "."), (Word, "x")]);
        assert_eq!(kinds("12h"), [(Number, "12"), (Word, "h")]);
    }

    #[test]
    fn a_text_ends_with_its_quote_or_with_its_line() {
        use TokenKind::*;
        assert_eq!(kinds(r#""a\"b\\" c"#), [(Text, r#""a\"b\\""#), (Blank, " "), (Word, "c")]);
        assert_eq!(kinds("\"a\nb"), [(BrokenText, "\"a"), (Blank, "\n"), (Word, "b")]);
        assert_eq!(kinds(r#""a\n""#), [(BrokenText, "\"a"), (Stray, "\\"), (Word, "n"), (BrokenText, "\"")]);
        assert_eq!(kinds("\"é"), [(BrokenText, "\"é")]);
    }

    #[test]
    fn what_means_nothing_is_a_token_too() {
        use TokenKind::*;
        assert_eq!(kinds("größe"), [(Word, "gr"), (Stray, "öße")]);
        assert_eq!(kinds("a&&#"), [(Word, "a"), (Stray, "&&"), (Stray, "#")]);
    }
}
