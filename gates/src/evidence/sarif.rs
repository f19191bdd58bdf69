//! SARIF 2.1.0, as ruff, ESLint, Bandit, secret scanners and many others write it.
//!
//! Each run of a tool gives its own evidence. The level of a result is that of 3.27.10 of the
//! standard: `none` if its kind is not `fail`, else its own level, else what the invocation or the
//! rule configures, else `warning`. Suppressed results are counted in `suppressed`: those with
//! suppressions of which each is accepted, the strict reading of 3.27.23. Results of the baseline
//! that are gone (`baselineState: absent`) are left out. A run is refused if it says that the tool
//! did not succeed, or if its results are not in the file: no findings would be a lie then.

use cku_base::{
    Digest,
    diagnostic::Diagnostic,
    document::{self, read_json},
};
use serde_json::{Map, Value};

use super::{
    data::{Finding, Findings, Level, LevelCounts, cut},
    document::{Evidence, EvidenceData, Format},
    error::{EvidenceError, Fault, quoted},
    json_place::{Step, locate},
    limits::{Limits, MAX_COUNT},
    source::Source,
};

mod rules;
use rules::Rules;

/// Reads a SARIF log; one piece of evidence per run.
pub fn parse(file: &str, bytes: &[u8], limits: &Limits) -> Result<Vec<Evidence>, EvidenceError> {
    let source = Source::open(file, bytes, limits)?;
    let json_limits = document::Limits { bytes: limits.bytes, depth: limits.depth };
    let value = read_json(file, bytes, json_limits).map_err(|diagnostic| unreadable(&source, diagnostic))?;
    let log = At { source: &source, value: &value, path: Vec::new() };
    match log.member("version").map(|version| version.value) {
        Some(Value::String(version)) if version == "2.1.0" => {}
        Some(other) => {
            let shown = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            let message = format!("the version is {}, not `2.1.0`", quoted(&shown));
            return Err(log.step("version").fail(Fault::OtherFormat, message));
        }
        None => return Err(log.fail(Fault::OtherFormat, "no SARIF log: `version` is missing")),
    }
    let runs = log.required("runs")?.items()?;
    if runs.is_empty() {
        return Err(log.step("runs").fail(Fault::Unfinished, "no run of a tool in this log"));
    }
    let bytes_digest = Digest::of(bytes);
    let several = runs.len() > 1;
    let mut room = Room { results: limits.items, message_bytes: limits.bytes };
    let mut evidence = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        let digest = if several { run_digest(run, bytes_digest, index)? } else { bytes_digest };
        evidence.push(read_run(run, digest, &mut room)?);
    }
    Ok(evidence)
}

/// Runs of one file differ in their digests.
fn run_digest(run: &At<'_, '_>, source: Digest, index: usize) -> Result<Digest, EvidenceError> {
    let identity = serde_json::json!({ "run": index, "source": source.to_string() });
    Digest::of_canonical(&identity).map_err(|error| run.fail(Fault::Malformed, error.to_string()))
}

fn read_run(run: &At<'_, '_>, digest: Digest, room: &mut Room) -> Result<Evidence, EvidenceError> {
    let driver = run.required("tool")?.required("driver")?;
    let tool = driver.required("name")?.text()?;
    let version = match driver.member("version") {
        Some(version) => Some(version.text()?),
        None => driver.member("semanticVersion").map(|version| version.text()).transpose()?,
    };
    finished(run)?;
    let rules = Rules::of(run)?;
    let (mut findings, mut suppressed) = (Vec::new(), 0);
    for result in run.required("results")?.items()? {
        let gone = result.member("baselineState").is_some_and(|state| state.value == "absent");
        let finding = finding(&result, &rules)?;
        room.take(&result, &finding)?;
        if is_suppressed(&result)? {
            suppressed += 1;
        } else if !gone {
            findings.push(finding);
        }
    }
    let counts = LevelCounts::of(&findings);
    Ok(Evidence {
        format: Format::Sarif,
        tool: Some(tool.to_owned()),
        version: version.map(str::to_owned),
        digest,
        data: EvidenceData::Findings(Findings { findings, counts, suppressed }),
    })
}

