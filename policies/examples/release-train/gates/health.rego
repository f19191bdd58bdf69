# Facts of the gate `health`.
package train.health

import rego.v1

# Hundredths of a percent of the last nightlies, floored.
nightlies_passed := floor((nightlies.passed * 10000) / total) if {
	nightlies := input.submission.labels.train.nightlies
	nightlies.passed >= 0
	nightlies.failed >= 0
	total := nightlies.passed + nightlies.failed
	total > 0
}

error_budget := input.state.error_budget.remaining

record_broken := false if {
	input.state.chain.intact == true
} else := true if input.state.chain.intact == false
