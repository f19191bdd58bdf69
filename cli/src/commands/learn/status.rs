//! `cku learn status` and `explain`: what outcomes say of each threshold right now.

use std::fmt::Write;

use cku_base::TenantPath;
use cku_journal::Journal;
use cku_learner::{Band, Cut, Direction, Prediction};
use cku_learning::{Following, Raised, ScopeView, objection, ranked};
use serde_json::{Value, json};

use super::{Of, Units, followed, tenants};
use crate::{
    exit::Exit,
    journal,
    output::{self, Format},
    render::{foreign, style},
};

/// Show what outcomes say of each threshold that may be learned.
///
/// A bar shows how much evidence there is on its way to a proposal, on a scale on which each outcome adds
/// about the same: full is where the chance of being wrong is as small as the bundle declares.
#[derive(Debug, clap::Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    of: Of,

    /// How to write it.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

/// Show what is known of one threshold: its bands, its detectors, what was raised, and what it rests on.
#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// The threshold, as `gate.name`.
    #[arg(value_name = "THRESHOLD")]
    threshold: String,

    /// The mode; without it, each.
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,

    #[command(flatten)]
    of: Of,

    /// How to write it.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

pub(super) fn status(args: &StatusArgs) -> Result<Exit, Exit> {
    let journal = args.of.journal.open_to_read()?;
    let (mut text, mut all, mut followings) = (String::new(), Vec::new(), Vec::new());
    let dim = style::DIM;
    for tenant in tenants(&journal, args.of.tenant.as_ref())? {
        let following = followed(&journal, &tenant)?;
        if following.modes().is_empty() {
            continue;
        }
        let counts = following.counts();
        let _ = writeln!(
            text,
            "{tenant}  {dim}{} final outcomes, {} of them not known; up to entry {}{dim:#}",
            counts.matured,
            counts.unknown,
            following.seq()
        );
        for (what, number) in [
            ("labels that came too late for a detector", counts.late),
            ("ends of runs that are not in the chain", counts.stray),
            ("entries that cannot be read", counts.unreadable),
            ("outcomes whose fact meant something else when they were decided", counts.redefined),
        ] {
            if number > 0 {
                let _ = writeln!(text, "  {dim}{number} {what}{dim:#}");
            }
        }
        for mode in following.modes() {
            unusable(&journal, mode);
        }
        for scope in following.scopes() {
            let units = Units::of(&journal, scope.mode);
            line(&mut text, &scope, &units);
            all.push(document(&tenant, &scope));
        }
        followings.push(following);
    }
    ranking(&mut text, &followings);
    if args.format == Format::Json {
        output::json(&all)?;
        return Ok(Exit::Pass);
    }
    if text.is_empty() {
        text.push_str("no run was decided yet in this journal\n");
    }
    output::result(text)?;
    Ok(Exit::Pass)
}

/// What is open, by what speaks for it, over all tenants.
fn ranking(text: &mut String, followings: &[Following]) {
    let ranked = ranked(followings);
    if ranked.is_empty() {
        return;
    }
    let (bold, dim) = (style::BOLD, style::DIM);
    let _ = writeln!(
        text,
        "{bold}open, what most speaks for first{bold:#}  {dim}of those up to a line at most so many are wrong, on average{dim:#}"
    );
    for of in ranked {
        let scope = &of.subject.evidence.scope;
        let waits = objection(of.subject, followings).filter(|_| of.subject.diff.is_none());
        let waits = waits
            .map_or_else(String::new, |by| format!("; waits, as outcomes of {} speak against it", by.tenant));
        let _ = writeln!(
            text,
            "  {:>7}  {} in {}, by outcomes of {}{waits}",
            percent(of.share),
            foreign(&of.subject.threshold),
            of.subject.mode,
            scope.tenant
        );
    }
}

/// Warns of thresholds that are not learned, since what the bundle declares for them cannot be used.
fn unusable(journal: &Journal, mode: &str) {
    let Ok(deciding) = cku_authority::deciding(journal, mode, "") else { return };
    let style = style::WARNING;
    for why in cku_learning::learnable(&deciding.bundle, mode).1 {
        output::note(format_args!("{style}warning{style:#}: {}\n", foreign(&why.to_string())));
    }
}

