# What more than one gate derives from the input. Each rule is evaluated at most once.
package cku.lib

import rego.v1

now := time.parse_rfc3339_ns(input.time)

# Whoever submitted the run or wrote its plan, as `kind:id`. The home tenant is left out, so that
# the same person is not two people.
authors contains concat(":", [input.principal.kind, input.principal.id])

authors contains concat(":", [author.kind, author.id]) if author := input.submission.plan.author

targets contains target if {
	some step in input.submission.plan.steps
	some target in step.targets
}

# Whatever is not said to have no effects has effects.
effectful_steps := [step |
	some step in input.submission.plan.steps
	not step.effects == false
]

# Whatever is not said to be reversible is irreversible.
irreversible_steps := [step |
	some step in effectful_steps
	not step.reversible == true
]

# What the caller says it changes, and what the diff says: a report can add a file, never hide one.
changed_files contains file if some file in input.submission.change.files

changed_files contains file.path if {
	some document in input.submission.evidence
	document.kind == "change"
	some file in document.data.files
}

# A rename changes the place that the file left, too.
changed_files contains file.from if {
	some document in input.submission.evidence
	document.kind == "change"
	some file in document.data.files
	is_string(file.from)
}

# Every command that the run ran or would run, on one line each. `with` is free JSON: its members
# are looked at only where they have the type of a command.
commands contains command if some command in input.submission.change.commands

commands contains concat(" ", [argument | some argument in step.with.argv; is_string(argument)]) if {
	some step in input.submission.plan.steps
	is_array(step.with.argv)
}

commands contains step.with[member] if {
	some step in input.submission.plan.steps
	some member in ["command", "script", "run"]
	is_string(step.with[member])
}
