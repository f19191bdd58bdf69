//! `cku test`, which is also `cku eval --tests`: the tests that stand beside the policies.

use std::sync::Arc;

use cku_base::diagnostic::Diagnostic;
use cku_engine::{Bundle, Coverage};
use serde::Serialize;

use crate::{
    exit::Exit,
    load::{self, BundleArg},
    output::{self, Format},
    render::{
        coverage::Covered,
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

    /// Also say which rules, policies and lines no test touches.
    #[arg(long)]
    pub(crate) coverage: bool,

    /// How to write the results.
    #[arg(long, value_enum, default_value = "pretty")]
    pub(crate) format: Format,
}

/// Runs all tests, whatever fails.
pub(crate) fn run(args: &Args) -> Result<Exit, Exit> {
    let bundle = load::bundle(&args.bundle.dir, args.format)?;
    let mut coverage = Coverage::default();
    let mut results = all(&bundle, &mut coverage).map_err(|problems| {
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
    let covered = Covered::of(&bundle, &coverage);
    match args.format {
        Format::Json => output::json(&Report { summary, coverage: covered, tests: &results })?,
        Format::Pretty => {
            // All tests ran, and some of them are shown.
            let covered = match (&args.filter, args.coverage) {
                (Some(_), false) => String::new(),
                (Some(_), true) => format!("of all tests:\n{}", covered.render(true)),
                (None, details) => covered.render(details),
            };
            output::result(format_args!("{}{covered}", tests::render(&results, summary)))?;
        }
    }
    Ok(if summary.failed == 0 { Exit::Pass } else { Exit::Reject })
}

#[derive(Serialize)]
struct Report<'t> {
    summary: Summary,
    coverage: Covered,
    tests: &'t [TestLine],
}

fn all(bundle: &Arc<Bundle>, coverage: &mut Coverage) -> Result<Vec<TestLine>, Vec<Diagnostic>> {
    let units = bundle.run_unit_tests(Some(coverage))?;
    let tables = cku_gates::tables::run(bundle, Some(coverage))?;
    Ok(units.into_iter().map(TestLine::from).chain(tables.into_iter().map(TestLine::from)).collect())
}
