# Facts of the gate `reach`. Whether a target may be touched is asked of Cedar, one by one.
package agent.reach

import rego.v1

targets := {target | some call in calls; some target in call.targets} if calls := data.agent.lib.calls

untargeted := count([call |
	some call in effectful
	not count(call.targets) > 0
]) if {
	effectful := data.agent.lib.effectful_calls
}

# A tool that is not known could do anything.
unknown_tools := {call.skill | some call in unknown} if unknown

unknown_calls := count(unknown)

unknown := [call |
	some call in calls
	not call.skill in {"command", "file", "read", "fetch"}
] if {
	calls := data.agent.lib.calls
}
