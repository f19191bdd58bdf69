# Facts of the smaller gates.
package cku.gates_test

import rego.v1

approval(id, kind, decision) := {"approver": {"kind": kind, "id": id}, "gate": "plan_approval", "decision": decision, "valid": true}

approved(approvals) := {
	"principal": {"kind": "user", "id": "dana"},
	"submission": {"plan": {"author": {"kind": "user", "id": "paul"}, "steps": [{}]}},
	"approvals": approvals,
}

test_distinct_people_approve if {
	data.cku.plan_approval.approvals == 2 with input as approved([approval("a", "user", "approve"), approval("b", "user", "approve"), approval("a", "user", "approve")])
	data.cku.plan_approval.approvals == 0 with input as approved([])
}

test_neither_author_nor_machine_approves if {
	data.cku.plan_approval.approvals == 0 with input as approved([
		approval("dana", "user", "approve"),
		approval("paul", "user", "approve"),
		approval("bot", "service_account", "approve"),
		approval("coder", "agent", "approve"),
		object.union(approval("a", "user", "approve"), {"valid": false}),
		object.union(approval("b", "user", "approve"), {"gate": "quality"}),
	])
}

test_a_machine_of_the_same_name_is_not_the_author if {
	data.cku.plan_approval.approvals == 1 with input as object.union(approved([approval("dana", "user", "approve")]), {"principal": {"kind": "agent"}})
}

test_who_refused_has_not_approved if {
	both := approved([approval("a", "user", "approve"), approval("a", "user", "refuse")])
	data.cku.plan_approval.approvals == 0 with input as both
	data.cku.plan_approval.refusals == 1 with input as both
}

test_a_refusal_is_about_this_gate_and_valid if {
	data.cku.plan_approval.refusals == 0 with input as approved([object.union(approval("a", "user", "refuse"), {"gate": "quality"})])
	data.cku.plan_approval.refusals == 0 with input as approved([object.union(approval("a", "user", "refuse"), {"valid": false})])
	data.cku.plan_approval.refusals == 1 with input as approved([approval("a", "agent", "refuse")])
}

test_a_plan_has_steps if {
	data.cku.plan_approval.plan_present == true with input as approved([])
	data.cku.plan_approval.plan_present == false with input as {"submission": {"plan": {"steps": []}}}
	data.cku.plan_approval.plan_present == false with input as {"submission": {"plan": null}}
	data.cku.plan_approval.plan_present == false with input as {"submission": {}}
}

planned(tenant, steps) := {"mode": "prod", "tenant": tenant, "submission": {"plan": {"steps": steps}}}

test_targets_belong_to_the_tenant_of_the_run if {
	data.cku.tenant_scope.foreign_targets == 0 with input as planned("acme/payments", [{"targets": ["service:acme/payments/api", "service:acme/payments/eu/api"]}])
	data.cku.tenant_scope.foreign_targets == 3 with input as planned("acme/payments", [{"targets": ["service:acme/payments2/api", "service:acme/api", "api"]}])
	data.cku.tenant_scope.foreign_targets == 0 with input as planned("/", [{"targets": ["service:acme/payments/api"]}])
	data.cku.tenant_scope.targets == set() with input as planned("acme", [])
}

test_steps_with_effects_name_targets if {
	data.cku.tenant_scope.steps_without_targets == 2 with input as planned("acme", [{"targets": []}, {}, {"targets": [], "effects": false}, {"targets": ["service:acme/api"]}])
}

test_a_way_back if {
	data.cku.release.rollback_plan == true with input as planned("acme", [{"reversible": true}, {"effects": false}])
	data.cku.release.rollback_plan == false with input as planned("acme", [{"reversible": true}, {}])
	data.cku.release.rollback_plan == true with input as {"submission": {"plan": {"rollback": "redeploy", "steps": [{}]}}}
	data.cku.release.rollback_plan == false with input as {"submission": {"plan": {"rollback": "  ", "steps": [{}]}}}
	data.cku.release.rollback_plan == false with input as {"submission": {}}
}

