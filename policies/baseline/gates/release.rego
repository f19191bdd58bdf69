# Facts of the gate `release`.
package cku.release

import rego.v1

target_allowed := targets - allowed == set() if {
	targets := data.cku.lib.targets
	patterns := data.cku.lib.settings.release.allowed_targets
	allowed := {target |
		some target in targets
		some pattern in patterns[input.mode]
		glob.match(pattern, ["/"], target)
	}
}

# Said in words, or there is nothing that could not be reversed. No plan says nothing.
rollback_plan if {
	is_string(input.submission.plan.rollback)
	trim_space(input.submission.plan.rollback) != ""
} else if {
	is_array(input.submission.plan.steps)
	count(data.cku.lib.irreversible_steps) == 0
} else := false

frozen := true if {
	input.state.freeze.active == true
} else := false if input.state.freeze.active == false

freeze_reason := reason if {
	reason := input.state.freeze.reason
	trim_space(reason) != ""
} else := "no reason given"
