# Facts of the gate `rollout`.
package train.rollout

import rego.v1

# Hundredths of a percent. Stages rise, and the last is all of the fleet.
first_stage := stages[0] if {
	stages := input.submission.labels.train.stages
	is_array(stages)
	count(stages) > 0
	stages == sort({stage | some stage in stages})
	stages[count(stages) - 1] == 10000
}

downtime := input.submission.labels.train.downtime_seconds

# Cents.
cost := sum(costs) if {
	steps := input.submission.plan.steps
	costs := [step.estimated_cost | some step in steps]
}

# Said in words, or there is nothing that could not be reversed. No plan says nothing.
way_back if {
	is_string(input.submission.plan.rollback)
	trim_space(input.submission.plan.rollback) != ""
} else if {
	steps := input.submission.plan.steps
	irreversible := [step |
		some step in steps
		not step.effects == false
		not step.reversible == true
	]
	count(irreversible) == 0
} else := false
