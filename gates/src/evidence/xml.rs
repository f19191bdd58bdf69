//! XML as reports use it, and nothing that could expand, reach outside or confuse two readers.
//!
//! Refused: entities other than the five predefined and numeric ones, document types (see
//! [`Doctype`]), attributes twice, more than one root, depth over the limit. UTF-8 only.

use std::ops::Range;

use quick_xml::{
    Error, Reader,
    errors::{IllFormedError, SyntaxError},
    escape::{EscapeError, resolve_xml_entity, unescape_with},
    events::{BytesDecl, BytesRef, BytesStart, Event, attributes::AttrError},
};

use super::{
    error::{EvidenceError, Fault, quoted},
    source::Source,
};

/// No report has elements with more attributes; the bound keeps the search for twins cheap.
const MAX_ATTRIBUTES: usize = 100;

/// What a document type may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doctype {
    /// There may be none.
    Refused,
    /// It may name Cobertura's DTD, as Cobertura itself and Istanbul write it. It is never
    /// fetched, and without an internal subset it declares nothing.
    Cobertura,
}

/// The next thing in a document; processing instructions are passed over.
#[derive(Debug)]
pub(super) enum Node {
    /// An element begins; an empty one is closed by the next node.
    Open(Element),
    /// The innermost open element ends.
    Close,
    /// Character data, with references resolved.
    Text(String),
    /// A comment.
    Comment(String),
}

/// The start tag of an element.
#[derive(Debug)]
pub(super) struct Element {
    /// Its name, with a prefix if it has one.
    pub(super) name: String,
    /// Where the tag stands.
    pub(super) span: Range<usize>,
    attributes: Vec<Attribute>,
}

/// An attribute with references resolved.
#[derive(Debug)]
pub(super) struct Attribute {
    name: String,
    /// Its value.
    pub(super) value: String,
    /// Where the value stands.
    pub(super) span: Range<usize>,
}

impl Element {
    /// The attribute of this name.
    pub(super) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }

    /// The value of the attribute of this name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.attribute(name).map(|attribute| attribute.value.as_str())
    }

    /// The attribute of this name, without which the element means nothing.
    pub(super) fn required(&self, name: &str, source: &Source<'_>) -> Result<&Attribute, EvidenceError> {
        self.attribute(name).ok_or_else(|| {
            let message = format!("`<{}>` without the attribute `{name}`", self.name);
            source.fail(Fault::Malformed, self.span.clone(), message)
        })
    }

    /// The attribute of this name as a count.
    pub(super) fn count(&self, name: &str, source: &Source<'_>) -> Result<Option<u64>, EvidenceError> {
        self.attribute(name).map(|attribute| attribute.count(source)).transpose()
    }
}

impl Attribute {
    /// The value as a count.
    pub(super) fn count(&self, source: &Source<'_>) -> Result<u64, EvidenceError> {
        source.count(&self.value, &format!("`{}`", self.name), self.span.clone())
    }
}

/// Reads a document node by node.
#[derive(Debug)]
pub(super) struct Xml<'t> {
    source: Source<'t>,
    reader: Reader<&'t [u8]>,
    doctype: Doctype,
    /// The names of the elements that are open, outermost first.
    open: Vec<String>,
    root_seen: bool,
}

impl<'t> Xml<'t> {
    pub(super) fn new(source: Source<'t>, doctype: Doctype) -> Self {
        let mut reader = Reader::from_str(source.text);
        reader.config_mut().expand_empty_elements = true;
        Self { source, reader, doctype, open: Vec::new(), root_seen: false }
    }

    /// The next node, or nothing once the root is closed and the text is at its end.
    pub(super) fn next(&mut self) -> Result<Option<Node>, EvidenceError> {
        loop {
            let start = self.offset();
            let event = self.reader.read_event().map_err(|error| self.broken(&error))?;
            let span = start..self.offset();
            let node = match event {
                Event::Start(tag) => Node::Open(self.open(&tag, span)?),
                Event::End(_) | Event::Empty(_) => self.close(span)?,
                Event::Text(text) => match self.text(text.xml10_content().into_owned(), &span)? {
                    Some(node) => node,
                    None => continue,
                },
                Event::CData(text) => match self.text(text.xml10_content().into_owned(), &span)? {
                    Some(node) => node,
                    None => continue,
                },
                Event::GeneralRef(reference) => {
                    let text = self.reference(&reference, &span)?;
                    match self.text(text, &span)? {
                        Some(node) => node,
                        None => continue,
                    }
                }
                Event::Comment(text) => Node::Comment(text.xml10_content().into_owned()),
                Event::Decl(declaration) => {
                    self.declaration(&declaration, span)?;
                    continue;
                }
                Event::DocType(text) => {
                    self.document_type(&text, span)?;
                    continue;
                }
                Event::PI(_) => continue,
                Event::Eof => return self.finish(),
            };
            return Ok(Some(node));
        }
    }

