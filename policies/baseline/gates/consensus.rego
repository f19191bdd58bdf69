# Facts of the gate `consensus`. Weights are ten-thousandths. Without votes support is 0 and nobody
# voted, so that no vote ever passes by absence.
package cku.consensus

import rego.v1

# Floored, and the opposition rounded up: both toward the side that holds the run back.
support := floor((approving * 10000) / total) if total > 0

support := 0 if total == 0

opposition := ceil((rejecting * 10000) / total) if total > 0

opposition := 0 if total == 0

# A voter without weight makes no quorum.
voters := count([name | some name, weight in weights; weight > 0])

vetoes := count(vetoers) if {
	is_array(data.cku.settings.consensus.veto_kinds)
	is_array(data.cku.settings.consensus.veto_roles)
}

vetoers contains name if {
	some name, vote in last_votes
	vote.vote == "reject"
	vote.voter_kind in data.cku.settings.consensus.veto_kinds
}

vetoers contains name if {
	some name, vote in last_votes
	vote.vote == "reject"
	vote.voter.kind == "user"
	some role in vote.roles
	role in data.cku.settings.consensus.veto_roles
}

total := sum([weight | some weight in weights])

approving := sum([weights[name] | some name, vote in last_votes; vote.vote == "approve"])

rejecting := sum([weights[name] | some name, vote in last_votes; vote.vote == "reject"])

# Kind × role × reliability, floored. The weightiest role held counts; an unknown kind is nothing.
weights[name] := floor(((kind * max(roles)) * reliability) / 100000000) if {
	some name, vote in last_votes
	not name in weightless
	kind := object.get(data.cku.settings.consensus.kinds, vote.voter_kind, 0)
	roles := {weight | some role in vote.roles; weight := data.cku.settings.consensus.roles[role]} | {data.cku.settings.consensus.no_role}
	reliability := object.get(input.state.reliability.voters, name, data.cku.settings.consensus.default_reliability)
}

# An author may object to the own run, but does not carry it.
weightless contains name if {
	some name, vote in last_votes
	vote.vote == "approve"
	name in data.cku.lib.authors
}

# Nobody but a person weighs as one.
weightless contains name if {
	some name, vote in last_votes
	vote.voter_kind == "person"
	vote.voter.kind != "user"
}

# Each voter's last valid vote; of two at the same time, the later in the journal.
last_votes[name] := input.votes[position] if {
	some name, casts in valid_votes
	[_, position] := max(casts)
}

valid_votes[name] contains [cast_at, position] if {
	some position, vote in input.votes
	vote.valid == true
	name := concat(":", [vote.voter.kind, vote.voter.id])
	cast_at := time.parse_rfc3339_ns(vote.time)
}
