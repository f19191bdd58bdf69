# gates/operations.gate:2: gate operations
package cku.facts.operations

collected := {
	# gates/operations.gate:4
	"chain_broken": {x | x := data.cku.operations.chain_broken},
	# gates/operations.gate:5
	"verify_age": {x | x := data.cku.operations.verify_age},
	# gates/operations.gate:6
	"error_budget": {x | x := data.cku.operations.error_budget},
	# gates/operations.gate:7
	"risk": {x | x := data.cku.operations.risk},
	# gates/operations.gate:10
	"irreversible": {x | x := data.cku.operations.risk_parts.irreversible},
	# gates/operations.gate:11
	"production": {x | x := data.cku.operations.risk_parts.production},
	# gates/operations.gate:12
	"protected": {x | x := data.cku.operations.risk_parts.protected},
	# gates/operations.gate:13
	"size": {x | x := data.cku.operations.risk_parts.size},
	# gates/operations.gate:14
	"first_time": {x | x := data.cku.operations.risk_parts.first_time},
	# gates/operations.gate:15
	"unreliable": {x | x := data.cku.operations.risk_parts.unreliable}
}