/// What may still be read of one log.
///
/// A text of a rule can be the message of many results, so evidence could be larger than its log.
#[derive(Debug)]
struct Room {
    results: usize,
    message_bytes: usize,
}

impl Room {
    fn take(&mut self, result: &At<'_, '_>, finding: &Finding) -> Result<(), EvidenceError> {
        let limits = result.source.limits;
        self.results = self.results.checked_sub(1).ok_or_else(|| {
            result.fail(Fault::TooLarge, format!("more than the {} results that are accepted", limits.items))
        })?;
        self.message_bytes = self.message_bytes.checked_sub(finding.message.len()).ok_or_else(|| {
            let message = format!("messages of more than the {} bytes that are accepted", limits.bytes);
            result.fail(Fault::TooLarge, message)
        })?;
        Ok(())
    }
}

/// Refuses a run that did not finish, or whose results are in another file.
fn finished(run: &At<'_, '_>) -> Result<(), EvidenceError> {
    for invocation in run.optional_items("invocations")? {
        if invocation.member("executionSuccessful").is_some_and(|done| done.value == &Value::Bool(false)) {
            let message = "the tool says that it did not succeed";
            return Err(invocation.step("executionSuccessful").fail(Fault::Unfinished, message));
        }
    }
    if let Some(files) = run.member("externalPropertyFileReferences")
        && files.member("results").is_some()
    {
        return Err(files.step("results").fail(Fault::Unfinished, "the results are in another file"));
    }
    match run.member("results") {
        Some(_) => Ok(()),
        None => Err(run.fail(Fault::Unfinished, "a run without `results`: the tool did not look for any")),
    }
}

fn finding(result: &At<'_, '_>, rules: &Rules<'_>) -> Result<Finding, EvidenceError> {
    let rule = rules.find(result)?;
    let (path, line) = match result.optional_items("locations")?.first() {
        Some(location) => place(location)?,
        None => (None, None),
    };
    let id = match result.member("ruleId") {
        Some(id) => Some(id.text()?),
        None => rule.id,
    };
    Ok(Finding {
        rule: id.map(str::to_owned),
        level: level(result, rule.level)?,
        message: cut(&rule.message(result)?),
        path,
        line,
    })
}

fn level(result: &At<'_, '_>, configured: Option<Level>) -> Result<Level, EvidenceError> {
    let own = result.member("level").map(|level| level.level()).transpose()?;
    match result.member("kind").map(|kind| kind.text()).transpose()? {
        None | Some("fail") => Ok(own.or(configured).unwrap_or(Level::Warning)),
        Some(_) if own.is_none_or(|own| own == Level::None) => Ok(Level::None),
        Some(kind) => {
            let message = format!("a result of the kind {} has the level `none`", quoted(kind));
            Err(result.step("level").fail(Fault::Inconsistent, message))
        }
    }
}

/// Suppressed, unless a suppression is still under review or was rejected.
fn is_suppressed(result: &At<'_, '_>) -> Result<bool, EvidenceError> {
    let suppressions = result.optional_items("suppressions")?;
    for suppression in &suppressions {
        let status = suppression.member("status").map(|status| status.text()).transpose()?;
        if status.is_some_and(|status| status != "accepted") {
            return Ok(false);
        }
    }
    Ok(!suppressions.is_empty())
}

fn place(location: &At<'_, '_>) -> Result<(Option<String>, Option<u64>), EvidenceError> {
    let Some(place) = location.member("physicalLocation") else { return Ok((None, None)) };
    let path = match place.member("artifactLocation").and_then(|artifact| artifact.member("uri")) {
        Some(uri) => Some(uri.text()?.to_owned()),
        None => None,
    };
    let line = match place.member("region").and_then(|region| region.member("startLine")) {
        Some(line) => Some(line.count()?),
        None => None,
    };
    if line == Some(0) {
        return Err(place.step("region").fail(Fault::Number, "`startLine` is 0; lines are from 1"));
    }
    Ok((path, line))
}

