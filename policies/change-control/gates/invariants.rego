# Facts of the gate `invariants`.
package change_control.invariants

import rego.v1

violated := count(input.policy_diff.invariants.violated)

violated_names := data.change_control.lib.listed(input.policy_diff.invariants.violated)

unproved := count(input.policy_diff.invariants.unproved)

unproved_names := data.change_control.lib.listed(input.policy_diff.invariants.unproved)
