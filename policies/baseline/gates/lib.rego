# What more than one gate derives from the input. Each rule is evaluated at most once, so a reference
# to one is cheap; a reference into plain data (`data.cku.settings`, `data.entities`) is looked up
# anew each time and costs ten times as much. Bind to a variable what a rule reads twice.
package cku.lib

import rego.v1

settings := data.cku.settings

now := time.parse_rfc3339_ns(input.time)

# Whoever submitted the run or wrote its plan, as `kind:id`. The home tenant is left out, so that
# the same person is not two people.
authors := {concat(":", [author.kind, author.id]) | author := input.principal} | {concat(":", [author.kind, author.id]) | author := input.submission.plan.author}

targets := {target |
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
# A rename changes the place that the file left, too.
changed_files := (said | {file.path | some file in diff}) | {file.from | some file in diff; file.from != null} if {
	said := {file | some file in input.submission.change.files}
	diff := [file |
		some document in input.submission.evidence
		document.kind == "change"
		some file in document.data.files
	]
}

# Every command that the run ran or would run, on one line each; what undoes a step may run, too.
# `with` and `undo` are free JSON: their members are looked at only where they have the type of a command.
commands := {strings.replace_n({"\\\n": " ", "\n": " ", "\r": " "}, command) | some command in (said | lists) | texts} if {
	said := {command | some command in input.submission.change.commands}
	members := {"argv", "args", "cmd", "command", "commands", "run", "script", "shell"}
	written := [value |
		some step in input.submission.plan.steps
		some part in ["with", "undo"]
		is_object(step[part])
		some member, value in step[part]
		member in members
	]
	lists := {concat(" ", [argument | some argument in list; is_string(argument)]) |
		some list in written
		is_array(list)
	}
	texts := {text | some text in written; is_string(text)}
}

# All of them in one text. A regular expression costs much for each text it is matched with and
# little for its length: match this with `(?m)` first, and look closer only if it matches.
all_commands := concat("\n", commands)

# The run's tenant and all above it: whoever is at home there is not a stranger.
tenant_and_above := {"/"} | {concat("/", array.slice(names, 0, n)) |
	names := split(input.tenant, "/")
	some n in numbers.range(1, count(names))
}
