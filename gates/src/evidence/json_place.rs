//! Where a value stands in the text of a JSON document that has been read already.

use std::ops::Range;

/// A step into a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'s> {
    /// Into the member of this name.
    Key(&'s str),
    /// Into the item at this index.
    Index(usize),
}

/// The span of the value at `path`, or of the innermost value on the way that is there.
pub(super) fn locate(text: &str, path: &[Step<'_>]) -> Range<usize> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    scan.blank();
    for step in path {
        let before = scan.at;
        if !scan.step(*step) {
            scan.at = before;
            break;
        }
    }
    let start = scan.at;
    scan.skip_value();
    start..scan.at
}

/// A position in a text that is known to be JSON.
struct Scan<'t> {
    bytes: &'t [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b':')) {
            self.at += 1;
        }
    }

    /// Moves to the value a step leads to; false if there is none.
    fn step(&mut self, step: Step<'_>) -> bool {
        let open = if matches!(step, Step::Key(_)) { b'{' } else { b'[' };
        if self.peek() != Some(open) {
            return false;
        }
        self.at += 1;
        let mut index = 0;
        loop {
            self.blank();
            if matches!(self.peek(), None | Some(b'}' | b']')) {
                return false;
            }
            let found = match step {
                Step::Key(name) => self.key().as_deref() == Some(name),
                Step::Index(wanted) => wanted == index,
            };
            self.blank();
            if found {
                return true;
            }
            self.skip_value();
            index += 1;
        }
    }

    /// Reads the name of a member.
    fn key(&mut self) -> Option<String> {
        let start = self.at;
        self.skip_value();
        serde_json::from_slice(self.bytes.get(start..self.at)?).ok()
    }

    /// Moves behind the value that begins here.
    fn skip_value(&mut self) {
        let mut depth = 0usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => self.skip_text(),
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b':' if depth > 0 => self.at += 1,
                _ => self.skip_word(),
            }
            if depth == 0 {
                return;
            }
        }
    }

    fn skip_text(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                return;
            }
        }
    }

    fn skip_word(&mut self) {
        self.at += 1;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')) {
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Step::{Index, Key};

    #[test]
    fn a_value_is_found_by_its_path() {
        let text = r#" {"a": "}\"", "b" : [1, {"c": -1.5e3}, []], "d": null} "#;
        let at = |path: &[Step<'_>]| &text[locate(text, path)];
        assert_eq!(at(&[Key("a")]), r#""}\"""#);
        assert_eq!(at(&[Key("b"), Index(1), Key("c")]), "-1.5e3");
        assert_eq!(at(&[Key("b"), Index(2)]), "[]");
        assert_eq!(at(&[Key("d")]), "null");
        assert_eq!(at(&[]), text.trim());
    }

    #[test]
    fn a_path_that_ends_nowhere_gives_the_last_value_on_the_way() {
        let text = r#"{"a": [1, 2]}"#;
        assert_eq!(&text[locate(text, &[Key("a"), Index(7)])], "[1, 2]");
        assert_eq!(&text[locate(text, &[Key("x"), Key("y")])], text);
    }
}
