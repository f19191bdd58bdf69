//! What a scope computes from its settings once.

use crate::{bets::Bets, change_point::Increments, settings::Settings, tighten::Factors};

/// What is computed from the settings once.
#[derive(Debug, Clone, PartialEq)]
pub struct Tables {
    pub(super) settings: Settings,
    pub(super) factors: Factors,
    pub(super) increments: Increments,
    pub(super) growth: f64,
    pub(super) tighten_level: f64,
    pub(super) bets: Option<Bets>,
    pub(super) bands: u16,
}

impl Tables {
    /// For these settings and so many bands.
    pub fn new(settings: Settings, bands: u16) -> Self {
        let factors = Factors::new(settings.tested_rate());
        let increments = Increments::new(&factors);
        let growth = libm::exp2(1.0 / f64::from(settings.get().profile_half_life));
        let tighten_level = settings.tighten_level();
        let bets = Bets::new(&settings);
        Self { settings, factors, increments, growth, tighten_level, bets, bands }
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The likelihood ratios of the tighten detector.
    pub fn factors(&self) -> &Factors {
        &self.factors
    }

    /// The number of bands.
    pub fn bands(&self) -> u16 {
        self.bands
    }
}
