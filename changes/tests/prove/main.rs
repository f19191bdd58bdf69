//! In which direction the baseline changes when it is edited.

mod bounds;
mod directions;
mod edited;
mod solvers;
