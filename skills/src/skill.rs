//! What carries out a step.

use serde_json::{Map, Value};

use crate::{
    arguments::ArgumentError,
    cancel::Cancel,
    launch::Launcher,
    report::{Report, Stream},
    workspace::Workspace,
};

/// How a try ended, for whoever takes its effect back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// Well: its effect is there.
    Succeeded,
    /// Badly: its effect may be there, in part or not at all.
    Failed,
    /// Nobody heard how, or it was broken off: its effect may be there, in part or not at all.
    Interrupted,
}

impl Tried {
    /// As commands are told.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One try of a step, or of its undo.
pub struct Act<'a> {
    /// The run.
    pub run: &'a str,
    /// The step.
    pub step: &'a str,
    /// The how-manieth try, from 1.
    pub attempt: u32,
    /// The idempotency key: tries of one effect share it.
    pub key: &'a str,
    /// The arguments: `with` of the step, or `undo` where there is one and it is undone.
    pub with: &'a Map<String, Value>,
    /// Where it works.
    pub workspace: &'a Workspace,
    /// How the try ended whose effect is taken back; none where nothing is.
    pub undoes: Option<Tried>,
    /// Breaks it off.
    pub cancel: &'a Cancel,
    /// How commands are started.
    pub launcher: &'a Launcher,
    /// Given what is written, as it is written.
    pub output: &'a mut dyn FnMut(Stream, &[u8]),
}

/// What follows from the arguments of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traits {
    /// Whether its effect can be undone.
    pub reversible: bool,
    /// Whether a second try with the same key has no second effect.
    pub idempotent: bool,
    /// Whether it changes something whatever its step says.
    pub changes: bool,
}

/// What carries out a step.
pub trait Skill: Send + Sync {
    /// Its name in plans.
    fn name(&self) -> &'static str;
    /// Whether it can take these arguments.
    fn check(
        &self,
        with: &Map<String, Value>,
        undo: Option<&Map<String, Value>>,
    ) -> Result<Traits, ArgumentError>;
    /// Carries it out.
    fn run(&self, act: Act<'_>) -> Report;
    /// Takes its effect back, which may be there in part or not at all unless the try succeeded; doing
    /// that twice is as doing it once.
    fn undo(&self, act: Act<'_>) -> Report;
}
