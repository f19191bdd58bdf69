//! How far runs may explore, as a bundle says in `data.cku.learner`.
//!
//! `defaults` hold everywhere, `modes` override them, `thresholds` override both. Only the members that
//! begin with `exploration_` are read here; the rest is the learner's.

use std::{collections::BTreeMap, ops::RangeInclusive};

use cku_base::{
    BasisPoints,
    diagnostic::{Diagnostic, Place},
    suggest,
};
use cku_lang::{Compiled, GateBody};
use serde_json::{Map, Value};

use crate::{
    data,
    manifest::Manifest,
    source::{FileKind, Sources},
};

/// Where the settings stand in the data.
const PATH: &str = "/cku/learner";
const RATE: &str = "exploration_rate";
const BANDS: &str = "exploration_bands";
const CAP: &str = "exploration_cap";

/// Bands beyond a threshold that are explored where nothing is said.
const DEFAULT_BANDS: u32 = 20;
/// Explored runs where nothing is said.
const DEFAULT_CAP: u32 = 100;
/// The learner looks no further; a share of 0 is how nothing is explored.
const BANDS_RANGE: RangeInclusive<u64> = 1..=32;
/// The cap is of 10,000 decisions.
const CAP_RANGE: RangeInclusive<u64> = 1..=10_000;

/// How far runs may explore beyond one threshold in one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exploration {
    /// The share of runs that are let through where only this threshold stands in the way; 0 is none.
    pub rate: BasisPoints,
    /// Only facts of so many bands beyond the threshold.
    pub bands: u32,
    /// Explored runs of a principal in 10,000 decisions of the mode.
    pub cap: u32,
}

/// How far runs may explore, by mode and threshold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExplorationSettings {
    defaults: Said,
    modes: BTreeMap<String, Said>,
    /// By `gate.threshold`.
    thresholds: BTreeMap<String, Said>,
}

/// What one place says; nothing where it leaves it to the others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Said {
    rate: Option<BasisPoints>,
    bands: Option<u32>,
    cap: Option<u32>,
}

impl ExplorationSettings {
    /// What holds for a threshold of a gate in a mode.
    pub fn of(&self, mode: &str, gate: &str, threshold: &str) -> Exploration {
        let said = |said: Option<&Said>| said.copied().unwrap_or_default();
        let by_mode = said(self.modes.get(mode));
        let by_threshold = said(self.thresholds.get(&format!("{gate}.{threshold}")));
        Exploration {
            rate: by_threshold.rate.or(by_mode.rate).or(self.defaults.rate).unwrap_or_default(),
            bands: by_threshold.bands.or(by_mode.bands).or(self.defaults.bands).unwrap_or(DEFAULT_BANDS),
            cap: by_threshold.cap.or(by_mode.cap).or(self.defaults.cap).unwrap_or(DEFAULT_CAP),
        }
    }

    /// Reads the settings; where anything in them cannot be read, that is told and nothing explores.
    pub(crate) fn load(
        documents: &Value,
        sources: &Sources,
        manifest: &Manifest,
        compiled: &Compiled,
        problems: &mut Vec<Diagnostic>,
    ) -> Self {
        let Some(document) = documents.pointer(PATH) else { return Self::default() };
        let mut reading = Reading { wrong: Vec::new() };
        let settings = reading.settings(document, &manifest.modes, &learnable(compiled));
        if reading.wrong.is_empty() {
            return settings;
        }
        let file = data::file_of(sources.of_kind(FileKind::Data), &["cku", "learner"]).unwrap_or("data");
        problems.extend(reading.wrong.into_iter().map(|(message, help)| {
            Diagnostic::error("B013", message).at(Place::whole_file(file)).help(help)
        }));
        Self::default()
    }
}

