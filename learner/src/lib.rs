//! Outcomes to reliability to proposed changes of thresholds, with evidence. Pure.
//!
//! A [`Scope`] is a threshold in a mode of a tenant. Its [`ScopeState`] takes [`Event`]s in the order of
//! the journal and now and then gives a [`Notice`]: a [`Proposal`] to tighten, because passed runs fail
//! more often than the budget ε allows, or to loosen, because randomised exploration showed that more
//! could pass within it. Each is wrong with probability at most δ within N outcomes ([`Settings`]), at
//! every look. Nothing here changes a threshold: a proposal becomes a policy diff that people approve.
//!
//! ```
//! use cku_learner::{
//!     Band, Cut, Direction, Event, Loss, Matured, Notice, Route, ScopeState, Settings,
//!     Source, Tables,
//! };
//!
//! let tables = Tables::new(Settings::default(), 40);
//! let mut scope = ScopeState::new(&tables, Cut(30));
//! let failed = |n: u32| n % 4 == 0;
//! let proposal = (0u32..).find_map(|n| {
//!     let loss = if failed(n) { Loss::FULL } else { Loss::NONE };
//!     let run = Matured {
//!         band: Band((n * 7 % 30) as u16),
//!         cut: Cut(30),
//!         route: Route::PassedUnexplorable, // the bundle declares no exploration
//!         source: Source(n % 9),
//!         tighten: loss,
//!         loosen: loss,
//!     };
//!     scope.apply(&tables, &Event::Matured(run))
//! });
//! assert!(matches!(proposal, Some(Notice::Propose(p)) if p.direction == Direction::Tighten));
//! ```

mod bands;
pub mod bench;
mod bets;
mod bits;
mod change_point;
pub mod confidence;
pub mod ebh;
pub mod evidence;
mod grid;
pub mod isotonic;
mod loosen;
mod loss;
pub mod patterns;
pub mod ranking;
pub mod reliability;
mod route;
mod scope;
mod settings;
mod sources;
mod target;
mod tighten;
mod watch;

pub use bands::BandCounts;
pub use bets::{Bets, STAKES};
pub use change_point::{Cusum, Increments};
pub use grid::{Band, Cut, Grid, GridError, Stricter};
pub use loosen::LoosenDetector;
pub use loss::{Loss, LossError, Outcome};
pub use route::{Advisory, Certifying, Propensity, PropensityError, Route};
pub use scope::{Direction, Event, Matured, Notice, Proposal, Scope, ScopeState, Tables};
pub use settings::{Declared, Settings, SettingsError};
pub use sources::{Source, TightenDetector};
pub use target::Prediction;
pub use tighten::{Factor, Factors, Mixture, RATIOS, Statistic};
pub use watch::Watch;
