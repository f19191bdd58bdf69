//! A run as a person reads it: what happens, what it waits for, how it ended.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use cku_base::Principal;
use cku_gates::{Decision, GateOutcome, Verdict, Vote};
use cku_lang::Enforcement;
use cku_runs::{Ending, Event, Missing, Progress as Happened, Run, Status, StepStatus, Strategy};
use cku_skills::Stream;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::{foreign, style};
use crate::output::{self, Format};

/// Said of every decision in a journal without tokens.
pub(crate) const SINGLE_USER: &str =
    "local, single-user: nobody proved who they are, and what takes several people cannot pass\n";

/// What a run is called that is running and that nobody carries out.
pub(crate) const INTERRUPTED: &str = "interrupted";

/// Lines of a failed step's output that are shown without --follow.
const LINES: usize = 12;

/// Shows what happens while it does: on a terminal with what runs at the bottom, elsewhere in lines.
pub(crate) struct Progress {
    quiet: bool,
    follow: bool,
    running: Option<MultiProgress>,
    bars: Mutex<Vec<(String, ProgressBar)>>,
    /// The last line of each output that has no end yet.
    open: Mutex<Vec<(String, Vec<u8>)>>,
}

impl Progress {
    pub(crate) fn new(format: Format, follow: bool) -> Self {
        let terminal = std::io::stderr().is_terminal() && std::io::stdout().is_terminal();
        let quiet = format == Format::Json;
        let running = (terminal && !quiet).then(MultiProgress::new);
        Self { quiet, follow, running, bars: Mutex::default(), open: Mutex::default() }
    }

    pub(crate) fn show(&self, what: &Happened<'_>) {
        match what {
            Happened::Event(run, event) => self.event(run, event),
            Happened::Output { step, stream, bytes } if self.follow => self.output(step, *stream, bytes),
            Happened::Output { .. } => {}
        }
    }

    pub(crate) fn finish(&self) {
        let bars = std::mem::take(&mut *self.bars.lock().unwrap_or_else(PoisonError::into_inner));
        bars.into_iter().for_each(|(_, bar)| bar.finish_and_clear());
    }

    fn event(&self, run: &Run, event: &Event) {
        match event {
            Event::StepStarted(e) => self.begins(&e.step, ""),
            Event::UndoStarted(e) => self.begins(&e.step, "undo "),
            Event::StepFinished(e) => self.ends(&e.step),
            Event::Undone(e) => self.ends(&e.step),
            _ => {}
        }
        if let Some(line) = line(run, event, self.follow) {
            self.line(&line);
        }
    }

    fn begins(&self, step: &str, what: &str) {
        let Some(running) = &self.running else {
            let dim = style::DIM;
            self.line(&format!("  {dim}… {what}{step}{dim:#}"));
            return;
        };
        let bar = ProgressBar::new_spinner().with_message(format!("{what}{step}"));
        let shape = ProgressStyle::with_template("  {spinner} {msg} {elapsed}");
        let bar = running.add(shape.map_or_else(|_| bar.clone(), |shape| bar.clone().with_style(shape)));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).push((step.to_owned(), bar));
    }

    fn ends(&self, step: &str) {
        let rest = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let at = open.iter().position(|(of, _)| of == step);
            at.map(|at| open.swap_remove(at).1)
        };
        if let Some(rest) = rest.filter(|rest| !rest.is_empty()) {
            self.line(&followed(step, &rest));
        }
        let mut bars = self.bars.lock().unwrap_or_else(PoisonError::into_inner);
        bars.retain(|(of, bar)| {
            if of == step {
                bar.finish_and_clear();
            }
            of != step
        });
    }

    fn output(&self, step: &str, _: Stream, bytes: &[u8]) {
        let mut lines = Vec::new();
        {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            if !open.iter().any(|(of, _)| of == step) {
                open.push((step.to_owned(), Vec::new()));
            }
            if let Some((_, rest)) = open.iter_mut().find(|(of, _)| of == step) {
                rest.extend_from_slice(bytes);
                while let Some(end) = rest.iter().position(|b| *b == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    lines.push(line);
                }
            }
        }
        lines.iter().for_each(|line| self.line(&followed(step, line)));
    }

    fn line(&self, line: &str) {
        if self.quiet {
            return;
        }
        let print = || {
            // Whoever reads no longer is not told.
            let _ = output::result(format_args!("{line}\n"));
        };
        match &self.running {
            Some(running) => running.suspend(print),
            None => print(),
        }
    }
}

