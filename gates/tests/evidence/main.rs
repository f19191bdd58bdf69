//! Evidence from real tools, hostile reports, and the published schemas.

#[cfg(test)]
mod broken;
#[cfg(test)]
mod document;
#[cfg(test)]
mod mutated;
#[cfg(test)]
mod real;
#[cfg(test)]
mod schemas;
#[cfg(test)]
mod shapes;