    /// The text this document is read from.
    pub(super) fn source(&self) -> &Source<'t> {
        &self.source
    }

    fn offset(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX).min(self.source.text.len())
    }

    fn fail(&self, fault: Fault, span: Range<usize>, message: impl Into<String>) -> EvidenceError {
        self.source.fail(fault, span, message)
    }

    fn open(&mut self, tag: &BytesStart<'_>, span: Range<usize>) -> Result<Element, EvidenceError> {
        let name = tag.name().into_inner().to_owned();
        if self.open.is_empty() && self.root_seen {
            let message = format!("a second root {}", quoted(&name));
            return Err(self.fail(Fault::Malformed, span, message));
        }
        if self.open.len() >= self.source.limits.depth {
            let message = format!("elements are nested deeper than {}", self.source.limits.depth);
            return Err(self.fail(Fault::TooDeep, span, message));
        }
        let attributes = self.attributes(tag, &span)?;
        self.open.push(name.clone());
        self.root_seen = true;
        Ok(Element { name, span, attributes })
    }

    fn close(&mut self, span: Range<usize>) -> Result<Node, EvidenceError> {
        match self.open.pop() {
            Some(_) => Ok(Node::Close),
            None => Err(self.fail(Fault::Malformed, span, "an end tag without its start tag")),
        }
    }

    fn attributes(&self, tag: &BytesStart<'_>, span: &Range<usize>) -> Result<Vec<Attribute>, EvidenceError> {
        let mut read: Vec<Attribute> = Vec::new();
        let mut attributes = tag.attributes();
        for attribute in attributes.with_checks(false) {
            let attribute = attribute.map_err(|error| self.broken_attribute(&error, span))?;
            let name = attribute.key.into_inner();
            let at = self.source.span_of(&attribute.value).unwrap_or_else(|| span.clone());
            if read.iter().any(|known| known.name == name) {
                let message = format!("the attribute {} stands twice", quoted(name));
                return Err(self.fail(Fault::Repeated, at, message));
            }
            if read.len() >= MAX_ATTRIBUTES {
                let message = format!("more than {MAX_ATTRIBUTES} attributes in one element");
                return Err(self.fail(Fault::TooLarge, at, message));
            }
            let value = unescape_with(&attribute.value, resolve_xml_entity)
                .map_err(|error| self.broken_reference(&error, at.clone()))?;
            read.push(Attribute { name: name.to_owned(), value: value.into_owned(), span: at });
        }
        Ok(read)
    }

    fn text(&self, text: String, span: &Range<usize>) -> Result<Option<Node>, EvidenceError> {
        if !self.open.is_empty() {
            return Ok(Some(Node::Text(text)));
        }
        match text.trim().is_empty() {
            true => Ok(None),
            false => Err(self.outside(span.clone())),
        }
    }

    /// Text outside the root: the file is no XML at all, or something follows its end.
    fn outside(&self, span: Range<usize>) -> EvidenceError {
        match self.root_seen {
            true => self.fail(Fault::Malformed, span, "text after the end of the document"),
            false => self.fail(Fault::OtherFormat, span, "this is not an XML document"),
        }
    }

    fn reference(&self, reference: &BytesRef<'_>, span: &Range<usize>) -> Result<String, EvidenceError> {
        let refuse = || {
            let message = format!("the entity {} is not a predefined one", quoted(reference));
            self.fail(Fault::Entity, span.clone(), message)
        };
        match reference.resolve_char_ref() {
            Ok(Some(character)) => Ok(character.to_string()),
            Ok(None) => resolve_xml_entity(reference).map(str::to_owned).ok_or_else(refuse),
            Err(_) => Err(self.fail(Fault::Malformed, span.clone(), "a reference to no character")),
        }
    }

    fn declaration(&self, declaration: &BytesDecl<'_>, span: Range<usize>) -> Result<(), EvidenceError> {
        let Some(encoding) = declaration.encoding() else { return Ok(()) };
        let encoding = encoding.map_err(|error| self.broken_attribute(&error, &span))?;
        if ["utf-8", "utf8", "us-ascii"].contains(&encoding.to_ascii_lowercase().as_str()) {
            return Ok(());
        }
        let message = format!("declared as {}, but only UTF-8 is read", quoted(&encoding));
        Err(self.fail(Fault::Encoding, span, message))
    }

    fn document_type(&self, text: &str, span: Range<usize>) -> Result<(), EvidenceError> {
        if self.root_seen {
            return Err(self.fail(Fault::Malformed, span, "a document type after the root"));
        }
        if self.doctype == Doctype::Cobertura && is_cobertura_dtd(text) {
            return Ok(());
        }
        Err(self.fail(Fault::Entity, span, "a document type, which could declare or fetch anything"))
    }

    fn finish(&self) -> Result<Option<Node>, EvidenceError> {
        if let Some(name) = self.open.last() {
            let message = format!("the file ends inside {}", quoted(&format!("<{name}>")));
            return Err(self.fail(Fault::Truncated, self.source.end(), message));
        }
        match self.root_seen {
            true => Ok(None),
            false => {
                Err(self.fail(Fault::Truncated, self.source.end(), "the file ends before its root element"))
            }
        }
    }

    fn broken(&self, error: &Error) -> EvidenceError {
        let at = usize::try_from(self.reader.error_position()).unwrap_or(usize::MAX);
        let span = at.min(self.source.text.len())..self.offset().max(at);
        match error {
            Error::Syntax(SyntaxError::InvalidBangMarkup) => {
                self.fail(Fault::Malformed, span, "`<!` begins no comment, no CDATA and no document type")
            }
            Error::Syntax(what) => self.fail(Fault::Truncated, span, what.to_string()),
            Error::IllFormed(IllFormedError::MismatchedEndTag { expected, found }) => {
                let (expected, found) = (quoted(&format!("</{expected}>")), quoted(&format!("</{found}>")));
                self.fail(Fault::Malformed, span, format!("{found} stands where {expected} has to come"))
            }
            Error::IllFormed(IllFormedError::UnmatchedEndTag(found)) => {
                let message = format!("{} closes nothing", quoted(&format!("</{found}>")));
                self.fail(Fault::Malformed, span, message)
            }
            Error::IllFormed(IllFormedError::UnclosedReference) => {
                self.fail(Fault::Malformed, span, "`&` begins a reference that has no `;`")
            }
            Error::Escape(error) => self.broken_reference(error, span),
            Error::InvalidAttr(error) => self.broken_attribute(error, &span),
            _ => self.fail(Fault::Malformed, span, "not well-formed XML"),
        }
    }

    fn broken_attribute(&self, error: &AttrError, tag: &Range<usize>) -> EvidenceError {
        let (offset, message) = match error {
            AttrError::ExpectedEq(at) => (*at, "an attribute without `=`"),
            AttrError::ExpectedValue(at) => (*at, "an attribute without a value"),
            AttrError::UnquotedValue(at) => (*at, "an attribute whose value is not quoted"),
            AttrError::ExpectedQuote(at, _) => (*at, "an attribute whose value does not end"),
            AttrError::Duplicated(at, _) => (*at, "an attribute stands twice"),
        };
        // Offsets count from behind the `<`.
        let at = tag.start.saturating_add(offset).saturating_add(1).min(tag.end);
        self.fail(Fault::Malformed, at..tag.end, message)
    }

    fn broken_reference(&self, error: &EscapeError, span: Range<usize>) -> EvidenceError {
        match error {
            EscapeError::UnrecognizedEntity(_, name) => {
                let message = format!("the entity {} is not a predefined one", quoted(name));
                self.fail(Fault::Entity, span, message)
            }
            EscapeError::UnterminatedEntity(_) => {
                self.fail(Fault::Malformed, span, "`&` begins a reference that has no `;`")
            }
            _ => self.fail(Fault::Malformed, span, "a reference to no character"),
        }
    }
}

/// `coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd"`, in any version.
fn is_cobertura_dtd(text: &str) -> bool {
    let uri =
        text.trim().strip_prefix("coverage").map(str::trim_start).and_then(|t| t.strip_prefix("SYSTEM"));
    let uri = uri.map(str::trim).and_then(|quoted| {
        let quote = quoted.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        quoted.strip_prefix(quote)?.strip_suffix(quote)
    });
    uri.is_some_and(|uri| {
        let version = uri.rsplit('/').next().and_then(|name| name.strip_prefix("coverage-"));
        let version = version.and_then(|name| name.strip_suffix(".dtd"));
        let plain = uri.bytes().all(|b| b.is_ascii_alphanumeric() || b":/.-_".contains(&b));
        plain && uri.starts_with("http") && version.is_some_and(|v| v.bytes().all(|b| b.is_ascii_digit()))
    })
}
