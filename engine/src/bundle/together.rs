//! What all gates ask of Rego, as one generated rule.

use cku_lang::{Compiled, GateBody, RegoModule};

use crate::{
    rego::ModuleText,
    source::{FileKind, Sources},
};

/// Where the compiled facts of gates live; no module of the bundle may define rules there.
pub(super) const FACTS_PACKAGE: [&str; 2] = ["cku", "facts"];

/// Where what all gates ask of Rego is collected at once; nor there.
pub(super) const TOGETHER_PACKAGE: [&str; 2] = ["cku", "together"];

/// The rule of that package.
pub(crate) const TOGETHER_PATH: &str = "data.cku.together.asked";

/// One rule for what all gates ask of Rego, so that what they share is evaluated once.
///
/// A gate that decides by Rego has the set of its one value, which is empty where it is undefined.
pub(super) fn module(compiled: &Compiled) -> RegoModule {
    let members = compiled.gates.iter().map(|gate| match &gate.body {
        GateBody::Rules(_) => format!("\t\"{}\": {},\n", gate.name, collected_path(&gate.name)),
        GateBody::Rego { path, .. } => format!("\t\"{}\": {{x | x := {path}}},\n", gate.name),
    });
    let members: String = members.collect();
    let text = format!("package {}\n\nasked := {{\n{members}}}\n", TOGETHER_PACKAGE.join("."));
    RegoModule { path: "compiled/together.rego".to_owned(), text }
}

/// The rule that collects the facts of a gate.
pub(super) fn collected_path(gate: &str) -> String {
    format!("data.{}.{gate}.collected", FACTS_PACKAGE.join("."))
}

/// The Rego modules of a bundle without its tests: written ones, then compiled ones.
pub(super) fn modules<'b>(
    sources: &'b Sources,
    compiled: &'b Compiled,
    together: &'b RegoModule,
) -> impl Iterator<Item = ModuleText<'b>> {
    let written = sources.of_kind(FileKind::Rego).map(|f| ModuleText { path: &f.path, text: &f.text });
    let compiled = compiled.modules.iter().chain([together]);
    written.chain(compiled.map(|m| ModuleText { path: &m.path, text: &m.text }))
}
