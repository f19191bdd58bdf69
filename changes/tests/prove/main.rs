//! In which direction the baseline changes when it is edited.

#[cfg(test)]
mod bounds;
#[cfg(test)]
mod directions;
#[cfg(test)]
mod edited;
#[cfg(test)]
mod solvers;
