# Facts of the gate `plan_approval`. `valid` comes from outside the bundle: Cedar permits it, it is
# about this subject and this revision, and it is neither expired nor from the future.
package cku.plan_approval

import rego.v1

# A plan without a step is no plan.
plan_present if {
	count(input.submission.plan.steps) > 0
} else := false

# Nobody counts twice, and nobody who also refused.
approvals := count(approvers - refusers)

refusals := count(refusers)

# Cedar forbids the same (see `access/separation.cedar`); the count does not rely on it.
approvers := {name |
	some approval in input.approvals
	approval.gate == "plan_approval"
	approval.decision == "approve"
	approval.valid == true
	approval.approver.kind == "user"
	name := concat(":", [approval.approver.kind, approval.approver.id])
	not name in data.cku.lib.authors
}

refusers := {concat(":", [refusal.approver.kind, refusal.approver.id]) |
	some refusal in input.approvals
	refusal.gate == "plan_approval"
	refusal.decision == "refuse"
	refusal.valid == true
}
