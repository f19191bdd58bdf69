package cku.quality_test

import rego.v1

coverage(hit, total) := {"kind": "coverage", "tool": "lcov", "digest": "d", "data": {"lines": {"hit": hit, "total": total}}}

junit(failed, errors, skipped, total) := {"kind": "tests", "tool": "pytest", "digest": "d", "data": {"failed": failed, "errors": errors, "skipped": skipped, "total": total}}

sarif(tool, errors, warnings) := {"kind": "findings", "tool": tool, "digest": "d", "data": {"findings": [], "counts": {"error": errors, "warning": warnings}}}

input_of(evidence) := {"mode": "prod", "tenant": "acme/payments", "submission": {"evidence": evidence}, "submitted_by": [{"kind": "service_account", "tenant": "acme"} | some _ in evidence]}

test_coverage_is_exact if {
	data.cku.quality.line_coverage == 7840 with input as input_of([coverage(784, 1000)])
	data.cku.quality.line_coverage == 7840 with input as input_of([coverage(7840, 10000)])
	data.cku.quality.line_coverage == 10000 with input as input_of([coverage(3, 3)])
	data.cku.quality.line_coverage == 0 with input as input_of([coverage(0, 3)])
}

test_coverage_is_floored if {
	data.cku.quality.line_coverage == 6666 with input as input_of([coverage(2, 3)])
	data.cku.quality.line_coverage == 7999 with input as input_of([coverage(799999, 1000000)])
	data.cku.quality.line_coverage == 9999 with input as input_of([coverage(999999999, 1000000000)])
}

test_the_worst_of_several_reports_counts if {
	data.cku.quality.line_coverage == 5000 with input as input_of([coverage(99, 100), coverage(1, 2), coverage(100, 100)])
}

test_no_coverage_is_undefined if {
	not data.cku.quality.line_coverage with input as input_of([])
	not data.cku.quality.line_coverage with input as input_of([coverage(0, 0)])
	not data.cku.quality.line_coverage with input as input_of([coverage(9, 10), coverage(0, 0)])
	not data.cku.quality.line_coverage with input as input_of([coverage(9, 10), {"kind": "coverage", "data": {"lines": {"total": 9}}}])
}

test_failures_and_errors_of_all_reports_add_up if {
	data.cku.quality.tests_failed == 0 with input as input_of([junit(0, 0, 1, 10)])
	data.cku.quality.tests_failed == 6 with input as input_of([junit(1, 2, 0, 10), junit(3, 0, 0, 10)])
}

test_no_test_that_ran_is_undefined if {
	not data.cku.quality.tests_failed with input as input_of([])
	not data.cku.quality.tests_failed with input as input_of([junit(0, 0, 0, 0)])
	not data.cku.quality.tests_failed with input as input_of([junit(0, 0, 4, 4)])
	not data.cku.quality.tests_failed with input as input_of([junit(0, 0, 0, 4), {"kind": "tests", "data": {"total": 9, "skipped": 0}}])
}

test_lint_of_all_linters_adds_up if {
	data.cku.quality.lint_errors == 3 with input as input_of([sarif("ruff", 1, 0), sarif("clippy", 2, 4)])
	data.cku.quality.lint_warnings == 4 with input as input_of([sarif("ruff", 1, 0), sarif("clippy", 2, 4)])
}

test_a_secret_scanner_is_no_linter if {
	not data.cku.quality.lint_errors with input as input_of([sarif("gitleaks", 0, 0)])
	not data.cku.quality.lint_errors with input as input_of([sarif("TruffleHog", 0, 0)])
	data.cku.quality.lint_errors == 1 with input as input_of([sarif("gitleaks", 5, 0), sarif("ruff", 1, 0)])
}

test_every_document_needs_an_accepted_submitter if {
	data.cku.quality.submitter_accepted == true with input as input_of([coverage(1, 1)])
	data.cku.quality.submitter_accepted == false with input as object.union(input_of([coverage(1, 1)]), {"submitted_by": [{"kind": "agent", "tenant": "acme"}]})
	data.cku.quality.submitter_accepted == false with input as {"mode": "prod", "submission": {"evidence": [coverage(1, 1)]}, "submitted_by": [null]}
	data.cku.quality.submitter_accepted == false with input as input_of([coverage(1, 1), {"kind": "horoscope", "digest": "d"}])
	data.cku.quality.submitter_accepted == false with input as object.union(input_of([coverage(1, 1)]), {"mode": "unknown"})
	data.cku.quality.submitter_accepted == false with input as object.union(input_of([coverage(1, 1)]), {"tenant": "globex"})
}
