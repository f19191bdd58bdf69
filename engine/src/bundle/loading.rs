//! Reading the parts of a bundle and putting them together, with every problem noted.

use std::collections::{BTreeMap, HashMap};

use cku_base::diagnostic::{Diagnostic, Place};
use cku_lang::{Compiled, GateBody};

use super::{
    Bundle, GateFacts, check,
    compiled::{self, collected_path},
    no_manifest,
};
use crate::{
    authzen::{self, Authzen},
    cedar::{self, access::AccessPolicies, rules::GateRules},
    data,
    exploration::ExplorationSettings,
    manifest::{MANIFEST_FILE, Manifest},
    rego::{ModuleText, RegoProgram, graph::parse_dotted},
    sequence::{self, SEQUENCE_PATH, Sequence},
    source::{FileKind, Sources},
    targets::{ENTITIES, Targets},
};

/// The parts of a bundle as far as they could be read, each problem noted.
pub(super) struct Loading {
    manifest: Manifest,
    compiled: Option<Compiled>,
    data: serde_json::Value,
    access: Option<AccessPolicies>,
    authzen: Option<Authzen>,
}

impl Loading {
    /// Reads each part.
    pub(super) fn new(sources: &Sources, problems: &mut Vec<Diagnostic>) -> Option<Self> {
        for path in sources.ignored() {
            let warning = Diagnostic::warning("B008", "a file of no known kind is passed over")
                .at(Place::whole_file(path))
                .help("policies end in .gate, .rego, .cedar or .cedarschema; data lies under data/");
            problems.push(warning);
        }
        for file in sources.files().iter().filter(|f| f.path.starts_with("compiled/")) {
            let problem = Diagnostic::error("B001", "`compiled/` holds what cku compiles")
                .at(Place::whole_file(&file.path))
                .help("keep the file in another folder");
            problems.push(problem);
        }
        let text = sources.text(MANIFEST_FILE);
        let manifest = match text.ok_or_else(no_manifest).and_then(|t| Manifest::read(t)) {
            Ok(manifest) => manifest,
            Err(problem) => {
                problems.push(problem);
                return None;
            }
        };
        let data = data::read(sources.of_kind(FileKind::Data), &manifest.limits, problems);
        let compiled = compile(sources, &manifest, problems);
        let access = access(sources, &manifest, problems);
        let authzen = authzen::load(sources, &manifest, &data, problems);
        Some(Self { manifest, compiled, data, access, authzen })
    }

    /// Puts the parts together, if all of them could be read.
    pub(super) fn finish(self, sources: &Sources, problems: &mut Vec<Diagnostic>) -> Option<Bundle> {
        let Self { manifest, compiled, data, access, authzen } = self;
        let file = sources.of_kind(FileKind::Data).map(|f| f.path.as_str()).find(|p| p.starts_with(ENTITIES));
        let targets = Targets::load(&data, file.unwrap_or(ENTITIES), &manifest, access.as_ref(), problems);
        let Some(compiled) = compiled else {
            // The Rego is still looked at, so that one round shows all that is wrong.
            let written =
                sources.of_kind(FileKind::Rego).map(|f| ModuleText { path: &f.path, text: &f.text });
            RegoProgram::load(&written.collect::<Vec<_>>(), &data, &manifest, problems);
            return None;
        };
        problems.extend(compiled.warnings.iter().cloned());
        let texts: Vec<ModuleText<'_>> = compiled::modules(sources, &compiled).collect();
        let rego = RegoProgram::load(&texts, &data, &manifest, problems);
        check::references(&compiled, &manifest, access.as_ref(), problems);
        let rules = GateRules::load(&compiled, &manifest.modes).map_err(|p| problems.extend(p)).ok();
        let rego = rego?;
        check::paths(&rego, &compiled, &data, problems);
        check::authzen(&rego, &manifest, problems);
        let sequences = sequences(sources, &rego, &manifest, &compiled, problems);
        let exploration = ExplorationSettings::load(&data, sources, &manifest, &compiled, problems);
        let facts = compiled.gates.iter().filter_map(|gate| {
            let GateBody::Rules(rules) = &gate.body else { return None };
            let facts = GateFacts { path: collected_path(&gate.name), facts: rules.facts.clone() };
            Some((gate.name.clone(), facts))
        });
        Some(Bundle {
            revision: sources.revision(),
            facts: facts.collect(),
            policies: compiled.policies.iter().enumerate().map(|(at, p)| (p.id.clone(), at)).collect(),
            rules: rules?,
            sources: Sources::default(),
            warnings: Vec::new(),
            manifest,
            compiled,
            data,
            rego,
            access,
            authzen,
            targets,
            sequences,
            exploration,
        })
    }
}

fn compile(sources: &Sources, manifest: &Manifest, problems: &mut Vec<Diagnostic>) -> Option<Compiled> {
    let files = sources.of_kind(FileKind::Gate);
    let trees: Vec<_> = files.map(|f| cku_lang::parse(&f.path, &f.text).0).collect();
    // Compiling reports what parsing found as well, beside what it finds in the other files.
    cku_lang::compile(&trees, &manifest.modes).map_err(|found| problems.extend(found)).ok()
}

