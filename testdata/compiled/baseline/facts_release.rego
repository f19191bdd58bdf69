# gates/release.gate:2: gate release
package cku.facts.release

collected := {
	# gates/release.gate:4
	"target_allowed": {x | x := data.cku.release.target_allowed},
	# gates/release.gate:5
	"rollback_plan": {x | x := data.cku.release.rollback_plan},
	# gates/release.gate:6
	"frozen": {x | x := data.cku.release.frozen},
	# gates/release.gate:7
	"freeze_reason": {x | x := data.cku.release.freeze_reason}
}
