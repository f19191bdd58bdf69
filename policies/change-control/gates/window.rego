# Facts of the gate `window`.
package change_control.window

import rego.v1

frozen := true if {
	input.state.freeze.active == true
} else := false if input.state.freeze.active == false

freeze_reason := reason if {
	reason := input.state.freeze.reason
	trim_space(reason) != ""
} else := "no reason given"

chain_broken := false if {
	input.state.chain.intact == true
} else := true if input.state.chain.intact == false
