//! L10: what an outcome costs, and how large a scope's state is.

use std::hint::black_box;

use crate::{
    Band, Certifying, Event, Loss, Matured, Propensity, Route, ScopeState, Source, Tables,
    bench::{
        Figure, measures,
        worlds::{BANDS, START},
    },
};

/// Nine thresholds that see the same outcomes.
pub struct Workload {
    tables: Tables,
    scopes: Vec<ScopeState>,
    events: Vec<Event>,
}

impl Default for Workload {
    fn default() -> Self {
        Self::new()
    }
}

impl Workload {
    /// Scopes without evidence, and outcomes at about the budget: one in ten explored, one in 20 failed.
    pub fn new() -> Self {
        let tables = measures::tables(measures::declared(3_000));
        let propensity = Propensity::try_from(3_000).ok();
        let event = |n: u32| {
            let explored = n % 10 == 3;
            let route = propensity.map_or(Route::PassedUnexplorable, |propensity| {
                Route::Certifying(match explored {
                    true => Certifying::Explored { propensity },
                    false => Certifying::Passed { propensity },
                })
            });
            let band = if explored { 32 + n % 8 } else { (n * 7 + n / 3) % 32 };
            let loss = if n % 21 == 5 { Loss::FULL } else { Loss::NONE };
            Event::Matured(Matured {
                band: Band(band as u16),
                cut: START,
                route,
                source: Source(n * 13 % 20),
                tighten: loss,
                loosen: loss,
            })
        };
        let scopes = vec![ScopeState::new(&tables, START); 9];
        Self { tables, scopes, events: (0..4_096).map(event).collect() }
    }

    /// The outcomes of one round.
    pub fn outcomes(&self) -> usize {
        self.events.len()
    }

    /// Gives every outcome to every scope.
    pub fn round(&mut self) {
        for event in &self.events {
            for scope in &mut self.scopes {
                black_box(scope.apply(&self.tables, event));
            }
        }
    }

    /// The bytes of a scope's state.
    pub fn state_bytes(&self) -> usize {
        self.scopes.first().map_or(0, ScopeState::bytes)
    }
}

pub(super) fn figures(clock: Option<fn() -> u64>) -> Vec<Figure> {
    let mut workload = Workload::new();
    workload.round();
    let bytes = workload.state_bytes();
    let kilobytes = bytes as f64 / 1_000.0;
    let mut all = Vec::new();
    if let Some(clock) = clock {
        // The least of several: what the machine does besides only adds.
        let once = |workload: &mut Workload| {
            let begin = clock();
            workload.round();
            clock().saturating_sub(begin) as f64 / workload.outcomes() as f64
        };
        let cost = (0..20).map(|_| once(&mut workload)).fold(f64::INFINITY, f64::min);
        all.push(Figure {
            id: "L10",
            what: "cost per outcome, 9 thresholds".to_owned(),
            value: Some(cost),
            shown: format!("{cost:.0} ns"),
            target: "≤ 250 ns",
            met: Some(cost <= 250.0),
        });
    }
    all.push(Figure {
        id: "L10",
        what: format!("state per scope, {BANDS} bands"),
        value: Some(kilobytes),
        shown: format!("{kilobytes:.1} kB"),
        target: "≤ 16 kB",
        met: Some(kilobytes <= 16.0),
    });
    all
}
