# Facts of the gate `ballot`. A vote weighs as much as its voter is sure of it, in ten-thousandths.
package train.ballot

import rego.v1

# Floored. Without votes there is no support, so that no vote ever passes by absence.
support := floor((approve * 10000) / total) if {
	total := sum([vote.confidence | some vote in last_votes])
	total > 0
	approve := sum([vote.confidence | some vote in last_votes; vote.vote == "approve"])
} else := 0

# A vote of somebody who is not sure at all makes no quorum.
voters := count([name | some name, vote in last_votes; vote.confidence > 0])

vetoes := count([name | some name, vote in last_votes; vote.vote == "reject"; "qa" in vote.roles])

# Each voter's last valid vote; of two at the same time, the later in the journal.
last_votes := {name: input.votes[position] |
	some index, [name, _, position] in casts
	not casts[index + 1][0] == name
} if {
	casts := sort([[name, cast_at, position] |
		some position, vote in input.votes
		vote.valid == true
		name := concat(":", [vote.voter.kind, vote.voter.id])
		cast_at := time.parse_rfc3339_ns(vote.time)
	])
}
