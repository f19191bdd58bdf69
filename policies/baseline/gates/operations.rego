# Facts of the gate `operations`.
package cku.operations

import rego.v1

chain_broken := false if input.state.chain.intact == true

chain_broken := true if input.state.chain.intact == false

# Seconds, rounded up. A verification in the future has no age.
verify_age := ceil((data.cku.lib.now - verified_at) / 1000000000) if {
	verified_at := time.parse_rfc3339_ns(input.state.chain.verified_at)
	verified_at <= data.cku.lib.now
}

error_budget := input.state.error_budget.remaining

# The risk score, in ten-thousandths: the sum of its parts, at most 1. One part that cannot be
# derived leaves the whole undefined (a comprehension over the parts would be 0 then).
risk := min([10000, ((((risk_irreversible + risk_production) + risk_protected) + risk_size) + risk_first_time) + risk_unreliable])

risk_parts := {
	"irreversible": risk_irreversible,
	"production": risk_production,
	"protected": risk_protected,
	"size": risk_size,
	"first_time": risk_first_time,
	"unreliable": risk_unreliable,
}

risk_irreversible := points("irreversible", count(data.cku.lib.irreversible_steps))

risk_production := points("production", count(production_targets)) if is_array(data.cku.settings.operations.production_modes)

risk_protected := points("protected", count(protected_files)) if is_string(protected)

risk_size := points("size", count(data.cku.lib.changed_files))

risk_first_time := points("first_time", count(first_time_skills)) if is_array(input.state.first_time_skills)

# By the least reliable skill of the plan, rounded up.
risk_unreliable := 0 if count(skills) == 0

risk_unreliable := ceil(((10000 - min(reliabilities)) * data.cku.settings.operations.unreliable_weight) / 10000) if {
	count(skills) > 0
}

# So much for the first of a kind, so much for each further one, up to a limit.
points(part, n) := 0 if n == 0

points(part, n) := min([weight.most, weight.first + (weight.each * (n - 1))]) if {
	n > 0
	weight := data.cku.settings.operations.risk[part]
}

skills contains step.skill if some step in input.submission.plan.steps

first_time_skills contains skill if {
	some skill in input.state.first_time_skills
	skill in skills
}

reliabilities contains object.get(input.state.reliability.skills, skill, data.cku.settings.operations.default_reliability) if {
	some skill in skills
}

production_targets contains target if {
	input.mode in data.cku.settings.operations.production_modes
	some target in data.cku.lib.targets
}

production_targets contains target if {
	some target in data.cku.lib.targets
	[kind, path] := split(target, ":")
	data.entities[kind][path].production == true
}

protected_files contains file if {
	some file in data.cku.lib.changed_files
	glob.match(protected, ["/"], file)
}

# One glob out of all: every changed file against every pattern is slow.
protected := concat("", ["{", concat(",", data.cku.settings.operations.protected_paths), "}"])
