# Facts of the gate `tenant_scope`. Whether a target may be touched is asked of Cedar, one by one.
package cku.tenant_scope

import rego.v1

targets := data.cku.lib.targets

# The principal may have rights beside the tenant of the run; the run has none there.
foreign_targets := count(targets - owned)

owned contains target if {
	some target in targets
	[_, path] := split(target, ":")
	startswith(path, tenant_prefix)
}

tenant_prefix := concat("", [input.tenant, "/"]) if input.tenant != "/"

tenant_prefix := "" if input.tenant == "/"

steps_without_targets := count([step |
	some step in data.cku.lib.effectful_steps
	not count(step.targets) > 0
])
