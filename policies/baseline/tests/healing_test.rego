package cku.healing_test

import rego.v1

# A failure of a step that has effects and can neither be undone nor repeated.
failed(mode, class) := {
	"run": {"id": "run-1", "tenant": "acme/payments", "mode": mode, "intent": "release"},
	"step": {"id": "build", "skill": "command", "attempt": 1, "effects": true, "reversible": false, "idempotent": false, "on_failure": null},
	"failure": {"class": class, "message": "it failed", "exit_code": 1, "signal": null},
	"budget": {"retries_left": 20, "circuit_open": false},
}

with_step(case, changed) := object.union(case, {"step": changed})

answer(case) := said if {
	said := data.cku.healing.strategy.strategy with input as case
}

# What passes by itself is tried again where a second try does no harm.
test_transient_is_tried_again if {
	some mode in ["dev", "staging", "prod"]
	answer(with_step(failed(mode, "transient"), {"idempotent": true})) == "retry"
}

test_every_mode_tries_again if {
	every mode in ["dev", "staging", "prod"] {
		every class in ["transient", "timeout", "resource"] {
			every harmless in [{"idempotent": true}, {"reversible": true}, {"effects": false}] {
				answer(with_step(failed(mode, class), harmless)) == "retry"
			}
		}
	}
}

test_the_last_try_is_the_last if {
	every pair in [["dev", 2], ["staging", 3], ["prod", 4]] {
		[mode, most] := pair
		below := with_step(failed(mode, "transient"), {"idempotent": true, "attempt": most - 1})
		at := with_step(failed(mode, "transient"), {"idempotent": true, "attempt": most})
		above := with_step(failed(mode, "transient"), {"idempotent": true, "attempt": most + 1})
		answer(below) == "retry"
		answer(at) == "rollback"
		answer(above) == "rollback"
	}
}

test_an_effect_is_never_repeated_by_chance if {
	every mode in ["dev", "staging", "prod"] {
		every class in ["transient", "timeout", "resource", "unknown", "interrupted", "conflict"] {
			answer(failed(mode, class)) != "retry"
		}
	}
}

test_what_does_not_pass_is_not_tried_again if {
	every class in ["not_found", "permission", "conflict", "verification", "policy", "unknown"] {
		answer(with_step(failed("prod", class), {"idempotent": true})) == "rollback"
	}
}

test_the_author_may_wish_for_a_retry if {
	wish := {"idempotent": true, "on_failure": "retry"}
	answer(with_step(failed("prod", "verification"), wish)) == "retry"
	answer(with_step(failed("prod", "permission"), wish)) == "rollback"
	answer(with_step(failed("prod", "policy"), wish)) == "rollback"
	answer(with_step(failed("prod", "verification"), {"on_failure": "retry"})) == "rollback"
}

test_only_what_may_be_left_out_is if {
	answer(with_step(failed("prod", "verification"), {"on_failure": "skip"})) == "skip"
	answer(with_step(failed("prod", "verification"), {"on_failure": "rollback"})) == "rollback"
	answer(failed("prod", "verification")) == "rollback"
}

test_interrupted if {
	every harmless in [{"idempotent": true}, {"reversible": true}, {"effects": false}] {
		answer(with_step(failed("prod", "interrupted"), harmless)) == "retry"
	}
	every mode in ["dev", "staging", "prod"] {
		answer(failed(mode, "interrupted")) == "alert"
		answer(with_step(failed(mode, "interrupted"), {"on_failure": "skip"})) == "alert"
	}
}

test_interruptions_use_up_nothing if {
	harmless := with_step(failed("dev", "interrupted"), {"idempotent": true, "attempt": 2})
	answer(harmless) == "retry"
	answer(with_step(harmless, {"attempt": 0})) == "retry"
	answer(with_step(harmless, {"attempt": 99})) == "retry"
	answer(object.union(harmless, {"budget": {"retries_left": 0}})) == "retry"
	answer(object.union(harmless, {"budget": {"circuit_open": true}})) == "retry"
	answer(with_step(failed("dev", "transient"), {"idempotent": true, "attempt": 2})) == "rollback"
}

test_what_nobody_knows_is_for_a_person if {
	every class in ["timeout", "unknown", "resource"] {
		answer(failed("prod", class)) == "alert"
		answer(failed("staging", class)) == "alert"
		answer(failed("dev", class)) == "rollback"
	}
	answer(with_step(failed("dev", "verification"), {"on_failure": "alert"})) == "alert"
}

test_limits_of_the_run if {
	harmless := with_step(failed("prod", "transient"), {"idempotent": true})
	answer(object.union(harmless, {"budget": {"retries_left": 1}})) == "retry"
	answer(object.union(harmless, {"budget": {"retries_left": 0}})) == "rollback"
	answer(object.union(harmless, {"budget": {"circuit_open": true}})) == "rollback"
}

test_whatever_is_missing_or_unknown_is_an_alert if {
	whole := with_step(failed("prod", "transient"), {"idempotent": true})
	answer({}) == "alert"
	every member in ["run", "step", "failure", "budget"] {
		answer(object.remove(whole, [member])) == "alert"
	}
	every member in ["attempt", "effects", "reversible", "idempotent"] {
		answer(object.union(object.remove(whole, ["step"]), {"step": object.remove(whole.step, [member])})) == "alert"
	}
	answer(failed("prod", "bad luck")) == "alert"
	answer(failed("holiday", "transient")) == "alert"
}

test_the_wait if {
	said := data.cku.healing.strategy with input as with_step(failed("prod", "transient"), {"idempotent": true})
	said == {"strategy": "retry", "delay_ms": 500, "max_delay_ms": 30000, "max_attempts": 4, "reason": "transient, try 2 of 4"}
}
