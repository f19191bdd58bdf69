//! Small reports in the shapes that tools give them.

use cku_gates::evidence::{
    self, Coverage, Evidence, EvidenceData, Findings, Format, Level, Limits, Ratio, Tests,
};

fn read(format: Format, text: &str) -> Vec<Evidence> {
    evidence::parse(format, "report", text.as_bytes(), &Limits::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn coverage(format: Format, text: &str) -> Coverage {
    let EvidenceData::Coverage(data) = read(format, text).remove(0).data else { panic!("no coverage") };
    data
}

fn tests(text: &str) -> Tests {
    let EvidenceData::Tests(data) = read(Format::Junit, text).remove(0).data else { panic!("no tests") };
    data
}

fn findings(text: &str) -> Findings {
    let EvidenceData::Findings(data) = read(Format::Sarif, text).remove(0).data else {
        panic!("no findings")
    };
    data
}

fn ratio(hit: u64, total: u64) -> Ratio {
    Ratio { hit, total }
}

#[test]
fn a_tracefile_with_everything_geninfo_writes() {
    let data = coverage(
        Format::Lcov,
        "\u{feff}# made by lcov\r\nTN:unit\r\nSF:src/a.c\r\nVER:1\r\nFN:1,9,main\r\nFNDA:1,main\r\nFNF:1\r\nFNH:1\r\n\
         BRDA:2,0,0,1\r\nBRDA:2,0,1,-\r\nBRDA:3,e0,jump to line 4, or not,0\r\nBRF:3\r\nBRH:1\r\n\
         DA:1,1,kRtL3\r\nDA:2,0\r\nMCDC:2,2,t,1,0,x\r\nLF:2\r\nLH:1\r\nend_of_record",
    );
    assert_eq!((data.lines, data.branches), (ratio(1, 2), Some(ratio(1, 3))));
}

#[test]
fn a_file_in_several_records_is_merged_by_the_better_count() {
    let data = coverage(
        Format::Lcov,
        "SF:a\nDA:1,1\nDA:2,0\nBRDA:1,0,0,0\nLF:2\nLH:1\nend_of_record\n\
         SF:a\nDA:2,3\nDA:3,0\nBRDA:1,0,0,2\nLF:2\nLH:1\nend_of_record\n",
    );
    assert_eq!((data.lines, data.branches, data.files.len()), (ratio(2, 3), Some(ratio(1, 1)), 1));
}

#[test]
fn a_line_counts_once_however_many_classes_and_methods_repeat_it() {
    let data = coverage(
        Format::Cobertura,
        r#"<coverage line-rate="1" lines-valid="3" lines-covered="2"><class filename="A.java">
             <methods><method name="m"><lines><line number="1" hits="1"/><line number="9" hits="1"/></lines></method></methods>
             <lines><line number="1" hits="1"/><line number="2" hits="0"/></lines></class>
           <class filename="A.java"><lines><line number="2" hits="0"/><line number="3" hits="4"/></lines></class></coverage>"#,
    );
    assert_eq!((data.lines, data.files.len()), (ratio(2, 3), 1));
}

#[test]
fn totals_may_be_counted_class_by_class() {
    // Line 2 belongs to both classes, so a tool that counts per class sees four lines.
    let data = coverage(
        Format::Cobertura,
        r#"<coverage lines-valid="4" lines-covered="3"><class filename="a.cs"><lines><line number="1" hits="1"/>
           <line number="2" hits="1"/></lines></class><class filename="a.cs"><lines><line number="2" hits="1"/>
           <line number="3" hits="0"/></lines></class></coverage>"#,
    );
    assert_eq!(data.lines, ratio(2, 3));
}

#[test]
fn a_class_with_lines_in_its_methods_alone_has_those() {
    let data = coverage(
        Format::Cobertura,
        r#"<coverage line-rate="1" version="gcovr 8.3"><class filename="a"><methods><method name="m"><lines>
           <line number="1" hits="0" condition-coverage="50% (1/2)"/></lines></method></methods><lines/></class></coverage>"#,
    );
    assert_eq!((data.lines, data.branches), (ratio(0, 1), Some(ratio(1, 2))));
}

#[test]
fn a_version_attribute_that_names_a_tool_is_read() {
    let evidence = read(Format::Cobertura, r#"<coverage line-rate="1" version="gcovr 8.3"/>"#).remove(0);
    assert_eq!((evidence.tool.as_deref(), evidence.version.as_deref()), (Some("gcovr"), Some("8.3")));
}

#[test]
fn each_case_has_one_outcome() {
    let data = tests(
        r#"<testsuites tests="7" failures="2" errors="1" skipped="1" disabled="1"><testsuite name="s" tests="7" failures="2" errors="1" skipped="1">
             <testcase name="passed"><system-out>ok</system-out></testcase>
             <testcase name="failed" classname="c"><failure message="no &amp; never">trace</failure></testcase>
             <testcase name="text"><failure>line one
line two</failure></testcase>
             <testcase name="broken"><error type="IOError"/><failure/></testcase>
             <testcase name="left out"><skipped/></testcase>
             <testcase name="disabled" status="notrun" result="suppressed"/>
             <testcase name="flaky"><flakyFailure message="x"/></testcase>
           </testsuite></testsuites>"#,
    );
    assert_eq!((data.total, data.passed, data.failed, data.errors, data.skipped), (7, 2, 2, 1, 2));
    let failures: Vec<(&str, &str, &str)> =
        data.failures.iter().map(|f| (f.suite.as_str(), f.name.as_str(), f.message.as_str())).collect();
    assert_eq!(
        failures,
        [("c", "failed", "no & never"), ("s", "text", "line one\nline two"), ("s", "broken", "IOError")]
    );
}

#[test]
fn nested_suites_may_count_all_cases_or_their_children() {
    let nested = |outer: &str| {
        format!(
            "<testsuites><testsuite name='o' {outer}><testcase name='a'/><testsuite name='i' tests='2' failures='1'>\
             <testcase name='b'/><testcase name='c'><failure/></testcase></testsuite></testsuite></testsuites>"
        )
    };
    for outer in ["tests='3' failures='1'", "tests='2' failures='1'"] {
        assert_eq!(tests(&nested(outer)).total, 3, "{outer}");
    }
}

#[test]
fn a_run_without_cases_has_none() {
    assert_eq!(tests("<testsuites/>").total, 0);
}

/// A log with one run; `results` and further members of the run.
fn log(members: &str) -> String {
    format!(
        r#"{{"version": "2.1.0", "runs": [{{"tool": {{"driver": {{"name": "t", "semanticVersion": "1.2.3", "rules": [
             {{"id": "R0", "defaultConfiguration": {{"level": "note"}}}},
             {{"id": "R1", "messageStrings": {{"default": {{"text": "{{0}} is {{1}}"}}}}}}]}},
             "extensions": [{{"name": "x", "rules": [{{"id": "X0", "defaultConfiguration": {{"level": "error"}}}}]}}]}},
             {members}}}]}}"#
    )
}

