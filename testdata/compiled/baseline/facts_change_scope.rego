# gates/change_scope.gate:2: gate change_scope
package cku.facts.change_scope

collected := {
	# gates/change_scope.gate:4
	"outside_boundary": {x | x := data.cku.change_scope.outside_boundary},
	# gates/change_scope.gate:5
	"outside_files": {x | x := data.cku.change_scope.outside_files},
	# gates/change_scope.gate:6
	"files_changed": {x | x := data.cku.change_scope.files_changed},
	# gates/change_scope.gate:7
	"forbidden_commands": {x | x := data.cku.change_scope.forbidden_commands},
	# gates/change_scope.gate:8
	"cost": {x | x := data.cku.change_scope.cost}
}
