//! A loaded bundle.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use cku_base::{
    Digest,
    diagnostic::{Diagnostic, Place},
    suggest,
};
use cku_lang::{Compiled, Fact, Gate, GateBody, Policy, RegoModule, Rules, Type};

use crate::{
    access::{Denial, Resource},
    cedar::{self, access::AccessPolicies, rules::GateRules},
    data,
    error::LoadError,
    manifest::{MANIFEST_FILE, Manifest},
    rego::{
        ModuleText, RegoProgram,
        graph::{dotted, parse_dotted},
    },
    sequence::{self, SEQUENCE_PATH, Sequence},
    source::{FileKind, Sources},
    targets::{ENTITIES, Targets},
};

/// Where the compiled facts of gates live; no module of the bundle may define rules there.
const FACTS_PACKAGE: [&str; 2] = ["cku", "facts"];

/// Where what all gates ask of Rego is collected at once; nor there.
const TOGETHER_PACKAGE: [&str; 2] = ["cku", "together"];

/// The rule of that package.
pub(crate) const TOGETHER_PATH: &str = "data.cku.together.asked";

/// Parsers recurse; the limit on nesting bounds most of it, the stack has room for the rest.
const LOADING_STACK: usize = 256 << 20;

/// A bundle of policies that passed all checks; immutable, shared between workers.
#[derive(Debug)]
pub struct Bundle {
    sources: Sources,
    revision: Digest,
    manifest: Manifest,
    compiled: Compiled,
    together: RegoModule,
    facts: HashMap<String, GateFacts>,
    policies: HashMap<String, usize>,
    data: serde_json::Value,
    rego: RegoProgram,
    rules: GateRules,
    access: Option<AccessPolicies>,
    targets: Targets,
    sequences: BTreeMap<String, Sequence>,
    warnings: Vec<Diagnostic>,
}

/// The facts of a gate and the rule that collects them.
#[derive(Debug, Clone)]
pub(crate) struct GateFacts {
    pub(crate) path: String,
    pub(crate) facts: Vec<Fact>,
}

impl Bundle {
    /// Loads the bundle in a directory; an error holds all that is wrong with it.
    pub fn load(dir: &Path) -> Result<Self, LoadError> {
        let sources = Sources::read_dir(dir).map_err(|diagnostics| LoadError { diagnostics })?;
        if sources.text(MANIFEST_FILE).is_none() {
            return Err(LoadError { diagnostics: vec![no_manifest()] });
        }
        Self::from_sources(sources)
    }

    /// Loads a bundle from its files.
    pub fn from_sources(sources: Sources) -> Result<Self, LoadError> {
        let load = move || {
            let mut problems = Vec::new();
            let loaded =
                Loading::new(&sources, &mut problems).and_then(|l| l.finish(&sources, &mut problems));
            problems.sort_by(|a, b| a.sort_key().cmp(&b.sort_key()));
            match loaded {
                Some(bundle) if !problems.iter().any(Diagnostic::is_error) => {
                    Ok(Self { warnings: problems, sources, ..bundle })
                }
                _ => Err(LoadError { diagnostics: problems }),
            }
        };
        let panicked = || LoadError {
            diagnostics: vec![Diagnostic::error(
                "B009",
                "a parser panicked over this bundle; please report it",
            )],
        };
        let thread = std::thread::Builder::new().name("bundle".to_owned()).stack_size(LOADING_STACK);
        match thread.spawn(load) {
            Ok(handle) => handle.join().unwrap_or_else(|_| Err(panicked())),
            Err(_) => Err(panicked()),
        }
    }

    /// The digest of its policies.
    pub fn revision(&self) -> Digest {
        self.revision
    }

    /// What it says about itself.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its files, tests included.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// What its gate files compiled to.
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// What somebody should look at.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Its base documents.
    pub fn data(&self) -> &serde_json::Value {
        &self.data
    }

    /// The gate of this name.
    pub fn gate(&self, name: &str) -> Option<&Gate> {
        self.compiled.gates.iter().find(|g| g.name == name)
    }

    /// The compiled policy of this id.
    pub fn policy(&self, id: &str) -> Option<&Policy> {
        self.policies.get(id).and_then(|at| self.compiled.policies.get(*at))
    }

    /// The gates of a mode in order; none for a mode that the bundle does not have.
    pub fn sequence(&self, mode: &str) -> Option<&Sequence> {
        self.sequences.get(mode)
    }

    /// The entity of a target text like `service:acme/payments/api`.
    pub fn target(&self, text: &str) -> Result<&Resource, Denial> {
        self.targets.find(text)
    }

    pub(crate) fn facts_of(&self, gate: &str) -> Option<&GateFacts> {
        self.facts.get(gate)
    }

    pub(crate) fn rego(&self) -> &RegoProgram {
        &self.rego
    }