/// What the strict reader of JSON says, in the terms of evidence.
fn unreadable(source: &Source<'_>, diagnostic: Diagnostic) -> EvidenceError {
    let message = &diagnostic.message;
    let fault = if message.contains("EOF while") {
        Fault::Truncated
    } else if message.contains("nested too deeply") || message.contains("recursion limit") {
        Fault::TooDeep
    } else if message.contains("stands twice") {
        Fault::Repeated
    } else if message.contains("number out of range") {
        Fault::Number
    } else {
        Fault::Malformed
    };
    let place = diagnostic.place.unwrap_or_else(|| source.place(0..0));
    EvidenceError::new(fault, place, diagnostic.message)
}

/// A value and the way to it, so that a refusal can say where.
#[derive(Debug, Clone)]
struct At<'s, 'v> {
    source: &'s Source<'s>,
    value: &'v Value,
    path: Vec<Step<'v>>,
}

impl<'s, 'v> At<'s, 'v> {
    /// A member that may be there; null counts as absent.
    fn member(&self, name: &'v str) -> Option<At<'s, 'v>> {
        let value = self.value.get(name).filter(|value| !value.is_null())?;
        Some(At { value, ..self.step(name) })
    }

    fn required(&self, name: &'v str) -> Result<At<'s, 'v>, EvidenceError> {
        self.member(name).ok_or_else(|| self.fail(Fault::Malformed, format!("`{name}` is missing")))
    }

    /// The way to a member, whether it is there or not.
    fn step(&self, name: &'v str) -> Self {
        let path = self.path.iter().copied().chain([Step::Key(name)]).collect();
        Self { path, ..*self }
    }

    fn items(&self) -> Result<Vec<At<'s, 'v>>, EvidenceError> {
        let Value::Array(items) = self.value else { return Err(self.mistyped("an array")) };
        if items.len() > self.source.limits.items {
            let message = format!("more than the {} items that are accepted", self.source.limits.items);
            return Err(self.fail(Fault::TooLarge, message));
        }
        let item = |(index, value): (usize, &'v Value)| {
            let path = self.path.iter().copied().chain([Step::Index(index)]).collect();
            At { source: self.source, value, path }
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    fn optional_items(&self, name: &'v str) -> Result<Vec<At<'s, 'v>>, EvidenceError> {
        self.member(name).map_or_else(|| Ok(Vec::new()), |member| member.items())
    }

    fn members(&self) -> Result<&'v Map<String, Value>, EvidenceError> {
        self.value.as_object().ok_or_else(|| self.mistyped("an object"))
    }

    fn text(&self) -> Result<&'v str, EvidenceError> {
        self.value.as_str().ok_or_else(|| self.mistyped("a text"))
    }

    fn count(&self) -> Result<u64, EvidenceError> {
        self.value.as_u64().filter(|n| *n <= MAX_COUNT).ok_or_else(|| {
            let shown = quoted(&self.value.to_string());
            self.fail(Fault::Number, format!("{shown} is no integer from 0 to {MAX_COUNT}"))
        })
    }

    fn level(&self) -> Result<Level, EvidenceError> {
        match self.text()? {
            "error" => Ok(Level::Error),
            "warning" => Ok(Level::Warning),
            "note" => Ok(Level::Note),
            "none" => Ok(Level::None),
            other => Err(self.fail(Fault::Malformed, format!("{} is no level", quoted(other)))),
        }
    }

    fn mistyped(&self, expected: &str) -> EvidenceError {
        let name = match self.path.last() {
            Some(Step::Key(name)) => format!("`{name}`"),
            Some(Step::Index(index)) => format!("item {index}"),
            None => "the document".to_owned(),
        };
        self.fail(Fault::Malformed, format!("{name} is not {expected}"))
    }

    fn fail(&self, fault: Fault, message: impl Into<String>) -> EvidenceError {
        self.source.fail(fault, locate(self.source.text, &self.path), message)
    }
}