/// A scope in a line.
fn line(text: &mut String, scope: &ScopeView<'_>, units: &Units) {
    let dim = style::DIM;
    let value = units.shown(scope.threshold, scope.grid.value(scope.state.cut()));
    let tighten = share(scope.tighten.0, scope.tighten.1);
    let wealth = scope.state.loosen().wealth().next().unwrap_or_default();
    let loosen = share(wealth, scope.settings.loosen_level());
    let says = match (scope.raised, scope.failing, scope.paused) {
        (Some(raised), ..) => raised_line(raised, units),
        (None, Some(failing), _) => {
            format!("what the canary of {} let pass failed too often", short(&failing.diff))
        }
        (None, None, true) => "paused".to_owned(),
        (None, None, false) if scope.unhelpful.is_some() => {
            "what passes fails too often, and this threshold does not tell what does".to_owned()
        }
        (None, None, false) => String::new(),
    };
    let explored = scope.settings.propensity().map_or_else(
        || "no exploration".to_owned(),
        |p| format!("explores {:.0} %", 100.0 * p.probability()),
    );
    let _ = writeln!(
        text,
        "  {:8} {:32} {value:>9}  tighten {}  loosen {}  {dim}{explored}{dim:#}{}{says}",
        scope.mode,
        foreign(scope.threshold),
        bar(tighten),
        bar(loosen),
        if says.is_empty() { "" } else { "  " },
    );
}

fn raised_line(raised: &Raised, units: &Units) -> String {
    let evidence = &raised.evidence;
    let to = units.shown(&raised.threshold, evidence.to);
    match &raised.diff {
        None => format!("raised: {to}; `cku learn propose` makes a diff of it"),
        Some(diff) => format!("proposed: {to}, {}", short(diff)),
    }
}

fn short(diff: &cku_base::Digest) -> String {
    diff.to_string().chars().take(19).collect()
}

/// How far evidence is on its way, from 0 to 1, in logarithms: it multiplies.
fn share(value: f64, level: f64) -> f64 {
    if value <= 1.0 || level <= 1.0 {
        return 0.0;
    }
    (value.ln() / level.ln()).clamp(0.0, 1.0)
}

fn bar(share: f64) -> String {
    const WIDTH: usize = 10;
    // From 0 to 1 by `share`.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 10")]
    let full = ((share * WIDTH as f64).round() as usize).min(WIDTH);
    format!("{}{}", "█".repeat(full), "░".repeat(WIDTH - full))
}

fn document(tenant: &TenantPath, scope: &ScopeView<'_>) -> Value {
    json!({
        "tenant": tenant, "mode": scope.mode, "threshold": scope.threshold,
        "value": scope.grid.value(scope.state.cut()), "paused": scope.paused,
        "tighten": {"least": scope.tighten.0, "level": scope.tighten.1},
        "loosen": {
            "wealth": scope.state.loosen().wealth().collect::<Vec<_>>(),
            "level": scope.settings.loosen_level(),
        },
        "watch": &scope.watch, "failing": scope.failing,
        "settings": scope.settings, "raised": scope.raised,
    })
}

pub(super) fn explain(args: &ExplainArgs) -> Result<Exit, Exit> {
    let journal = args.of.journal.open_to_read()?;
    let (mut text, mut all, mut known) = (String::new(), Vec::new(), std::collections::BTreeSet::new());
    for tenant in tenants(&journal, args.of.tenant.as_ref())? {
        let following = followed(&journal, &tenant)?;
        for scope in following.scopes() {
            known.insert(scope.threshold.to_owned());
            if scope.threshold == args.threshold && args.mode.as_deref().is_none_or(|mode| mode == scope.mode)
            {
                explained(&mut text, &following, &scope, &Units::of(&journal, scope.mode));
                all.push(document(&tenant, &scope));
            }
        }
    }
    if all.is_empty() {
        let near = cku_base::suggest(&args.threshold, known.iter().map(String::as_str));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(journal::refuse(&format!(
            "no run was decided by a learnable threshold `{}`{}{hint}",
            foreign(&args.threshold),
            args.mode.as_ref().map_or_else(String::new, |mode| format!(" in `{}`", foreign(mode)))
        )));
    }
    match args.format {
        Format::Json => output::json(&all)?,
        Format::Pretty => output::result(text)?,
    }
    Ok(Exit::Pass)
}

