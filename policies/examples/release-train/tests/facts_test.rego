# How facts are derived from the train.
package train.facts_test

import rego.v1

at(mode, moment) := {"mode": mode, "time": moment, "state": {"freeze": {"active": false, "reason": ""}}}

test_freezes_of_the_calendar if {
	data.train.window.frozen == false with input as at("release", "2026-11-26T11:59:59Z")
	data.train.window.frozen == true with input as at("release", "2026-11-26T12:00:00Z")
	data.train.window.frozen == true with input as at("release", "2026-11-30T23:59:59Z")
	data.train.window.frozen == false with input as at("release", "2026-12-01T00:00:00Z")
	data.train.window.frozen == false with input as at("nightly", "2026-11-30T12:00:00Z")
	data.train.window.hard_frozen == false with input as at("release", "2026-11-30T12:00:00Z")
	data.train.window.hard_frozen == true with input as at("nightly", "2026-12-24T12:00:00Z")
}

test_a_freeze_is_known_or_missing if {
	not data.train.window.frozen in {true, false} with input as {"mode": "release", "time": "2026-11-18T12:00:00Z", "state": {}}
	data.train.window.frozen == true with input as {"mode": "release", "time": "2026-12-24T12:00:00Z", "state": {}}
	not data.train.window.frozen in {true, false} with input as {"mode": "release", "state": {"freeze": {"active": false}}}
	data.train.window.frozen == true with input as {"mode": "release", "state": {"freeze": {"active": true}}}
}

test_a_calendar_that_is_not_there_leaves_its_facts_undefined if {
	now := at("release", "2026-11-18T12:00:00Z")
	not data.train.window.frozen in {true, false} with input as now with data.train.calendar as {}
	not data.train.window.hard_frozen in {true, false} with input as now with data.train.calendar as {}
	not data.train.window.open in {true, false} with input as now with data.train.calendar as {}
	not data.train.window.runway with input as now with data.train.calendar as {"horizon": 7}
	not data.train.window.open in {true, false} with input as at("weekly", "2026-11-18T12:00:00Z")
}

test_reasons_of_all_freezes_are_told if {
	data.train.window.freeze_reason == "end of the year" with input as at("release", "2026-12-24T12:00:00Z")
	both := object.union(at("release", "2026-12-24T12:00:00Z"), {"state": {"freeze": {"active": true, "reason": " an incident "}}})
	data.train.window.freeze_reason == "an incident; end of the year" with input as both
	data.train.window.freeze_reason == "no reason given" with input as {"mode": "release", "time": "2026-11-18T12:00:00Z", "state": {"freeze": {"active": true, "reason": " "}}}
}

test_the_runway_ends_at_the_next_freeze if {
	data.train.window.runway == 86400 with input as at("release", "2026-11-25T12:00:00Z")
	data.train.window.runway == 86399 with input as at("release", "2026-11-25T12:00:00.5Z")
	data.train.window.runway == 2592000 with input as at("nightly", "2026-10-01T00:00:00Z")
	data.train.window.runway == 2592000 with input as at("release", "2027-06-01T00:00:00Z")
	data.train.window.runway == 1555200 with input as at("release", "2026-12-01T00:00:00Z")
}

test_hours_are_utc if {
	data.train.window.open == true with input as at("release", "2026-11-18T08:00:00Z")
	data.train.window.open == false with input as at("release", "2026-11-18T07:59:59Z")
	data.train.window.open == true with input as at("nightly", "2026-11-22T23:59:59Z")
	data.train.window.open == false with input as at("candidate", "2026-11-21T12:00:00Z")
}

reported(kind, reports) := {"submission": {"evidence": [{"kind": kind, "data": report} | some report in reports]}}

test_tests_of_all_reports_add_up if {
	two := reported("tests", [{"total": 10, "skipped": 1, "failed": 1, "errors": 1}, {"total": 10, "skipped": 2, "failed": 0, "errors": 1}])
	data.train.build.tests_failed == 3 with input as two
	data.train.build.tests_skipped == 1500 with input as two
	data.train.build.tests_skipped == 3334 with input as reported("tests", [{"total": 3, "skipped": 1, "failed": 0, "errors": 0}])
}

test_coverage_is_floored_and_the_worst_counts if {
	data.train.build.line_coverage == 6666 with input as reported("coverage", [{"lines": {"hit": 2, "total": 3}}])
	data.train.build.line_coverage == 5000 with input as reported("coverage", [{"lines": {"hit": 9, "total": 10}}, {"lines": {"hit": 1, "total": 2}}])
	not data.train.build.line_coverage with input as reported("coverage", [{"lines": {"hit": 9, "total": 10}}, {"lines": {"hit": 0, "total": 0}}])
	not data.train.build.line_coverage with input as reported("coverage", [])
}

test_reports_are_of_ci if {
	data.train.build.by_ci == true with input as object.union(reported("tests", [{}]), {"submitted_by": [{"kind": "service_account"}]})
	data.train.build.by_ci == false with input as object.union(reported("tests", [{}, {}]), {"submitted_by": [{"kind": "service_account"}, {"kind": "user"}]})
	data.train.build.by_ci == false with input as object.union(reported("tests", [{}]), {"submitted_by": [null]})
	data.train.build.by_ci == false with input as reported("tests", [{}])
}

