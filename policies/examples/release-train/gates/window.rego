# Facts of the gate `window`. All times are UTC.
package train.window

import rego.v1

# The windows of this mode that hold now.
holding := [window | some window in windows; window.from <= now; now < window.until] if {
	windows := windows_of_mode
	now := time.parse_rfc3339_ns(input.time)
}

windows_of_mode := [window |
	some freeze in freezes
	input.mode in freeze.modes
	window := {"from": time.parse_rfc3339_ns(freeze.from), "until": time.parse_rfc3339_ns(freeze.until), "reason": freeze.reason, "hard": freeze.hard}
] if {
	freezes := data.train.calendar.freezes
}

# The calendar's, or one that somebody declared. Without knowing the latter nothing is not frozen.
frozen := true if {
	count(holding) > 0
} else := true if {
	input.state.freeze.active == true
} else := false if {
	holding
	input.state.freeze.active == false
}

hard_frozen := count([window | some window in holding; window.hard == true]) > 0 if holding

freeze_reason := concat("; ", sort(reasons)) if {
	reasons := {window.reason | some window in holding} | declared
	count(reasons) > 0
} else := "no reason given"

declared := {reason |
	input.state.freeze.active == true
	reason := trim_space(input.state.freeze.reason)
	reason != ""
}

open := true if {
	hours := hours_of_mode
	now := time.parse_rfc3339_ns(input.time)
	[hour, _, _] := time.clock(now)
	time.weekday(now) in hours.days
	hour >= hours.from
	hour < hours.until
} else := false if hours_of_mode

hours_of_mode := data.train.calendar.hours[input.mode]

# Seconds to the next freeze, floored; the horizon of the calendar where none is in sight.
runway := min(array.concat([horizon], starts)) if {
	horizon := data.train.calendar.horizon
	now := time.parse_rfc3339_ns(input.time)
	windows := windows_of_mode
	starts := [floor((window.from - now) / 1000000000) | some window in windows; window.from > now]
}
