# Facts of the gate `ticket`.
package train.ticket

import rego.v1

# False where it does not hold: this fact is never missing.
trusted if {
	input.principal.authentication == "token"
	token := input.principal.token
	token.valid == true
	token.issuer in data.train.settings.trusted_issuers
	time.parse_rfc3339_ns(input.submitted_at) < time.parse_rfc3339_ns(token.expires_at)
} else := false

# Seconds, rounded up, at the moment of submission: a train waits longer than a token lives. A token
# from the future has no age.
token_age := ceil((submitted_at - issued_at) / 1000000000) if {
	issued_at := time.parse_rfc3339_ns(input.principal.token.issued_at)
	submitted_at := time.parse_rfc3339_ns(input.submitted_at)
	issued_at <= submitted_at
}

# A train without a destination is none.
channels := found if {
	found := {target |
		some step in input.submission.plan.steps
		some target in step.targets
	}
	count(found) > 0
}
