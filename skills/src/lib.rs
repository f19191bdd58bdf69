//! What carries out a step: commands and files, confined to a workspace.
//!
//! A [`Skill`] checks its arguments before anything runs, carries them out, and takes its effect back.
//! What it did, and of which kind a failure is, stands in its [`Report`]. `command` runs a program
//! beside a supervisor, which lets it write files nowhere but in the [`Workspace`] and leaves nothing of it
//! behind; `file` writes, appends, moves and deletes, and keeps what was there for undo.
//!
//! ```
//! let skill = cku_skills::find("file").unwrap();
//! let serde_json::Value::Object(with) = serde_json::json!({
//!     "op": "write", "path": "notes/hello.txt", "text": "hello", "create_dirs": true,
//! }) else { unreachable!() };
//! assert!(skill.check(&with, None).unwrap().reversible);
//! ```

mod arguments;
mod calls;
mod cancel;
mod command;
mod descendants;
mod failure;
mod file;
mod launch;
mod registry;
mod report;
mod skill;
mod supervisor;
mod workspace;

pub use arguments::{ArgumentError, parse_duration};
pub use cancel::Cancel;
pub use command::end_leftovers;
pub use failure::{Failure, FailureClass};
pub use launch::{Launcher, can_confine};
pub use registry::{find, names};
pub use report::{Report, Stream, Tail};
pub use skill::{Act, Skill, Traits, Tried};
pub use supervisor::supervise;
pub use workspace::{Workspace, WorkspaceError};
