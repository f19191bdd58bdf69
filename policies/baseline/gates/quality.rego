# Facts of the gate `quality`. A report that cannot be read as expected leaves its fact undefined:
# every comprehension is counted against the reports it came from.
package cku.quality

import rego.v1

coverage_reports := [document.data |
	some document in input.submission.evidence
	document.kind == "coverage"
]

test_reports := [document.data |
	some document in input.submission.evidence
	document.kind == "tests"
]

# What a secret scanner finds is the matter of the gate `security`, and no sign that a linter ran.
lint_reports := [document.data |
	some document in input.submission.evidence
	document.kind == "findings"
	not lower(document.tool) in data.cku.settings.security.secret_scanners
]

# Hundredths of a percent, floored; of several reports the worst, so that adding one never helps.
line_coverage := min(rates) if {
	rates := [floor((report.lines.hit * 10000) / report.lines.total) |
		some report in coverage_reports
		report.lines.total > 0
	]
	count(rates) == count(coverage_reports)
}

# A report in which no test ran says nothing about failures.
tests_failed := sum(failures) if {
	sum([ran | some report in test_reports; ran := report.total - report.skipped]) > 0
	failures := [failed | some report in test_reports; failed := report.failed + report.errors]
	count(failures) == count(test_reports)
}

lint_errors := sum(errors) if {
	count(lint_reports) > 0
	errors := [report.counts.error | some report in lint_reports]
	count(errors) == count(lint_reports)
}

lint_warnings := sum(warnings) if {
	count(lint_reports) > 0
	warnings := [report.counts.warning | some report in lint_reports]
	count(warnings) == count(lint_reports)
}

submitter_accepted := count(unaccepted) == 0

# A document whose submitter or kind is unknown is not accepted.
unaccepted contains index if {
	some index, document in input.submission.evidence
	not input.evidence_by[document.digest].kind in data.cku.settings.quality.accepted_submitters[input.mode][document.kind]
}
