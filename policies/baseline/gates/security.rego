# Facts of the gate `security`.
package cku.security

import rego.v1

# False only where neither way holds: this fact is never missing.
authenticated if {
	input.principal.authentication == "token"
	token := input.principal.token
	token.valid == true
	token.issuer in data.cku.lib.settings.security.trusted_issuers
	[issued_at, submitted_at] := times
	issued_at <= submitted_at
	submitted_at < time.parse_rfc3339_ns(token.expires_at)
} else if {
	admitted_local
} else := false

# Seconds, rounded up. A token from the future has no age.
token_age := ceil((submitted_at - issued_at) / 1000000000) if {
	input.principal.authentication == "token"
	[issued_at, submitted_at] := times
	issued_at <= submitted_at
} else := 0 if admitted_local

# A run waits for people longer than a token lives: what counts is the moment of submission.
times := [time.parse_rfc3339_ns(input.principal.token.issued_at), time.parse_rfc3339_ns(input.submitted_at)]

admitted_local if {
	input.principal.authentication == "local"
	input.mode in data.cku.lib.settings.security.local_modes
}

# Findings of every level, in the reports that are there. Without a report this is 0: a bundle that
# requires a scan makes the fact undefined then, and says `missing secrets_found pause "…"`.
secrets_found := sum(found) if {
	scanners := data.cku.lib.settings.security.secret_scanners
	is_array(scanners)
	found := [count(document.data.findings) |
		some document in input.submission.evidence
		document.kind == "findings"
		lower(document.tool) in scanners
	]
}
