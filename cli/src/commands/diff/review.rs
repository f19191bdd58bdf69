//! The page of a diff: what changes, what is proved, what would be decided otherwise, what is missing.

use std::{
    collections::BTreeSet,
    fmt::{self, Write},
};

use cku_authority::{Chains, Stage};
use cku_changes::{
    diff::{self, Diff, Ending, Evidence, Review, ReviewError, Status},
    prove::{Direction, Part, Proof, invariants::InvariantOutcome},
};
use cku_engine::Worker;
use cku_gates::{ApprovalDecision, Decision, Verdict};
use cku_journal::Journal;
use cku_runs::TrialCounts;
use serde::Serialize;

use super::{not_judged, short};
use crate::{
    exit::Exit,
    journal, output,
    render::{foreign_whole, problems, style},
};

/// How a diff is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Pretty,
    /// For pull requests.
    Markdown,
    /// For programs.
    Json,
}

impl From<output::Format> for Format {
    fn from(format: output::Format) -> Self {
        match format {
            output::Format::Pretty => Self::Pretty,
            output::Format::Json => Self::Json,
        }
    }
}

/// Shows a diff as things stand; the exit code is what change control says of it.
pub(super) fn show(
    journal: &Journal,
    worker: &mut Worker,
    diff: &Diff,
    format: Format,
) -> Result<Exit, Exit> {
    let found = diff::review(journal, &Chains::default(), worker, diff, journal::now());
    let review = found.map_err(|error| match &error {
        ReviewError::Bundle(error) => problems::of_bundle(error),
        ReviewError::Store(error) => problems::of_store(error),
        ReviewError::Gate(error) => not_judged(error),
    })?;
    let counts = match diff.staged.is_empty() {
        true => None,
        false => Some(cku_runs::trial_counts(journal, &diff.id).map_err(|e| problems::of_store(&e))?),
    };
    let page = |markdown| Page { review: &review, counts, markdown };
    match format {
        Format::Json => output::json(&Document { review: &review, trial: counts })?,
        Format::Pretty => output::result(page(false))?,
        Format::Markdown => output::result(page(true))?,
    }
    Ok(match (review.decision, diff.status()) {
        (Some(decision), _) => Exit::from(decision.verdict),
        (None, Status::Ended(Ending::Activated)) => Exit::Pass,
        (None, Status::Ended(_)) => Exit::Reject,
        (None, _) => Exit::Pause,
    })
}

/// A review for programs.
#[derive(Serialize)]
struct Document<'r> {
    #[serde(flatten)]
    review: &'r Review,
    /// What came of trying it; none where it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<TrialCounts>,
}

/// A review as text; in Markdown headings and code are marked, for a terminal they are coloured.
struct Page<'r> {
    review: &'r Review,
    counts: Option<TrialCounts>,
    markdown: bool,
}

impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let review = self.review;
        self.opening(f)?;
        self.verdict(f)?;
        self.tried(f)?;
        self.changes(f)?;
        if let Some(evidence) = &review.evidence {
            self.directions(f, evidence)?;
            self.bounds(f, evidence)?;
            self.replay(f, evidence)?;
            self.tests(f, evidence)?;
        }
        self.people(f)?;
        self.files(f)
    }
}

