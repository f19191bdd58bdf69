//! JUnit XML, as pytest, Node.js, Surefire, GoogleTest and others write it.
//!
//! Each `<testcase>` counts once: an error if it holds `<error>`, else failed if it holds
//! `<failure>`, else skipped if it holds `<skipped>` or did not run, else passed. A case that failed
//! first and passed when it was run again (`<flakyFailure>`) passed. `tests`, `failures`, `errors`
//! and `skipped` of each suite, if they are there, have to agree with its cases: with all of them,
//! or with its direct children alone, as Node.js counts.

use cku_base::Digest;

use super::{
    data::{TestFailure, Tests, cut},
    document::{Evidence, EvidenceData, Format},
    error::{EvidenceError, Fault, quoted},
    limits::Limits,
    source::Source,
    xml::{Doctype, Element, Node, Xml},
};

/// Reads a JUnit report.
pub fn parse(file: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Evidence>, EvidenceError> {
    let source = Source::open(file, bytes, limits)?;
    let mut xml = Xml::new(source, Doctype::Refused);
    let mut report = Report::default();
    while let Some(node) = xml.next()? {
        match node {
            Node::Open(element) => report.open(xml.source(), element)?,
            Node::Close => report.close(xml.source())?,
            Node::Text(text) => report.text(&text),
            Node::Comment(_) => {}
        }
    }
    Ok(vec![Evidence {
        format: Format::Junit,
        // JUnit XML has no member for the tool; pytest is known by the names of its suites.
        tool: report.made_by_pytest.then(|| "pytest".to_owned()),
        version: None,
        digest: Digest::of(bytes),
        data: EvidenceData::Tests(report.tests()),
    }])
}

/// What has been read so far.
#[derive(Debug, Default)]
struct Report {
    open: Vec<Opened>,
    all: Counts,
    failures: Vec<TestFailure>,
    made_by_pytest: bool,
}

/// An element that is open.
#[derive(Debug)]
enum Opened {
    /// `<testsuites>` or `<testsuite>`.
    Suite(Suite),
    /// `<testcase>`.
    Case(Case),
    /// `<failure>` or `<error>` of a case.
    Problem(Problem),
    /// Anything else.
    Other,
}

#[derive(Debug)]
struct Suite {
    element: Element,
    /// All cases below.
    below: Counts,
    /// The direct children, a suite counting as one.
    direct: Counts,
}

#[derive(Debug)]
struct Case {
    suite: String,
    name: String,
    problem: Option<Problem>,
    has: Outcomes,
}

/// What a case holds; the elements need not exclude each other.
#[derive(Debug, Default, Clone, Copy)]
struct Outcomes {
    failure: bool,
    error: bool,
    skipped: bool,
    /// Said by the attributes `status` and `result`, as GoogleTest does for disabled cases.
    not_run: bool,
}

#[derive(Debug)]
struct Problem {
    is_error: bool,
    message: Option<String>,
    text: String,
}

/// How many cases; once by outcome, once by the elements they hold.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    tests: u64,
    failed: u64,
    errors: u64,
    skipped: u64,
    with_failure: u64,
    with_error: u64,
    with_skipped: u64,
}

impl Report {
    fn open(&mut self, source: &Source<'_>, element: Element) -> Result<(), EvidenceError> {
        let skipped = element.name == "skipped";
        let opened = match (element.name.as_str(), self.open.last()) {
            ("testsuites", None) | ("testsuite", None | Some(Opened::Suite(_))) => {
                self.made_by_pytest |= element.value("name") == Some("pytest");
                Opened::Suite(Suite { element, below: Counts::default(), direct: Counts::default() })
            }
            (name, None) => {
                let message = format!(
                    "the root is {}, not `<testsuites>` or `<testsuite>`",
                    quoted(&format!("<{name}>"))
                );
                return Err(source.fail(Fault::OtherFormat, element.span, message));
            }
            ("testcase", Some(Opened::Suite(suite))) => {
                let tests = usize::try_from(self.all.tests).unwrap_or(usize::MAX);
                source.room_for(tests, "test cases", element.span.clone())?;
                Opened::Case(Case::open(source, &element, suite)?)
            }
            ("failure" | "error", Some(Opened::Case(_))) => Opened::Problem(Problem {
                is_error: element.name == "error",
                message: element.value("message").or(element.value("type")).map(str::to_owned),
                text: String::new(),
            }),
            // A failure that belongs to no case would not be counted, so it may not be there.
            ("testcase" | "testsuite" | "testsuites" | "failure" | "error", Some(_)) => {
                let message = format!("`<{}>` where none can be", element.name);
                return Err(source.fail(Fault::Malformed, element.span, message));
            }
            _ => Opened::Other,
        };
        if let Some(Opened::Case(case)) = self.open.last_mut() {
            case.has.skipped |= skipped;
        }
        self.open.push(opened);
        Ok(())
    }

