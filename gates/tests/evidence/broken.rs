//! Broken and hostile reports: each is refused with a place, and the whole message is read.

use std::fmt::Write;

use cku_gates::evidence::{self, Fault, Format, Limits};

/// What each report is refused with, one line each.
fn refusals(format: Format, reports: &[(&str, Vec<u8>)]) -> String {
    let mut text = String::new();
    let limits = Limits { bytes: 100_000, depth: 20, items: 50 };
    for (name, bytes) in reports {
        let error =
            evidence::parse(format, "report", bytes, &limits).expect_err(&format!("{name}: was read"));
        assert!(error.place().is_some(), "{name}");
        writeln!(text, "{name}\n  {error}").unwrap();
    }
    text
}

fn texts(reports: &[(&'static str, &str)]) -> Vec<(&'static str, Vec<u8>)> {
    reports.iter().map(|(name, text)| (*name, text.as_bytes().to_vec())).collect()
}

#[test]
fn broken_tracefiles() {
    let mut reports = texts(&[
        ("an empty file", ""),
        ("another text", "hello\n"),
        ("no file", "TN:\n"),
        ("a line before any file", "DA:1,1\n"),
        ("an end without a beginning", "end_of_record\n"),
        ("cut off", "SF:a.py\nDA:1,1\nDA:2"),
        ("cut off between records", "SF:a.py\nDA:1,1\n"),
        ("no end of the first file", "SF:a.py\nDA:1,1\nSF:b.py\nend_of_record\n"),
        ("a file without a path", "SF:\nend_of_record\n"),
        ("line 0", "SF:a.py\nDA:0,1\nend_of_record\n"),
        ("line too large", "SF:a.py\nDA:4294967296,1\nend_of_record\n"),
        ("no line number", "SF:a.py\nDA:,1\nend_of_record\n"),
        ("no count", "SF:a.py\nDA:1\nend_of_record\n"),
        ("a negative count", "SF:a.py\nDA:1,-3\nend_of_record\n"),
        ("a fraction", "SF:a.py\nDA:1,1.5\nend_of_record\n"),
        ("a count too large", "SF:a.py\nDA:1,99999999999999999999\nend_of_record\n"),
        ("a plus sign", "SF:a.py\nDA:1,+1\nend_of_record\n"),
        ("too few fields of a branch", "SF:a.py\nBRDA:1,0\nend_of_record\n"),
        ("more lines found than listed", "SF:a.py\nDA:1,1\nLF:2\nLH:1\nend_of_record\n"),
        ("more lines hit than listed", "SF:a.py\nDA:1,1\nDA:2,0\nLF:2\nLH:2\nend_of_record\n"),
        ("branches that are not listed", "SF:a.py\nDA:1,1\nBRF:2\nBRH:0\nend_of_record\n"),
        ("branches that are not taken", "SF:a.py\nBRDA:1,0,0,-\nBRF:1\nBRH:1\nend_of_record\n"),
        ("a total twice", "SF:a.py\nLF:0\nLF:0\nend_of_record\n"),
        ("a record that is none", "SF:a.py\nDA 1,1\nend_of_record\n"),
    ]);
    reports.push(("not UTF-8", b"SF:a.py\nTN:caf\xe9\nend_of_record\n".to_vec()));
    reports.push(("UTF-16", b"\xff\xfeS\0F\0".to_vec()));
    reports.push(("too many bytes", vec![b'#'; 100_001]));
    let many: String = (0..51).map(|i| format!("SF:{i}\nend_of_record\n")).collect();
    reports.push(("too many files", many.into_bytes()));
    insta::assert_snapshot!(refusals(Format::Lcov, &reports));
}

#[test]
fn broken_cobertura_reports() {
    let class = |lines: &str| {
        format!(
            "<coverage line-rate=\"1\"><packages><package><classes><class filename=\"a.py\">\n\
             <lines>{lines}</lines></class></classes></package></packages></coverage>"
        )
    };
    let root = |attributes: &str| {
        format!(
            "<coverage {attributes}>\n<class filename=\"a.py\"><lines><line number=\"1\" hits=\"0\" \
             condition-coverage=\"50% (1/2)\"/></lines></class></coverage>"
        )
    };
    let laughs = "<!DOCTYPE coverage [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;\">]><coverage line-rate=\"1\">&b;</coverage>";
    let mut reports = texts(&[
        ("an empty file", ""),
        ("another text", "hello"),
        ("a comment alone", "<!-- nothing -->"),
        ("another root", "<html></html>"),
        ("JaCoCo", "<report name=\"x\"></report>"),
        ("Clover", "<coverage generated=\"1\"><project/></coverage>"),
        ("billion laughs", laughs),
        (
            "an external entity",
            "<!DOCTYPE coverage SYSTEM \"file:///etc/passwd\"><coverage line-rate=\"1\"/>",
        ),
        (
            "an external DTD elsewhere",
            "<!DOCTYPE coverage SYSTEM \"http://x/coverage-04.dtd?a\"><coverage line-rate=\"1\"/>",
        ),
        (
            "a DTD with a subset",
            "<!DOCTYPE coverage SYSTEM \"http://x/coverage-04.dtd\" [<!ENTITY a \"b\">]><coverage line-rate=\"1\"/>",
        ),
        ("an entity in text", "<coverage line-rate=\"1\">&nbsp;</coverage>"),
        ("an entity in an attribute", "<coverage line-rate=\"&one;\"/>"),
        ("a reference without end", "<coverage line-rate=\"1 & 2\"/>"),
        ("a reference to no character", "<coverage line-rate=\"1\">&#0;</coverage>"),
        ("another encoding", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><coverage line-rate=\"1\"/>"),
        ("cut off in a tag", "<coverage line-rate=\"1\"><packages"),
        ("cut off in a value", "<coverage line-rate=\"1"),
        ("cut off behind a tag", "<coverage line-rate=\"1\">\n <packages>\n"),
        ("cut off in a comment", "<coverage line-rate=\"1\"><!-- "),
        ("crossed tags", "<coverage line-rate=\"1\"><a></coverage></a>"),
        ("an end too many", "<coverage line-rate=\"1\"/></coverage>"),
        ("two roots", "<coverage line-rate=\"1\"/><coverage line-rate=\"1\"/>"),
        ("text behind the root", "<coverage line-rate=\"1\"/>\nend"),
        ("an attribute twice", "<coverage line-rate=\"1\" line-rate=\"0\"/>"),
        ("an attribute without quotes", "<coverage line-rate=1/>"),
        ("an attribute without value", "<coverage line-rate/>"),
        ("no file name", "<coverage line-rate=\"1\"><class name=\"a\"/></coverage>"),
        ("an empty file name", "<coverage line-rate=\"1\"><class filename=\"\"/></coverage>"),
        (
            "a class in a class",
            "<coverage line-rate=\"1\"><class filename=\"a\"><class filename=\"b\"/></class></coverage>",
        ),
        ("a line without class", "<coverage line-rate=\"1\"><line number=\"1\" hits=\"1\"/></coverage>"),
        ("a line without number", &class("<line hits=\"1\"/>")),
        ("a line without hits", &class("<line number=\"1\"/>")),
        ("line 0", &class("<line number=\"0\" hits=\"1\"/>")),
        ("negative hits", &class("<line number=\"1\" hits=\"-1\"/>")),
        ("hits that are no integer", &class("<line number=\"1\" hits=\"1.0\"/>")),
        ("hits too large", &class("<line number=\"1\" hits=\"9007199254740992\"/>")),
        ("a condition that is none", &class("<line number=\"1\" hits=\"1\" condition-coverage=\"50%\"/>")),
        (
            "more conditions than there are",
            &class("<line number=\"1\" hits=\"1\" condition-coverage=\"200% (2/1)\"/>"),
        ),
        ("more lines than listed", &root("lines-valid=\"2\"")),
        ("more covered lines than listed", &root("lines-valid=\"1\" lines-covered=\"1\"")),
        ("more branches than listed", &root("line-rate=\"0\" branches-valid=\"3\"")),
        ("more covered branches than listed", &root("line-rate=\"0\" branches-covered=\"2\"")),
        ("a total that is no number", &root("lines-valid=\"many\"")),
    ]);
    reports.push(("not UTF-8", b"<coverage line-rate=\"1\">\n\xe9</coverage>".to_vec()));
    let deep = format!("<coverage line-rate=\"1\">{}", "<a>".repeat(1000));
    reports.push(("nested too deeply", deep.into_bytes()));
    let many: String = (0..200).map(|i| format!(" a{i}=\"1\"")).collect();
    reports.push(("too many attributes", format!("<coverage{many}/>").into_bytes()));
    let many = "<class filename=\"a\"/>".repeat(51);
    reports.push(("too many classes", format!("<coverage line-rate=\"1\">{many}</coverage>").into_bytes()));
    reports.push(("too many bytes", vec![b' '; 100_001]));
    insta::assert_snapshot!(refusals(Format::Cobertura, &reports));
}

#[test]
fn broken_junit_reports() {
    let suite = |attributes: &str| {
        format!(
            "<testsuites>\n<testsuite name=\"s\" {attributes}>\
             <testcase name=\"a\"/><testcase name=\"b\"><failure/></testcase>\
             <testcase name=\"c\"><error/></testcase><testcase name=\"d\"><skipped/></testcase>\
             </testsuite></testsuites>"
        )
    };
    let mut reports = texts(&[
        ("an empty file", " \n"),
        ("another root", "<coverage/>"),
        ("a case as root", "<testcase name=\"a\"/>"),
        ("a document type", "<!DOCTYPE testsuites SYSTEM \"http://x/coverage-04.dtd\"><testsuites/>"),
        (
            "a case within a case",
            "<testsuite><testcase name=\"a\"><testcase name=\"b\"/></testcase></testsuite>",
        ),
        (
            "a case within properties",
            "<testsuite><properties><testcase name=\"a\"/></properties></testsuite>",
        ),
        ("an error without a case", "<testsuite><error message=\"cannot start\"/></testsuite>"),
        ("a case without name", "<testsuite><testcase classname=\"a\"/></testsuite>"),
        ("more tests than cases", &suite("tests=\"5\"")),
        ("fewer tests than cases", &suite("tests=\"3\"")),
        ("fewer failures than cases", &suite("tests=\"4\" failures=\"0\"")),
        ("fewer errors than cases", &suite("errors=\"0\"")),
        ("more skipped than cases", &suite("skipped=\"2\"")),
        ("a negative total", &suite("failures=\"-1\"")),
        ("a total that is no number", &suite("failures=\"\"")),
        (
            "totals of the root",
            "<testsuites tests=\"2\"><testsuite><testcase name=\"a\"/></testsuite></testsuites>",
        ),
        ("cut off", "<testsuites><testsuite><testcase name=\"a\">"),
        ("a control character", "<testsuites><testsuite name=\"&#xFFFFFFFF;\"/></testsuites>"),
    ]);
    let many = "<testcase name=\"a\"/>".repeat(51);
    reports.push(("too many cases", format!("<testsuite>{many}</testsuite>").into_bytes()));
    reports.push(("nested too deeply", "<testsuite>".repeat(1000).into_bytes()));
    insta::assert_snapshot!(refusals(Format::Junit, &reports));
}

#[test]
fn broken_sarif_logs() {
    let run = |members: &str| {
        format!(
            "{{\"version\": \"2.1.0\", \"runs\": [{{\"tool\": {{\"driver\": {{\"name\": \"t\", \
             \"rules\": [{{\"id\": \"R1\"}}]}}}},\n{members}}}]}}"
        )
    };
    let result =
        |members: &str| run(&format!("\"results\": [\n{{\"message\": {{\"text\": \"m\"}}, {members}}}]"));
    let mut reports = texts(&[
        ("an empty file", ""),
        ("no object", "[]"),
        ("another document", "{\"name\": \"x\"}"),
        ("another version", "{\"version\": \"2.0.0\", \"runs\": []}"),
        ("no runs", "{\"version\": \"2.1.0\"}"),
        ("empty runs", "{\"version\": \"2.1.0\",\n \"runs\": []}"),
        ("runs that are no array", "{\"version\": \"2.1.0\", \"runs\": {}}"),
        ("no tool", "{\"version\": \"2.1.0\", \"runs\": [{\"results\": []}]}"),
        ("cut off", "{\"version\": \"2.1.0\", \"runs\": ["),
        ("a key twice", "{\"version\": \"2.1.0\", \"runs\": [],\n \"runs\": []}"),
        ("text behind the end", "{\"version\": \"2.1.0\", \"runs\": []} {}"),
        ("a lone surrogate", "{\"version\": \"\\ud800\"}"),
        ("an infinite number", "{\"version\": 1e999}"),
        ("no results", &run("\"columnKind\": \"utf16CodeUnits\"")),
        ("results that are null", &run("\"results\": null")),
        ("results elsewhere", &run("\"externalPropertyFileReferences\": {\"results\": [{}]}")),
        (
            "a tool that did not finish",
            &run("\"results\": [], \"invocations\": [{\"executionSuccessful\": false}]"),
        ),
        ("a result that is no object", &run("\"results\": [1]")),
        ("no message", &run("\"results\": [{\"ruleId\": \"R1\"}]")),
        ("a message that is no object", &run("\"results\": [{\"message\": \"m\"}]")),
        ("an unknown level", &result("\"level\": \"fatal\"")),
        ("a level that is no text", &result("\"level\": 3")),
        ("a pass that is an error", &result("\"kind\": \"pass\", \"level\": \"error\"")),
        ("a rule that is not there", &result("\"ruleIndex\": 7")),
        ("a rule with a fraction", &result("\"ruleIndex\": 0.5")),
        (
            "a negative line",
            &result("\"locations\": [{\"physicalLocation\": {\"region\": {\"startLine\": -2}}}]"),
        ),
        ("line 0", &result("\"locations\": [{\"physicalLocation\": {\"region\": {\"startLine\": 0}}}]")),
        ("locations that are no array", &result("\"locations\": {}")),
    ]);
    reports.push(("not UTF-8", b"{\"version\":\n\"\xe9\"}".to_vec()));
    reports.push(("nested too deeply", format!("{{\"runs\": {}", "[".repeat(1000)).into_bytes()));
    let many = vec!["{\"message\": {\"text\": \"m\"}}"; 51].join(",");
    reports.push(("too many results", run(&format!("\"results\": [{many}]")).into_bytes()));
    let rule =
        format!("{{\"id\": \"R\", \"messageStrings\": {{\"m\": {{\"text\": \"{}\"}}}}}}", "x".repeat(3000));
    let many = vec!["{\"ruleIndex\": 0, \"message\": {\"id\": \"m\"}}"; 50].join(",");
    let log = format!(
        "{{\"version\": \"2.1.0\", \"runs\": [{{\"results\": [{many}],\n\
         \"tool\": {{\"driver\": {{\"name\": \"t\", \"rules\": [{rule}]}}}}}}]}}"
    );
    reports.push(("one text for many messages", log.into_bytes()));
    insta::assert_snapshot!(refusals(Format::Sarif, &reports));
}

#[test]
fn broken_changes() {
    let mut reports = texts(&[
        ("another text", "hello"),
        ("without -z", "1\t2\ta.py\n3\t4\tb.py\n"),
        ("cut off in a number", "1\t2\ta.py\x003"),
        ("cut off in a path", "1\t2\ta.py"),
        ("cut off in a rename", "1\t2\t\0a.py\0"),
        ("cut off behind the numbers", "1\t2\t"),
        ("one number", "1\ta.py\0"),
        ("a negative number", "-1\t2\ta.py\0"),
        ("half binary", "-\t2\ta.py\0"),
        ("a number too large", "9007199254740992\t2\ta.py\0"),
        ("a sum too large", "900719925474\t0\ta.py\x001\t0\tb.py\0"),
        ("an absolute path", "1\t2\t/etc/passwd\0"),
        ("a path outside", "1\t2\tsrc/../../x\0"),
        ("a path outside before", "1\t2\t\0../x\0y\0"),
        ("a path that is not plain", "1\t2\t./x\0"),
        ("a path twice", "1\t2\ta.py\x001\t2\ta.py\0"),
        ("an empty path", "1\t2\t\0\0a.py\0"),
    ]);
    reports.push(("a path that is not UTF-8", b"1\t2\ta.py\x001\t2\tcaf\xe9.py\0".to_vec()));
    let many: String = (0..51).map(|i| format!("1\t1\t{i}\0")).collect();
    reports.push(("too many files", many.into_bytes()));
    insta::assert_snapshot!(refusals(Format::Numstat, &reports));
}

#[test]
fn every_fault_has_its_own_code() {
    let codes: Vec<&str> = Fault::ALL.iter().map(|fault| fault.code()).collect();
    let expected: Vec<String> = (1..=codes.len()).map(|i| format!("E{i:03}")).collect();
    assert_eq!(codes, expected);
}
