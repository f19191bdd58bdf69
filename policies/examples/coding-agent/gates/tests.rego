# Facts of the gate `tests`.
package agent.tests

import rego.v1

# A commit, a push, a pull request: others see the work from here on.
publishes := count(found) > 0 if {
	lines := data.agent.lib.lines
	prefixes := data.agent.lib.settings.commands.publishing
	is_array(prefixes)
	found := [line | some line in lines; some prefix in prefixes; data.agent.lib.begins(line, prefix)]
}

reports := [document.data | some document in input.submission.evidence; document.kind == "tests"]

# A test that was skipped did not run.
tests_run := sum([ran | some report in reports; ran := report.total - report.skipped])

tests_failed := sum([failed | some report in reports; failed := report.failed + report.errors])

# There is a report of tests, and each comes from a person or from CI.
certified if {
	count(reports) > 0
	by_agents := [index |
		some index, document in input.submission.evidence
		document.kind == "tests"
		not input.submitted_by[index].kind in {"user", "service_account"}
	]
	count(by_agents) == 0
} else := false
