# What is done about a failure of a step: try it again, leave it out, undo what was done, or ask a
# person. `strategy` always has a value; whatever is missing or unknown is an alert.
package cku.healing

import rego.v1

strategy := {
	"strategy": "retry",
	"delay_ms": delay,
	"max_delay_ms": settings.max_delay_ms,
	"max_attempts": most_attempts,
	"reason": reason,
} if {
	may_be_tried_again
	delay := object.get(settings.delay_ms, input.failure.class, 1000)
} else := {"strategy": "skip", "reason": "the plan goes on without it"} if {
	known
	input.step.on_failure == "skip"
	input.failure.class != "interrupted"
} else := {"strategy": "rollback", "reason": "what was done is undone"} if {
	known
	not input.step.on_failure == "alert"
	not effect_unknown
} else := {"strategy": "alert", "reason": "the policy leaves it to a person"}

settings := data.cku.settings.healing

classes := {"transient", "not_found", "permission", "conflict", "verification", "policy", "timeout", "resource", "interrupted", "unknown"}

# Everything that is looked at is there, and of a kind that is known.
known if {
	input.failure.class in classes
	is_number(settings.attempts[input.run.mode])
	is_number(input.step.attempt)
	is_boolean(input.step.effects)
	is_boolean(input.step.reversible)
	is_boolean(input.step.idempotent)
	is_number(input.budget.retries_left)
	is_boolean(input.budget.circuit_open)
}

most_attempts := settings.attempts[input.run.mode]

# `attempt` counts the tries that were not interrupted.
may_be_tried_again if {
	known
	input.failure.class != "interrupted"
	input.step.attempt < most_attempts
	input.budget.retries_left > 0
	input.budget.circuit_open == false
	harmless_to_repeat
	passes_by_itself
}

# cku went away while it ran, or was asked to end: nobody's fault, so no limit holds. It takes somebody
# who resumes the run each time.
may_be_tried_again if {
	known
	input.failure.class == "interrupted"
	harmless_to_repeat
}

reason := "it was interrupted" if {
	input.failure.class == "interrupted"
} else := sprintf("%s, try %d of %d", [input.failure.class, input.step.attempt + 1, most_attempts])

passes_by_itself if input.failure.class in settings.retried

passes_by_itself if {
	input.step.on_failure == "retry"
	not input.failure.class in {"policy", "permission"}
}

# A second try has no second effect, or what there is of the first can be taken back.
harmless_to_repeat if input.step.effects == false

harmless_to_repeat if input.step.idempotent == true

harmless_to_repeat if input.step.reversible == true

# Nobody knows what the step did, and it can neither be repeated nor undone.
effect_unknown if {
	not harmless_to_repeat
	input.failure.class in {"interrupted", "timeout", "unknown", "resource"}
	not input.run.mode in settings.unattended
}

effect_unknown if {
	not harmless_to_repeat
	input.failure.class == "interrupted"
}