impl Page<'_> {
    fn heading(&self, f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
        let bold = style::BOLD;
        match self.markdown {
            true => writeln!(f, "\n### {text}\n"),
            false => writeln!(f, "\n{bold}{text}{bold:#}"),
        }
    }

    fn item(&self, f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
        let below = text.len() - text.trim_start().len();
        match self.markdown {
            true => writeln!(f, "{:below$}- {}", "", escaped(text.trim_start())),
            false => writeln!(f, "  {}", foreign_whole(text)),
        }
    }

    fn opening(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let review = self.review;
        let (bold, dim) = (style::BOLD, style::DIM);
        let id = short(&review.id);
        match self.markdown {
            true => {
                writeln!(f, "## {}\n\nPolicy diff `{id}`: **{}**", escaped(&review.title), self.stands())?
            }
            false => writeln!(f, "{bold}{}{bold:#}\n{id}: {}", foreign_whole(&review.title), self.stands())?,
        }
        let by = format!(
            "{} ({}) in {}, proposed by {} at {} from {}; it can be approved until {}",
            review.bundle,
            review.purpose,
            review.modes,
            review.author,
            review.proposed_at,
            review.origin,
            review.expires_at
        );
        match self.markdown {
            true => writeln!(f, "\n{}", escaped(&by)),
            false => {
                writeln!(f, "{dim}{}\n{} -> {}{dim:#}", foreign_whole(&by), review.base, review.revision)
            }
        }
    }

    /// Where it stands, in words.
    fn stands(&self) -> String {
        let review = self.review;
        let said = |verdict: Verdict| match (self.markdown, style::of(Some(verdict))) {
            (true, _) => verdict.as_str().to_owned(),
            (false, colour) => format!("{colour}{}{colour:#}", verdict.as_str()),
        };
        let whole = review.evidence.as_ref().map(|evidence| evidence.comparison.whole);
        let direction = whole.map_or_else(String::new, |whole| format!(", {}", self.coloured(whole)));
        let verdict = review.decision.as_ref().map(|d| format!(", change control says {}", said(d.verdict)));
        let ending = review.ending.as_ref().map(|why| format!(" ({})", foreign_whole(why)));
        format!("{}{direction}{}{}", review.status, verdict.unwrap_or_default(), ending.unwrap_or_default())
    }

    fn coloured(&self, direction: Direction) -> String {
        if self.markdown {
            return direction.name().to_owned();
        }
        let style = if direction.counts_as_loosening() { style::ERROR } else { style::GOOD };
        format!("{style}{}{style:#}", direction.name())
    }

    /// What keeps the diff from passing.
    fn verdict(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(decision) = &self.review.decision else { return Ok(()) };
        let missing = missing(decision);
        if missing.is_empty() {
            return Ok(());
        }
        self.heading(f, "What change control says")?;
        missing.iter().try_for_each(|line| self.item(f, line))
    }

    /// What came of trying it.
    fn tried(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(counts) = &self.counts else { return Ok(()) };
        self.heading(f, "What trying it showed")?;
        for staged in &self.review.staged {
            let how = match staged.stage {
                Stage::Canary { share, stop_after } => {
                    let stop = stop_after.map_or_else(String::new, |n| format!(", to stop after {n} failed"));
                    format!("canary over {} % of the runs{stop}", f64::from(share.get()) / 100.0)
                }
                stage => stage.as_str().to_owned(),
            };
            self.item(f, &format!("{how} since {}", staged.since))?;
        }
        let TrialCounts { decisions, flips, undecided, ended, failed } = counts;
        let asked = format!("{decisions} decisions: {flips} would flip, {undecided} it could not make");
        self.item(f, &asked)?;
        self.item(f, &format!("{ended} runs of the canary were carried out, {failed} of them failed"))
    }

    fn changes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let changes = &self.review.changes;
        self.heading(f, "What changes")?;
        for t in &changes.thresholds {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
            let (old, new) = (value(&t.old), value(&t.new));
            self.item(f, &format!("{}.{} in {}: {old} -> {new}", t.gate, t.threshold, t.mode))?;
        }
        let rules: Vec<&str> = changes.rules.iter().map(|rule| rule.id.as_str()).collect();
        if !rules.is_empty() {
            self.item(f, &format!("rules: {}", rules.join(", ")))?;
        }
        let files: Vec<&str> = changes.files.iter().map(|file| file.path.as_str()).collect();
        self.item(f, &format!("files: {}", files.join(", ")))
    }

    fn directions(&self, f: &mut fmt::Formatter<'_>, evidence: &Evidence) -> fmt::Result {
        self.heading(f, "What is proved")?;
        let modes = evidence.comparison.modes.iter();
        let modes: Vec<String> = modes.map(|(mode, d)| format!("{mode} {}", d.name())).collect();
        let by = evidence.solver.as_deref().unwrap_or("nobody: there was no solver");
        self.item(f, &format!("{} (proofs by {by})", modes.join(", ")))?;
        // What lets more through comes first: it is what a reviewer looks for.
        let mut parts: Vec<&Part> = evidence.comparison.parts.iter().collect();
        parts.sort_by_key(|part| !part.direction.counts_as_loosening());
        for part in parts.iter().take(SHOWN) {
            self.item(f, &format!("{}: {}", part.what, part.direction.name()))?;
            for line in reasons(part) {
                self.item(f, &format!("  {line}"))?;
            }
        }
        match parts.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => self.item(f, &format!("and {more} more parts; `--format json` has them all")),
        }
    }

    fn bounds(&self, f: &mut fmt::Formatter<'_>, evidence: &Evidence) -> fmt::Result {
        self.heading(f, "Bounds that every bundle keeps")?;
        let held = evidence.invariants.iter().filter(|result| result.is_held()).count();
        self.item(f, &format!("{held} of {} hold", evidence.invariants.len()))?;
        for result in &evidence.invariants {
            match &result.outcome {
                InvariantOutcome::Held => {}
                InvariantOutcome::Violated { counterexample } => {
                    self.item(f, &format!("violated: {}: {}", result.id, counterexample.sentence))?;
                }
                InvariantOutcome::Unproved { why } => {
                    self.item(f, &format!("not proved: {}: {why}", result.id))?;
                }
            }
        }
        Ok(())
    }

    fn replay(&self, f: &mut fmt::Formatter<'_>, evidence: &Evidence) -> fmt::Result {
        let Some(replay) = &evidence.replay else { return Ok(()) };
        self.heading(f, "What would have been decided otherwise")?;
        let not: u64 = replay.not_replayable.iter().map(|not| not.count).sum();
        self.item(
            f,
            &format!(
                "{} of {} recorded decisions that were decided anew flip; {not} could not be decided anew",
                replay.flips, replay.replayed
            ),
        )?;
        for cell in replay.verdicts.cells.iter().filter(|cell| cell.old != cell.new) {
            let o = cell.outcomes;
            let became = format!(
                "{} ended well, {} failed, {} in part, {} without outcome",
                o.success, o.failure, o.partial, o.none
            );
            let pair = format!("{} -> {}", cell.old.as_str(), cell.new.as_str());
            self.item(f, &format!("{} {pair}: {became}", cell.count))?;
        }
        for flip in &replay.samples {
            let pair = format!("{} -> {}", flip.old.as_str(), flip.new.as_str());
            self.item(f, &format!("{} in {} {pair}: {}", flip.run, flip.mode, flip.intent))?;
            for reason in &flip.new_reasons {
                self.item(f, &format!("  {reason}"))?;
            }
        }
        if replay.looked_at < replay.recorded {
            let share = f64::from(replay.bound.at_most_millionths) / 10_000.0;
            self.item(f, &format!("of all {}, at most {share:.2} % flip", replay.recorded))?;
        }
        Ok(())
    }

    fn tests(&self, f: &mut fmt::Formatter<'_>, evidence: &Evidence) -> fmt::Result {
        self.heading(f, "Tests")?;
        self.item(f, &format!("{} passed, {} failed", evidence.tests.passed, evidence.tests.failed))?;
        match evidence.base_tests {
            Some(base) => self.item(
                f,
                &format!("of the {} tests of the base {} fail now", base.passed + base.failed, base.failed),
            )?,
            None => self.item(f, "the tests of the base do not load over the new revision")?,
        }
        for warning in &self.review.warnings {
            self.item(f, &format!("warning: {warning}"))?;
        }
        evidence.failures.iter().try_for_each(|failure| self.item(f, &format!("failed: {failure}")))
    }

    fn people(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let review = self.review;
        self.heading(f, "People")?;
        for said in &review.approvals {
            let verb = match said.approval.decision {
                ApprovalDecision::Approve => "approved",
                ApprovalDecision::Refuse => "refused",
            };
            let counts = match (said.current, review.decision.is_some()) {
                (true, _) | (false, false) => "",
                (false, true) => " (does not count any more)",
            };
            let reason = &said.approval.reason;
            self.item(
                f,
                &format!("{} {verb} at {}{counts}, {reason}", said.approval.approver, said.approval.time),
            )?;
        }
        if let Some(evidence) = review.evidence_digest.filter(|_| review.decision.is_some()) {
            self.item(f, &format!("approvals are bound to the evidence {}", short(&evidence)))?;
        }
        let may: Vec<String> = review.may_approve.iter().map(ToString::to_string).collect();
        match (may.is_empty(), review.decision.is_some()) {
            (false, _) => self.item(f, &format!("may approve: {}", may.join(", "))),
            (true, true) => self.item(f, "nobody else may approve"),
            (true, false) => Ok(()),
        }
    }

    fn files(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.review.changes.files.is_empty() {
            return Ok(());
        }
        self.heading(f, "The change")?;
        if self.markdown {
            f.write_str("```diff\n")?;
        }
        for file in &self.review.changes.files {
            if let Some(beyond) = beyond_ascii(&file.diff) {
                writeln!(f, "{beyond}")?;
            }
            // The line ends of the file are part of what changes: `\r` is seen.
            for line in file.diff.trim_end_matches('\n').split('\n') {
                let line = &line.replace('\t', "    ");
                match (self.markdown, line.as_bytes().first()) {
                    (true, _) => writeln!(f, "{}", foreign_whole(line).replace("```", "` ` `"))?,
                    (false, Some(b'+')) => {
                        writeln!(f, "{}{}{:#}", style::GOOD, foreign_whole(line), style::GOOD)?;
                    }
                    (false, Some(b'-')) => {
                        writeln!(f, "{}{}{:#}", style::ERROR, foreign_whole(line), style::ERROR)?;
                    }
                    (false, _) => writeln!(f, "{}", foreign_whole(line))?,
                }
            }
        }
        if self.markdown {
            f.write_str("```\n")?;
        }
        f.write_char('\n')
    }
}

