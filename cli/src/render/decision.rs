//! A decision as a person reads it: a table of gates, the reasons beneath.

use std::fmt::Write;

use cku_gates::{Decision, DecisionInput, GateOutcome, Reason, Verdict};
use cku_lang::Enforcement;

use super::{foreign, style};

/// The decision of an input.
pub(crate) fn render(decision: &Decision, input: &DecisionInput) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, decision, input);
    text
}

fn write_all(out: &mut String, decision: &Decision, input: &DecisionInput) -> std::fmt::Result {
    let colour = style::of(Some(decision.verdict));
    let (bold, dim) = (style::BOLD, style::DIM);
    let simulated = if decision.simulated { " (simulated)" } else { "" };
    writeln!(out, "{colour}{}{colour:#} in {}{simulated}", decision.verdict.as_str(), decision.mode)?;
    let (run, by) = (foreign(&input.run_id), &input.principal.principal);
    writeln!(out, "{dim}{run} for {}, by {by}{dim:#}", input.tenant)?;
    writeln!(out, "{}\n", foreign(&input.submission.intent))?;
    let width = decision.gates.iter().map(|g| g.gate.chars().count()).max().unwrap_or(0);
    for (number, gate) in decision.gates.iter().enumerate() {
        let colour = style::of(gate.verdict);
        let verdict = gate.verdict.map_or("–", Verdict::as_str);
        let shown_width = verdict.chars().count();
        let remark = remark(gate);
        let verdict = format!("{colour}{verdict}{colour:#}");
        let gap = " ".repeat(8usize.saturating_sub(shown_width));
        write!(out, "  {:>2}  {:<width$}  {verdict}", number + 1, gate.gate)?;
        match remark.as_str() {
            "" => writeln!(out)?,
            remark => writeln!(out, "{gap}{remark}")?,
        }
    }
    for reason in &decision.reasons {
        writeln!(out, "\n  {bold}{}{bold:#}", reason.rule)?;
        write_reason(out, reason)?;
    }
    for gate in &decision.gates {
        for reason in &gate.reasons {
            let colour = style::of(gate.verdict);
            writeln!(out, "\n  {colour}{}.{}{colour:#}", gate.gate, foreign(&reason.rule))?;
            write_reason(out, reason)?;
        }
    }
    writeln!(out, "\n{dim}bundle   {}", decision.bundle_revision)?;
    writeln!(out, "subject  {}", decision.subject_digest)?;
    writeln!(out, "input    {}{dim:#}", decision.input_digest)
}

/// That a draw let a PAUSE pass, and how likely that was, in ten-thousandths.
pub(super) fn explored_with(propensity: u32) -> String {
    let dim = style::DIM;
    let digits = format!("{:04}", propensity % 10_000);
    let (hundredths, rest) = digits.split_at(2);
    let (whole, rest) = (propensity / 10_000, rest.trim_end_matches('0'));
    format!("{dim}explored (let through by exploration, p = {whole}.{hundredths}{rest}){dim:#}")
}

/// What is special about the gate here, dim; then why it says what it says.
fn remark(gate: &GateOutcome) -> String {
    let dim = style::DIM;
    let mut remarks = Vec::new();
    if !gate.reached {
        remarks.push(format!("{dim}not reached{dim:#}"));
    }
    if gate.enforcement == Enforcement::Advise {
        remarks.push(format!("{dim}advice only{dim:#}"));
    }
    if !gate.overridden_by.is_empty() {
        remarks.push(format!("{dim}overridden by {}{dim:#}", gate.overridden_by.join(", ")));
    }
    if let Some(explored) = &gate.explored {
        remarks.push(explored_with(explored.propensity.get()));
    }
    match gate.reasons.as_slice() {
        [] => {}
        [one] => remarks.push(foreign(&one.message).into_owned()),
        [first, rest @ ..] => remarks.push(format!("{} (+{})", foreign(&first.message), rest.len())),
    }
    remarks.join("; ")
}

fn write_reason(out: &mut String, reason: &Reason) -> std::fmt::Result {
    let dim = style::DIM;
    writeln!(out, "    {}", foreign(&reason.message))?;
    if let Some(change) = &reason.would_change {
        writeln!(out, "    {dim}would change it:{dim:#} {change}")?;
    }
    if let Some(source) = &reason.source {
        writeln!(out, "    {dim}{source}{dim:#}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cku_gates::Explored;

    use super::*;

    fn reason(message: &str) -> Reason {
        Reason {
            rule: "quorum".to_owned(),
            message: message.to_owned(),
            source: None,
            facts: BTreeMap::new(),
            would_change: None,
        }
    }

    #[test]
    fn what_is_special_about_a_gate_is_dim_and_its_reasons_are_not() {
        let gate = GateOutcome {
            gate: "consensus".to_owned(),
            verdict: Some(Verdict::Pause),
            effective: Some(Verdict::Pass),
            enforcement: Enforcement::Advise,
            reached: true,
            overridden_by: vec!["user:rhea@acme.example".to_owned()],
            explored: None,
            reasons: vec![reason("0 of 1 voters"), reason("support 0.0000 is below 0.5000")],
            observed: Default::default(),
        };
        let shown = remark(&gate).replace("\u{1b}[2m", "<").replace("\u{1b}[0m", ">");
        assert_eq!(shown, "<advice only>; <overridden by user:rhea@acme.example>; 0 of 1 voters (+1)");
        let explored = gate.clone();
        let unreached = GateOutcome { reached: false, enforcement: Enforcement::Enforce, ..gate };
        let unreached = GateOutcome { overridden_by: Vec::new(), reasons: Vec::new(), ..unreached };
        assert_eq!(remark(&unreached), "\u{1b}[2mnot reached\u{1b}[0m");
        let propensity = 3_000.try_into().unwrap();
        let explored = GateOutcome {
            explored: Some(Explored { threshold: "min_support".to_owned(), propensity }),
            enforcement: Enforcement::Enforce,
            overridden_by: Vec::new(),
            ..explored
        };
        let shown = remark(&explored).replace("\u{1b}[2m", "<").replace("\u{1b}[0m", ">");
        assert_eq!(shown, "<explored (let through by exploration, p = 0.30)>; 0 of 1 voters (+1)");
    }

    #[test]
    fn a_probability_is_written_with_two_decimals_or_as_many_as_it_has() {
        for (points, shown) in
            [(10_000, "1.00"), (3_000, "0.30"), (50, "0.005"), (1_234, "0.1234"), (1, "0.0001")]
        {
            assert!(explored_with(points).contains(&format!("p = {shown})")), "{points}");
        }
    }
}
