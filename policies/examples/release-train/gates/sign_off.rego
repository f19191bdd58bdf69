# Facts of the gate `sign_off`. `valid` and `roles` come from outside the bundle: Cedar permits it, it is
# about this train and these policies, and in time.
package train.sign_off

import rego.v1

# Nobody counts twice, and nobody who also refused.
signatures := count(people(signers) - refusers)

qa_signatures := count(people([signer | some signer in signers; "qa" in signer.roles]) - refusers)

refusals := count(refusers)

signers := [approval |
	some approval in input.approvals
	approval.gate == "sign_off"
	approval.decision == "approve"
	approval.valid == true
	approval.approver.kind == "user"
]

refusers := people([refusal |
	some refusal in input.approvals
	refusal.gate == "sign_off"
	refusal.decision == "refuse"
	refusal.valid == true
])

people(approvals) := {approval.approver.id | some approval in approvals}
