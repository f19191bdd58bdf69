# Facts of the gate `soak`. `labels.train` is written by CI.
package train.soak

import rego.v1

# Seconds, floored. A candidate from the future is not in use.
soaked := floor((now - since) / 1000000000) if {
	now := time.parse_rfc3339_ns(input.time)
	since := time.parse_rfc3339_ns(input.submission.labels.train.in_use_since)
	since <= now
}

sessions := input.submission.labels.train.sessions

# Hundredths of a percent, floored. More crashes than sessions are no share.
crash_free := floor(((all - crashed) * 10000) / all) if {
	all := sessions
	crashed := input.submission.labels.train.crashed_sessions
	all > 0
	crashed >= 0
	crashed <= all
}
