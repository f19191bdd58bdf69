//! The skill `command`: a program, confined, supervised, with limits of time and output.

mod arguments;
mod run;

use serde_json::{Map, Value};

use self::arguments::Arguments;
use crate::{
    arguments::ArgumentError,
    failure::{Failure, FailureClass},
    report::Report,
    skill::{Act, Skill, Traits},
};

pub use run::end_leftovers;

/// The skill `command`.
#[derive(Debug)]
pub(crate) struct Command;

impl Skill for Command {
    fn name(&self) -> &'static str {
        "command"
    }

    fn check(
        &self,
        with: &Map<String, Value>,
        undo: Option<&Map<String, Value>>,
    ) -> Result<Traits, ArgumentError> {
        let arguments = Arguments::read("with", with)?;
        if let Some(undo) = undo {
            Arguments::read("undo", undo)?;
        }
        // What a command does, only its author knows.
        let idempotent = arguments.idempotency.is_some();
        Ok(Traits { reversible: undo.is_some(), idempotent, changes: false })
    }

    fn run(&self, act: Act<'_>) -> Report {
        let key = act.key.to_owned();
        carry_out(act, "with", &key)
    }

    fn undo(&self, act: Act<'_>) -> Report {
        // The undo is an effect of its own.
        let key = format!("{}/undo", act.key);
        carry_out(act, "undo", &key)
    }
}

fn carry_out(act: Act<'_>, place: &str, key: &str) -> Report {
    match Arguments::read(place, act.with) {
        Ok(arguments) => run::run(act, &arguments, key),
        Err(error) => Report::failed(Failure::new(FailureClass::Unknown, error.to_string())),
    }
}
