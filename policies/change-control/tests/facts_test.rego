# Facts, as far as no input of a whole decision shows them: what is unknown stays undefined.
package change_control.facts_test

import rego.v1

changed(overrides) := object.union(
	{
		"time": "2026-11-20T12:00:00Z",
		"principal": {"kind": "user", "id": "dana"},
		"policy_diff": {"id": "sha256:1", "thresholds": [{"gate": "quality", "name": "min_line_coverage", "learn": true, "on_grid": true, "in_range": true}]},
		"state": {"changes": {"open": [], "activated": []}},
	},
	overrides,
)

approval(id, kind, decision) := {"approver": {"kind": kind, "id": id}, "gate": "approval", "decision": decision, "valid": true, "roles": ["admin", "security"]}

approved(approvals) := changed({"submission": {"plan": {"author": {"kind": "user", "id": "paul"}}}, "approvals": approvals})

test_distinct_people_approve if {
	data.change_control.approval.approvals == 2 with input as approved([approval("a", "user", "approve"), approval("b", "user", "approve"), approval("a", "user", "approve")])
	data.change_control.approval.approvals == 0 with input as approved([])
}

test_neither_author_nor_machine_approves if {
	mine := approved([
		approval("dana", "user", "approve"),
		approval("paul", "user", "approve"),
		approval("bot", "service_account", "approve"),
		approval("coder", "agent", "approve"),
		object.union(approval("a", "user", "approve"), {"valid": false}),
		object.union(approval("b", "user", "approve"), {"gate": "window"}),
	])
	data.change_control.approval.approvals == 0 with input as mine
	data.change_control.approval.admin_approvals == 0 with input as mine
	data.change_control.approval.security_approvals == 0 with input as mine
}

test_who_refused_has_not_approved_in_any_role if {
	both := approved([approval("a", "user", "approve"), approval("a", "user", "refuse"), approval("b", "user", "approve")])
	data.change_control.approval.approvals == 1 with input as both
	data.change_control.approval.admin_approvals == 1 with input as both
	data.change_control.approval.security_approvals == 1 with input as both
	data.change_control.approval.refusals == 1 with input as both
}

test_roles_are_counted_apart if {
	plain := object.union(approval("a", "user", "approve"), {"roles": ["reviewer"]})
	data.change_control.approval.approvals == 1 with input as approved([plain])
	data.change_control.approval.admin_approvals == 0 with input as approved([plain])
	data.change_control.approval.security_approvals == 0 with input as approved([plain])
}

test_the_floor_is_known_or_none if {
	data.change_control.approval.floor_admins == 0 with input as changed({})
	data.change_control.approval.floor_admins == 0 with input as changed({"state": {"changes": {"floor": null}}})
	data.change_control.approval.floor_admins == 0 with input as changed({"state": {"changes": {"floor": {}}}})
	data.change_control.approval.floor_admins == 4 with input as changed({"state": {"changes": {"floor": {"change_control_admins": 4}}}})
	not defined_floor with input as changed({"state": {"changes": {"floor": "many"}}})
	not defined_floor with input as {"state": {}}
}

defined_floor if data.change_control.approval.floor_admins >= 0

test_who_learned_it if {
	data.change_control.lib.learned == false with input as changed({"policy_diff": {"learned": false}})
	data.change_control.lib.learned == true with input as changed({"policy_diff": {"learned": true}})
	not data.change_control.lib.learned in {true, false} with input as changed({})
	every id in ["learner", "learner@acme.example"] {
		data.change_control.lib.learned == true with input as changed({"principal": {"kind": "service_account", "id": id}, "policy_diff": {"learned": false}})
	}
	every id in ["learners", "a-learner", "learner.example"] {
		data.change_control.lib.learned == false with input as changed({"principal": {"kind": "service_account", "id": id}, "policy_diff": {"learned": false}})
	}
	data.change_control.lib.learned == false with input as changed({"principal": {"id": "learner"}, "policy_diff": {"learned": false}})
}

test_what_is_not_said_of_a_threshold_is_not_so if {
	silent := changed({"policy_diff": {"thresholds": [{"gate": "g", "name": "b"}, {"gate": "g", "name": "a", "learn": true, "on_grid": true, "in_range": true}, {"gate": "g", "name": "a"}]}})
	data.change_control.proposal.thresholds == 2 with input as silent
	data.change_control.proposal.unlearnable == 2 with input as silent
	data.change_control.proposal.unlearnable_names == "g.a, g.b" with input as silent
	data.change_control.evidence.off_grid == 2 with input as silent
	data.change_control.evidence.off_grid_names == "g.a, g.b" with input as silent
	data.change_control.evidence.out_of_range == 2 with input as silent
	data.change_control.evidence.out_of_range_names == "g.a, g.b" with input as silent
}

test_nothing_can_be_said_of_thresholds_that_are_not_there if {
	unknown := {"policy_diff": {"id": "sha256:1"}, "state": {"changes": {"open": [], "activated": []}}, "time": "2026-11-20T12:00:00Z"}
	not data.change_control.proposal.thresholds with input as unknown
	not data.change_control.proposal.unlearnable with input as unknown
	not data.change_control.evidence.off_grid with input as unknown
	not data.change_control.evidence.out_of_range with input as unknown
	not data.change_control.evidence.contested with input as unknown
	not data.change_control.evidence.unchanged_for with input as unknown
}

test_without_state_nobody_knows_what_was_changed if {
	unknown := object.remove(changed({}), ["state"])
	not data.change_control.evidence.unchanged_for with input as unknown
	not data.change_control.evidence.learned_this_week with input as unknown
	not data.change_control.evidence.contested with input as unknown
}

