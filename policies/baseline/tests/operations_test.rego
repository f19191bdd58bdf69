package cku.operations_test

import rego.v1

step(overrides) := object.union({"id": "s", "skill": "command", "with": {}, "targets": ["service:acme/payments/api"], "effects": true, "reversible": true}, overrides)

input_of(mode, steps, files) := {
	"mode": mode,
	"time": "2026-11-20T12:00:00Z",
	"submission": {"plan": {"steps": steps}, "change": {"files": files}},
	"state": {"first_time_skills": [], "reliability": {"skills": {"command": 10000}}},
}

test_a_plain_reversible_deployment_has_little_risk if {
	data.cku.operations.risk == 20 with input as input_of("staging", [step({})], ["src/a.py"])
	data.cku.operations.risk == 1520 with input as input_of("prod", [step({})], ["src/a.py"])
}

test_the_parts_of_a_risky_plan if {
	risky := object.union(
		input_of("prod", [step({"reversible": false}), step({"skill": "migrate", "reversible": false})], [".github/workflows/ci.yml", "src/a.py"]),
		{"state": {"first_time_skills": ["migrate", "elsewhere"], "reliability": {"skills": {"migrate": 8999}}}},
	)
	data.cku.operations.risk_parts == {
		"irreversible": 4000, # 3500 + 500
		"production": 1500, # one target
		"protected": 1500, # one file
		"size": 40, # two files
		"first_time": 1500, # one skill of this plan
		"unreliable": 501, # (10000 - 8999) / 2, rounded up
	} with input as risky
	data.cku.operations.risk == 9041 with input as risky
}

test_an_irreversible_new_step_on_protected_paths_of_prod_is_above_three_quarters if {
	plan := object.union(input_of("prod", [step({"reversible": false})], ["policies/x.gate"]), {"state": {"first_time_skills": ["command"]}})
	data.cku.operations.risk > 7500 with input as plan
}

test_no_part_exceeds_its_limit_and_the_sum_not_one if {
	steps := [step({"reversible": false, "skill": sprintf("s%d", [n]), "targets": [sprintf("service:acme/t/%d", [n])]}) | some n in numbers.range(1, 9)]
	files := [sprintf("deploy/f%d", [n]) | some n in numbers.range(1, 99)]
	worst := object.union(input_of("prod", steps, files), {"state": {"first_time_skills": [sprintf("s%d", [n]) | some n in numbers.range(1, 9)], "reliability": {"skills": {"s1": 0}}}})
	data.cku.operations.risk_parts == {"irreversible": 4500, "production": 2000, "protected": 2000, "size": 1000, "first_time": 2000, "unreliable": 5000} with input as worst
	data.cku.operations.risk == 10000 with input as worst
}

test_what_is_not_said_counts_as_worse if {
	silent := {"id": "s", "skill": "command", "targets": []}
	data.cku.operations.risk_parts.irreversible == 3500 with input as input_of("dev", [silent], [])
	data.cku.operations.risk_parts.irreversible == 3500 with input as input_of("dev", [step({"reversible": "yes"})], [])
	data.cku.operations.risk_parts.irreversible == 0 with input as input_of("dev", [step({"effects": false, "reversible": false})], [])
}

test_the_least_reliable_skill_counts_and_an_unknown_one_as_by_default if {
	two := object.union(input_of("dev", [step({}), step({"skill": "new"})], []), {"state": {"reliability": {"skills": {"command": 9000}}}})
	data.cku.operations.risk_parts.unreliable == 1000 with input as two
	data.cku.operations.risk_parts.unreliable == 0 with input as input_of("dev", [], [])
}

test_a_production_target_is_one_in_every_mode if {
	data.cku.operations.risk_parts.production == 1500 with input as input_of("dev", [step({"targets": ["database:acme/payments/ledger"]})], [])
	data.cku.operations.risk_parts.production == 0 with input as input_of("dev", [step({})], [])
}

test_without_state_there_is_no_score if {
	not data.cku.operations.risk with input as object.remove(input_of("prod", [step({})], []), ["state"])
	not data.cku.operations.risk with input as object.union(object.remove(input_of("prod", [step({})], []), ["state"]), {"state": {"reliability": {"skills": {}}}})
	not data.cku.operations.risk with input as object.union(object.remove(input_of("prod", [step({})], []), ["state"]), {"state": {"first_time_skills": []}})
	not data.cku.operations.chain_broken with input as {"state": {}}
	not data.cku.operations.error_budget with input as {"state": {}}
}

test_the_age_of_a_verification_is_rounded_up if {
	data.cku.operations.verify_age == 0 with input as {"time": "2026-11-20T12:00:00Z", "state": {"chain": {"verified_at": "2026-11-20T12:00:00Z"}}}
	data.cku.operations.verify_age == 1 with input as {"time": "2026-11-20T12:00:00.000001Z", "state": {"chain": {"verified_at": "2026-11-20T12:00:00Z"}}}
	data.cku.operations.verify_age == 86400 with input as {"time": "2026-11-20T12:00:00Z", "state": {"chain": {"verified_at": "2026-11-19T12:00:00Z"}}}
	not data.cku.operations.verify_age with input as {"time": "2026-11-20T12:00:00Z", "state": {"chain": {"verified_at": "2026-11-20T12:00:00.000001Z"}}}
}
