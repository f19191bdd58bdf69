# Facts of the gate `approval`. `valid` and `roles` come from outside the bundle: Cedar permits it, it
# is about this diff with this evidence on this base, under these policies, and it is in time.
package change_control.approval

import rego.v1

direction := input.policy_diff.direction

protected := input.policy_diff.bundle.protected

# Nobody counts twice, and nobody who also refused.
approvals := count(people(given) - refusers)

security_approvals := count(people([approval | some approval in given; "security" in approval.roles]) - refusers)

admin_approvals := count(people([approval | some approval in given; "admin" in approval.roles]) - refusers)

refusals := count(refusers)

# What the genesis demands of a change of a protected bundle; `min_admins` holds beside it.
floor_admins := object.get(floor, "change_control_admins", 0) if {
	is_object(floor)
} else := 0 if floor == null

floor := object.get(input.state.changes, "floor", null)

# Cedar forbids the author's and the machine's (see `access/separation.cedar`); the count does not
# rely on it.
given := [approval |
	some approval in input.approvals
	approval.gate == "approval"
	approval.decision == "approve"
	approval.valid == true
	approval.approver.kind == "user"
	not name_of(approval) in data.change_control.lib.authors
]

refusers := people([refusal |
	some refusal in input.approvals
	refusal.gate == "approval"
	refusal.decision == "refuse"
	refusal.valid == true
])

people(approvals) := {name_of(approval) | some approval in approvals}

name_of(approval) := concat(":", [approval.approver.kind, approval.approver.id])
