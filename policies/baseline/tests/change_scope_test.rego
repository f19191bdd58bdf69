package cku.change_scope_test

import rego.v1

input_of(files, boundary) := {"submission": {"change": {"files": files, "boundary": boundary}, "evidence": []}}

running(command) := {"submission": {"change": {"commands": [command]}}}

test_globs_of_the_boundary if {
	data.cku.change_scope.outside == set() with input as input_of(["src/a.py", "src/deep/er/b.py"], ["src/**"])
	data.cku.change_scope.outside == {"src/deep/b.py"} with input as input_of(["src/a.py", "src/deep/b.py"], ["src/*"])
	data.cku.change_scope.outside == {"srcs/a.py", "lib/src/a.py"} with input as input_of(["srcs/a.py", "lib/src/a.py"], ["src/**"])
	data.cku.change_scope.outside == set() with input as input_of(["a/b/x.md", "x.md"], ["**/*.md"])
	data.cku.change_scope.outside == {"a.py"} with input as input_of(["a.py"], [])
}

test_paths_that_lead_elsewhere_are_outside if {
	odd := ["/etc/passwd", "src/../x", "../x", "..", ".", "./src/a", "src/./a", "src//a", "src\\a", ""]
	data.cku.change_scope.outside_boundary == count(odd) with input as input_of(odd, ["**"])
	data.cku.change_scope.outside == set() with input as input_of(["src/..a", "src/a..b", ".github/x", "a/.b"], ["**"])
}

test_the_diff_adds_files_and_the_places_they_left if {
	documents := [{"kind": "change", "data": {"files": [{"path": "src/new.py", "from": "old/gone.py"}, {"path": "src/a.py", "from": null}, {"path": "src/b.py"}]}}]
	all := object.union(input_of(["src/a.py"], ["src/**"]), {"submission": {"evidence": documents}})
	data.cku.change_scope.files_changed == 4 with input as all
	data.cku.change_scope.outside == {"old/gone.py"} with input as all
	data.cku.change_scope.outside_files == "old/gone.py" with input as all
}

test_a_file_that_was_measured_was_not_changed if {
	measured := {"submission": {"evidence": [{"kind": "coverage", "data": {"files": [{"path": "a.py", "from": "b.py"}]}}]}}
	data.cku.change_scope.files_changed == 0 with input as measured
}

test_forbidden_commands if {
	every command in [
		"git push --force", "git push -f origin main", "git push origin main --force", "git filter-branch --all",
		"git commit -m x --no-verify", "rm -rf /", "rm -r -f ~", "sudo rm -fr /*", "chmod -R 777 .", "mkfs.ext4 /dev/sda1",
		"dd if=/dev/zero of=/dev/sda", "terraform destroy", "kubectl -n x delete namespace y", "psql -c 'DROP DATABASE x'",
	] {
		data.cku.change_scope.forbidden_commands == 1 with input as running(command)
	}
}

test_a_command_is_found_among_others_and_within_a_script if {
	data.cku.change_scope.forbidden_commands == 2 with input as {"submission": {"change": {"commands": ["make", "rm -rf /", "a\nmkfs /dev/sda", "z"]}}}
	data.cku.change_scope.forbidden_commands == 0 with input as {"submission": {"change": {"commands": ["terraform", "destroy", "rm -rf", "/"]}}}
}

test_folders_and_other_globs_of_a_boundary if {
	data.cku.change_scope.outside == {"srcs/a", "src"} with input as input_of(["src/a", "src/b/c", "srcs/a", "src"], ["src/**"])
	data.cku.change_scope.outside == {"srcs/a", "lib/a.rs"} with input as input_of(["src/a", "srcs/a", "lib/a.py", "lib/a.rs"], ["src/**", "lib/*.py"])
	data.cku.change_scope.outside == {"src/c/x", "docs/x"} with input as input_of(["src/a/x", "src/b/x", "src/c/x", "docs/x"], ["src/{a,b}/**"])
}

test_ordinary_commands if {
	every command in [
		"git push", "git push --force-with-lease", "git commit -m x", "rm -rf build/", "rm -rf ./dist", "rm file", "chmod 755 x",
		"terraform apply", "kubectl delete pod x", "dd if=a of=b", "make", "",
	] {
		data.cku.change_scope.forbidden_commands == 0 with input as running(command)
	}
}

test_arguments_that_are_no_texts_are_passed_over if {
	odd := {"submission": {"plan": {"steps": [{"with": {"argv": ["rm", 7, null, "-rf", "/"]}}, {"with": {"argv": "rm -rf /"}}, {"with": null}, {"with": {"script": 7}}]}}}
	data.cku.lib.commands == {"rm -rf /"} with input as odd
}

test_what_undoes_a_step_is_a_command if {
	undone := {"submission": {"plan": {"steps": [{"with": {"argv": ["true"]}, "undo": {"argv": ["rm", "-rf", "/"]}}, {"undo": null}, {"with": {"argv": ["ls"]}, "undo": {"shell": "terraform destroy"}}]}}}
	data.cku.lib.commands == {"true", "rm -rf /", "ls", "terraform destroy"} with input as undone
	data.cku.change_scope.forbidden_commands == 2 with input as undone
}

test_costs_add_up_and_none_is_negative if {
	data.cku.change_scope.cost == 300 with input as {"submission": {"plan": {"steps": [{"estimated_cost": 100}, {}, {"estimated_cost": 200}]}}}
	data.cku.change_scope.cost == 0 with input as {"submission": {}}
	not data.cku.change_scope.cost with input as {"submission": {"plan": {"steps": [{"estimated_cost": 100}, {"estimated_cost": -1}]}}}
}