test_the_share_that_was_not_decided_anew_is_rounded_up if {
	data.change_control.evidence.not_replayable == 0 with input as changed({"policy_diff": {"replay": {"decisions": 7, "not_replayable": 0}}})
	data.change_control.evidence.not_replayable == 3334 with input as changed({"policy_diff": {"replay": {"decisions": 2, "not_replayable": 1}}})
	data.change_control.evidence.not_replayable == 10000 with input as changed({"policy_diff": {"replay": {"decisions": 0, "not_replayable": 9}}})
	data.change_control.evidence.not_replayable == 10000 with input as changed({"policy_diff": {"replay": {"decisions": 0, "not_replayable": 0}}})
	not data.change_control.evidence.not_replayable with input as changed({"policy_diff": {"replay": {"decisions": 9}}})
}

test_no_replay_has_decided_nothing if {
	data.change_control.evidence.replayed == 0 with input as changed({})
	data.change_control.evidence.replayed == 0 with input as changed({"policy_diff": {"replay": null}})
	data.change_control.evidence.not_replayable == 10000 with input as changed({})
	not defined_replay with input as changed({"policy_diff": {"replay": {}}})
	not defined_replay with input as {}
}

defined_replay if data.change_control.evidence.replayed >= 0

activated(times) := changed({"state": {"changes": {"activated": [{"time": time, "learned": true, "thresholds": ["quality.min_line_coverage"]} | some time in times]}}})

test_the_time_since_the_last_change_is_rounded_down if {
	data.change_control.evidence.unchanged_for == 0 with input as activated(["2026-11-20T12:00:00Z"])
	data.change_control.evidence.unchanged_for == 0 with input as activated(["2026-11-20T12:00:01Z"])
	data.change_control.evidence.unchanged_for == 59 with input as activated(["2026-11-20T11:59:00.5Z"])
	data.change_control.evidence.unchanged_for == 60 with input as activated(["2026-11-20T11:00:00Z", "2026-11-20T11:59:00Z", "2026-11-20T11:58:00Z"])
	data.change_control.evidence.unchanged_for == 2592000 with input as activated([])
	data.change_control.evidence.unchanged_for == 2592000 with input as activated(["2026-01-01T00:00:00Z"])
}

back(said) := changed({"policy_diff": {"thresholds": [object.union({"gate": "quality", "name": "min_line_coverage"}, one) | some one in said]}})

test_a_change_returns_if_all_of_it_does if {
	data.change_control.evidence.returns == true with input as back([{"returns": true}])
	data.change_control.evidence.returns == true with input as back([{"returns": true}, {"name": "other", "returns": true}])
	data.change_control.evidence.returns == false with input as back([{"returns": true}, {"name": "other", "returns": false}])
	data.change_control.evidence.returns == false with input as back([{"returns": true}, {"returns": "true"}])
	data.change_control.evidence.returns == false with input as changed({})
	data.change_control.evidence.returns == false with input as back([])
	data.change_control.evidence.returns == false with input as {}
}

test_whose_change_is_unknown_counts_as_learned if {
	silent := changed({"state": {"changes": {
		"activated": [{"time": "2026-11-20T11:59:00Z", "thresholds": ["quality.min_line_coverage"]}],
		"open": [{"id": "sha256:2", "thresholds": ["quality.min_line_coverage", "quality.max_lint"]}],
	}}})
	data.change_control.evidence.unchanged_for == 60 with input as silent
	data.change_control.evidence.learned_this_week == 1 with input as silent
	data.change_control.evidence.contested == 1 with input as silent
	data.change_control.evidence.contested_names == "quality.min_line_coverage" with input as silent
}

test_names_of_bounds_are_in_order if {
	bounds := changed({"policy_diff": {"invariants": {"violated": ["b", "a"], "unproved": ["d", "c", "e"]}}})
	data.change_control.invariants.violated == 2 with input as bounds
	data.change_control.invariants.violated_names == "a, b" with input as bounds
	data.change_control.invariants.unproved == 3 with input as bounds
	data.change_control.invariants.unproved_names == "c, d, e" with input as bounds
	not data.change_control.invariants.violated with input as changed({})
	not data.change_control.invariants.unproved with input as changed({})
}

test_a_diff_is_there_or_not if {
	data.change_control.proposal.present == true with input as changed({})
	data.change_control.proposal.present == false with input as {}
	data.change_control.proposal.present == false with input as {"policy_diff": null}
}

test_a_diff_expires_at_its_time if {
	data.change_control.proposal.expired == true with input as changed({"policy_diff": {"expires_at": "2026-11-20T12:00:00Z"}})
	data.change_control.proposal.expired == false with input as changed({"policy_diff": {"expires_at": "2026-11-20T12:00:01Z"}})
	not data.change_control.proposal.expired in {true, false} with input as changed({})
}

test_a_freeze_and_the_chain_are_known_or_missing if {
	data.change_control.window.frozen == true with input as {"state": {"freeze": {"active": true, "reason": "x"}}}
	data.change_control.window.frozen == false with input as {"state": {"freeze": {"active": false}}}
	not data.change_control.window.frozen in {true, false} with input as {"state": {}}
	data.change_control.window.freeze_reason == "x" with input as {"state": {"freeze": {"active": true, "reason": "x"}}}
	data.change_control.window.freeze_reason == "no reason given" with input as {"state": {"freeze": {"active": true, "reason": " "}}}
	not data.change_control.window.chain_broken in {true, false} with input as {"state": {}}
}
