//! Evidence to facts to verdicts: the gate pipeline, pure.
//!
//! A [`RunSubmission`] is what a caller may send. A [`DecisionInput`] adds what only cku knows: who
//! asks, what people decided and voted, the state, the time. [`decide`] asks the gates of the mode's
//! sequence and gives a [`Decision`] with the [`Reason`]s of each. The same bundle and input give the
//! same bytes. Whatever goes wrong in a gate is a REJECT that says so; only a wall-clock limit is
//! [`Undecidable`], since no other machine could reproduce it.
//!
//! [`evidence`] reads the reports of the tools that people already use; [`tables`] runs the tests
//! that stand beside the policies.
//!
//! ```
//! use std::sync::Arc;
//! use cku_engine::{Bundle, Sources, Worker};
//! use cku_gates::{Verdict, decide, simulate};
//!
//! let bundle = Bundle::from_sources(Sources::from_files([
//!     ("bundle.yaml", "name: tiny\nmodes: [dev]"),
//!     ("size.rego", "package size\nfiles := count(input.submission.change.files)"),
//!     (
//!         "size.gate",
//!         r#"gate size "How large is it?" {
//!              facts from data.size { files: count }
//!              pause large: when files > 1 because "{files} files"
//!            }
//!            mode dev { size }"#,
//!     ),
//! ]))?;
//! let document = serde_json::json!({
//!     "run_id": "run-1", "tenant": "acme", "mode": "dev",
//!     "time": "2026-11-20T12:00:00Z", "submitted_at": "2026-11-20T11:59:00Z",
//!     "principal": {"kind": "user", "id": "dana", "tenant": "acme", "authentication": "local"},
//!     "submission": {"intent": "tidy up", "change": {"files": ["a.py", "b.py"]}},
//!     "state": {"kill_switch": false, "role_grants": []},
//! });
//! let (input, _) = simulate::read(document, bundle.revision())?;
//! let decision = decide(&mut Worker::new(Arc::new(bundle)), &input, true)?;
//! assert_eq!(decision.verdict, Verdict::Pause);
//! assert_eq!(decision.gates[0].reasons[0].message, "2 files");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod consent;
mod decide;
mod decision;
mod evaluation;
pub mod evidence;
mod exploration;
mod input;
mod policy_diff;
mod reason;
pub mod simulate;
mod standing;
mod state;
mod submission;
pub mod tables;
mod undecidable;

pub use consent::{Approval, ApprovalDecision, Ballot, Vote, VoterKind};
pub use decide::{decide, show as show_input};
pub use decision::{Decision, GateOutcome, Verdict};
pub use exploration::{Draw, Explorable, Explored, Frontier, Opening};
pub use input::{Authentication, DecisionInput, InputError, Submitter, TokenClaims, read_submission};
pub use policy_diff::{
    Activated, ChangedBundle, ChangedPart, Changes, InvariantCounts, OpenDiff, PolicyDiff, ReplayCounts,
    TestCounts, ThresholdChange, Tried,
};
pub use reason::{Reason, show};
pub use state::{Chain, ErrorBudget, Freeze, Reliability, State};
pub use submission::{
    Cents, Change, OnFailure, PathGlob, Plan, RunSubmission, Step, schema as submission_schema,
};
pub use undecidable::Undecidable;
