//! Where a table says a name.

use std::ops::Range;

const KEY: &str = "name:";

/// The `name:` whose whole value is this name; none where it is written in another way.
pub(super) fn of_name(text: &str, name: &str) -> Option<Range<usize>> {
    let mut keys = text.match_indices(KEY).map(|(at, _)| (at, at + KEY.len()));
    let (start, end) = keys.find(|(start, end)| {
        let (Some(before), Some(rest)) = (text.get(..*start), text.get(*end..)) else { return false };
        is_key(before) && is_value(rest, name, in_braces(before))
    })?;
    Some(start..end)
}

/// Not the end of a longer word, and not within a comment that has the line to itself.
fn is_key(before: &str) -> bool {
    let line = before.rsplit('\n').next().unwrap_or(before);
    !line.trim_start().starts_with('#')
        && before.chars().next_back().is_none_or(|c| c.is_whitespace() || matches!(c, '{' | ','))
}

/// Whether the key stands in `{…}`, where a comma or a brace ends an unquoted value.
fn in_braces(before: &str) -> bool {
    before.trim_end().ends_with(['{', ','])
}

fn is_value(rest: &str, name: &str, in_braces: bool) -> bool {
    let rest = rest.trim_start();
    match rest.chars().next() {
        Some('"') => is_quoted(rest, '"', &name.replace('\\', "\\\\").replace('"', "\\\"")),
        Some('\'') => is_quoted(rest, '\'', &name.replace('\'', "''")),
        _ => rest.strip_prefix(name).is_some_and(|behind| {
            let after_spaces = behind.trim_start_matches([' ', '\t']);
            match after_spaces.chars().next() {
                None | Some('\n' | '\r') => true,
                Some('#') => after_spaces.len() < behind.len(),
                Some(',' | '}') => in_braces,
                Some(_) => false,
            }
        }),
    }
}

fn is_quoted(rest: &str, quote: char, written: &str) -> bool {
    let behind = rest.strip_prefix(quote).and_then(|r| r.strip_prefix(written));
    let mut behind = behind.unwrap_or_default().chars();
    // Two of `'` are one within the value.
    behind.next() == Some(quote) && (quote == '"' || behind.next() != Some(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, name: &str) -> Option<usize> {
        of_name(text, name).map(|span| text[..span.start].matches('\n').count() + 1)
    }

    #[test]
    fn a_name_is_found_by_the_whole_of_it() {
        let text = "- { name: a row that is long, x: 1 }\n- { name: a row, x: 1 }\n- {name: a}\n\
            - name: a row, too\n- name: b  # why\n- name: \"c: \\\"d\\\"\"\n- name: 'it''s'\n- name: 'it'\r\n\
            - name: last";
        for (name, expected) in [
            ("a row that is long", Some(1)),
            ("a row", Some(2)),
            ("a", Some(3)),
            ("a row, too", Some(4)),
            ("b", Some(5)),
            ("c: \"d\"", Some(6)),
            ("it's", Some(7)),
            ("it", Some(8)),
            ("last", Some(9)),
            ("a ro", None),
            ("las", None),
        ] {
            assert_eq!(line(text, name), expected, "{name}");
        }
    }

    #[test]
    fn a_name_in_a_comment_or_at_the_end_of_a_word_is_no_name() {
        let text = "# - name: a\n  # name: a\nfilename: a\n- { rename: a, name: a }\n";
        assert_eq!(line(text, "a"), Some(4));
    }
}
