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
	not lower(document.tool) in data.cku.lib.settings.security.secret_scanners
]

# Hundredths of a percent, floored; of several reports the worst, so that adding one never helps.
line_coverage := min(rates) if {
	reports := coverage_reports
	rates := [floor((report.lines.hit * 10000) / report.lines.total) |
		some report in reports
		report.lines.total > 0
	]
	count(rates) == count(reports)
}

# A report in which no test ran says nothing about failures.
tests_failed := sum(failures) if {
	reports := test_reports
	sum([ran | some report in reports; ran := report.total - report.skipped]) > 0
	failures := [failed | some report in reports; failed := report.failed + report.errors]
	count(failures) == count(reports)
}

lint_errors := sum(errors) if {
	reports := lint_reports
	reports != []
	errors := [report.counts.error | some report in reports]
	count(errors) == count(reports)
}

lint_warnings := sum(warnings) if {
	reports := lint_reports
	reports != []
	warnings := [report.counts.warning | some report in reports]
	count(warnings) == count(reports)
}

# A document whose submitter or kind is unknown is not accepted, nor one from outside the tenant.
submitter_accepted if {
	accepted := data.cku.lib.settings.quality.accepted_submitters
	homes := data.cku.lib.tenant_and_above
	every index, document in input.submission.evidence {
		submitter := input.submitted_by[index]
		submitter.kind in accepted[input.mode][document.kind]
		submitter.tenant in homes
	}
} else := false
