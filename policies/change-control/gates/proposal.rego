# Facts of the gate `proposal`.
package change_control.proposal

import rego.v1

present if {
	is_object(input.policy_diff)
} else := false

loads := input.policy_diff.loads

tests_passed := input.policy_diff.tests.passed

tests_failed := input.policy_diff.tests.failed

base_active := input.state.changes.base_active

expired := data.change_control.lib.now >= time.parse_rfc3339_ns(input.policy_diff.expires_at)

learned := data.change_control.lib.learned

protected := input.policy_diff.bundle.protected

learner_settings := input.policy_diff.learner_settings

thresholds := count(data.change_control.lib.thresholds)

unlearnable := count(fixed)

unlearnable_names := data.change_control.lib.listed(fixed)

fixed := data.change_control.lib.lacking("learn")
