//! `cku learn history`: the values that a threshold had, and who changed them.

use std::{fmt::Write, path::PathBuf};

use cku_authority::{Purpose, activations, load_bundle};
use cku_base::{Digest, Timestamp};
use cku_changes::diff;
use cku_journal::Journal;
use cku_lang::{GateBody, Type};
use serde::Serialize;

use crate::{
    exit::Exit,
    journal::{self, JournalArg},
    output::{self, Format},
    render::{foreign, problems, style},
};

/// Show the values that a threshold had in each mode, when they changed, and by which diff.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The threshold, as `gate.name`.
    #[arg(value_name = "THRESHOLD")]
    threshold: String,

    /// The mode; without it, each.
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,

    /// Write a plot to this file, as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,

    #[command(flatten)]
    journal: JournalArg,

    /// How to write it.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

/// A value of a threshold, from a time on.
#[derive(Debug, Clone, Serialize)]
struct Step {
    mode: String,
    value: i64,
    shown: String,
    since: Timestamp,
    activation: u64,
    diff: Option<Digest>,
    by: Option<String>,
    rollback: bool,
}

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    let journal = args.journal.open_to_read()?;
    let (gate, name) = args.threshold.split_once('.').ok_or_else(|| {
        journal::refuse(&format!("`{}` is no threshold; write it as `gate.name`", foreign(&args.threshold)))
    })?;
    let mut steps: Vec<Step> = steps(&journal, gate, name)?;
    steps.retain(|step| args.mode.as_ref().is_none_or(|mode| *mode == step.mode));
    if steps.is_empty() {
        return Err(journal::refuse(&format!(
            "no bundle of this journal has a threshold `{}`{}",
            foreign(&args.threshold),
            args.mode.as_ref().map_or_else(String::new, |mode| format!(" in a mode `{}`", foreign(mode)))
        )));
    }
    if let Some(file) = &args.svg {
        std::fs::write(file, plot(&args.threshold, &steps))
            .map_err(|e| journal::failed(&format!("{} cannot be written: {e}", file.display())))?;
    }
    if args.format == Format::Json {
        output::json(&steps)?;
        return Ok(Exit::Pass);
    }
    let mut text = String::new();
    let dim = style::DIM;
    let mut modes: Vec<&str> = steps.iter().map(|step| step.mode.as_str()).collect();
    modes.dedup();
    for mode in modes {
        let of: Vec<&Step> = steps.iter().filter(|step| step.mode == mode).collect();
        let _ = writeln!(text, "{}  {}", mode, sparkline(&of));
        for step in of {
            let why = match (&step.diff, &step.by, step.rollback) {
                (_, _, true) => "taken back".to_owned(),
                (Some(diff), by, _) => format!(
                    "{} by {}",
                    diff.to_string().chars().take(19).collect::<String>(),
                    by.as_deref().unwrap_or("somebody")
                ),
                (None, _, _) => "as files or the first entry say".to_owned(),
            };
            let _ =
                writeln!(text, "  {:>9}  {dim}since {}, {}{dim:#}", step.shown, step.since, foreign(&why));
        }
    }
    output::result(text)?;
    Ok(Exit::Pass)
}

/// The values by mode, in the order of the activations; what stayed the same is left out.
fn steps(journal: &Journal, gate: &str, name: &str) -> Result<Vec<Step>, Exit> {
    let mut steps: Vec<Step> = Vec::new();
    let all = activations(journal).map_err(|e| problems::of_store(&e))?;
    for (activated, seq, since) in all.into_iter().filter(|(a, ..)| a.purpose == Purpose::Gates) {
        if activated.stage != cku_authority::Stage::Active {
            continue;
        }
        let bundle = load_bundle(journal, activated.revision).map_err(|e| problems::of_bundle(&e))?;
        let Some((ty, values)) = values(&bundle, gate, name) else { continue };
        let by = activated.diff.and_then(|id| diff::load(journal, &id).ok());
        let by = by.map(|diff| diff.proposed.author.principal.to_string());
        for (mode, value) in values.into_iter().filter(|(mode, _)| activated.modes.covers(mode)) {
            let last = steps.iter().rfind(|step| step.mode == mode);
            if last.is_none_or(|step| step.value != value) {
                steps.push(Step {
                    mode,
                    value,
                    shown: ty.format(value),
                    since,
                    activation: seq,
                    diff: activated.diff,
                    by: by.clone(),
                    rollback: activated.rollback,
                });
            }
        }
    }
    steps.sort_by(|a, b| (&a.mode, a.activation).cmp(&(&b.mode, b.activation)));
    Ok(steps)
}

