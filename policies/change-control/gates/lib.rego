# What more than one gate derives from the input. Two traps: a comprehension over something undefined
# is empty, so what must be there is bound first; and what is unknown stays undefined, so that the
# gate says `missing` or rejects.
package change_control.lib

import rego.v1

now := time.parse_rfc3339_ns(input.time)

# Whoever proposed the diff or wrote it, as `kind:id`. The home tenant is left out, so that the same
# person is not two people.
authors := {concat(":", [author.kind, author.id]) | author := input.principal} | {concat(":", [author.kind, author.id]) | author := input.submission.plan.author}

# What the learner sends is learned, whatever the diff says.
learned if {
	input.policy_diff.learned == true
} else if {
	by_learner
} else := false if input.policy_diff.learned == false

by_learner if {
	input.principal.kind == "service_account"
	regex.match(`^learner(@|$)`, input.principal.id)
}

# Changed thresholds by name, like `quality.min_line_coverage`, with what is said of them in each mode.
thresholds := {name: said |
	some threshold in changed
	name := name_of(threshold)
	said := [other | some other in changed; name_of(other) == name]
} if {
	changed := input.policy_diff.thresholds
}

# Those of which not all that is said says so.
lacking(member) := {name |
	some name, said in known
	some threshold in said
	not threshold[member] == true
} if {
	known := thresholds
}

name_of(threshold) := concat(".", [threshold.gate, threshold.name])

listed(names) := concat(", ", sort(names))
