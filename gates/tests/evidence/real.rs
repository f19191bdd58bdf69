//! Reports that real tools wrote about real packages; the numbers are those the tools themselves
//! printed (see `testdata/evidence/README.md`).

use std::path::PathBuf;

use cku_gates::evidence::{
    self, Change, Coverage, Evidence, EvidenceData, Findings, Format, Level, Limits, Ratio, Tests,
};

/// Every file of `testdata/evidence` that is a report, as `directory/name`.
pub(crate) const REPORTS: [(&str, Format); 33] = [
    ("humanize-partial/change.numstat", Format::Numstat),
    ("humanize-partial/coverage.xml", Format::Cobertura),
    ("humanize-partial/junit.xml", Format::Junit),
    ("humanize-partial/lcov.info", Format::Lcov),
    ("humanize-partial/ruff.sarif", Format::Sarif),
    ("humanize-partial/secretlint.sarif", Format::Sarif),
    ("humanize/change.numstat", Format::Numstat),
    ("humanize/coverage.xml", Format::Cobertura),
    ("humanize/junit.xml", Format::Junit),
    ("humanize/lcov.info", Format::Lcov),
    ("humanize/ruff.sarif", Format::Sarif),
    ("humanize/secretlint.sarif", Format::Sarif),
    ("minimist/c8-lcov.info", Format::Lcov),
    ("minimist/coverage.xml", Format::Cobertura),
    ("minimist/eslint.sarif", Format::Sarif),
    ("minimist/junit.xml", Format::Junit),
    ("minimist/lcov.info", Format::Lcov),
    ("pyjwt/secretlint.sarif", Format::Sarif),
    ("semver-3/change.numstat", Format::Numstat),
    ("semver/change.numstat", Format::Numstat),
    ("semver/coverage.xml", Format::Cobertura),
    ("semver/junit.xml", Format::Junit),
    ("semver/lcov.info", Format::Lcov),
    ("semver/ruff.sarif", Format::Sarif),
    ("xmltodict/bandit.sarif", Format::Sarif),
    ("xmltodict/change.numstat", Format::Numstat),
    ("xmltodict/coverage.xml", Format::Cobertura),
    ("xmltodict/junit.xml", Format::Junit),
    ("xmltodict/lcov.info", Format::Lcov),
    ("xmltodict/ruff.sarif", Format::Sarif),
    ("xmltodict/secretlint.sarif", Format::Sarif),
    ("xxhash/coverage.xml", Format::Cobertura),
    ("xxhash/lcov.info", Format::Lcov),
];

pub(crate) fn bytes(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/evidence").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub(crate) fn read(name: &str) -> Evidence {
    let (_, format) = REPORTS.into_iter().find(|(known, _)| *known == name).unwrap();
    let mut read = evidence::parse(format, name, &bytes(name), &Limits::default()).unwrap();
    assert_eq!(read.len(), 1, "{name}");
    read.remove(0)
}

fn coverage(name: &str) -> Coverage {
    let EvidenceData::Coverage(data) = read(name).data else { panic!("{name} is no coverage") };
    data
}

fn tests(name: &str) -> Tests {
    let EvidenceData::Tests(data) = read(name).data else { panic!("{name} holds no tests") };
    data
}

fn findings(name: &str) -> Findings {
    let EvidenceData::Findings(data) = read(name).data else { panic!("{name} holds no findings") };
    data
}

fn change(name: &str) -> Change {
    let EvidenceData::Change(data) = read(name).data else { panic!("{name} is no change") };
    data
}

fn tool(name: &str) -> (Option<String>, Option<String>) {
    let evidence = read(name);
    (evidence.tool, evidence.version)
}

