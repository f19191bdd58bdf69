//! `cku test`, which is also `cku eval --tests`: the tests that stand beside the policies.

use std::sync::Arc;

use cku_engine::Bundle;
use serde::Serialize;

use crate::{
    exit::Exit,
    load::{self, BundleArg},
    output::{self, Format},
    render::{
        diagnostics,
        tests::{self, Summary, TestLine},
    },
};

/// Run the unit tests of a bundle: Rego `test_` rules and YAML tables.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) bundle: BundleArg,

    /// Only tests whose name or file holds this text.
    #[arg(long, value_name = "TEXT")]
    pub(crate) filter: Option<String>,

    /// How to write the results.
    #[arg(long, value_enum, default_value = "pretty")]
    pub(crate) format: Format,
}

/// Runs all tests, whatever fails.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let bundle = load::bundle(&args.bundle.dir, args.format)?;
    let mut results = all(&bundle).map_err(|problems| {
        diagnostics::show_of_bundle(&problems, &args.bundle.dir, args.format);
        Exit::Bundle
    })?;
    if let Some(text) = &args.filter {
        results.retain(|t| t.name.contains(text) || t.place.file.contains(text));
        if results.is_empty() {
            output::problem(format_args!("no test has `{text}` in its name or file"));
            return Err(Exit::Usage);
        }
    }
    let summary = Summary::of(&results);
    match args.format {
        Format::Json => output::json(&Report { summary, tests: &results })?,
        Format::Pretty => output::result(tests::render(&results, summary))?,
    }
    Ok(if summary.failed == 0 { Exit::Pass } else { Exit::Reject })
}

#[derive(Serialize)]
struct Report<'t> {
    summary: Summary,
    tests: &'t [TestLine],
}

fn all(bundle: &Arc<Bundle>) -> Result<Vec<TestLine>, Vec<cku_base::diagnostic::Diagnostic>> {
    let units = bundle.run_unit_tests()?;
    let tables = cku_gates::tables::run(bundle)?;
    Ok(units.into_iter().map(TestLine::from).chain(tables.into_iter().map(TestLine::from)).collect())
}