/// The thresholds that may be learned, as settings name them.
fn learnable(compiled: &Compiled) -> Vec<String> {
    let of_gate = |gate: &cku_lang::Gate| match &gate.body {
        GateBody::Rules(rules) => {
            rules.learnable().map(|(threshold, ..)| format!("{}.{}", gate.name, threshold.name)).collect()
        }
        GateBody::Rego { .. } => Vec::new(),
    };
    compiled.gates.iter().flat_map(of_gate).collect()
}

/// Reading with all that is wrong: what, and what to do.
struct Reading {
    wrong: Vec<(String, String)>,
}

impl Reading {
    fn settings(&mut self, document: &Value, modes: &[String], learnable: &[String]) -> ExplorationSettings {
        let Some(members) = self.object(document, "data.cku.learner") else {
            return ExplorationSettings::default();
        };
        if let Some(name) = members.keys().find(|name| name.starts_with("exploration_")) {
            let what = format!("`{name}` stands directly in `data.cku.learner`");
            self.note(what, "write it under `defaults`, `modes` or `thresholds`");
        }
        let defaults = members.get("defaults").map(|said| self.said(said, "defaults")).unwrap_or_default();
        ExplorationSettings {
            defaults,
            modes: self.named(members, "modes", "mode", modes),
            thresholds: self.named(members, "thresholds", "threshold that is learned", learnable),
        }
    }

    /// What is said by name, where the names are known.
    fn named(
        &mut self,
        members: &Map<String, Value>,
        of: &str,
        what: &str,
        known: &[String],
    ) -> BTreeMap<String, Said> {
        let Some(value) = members.get(of) else { return BTreeMap::new() };
        let Some(by_name) = self.object(value, &format!("data.cku.learner.{of}")) else {
            return BTreeMap::new();
        };
        let mut all = BTreeMap::new();
        for (name, value) in by_name {
            if !known.contains(name) {
                let help = match suggest(name, known.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are: {}", known.join(", ")),
                };
                self.note(format!("`data.cku.learner.{of}` names no {what}: `{name}`"), help);
            }
            all.insert(name.clone(), self.said(value, &format!("{of}.{name}")));
        }
        all
    }

    fn said(&mut self, value: &Value, at: &str) -> Said {
        let at = format!("data.cku.learner.{at}");
        let Some(members) = self.object(value, &at) else { return Said::default() };
        for name in members.keys().filter(|name| name.starts_with("explor")) {
            if ![RATE, BANDS, CAP].contains(&name.as_str()) {
                let near = suggest(name, [RATE, BANDS, CAP]).unwrap_or(RATE);
                self.note(format!("`{at}` has no `{name}`"), format!("did you mean `{near}`?"));
            }
        }
        let rate = self.number(members, &at, RATE, 0..=10_000, "ten-thousandths, 0 to 10000: 3000 are 30 %");
        Said {
            rate: rate.and_then(|rate| BasisPoints::try_from(rate).ok()),
            bands: self.number(members, &at, BANDS, BANDS_RANGE, "a number of bands, 1 to 32"),
            cap: self.number(members, &at, CAP, CAP_RANGE, "a number of runs, 1 to 10000"),
        }
    }

    fn number(
        &mut self,
        members: &Map<String, Value>,
        at: &str,
        name: &str,
        range: RangeInclusive<u64>,
        form: &str,
    ) -> Option<u32> {
        let value = members.get(name)?;
        let number =
            value.as_u64().filter(|number| range.contains(number)).and_then(|n| u32::try_from(n).ok());
        if number.is_none() {
            self.note(format!("`{at}.{name}` cannot be read: {value}"), format!("write {form}"));
        }
        number
    }

    fn object<'v>(&mut self, value: &'v Value, at: &str) -> Option<&'v Map<String, Value>> {
        let members = value.as_object();
        if members.is_none() {
            self.note(format!("`{at}` is no object"), "write members below it, or leave it out");
        }
        members
    }

    fn note(&mut self, message: String, help: impl Into<String>) {
        self.wrong.push((message, help.into()));
    }
}