fn explained(text: &mut String, following: &Following, scope: &ScopeView<'_>, units: &Units) {
    let (bold, dim) = (style::BOLD, style::DIM);
    let declared = scope.settings.get();
    let cut = scope.state.cut();
    let now = scope.grid.value(cut);
    let _ = writeln!(
        text,
        "{bold}{} in {}{bold:#}, by outcomes of {}: {} now",
        foreign(scope.threshold),
        scope.mode,
        following.tenant(),
        units.shown(scope.threshold, now)
    );
    let _ = writeln!(
        text,
        "  {dim}of what passes, at most {} may fail; within {} outcomes the chance of a wrong proposal is at most {}{dim:#}",
        percent(declared.epsilon),
        declared.window,
        declared.delta
    );
    let prediction = Prediction::fit(scope.state.counts());
    let _ =
        writeln!(text, "  of what passes now, about {} fails (an estimate)", percent(prediction.rate(cut)));
    let _ = writeln!(
        text,
        "  too loose?   {}  {} of {}, whichever one source is left out",
        bar(share(scope.tighten.0, scope.tighten.1)),
        number(scope.tighten.0),
        number(scope.tighten.1)
    );
    if scope.settings.propensity().is_some() {
        let level = scope.settings.loosen_level();
        let first = scope.state.loosen().wealth().next().unwrap_or_default();
        let (bar, first, level) = (bar(share(first, level)), number(first), number(level));
        let _ = writeln!(text, "  too strict?  {bar}  {first} of {level}");
    } else {
        let _ = writeln!(
            text,
            "  too strict?  {dim}nothing is explored in this mode, and without that nothing can show it{dim:#}"
        );
    }
    if let Some(watch) = &scope.watch {
        let _ = writeln!(
            text,
            "  taken back?  {}  {} of {}, after {} outcomes since it was loosened from {}",
            bar(share(watch.least, watch.level)),
            number(watch.least),
            number(watch.level),
            watch.outcomes,
            units.shown(scope.threshold, watch.from),
        );
    }
    bands(text, scope, units);
    if let Some(raised) = scope.raised {
        let evidence = &raised.evidence;
        let verb = match evidence.direction {
            Direction::Tighten if evidence.takes_back => "take back the loosening",
            Direction::Tighten => "tighten",
            Direction::Loosen => "loosen",
        };
        let to = units.shown(scope.threshold, evidence.to);
        let _ = writeln!(text, "  {bold}raised{bold:#} after entry {}: {verb} to {to}", raised.seq);
        if let Some(diff) = &raised.diff {
            let _ = writeln!(text, "  proposed as {diff}; `cku learn verify` computes its evidence again");
        }
    }
    if scope.paused {
        let _ = writeln!(text, "  paused: it proposes nothing until `cku learn resume`");
    }
}

/// The bands that anything is known of, safest first.
fn bands(text: &mut String, scope: &ScopeView<'_>, units: &Units) {
    let dim = style::DIM;
    let (counts, cut) = (scope.state.counts(), scope.state.cut());
    let shares = counts.shares();
    let all = shares.iter().sum::<f64>().max(f64::MIN_POSITIVE);
    let rows = counts.profile().into_iter().zip(shares.iter().map(|share| share / all)).enumerate();
    let _ = writeln!(text, "  {dim}passes at     share  fails (estimate){dim:#}");
    for (at, (risk, part)) in rows {
        if part < 0.000_5 {
            continue;
        }
        let Ok(band) = u16::try_from(at) else { continue };
        let value = units.shown(scope.threshold, scope.grid.value(Cut(band.saturating_add(1))));
        let passes = if cut.passes(Band(band)) { ' ' } else { '✗' };
        let _ = writeln!(text, "  {passes} {value:>9}  {:>7}  {}", percent(part), percent(risk));
    }
}

/// An e-value as people read it.
fn number(e_value: f64) -> String {
    match e_value {
        e if e < 10.0 => format!("{e:.2}"),
        e if e < 1e7 => format!("{e:.0}"),
        e => format!("{e:.1e}"),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
