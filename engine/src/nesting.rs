//! How deeply a policy text nests, found before any parser runs over it.
//!
//! About 150 nested parentheses abort the thread of a Cedar parser with a 2 MiB stack, and an abort
//! cannot be caught. The scan knows strings and comments and nothing else of the languages.

use cku_base::diagnostic::{Diagnostic, LineIndex};

/// How the comments of a language begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comments {
    /// `# …` (Rego, which also has raw strings in backticks).
    Hash,
    /// `// …` (Cedar, gate files).
    Slashes,
}

/// What the scan met outside of strings and comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Char(char),
    /// A line ended.
    Newline,
    /// A string or raw string ended.
    Text,
}

/// Refuses a text with more than `limit` open brackets at once.
pub(crate) fn check(file: &str, text: &str, comments: Comments, limit: usize) -> Result<(), Diagnostic> {
    let mut open = 0usize;
    for (at, met) in scan(text, comments) {
        match met {
            // In a Cedar schema `<` opens the type of a set.
            Met::Char('(' | '[' | '{') => open += 1,
            Met::Char('<') if file.ends_with(".cedarschema") => open += 1,
            Met::Char('>') if file.ends_with(".cedarschema") => open = open.saturating_sub(1),
            Met::Char(')' | ']' | '}') => open = open.saturating_sub(1),
            _ => {}
        }
        if open > limit {
            return Err(Diagnostic::error("B004", format!("nested more than {limit} deep"))
                .at(LineIndex::new(text).place(file, at..at + 1))
                .help("split the expression, in Rego with a helper rule"));
        }
    }
    Ok(())
}

/// How many operators one expression may have; each may nest the ones before it.
const OPERATORS: usize = 200;

/// Refuses expressions with so many operators that evaluating or dropping them would depend on the
/// stack: a Cedar policy of 500 conditions has an answer with a stack of 8 MiB and none with 2 MiB.
///
/// A Cedar policy counts as one expression. In Rego one ends at a comma, a semicolon, or a line end
/// where no operator stands on either side.
pub(crate) fn check_operators(file: &str, text: &str, comments: Comments) -> Result<(), Diagnostic> {
    let (mut count, mut start) = (0usize, 0usize);
    let (mut continued, mut at_line_start) = (false, false);
    for (at, met) in scan(text, comments) {
        let operator =
            matches!(met, Met::Char('+' | '-' | '*' | '/' | '%' | '|' | '&' | '!' | '=' | '<' | '>' | '.'));
        if at_line_start && !matches!(met, Met::Newline | Met::Char(' ' | '\t' | '\r')) {
            if !operator && !continued && comments == Comments::Hash {
                (count, start) = (0, at);
            }
            at_line_start = false;
        }
        match met {
            Met::Char(';') => (count, start) = (0, at + 1),
            Met::Char(',') if comments == Comments::Hash => (count, start) = (0, at + 1),
            Met::Newline => at_line_start = true,
            Met::Char(' ' | '\t' | '\r') => continue,
            Met::Char('i') if is_word(text, at, "if") || is_word(text, at, "in") => count += 1,
            Met::Char('n') if is_word(text, at, "not") => count += 1,
            // `&&`, `||` and `==` are one operator.
            _ if operator && !(continued && doubled(text, at)) => count += 1,
            _ => {}
        }
        if met != Met::Newline {
            continued = operator;
        }
        if count > OPERATORS {
            let from = start + text.get(start..).map_or(0, |rest| rest.len() - rest.trim_start().len());
            return Err(Diagnostic::error(
                "B004",
                format!("an expression with more than {OPERATORS} operators"),
            )
            .at(LineIndex::new(text).place(file, from..at))
            .help("split it into several"));
        }
    }
    Ok(())
}

fn doubled(text: &str, at: usize) -> bool {
    let bytes = text.as_bytes();
    let before = at.checked_sub(1).and_then(|before| bytes.get(before));
    matches!(
        (before, bytes.get(at)),
        (Some(b'&'), Some(b'&'))
            | (Some(b'|'), Some(b'|'))
            | (Some(b'=' | b'!' | b'<' | b'>' | b':'), Some(b'='))
    )
}

fn is_word(text: &str, at: usize, word: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    text.get(at..)
        .is_some_and(|rest| rest.strip_prefix(word).is_some_and(|after| !after.starts_with(is_name)))
        && !text.get(..at).is_some_and(|before| before.ends_with(is_name))
}

/// Walks a text, passing over comments and the insides of strings.
fn scan(text: &str, comments: Comments) -> impl Iterator<Item = (usize, Met)> + '_ {
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        let (at, c) = chars.next()?;
        let met = match c {
            '"' => {
                while let Some((_, c)) = chars.next() {
                    match c {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        // Rego's strings end with their line, Cedar's do not.
                        '\n' if comments == Comments::Hash => break,
                        _ => {}
                    }
                }
                Met::Text
            }
            '`' if comments == Comments::Hash => {
                chars.by_ref().find(|(_, c)| *c == '`');
                Met::Text
            }
            '#' if comments == Comments::Hash => {
                chars.by_ref().find(|(_, c)| *c == '\n');
                Met::Newline
            }
            // Cedar ends comments at a carriage return, too.
            '/' if comments == Comments::Slashes && chars.peek().is_some_and(|(_, c)| *c == '/') => {
                chars.by_ref().find(|(_, c)| matches!(c, '\n' | '\r'));
                Met::Newline
            }
            '\n' => Met::Newline,
            c => Met::Char(c),
        };
        Some((at, met))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_count() {
        let quiet = "# ((((\nx := \"((((\\\"((\" == `[[[[`\n";
        assert!(check("f", quiet, Comments::Hash, 2).is_ok());
        assert!(check("f", "// ((((\n()", Comments::Slashes, 1).is_ok());
    }

    #[test]
    fn what_the_parsers_read_otherwise_hides_no_bracket() {
        assert!(check("f.cedar", "\"\n\" ((((", Comments::Slashes, 3).is_err());
        assert!(check("f.cedar", "// x\r((((", Comments::Slashes, 3).is_err());
        assert!(check("f.cedarschema", &"Set<".repeat(9), Comments::Slashes, 8).is_err());
    }

    #[test]
    fn long_chains_are_refused_and_long_files_are_not() {
        let chain = |link: &str| format!("x := 1{}\n", link.repeat(300));
        for link in [" + 1", "+\n1", "\n+ 1", " == 1", "|{1}", ".a", " in 1"] {
            assert!(check_operators("f.rego", &chain(link), Comments::Hash).is_err(), "{link}");
        }
        assert!(check_operators("f.rego", &"- ".repeat(300), Comments::Hash).is_err());
        let file = "x := a.b == 1\ny if {\n\ta.b.c != 2; c.d > 3\n}\n".repeat(300);
        assert!(check_operators("f.rego", &file, Comments::Hash).is_ok());
        let policy = "permit (principal, action, resource) when { a.b && c.d };\n".repeat(300);
        assert!(check_operators("f.cedar", &policy, Comments::Slashes).is_ok());
        let policy =
            format!("permit (principal, action, resource) when {{ true{} }};", " && true".repeat(300));
        assert!(check_operators("f.cedar", &policy, Comments::Slashes).is_err());
    }

    #[test]
    fn the_first_bracket_too_many_is_named() {
        let refused = check("f.cedar", "((\n(", Comments::Slashes, 2).unwrap_err();
        assert_eq!(refused.place.unwrap().to_string(), "f.cedar:2:1");
    }
}
