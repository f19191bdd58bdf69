//! L1 to L11: what is measured, in which worlds.

use cku_base::BasisPoints;

use crate::{
    Cut, Declared, Settings, Tables,
    bench::{
        Baseline, BenchReport, BenchSettings, Figure, Progress, binomial, commits, each,
        learners::{Certified, Fixed, Learner, Rule, Thumb},
        watch,
        worlds::{BANDS, Proposed, START, Simulation, World, best_cut, passed_rate, risks},
    },
};

pub(super) const EPSILON: f64 = 0.05;
const DELTA: f64 = 0.01;
const WINDOW: u64 = 10_000;
/// Runs after a shift for L4 and L5.
const AFTER: u64 = 7_000;
/// When the rate shifts.
const SHIFT_AT: u64 = 1_000;

/// The settings of the benchmark, at an exploration rate in ten-thousandths.
pub(super) fn declared(points: u32) -> Declared {
    Declared {
        epsilon: EPSILON,
        delta: DELTA,
        window: WINDOW as u32,
        exploration_rate: BasisPoints::try_from(points).unwrap_or_default(),
        ..Declared::default()
    }
}

/// What the settings give; the defaults, where they are out of range.
pub(super) fn tables(declared: Declared) -> Tables {
    Tables::new(Settings::check(declared).unwrap_or_default(), BANDS)
}

fn never(_: &Proposed) -> bool {
    false
}

fn wrong_tighten(p: &Proposed) -> bool {
    p.to < p.from && p.rate_from <= EPSILON * (1.0 + 1e-9)
}

fn wrong_loosen(p: &Proposed) -> bool {
    !p.expiry && p.to > p.from && p.rate_to > EPSILON * (1.0 + 1e-9)
}

/// The worlds of one measure: what is run and for how long.
struct Trial<'a> {
    world: &'a World,
    runs: u64,
    passed: u64,
    stop: fn(&Proposed) -> bool,
    seed: u64,
}

impl Trial<'_> {
    fn course(&self, learner: &mut dyn Learner, number: u64) -> super::worlds::Course {
        let Self { world, runs, passed, stop, seed } = *self;
        Simulation { world, epsilon: EPSILON, runs, passed, stop }.run(learner, seed, number)
    }
}

/// The number of worlds in which some proposal was of this sort.
fn hits(
    s: &BenchSettings,
    n: u64,
    world: &World,
    seed: u64,
    who: Who<'_>,
    sort: fn(&Proposed) -> bool,
) -> u64 {
    // The window of the promise is N outcomes of passed runs; blocked runs have none.
    let trial = Trial { world, runs: 4 * WINDOW, passed: WINDOW, stop: sort, seed };
    each(s.threads, n, |number| {
        u64::from(trial.course(who.at_start().as_mut(), number).proposed.iter().any(sort))
    })
    .into_iter()
    .sum()
}

fn probability(id: &'static str, what: &str, hits: u64, n: u64, most: f64, target: &'static str) -> Figure {
    let value = hits as f64 / n as f64;
    let bound = binomial::upper(hits, n, 0.05);
    Figure {
        id,
        what: what.to_owned(),
        value: Some(value),
        shown: format!("{value:.4} ({hits} of {n}; 95 % bound {bound:.4})"),
        target,
        met: Some(value <= most),
    }
}

fn figure(
    id: &'static str,
    what: impl Into<String>,
    value: f64,
    shown: String,
    target: &'static str,
    met: bool,
) -> Figure {
    Figure { id, what: what.into(), value: Some(value), shown, target, met: Some(met) }
}

/// The value below which the share `q` of the sorted values lies.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = (q * (sorted.len().saturating_sub(1)) as f64) as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// log(N/δ)/KL(q, ε), the outcomes that any detector with this bound needs about.
fn bound(q: f64, rate: f64) -> f64 {
    let kl = q * libm::log(q / rate) + (1.0 - q) * libm::log((1.0 - q) / (1.0 - rate));
    libm::log(WINDOW as f64 / DELTA) / kl
}

