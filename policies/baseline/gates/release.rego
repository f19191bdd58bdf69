# Facts of the gate `release`.
package cku.release

import rego.v1

target_allowed := count(data.cku.lib.targets - allowed) == 0

allowed contains target if {
	some target in data.cku.lib.targets
	some pattern in data.cku.settings.release.allowed_targets[input.mode]
	glob.match(pattern, ["/"], target)
}

rollback_plan := false if not way_back

rollback_plan if way_back

# Said in words, or there is nothing that could not be reversed. No plan says nothing.
way_back if {
	is_string(input.submission.plan.rollback)
	trim_space(input.submission.plan.rollback) != ""
}

way_back if {
	is_array(input.submission.plan.steps)
	count(data.cku.lib.irreversible_steps) == 0
}

frozen := true if input.state.freeze.active == true

frozen := false if input.state.freeze.active == false

freeze_reason := reason if {
	reason := input.state.freeze.reason
	trim_space(reason) != ""
}

else := "no reason given"
