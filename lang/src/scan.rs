//! What is checked of a text before the parser sees it, so that recursion and time stay bounded.

use cku_base::diagnostic::Diagnostic;

use crate::{ast::Source, codes};

/// Brackets within brackets. Cedar aborts a thread with 2 MiB of stack at about 150 parentheses.
pub(crate) const MAX_NESTING: usize = 64;

/// A gate fits on a page; this is more than a hundred of them.
const MAX_BYTES: usize = 1 << 18;

/// Refuses a text that is too long or nested too deep.
pub(crate) fn check(source: &Source<'_>, text: &str) -> Result<(), Box<Diagnostic>> {
    if text.len() > MAX_BYTES {
        let message = format!("a gate file has at most {MAX_BYTES} bytes, this one has {}", text.len());
        return Err(Box::new(Diagnostic::error(codes::TOO_LARGE, message).at(source.place(&(0..0)))));
    }
    match too_deep(text) {
        Some(at) => {
            let message = format!("brackets are nested more than {MAX_NESTING} deep");
            let help = "compute a fact in Rego, or split the rule in several";
            let place = source.place(&(at..at + 1));
            Err(Box::new(Diagnostic::error(codes::TOO_LARGE, message).at(place).help(help)))
        }
        None => Ok(()),
    }
}

/// The first bracket that is nested too deep, outside comments and texts.
fn too_deep(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut bytes = text.bytes().enumerate().peekable();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'(' | b'{' | b'[' => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Some(at);
                }
            }
            b')' | b'}' | b']' => depth = depth.saturating_sub(1),
            b'/' if bytes.next_if(|(_, next)| *next == b'/').is_some() => {
                while bytes.next_if(|(_, next)| *next != b'\n').is_some() {}
            }
            // A text ends with its line, closed or not, as in the grammar.
            b'"' => {
                while let Some((_, inner)) = bytes.next_if(|(_, next)| *next != b'\n') {
                    match inner {
                        b'"' => break,
                        b'\\' => drop(bytes.next_if(|(_, next)| *next != b'\n')),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_texts_and_comments_do_not_count() {
        let many = "(".repeat(100);
        assert_eq!(too_deep(&format!("// {many}\n\"{many}\" \"\\\"{many}\"")), None);
        assert_eq!(too_deep(&format!("\"\n{many}")), Some(2 + MAX_NESTING));
        assert_eq!(too_deep(&"()".repeat(1000)), None);
    }
}
