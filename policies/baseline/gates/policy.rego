# The organisation's own rules. Add to `deny`, `hold` or `warn` an object {rule, message}: one
# `deny` rejects, else one `hold` pauses; `warn` is only told.
package cku.policy

import rego.v1

decision := {"verdict": "REJECT", "reasons": [reason | some reason in deny]} if count(deny) > 0

else := {"verdict": "PAUSE", "reasons": [reason | some reason in hold]} if count(hold) > 0

else := {"verdict": "PASS", "reasons": [reason | some reason in warn]}

deny contains {"rule": "piped_download", "message": sprintf("`%s` runs a download without anyone having seen it", [command])} if {
	# All at once first (see `all_commands` in `lib.rego`).
	regex.match(concat("", ["(?m)", piped]), data.cku.lib.all_commands)
	some command in data.cku.lib.commands
	regex.match(piped, command)
}

piped := concat("|", data.cku.lib.settings.policy.piped_downloads)

hold contains {"rule": "required_label", "message": sprintf("the label `%s` is required in this mode", [label])} if {
	required := data.cku.lib.settings.policy.required_labels
	some label in required[input.mode]
	not labelled(label)
}

# A setting that is not there must not let everything through.
deny contains {"rule": "settings", "message": "the settings of this gate say nothing about this mode"} if not settled

settled if {
	is_string(piped)

	# An anchor that `(?m)` does not reach would not be found in all commands at once.
	not contains(piped, `\A`)
	not contains(piped, `\z`)
	required := data.cku.lib.settings.policy.required_labels
	is_array(required[input.mode])
}

# Labels are free JSON: only a text that says something counts.
labelled(label) if {
	value := input.submission.labels[label]
	is_string(value)
	trim_space(value) != ""
}

warn contains {"rule": "no_intent", "message": "the intent says nothing: reviewers will have to guess"} if {
	not intent_said
}

intent_said if count(trim_space(input.submission.intent)) >= data.cku.lib.settings.policy.min_intent_length
