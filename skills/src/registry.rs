//! The skills that there are.

use crate::{command::Command, file::File, skill::Skill};

static SKILLS: [&dyn Skill; 2] = [&Command, &File];

/// The skill of this name.
pub fn find(name: &str) -> Option<&'static dyn Skill> {
    SKILLS.into_iter().find(|skill| skill.name() == name)
}

/// The names of all skills.
pub fn names() -> Vec<&'static str> {
    SKILLS.iter().map(|skill| skill.name()).collect()
}
