# Facts of the gate `security`.
package cku.security

import rego.v1

authenticated if token_holds

authenticated if admitted_local

# False only where neither way holds: this fact is never missing.
authenticated := false if {
	not token_holds
	not admitted_local
}

# A run waits for people longer than a token lives: what counts is the moment of submission.
token_holds if {
	input.principal.authentication == "token"
	input.principal.token.valid == true
	input.principal.token.issuer in data.cku.settings.security.trusted_issuers
	issued_at <= submitted_at
	submitted_at < time.parse_rfc3339_ns(input.principal.token.expires_at)
}

admitted_local if {
	input.principal.authentication == "local"
	input.mode in data.cku.settings.security.local_modes
}

submitted_at := time.parse_rfc3339_ns(input.submitted_at)

issued_at := time.parse_rfc3339_ns(input.principal.token.issued_at)

# Seconds, rounded up. A token from the future has no age.
token_age := ceil((submitted_at - issued_at) / 1000000000) if {
	input.principal.authentication == "token"
	issued_at <= submitted_at
}

token_age := 0 if admitted_local

# Findings of every level, in the reports that are there. Without a report this is 0: a bundle that
# requires a scan makes the fact undefined then, and says `missing secrets_found pause "…"`.
secrets_found := sum([count(document.data.findings) |
	some document in input.submission.evidence
	document.kind == "findings"
	lower(document.tool) in data.cku.settings.security.secret_scanners
]) if is_array(data.cku.settings.security.secret_scanners)
