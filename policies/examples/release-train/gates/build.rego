# Facts of the gate `build`. A report that cannot be read as expected leaves its fact undefined.
package train.build

import rego.v1

reports(kind) := [document.data |
	some document in input.submission.evidence
	document.kind == kind
]

# A report in which no test ran says nothing about failures.
tests_failed := sum(failures) if {
	found := reports("tests")
	sum([ran | some report in found; ran := report.total - report.skipped]) > 0
	failures := [failed | some report in found; failed := report.failed + report.errors]
}

# Hundredths of a percent of all tests, rounded up.
tests_skipped := ceil((sum(skipped) * 10000) / sum(totals)) if {
	found := reports("tests")
	totals := [report.total | some report in found]
	skipped := [report.skipped | some report in found]
	sum(totals) > sum(skipped)
}

# Hundredths of a percent, floored; of several reports the worst.
line_coverage := min(rates) if {
	found := reports("coverage")
	rates := [floor((report.lines.hit * 10000) / report.lines.total) |
		some report in found
		report.lines.total > 0
	]
	count(rates) == count(found)
}

# Without a diff nobody knows.
lines_changed := sum(changed) if {
	found := reports("change")
	count(found) > 0
	changed := [lines | some report in found; lines := report.added + report.removed]
}

by_ci if {
	others := [index |
		some index, _ in input.submission.evidence
		not input.submitted_by[index].kind == "service_account"
	]
	count(others) == 0
} else := false