fn followed(step: &str, line: &[u8]) -> String {
    let dim = style::DIM;
    let text = String::from_utf8_lossy(line);
    format!("  {dim}{step} |{dim:#} {}", foreign(text.trim_end_matches(['\n', '\r'])))
}

/// What is said of an event, if anything is.
fn line(run: &Run, event: &Event, followed: bool) -> Option<String> {
    let (good, bad, warn, dim) = (style::GOOD, style::ERROR, style::WARNING, style::DIM);
    match event {
        Event::StepFinished(e) => {
            let took = e.report.as_ref().map_or_else(String::new, |r| seconds(r.took_ms));
            match &e.failure {
                None => Some(format!("  {good}✓{good:#} {}  {dim}{took}{dim:#}", e.step)),
                Some(failure) => {
                    let mut text = format!(
                        "  {bad}✗{bad:#} {}  {} {dim}({}) {took}{dim:#}",
                        e.step,
                        foreign(&failure.message),
                        failure.class.as_str()
                    );
                    if let (false, Some(report)) = (followed, &e.report) {
                        last_lines(&mut text, &report.stdout.text);
                        last_lines(&mut text, &report.stderr.text);
                    }
                    Some(text)
                }
            }
        }
        Event::StepSkipped(e) => {
            Some(format!("  {warn}–{warn:#} {}  left out: {}", e.step, foreign(&e.reason)))
        }
        Event::Undone(e) => Some(match &e.failure {
            None => format!("  {good}↶{good:#} {}  undone", e.step),
            Some(failure) => format!("  {bad}✗{bad:#} {}  not undone: {}", e.step, foreign(&failure.message)),
        }),
        Event::Healing(e) => {
            let by = e.by.as_ref().map_or_else(String::new, |by| format!(", says {}", by.principal));
            let reason = foreign(&e.reason);
            Some(match e.strategy {
                Strategy::Retry => format!("  {warn}↻{warn:#} {}  again{by}: {dim}{reason}{dim:#}", e.step),
                Strategy::Skip => format!("  {warn}–{warn:#} {}  left out{by}: {dim}{reason}{dim:#}", e.step),
                Strategy::Rollback => format!("  {warn}↶{warn:#} rolling back{by}: {dim}{reason}{dim:#}"),
                Strategy::Alert => {
                    format!("  {warn}!{warn:#} {}  waits for a person: {dim}{reason}{dim:#}", e.step)
                }
                Strategy::Abort => format!("  {bad}✗{bad:#} {}  ended{by}: {dim}{reason}{dim:#}", e.step),
            })
        }
        Event::Started(e) => {
            let confined = if e.confined { "" } else { ", not confined" };
            let steps = run.steps.len();
            let word = if steps == 1 { "step" } else { "steps" };
            Some(format!("\n{dim}{steps} {word} in {}{confined}{dim:#}", foreign(&e.workspace)))
        }
        _ => None,
    }
}

fn last_lines(out: &mut String, text: &str) {
    let dim = style::DIM;
    let lines: Vec<&str> = text.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(LINES)) {
        let _ = write!(out, "\n    {dim}| {}{dim:#}", foreign(line));
    }
}

fn seconds(millis: u64) -> String {
    format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
}

/// How a run ended, or what it waits for.
pub(crate) fn end(run: &Run) -> String {
    let dim = style::DIM;
    let mut out = String::from("\n");
    match (&run.ended, &run.waiting) {
        (Some(ended), _) => {
            let colour = match ended.status {
                Ending::Succeeded => style::GOOD,
                Ending::Partial => style::WARNING,
                _ => style::ERROR,
            };
            let _ = writeln!(out, "{colour}{}{colour:#}: {}", ended.status.as_str(), foreign(&ended.cause));
            let tries = if ended.attempts == 1 { "try" } else { "tries" };
            let took = seconds(ended.took_ms);
            let _ = writeln!(out, "{dim}{}  {} {tries}, {took}{dim:#}", run.id, ended.attempts);
        }
        (None, Some(waiting)) => {
            let warn = style::WARNING;
            let _ = writeln!(out, "{warn}waiting{warn:#}: {}", foreign(&waiting.reason));
            let _ = writeln!(out, "{dim}{}{dim:#}", run.id);
        }
        (None, None) => {
            let _ = writeln!(out, "{}: {}", run.id, run.status.as_str());
        }
    }
    out
}

