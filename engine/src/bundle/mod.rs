//! A loaded bundle.

mod check;
mod compiled;
mod loading;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use cku_base::{
    Digest,
    diagnostic::{Diagnostic, Place},
};
use cku_lang::{Compiled, Fact, Gate, GateBody, Policy};

use crate::{
    access::{Denial, Resource},
    authzen::Authzen,
    cedar::{access::AccessPolicies, rules::GateRules},
    data,
    error::LoadError,
    exploration::ExplorationSettings,
    manifest::{MANIFEST_FILE, Manifest},
    rego::{ModuleText, RegoProgram, graph::parse_dotted},
    sequence::Sequence,
    source::{FileKind, Sources},
    targets::Targets,
};
use loading::Loading;

/// Parsers recurse; the limit on nesting bounds most of it, the stack has room for the rest.
const LOADING_STACK: usize = 256 << 20;

/// What cku asks of a bundle beside facts and verdicts: the healing of runs asks for the strategy, and
/// their input is built with the error budget and what is drawn of exploration.
///
/// Sequences are left out: they cannot depend on the input, so that their values say all.
const ENTRIES: [&str; 3] =
    ["data.cku.healing.strategy", "data.cku.settings.error_budget", "data.cku.learner"];

/// A bundle of policies that passed all checks; immutable, shared between workers.
#[derive(Debug)]
pub struct Bundle {
    sources: Sources,
    revision: Digest,
    manifest: Manifest,
    compiled: Compiled,
    facts: HashMap<String, GateFacts>,
    policies: HashMap<String, usize>,
    data: serde_json::Value,
    rego: RegoProgram,
    rules: GateRules,
    access: Option<AccessPolicies>,
    authzen: Option<Authzen>,
    targets: Targets,
    sequences: BTreeMap<String, Sequence>,
    exploration: ExplorationSettings,
    warnings: Vec<Diagnostic>,
}

/// The facts of a gate and the rule that collects them.
#[derive(Debug, Clone)]
pub(crate) struct GateFacts {
    pub(crate) path: String,
    pub(crate) facts: Vec<Fact>,
}

/// What the decisions of a bundle can depend on in Rego and data.
#[derive(Debug, Clone)]
pub struct Reach<'b> {
    /// The modules with at least one rule that can be reached: path and text.
    pub modules: BTreeMap<&'b str, &'b str>,
    /// The paths below `data` that are referred to; shorter where an index is computed, so that one
    /// stands for all below it.
    pub paths: BTreeSet<Vec<String>>,
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
            let mut problems = sources.unprintable();
            if !problems.is_empty() {
                return Err(LoadError { diagnostics: problems });
            }
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

    /// Its policies over questions of other systems; none where it has no `authzen/`.
    pub fn authzen(&self) -> Option<&Authzen> {
        self.authzen.as_ref()
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

    /// The data file that says what stands at a JSON pointer; none where no file does.
    pub fn data_file(&self, pointer: &str) -> Option<&str> {
        let path: Vec<&str> = pointer.split('/').skip(1).collect();
        data::file_of(self.sources.of_kind(FileKind::Data), &path)
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

    /// How far runs may explore; not at all where it does not say.
    pub fn exploration(&self) -> &ExplorationSettings {
        &self.exploration
    }

    /// The entity of a target text like `service:acme/payments/api`.
    pub fn target(&self, text: &str) -> Result<&Resource, Denial> {
        self.targets.find(text)
    }

    /// The Rego and data that facts, `decide by rego`, healing, the error budget and exploration can reach;
    /// sequences are values, see [`Bundle::sequence`].
    pub fn reach(&self) -> Reach<'_> {
        let facts = self.facts.values().map(|facts| facts.path.as_str());
        let deciders = self.compiled.gates.iter().filter_map(|gate| match &gate.body {
            GateBody::Rego { path, .. } => Some(path.as_str()),
            GateBody::Rules(_) => None,
        });
        let asked = self.manifest.authzen.rego.values().map(String::as_str);
        let from = facts.chain(deciders).chain(asked).chain(ENTRIES).filter_map(parse_dotted).collect();
        let (files, paths) = self.rego.graph().reach(from);
        let modules = self.modules().filter(|m| files.contains(m.path)).map(|m| (m.path, m.text)).collect();
        Reach { modules, paths }
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

    /// The ids of the access policies, sorted.
    pub fn access_policies(&self) -> Vec<String> {
        self.access.as_ref().map(AccessPolicies::ids).unwrap_or_default()
    }

    pub(crate) fn access(&self) -> Option<&AccessPolicies> {
        self.access.as_ref()
    }

    /// The Rego modules without tests, compiled ones included.
    pub(crate) fn modules(&self) -> impl Iterator<Item = ModuleText<'_>> {
        compiled::modules(&self.sources, &self.compiled)
    }
}

fn no_manifest() -> Diagnostic {
    Diagnostic::error("B001", format!("there is no `{MANIFEST_FILE}`"))
        .at(Place::whole_file(MANIFEST_FILE))
        .help("name the folder of a bundle, or write its manifest")
}