/// Which characters beyond ASCII lines add: a letter of another script looks like one of this.
fn beyond_ascii(diff: &str) -> Option<String> {
    let added = diff.lines().filter(|line| line.starts_with('+')).flat_map(str::chars);
    let beyond: BTreeSet<char> = added.filter(|c| !c.is_ascii()).collect();
    if beyond.is_empty() {
        return None;
    }
    let name = |c: &char| format!("{} U+{:04X}", foreign_whole(&c.to_string()), u32::from(*c));
    let shown: Vec<String> = beyond.iter().take(20).map(name).collect();
    let more = if beyond.len() > 20 { ", and more" } else { "" };
    Some(format!("adds characters beyond ASCII: {}{more}", shown.join(", ")))
}

/// What shows the direction of a part: of its counterexamples one, and how many there are.
fn reasons(part: &Part) -> Vec<String> {
    let (mut lines, mut refuted, mut proved) = (Vec::new(), 0, Vec::new());
    for check in &part.checks {
        match &check.proof {
            Proof::Proved { .. } => proved.push(format!("proved: {}", check.statement)),
            Proof::Structural => lines.push(check.statement.clone()),
            Proof::Unproved { why } => lines.push(format!("not proved: {}: {why}", check.statement)),
            Proof::Refuted { counterexample } => {
                refuted += 1;
                if refuted == 1 {
                    lines.push(counterexample.sentence.clone());
                }
            }
        }
    }
    if refuted > 1 {
        lines.push(format!("and {} more requests like that", refuted - 1));
    }
    match proved.len() {
        0 => {}
        1 | 2 => lines.append(&mut proved),
        many => lines.push(format!("proved: {many} statements")),
    }
    lines
}

/// How many parts are shown.
const SHOWN: usize = 8;

/// What keeps the diff from passing.
fn missing(decision: &Decision) -> Vec<String> {
    let outside = decision.reasons.iter().map(|reason| reason.message.clone());
    let gates = decision.gates.iter().filter(|gate| gate.effective.is_some_and(|v| v != Verdict::Pass));
    let of_gates = gates.flat_map(|gate| {
        let verdict = gate.effective.map_or("", Verdict::as_str);
        gate.reasons.iter().map(move |reason| format!("{verdict} at {}: {}", gate.gate, reason.message))
    });
    outside.chain(of_gates).collect()
}

/// Text from outside in Markdown: what would be markup is text.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in foreign_whole(text).chars() {
        if matches!(character, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '|' | '!' | '@') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
