# Facts of the gate `supervision`.
package agent.supervision

import rego.v1

# The sum of its parts in ten-thousandths, at most 1. One part that cannot be told leaves it undefined.
risk := min([10000, sum([points | some points in parts])]) if parts := weighed

# The parts that count, as a person reads them.
risk_parts := concat(", ", sort([sprintf("%s %.4f", [part, points / 10000]) | some part, points in weighed; points > 0])) if {
	weighed
} else := ""

weighed := object.union(points, {"unreliable": unreliable}) if {
	weights := data.agent.lib.settings.risk
	present := parts
	points := {part: weight | some part, is_present in present; is_present; weight := weights[part]}
	count(points) == count([part | some part, is_present in present; is_present])
}

parts := {
	"irreversible": irreversible > 0,
	"unlisted": data.agent.commands.unlisted > 0,
	"network": data.agent.commands.foreign_hosts > 0,
	"rules": data.agent.files.rules_changed > 0,
	"deletes": count(data.agent.lib.deleting) > 0,
	"publishes": data.agent.tests.publishes,
}

# What has effects and is not said to be reversible, unless the command is a listed one.
irreversible := count([call |
	some call in effectful
	not call.reversible == true
	not data.agent.lib.listed_call(call)
]) if {
	data.agent.lib.lines
	effectful := data.agent.lib.effectful_calls
}

# By the least reliable tool among the calls, rounded up.
unreliable := ceil(((10000 - min(reliabilities)) * weight) / 10000) if {
	weight := data.agent.lib.settings.risk.unreliable
	default_reliability := data.agent.lib.settings.risk.default_reliability
	known := input.state.reliability.skills
	reliabilities := {object.get(known, call.skill, default_reliability) | some call in data.agent.lib.calls}
}

# Nobody counts twice, and nobody who also refused.
approvals := count(approvers - refusers)

refusals := count(refusers)

# `valid` comes from outside the bundle: Cedar permits it, it is about these calls and these policies,
# and in time.
approvers := {name |
	some approval in input.approvals
	approval.gate == "supervision"
	approval.decision == "approve"
	approval.valid == true
	approval.approver.kind == "user"
	name := approval.approver.id
}

refusers := {refusal.approver.id |
	some refusal in input.approvals
	refusal.gate == "supervision"
	refusal.decision == "refuse"
	refusal.valid == true
}
