package cku.consensus_test

import rego.v1

vote(id, kind, roles, said) := {"voter": {"kind": "user", "id": id}, "voter_kind": kind, "roles": roles, "vote": said, "valid": true, "time": "2026-11-20T11:59:00Z"}

agent(id, kind, said) := object.union(vote(id, kind, [], said), {"voter": {"kind": "agent"}})

input_of(votes, reliability) := {
	"principal": {"kind": "user", "id": "dana"},
	"submission": {},
	"votes": votes,
	"state": {"reliability": {"voters": reliability}},
}

test_without_votes_nothing_is_supported if {
	data.cku.consensus.support == 0 with input as input_of([], {})
	data.cku.consensus.opposition == 0 with input as input_of([], {})
	data.cku.consensus.voters == 0 with input as input_of([], {})
	data.cku.consensus.vetoes == 0 with input as input_of([], {})
}

test_a_weight_is_kind_times_role_times_reliability if {
	votes := [
		vote("rhea", "person", ["reviewer"], "approve"),
		vote("otto", "person", ["operator"], "approve"),
		vote("sol", "person", ["security", "viewer"], "approve"),
		agent("plan", "planner", "approve"),
		agent("critic", "reviewer", "approve"),
		agent("alien", "alien", "approve"),
	]
	data.cku.consensus.weights == {
		"user:rhea": 9000, # 1 × 1 × 0.9
		"user:otto": 2500, # 1 × 0.5 × 0.5, the default
		"user:sol": 3333, # 1 × 1 × 0.3333: the weightier role
		"agent:plan": 1999, # 0.5 × 0.5 × 0.7999 = 0.199975, floored
		"agent:critic": 2000, # 0.8 × 0.5 × 0.5
		"agent:alien": 0, # an unknown kind
	} with input as input_of(votes, {"user:rhea": 9000, "user:sol": 3333, "agent:plan": 7999})
	data.cku.consensus.voters == 5 with input as input_of(votes, {"user:rhea": 9000, "user:sol": 3333, "agent:plan": 7999})
}

test_support_is_floored_and_opposition_rounded_up if {
	votes := [
		vote("a", "person", ["reviewer"], "approve"),
		vote("b", "person", ["reviewer"], "reject"),
		vote("c", "person", ["reviewer"], "revise"),
	]
	even := {"user:a": 5000, "user:b": 5000, "user:c": 5000}
	data.cku.consensus.support == 3333 with input as input_of(votes, even)
	data.cku.consensus.opposition == 3334 with input as input_of(votes, even)
}

test_a_voter_without_weight_makes_no_quorum if {
	data.cku.consensus.voters == 0 with input as input_of([vote("a", "person", ["reviewer"], "approve")], {"user:a": 0})
	data.cku.consensus.support == 0 with input as input_of([vote("a", "person", ["reviewer"], "approve")], {"user:a": 0})
}

test_the_last_vote_counts_and_among_equals_the_later_in_the_journal if {
	first := vote("a", "person", ["reviewer"], "approve")
	same_time := vote("a", "person", ["reviewer"], "reject")
	later := object.union(same_time, {"time": "2026-11-20T11:59:00.5Z"})
	data.cku.consensus.support == 0 with input as input_of([first, same_time], {})
	data.cku.consensus.support == 10000 with input as input_of([same_time, first], {})
	data.cku.consensus.support == 0 with input as input_of([later, first], {})
	data.cku.consensus.voters == 1 with input as input_of([later, first], {})
}

test_a_vote_that_is_not_valid_does_not_count if {
	void := object.union(vote("a", "person", ["reviewer"], "approve"), {"valid": false})
	data.cku.consensus.voters == 0 with input as input_of([void], {})
	data.cku.consensus.vetoes == 0 with input as input_of([object.union(void, {"vote": "reject", "voter_kind": "security"})], {})
}

test_nobody_but_a_person_weighs_as_one if {
	data.cku.consensus.voters == 0 with input as input_of([agent("a", "person", "approve")], {})
}

test_an_author_objects_but_does_not_carry if {
	data.cku.consensus.voters == 0 with input as input_of([vote("dana", "person", ["reviewer"], "approve")], {})
	data.cku.consensus.opposition == 10000 with input as input_of([vote("dana", "person", ["reviewer"], "reject")], {})
}

test_who_has_a_veto if {
	data.cku.consensus.vetoes == 1 with input as input_of([agent("a", "security", "reject")], {})
	data.cku.consensus.vetoes == 1 with input as input_of([agent("a", "reviewer", "reject")], {})
	data.cku.consensus.vetoes == 1 with input as input_of([vote("a", "person", ["security"], "reject")], {})
	data.cku.consensus.vetoes == 0 with input as input_of([vote("a", "person", ["reviewer"], "reject")], {})
	data.cku.consensus.vetoes == 0 with input as input_of([vote("a", "person", ["security"], "revise")], {})
	data.cku.consensus.vetoes == 0 with input as input_of([agent("a", "builder", "reject")], {})
	data.cku.consensus.vetoes == 0 with input as input_of([agent("a", "security", "approve"), agent("b", "reviewer", "revise")], {})
	data.cku.consensus.vetoes == 0 with input as input_of([object.union(agent("a", "builder", "reject"), {"roles": ["security"]})], {})
	data.cku.consensus.vetoes == 2 with input as input_of([agent("a", "security", "reject"), vote("b", "reviewer", ["security"], "reject")], {})
}