/// One line where a gate holds the run for a fact that is missing, and no evidence was given.
pub(crate) fn without_evidence(run: &Run, decision: &Decision) -> &'static str {
    let held = |gate: &&GateOutcome| matches!(gate.effective, Some(Verdict::Pause | Verdict::Reject));
    let mut reasons = decision.gates.iter().filter(held).flat_map(|gate| &gate.reasons);
    let missed = reasons.any(|reason| reason.rule.starts_with("missing:") || reason.rule == "missing_fact");
    match run.submission.evidence.is_empty() && missed {
        true => "no evidence was given; `--evidence DIR` takes reports\n",
        false => "",
    }
}

/// What a run waits for, and who may give it.
pub(crate) fn missing(run: &Run, missing: &Missing) -> String {
    let (bold, warn) = (style::BOLD, style::WARNING);
    let mut out = format!("\n{warn}waits at{warn:#} {}\n", missing.gates.join(", "));
    let id = &run.id;
    let mut who = |what: &str, names: &BTreeSet<Principal>, how: String| {
        let nobody = if names.is_empty() { "nobody who holds a role".to_owned() } else { list(names) };
        let _ = writeln!(out, "  {what:<12} {nobody}\n{:15}{bold}{how}{bold:#}", "");
    };
    who("may approve", &missing.approvers, format!("cku approve {id} GATE --token TOKEN"));
    who("may vote", &missing.voters, format!("cku vote {id} approve --token TOKEN"));
    for (gate, role, names) in &missing.overrides {
        let names = if names.is_empty() { "nobody".to_owned() } else { list(names) };
        let _ = writeln!(out, "  {gate}: an approval of somebody with the role {role} lifts it ({names})");
    }
    let _ = writeln!(out, "then  {bold}cku run --resume {id}{bold:#}");
    out
}

fn list(names: &BTreeSet<Principal>) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The colour of where a run stands.
pub(crate) fn colour(status: &str) -> anstyle::Style {
    match status {
        "succeeded" => style::GOOD,
        "failed" | "rejected" | "rolled_back" | "cancelled" => style::ERROR,
        _ => style::WARNING,
    }
}

/// Why a gate of a recorded decision let the run go, or did not; as [`super::decision`] says it.
fn remark(gate: &Value) -> String {
    let dim = style::DIM;
    let mut remarks = Vec::new();
    if gate.get("reached") == Some(&Value::Bool(false)) {
        remarks.push(format!("{dim}not reached{dim:#}"));
    }
    if gate.get("enforcement").and_then(Value::as_str) == Some(Enforcement::Advise.name()) {
        remarks.push(format!("{dim}advice only{dim:#}"));
    }
    let by = gate.get("overridden_by").and_then(Value::as_array).into_iter().flatten();
    let by: Vec<&str> = by.filter_map(Value::as_str).collect();
    if !by.is_empty() {
        remarks.push(format!("{dim}overridden by {}{dim:#}", foreign(&by.join(", "))));
    }
    let propensity = gate.pointer("/explored/propensity").and_then(Value::as_u64);
    if let Some(propensity) = propensity.and_then(|p| u32::try_from(p).ok()) {
        remarks.push(super::decision::explored_with(propensity));
    }
    let reasons = gate.get("reasons").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let message = |reason: &Value| reason.get("message").and_then(Value::as_str).unwrap_or("–").to_owned();
    match reasons {
        [] => {}
        [one] => remarks.push(foreign(&message(one)).into_owned()),
        [first, rest @ ..] => remarks.push(format!("{} (+{})", foreign(&message(first)), rest.len())),
    }
    remarks.join("; ")
}

/// Whether a vote counts, of somebody who voted several times: the last does.
fn counts(vote: &Vote, votes: &[Vote]) -> &'static str {
    let mut of_voter = votes.iter().filter(|v| v.voter == vote.voter);
    match (of_voter.clone().count(), of_voter.next_back()) {
        (0 | 1, _) => "",
        (_, Some(last)) if std::ptr::eq(last, vote) => "  (counts: the last of several)",
        _ => "  (does not count: there is a later one)",
    }
}

