# Facts of the gate `operations`.
package cku.operations

import rego.v1

chain_broken := false if {
	input.state.chain.intact == true
} else := true if input.state.chain.intact == false

# Seconds, rounded up. A verification in the future has no age.
verify_age := ceil((now - verified_at) / 1000000000) if {
	now := data.cku.lib.now
	verified_at := time.parse_rfc3339_ns(input.state.chain.verified_at)
	verified_at <= now
}

error_budget := input.state.error_budget.remaining

# The risk score, in ten-thousandths: the sum of its parts, at most 1. The parts are bound first: a
# comprehension over something undefined is empty, and its sum would be 0.
risk := min([10000, sum([points | some points in parts])]) if parts := risk_parts

# One part that cannot be derived leaves the whole undefined.
risk_parts := object.union_n([nothing, weighed, {"unreliable": unreliable}]) if {
	counted := counts
	nothing := {"irreversible": 0, "production": 0, "protected": 0, "size": 0, "first_time": 0}
	present := {part: n | some part, n in counted; n > 0}
	weights := data.cku.lib.settings.operations.risk

	# So much for the first of a kind, so much for each further one, up to a limit.
	weighed := {part: points |
		some part, n in present
		weight := weights[part]
		points := min([weight.most, weight.first + (weight.each * (n - 1))])
	}
	count(weighed) == count(present)
}

# How many there are of what makes a plan risky.
counts := {
	"irreversible": count(data.cku.lib.irreversible_steps),
	"production": count(production_targets),
	"protected": count(protected_files),
	"size": count(files),
	"first_time": count(first_time_skills),
} if {
	settings := data.cku.lib.settings.operations

	is_array(settings.production_modes)
	targets := data.cku.lib.targets
	production_targets := {target | input.mode in settings.production_modes; some target in targets} | {target |
		entities := data.entities
		some target in targets
		[kind, path] := split(target, ":")
		entities[kind][path].production == true
	}

	# One glob out of all: every changed file against every pattern is slow.
	# Some file systems do not tell `.GitHub` from `.github`.
	protected := lower(concat("", ["{", concat(",", settings.protected_paths), "}"]))
	files := data.cku.lib.changed_files
	protected_files := [file | some file in files; glob.match(protected, ["/"], lower(file))]

	is_array(input.state.first_time_skills)
	planned := skills
	first_time_skills := {skill | some skill in input.state.first_time_skills; skill in planned}
}

skills := {step.skill | some step in input.submission.plan.steps}

# By the least reliable skill of the plan, rounded up.
unreliable := 0 if {
	skills == set()
} else := ceil(((10000 - min(reliabilities)) * weight) / 10000) if {
	weight := data.cku.lib.settings.operations.unreliable_weight
	default_reliability := data.cku.lib.settings.operations.default_reliability
	reliabilities := {object.get(input.state.reliability.skills, skill, default_reliability) | some skill in skills}
}
