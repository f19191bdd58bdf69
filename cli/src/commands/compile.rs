//! `cku compile`: the Cedar and Rego that gate files compile to.

use std::fmt::Write;

use crate::{
    exit::Exit,
    load::{self, BundleArg},
    output::{self, Format},
};

/// Print the Cedar and Rego that the gate files of a bundle compile to.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    bundle: BundleArg,

    /// Only this part.
    #[arg(long, value_enum)]
    emit: Option<Part>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The policies of all gates.
    Cedar,
    /// The schema of the facts.
    Schema,
    /// The facts of each gate and the sequence of each mode.
    Rego,
}

/// Prints the parts.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let bundle = load::bundle(&args.bundle.dir, Format::Pretty)?;
    let compiled = bundle.compiled();
    let wants = |part: Part| args.emit.is_none_or(|only| only == part);
    let mut text = String::new();
    if wants(Part::Schema) {
        let _ = writeln!(text, "// compiled/gates.cedarschema\n\n{}", compiled.schema.trim_end());
    }
    if wants(Part::Cedar) {
        separate(&mut text);
        let _ = writeln!(text, "// compiled/gates.cedar\n\n{}", compiled.cedar().trim_end());
    }
    if wants(Part::Rego) {
        for module in &compiled.modules {
            separate(&mut text);
            let _ = writeln!(text, "# {}\n\n{}", module.path, module.text.trim_end());
        }
    }
    output::result(text)?;
    Ok(Exit::Pass)
}

fn separate(text: &mut String) {
    if !text.is_empty() {
        text.push('\n');
    }
}
