# Facts of the gate `tenant_scope`. Whether a target may be touched is asked of Cedar, one by one.
package cku.tenant_scope

import rego.v1

targets := data.cku.lib.targets

# The principal may have rights beside the tenant of the run; the run has none there.
foreign_targets := count(all_targets - owned) if {
	all_targets := targets
	prefix := tenant_prefix
	owned := {target |
		some target in all_targets
		[_, path] := split(target, ":")
		startswith(path, prefix)
	}
}

tenant_prefix := "" if {
	input.tenant == "/"
} else := concat("", [input.tenant, "/"])

steps_without_targets := count([step |
	some step in data.cku.lib.effectful_steps
	not count(step.targets) > 0
])
