//! Policy diffs, over real journals.

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod checker;
#[cfg(test)]
mod course;
#[cfg(test)]
mod killed;
#[cfg(test)]
mod place;
#[cfg(test)]
mod race;
#[cfg(test)]
mod returns;
#[cfg(test)]
mod state;
#[cfg(test)]
mod trials;
