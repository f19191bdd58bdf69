//! From checked gates to what Cedar and Rego read.

mod cedar;
mod rego;
mod schema;

use cku_base::diagnostic::{Diagnostic, Place};

use crate::{
    ast::Ast,
    check::{self, Checked},
    model::Compiled,
};

/// Compiles all gate files of a bundle whose modes are `modes`, in the bundle's order.
///
/// The result does not depend on the order of the files. Errors are all errors of all files, with
/// warnings, sorted by place; those that [`parse`](crate::parse) gave for a file are among them.
pub fn compile(files: &[Ast], modes: &[String]) -> Result<Compiled, Vec<Diagnostic>> {
    let Checked { gates, sequences, warnings } = check::check(files, modes)?;
    let policies = gates.iter().flat_map(|gate| cedar::policies(gate, modes)).collect();
    let gates: Vec<_> = gates.into_iter().map(|checked| checked.gate).collect();
    let schema = schema::schema(&gates, modes);
    let modules = rego::modules(&gates, &sequences);
    Ok(Compiled { gates, sequences, policies, schema, modules, warnings })
}

/// `file:line`, fit for a comment: a file's name must not end the line and go on as policy.
fn line(place: &Place) -> String {
    let file: String = place.file.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    format!("{file}:{}", place.line)
}

/// A text in quotes as Cedar, its schema and Rego all read it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            // The grammar admits no control characters; the names of modes come from elsewhere.
            c if c.is_control() => quoted.push('\u{fffd}'),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