    fn text(&mut self, text: &str) {
        if let Some(Opened::Problem(problem)) = self.open.last_mut() {
            problem.text.push_str(text);
        }
    }

    fn close(&mut self, source: &Source<'_>) -> Result<(), EvidenceError> {
        let closed = self.open.pop();
        match (closed, self.open.last_mut()) {
            (Some(Opened::Problem(problem)), Some(Opened::Case(case))) => {
                case.has.error |= problem.is_error;
                case.has.failure |= !problem.is_error;
                // The first one says what broke; later ones are mostly the cleaning up.
                case.problem.get_or_insert(problem);
            }
            (Some(Opened::Case(case)), Some(Opened::Suite(suite))) => {
                let counts = case.counts();
                self.all.add(counts);
                suite.below.add(counts);
                suite.direct.add(counts);
                self.failures.extend(case.into_failure());
            }
            (Some(Opened::Suite(suite)), parent) => {
                suite.check_totals(source)?;
                if let Some(Opened::Suite(parent)) = parent {
                    parent.below.add(suite.below);
                    parent.direct.add(suite.below.as_one());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn tests(self) -> Tests {
        let Counts { tests, failed, errors, skipped, .. } = self.all;
        let passed = tests - failed - errors - skipped;
        Tests { total: tests, passed, failed, errors, skipped, failures: self.failures }
    }
}

impl Suite {
    fn check_totals(&self, source: &Source<'_>) -> Result<(), EvidenceError> {
        let (below, direct) = (self.below, self.direct);
        for (name, accepted) in [
            ("tests", [below.tests, direct.tests, below.tests, direct.tests]),
            ("failures", [below.failed, direct.failed, below.with_failure, direct.with_failure]),
            ("errors", [below.errors, direct.errors, below.with_error, direct.with_error]),
            ("skipped", [below.skipped, direct.skipped, below.with_skipped, direct.with_skipped]),
        ] {
            let Some(stated) = self.element.count(name, source)? else { continue };
            if !accepted.contains(&stated) {
                let [counted, ..] = accepted;
                let what = match name {
                    "tests" => "test cases",
                    "failures" => "failed test cases",
                    "errors" => "test cases with errors",
                    _ => "skipped test cases",
                };
                let span = self.element.attribute(name).map_or(0..0, |attribute| attribute.span.clone());
                let message = format!("`{name}` says {stated}, but the count of {what} is {counted}");
                return Err(source.fail(Fault::Inconsistent, span, message));
            }
        }
        Ok(())
    }
}

impl Case {
    fn open(source: &Source<'_>, element: &Element, suite: &Suite) -> Result<Self, EvidenceError> {
        let name = element.required("name", source)?.value.clone();
        let class = element.value("classname").filter(|class| !class.is_empty());
        let suite = class.or(suite.element.value("name")).unwrap_or("").to_owned();
        let not_run = ["status", "result"].into_iter().any(|attribute| {
            let value = element.value(attribute).unwrap_or("");
            ["notrun", "disabled", "skipped", "suppressed"].contains(&value)
        });
        Ok(Self { suite, name, problem: None, has: Outcomes { not_run, ..Outcomes::default() } })
    }

    fn counts(&self) -> Counts {
        let has = self.has;
        let failed = has.failure && !has.error;
        let skipped = (has.skipped || has.not_run) && !has.failure && !has.error;
        Counts {
            tests: 1,
            failed: failed.into(),
            errors: has.error.into(),
            skipped: skipped.into(),
            with_failure: has.failure.into(),
            with_error: has.error.into(),
            with_skipped: has.skipped.into(),
        }
    }

    fn into_failure(self) -> Option<TestFailure> {
        let problem = self.problem?;
        let message = problem.message.filter(|message| !message.is_empty()).unwrap_or(problem.text);
        Some(TestFailure { suite: self.suite, name: self.name, message: cut(&message) })
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.tests += other.tests;
        self.failed += other.failed;
        self.errors += other.errors;
        self.skipped += other.skipped;
        self.with_failure += other.with_failure;
        self.with_error += other.with_error;
        self.with_skipped += other.with_skipped;
    }

    /// A suite as a child of another: one test, which failed if one below failed.
    fn as_one(self) -> Self {
        Self {
            tests: 1,
            failed: self.failed.min(1),
            errors: self.errors.min(1),
            skipped: 0,
            with_failure: self.with_failure.min(1),
            with_error: self.with_error.min(1),
            with_skipped: 0,
        }
    }
}
