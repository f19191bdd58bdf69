# Facts of the gate `budget`. `labels.session` is written by the hook that asks, not by the model.
package agent.budget

import rego.v1

# Cents: before this call, and what it is expected to cost.
spent := session.cost + sum(costs) if {
	session := input.submission.labels.session
	session.cost >= 0
	costs := [call.estimated_cost | some call in data.agent.lib.calls]
}

# These included.
calls := session.calls + count(data.agent.lib.calls) if {
	session := input.submission.labels.session
	session.calls >= 0
}

# Seconds, rounded up. A session that begins in the future has no age.
age := ceil((now - started_at) / 1000000000) if {
	now := time.parse_rfc3339_ns(input.time)
	started_at := time.parse_rfc3339_ns(input.submission.labels.session.started_at)
	started_at <= now
}