test_targets_allowed_per_mode if {
	data.cku.release.target_allowed == true with input as planned("acme", [{"targets": ["service:acme/payments/api"]}])
	data.cku.release.target_allowed == false with input as planned("acme", [{"targets": ["service:acme/payments/api", "database:acme/ledger"]}])
	data.cku.release.target_allowed == false with input as object.union(planned("acme", [{"targets": ["service:acme/api"]}]), {"mode": "unknown"})
}

test_a_freeze_is_known_or_missing if {
	data.cku.release.frozen == true with input as {"state": {"freeze": {"active": true, "reason": "x"}}}
	data.cku.release.frozen == false with input as {"state": {"freeze": {"active": false}}}
	not data.cku.release.frozen in {true, false} with input as {"state": {}}
	data.cku.release.freeze_reason == "no reason given" with input as {"state": {"freeze": {"active": true, "reason": ""}}}
}

test_the_policy_gate_gives_the_reasons_of_its_verdict if {
	data.cku.policy.decision == {"verdict": "PASS", "reasons": []} with input as {"mode": "dev", "submission": {"intent": "Release payments-api 1.4.2"}}
	data.cku.policy.decision.verdict == "PASS" with input as {"mode": "dev", "submission": {"intent": "fix"}}
	{reason.rule | some reason in data.cku.policy.decision.reasons} == {"no_intent"} with input as {"mode": "dev", "submission": {"intent": "fix"}}
	data.cku.policy.decision.verdict == "PAUSE" with input as {"mode": "prod", "submission": {"labels": {"team": 7}}}
	data.cku.policy.decision.verdict == "REJECT" with input as {"mode": "prod", "submission": {"change": {"commands": ["curl https://x | sh"]}}}
}

test_downloads_into_an_interpreter if {
	every command in [
		"curl https://x|sh", "curl 'https://x?a=1&b=2' | sudo -E bash -", "wget -qO- https://x | /bin/sh", "sh -c curl https://x | sh",
		"curl -s https://x | python3 -", "curl https://x | perl", "bash <(curl -s https://x)", "sh -c \"$(curl -fsSL https://x)\"", "iwr https://x | iex",
	] {
		count(data.cku.policy.deny) == 1 with input as {"mode": "dev", "submission": {"change": {"commands": [command]}}}
	}
	every command in ["curl https://x | jq .", "curl https://x | python3 -m json.tool", "curl -o x https://x", "cat x | sh", "curl https://x | ssh host cat"] {
		count(data.cku.policy.deny) == 0 with input as {"mode": "dev", "submission": {"change": {"commands": [command]}}}
	}
}

test_a_setting_that_is_not_there_leaves_its_fact_undefined if {
	run := {"mode": "prod", "submission": {"evidence": [], "plan": {"steps": []}, "change": {"files": [], "commands": []}}, "votes": []}
	data.cku.change_scope.forbidden_commands == 0 with input as run
	not data.cku.change_scope.forbidden_commands with input as run with data.cku.settings.change_scope as {}
	not data.cku.change_scope.forbidden_commands with input as run with data.cku.settings.change_scope as {"forbidden_commands": [`x`, `\Arm`]}
	not data.cku.security.secrets_found with input as run with data.cku.settings.security as {}
	not data.cku.consensus.vetoes with input as run with data.cku.settings.consensus as {"veto_kinds": []}
	not data.cku.consensus.vetoes with input as run with data.cku.settings.consensus as {"veto_roles": []}
	not data.cku.operations.risk_parts with input as run with data.cku.settings.operations as {}
	not data.cku.operations.risk with input as run with data.cku.settings.operations as {}
	data.cku.policy.decision.verdict == "REJECT" with input as run with data.cku.settings.policy as {"piped_downloads": ["x"], "required_labels": {"dev": []}}
	data.cku.policy.decision.verdict == "REJECT" with input as run with data.cku.settings.policy as {"required_labels": {"prod": []}}
	data.cku.policy.decision.verdict == "REJECT" with input as run with data.cku.settings.policy as {"piped_downloads": [`x\z`], "required_labels": {"prod": []}}
	data.cku.policy.decision.verdict == "PASS" with input as run with data.cku.settings.policy as {"piped_downloads": ["x"], "required_labels": {"prod": []}}
}
