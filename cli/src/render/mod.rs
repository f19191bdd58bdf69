//! How things look on a terminal.

pub(crate) mod coverage;
pub(crate) mod decision;
pub(crate) mod diagnostics;
pub(crate) mod entry;
pub(crate) mod problems;
pub(crate) mod run;
pub(crate) mod sarif;
pub(crate) mod style;
pub(crate) mod tests;

use std::borrow::Cow;

/// The most characters of a foreign text that are shown.
const SHOWN: usize = 400;

/// A text that somebody else wrote, as it can be shown: one line, not too long, and with everything
/// escaped that could move the cursor, turn the direction of writing, or pose as other output.
pub(crate) fn foreign(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(SHOWN) {
        None => foreign_whole(text),
        Some((end, _)) => Cow::Owned(format!("{}…", foreign_whole(text.get(..end).unwrap_or_default()))),
    }
}

/// The same, however long: where people decide on a text, nothing of it may be out of sight.
pub(crate) fn foreign_whole(text: &str) -> Cow<'_, str> {
    if !text.chars().any(misleads) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    for c in text.chars() {
        if misleads(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Control characters, line and paragraph separators, and invisible or directional format characters.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod foreign_tests {
    use super::*;

    #[test]
    fn what_poses_as_output_is_escaped() {
        assert_eq!(foreign("x\n\nPASS in prod"), "x\\n\\nPASS in prod");
        assert_eq!(foreign("\u{1b}[31mred\u{202e}"), "\\u{1b}[31mred\\u{202e}");
        assert_eq!(foreign("Größe 3 %, naïve"), "Größe 3 %, naïve");
        assert_eq!(foreign(&"a".repeat(500)).chars().count(), SHOWN + 1);
    }
}
