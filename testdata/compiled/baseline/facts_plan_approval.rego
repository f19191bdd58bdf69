# gates/plan_approval.gate:3: gate plan_approval
package cku.facts.plan_approval

collected := {
	# gates/plan_approval.gate:5
	"plan_present": {x | x := data.cku.plan_approval.plan_present},
	# gates/plan_approval.gate:6
	"approvals": {x | x := data.cku.plan_approval.approvals},
	# gates/plan_approval.gate:7
	"refusals": {x | x := data.cku.plan_approval.refusals}
}