/// Delays in outcomes of passed runs after a shift at run 1,000; a world that never alarms counts as the end.
fn delays(s: &BenchSettings, n: u64, world: &World, tables: &Tables, seed: u64) -> Vec<f64> {
    let runs = SHIFT_AT + 4 * WINDOW;
    let stop = |p: &Proposed| p.to < p.from && p.run >= SHIFT_AT;
    let trial = Trial { world, runs, passed: u64::MAX, stop, seed };
    let mut all = each(s.threads, n, |number| {
        let mut learner = Certified::new(tables, START);
        let course = trial.course(&mut learner, number);
        let first = course.proposed.iter().find(|p| stop(p));
        let at = first.map_or(runs, |p| p.run) as f64 - SHIFT_AT as f64;
        at * f64::from(START.0) / f64::from(BANDS)
    });
    all.sort_by(f64::total_cmp);
    all
}

/// Whoever learns.
#[derive(Clone, Copy)]
enum Who<'a> {
    Certified(&'a Tables),
    Thumb(Rule),
    Fixed,
}

impl<'a> Who<'a> {
    fn at_start(self) -> Box<dyn Learner + 'a> {
        match self {
            Self::Certified(tables) => Box::new(Certified::new(tables, START)),
            Self::Thumb(rule) => Box::new(Thumb::new(rule, EPSILON, BANDS, START)),
            Self::Fixed => Box::new(Fixed),
        }
    }
}

struct After {
    distance: f64,
    escapes: f64,
    /// The share of worlds in which a tightening ended by itself although its old threshold was above ε.
    ended_wrongly: f64,
}

/// Distance and escapes in a world, 7,000 runs after its last change.
fn after(s: &BenchSettings, n: u64, world: &World, seed: u64, who: Who<'_>) -> After {
    let runs = world.rates.last().map_or(0, |(from, _)| *from) + AFTER;
    let trial = Trial { world, runs, passed: u64::MAX, stop: never, seed };
    let all = each(s.threads, n, |number| {
        let course = trial.course(who.at_start().as_mut(), number);
        let best = best_cut(&course.risks, EPSILON);
        let distance = f64::from(best.0.abs_diff(course.cut)) / f64::from(BANDS);
        let wrong = course.proposed.iter().any(|p| p.expiry && p.rate_to > EPSILON * (1.0 + 1e-9));
        [distance, 1_000.0 * course.escapes / course.since as f64, f64::from(u8::from(wrong))]
    });
    let column = |at: usize| mean(&all.iter().filter_map(|row| row.get(at).copied()).collect::<Vec<_>>());
    After { distance: column(0), escapes: column(1), ended_wrongly: column(2) }
}

/// A world at ε that shifts to this multiple of it.
fn shifted(ratio: f64, exploration: u32) -> World {
    World::steady(EPSILON).then(SHIFT_AT, ratio * EPSILON).explored(exploration)
}