    pub(crate) fn rules(&self) -> &GateRules {
        &self.rules
    }

    pub(crate) fn access(&self) -> Option<&AccessPolicies> {
        self.access.as_ref()
    }

    /// The Rego modules without tests, compiled ones included.
    pub(crate) fn modules(&self) -> impl Iterator<Item = ModuleText<'_>> {
        modules(&self.sources, &self.compiled, &self.together)
    }
}

fn no_manifest() -> Diagnostic {
    Diagnostic::error("B001", format!("there is no `{MANIFEST_FILE}`"))
        .at(Place::whole_file(MANIFEST_FILE))
        .help("name the folder of a bundle, or write its manifest")
}

fn modules<'b>(
    sources: &'b Sources,
    compiled: &'b Compiled,
    together: &'b RegoModule,
) -> impl Iterator<Item = ModuleText<'b>> {
    let written = sources.of_kind(FileKind::Rego).map(|f| ModuleText { path: &f.path, text: &f.text });
    let compiled = compiled.modules.iter().chain([together]);
    written.chain(compiled.map(|m| ModuleText { path: &m.path, text: &m.text }))
}

/// One rule for what all gates ask of Rego, so that what they share is evaluated once.
///
/// A gate that decides by Rego has the set of its one value, which is empty where it is undefined.
fn together(compiled: &Compiled) -> RegoModule {
    let members = compiled.gates.iter().map(|gate| match &gate.body {
        GateBody::Rules(_) => format!("\t\"{}\": {},\n", gate.name, collected_path(&gate.name)),
        GateBody::Rego { path, .. } => format!("\t\"{}\": {{x | x := {path}}},\n", gate.name),
    });
    let members: String = members.collect();
    let text = format!("package {}\n\nasked := {{\n{members}}}\n", TOGETHER_PACKAGE.join("."));
    RegoModule { path: "compiled/together.rego".to_owned(), text }
}

fn collected_path(gate: &str) -> String {
    format!("data.{}.{gate}.collected", FACTS_PACKAGE.join("."))
}

/// The parts of a bundle as far as they could be read, each problem noted.
struct Loading {
    manifest: Manifest,
    compiled: Option<Compiled>,
    data: serde_json::Value,
    access: Option<AccessPolicies>,
}

impl Loading {
    fn new(sources: &Sources, problems: &mut Vec<Diagnostic>) -> Option<Self> {
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
        Some(Self { manifest, compiled, data, access })
    }

    fn finish(self, sources: &Sources, problems: &mut Vec<Diagnostic>) -> Option<Bundle> {
        let Self { manifest, compiled, data, access } = self;
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
        let together = together(&compiled);
        let texts: Vec<ModuleText<'_>> = modules(sources, &compiled, &together).collect();
        let rego = RegoProgram::load(&texts, &data, &manifest, problems);
        check_references(&compiled, &manifest, access.as_ref(), problems);
        let rules = GateRules::load(&compiled, &manifest.modes).map_err(|p| problems.extend(p)).ok();
        let rego = rego?;
        check_paths(&rego, &compiled, &data, problems);
        let sequences = sequences(&rego, &manifest, &compiled, problems);
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
            together,
            data,
            rego,
            access,
            targets,
            sequences,
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
    read.map_err(|e| {
        problems.push(Diagnostic::error("C001", format!("the access schema is not usable: {e}")))
    })
    .ok()
}

/// Access actions, the facts they are asked on, and roles: all must be there.
fn check_references(
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
fn check_paths(
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
            || path.starts_with(&TOGETHER_PACKAGE.map(str::to_owned))
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

fn sequences(
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
    let of_mode = |mode: &String| {
        let sequence = match &value {
            Ok(value) => sequence::read(value.as_ref(), mode, &gates),
            Err(error) => Err(error.to_string()),
        };
        (mode.clone(), sequence)
    };
    let sequences: BTreeMap<String, Sequence> = manifest.modes.iter().map(of_mode).collect();
    let fine = !problems.iter().any(Diagnostic::is_error);
    for (mode, sequence) in &sequences {
        if let Err(why) = sequence
            && fine
        {
            let warning =
                Diagnostic::warning("B010", format!("every run in mode `{mode}` is rejected: {why}"))
                    .at(Place::whole_file(MANIFEST_FILE))
                    .help(format!("write `mode {mode} {{ … }}` in a gate file"));
            problems.push(warning);
        }
    }
    sequences
}

fn rules_of(gate: &Gate) -> Option<&Rules> {
    match &gate.body {
        GateBody::Rules(rules) => Some(rules),
        GateBody::Rego { .. } => None,
    }
}

/// A worker of this bundle shares it.
impl From<Bundle> for crate::Worker {
    fn from(bundle: Bundle) -> Self {
        Self::new(Arc::new(bundle))
    }
}
