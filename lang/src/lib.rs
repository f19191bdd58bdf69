//! The gate language of cku: from text to syntax tree to Cedar and Rego.
//!
//! A `*.gate` file says on one page what a gate asks and where its limits are. [`parse`] turns its
//! text into an [`Ast`] and syntax errors; [`compile`] takes all files of a bundle together and gives
//! a [`Compiled`], or all errors of all files in one go. It is declarative: no loops, no arithmetic,
//! no functions. What needs computing is a fact, and facts come from Rego.
//!
//! - A [`Gate`] decides by [`Rules`] over facts, or by a rule written in Rego.
//! - Rules become Cedar: two actions per gate, `G.proceed` and `G.hold`, each with one permit. A
//!   `pause` forbids the first, a `reject` both. Every fact is optional and every rule guarded; that
//!   a fact is missing is a policy of its own, so that nothing passes by absence.
//! - The collection of a gate's facts, and the sequence of gates in each mode, become Rego.
//! - Numbers are integers in the unit of their [`Type`]: hundredths of a percent, cents, seconds.
//! - [`format()`] writes a file in its one form, [`set_threshold`] changes one literal of it, and nothing else.
//!
//! ```
//! let (ast, _) = cku_lang::parse("quality.gate", r#"
//!     gate quality "Tests and coverage" {
//!       facts from data.cku.quality {
//!         line_coverage: percent
//!       }
//!       threshold min_line_coverage: percent = 80% in 60%..98% step 1% stricter up learn {
//!         dev = 60%
//!       }
//!       pause coverage: when line_coverage < min_line_coverage
//!         because "line coverage {line_coverage} is below {min_line_coverage}"
//!     }
//! "#);
//! let modes = ["dev".to_owned(), "prod".to_owned()];
//! let compiled = cku_lang::compile(&[ast], &modes).map_err(|errors| format!("{errors:?}"))?;
//!
//! let ids: Vec<&str> = compiled.policies.iter().map(|policy| policy.id.as_str()).collect();
//! assert_eq!(ids, [
//!     "quality.gate:proceed",
//!     "quality.gate:hold",
//!     "quality.missing:line_coverage",
//!     "quality.coverage.dev",
//!     "quality.coverage.prod",
//! ]);
//! assert!(compiled.cedar().contains("context.line_coverage < 8000"));
//! assert!(compiled.modules[0].text.contains("package cku.facts.quality"));
//! # Ok::<(), String>(())
//! ```

mod ast;
mod check;
pub mod codes;
mod compile;
mod condition;
mod edit;
mod format;
mod literal;
mod model;
mod syntax;
mod token;
mod types;

pub use ast::Ast;
pub use compile::compile;
pub use edit::{EditError, ThresholdValue, add_threshold_value, set_threshold};
pub use format::format;
pub use model::{
    AccessRequirement, Bound, CompareOp, Comparison, Compiled, Direction, Enforcement, Fact, Gate, GateBody,
    Missing, Origin, Policy, PolicyEffect, RegoModule, Rule, RuleKind, Rules, Segment, Sequence,
    SequenceEntry, Threshold,
};
pub use syntax::parse;
pub use token::{Token, TokenKind};
pub use types::Type;
