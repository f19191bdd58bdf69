# gates/quality.gate:2: gate quality
package cku.facts.quality

collected := {
	# gates/quality.gate:4
	"line_coverage": {x | x := data.cku.quality.line_coverage},
	# gates/quality.gate:5
	"lint_errors": {x | x := data.cku.quality.lint_errors},
	# gates/quality.gate:6
	"lint_warnings": {x | x := data.cku.quality.lint_warnings},
	# gates/quality.gate:7
	"tests_failed": {x | x := data.cku.quality.tests_failed},
	# gates/quality.gate:8
	"submitter_accepted": {x | x := data.cku.quality.submitter_accepted}
}
