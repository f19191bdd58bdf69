# gates/consensus.gate:2: gate consensus
package cku.facts.consensus

collected := {
	# gates/consensus.gate:4
	"support": {x | x := data.cku.consensus.support},
	# gates/consensus.gate:5
	"opposition": {x | x := data.cku.consensus.opposition},
	# gates/consensus.gate:6
	"voters": {x | x := data.cku.consensus.voters},
	# gates/consensus.gate:7
	"vetoes": {x | x := data.cku.consensus.vetoes}
}