fn values(bundle: &cku_engine::Bundle, gate: &str, name: &str) -> Option<(Type, Vec<(String, i64)>)> {
    let GateBody::Rules(rules) = &bundle.gate(gate)?.body else { return None };
    let threshold = rules.thresholds.iter().find(|threshold| threshold.name == name)?;
    let modes = &bundle.manifest().modes;
    Some((threshold.ty, modes.iter().map(|mode| (mode.clone(), threshold.value(mode))).collect()))
}

/// The values one after another, lower to higher.
fn sparkline(steps: &[&Step]) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (least, most) = bounds(steps.iter().map(|step| step.value));
    let level = |value: i64| {
        let at = (value - least).saturating_mul(7).checked_div((most - least).max(1)).unwrap_or(0);
        usize::try_from(at).ok().and_then(|at| LEVELS.get(at)).copied().unwrap_or('▁')
    };
    steps.iter().map(|step| level(step.value)).collect()
}

fn bounds(values: impl Iterator<Item = i64>) -> (i64, i64) {
    values.fold((i64::MAX, i64::MIN), |(least, most), value| (least.min(value), most.max(value)))
}

/// The values over time as steps, a line a mode.
fn plot(threshold: &str, steps: &[Step]) -> String {
    const WIDTH: f64 = 720.0;
    const HEIGHT: f64 = 240.0;
    const COLOURS: [&str; 4] = ["#3b6ea5", "#b5523b", "#4a8f5c", "#7a5ba6"];
    let (least, most) = bounds(steps.iter().map(|step| step.value));
    let (first, last) = bounds(steps.iter().map(|step| step.since.unix_micros()));
    let x = |time: i64| 60.0 + (WIDTH - 80.0) * (time - first) as f64 / ((last - first).max(1) as f64);
    let y = |value: i64| {
        HEIGHT - 30.0 - (HEIGHT - 70.0) * (value - least) as f64 / ((most - least).max(1) as f64)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"10\" y=\"20\" font-size=\"14\">{}</text>\n",
        threshold.replace('&', "&amp;").replace('<', "&lt;")
    );
    let mut modes: Vec<&str> = steps.iter().map(|step| step.mode.as_str()).collect();
    modes.dedup();
    for ((mode, colour), number) in modes.iter().zip(COLOURS.iter().cycle()).zip(0_i32..) {
        let of: Vec<&Step> = steps.iter().filter(|step| step.mode == *mode).collect();
        let mut path = String::new();
        for (step, next) in of.iter().zip(of.iter().skip(1).map(Some).chain([None])) {
            let (at, level) = (x(step.since.unix_micros()), y(step.value));
            let until = next.map_or(WIDTH - 20.0, |next| x(next.since.unix_micros()));
            let _ = write!(
                path,
                "{}{at:.1},{level:.1} L{until:.1},{level:.1} ",
                if path.is_empty() { "M" } else { "L" }
            );
            let _ = writeln!(
                svg,
                "<text x=\"{at:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
                level - 4.0,
                step.shown
            );
        }
        let _ = writeln!(
            svg,
            "<path d=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            path.trim_end()
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"20\" fill=\"{colour}\">{}</text>",
            WIDTH - 80.0 - 70.0 * f64::from(number),
            mode.replace('&', "&amp;").replace('<', "&lt;")
        );
    }
    svg.push_str("</svg>\n");
    svg
}
