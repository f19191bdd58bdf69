package cku.security_test

import rego.v1

token := {"valid": true, "issuer": "https://id.acme.example", "issued_at": "2026-11-20T11:50:00Z", "expires_at": "2026-11-20T12:50:00Z"}

input_of(changes) := {
	"mode": "prod",
	"submitted_at": "2026-11-20T11:59:30Z",
	"principal": {"authentication": "token", "token": object.union(token, changes)},
	"submission": {"evidence": []},
}

test_a_good_token if {
	data.cku.security.authenticated == true with input as input_of({})
	data.cku.security.token_age == 570 with input as input_of({})
}

test_a_bad_token if {
	every changes in [{"valid": false}, {"valid": "true"}, {"issuer": "https://id.evil.example"}, {"issued_at": "2026-11-20T11:59:30.1Z"}, {"expires_at": "2026-11-20T11:59:30Z"}] {
		data.cku.security.authenticated == false with input as input_of(changes)
	}
}

test_an_age_is_rounded_up_and_none_lies_in_the_future if {
	data.cku.security.token_age == 571 with input as input_of({"issued_at": "2026-11-20T11:49:59.999999Z"})
	data.cku.security.token_age == 0 with input as input_of({"issued_at": "2026-11-20T11:59:30Z"})
	not data.cku.security.token_age with input as input_of({"issued_at": "2026-11-20T11:59:31Z"})
}

test_local_is_admitted_in_dev_alone if {
	local := {"submitted_at": "2026-11-20T11:59:30Z", "principal": {"authentication": "local", "token": null}}
	data.cku.security.authenticated == true with input as object.union(local, {"mode": "dev"})
	data.cku.security.token_age == 0 with input as object.union(local, {"mode": "dev"})
	data.cku.security.authenticated == false with input as object.union(local, {"mode": "prod"})
	not data.cku.security.token_age with input as object.union(local, {"mode": "prod"})
	data.cku.security.authenticated == false with input as object.union(local, {"mode": "unknown"})
}

test_a_token_beside_a_local_start_is_not_looked_at if {
	local := {"submitted_at": "2026-11-20T11:59:30Z", "principal": {"authentication": "local", "token": token}}
	data.cku.security.authenticated == false with input as object.union(local, {"mode": "prod"})
	not data.cku.security.token_age with input as object.union(local, {"mode": "prod"})
	data.cku.security.token_age == 0 with input as object.union(local, {"mode": "dev"})
}

found(tool, findings) := {"kind": "findings", "tool": tool, "data": {"findings": findings}}

test_findings_of_scanners_add_up if {
	documents := [found("gitleaks", ["a", "b"]), found("TruffleHog", ["a"]), found("ruff", ["a", "b", "c", "d"])]
	data.cku.security.secrets_found == 3 with input as {"submission": {"evidence": documents}}
	data.cku.security.secrets_found == 0 with input as {"submission": {"evidence": []}}
	data.cku.security.secrets_found == 0 with input as {"submission": {"evidence": [{"kind": "other", "tool": "gitleaks", "data": {"findings": ["a"]}}]}}
}
