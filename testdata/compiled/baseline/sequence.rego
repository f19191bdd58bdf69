package cku

sequence := {
	# pipeline.gate:28
	"dev": [
		{"gate": "security", "enforcement": "enforce", "barrier": false, "override": "reviewer"},
		{"gate": "tenant_scope", "enforcement": "enforce", "barrier": false, "override": null},
		{"gate": "quality", "enforcement": "enforce", "barrier": false, "override": "reviewer"},
		{"gate": "operations", "enforcement": "enforce", "barrier": false, "override": "reviewer"},
		{"gate": "policy", "enforcement": "enforce", "barrier": false, "override": "reviewer"},
		{"gate": "change_scope", "enforcement": "enforce", "barrier": false, "override": "reviewer"},
		{"gate": "plan_approval", "enforcement": "advise", "barrier": false, "override": null},
		{"gate": "consensus", "enforcement": "advise", "barrier": false, "override": null},
		{"gate": "release", "enforcement": "advise", "barrier": false, "override": null}
	],
	# pipeline.gate:16
	"staging": [
		{"gate": "security", "enforcement": "enforce", "barrier": false, "override": null},
		{"gate": "quality", "enforcement": "enforce", "barrier": false, "override": "reviewer"},
		{"gate": "operations", "enforcement": "enforce", "barrier": false, "override": "reviewer"},
		{"gate": "plan_approval", "enforcement": "enforce", "barrier": false, "override": null},
		{"gate": "tenant_scope", "enforcement": "enforce", "barrier": false, "override": null},
		{"gate": "consensus", "enforcement": "enforce", "barrier": false, "override": null},
		{"gate": "policy", "enforcement": "enforce", "barrier": false, "override": null},
		{"gate": "change_scope", "enforcement": "enforce", "barrier": false, "override": "reviewer"},
		{"gate": "release", "enforcement": "enforce", "barrier": false, "override": "admin"}
	],
	# pipeline.gate:4
	"prod": [
		{"gate": "security", "enforcement": "enforce", "barrier": true, "override": null},
		{"gate": "quality", "enforcement": "enforce", "barrier": false, "override": "reviewer"},
		{"gate": "operations", "enforcement": "enforce", "barrier": false, "override": "reviewer"},
		{"gate": "plan_approval", "enforcement": "enforce", "barrier": false, "override": null},
		{"gate": "tenant_scope", "enforcement": "enforce", "barrier": true, "override": null},
		{"gate": "consensus", "enforcement": "enforce", "barrier": false, "override": null},
		{"gate": "policy", "enforcement": "enforce", "barrier": false, "override": null},
		{"gate": "change_scope", "enforcement": "enforce", "barrier": false, "override": "reviewer"},
		{"gate": "release", "enforcement": "enforce", "barrier": false, "override": "admin"}
	]
}
