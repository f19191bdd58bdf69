//! Which format a file is, by its content and, where that is not enough, by its name.

use super::document::Format;

/// The format of a file, from its name and its first bytes (a few KiB are enough).
///
/// The content decides; the name only helps where content says little: an empty `*.numstat` is an
/// empty change, a `*.sarif` may begin with anything. A file of another kind gives nothing.
pub fn detect(file_name: &str, head: &[u8]) -> Option<Format> {
    let name = file_name.to_ascii_lowercase();
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if looks_like_numstat(head) || (name.ends_with(".numstat") && head.is_empty()) {
        return Some(Format::Numstat);
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start();
    match text.chars().next()? {
        '<' => xml_format(text),
        '{' if name.ends_with(".sarif") || name.ends_with(".sarif.json") => Some(Format::Sarif),
        '{' => text.contains("sarif").then_some(Format::Sarif).filter(|_| name.ends_with(".json")),
        _ => lcov_format(text),
    }
}

/// `added TAB removed TAB`, and a NUL behind.
fn looks_like_numstat(head: &[u8]) -> bool {
    let mut fields = head.splitn(3, |b| *b == b'\t');
    let number = |field: Option<&[u8]>| {
        field.is_some_and(|f| f == b"-" || (!f.is_empty() && f.iter().all(u8::is_ascii_digit)))
    };
    number(fields.next()) && number(fields.next()) && fields.next().is_some_and(|rest| rest.contains(&0))
}

/// Whether a document type declares something itself, between brackets.
fn internal_subset(text: &str) -> bool {
    text.split('>').next().is_some_and(|declaration| declaration.contains('['))
}

/// By the root element, behind the declaration, comments and a document type.
fn xml_format(mut text: &str) -> Option<Format> {
    loop {
        text = text.trim_start();
        let end = if text.starts_with("<!--") {
            "-->"
        } else if text.starts_with("<?") {
            "?>"
        } else if text.starts_with("<!") && internal_subset(text) {
            // Refused when it is read; here it must not hide what the report is.
            "]>"
        } else if text.starts_with("<!") {
            ">"
        } else {
            break;
        };
        let (_, rest) = text.split_once(end)?;
        text = rest;
    }
    let tag = text.strip_prefix('<')?;
    let tag = tag.split_once('>').map_or(tag, |(tag, _)| tag);
    let name = tag.split(|c: char| c.is_whitespace() || c == '/').next()?;
    match name {
        "testsuites" | "testsuite" => Some(Format::Junit),
        // Clover has a `<coverage>` too, but no rates.
        "coverage" if tag.contains("line-rate") || tag.contains("lines-valid") => Some(Format::Cobertura),
        _ => None,
    }
}

/// By the first record.
fn lcov_format(text: &str) -> Option<Format> {
    let record = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    (record.starts_with("TN:") || record.starts_with("SF:")).then_some(Format::Lcov)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_decides() {
        for (name, head, expected) in [
            ("x.bin", "1\t2\tsrc/a.py\0", Some(Format::Numstat)),
            ("change.numstat", "", Some(Format::Numstat)),
            ("change.numstat", "1\t2\tsrc/a.py\n", None),
            ("lcov.info", "TN:\nSF:a\n", Some(Format::Lcov)),
            ("lcov.info", "# made by hand\nSF:a\n", Some(Format::Lcov)),
            ("notes.info", "SF is a city", None),
            ("a.xml", "<?xml version='1.0'?><!-- x > y --><coverage line-rate='1'>", Some(Format::Cobertura)),
            ("a.xml", "<!DOCTYPE coverage SYSTEM 'x'>\n<coverage lines-valid='1'/>", Some(Format::Cobertura)),
            ("clover.xml", "<coverage generated='1'><project/>", None),
            ("a.xml", "\u{feff}<testsuites/>", Some(Format::Junit)),
            ("a.xml", "<testsuite\n name='x'>", Some(Format::Junit)),
            ("pom.xml", "<project><testsuite/></project>", None),
            ("r.sarif", "{\"runs\": []}", Some(Format::Sarif)),
            (
                "r.json",
                "{\"$schema\": \"https://json.schemastore.org/sarif-2.1.0.json\"",
                Some(Format::Sarif),
            ),
            ("package.json", "{\"name\": \"x\"}", None),
            ("empty.xml", "", None),
        ] {
            assert_eq!(detect(name, head.as_bytes()), expected, "{name}: {head}");
        }
    }
}
