# Facts of the gate `files`.
package agent.files

import rego.v1

# Everything that the session changed before, and what these calls would change.
touched := data.agent.lib.written_paths | before if {
	files := input.submission.change.files
	before := {file | some file in files}
}

files_touched := count(touched)

outside_boundary := count(outside)

# The first three, so that a person sees which.
outside_files := concat(", ", array.slice(sort(outside), 0, 3)) if {
	outside
} else := ""

# A task without a boundary may change nothing at all.
outside := (files - inside) | ambiguous if {
	files := touched
	boundary := input.submission.change.boundary
	inside := {file |
		some file in files
		some pattern in boundary
		glob.match(pattern, ["/"], file)
	}

	# Absolute, empty, a folder, or with a segment that leads elsewhere: `src/../.env` matches `src/**`.
	ambiguous := {file |
		some file in files
		regex.match(`^$|^[/~]|/$|//|\\|[\x00-\x1f\x7f]|(^|/)\.\.?(/|$)`, file)
	}
}

# Read, written or named in a command: the model sees what a tool shows. Names, not contents: a link
# with a harmless name is not seen here.
secrets_named := count(found) if {
	named := data.agent.lib.paths | data.agent.lib.words
	secrets := lower(concat("", ["{", concat(",", data.agent.lib.settings.files.secrets), "}"]))
	found := {path | some path in named; glob.match(secrets, ["/"], lower(path))}
}

rules_changed := count(found) if {
	written := data.agent.lib.written_paths
	rules := lower(concat("", ["{", concat(",", data.agent.lib.settings.files.rules), "}"]))
	found := {path | some path in written; glob.match(rules, ["/"], lower(path))}
}