pub(super) fn all(s: &BenchSettings, progress: &dyn Fn(Progress)) -> BenchReport {
    let n = s.worlds;
    let few = (n / 10).max(50);
    let mut figures = Vec::new();
    let mut skipped = Vec::new();
    let of = 11;
    let begin = |done: usize, what: &str| progress(Progress { measure: what.to_owned(), done, of });
    let plain = tables(declared(0));
    let exploring = tables(declared(3_000));
    let plain_learner = Who::Certified(&plain);
    let exploring_learner = Who::Certified(&exploring);

    begin(0, "L1 wrong tighten");
    let steady = World::steady(EPSILON);
    let wrong = hits(s, n, &steady, s.seed ^ 0x1001, plain_learner, wrong_tighten);
    figures.push(probability("L1", "P(any wrong tighten), rate exactly ε", wrong, n, 0.01, "≤ 0.010"));
    let alone = tables(Declared { left_out: 0, ..declared(0) });
    let wrong = hits(s, n, &steady, s.seed ^ 0x100d, Who::Certified(&alone), wrong_tighten);
    figures.push(probability("L1", "the same with no source left out (m = 0)", wrong, n, 0.01, "≤ 0.010"));

    begin(1, "L2 wrong loosen");
    let world = World::steady(EPSILON).explored(3_000);
    let wrong = hits(s, n, &world, s.seed ^ 0x1002, exploring_learner, wrong_loosen);
    figures.push(probability(
        "L2",
        "P(any wrong loosen), rate exactly ε, p = 0.3",
        wrong,
        n,
        0.01,
        "≤ 0.010",
    ));
    // The hardest: the very next band would be exactly at the budget, and a hair above.
    let hardest = passed_rate(&risks(Cut(START.0 + 1), EPSILON * (1.0 + 1e-6)), START);
    let world = World::steady(hardest).explored(3_000);
    let wrong = hits(s, n, &world, s.seed ^ 0x1003, exploring_learner, wrong_loosen);
    figures.push(probability(
        "L2",
        "the same where the next band is a hair above ε",
        wrong,
        n,
        0.01,
        "≤ 0.010",
    ));

    begin(2, "L3 delay");
    let mut all_delays = Vec::new();
    let (mut worst_median, mut worst_p95) = (0.0f64, 0.0f64);
    for ratio in [1.5, 2.0, 3.0, 5.0] {
        let rate = ratio * EPSILON;
        let world = World::steady(EPSILON).then(SHIFT_AT, rate);
        let delays = delays(s, few.max(200), &world, &alone, s.seed ^ 0x1004);
        let ratios: Vec<f64> = delays.iter().map(|d| d / bound(rate, EPSILON)).collect();
        worst_median = worst_median.max(quantile(&ratios, 0.5));
        worst_p95 = worst_p95.max(quantile(&ratios, 0.95));
        all_delays.push((ratio, ratios));
    }
    let what =
        "delay over log(N/δ)/KL, the worst of shifts to 1.5, 2, 3, 5 ε (m = 0; what m = 3 costs is in L7)";
    let shown = format!("median {worst_median:.2}, p95 {worst_p95:.2}");
    figures.push(figure(
        "L3",
        what,
        worst_median,
        shown,
        "≤ 0.85; ≤ 1.75",
        worst_median <= 0.85 && worst_p95 <= 1.75,
    ));

    begin(3, "L4 distance, L5 escapes");
    figures.extend(distances(s, few, exploring_learner));

    begin(4, "L6 justified loosening");
    figures.extend(loosening(s, few.max(200), &exploring));

    begin(5, "L7 a liar, flipped labels; the watch");
    figures.extend(robustness(s, n, few, &plain));
    figures.extend(watch::figures(s, plain.settings().get(), few.max(200)));

    begin(6, "L8 human-approved runs");
    figures.extend(human_approved(s, few, &exploring));

    begin(7, "L9 real commits");
    let mut projects = Vec::new();
    let explored = |points| commits::run_all(s.commits.as_deref(), points, s.seed);
    match explored(commits::EXPLORATION) {
        Ok(results) => {
            figures.extend(commits::figures(&results));
            let more = [5_000, 10_000].map(|points| (points, explored(points).unwrap_or_default()));
            figures.push(commits::more_exploration(&more));
            projects = results;
        }
        Err(why) => skipped.push(format!("L9: {why}")),
    }

    begin(8, "L10 cost");
    figures.extend(super::cost::figures(s.clock));
    if s.clock.is_none() {
        skipped.push("L10: no clock was given".to_owned());
    }

    begin(9, "L11 the same bytes");
    figures.push(super::replay::figure(s.seed));

    begin(10, "rules of thumb");
    let baselines = baselines(s, few);
    BenchReport { worlds: n, seed: s.seed, figures, baselines, projects, skipped, delays: all_delays }
}

fn distances(s: &BenchSettings, n: u64, exploring: Who<'_>) -> Vec<Figure> {
    let seed = s.seed ^ 0x1005;
    let ratios = [1.5, 2.0, 3.0, 5.0];
    let found = ratios.map(|ratio| after(s, n, &shifted(ratio, 3_000), seed, exploring));
    let worst = found.iter().map(|f| f.distance).fold(0.0, f64::max);
    let shown = found.iter().map(|f| format!("{:.3}", f.distance)).collect::<Vec<_>>().join(", ");
    let what =
        "distance to the best threshold as a share of bands, 7,000 runs after a shift to 1.5, 2, 3, 5 ε";
    let mut figures = vec![figure("L4", what, worst, shown, "≤ 0.05", worst <= 0.05)];
    let burst =
        World::steady(EPSILON).then(SHIFT_AT, 5.0 * EPSILON).then(SHIFT_AT + 500, EPSILON).explored(3_000);
    let lasting = tables(Declared { burst_expiry: 0, ..declared(3_000) });
    let with = after(s, n, &burst, seed, exploring).distance;
    let without = after(s, n, &burst, seed, Who::Certified(&lasting)).distance;
    figures.push(Figure {
        id: "L4",
        what: "the same after a burst of 500 runs at 5 ε".to_owned(),
        value: Some(with),
        shown: format!("{with:.3}; without expiry {without:.3}"),
        target: "–",
        met: None,
    });
    let [_, _, to_three, _] = &found;
    let fixed = after(s, n.min(100), &shifted(3.0, 0), seed, Who::Fixed).escapes;
    let what = "escapes above ε per 1,000 runs, 7,000 runs after a shift to 0.15";
    let shown = format!("{:.1} (no learner {fixed:.0})", to_three.escapes);
    figures.push(figure("L5", what, to_three.escapes, shown, "≤ 10", to_three.escapes <= 10.0));
    let ended = mean(&found.iter().map(|f| f.ended_wrongly).collect::<Vec<_>>());
    figures.push(Figure {
        id: "L5",
        what: "tightenings that ended by themselves although the shift lasted, share of worlds".to_owned(),
        value: Some(ended),
        shown: format!("{ended:.3}"),
        target: "–",
        met: None,
    });
    figures
}

