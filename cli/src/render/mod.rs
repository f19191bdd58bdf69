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

/// Control characters, line and paragraph separators, blanks that are no space, and what is invisible or
/// directional (Unicode's `Default_Ignorable_Code_Point`, and more).
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}'
            | '\u{2800}' | '\u{3000}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod foreign_tests {
    use super::*;

    #[test]
    fn what_poses_as_output_is_escaped() {
        assert_eq!(foreign("x\n\nPASS in prod"), "x\\n\\nPASS in prod");
        assert_eq!(foreign("\u{1b}[31mred\u{202e}"), "\\u{1b}[31mred\\u{202e}");
        assert_eq!(foreign("\"reject\u{e0001}\u{fe00}\u{34f}\""), "\"reject\\u{e0001}\\u{fe00}\\u{34f}\"");
        assert_eq!(foreign("Größe 3 %, naïve"), "Größe 3 %, naïve");
        assert_eq!(foreign(&"a".repeat(500)).chars().count(), SHOWN + 1);
    }
}
