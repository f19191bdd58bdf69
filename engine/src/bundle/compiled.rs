//! What gate files compile to, as Rego modules beside the written ones.

use cku_lang::Compiled;

use crate::{
    rego::ModuleText,
    source::{FileKind, Sources},
};

/// Where the compiled facts of gates live; no module of the bundle may define rules there.
pub(super) const FACTS_PACKAGE: [&str; 2] = ["cku", "facts"];

/// The rule that collects the facts of a gate.
pub(super) fn collected_path(gate: &str) -> String {
    format!("data.{}.{gate}.collected", FACTS_PACKAGE.join("."))
}

/// The Rego modules of a bundle without its tests: written ones, then compiled ones.
pub(super) fn modules<'b>(
    sources: &'b Sources,
    compiled: &'b Compiled,
) -> impl Iterator<Item = ModuleText<'b>> {
    let written = sources.of_kind(FileKind::Rego).map(|f| ModuleText { path: &f.path, text: &f.text });
    written.chain(compiled.modules.iter().map(|m| ModuleText { path: &m.path, text: &m.text }))
}
