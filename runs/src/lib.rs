//! A run: its plan, what the gates say of it, its steps, its outcome.
//!
//! A [`PlanFile`] is what a person writes. [`submit`] puts a run into the journal, [`gate`] asks the
//! gates about it and keeps what they say, [`act`] lets people approve, vote, resume and cancel, and
//! [`execute`] carries out its steps. The state of a run, [`Run`], is computed from the entries of its
//! stream: [`Run::decide`] says what a command comes to, [`Run::next`] what is to be done, and both are
//! pure. Every transition is durable before its effect begins, and again after it.
//!
//! ```
//! use cku_runs::PlanFile;
//! use cku_base::document::Limits;
//!
//! let plan = br#"
//! intent: Say hello and write it down
//! steps:
//!   - { id: say, skill: command, with: { argv: [echo, hello] }, effects: false }
//!   - { id: note, skill: file, with: { op: write, path: note.txt, text: hello }, needs: [say] }
//! "#;
//! let plan = PlanFile::read("plan.yaml", plan, Limits::default()).unwrap();
//! let steps = &plan.submission.plan.unwrap().steps;
//! assert!(steps[1].reversible, "what `file` writes can be undone");
//! ```

mod acts;
mod claim;
mod command;
mod document;
mod event;
mod execution;
mod exploration;
mod gating;
mod graph;
mod healing;
mod input;
mod mask;
mod missing;
mod next;
mod permission;
mod plan;
mod problem;
mod projection;
mod state;
mod store;
mod submit;

pub use acts::{ActError, act};
pub use claim::{claim, is_unattended};
pub use command::{Command, Refusal, holding};
pub use document::{document, failure};
pub use event::{
    Decided, Ended, Ending, Event, Failure, Healing, Label, Opened, Outcome, Resumed, Shadowed, Started,
    StepFinished, StepSkipped, StepStarted, Strategy, Submitted, UndoStarted, Undone, Waiting, WaitingFor,
    subject,
};
pub use execution::{Execution, ExecutionError, Progress, execute};
pub use exploration::{ExplorationKey, KeyError};
pub use gating::{Beside, Gated, GatingError, Judged, Trial, gate, gate_trying, judge};
pub use healing::backoff;
pub use input::build as build_input;
pub use mask::{MASKED, mask};
pub use missing::{Missing, missing};
pub use next::{CIRCUIT, Next, RETRIES, SIDE_BY_SIDE};
pub use permission::not_permitted;
pub use plan::{PlanFile, check as check_plan};
pub use projection::{Projections, RunRow, TrialCounts};
pub use state::{Effect, Run, Status, StepState, StepStatus};
pub use store::{find, list, load, run_id, run_id_of_key, trial_counts};
pub use submit::{Request, submit, unsubmitted};