fn loosening(s: &BenchSettings, n: u64, tables: &Tables) -> Vec<Figure> {
    let world = World::steady(0.6 * EPSILON).explored(3_000);
    let stop = |p: &Proposed| !p.expiry && p.to > p.from && p.rate_to <= EPSILON;
    let trial = Trial { world: &world, runs: 2 * WINDOW, passed: WINDOW, stop, seed: s.seed ^ 0x1006 };
    let found: Vec<Option<f64>> = each(s.threads, n, |number| {
        let mut learner = Certified::new(tables, START);
        let course = trial.course(&mut learner, number);
        course.proposed.iter().find(|p| stop(p)).map(|p| p.run as f64)
    });
    let share = found.iter().flatten().count() as f64 / n as f64;
    let mut runs: Vec<f64> = found.iter().map(|run| run.unwrap_or(f64::INFINITY)).collect();
    runs.sort_by(f64::total_cmp);
    let median = quantile(&runs, 0.5);
    let shown = format!("{share:.3}, median after {median:.0} runs");
    let what = "justified loosening found within N outcomes, rate 0.6 ε, p = 0.3";
    vec![figure("L6", what, share, shown, "≥ 0.95; ≤ 5,000", share >= 0.95 && median <= 5_000.0)]
}

fn robustness(s: &BenchSettings, n: u64, few: u64, plain: &Tables) -> Vec<Figure> {
    let noisy = tables(Declared { label_noise: 0.02, ..declared(0) });
    let noisy_learner = Who::Certified(&noisy);
    let plain_learner = Who::Certified(plain);
    let liar = World { liar: true, ..World::steady(EPSILON) };
    let flips = World { flips: 0.02, ..World::steady(EPSILON) };
    let by_liar = hits(s, n, &liar, s.seed ^ 0x1007, plain_learner, wrong_tighten);
    let by_flips = hits(s, n, &flips, s.seed ^ 0x1008, noisy_learner, wrong_tighten);
    let risen = |world: World| world.then(SHIFT_AT, 3.0 * EPSILON);
    let delay = |world: &World, tables: &Tables| {
        quantile(&delays(s, few.max(200), world, tables, s.seed ^ 0x1009), 0.5)
    };
    let without = tables(Declared { left_out: 0, ..declared(0) });
    let honest = delay(&risen(World::steady(EPSILON)), &without);
    let left_out = delay(&risen(World::steady(EPSILON)), plain) / honest;
    let tolerant = delay(&risen(flips), &noisy) / honest;
    let slower = left_out.max(tolerant);
    vec![
        probability(
            "L7",
            "P(any wrong tighten), one of 20 sources always reports failure",
            by_liar,
            n,
            0.01,
            "≤ 0.01",
        ),
        probability(
            "L7",
            "P(any wrong tighten), 2 % of labels flipped, η = 0.02",
            by_flips,
            n,
            0.01,
            "≤ 0.01",
        ),
        figure(
            "L7",
            "delay at 3 ε with one source left out, and with η, over the delay without either",
            slower,
            format!("{left_out:.2}; {tolerant:.2}"),
            "≤ 2",
            slower <= 2.0,
        ),
    ]
}

