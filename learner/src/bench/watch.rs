//! The watch over a loosening: how often it takes back what keeps within ε, and how soon what does not.

use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng;

use crate::{
    Band, Cut, Declared, Direction, Event, Loss, Matured, Notice, Route, ScopeState, Settings, Source,
    Tables,
    bench::{
        BenchSettings, Figure, binomial, each,
        worlds::{BANDS, uniform},
    },
};

const FROM: Cut = Cut(20);
const TO: Cut = Cut(26);
/// Those who submit runs.
const SOURCES: u64 = 20;
/// Runs after a loosening, at most.
const RUNS: u32 = 10_000;
/// Rates of what passes after a loosening, as multiples of ε.
const RATIOS: [f64; 3] = [1.5, 2.0, 3.0];

/// After how many outcomes a loosening to such a rate is proposed to be taken back, or tightened anew.
fn course(tables: &Tables, rate: f64, (seed, number): (u64, u64), most: u32) -> Option<u32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (number << 20));
    let mut state = ScopeState::new(tables, FROM);
    state.apply(tables, &Event::Adopted { cut: TO, proposed: true });
    (1..=most).find(|n| {
        let loss = if uniform(&mut rng) < rate { Loss::FULL } else { Loss::NONE };
        let band = Band((uniform(&mut rng) * f64::from(TO.0)) as u16);
        let source = Source((u64::from(*n) % SOURCES) as u32);
        let route = Route::PassedUnexplorable;
        let run = Matured { band, cut: TO, route, source, tighten: loss, loosen: loss };
        let said = state.apply(tables, &Event::Matured(run));
        matches!(said, Some(Notice::Propose(p)) if p.direction == Direction::Tighten)
    })
}

fn median(mut delays: Vec<u32>) -> f64 {
    delays.sort_unstable();
    delays.get(delays.len() / 2).copied().map_or(f64::NAN, f64::from)
}

pub(super) fn figures(s: &BenchSettings, declared: &Declared, few: u64) -> Vec<Figure> {
    let tables = |declared| Tables::new(Settings::check(declared).unwrap_or_default(), BANDS);
    // All of one that keeps within ε is the watch's doing: the rest of the promise is L1.
    let watched = tables(Declared { cool_down: declared.window - 1, ..declared.clone() });
    let epsilon = declared.epsilon;
    let wrong =
        each(s.threads, s.worlds, |number| course(&watched, epsilon, (s.seed ^ 0x2001, number), RUNS));
    let wrong = wrong.into_iter().flatten().count() as u64;
    let most = declared.delta / f64::from(declared.loosenings + 1);
    let (share, bound) = (wrong as f64 / s.worlds.max(1) as f64, binomial::upper(wrong, s.worlds, 0.05));
    let with = tables(declared.clone());
    let without = tables(Declared { watch: 0, ..declared.clone() });
    let delay = |tables: &Tables, rate: f64| {
        let all = each(s.threads, few, |number| {
            course(tables, rate, (s.seed ^ 0x2002, number), RUNS).unwrap_or(RUNS)
        });
        median(all)
    };
    let pairs = RATIOS.map(|ratio| (delay(&with, ratio * epsilon), delay(&without, ratio * epsilon)));
    let shown: Vec<String> =
        pairs.iter().map(|(with, without)| format!("{with:.0} ({without:.0})")).collect();
    vec![
        Figure {
            id: "W",
            what: "P(a loosening that keeps at exactly ε is taken back), each of at most L".to_owned(),
            value: Some(share),
            shown: format!("{share:.4} ({wrong} of {}; 95 % bound {bound:.4})", s.worlds),
            target: "≤ δ/(L + 1) = 0.0025",
            met: Some(share <= most),
        },
        Figure {
            id: "W",
            what: "median outcomes until a loosening to 1.5, 2, 3 ε is taken back (without the watch)"
                .to_owned(),
            value: pairs.first().map(|(with, _)| *with),
            shown: shown.join(", "),
            target: "–",
            met: None,
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::measures::declared;

    #[test]
    fn the_watch_finds_what_fails_sooner_and_leaves_alone_what_does_not() {
        let settings = BenchSettings { worlds: 300, ..BenchSettings::quick() };
        let figures = figures(&settings, &declared(0), 40);
        assert_eq!(figures[0].met, Some(true), "{}", figures[0].shown);
        let delays: Vec<f64> =
            figures[1].shown.split([' ', '(', ')', ',']).filter_map(|number| number.parse().ok()).collect();
        assert_eq!(delays.len(), 6);
        assert!(delays[2] < 0.9 * delays[3] && delays[4] < 0.75 * delays[5], "{delays:?}");
    }
}
