# Facts of the gate `consensus`. Weights are ten-thousandths. Without votes support is 0 and nobody
# voted, so that no vote ever passes by absence.
package cku.consensus

import rego.v1

# Floored, and the opposition rounded up: both toward the side that holds the run back.
support := floor((tally.approve * 10000) / tally.total) if {
	tally.total > 0
} else := 0 if tally.total == 0

opposition := ceil((tally.reject * 10000) / tally.total) if {
	tally.total > 0
} else := 0 if tally.total == 0

# A voter without weight makes no quorum.
voters := count([name | some name, weight in weights; weight > 0])

vetoes := count(by_kind | by_role) if {
	kinds := data.cku.lib.settings.consensus.veto_kinds
	roles := data.cku.lib.settings.consensus.veto_roles
	is_array(kinds)
	is_array(roles)
	by_kind := {name |
		some name, vote in last_votes
		vote.vote == "reject"
		vote.voter_kind in kinds
	}
	by_role := {name |
		some name, vote in last_votes
		vote.vote == "reject"
		vote.voter.kind == "user"
		some role in vote.roles
		role in roles
	}
}

tally := {
	"total": sum([weight | some weight in weights]),
	"approve": sum([weights[name] | some name, vote in last_votes; vote.vote == "approve"]),
	"reject": sum([weights[name] | some name, vote in last_votes; vote.vote == "reject"]),
}

# Kind × role × reliability, floored. The weightiest role held counts; an unknown kind is nothing.
weights := {name: weight |
	settings := data.cku.lib.settings.consensus
	reliabilities := input.state.reliability.voters
	some name, vote in last_votes
	not name in weightless
	kind := object.get(settings.kinds, vote.voter_kind, 0)
	role := max({settings.no_role} | {settings.roles[held] | some held in vote.roles})
	reliability := object.get(reliabilities, name, settings.default_reliability)
	weight := floor(((kind * role) * reliability) / 100000000)
}

# An author may object to the own run, but does not carry it. Nobody but a person weighs as one.
weightless := {name | some name, vote in last_votes; vote.vote == "approve"; name in data.cku.lib.authors} | {name |
	some name, vote in last_votes
	vote.voter_kind == "person"
	vote.voter.kind != "user"
}

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
