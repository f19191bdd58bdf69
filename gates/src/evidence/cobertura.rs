//! Cobertura XML, as coverage.py, Istanbul, gcovr, Coverlet and Cobertura itself write it.
//!
//! Each line of a file counts once, however many classes and methods repeat it: executed if any
//! occurrence has hits. A class's own `<lines>` are its lines; the lines of its methods count only
//! where the class has none of its own (Istanbul lists the line of a function's head under the
//! method, although it holds no statement). `lines-valid`, `lines-covered`, `branches-valid` and
//! `branches-covered` of the root, if they are there, have to agree with the lines: counted per
//! file, or per class, as tools do that write several classes for one file.

use cku_base::Digest;

use super::{
    data::{Coverage, Ratio},
    document::{Evidence, EvidenceData, Format},
    error::{EvidenceError, Fault, quoted},
    limits::Limits,
    lines::{FileLines, Gathered},
    source::Source,
    xml::{Attribute, Doctype, Element, Node, Xml},
};

/// Reads a Cobertura report.
pub fn parse(file: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Evidence>, EvidenceError> {
    let source = Source::open(file, bytes, limits)?;
    let mut xml = Xml::new(source, Doctype::Cobertura);
    let mut report = Report::default();
    while let Some(node) = xml.next()? {
        match node {
            Node::Open(element) => report.open(xml.source(), element)?,
            Node::Close => report.close(),
            Node::Comment(text) => report.comment(&text),
            Node::Text(_) => {}
        }
    }
    let (tool, version) = report.tool();
    let per_class = report.per_class;
    let coverage = report.gathered.into_coverage();
    if let Some(root) = &report.root {
        check_totals(&source, root, &coverage, per_class)?;
    }
    Ok(vec![Evidence {
        format: Format::Cobertura,
        tool,
        version,
        digest: Digest::of(bytes),
        data: EvidenceData::Coverage(coverage),
    }])
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Report {
    root: Option<Element>,
    /// The names of the open elements, outermost first.
    open: Vec<String>,
    class: Option<Class>,
    gathered: Gathered,
    /// Lines and branches counted class by class.
    per_class: (Ratio, Ratio),
    classes: usize,
    made_by_coverage_py: bool,
}

/// An open `<class>`.
#[derive(Debug)]
struct Class {
    path: String,
    own: FileLines,
    of_methods: FileLines,
}

impl Report {
    fn open(&mut self, source: &Source<'_>, element: Element) -> Result<(), EvidenceError> {
        match element.name.as_str() {
            name if self.open.is_empty() && name != "coverage" => {
                let message = format!("the root is {}, not `<coverage>`", quoted(&format!("<{name}>")));
                let known = if name == "report" { "this looks like JaCoCo; " } else { "" };
                return Err(source
                    .fail(Fault::OtherFormat, element.span, message)
                    .help(format!("{known}let the tool write Cobertura XML")));
            }
            "coverage" if self.open.is_empty() => {
                if element.attribute("line-rate").is_none() && element.attribute("lines-valid").is_none() {
                    let message = "a `<coverage>` with neither `line-rate` nor `lines-valid`";
                    return Err(source
                        .fail(Fault::OtherFormat, element.span, message)
                        .help("this may be Clover; let the tool write Cobertura XML"));
                }
                self.open.push(element.name.clone());
                self.root = Some(element);
                return Ok(());
            }
            "class" => self.open_class(source, &element)?,
            "line" => self.line(source, &element)?,
            _ => {}
        }
        self.open.push(element.name);
        Ok(())
    }

    fn open_class(&mut self, source: &Source<'_>, element: &Element) -> Result<(), EvidenceError> {
        if self.class.is_some() {
            return Err(source.fail(
                Fault::Malformed,
                element.span.clone(),
                "a `<class>` within a `<class>`",
            ));
        }
        source.room_for(self.classes, "classes", element.span.clone())?;
        self.classes += 1;
        let path = element.required("filename", source)?;
        if path.value.is_empty() {
            return Err(source.fail(Fault::Malformed, path.span.clone(), "`filename` is empty"));
        }
        self.class = Some(Class {
            path: path.value.clone(),
            own: FileLines::default(),
            of_methods: FileLines::default(),
        });
        Ok(())
    }

    fn line(&mut self, source: &Source<'_>, element: &Element) -> Result<(), EvidenceError> {
        let in_method = self.open.iter().any(|name| name == "method");
        let Some(class) = &mut self.class else {
            return Err(source.fail(
                Fault::Malformed,
                element.span.clone(),
                "a `<line>` outside a `<class>`",
            ));
        };
        let lines = if in_method { &mut class.of_methods } else { &mut class.own };
        let attribute = element.required("number", source)?;
        let number = attribute.count(source)?;
        let number = u32::try_from(number).ok().filter(|n| *n > 0).ok_or_else(|| {
            let message = format!("the line number is {number}; lines are from 1 to {}", u32::MAX);
            source.fail(Fault::Number, attribute.span.clone(), message)
        })?;
        lines.line(number, element.required("hits", source)?.count(source)? > 0);
        if let Some(conditions) = element.attribute("condition-coverage") {
            lines.branch(number.to_string(), outcomes(source, conditions)?);
        }
        Ok(())
    }

    fn close(&mut self) {
        if self.open.pop().as_deref() != Some("class") {
            return;
        }
        let Some(class) = self.class.take() else { return };
        let lines = if class.own.lines().total > 0 { class.own } else { class.of_methods };
        self.per_class.0 = self.per_class.0.plus(lines.lines());
        self.per_class.1 = self.per_class.1.plus(lines.branches());
        self.gathered.file(&class.path).merge(lines);
    }

    fn comment(&mut self, text: &str) {
        self.made_by_coverage_py |= text.trim().starts_with("Generated by coverage.py:");
    }

    /// coverage.py says its name in a comment, gcovr in `version`; for others `version` is only
    /// that of the format.
    fn tool(&self) -> (Option<String>, Option<String>) {
        let version = self.root.as_ref().and_then(|root| root.value("version"));
        if self.made_by_coverage_py {
            return (Some("coverage.py".to_owned()), version.map(str::to_owned));
        }
        match version.and_then(|version| version.split_once(' ')) {
            Some((name, version)) if name.starts_with(|c: char| c.is_ascii_alphabetic()) => {
                (Some(name.to_owned()), Some(version.trim().to_owned()))
            }
            _ => (None, None),
        }
    }
}

/// The outcomes in `condition-coverage="50% (1/2)"`.
fn outcomes(source: &Source<'_>, conditions: &Attribute) -> Result<Ratio, EvidenceError> {
    let fraction =
        conditions.value.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')?.split_once('/'));
    let (hit, total) = fraction.ok_or_else(|| {
        let message = format!("`condition-coverage` is {}, not like `50% (1/2)`", quoted(&conditions.value));
        source.fail(Fault::Malformed, conditions.span.clone(), message)
    })?;
    let outcomes = Ratio {
        hit: source.count(hit, "`condition-coverage`", conditions.span.clone())?,
        total: source.count(total, "`condition-coverage`", conditions.span.clone())?,
    };
    if outcomes.hit > outcomes.total {
        let message = format!("{hit} conditions are covered of {total}");
        return Err(source.fail(Fault::Inconsistent, conditions.span.clone(), message));
    }
    Ok(outcomes)
}

/// Holds the totals of the root against what was counted.
fn check_totals(
    source: &Source<'_>,
    root: &Element,
    per_file: &Coverage,
    (class_lines, class_branches): (Ratio, Ratio),
) -> Result<(), EvidenceError> {
    let (lines, branches) = (per_file.lines, per_file.branches.unwrap_or_default());
    for (name, per_file, per_class, what) in [
        ("lines-valid", lines.total, class_lines.total, "lines"),
        ("lines-covered", lines.hit, class_lines.hit, "executed lines"),
        ("branches-valid", branches.total, class_branches.total, "outcomes of branches"),
        ("branches-covered", branches.hit, class_branches.hit, "outcomes that were taken"),
    ] {
        let Some(attribute) = root.attribute(name) else { continue };
        let stated = attribute.count(source)?;
        if stated != per_file && stated != per_class {
            let message = format!("`{name}` says {stated}, but the count of {what} is {per_file}");
            return Err(source.fail(Fault::Inconsistent, attribute.span.clone(), message));
        }
    }
    Ok(())
}