/// Where a run stands, for those who look at it later.
pub(crate) fn details(run: &Run, interrupted: bool) -> String {
    let (bold, dim) = (style::BOLD, style::DIM);
    let colour = colour(run.status.as_str());
    let status = if interrupted { INTERRUPTED } else { run.status.as_str() };
    let by = &run.submitted.principal;
    let mut out = format!(
        "{bold}{}{bold:#}  {colour}{}{colour:#}\n{}\n{dim}for {} in {}, by {} ({}), {}{dim:#}\n",
        run.id,
        status,
        foreign(&run.submission.intent),
        run.tenant,
        run.submitted.mode,
        by.principal,
        by.authentication.as_str(),
        run.submitted.submitted_at,
    );
    if let Some(decided) = &run.decided {
        let _ = writeln!(
            out,
            "\ndecision  {}  {dim}input {}{dim:#}",
            decided.verdict.as_str(),
            decided.input_digest
        );
        for gate in decided.decision.get("gates").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| gate.get(name).and_then(Value::as_str).unwrap_or("–").to_owned();
            let _ = writeln!(out, "  {:<14} {:<7} {}", text("gate"), text("verdict"), remark(gate));
        }
    }
    for approval in &run.approvals {
        let _ = writeln!(
            out,
            "{dim}{}{dim:#}  {} {} `{}`  {}",
            approval.time,
            approval.approver,
            if approval.decision == cku_gates::ApprovalDecision::Approve { "approved" } else { "refused" },
            approval.gate,
            foreign(&approval.reason)
        );
    }
    for vote in &run.votes {
        let said = serde_json::to_value(vote.vote).ok().and_then(|v| v.as_str().map(str::to_owned));
        let said = said.unwrap_or_default();
        let counts = counts(vote, &run.votes);
        let _ = writeln!(out, "{dim}{}{dim:#}  {} voted {said}{counts}", vote.time, vote.voter);
    }
    let _ = writeln!(out, "\nsteps");
    for step in run.plan_steps() {
        let Some(state) = run.steps.get(&step.id) else { continue };
        let why = cku_runs::failure(&state.status);
        let why = why.get("message").and_then(Value::as_str).map(|m| format!("  {}", foreign(m)));
        let tries = if state.attempts > 1 { format!("  {} tries", state.attempts) } else { String::new() };
        let why = why.unwrap_or_default();
        let status = match state.status {
            StepStatus::Running | StepStatus::Undoing(_) if interrupted => INTERRUPTED,
            _ => state.status.as_str(),
        };
        let _ = writeln!(out, "  {:<20} {status}{tries}{why}", step.id);
    }
    for label in &run.labels {
        let _ = writeln!(out, "{dim}{}{dim:#}  {}  {}", label.at, label.label, foreign(&label.note));
    }
    if matches!(run.status, Status::Ended(_) | Status::Waiting(_)) {
        out.push_str(&end(run));
    }
    if interrupted {
        let id = &run.id;
        let _ = writeln!(
            out,
            "\n{INTERRUPTED}: nobody carries it out any more; go on with {bold}cku run --resume {id}{bold:#}"
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_recorded_gate_says_why_it_let_the_run_go() {
        let gate = |members: Value| remark(&members).replace("\u{1b}[2m", "<").replace("\u{1b}[0m", ">");
        let reasons = json!([{"message": "risk 60 is above 50"}, {"message": "another"}]);
        let by = json!(["user:olga@acme.example"]);
        let overridden = gate(json!({"reached": true, "overridden_by": by, "reasons": reasons}));
        assert_eq!(overridden, "<overridden by user:olga@acme.example>; risk 60 is above 50 (+1)");
        assert_eq!(gate(json!({"enforcement": "advise", "reasons": []})), "<advice only>");
        let explored = gate(json!({"explored": {"threshold": "max_risk", "propensity": 50}, "reasons": []}));
        assert_eq!(explored, "<explored (let through by exploration, p = 0.005)>");
        assert_eq!(gate(json!({"reached": false})), "<not reached>");
    }
}
