# gates/tenant_scope.gate:2: gate tenant_scope
package cku.facts.tenant_scope

collected := {
	# gates/tenant_scope.gate:4
	"targets": {x | x := data.cku.tenant_scope.targets},
	# gates/tenant_scope.gate:5
	"foreign_targets": {x | x := data.cku.tenant_scope.foreign_targets},
	# gates/tenant_scope.gate:6
	"steps_without_targets": {x | x := data.cku.tenant_scope.steps_without_targets}
}