fn access(sources: &Sources, manifest: &Manifest, problems: &mut Vec<Diagnostic>) -> Option<AccessPolicies> {
    let nesting = manifest.limits.nesting;
    let mut schemas = sources.of_kind(FileKind::CedarSchema);
    let schema = match (schemas.next(), schemas.next()) {
        (None, _) => {
            for file in sources.of_kind(FileKind::Cedar) {
                let problem = Diagnostic::error("C001", "Cedar policies without a schema")
                    .at(Place::whole_file(&file.path))
                    .help("add a `*.cedarschema` file that declares the entity types and actions");
                problems.push(problem);
            }
            return None;
        }
        (Some(_), Some(second)) => {
            let problem = Diagnostic::error("C001", "a second access schema")
                .at(Place::whole_file(&second.path))
                .help("keep one `*.cedarschema` in a bundle");
            problems.push(problem);
            return None;
        }
        (Some(file), None) => cedar::parse_schema(&file.path, &file.text, nesting),
    };
    let schema = schema.map_err(|p| problems.extend(p)).ok()?;
    let mut policies = Vec::new();
    let mut places: HashMap<String, Place> = HashMap::new();
    for file in sources.of_kind(FileKind::Cedar) {
        match cedar::parse_policies(&file.path, &file.text, &schema, nesting) {
            Ok((read, warnings)) => {
                problems.extend(warnings);
                for policy in read {
                    let id = policy.id().to_string();
                    let place = cedar::place_of_id(&file.path, &file.text, &id);
                    if let Some(first) = places.insert(id.clone(), place.clone()) {
                        let message = format!("two policies have the id `{id}`; the other is at {first}");
                        problems.push(Diagnostic::error("C005", message).at(place));
                    } else {
                        policies.push(policy);
                    }
                }
            }
            Err(found) => problems.extend(found),
        }
    }
    let read = AccessPolicies::new(schema, &policies, manifest.roles.clone());
    if let Ok(Err(misfit)) = read.as_ref().map(AccessPolicies::check_roles) {
        let message = format!("`roles` does not fit the access schema: {misfit}");
        problems.push(
            Diagnostic::error("B006", message)
                .at(Place::whole_file(MANIFEST_FILE))
                .help("name for each role the attribute of `Tenant` that holds it, and leave none out"),
        );
    }
    read.map_err(|e| {
        let problem = Diagnostic::error("C001", format!("the access schema is not usable: {e}"));
        let file = sources.of_kind(FileKind::CedarSchema).next();
        problems.push(file.map_or(problem.clone(), |file| problem.at(Place::whole_file(&file.path))));
    })
    .ok()
}

fn sequences(
    sources: &Sources,
    rego: &RegoProgram,
    manifest: &Manifest,
    compiled: &Compiled,
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<String, Sequence> {
    let path = parse_dotted(SEQUENCE_PATH).unwrap_or_default();
    if rego.graph().depends_on_input(&path) {
        let place = rego.graph().rules().get(&path).map(|n| n.place.clone());
        let problem = Diagnostic::error("R008", format!("`{SEQUENCE_PATH}` depends on the input")).help(
            "the order of the gates is the same for every run of a mode; decide by facts within a gate",
        );
        problems.push(match place {
            Some(place) => problem.at(place),
            None => problem,
        });
    }
    let value = if rego.graph().defines(&path) { rego.worker().query(SEQUENCE_PATH) } else { Ok(None) };
    let gates: Vec<&str> = compiled.gates.iter().map(|g| g.name.as_str()).collect();
    let roles: Vec<&str> = manifest.roles.keys().map(String::as_str).collect();
    let of_mode = |mode: &String| {
        let sequence = match &value {
            Ok(value) => sequence::read(value.as_ref(), mode, &gates, &roles),
            Err(error) => Err(error.to_string()),
        };
        (mode.clone(), sequence)
    };
    let sequences: BTreeMap<String, Sequence> = manifest.modes.iter().map(of_mode).collect();
    // A bundle that only answers questions of other systems decides over no runs.
    let runs = !compiled.gates.is_empty() || sources.of_kind(FileKind::AuthzenSchema).next().is_none();
    let fine = runs && !problems.iter().any(Diagnostic::is_error);
    for (mode, sequence) in &sequences {
        if let Err(why) = sequence
            && fine
        {
            let warning =
                Diagnostic::warning("B010", format!("every run in mode `{mode}` is rejected: {why}"));
            problems.push(match rego.graph().rules().get(&path) {
                Some(rule) => warning.at(rule.place.clone()),
                None => warning
                    .at(Place::whole_file(MANIFEST_FILE))
                    .help(format!("write `mode {mode} {{ … }}` in a gate file")),
            });
        }
    }
    sequences
}
