# What more than one gate derives from the calls. A step of the plan is one tool call:
#
#   { skill: command, with: { argv: [cargo, test] } }      or { shell: "cargo test" }
#   { skill: file, with: { op: write, path: src/api.rs } }    also append, move (to), delete
#   { skill: read, with: { path: src/api.rs }, effects: false }
#   { skill: fetch, with: { url: "https://docs.rs/regex" }, effects: false }
package agent.lib

import rego.v1

settings := data.agent.settings

# Undefined where nothing is asked.
calls := steps if {
	steps := input.submission.plan.steps
	count(steps) > 0
}

# Whatever is not said to have no effects has effects.
effectful_calls := [call | some call in all; not call.effects == false] if all := calls

file_calls := [call | some call in all; call.skill in {"file", "read"}] if all := calls

deleting := [call | some call in file_calls; call["with"].op == "delete"]

# What is read or written. Undefined where one call does not say what.
paths := {path | some call in file_calls; some path in paths_of(call)} if {
	every call in file_calls { paths_of(call) }
}

written_paths := {path | some call in file_calls; call.skill == "file"; some path in paths_of(call)} if {
	every call in file_calls { paths_of(call) }
}

paths_of(call) := {call["with"].path, call["with"].to} if {
	call["with"].op == "move"
	is_string(call["with"].path)
	is_string(call["with"].to)
} else := {call["with"].path} if {
	not call["with"].op == "move"
	is_string(call["with"].path)
}

# Each command as its words. Undefined where one cannot be read.
lines := [line_of(call["with"]) | some call in commanding] if {
	all := calls
	commanding := [call | some call in all; call.skill == "command"]
	every call in commanding { line_of(call["with"]) }
}

# With variables of its own, a listed program may do something else.
line_of(arguments) := array.concat(["env"], words_of(arguments)) if {
	object.get(arguments, "env", {}) != {}
} else := words_of(arguments)

# A text for a shell is its words only if it has nothing that a shell reads as more than words.
words_of(arguments) := arguments.argv if {
	is_array(arguments.argv)
	count(arguments.argv) > 0
	every word in arguments.argv { is_string(word) }
	not arguments.shell
} else := regex.split(` +`, trim(text, " ")) if {
	text := shell_of(arguments)
	regex.match(`^ *[A-Za-z0-9_][A-Za-z0-9_./:@,+= -]*$`, text)
} else := ["sh", "-c", shell_of(arguments)]

shell_of(arguments) := arguments.shell if {
	is_string(arguments.shell)
	trim_space(arguments.shell) != ""
	not arguments.argv
}

# Every word of every command, those within a text for a shell too.
words := {word | some line in lines; some word in regex.split("[\\s\"'`;&|<>()=$]+", concat(" ", line))} if lines

# Whether a command begins with the words of a listed one.
listed(line) if {
	some prefix in settings.commands.listed
	begins(line, prefix)
}

listed_call(call) if {
	call.skill == "command"
	listed(line_of(call["with"]))
}

begins(line, prefix) if {
	words_of_prefix := split(prefix, " ")
	array.slice(line, 0, count(words_of_prefix)) == words_of_prefix
}