fn human_approved(s: &BenchSettings, n: u64, exploring: &Tables) -> Vec<Figure> {
    let certain = tables(declared(10_000));
    let people = World { people: true, ..World::steady(0.8 * EPSILON) };
    let learner = Who::Certified(exploring);
    let right = hits(s, n, &people, s.seed ^ 0x100a, learner, wrong_loosen);
    let mistaken = World { mistaken: true, ..people.explored(10_000) };
    let naive = Who::Certified(&certain);
    let wrong = hits(s, n, &mistaken, s.seed ^ 0x100b, naive, wrong_loosen);
    let shown = format!(
        "{right} of {n}: refused by type (taken for explored, {:.0} % would be wrong)",
        100.0 * wrong as f64 / n as f64
    );
    vec![figure(
        "L8",
        "certified from human-approved runs only",
        right as f64,
        shown,
        "refused by type",
        right == 0,
    )]
}

fn baselines(s: &BenchSettings, n: u64) -> Vec<Baseline> {
    let rules = [("streak", Rule::Streak), ("window 200", Rule::Window), ("peeking 99 %", Rule::Peeking)];
    let of = |(name, rule): (&'static str, Rule)| {
        let make = Who::Thumb(rule);
        let steady = World::steady(EPSILON);
        let share = |sort| hits(s, n, &steady, s.seed ^ 0x100c, make, sort) as f64 / n as f64;
        let after = after(s, n, &shifted(3.0, 0), s.seed ^ 0x1005, make);
        Baseline {
            name,
            wrong_tighten: share(wrong_tighten),
            wrong_loosen: share(wrong_loosen),
            distance: after.distance,
            escapes: after.escapes,
        }
    };
    rules.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// P(X ≥ hits) for X binomial(n, p).
    fn at_least(hits: u64, n: u64, p: f64) -> f64 {
        let mut term = (1.0 - p).powi(n as i32);
        let mut below = 0.0;
        for k in 0..hits {
            below += term;
            term *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
        }
        1.0 - below
    }

    fn settings() -> BenchSettings {
        BenchSettings { worlds: 60, ..BenchSettings::quick() }
    }

    #[test]
    fn wrong_proposals_are_no_more_frequent_than_promised() {
        // δ = 0.2, so that a detector that breaks its promise is found in few worlds.
        let loose = |points| tables(Declared { delta: 0.2, left_out: 0, ..declared(points) });
        let (plain, exploring) = (loose(0), loose(3_000));
        let s = settings();
        let tighten = hits(&s, 60, &World::steady(EPSILON), 1, Who::Certified(&plain), wrong_tighten);
        let hardest = passed_rate(&risks(Cut(START.0 + 1), EPSILON * (1.0 + 1e-6)), START);
        let world = World::steady(hardest).explored(3_000);
        let loosen = hits(&s, 60, &world, 2, Who::Certified(&exploring), wrong_loosen);
        for wrong in [tighten, loosen] {
            assert!(at_least(wrong, 60, 0.2) > 1e-4, "{wrong} of 60 worlds");
        }
        assert!(tighten > 0, "at δ = 0.2 some are expected: the detector is not merely silent");
    }

    #[test]
    fn a_rise_and_an_improvement_are_found() {
        let s = settings();
        let (plain, exploring) = (tables(declared(0)), tables(declared(3_000)));
        let world = World::steady(EPSILON).then(SHIFT_AT, 3.0 * EPSILON);
        let delays = delays(&s, 40, &world, &plain, 3);
        assert!(quantile(&delays, 0.9) < 3.0 * bound(3.0 * EPSILON, EPSILON), "{delays:?}");
        let better = World::steady(0.6 * EPSILON).explored(3_000);
        let found = hits(&s, 20, &better, 4, Who::Certified(&exploring), |p| p.to > p.from && !p.expiry);
        assert!(found >= 17, "{found} of 20");
    }

    #[test]
    fn evidence_from_people_certifies_only_where_it_is_mistaken_for_explored() {
        let found = human_approved(&settings(), 20, &tables(declared(3_000)));
        assert_eq!(found[0].met, Some(true));
        assert!(found[0].shown.contains("refused by type"), "{}", found[0].shown);
    }

    #[test]
    fn the_figures_do_not_depend_on_the_number_of_threads() {
        let one = each(1, 7, |n| n * n);
        assert_eq!(each(3, 7, |n| n * n), one);
    }
}