#[test]
fn the_level_is_that_of_the_result_then_the_invocation_then_the_rule_then_warning() {
    let m = r#""message": {"text": "m"}"#;
    let data = findings(&log(&format!(
        r#""invocations": [{{"executionSuccessful": true, "ruleConfigurationOverrides": [
             {{"descriptor": {{"id": "R0"}}, "configuration": {{"level": "error"}}}}]}}],
           "results": [
             {{{m}, "ruleId": "R0", "level": "error"}},
             {{{m}, "ruleId": "R0"}},
             {{{m}, "ruleId": "R0/part"}},
             {{{m}, "ruleIndex": 0}},
             {{{m}, "rule": {{"id": "R0"}}}},
             {{{m}, "rule": {{"index": 0, "toolComponent": {{"index": 0}}}}}},
             {{{m}, "ruleId": "R0", "provenance": {{"invocationIndex": 0}}}},
             {{{m}, "ruleId": "R1"}},
             {{{m}, "ruleId": "unknown", "ruleIndex": -1}},
             {{{m}}},
             {{{m}, "kind": "pass"}},
             {{{m}, "kind": "fail", "ruleId": "R0"}}]"#
    )));
    use Level::{Error, None, Note, Warning};
    let levels: Vec<Level> = data.findings.iter().map(|finding| finding.level).collect();
    assert_eq!(levels, [Error, Note, Note, Note, Note, Error, Error, Warning, Warning, Warning, None, Note]);
    let rules: Vec<Option<&str>> = data.findings.iter().map(|finding| finding.rule.as_deref()).collect();
    assert_eq!(rules[2..6], [Some("R0/part"), Some("R0"), Some("R0"), Some("X0")]);
    assert_eq!(rules[9], Option::None);
}

#[test]
fn suppressed_and_gone_results_are_left_out() {
    let data = findings(&log(r#""results": [
             {"message": {"text": "kept"}, "suppressions": []},
             {"message": {"text": "suppressed"}, "suppressions": [{"kind": "inSource"}]},
             {"message": {"text": "accepted"}, "suppressions": [{"kind": "external", "status": "accepted"}]},
             {"message": {"text": "rejected"}, "suppressions": [{"kind": "inSource"}, {"kind": "external", "status": "rejected"}]},
             {"message": {"text": "gone"}, "baselineState": "absent"}]"#));
    let messages: Vec<&str> = data.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!((messages.as_slice(), data.suppressed), (["kept", "rejected"].as_slice(), 2));
}

#[test]
fn a_message_may_be_in_the_rule() {
    let data = findings(&log(
        r#""results": [{"ruleIndex": 1, "message": {"id": "default", "arguments": ["it", "{0}"]}}]"#,
    ));
    assert_eq!(data.findings[0].message, "it is {0}");
}

#[test]
fn each_run_has_its_own_evidence_and_digest() {
    let run = r#"{"tool": {"driver": {"name": "t"}}, "results": []}"#;
    let read = read(Format::Sarif, &format!(r#"{{"version": "2.1.0", "runs": [{run}, {run}]}}"#));
    assert_eq!(read.len(), 2);
    assert_ne!(read[0].digest, read[1].digest);
}

#[test]
fn an_empty_diff_is_an_empty_change() {
    let EvidenceData::Change(change) = &read(Format::Numstat, "")[0].data else { panic!("no change") };
    assert!(change.files.is_empty());
}

#[test]
fn a_long_message_is_cut() {
    let data = tests(&format!(
        "<testsuite><testcase name='a'><failure message='{}'/></testcase></testsuite>",
        "ö".repeat(5000)
    ));
    assert_eq!(data.failures[0].message.chars().count(), 2001);
}
