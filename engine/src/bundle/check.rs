//! What the parts of a bundle say of each other: names must lead somewhere.

use cku_base::{
    diagnostic::{Diagnostic, Place},
    suggest,
};
use cku_lang::{Compiled, Gate, GateBody, Rules, Type};

use super::compiled::FACTS_PACKAGE;
use crate::{
    cedar::access::AccessPolicies,
    manifest::{MANIFEST_FILE, Manifest},
    rego::{
        RegoProgram,
        graph::{dotted, parse_dotted},
    },
};

/// Access actions, the facts they are asked on, and roles: all must be there.
pub(super) fn references(
    compiled: &Compiled,
    manifest: &Manifest,
    access: Option<&AccessPolicies>,
    problems: &mut Vec<Diagnostic>,
) {
    let problems_of_schema =
        access.is_none() && problems.iter().any(|p| p.is_error() && p.code.starts_with('C'));
    let mut unknown = |what: &str, name: &str, near: Option<&str>, place: &Place, help: &str| {
        let help = near.map_or_else(|| help.to_owned(), |n| format!("did you mean `{n}`?"));
        problems.push(
            Diagnostic::error("B006", format!("there is no {what} `{name}`")).at(place.clone()).help(help),
        );
    };
    for (requirement, rules) in
        compiled.gates.iter().filter_map(rules_of).flat_map(|r| r.access.iter().map(move |a| (a, r)))
    {
        let actions: Vec<&str> = access.iter().flat_map(|a| a.actions()).collect();
        let action = requirement.action.as_str();
        // With a schema that could not be read, every action would seem unknown.
        if !actions.contains(&action) && !problems_of_schema {
            let near = suggest(action, actions.iter().copied());
            unknown(
                "access action",
                action,
                near,
                &requirement.place,
                "declare it in the bundle's *.cedarschema",
            );
        }
        if let Some(on) = &requirement.on
            && !rules.facts.iter().any(|f| f.name == *on && matches!(f.ty, Type::Text | Type::SetOfText))
        {
            let help = "access is asked on a fact of type `text` or `set of text`";
            unknown("fact of targets", on, None, &requirement.place, help);
        }
    }
    for entry in compiled.sequences.iter().flat_map(|s| &s.entries) {
        if let Some(role) = &entry.override_by
            && !manifest.roles.contains_key(role)
        {
            let near = suggest(role, manifest.roles.keys().map(String::as_str));
            unknown("role", role, near, &entry.place, "name it under `roles` in bundle.yaml");
        }
    }
}

/// Every fact and every `decide by rego` must be defined somewhere, and nothing may pose as compiled.
pub(super) fn paths(
    rego: &RegoProgram,
    compiled: &Compiled,
    data: &serde_json::Value,
    problems: &mut Vec<Diagnostic>,
) {
    let graph = rego.graph();
    let facts =
        compiled.gates.iter().filter_map(rules_of).flat_map(|r| &r.facts).map(|f| (&f.path, &f.place));
    let deciders = compiled.gates.iter().filter_map(|g| match &g.body {
        GateBody::Rego { path, place } => Some((path, place)),
        GateBody::Rules(_) => None,
    });
    let names: Vec<String> = graph.rules().keys().map(|r| dotted(r)).collect();
    for (text, place) in facts.chain(deciders) {
        let defined = parse_dotted(text).is_some_and(|path| {
            let in_data = path.iter().try_fold(data, |node, name| node.get(name)).is_some();
            in_data || graph.defines(&path)
        });
        if !defined {
            let problem = Diagnostic::error("B006", format!("no rule defines `{text}`")).at(place.clone());
            problems.push(match suggest(text, names.iter().map(String::as_str)) {
                Some(near) => problem.help(format!("did you mean `{near}`?")),
                None => problem.help("write the rule in a Rego module of the bundle"),
            });
        }
    }
    let sequence = ["cku", "sequence"];
    for (path, node) in graph.rules() {
        let compiled_here = path.starts_with(&FACTS_PACKAGE.map(str::to_owned))
            || (!compiled.sequences.is_empty() && path.starts_with(&sequence.map(str::to_owned)));
        if compiled_here && node.files.iter().any(|f| !f.starts_with("compiled/")) {
            let problem =
                Diagnostic::error("R007", format!("`{}` is compiled from gate files", dotted(path)))
                    .at(node.place.clone())
                    .help("define it in one of the two: a gate file or Rego");
            problems.push(problem);
        }
    }
}

/// Every action that a Rego rule decides for AuthZEN must have that rule.
pub(super) fn authzen(rego: &RegoProgram, manifest: &Manifest, problems: &mut Vec<Diagnostic>) {
    let names: Vec<String> = rego.graph().rules().keys().map(|r| dotted(r)).collect();
    for (action, text) in &manifest.authzen.rego {
        if parse_dotted(text).is_some_and(|path| rego.graph().defines(&path)) {
            continue;
        }
        let problem =
            Diagnostic::error("B006", format!("no rule defines `{text}`, which decides `{action}`"));
        let problem = problem.at(Place::whole_file(MANIFEST_FILE));
        problems.push(match suggest(text, names.iter().map(String::as_str)) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help(
                "write the rule in a Rego module of the bundle, and its path like `data.todo.may_read`",
            ),
        });
    }
}

fn rules_of(gate: &Gate) -> Option<&Rules> {
    match &gate.body {
        GateBody::Rules(rules) => Some(rules),
        GateBody::Rego { .. } => None,
    }
}
