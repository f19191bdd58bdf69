//! A bundle, and what evaluates it: embedded Rego and Cedar.
//!
//! A [`Bundle`] is loaded from a directory and then never changes. Loading refuses all that could
//! make a decision unsafe later: rules that depend on themselves, data that hides a rule, built-ins
//! that are missing or not deterministic, Cedar that is not strictly valid. A [`Worker`] evaluates it
//! for one input after another: [`Facts`] from Rego, [`RuleVerdict`]s from the compiled rules, and
//! [`access::Answer`]s from the access policies. Every error is an [`EvalError`] or a denial; nothing
//! here turns an error into a value.
//!
//! ```
//! use std::sync::Arc;
//! use cku_engine::{Bundle, RuleVerdict, Sources, Worker};
//!
//! let sources = Sources::from_files([
//!     ("bundle.yaml", "name: tiny\nmodes: [dev]"),
//!     ("size.rego", "package size\nlines := input.lines"),
//!     (
//!         "size.gate",
//!         r#"gate size "How large is it?" {
//!              facts from data.size { lines: count }
//!              pause large: when lines > 100 because "{lines} lines"
//!            }
//!            mode dev { size }"#,
//!     ),
//! ]);
//! let mut worker = Worker::new(Arc::new(Bundle::from_sources(sources)?));
//! worker.set_input(serde_json::json!({"lines": 7}).into());
//! let facts = worker.facts("size")?;
//! assert_eq!(worker.rules("size", "dev", &facts, &Default::default())?, RuleVerdict::Pass);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! No I/O but reading a bundle.

pub mod access;
pub mod authzen;
mod bundle;
mod cedar;
mod coverage;
mod data;
mod error;
mod exploration;
mod facts;
mod input;
mod manifest;
mod nesting;
mod rego;
mod sequence;
mod source;
mod targets;
mod unit_tests;
mod worker;

pub use authzen::Authzen;
pub use bundle::{Bundle, Reach};
pub use cedar::rules::RuleVerdict;
pub use coverage::{Coverage, RegoLines};
pub use error::{EvalError, LoadError};
pub use exploration::{Exploration, ExplorationSettings};
pub use facts::{FactError, FactValue, Facts};
pub use input::{Input, InputError};
pub use manifest::{AuthzenMapping, Limits, Manifest};
pub use sequence::{Sequence, SequenceStep};
pub use source::{BundleFile, FileKind, LANGUAGE_VERSION, Sources};
pub use unit_tests::{UnitTest, UnitTestOutcome};
pub use worker::Worker;
