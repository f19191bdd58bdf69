# Facts of the gate `change_scope`.
package cku.change_scope

import rego.v1

files_changed := count(data.cku.lib.changed_files)

outside_boundary := count(outside)

# The first three, so that a person sees which.
outside_files := concat(", ", array.slice(sort(outside), 0, 3))

# Without a declared boundary every changed file is outside.
outside := (files - inside) | ambiguous if {
	files := data.cku.lib.changed_files
	boundary := [pattern | some pattern in input.submission.change.boundary]

	# Most patterns name a folder (`src/**`): a comparison of prefixes says the same as a glob for
	# each file and pattern, and is much quicker.
	folders := [trim_suffix(pattern, "**") |
		regex.match(`^([A-Za-z0-9_./-]+/\*\*\n)+$`, concat("", [concat("\n", boundary), "\n"]))
		some pattern in boundary
	]
	in_folders := {file | some file in files; strings.any_prefix_match(file, folders)}
	matching := {file |
		folders == []
		some file in files
		some pattern in boundary
		glob.match(pattern, ["/"], file)
	}
	inside := in_folders | matching

	# Absolute, empty, a folder, with control characters, or with a segment that leads elsewhere: `src/../etc/passwd` matches `src/**`.
	# All files at once first, as with `all_commands` in `lib.rego`.
	ambiguous := {file |
		regex.match(`(?m)^$|^/|/$|//|\\|[\x00-\x09\x0b-\x1f\x7f]|(^|/)\.\.?(/|$)`, concat("\n", files))
		some file in files
		regex.match(`^$|^/|/$|//|\\|[\x00-\x1f\x7f]|(^|/)\.\.?(/|$)`, file)
	}
}

# A list of known mistakes, not a wall: what must not run is kept out by the executor's rights.
forbidden_commands := count(found) if {
	# One expression out of all: a list of commands against a list of patterns is slow.
	forbidden := concat("|", data.cku.lib.settings.change_scope.forbidden_commands)

	# An anchor that `(?m)` does not reach would not be found in all commands at once.
	not contains(forbidden, `\A`)
	not contains(forbidden, `\z`)
	found := [command |
		regex.match(concat("", ["(?m)", forbidden]), data.cku.lib.all_commands)
		some command in data.cku.lib.commands
		regex.match(forbidden, command)
	]
}

# Cents. A step that would earn something leaves the sum undefined.
cost := sum(costs) if {
	costs := [object.get(step, "estimated_cost", 0) | some step in input.submission.plan.steps]
	every step_cost in costs { step_cost >= 0 }
}
