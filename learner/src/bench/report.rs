//! The report: Markdown, and plots as SVG.

use std::fmt::Write;

use super::BenchReport;

/// The report as Markdown.
pub fn markdown(report: &BenchReport) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "# Benchmark of the learner\n\n{} worlds, seed {}.\n", report.worlds, report.seed);
    out.push_str("| id | measure | value | target | met |\n|---|---|---|---|---|\n");
    for figure in &report.figures {
        let met = match figure.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "–",
        };
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {met} |",
            figure.id, figure.what, figure.shown, figure.target
        );
    }
    if !report.skipped.is_empty() {
        out.push_str("\nNot measured:\n\n");
        for skipped in &report.skipped {
            let _ = writeln!(out, "- {skipped}");
        }
    }
    out.push_str("\n## Rules of thumb in the same worlds\n\n");
    out.push_str(
        "| rule | wrong tighten | wrong loosen | distance | escapes per 1,000 |\n|---|---|---|---|---|\n",
    );
    for b in &report.baselines {
        let row = (b.name, b.wrong_tighten, b.wrong_loosen, b.distance, b.escapes);
        let _ = writeln!(out, "| {} | {:.3} | {:.3} | {:.3} | {:.1} |", row.0, row.1, row.2, row.3, row.4);
    }
    if !report.projects.is_empty() {
        out.push_str("\n## Real commits\n\n");
        out.push_str("| project | commits | ε | passed | failed | hindsight | gap | fixed: passed, failed | proposals | with explored: ahead, failed |\n");
        out.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
        for p in &report.projects {
            let _ = writeln!(
                out,
                "| {} | {} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3} | {:.3}, {:.3} | {:.1} | {:.3}, {:.3} |",
                p.name,
                p.commits,
                p.epsilon,
                p.passed,
                p.failed,
                p.hindsight,
                p.gap(),
                p.fixed.0,
                p.fixed.1,
                p.proposals,
                p.ahead,
                p.ahead_failed
            );
        }
    }
    out
}

/// The plots by file name, as SVG.
pub fn plots(report: &BenchReport) -> Vec<(String, String)> {
    vec![("delays.svg".to_owned(), delays(&report.delays))]
}

/// Of each shift, the share of worlds that raised the alarm within so many times the bound.
fn delays(all: &[(f64, Vec<f64>)]) -> String {
    const WIDTH: f64 = 640.0;
    const HEIGHT: f64 = 360.0;
    const EDGE: f64 = 48.0;
    const MOST: f64 = 2.5;
    const COLOURS: [&str; 4] = ["#1b6ca8", "#2e8b57", "#c77c11", "#a8324a"];
    let x = |ratio: f64| EDGE + ratio.clamp(0.0, MOST) / MOST * (WIDTH - 2.0 * EDGE);
    let y = |share: f64| HEIGHT - EDGE - share * (HEIGHT - 2.0 * EDGE);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\"><title>Delay of the tighten detector over log(N/δ)/KL</title>"
    );
    for tick in [0.0, 0.5, 1.0, 1.5, 2.0, 2.5] {
        let (at, low) = (x(tick), y(0.0));
        let _ = write!(out, "<path d=\"M{at:.1} {low:.1}v5\" stroke=\"#444\"/>");
        let _ =
            write!(out, "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>", low + 18.0);
    }
    for tick in [0.0, 0.5, 1.0] {
        let at = y(tick);
        let _ = write!(out, "<path d=\"M{EDGE} {at:.1}h{:.1}\" stroke=\"#ddd\"/>", WIDTH - 2.0 * EDGE);
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>",
            EDGE - 6.0,
            at + 4.0
        );
    }
    for ((ratio, delays), colour) in all.iter().zip(COLOURS) {
        let mut path = format!("M{:.1} {:.1}", x(0.0), y(0.0));
        let step = (delays.len() / 200).max(1);
        for (at, delay) in delays.iter().enumerate().step_by(step) {
            let _ = write!(path, "L{:.1} {:.1}", x(*delay), y((at + 1) as f64 / delays.len() as f64));
        }
        let _ = write!(out, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        let label = EDGE + 16.0 * ratio.max(1.0);
        let _ = write!(
            out,
            "<text x=\"{:.1}\" y=\"{label:.1}\" fill=\"{colour}\">{ratio} ε</text>",
            WIDTH - EDGE - 30.0
        );
    }
    let _ = write!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">delay over the bound</text></svg>",
        WIDTH / 2.0,
        HEIGHT - 8.0
    );
    out
}