labelled(labels) := {"time": "2026-11-18T12:00:00Z", "submission": {"labels": {"train": labels}}}

test_crash_free_is_floored if {
	data.train.soak.crash_free == 9999 with input as labelled({"sessions": 1000000, "crashed_sessions": 1})
	data.train.soak.crash_free == 10000 with input as labelled({"sessions": 7, "crashed_sessions": 0})
	data.train.soak.crash_free == 0 with input as labelled({"sessions": 7, "crashed_sessions": 7})
}

test_crashes_that_cannot_be_are_no_share if {
	not data.train.soak.crash_free with input as labelled({"sessions": 0, "crashed_sessions": 0})
	not data.train.soak.crash_free with input as labelled({"sessions": 7, "crashed_sessions": 8})
	not data.train.soak.crash_free with input as labelled({"sessions": 7, "crashed_sessions": -1})
}

test_nightlies_are_a_floored_share if {
	data.train.health.nightlies_passed == 6666 with input as labelled({"nightlies": {"passed": 2, "failed": 1}})
	not data.train.health.nightlies_passed with input as labelled({"nightlies": {"passed": 0, "failed": 0}})
	not data.train.health.nightlies_passed with input as labelled({"nightlies": {"passed": 9, "failed": -1}})
	not data.train.health.nightlies_passed with input as labelled({"nightlies": {"passed": 9}})
}

test_stages_rise_to_all_of_the_fleet if {
	data.train.rollout.first_stage == 100 with input as labelled({"stages": [100, 10000]})
	data.train.rollout.first_stage == 10000 with input as labelled({"stages": [10000]})
	every stages in [[], [100], [100, 100, 10000], [5000, 100, 10000], [100, 10000, 20000], "all"] {
		not data.train.rollout.first_stage with input as labelled({"stages": stages})
	}
}

planned(plan) := {"submission": {"plan": plan}}

test_a_way_back if {
	data.train.rollout.way_back == true with input as planned({"steps": [{"reversible": true}, {"effects": false}]})
	data.train.rollout.way_back == false with input as planned({"steps": [{"reversible": true}, {}]})
	data.train.rollout.way_back == true with input as planned({"rollback": "the one before", "steps": [{}]})
	data.train.rollout.way_back == false with input as planned({"rollback": null, "steps": [{}]})
	data.train.rollout.way_back == false with input as planned(null)
}

test_no_plan_costs_nothing_that_is_known if {
	data.train.rollout.cost == 7 with input as planned({"steps": [{"estimated_cost": 3}, {"estimated_cost": 4}]})
	not data.train.rollout.cost with input as planned(null)
}

vote(id, said, confidence, moment, roles) := {"voter": {"kind": "user", "id": id}, "vote": said, "confidence": confidence, "time": moment, "roles": roles, "valid": true}

test_the_last_vote_of_each_voter_counts if {
	votes := {"votes": [
		vote("a", "approve", 10000, "2026-11-18T10:00:00Z", []),
		vote("a", "reject", 10000, "2026-11-18T11:00:00Z", []),
		vote("b", "approve", 10000, "2026-11-18T10:00:00Z", []),
	]}
	data.train.ballot.support == 5000 with input as votes
	data.train.ballot.voters == 2 with input as votes
	data.train.ballot.vetoes == 0 with input as votes
}

test_qa_has_a_veto if {
	data.train.ballot.vetoes == 1 with input as {"votes": [vote("a", "reject", 1, "2026-11-18T10:00:00Z", ["qa"])]}
	data.train.ballot.vetoes == 0 with input as {"votes": [vote("a", "revise", 1, "2026-11-18T10:00:00Z", ["qa"])]}
}

test_no_vote_is_no_support if {
	data.train.ballot.support == 0 with input as {"votes": []}
	data.train.ballot.voters == 0 with input as {"votes": []}
	data.train.ballot.support == 0 with input as {"votes": [object.union(vote("a", "approve", 10000, "2026-11-18T10:00:00Z", []), {"valid": false})]}
}

signed(id, said, roles) := {"approver": {"kind": "user", "id": id}, "gate": "sign_off", "decision": said, "roles": roles, "valid": true}

test_nobody_signs_twice_and_nobody_who_refused if {
	data.train.sign_off.signatures == 1 with input as {"approvals": [signed("a", "approve", []), signed("a", "approve", [])]}
	data.train.sign_off.signatures == 0 with input as {"approvals": [signed("a", "approve", ["qa"]), signed("a", "refuse", ["qa"])]}
	data.train.sign_off.qa_signatures == 0 with input as {"approvals": [signed("a", "approve", ["qa"]), signed("a", "refuse", ["qa"])]}
	data.train.sign_off.qa_signatures == 1 with input as {"approvals": [signed("a", "approve", ["qa"]), signed("b", "approve", ["manager"])]}
	data.train.sign_off.signatures == 0 with input as {"approvals": [object.union(signed("a", "approve", []), {"valid": false}), object.union(signed("b", "approve", []), {"gate": "build"})]}
}
