# Facts of the gate `change_scope`.
package cku.change_scope

import rego.v1

files_changed := count(data.cku.lib.changed_files)

outside_boundary := count(outside)

# The first three, so that a person sees which.
outside_files := concat(", ", array.slice(sort(outside), 0, 3))

# Without a declared boundary every changed file is outside.
outside := (data.cku.lib.changed_files - inside) | ambiguous

inside contains file if {
	some file in data.cku.lib.changed_files
	some pattern in input.submission.change.boundary
	glob.match(pattern, ["/"], file)
}

# Absolute, empty, or with a segment that leads elsewhere: `src/../etc/passwd` matches `src/**`.
ambiguous contains file if {
	some file in data.cku.lib.changed_files
	regex.match(`^$|^/|//|\\|(^|/)\.\.?(/|$)`, file)
}

# A list of known mistakes, not a wall: what must not run is kept out by the executor's rights.
forbidden_commands := count([command |
	some command in data.cku.lib.commands
	regex.match(forbidden, command)
]) if is_string(forbidden)

# One expression out of all: a list of commands against a list of patterns is slow.
forbidden := concat("|", data.cku.settings.change_scope.forbidden_commands)

# Cents. A step that would earn something leaves the sum undefined.
cost := sum(costs) if {
	costs := [object.get(step, "estimated_cost", 0) | some step in input.submission.plan.steps]
	every step_cost in costs { step_cost >= 0 }
}
