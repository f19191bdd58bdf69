# Facts of the gate `evidence`. All are collected for every diff; the rules look at learned ones only.
package change_control.evidence

import rego.v1

learned := data.change_control.lib.learned

direction := input.policy_diff.direction

replayed := decisions if {
	decisions := input.policy_diff.replay.decisions
} else := 0 if nothing_replayed

# Hundredths of a percent, rounded up. Where nothing was looked at, nothing could be decided anew.
not_replayable := ceil((lost * 10000) / total) if {
	lost := input.policy_diff.replay.not_replayable
	total := lost + input.policy_diff.replay.decisions
	total > 0
} else := 10000 if replayed == 0

nothing_replayed if object.get(input.policy_diff, "replay", null) == null

off_grid := count(off)

off_grid_names := data.change_control.lib.listed(off)

off := data.change_control.lib.lacking("on_grid")

out_of_range := count(out)

out_of_range_names := data.change_control.lib.listed(out)

out := data.change_control.lib.lacking("in_range")

# Seconds since the learner last changed one of the same thresholds, rounded down and at most 30 days:
# the state reaches back no further. A change from the future was just now.
unchanged_for := min({2592000} | ages) if {
	now := data.change_control.lib.now
	activated := learned_activations
	names := changed_names
	ages := {max([0, floor((now - time.parse_rfc3339_ns(activation.time)) / 1000000000)]) |
		some activation in activated
		some name in activation.thresholds
		name in names
	}
}

# Whether all that changes goes back on what was learned last of it. Of nothing, nothing is said.
returns if {
	count(data.change_control.lib.thresholds) > 0
	count(data.change_control.lib.lacking("returns")) == 0
} else := false

learned_this_week := count(recent) if {
	now := data.change_control.lib.now
	activated := learned_activations
	recent := [activation |
		some activation in activated
		now - time.parse_rfc3339_ns(activation.time) < ((7 * 24) * 3600) * 1000000000
	]
}

# What is not said to come from a person counts as learned.
learned_activations := [activation | some activation in activated; not activation.learned == false] if {
	activated := input.state.changes.activated
}

contested := count(contested_thresholds)

contested_names := data.change_control.lib.listed(contested_thresholds)

contested_thresholds := {name |
	some diff in open
	not diff.learned == false
	diff.id != own_id
	some name in diff.thresholds
	name in names
} if {
	open := input.state.changes.open
	own_id := input.policy_diff.id
	names := changed_names
}

changed_names := object.keys(data.change_control.lib.thresholds)
