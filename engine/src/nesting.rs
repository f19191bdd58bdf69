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

/// Refuses a text with more than `limit` open brackets at once.
pub(crate) fn check(file: &str, text: &str, comments: Comments, limit: usize) -> Result<(), Diagnostic> {
    let mut open = 0usize;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => skip_string(&mut chars),
            '`' if comments == Comments::Hash => {
                chars.by_ref().find(|(_, c)| *c == '`');
            }
            '#' if comments == Comments::Hash => {
                chars.by_ref().find(|(_, c)| *c == '\n');
            }
            '/' if comments == Comments::Slashes && chars.peek().is_some_and(|(_, c)| *c == '/') => {
                chars.by_ref().find(|(_, c)| *c == '\n');
            }
            '(' | '[' | '{' => {
                open += 1;
                if open > limit {
                    let place = LineIndex::new(text).place(file, at..at + 1);
                    return Err(Diagnostic::error("B004", format!("nested more than {limit} deep"))
                        .at(place)
                        .help("split the expression, in Rego with a helper rule"));
                }
            }
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

fn skip_string(chars: &mut impl Iterator<Item = (usize, char)>) {
    while let Some((_, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '"' | '\n' => return,
            _ => {}
        }
    }
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
    fn the_first_bracket_too_many_is_named() {
        let refused = check("f.cedar", "((\n(", Comments::Slashes, 2).unwrap_err();
        assert_eq!(refused.place.unwrap().to_string(), "f.cedar:2:1");
    }
}
