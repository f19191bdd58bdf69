# gates/security.gate:2: gate security
package cku.facts.security

collected := {
	# gates/security.gate:4
	"authenticated": {x | x := data.cku.security.authenticated},
	# gates/security.gate:5
	"token_age": {x | x := data.cku.security.token_age},
	# gates/security.gate:6
	"secrets_found": {x | x := data.cku.security.secrets_found}
}