#[test]
fn every_report_is_listed_and_detected_and_agrees_with_itself() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/evidence");
    let mut found = Vec::new();
    for package in std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()) {
        if package.is_dir() {
            found.extend(std::fs::read_dir(package).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    let mut found: Vec<String> = found
        .iter()
        .map(|path| path.strip_prefix(&directory).unwrap().to_str().unwrap().to_owned())
        .collect();
    found.sort();
    assert_eq!(found, REPORTS.map(|(name, _)| name.to_owned()));

    for (name, format) in REPORTS {
        let bytes = bytes(name);
        let head = &bytes[..bytes.len().min(4096)];
        assert_eq!(evidence::detect(name, head), Some(format), "{name}");
        assert_eq!(read(name).check(), Ok(()), "{name}");
    }
}

#[test]
fn coverage_py_says_statements_and_missed_ones() {
    // `coverage report`: Stmts, Miss.
    for (package, statements, missed) in
        [("humanize/", 527, 4), ("humanize-partial/", 527, 162), ("semver/", 372, 7), ("xmltodict/", 240, 4)]
    {
        let expected = Ratio { hit: statements - missed, total: statements };
        let cobertura = coverage(&format!("{package}coverage.xml"));
        let lcov = coverage(&format!("{package}lcov.info"));
        assert_eq!(cobertura.lines, expected, "{package}");
        assert_eq!(lcov.lines, expected, "{package}");
        assert_eq!(cobertura.files, lcov.files, "{package}");
    }
    assert_eq!(tool("semver/coverage.xml"), (Some("coverage.py".into()), Some("7.17.3".into())));
    assert_eq!(tool("semver/lcov.info"), (None, None));
}

#[test]
fn coverage_py_says_branches() {
    // `coverage report`: Branch.
    for (package, branches) in [("humanize/", 206), ("semver/", 86), ("xmltodict/", 122)] {
        let cobertura = coverage(&format!("{package}coverage.xml")).branches.unwrap();
        assert_eq!(cobertura.total, branches, "{package}");
        assert_eq!(Some(cobertura), coverage(&format!("{package}lcov.info")).branches, "{package}");
    }
}

#[test]
fn files_of_coverage_py_agree_with_its_table() {
    // `coverage report` of the partial run: Stmts, Miss per file.
    let files: Vec<(String, u64, u64)> = coverage("humanize-partial/coverage.xml")
        .files
        .into_iter()
        .map(|file| (file.path, file.lines.total, file.lines.total - file.lines.hit))
        .collect();
    let expected = [
        ("src/humanize/__init__.py", 8, 0),
        ("src/humanize/_version.py", 13, 0),
        ("src/humanize/filesize.py", 19, 0),
        ("src/humanize/i18n.py", 59, 22),
        ("src/humanize/lists.py", 9, 5),
        ("src/humanize/number.py", 168, 135),
        ("src/humanize/time.py", 251, 0),
    ];
    assert_eq!(files, expected.map(|(path, total, missed)| (path.to_owned(), total, missed)));
}

#[test]
fn istanbul_names_its_dtd_and_repeats_lines_under_methods() {
    // c8: 98.47 % of lines, uncovered 92-93,105-106; 96.32 % of branches; index.js has 263 lines.
    let cobertura = coverage("minimist/coverage.xml");
    assert_eq!(cobertura.lines, Ratio { hit: 259, total: 263 });
    assert_eq!(coverage("minimist/c8-lcov.info").lines, cobertura.lines);
    assert_eq!(tool("minimist/coverage.xml"), (None, None));
}

#[test]
fn node_counts_the_lines_of_index_js() {
    // node --test: index.js 99.24 % of lines, uncovered 105-106; all files 99.83 %.
    let coverage = coverage("minimist/lcov.info");
    let index = coverage.files.iter().find(|file| file.path == "index.js").unwrap();
    assert_eq!(index.lines, Ratio { hit: 261, total: 263 });
    assert_eq!((coverage.lines.hit * 20_000 / coverage.lines.total).div_ceil(2), 9983);
}

#[test]
fn gcovr_says_lines_and_branches() {
    // gcovr --txt-summary: lines 985 out of 1356, branches 261 out of 510; its table: 572 of 886
    // lines of xxhash.h, 413 of 470 of _xxhash.c.
    for name in ["xxhash/coverage.xml", "xxhash/lcov.info"] {
        let coverage = coverage(name);
        assert_eq!(coverage.lines, Ratio { hit: 985, total: 1356 }, "{name}");
        assert_eq!(coverage.branches, Some(Ratio { hit: 261, total: 510 }), "{name}");
        let files: Vec<Ratio> = coverage.files.iter().map(|file| file.lines).collect();
        assert_eq!(files, [Ratio { hit: 572, total: 886 }, Ratio { hit: 413, total: 470 }], "{name}");
    }
    assert_eq!(tool("xxhash/coverage.xml"), (Some("gcovr".into()), Some("8.8".into())));
}

#[test]
fn pytest_says_passed_and_failed() {
    for (name, passed, failed) in [
        ("humanize/junit.xml", 666, 0),
        ("humanize-partial/junit.xml", 417, 0),
        ("semver/junit.xml", 287, 1),
        ("xmltodict/junit.xml", 54, 0),
    ] {
        let tests = tests(name);
        assert_eq!(
            (tests.passed, tests.failed, tests.errors, tests.skipped),
            (passed, failed, 0, 0),
            "{name}"
        );
        assert_eq!(tool(name), (Some("pytest".into()), None));
    }
    let failure = tests("semver/junit.xml").failures.remove(0);
    assert_eq!((failure.suite.as_str(), failure.name.as_str()), ("docs.usage.rst", "usage.rst"));
    assert!(failure.message.contains("v > dict(major=1, unknown=42)"), "{}", failure.message);
}

#[test]
fn node_lists_cases_without_a_suite() {
    let tests = tests("minimist/junit.xml");
    assert_eq!((tests.total, tests.passed), (15, 15));
    assert_eq!(tool("minimist/junit.xml"), (None, None));
}

#[test]
fn linters_and_scanners_say_how_many() {
    // ruff: "All checks passed!" twice, "Found 27 errors."; ESLint: "0 errors, 3 warnings";
    // Bandit: low 8, medium 0, high 0, where low is a note; secretlint: "4 problems (4 errors)".
    for (name, error, warning, note) in [
        ("humanize/ruff.sarif", 0, 0, 0),
        ("humanize/secretlint.sarif", 0, 0, 0),
        ("semver/ruff.sarif", 0, 0, 0),
        ("xmltodict/ruff.sarif", 27, 0, 0),
        ("xmltodict/bandit.sarif", 0, 0, 8),
        ("xmltodict/secretlint.sarif", 0, 0, 0),
        ("minimist/eslint.sarif", 0, 3, 0),
        ("pyjwt/secretlint.sarif", 4, 0, 0),
    ] {
        let findings = findings(name);
        let counts = findings.counts;
        assert_eq!(
            (counts.error, counts.warning, counts.note, counts.none),
            (error, warning, note, 0),
            "{name}"
        );
        assert_eq!(findings.suppressed, 0, "{name}");
        assert!(findings.findings.iter().all(|f| f.path.is_some() && f.rule.is_some()), "{name}");
    }
    assert_eq!(tool("xmltodict/ruff.sarif"), (Some("ruff".into()), Some("0.17.6".into())));
    assert_eq!(tool("minimist/eslint.sarif"), (Some("ESLint".into()), Some("8.57.1".into())));
}

#[test]
fn a_finding_names_its_rule_place_and_message() {
    let findings = findings("minimist/eslint.sarif").findings;
    // index.js 24:15 warning Assignment to function parameter 'opts' no-param-reassign
    let first = &findings[0];
    assert_eq!(first.rule.as_deref(), Some("no-param-reassign"));
    assert_eq!((first.path.as_deref(), first.line), (Some("index.js"), Some(24)));
    assert_eq!(first.level, Level::Warning);
    assert_eq!(first.message, "Assignment to function parameter 'opts'.");
}

#[test]
fn git_says_files_insertions_and_deletions() {
    // git diff --shortstat; renames and binary files from --summary and --numstat without -z.
    for (name, files, added, removed, renamed, binary) in [
        ("humanize/change.numstat", 15, 261, 155, 0, 0),
        ("semver/change.numstat", 16, 1340, 471, 0, 0),
        ("xmltodict/change.numstat", 14, 522, 99, 0, 4),
        ("semver-3/change.numstat", 105, 6886, 4606, 2, 2),
    ] {
        let change = change(name);
        assert_eq!((change.files.len(), change.added, change.removed), (files, added, removed), "{name}");
        assert_eq!(change.files.iter().filter(|file| file.from.is_some()).count(), renamed, "{name}");
        assert_eq!(change.files.iter().filter(|file| file.binary).count(), binary, "{name}");
    }
    let change = change("semver-3/change.numstat");
    let logo = change.files.iter().find(|file| file.path == "docs/_static/logo.svg").unwrap();
    assert_eq!(logo.from.as_deref(), Some("docs/logo.svg"));
}
