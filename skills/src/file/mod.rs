//! The skill `file`: write, append, move and delete inside the workspace, with what was there kept for
//! undo.

mod arguments;
mod backup;
mod place;

use std::time::Instant;

use cku_base::Digest;
use serde_json::{Map, Value};

use self::{
    arguments::{Arguments, Operation},
    backup::Backup,
    place::{Root, State},
};
use crate::{
    arguments::ArgumentError,
    failure::{Failure, FailureClass},
    report::Report,
    skill::{Act, Skill, Traits, Tried},
};

/// The skill `file`.
#[derive(Debug)]
pub(crate) struct File;

impl Skill for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn check(
        &self,
        with: &Map<String, Value>,
        undo: Option<&Map<String, Value>>,
    ) -> Result<Traits, ArgumentError> {
        Arguments::read(with)?;
        match undo {
            Some(_) => {
                Err(ArgumentError("`undo` is not taken: what `file` did it takes back by itself".to_owned()))
            }
            None => Ok(Traits { reversible: true, idempotent: true, changes: true }),
        }
    }

    fn run(&self, act: Act<'_>) -> Report {
        let report = report(|| {
            let arguments = Arguments::read(act.with).map_err(unfit)?;
            let root = Root::open(act.workspace.root(), act.key)?;
            carry_out(&act, &root, &arguments)
        });
        // What was there is kept before anything is changed.
        let kept = Backup::read(act.workspace, act.run, act.step, act.key);
        Report { ran: !matches!(kept, Ok(None)), ..report }
    }

    fn undo(&self, act: Act<'_>) -> Report {
        report(|| {
            let root = Root::open(act.workspace.root(), act.key)?;
            let Some(backup) = Backup::read(act.workspace, act.run, act.step, act.key)? else {
                return match act.undoes {
                    // What succeeded was kept first, so it is gone.
                    Some(Tried::Succeeded) => Err(Failure::new(
                        FailureClass::NotFound,
                        format!(
                            "what was kept for undo is not there: nothing lies below `{}`; put back by hand what `{}` changed",
                            act.workspace.backups().display(),
                            act.step
                        ),
                    )),
                    // It never came to have an effect.
                    _ => Ok(()),
                };
            };
            backup.restore(&root)
        })
    }
}

fn unfit(error: ArgumentError) -> Failure {
    Failure::new(FailureClass::Unknown, error.to_string())
}

fn report(work: impl FnOnce() -> Result<(), Failure>) -> Report {
    let began = Instant::now();
    let failure = work().err();
    Report { failure, ..Report::done(began.elapsed()) }
}

/// Keeps what is there, then does it. The same again with the same key is done once.
fn carry_out(act: &Act<'_>, root: &Root, arguments: &Arguments) -> Result<(), Failure> {
    let mut made = Vec::new();
    if let Some(backup) = Backup::read(act.workspace, act.run, act.step, act.key)? {
        made.extend_from_slice(backup.made());
        if backup.is_done(root)? {
            return Ok(());
        }
        if !backup.is_untouched(root)? {
            let message =
                "a file is neither as it was before the step nor as it is after it; somebody else changed it";
            return Err(Failure::new(FailureClass::Conflict, message));
        }
    }
    let before = root.state(&arguments.path)?;
    if arguments.create_dirs {
        let missing = root.missing_dirs(arguments.target())?;
        made.extend(missing.into_iter().filter(|dir| !made.contains(dir)).collect::<Vec<_>>());
    }
    let backup = Backup::keep(act.workspace, (act.run, act.step, act.key), root)?;
    match &arguments.operation {
        Operation::Write { bytes, mode, replace } => {
            if !replace && before.is_file() {
                return Err(there_already(&arguments.path));
            }
            let mode = mode.or(before.mode()).unwrap_or(0o644);
            let after = State::File { digest: Digest::of(bytes), mode };
            backup.change(&arguments.path, after).made(made).store()?;
            root.make_dirs(arguments.target(), arguments.create_dirs)?;
            root.write(&arguments.path, bytes, mode)
        }
        Operation::Append { bytes } => {
            let mut whole = root.read(&arguments.path)?.unwrap_or_default();
            whole.extend_from_slice(bytes);
            let mode = before.mode().unwrap_or(0o644);
            let after = State::File { digest: Digest::of(&whole), mode };
            backup.change(&arguments.path, after).made(made).store()?;
            root.make_dirs(arguments.target(), arguments.create_dirs)?;
            root.write(&arguments.path, &whole, mode)
        }
        Operation::Move { to, replace } => {
            if !before.is_file() {
                return Err(not_there(&arguments.path));
            }
            if to == &arguments.path {
                let message = format!("`{to}` cannot be moved to itself");
                return Err(Failure::new(FailureClass::Conflict, message));
            }
            if !replace && root.state(to)?.is_file() {
                return Err(there_already(to));
            }
            backup.change(&arguments.path, State::Absent).change(to, before).made(made).store()?;
            root.make_dirs(arguments.target(), arguments.create_dirs)?;
            root.rename(&arguments.path, to)
        }
        Operation::Delete => {
            if !before.is_file() {
                return Err(not_there(&arguments.path));
            }
            backup.change(&arguments.path, State::Absent).store()?;
            root.remove(&arguments.path)
        }
    }
}

fn there_already(path: &str) -> Failure {
    Failure::new(FailureClass::Conflict, format!("`{path}` is there already, and `if_exists` is `fail`"))
}

fn not_there(path: &str) -> Failure {
    Failure::new(FailureClass::NotFound, format!("there is no file `{path}` in the workspace"))
}
