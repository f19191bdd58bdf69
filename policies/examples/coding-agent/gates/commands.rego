# Facts of the gate `commands`.
package agent.commands

import rego.v1

# A list of known mistakes, not a wall: what must not run is kept out by the rights of the agent's user.
forbidden := count(found) if {
	lines := data.agent.lib.lines
	patterns := concat("|", data.agent.lib.settings.commands.forbidden)
	found := [line | some line in lines; regex.match(patterns, concat(" ", line))]
}

unlisted := count(unlisted_lines)

# As a person would type it, and not too long.
first_unlisted := substring(concat(" ", unlisted_lines[0]), 0, 80) if {
	count(unlisted_lines) > 0
} else := ""

unlisted_lines := [line | some line in lines; not data.agent.lib.listed(line)] if lines := data.agent.lib.lines

hosts := {host |
	some url in urls
	host := host_of(url)
	not allowed(host)
} if {
	urls := fetched | named
	count(data.agent.lib.settings.commands.hosts) >= 0
}

foreign_hosts := count(hosts)

fetched := {url | some call in fetching; url := address(call)} if {
	calls := data.agent.lib.calls
	fetching := [call | some call in calls; call.skill == "fetch"]
	every call in fetching { address(call) }
}

address(call) := call["with"].url if is_string(call["with"].url)

named := {url |
	some line in lines
	some url in regex.find_n(`[A-Za-z][A-Za-z0-9+.-]*://[^\s"'<>|;&()]*`, concat(" ", line), -1)
} if {
	lines := data.agent.lib.lines
}

# What stands between `://` and the path, without user and port. `https://docs.rs@evil.example` is evil's.
host_of(url) := lower(host) if {
	contains(url, "://")
	authority := regex.split(`[/?#\\]`, split(url, "://")[1])[0]
	parts := split(authority, "@")
	host := split(parts[count(parts) - 1], ":")[0]
} else := url

allowed(host) if {
	some pattern in data.agent.lib.settings.commands.hosts
	glob.match(pattern, ["."], host)
}
