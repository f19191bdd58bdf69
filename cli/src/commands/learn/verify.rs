//! `cku learn verify`: the evidence of a learned diff, computed again.

use cku_changes::diff;
use cku_learning::VerifyError;

use crate::{
    exit::Exit,
    journal::{self, JournalArg},
    output::{self, Format},
    render::{foreign, problems},
};

/// Compute the evidence of a learned policy diff again, from the first entry on, and compare it bit for bit.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The diff: its digest, or the beginning of it.
    #[arg(value_name = "DIFF")]
    diff: String,

    #[command(flatten)]
    journal: JournalArg,

    /// How to write it.
    #[arg(long, value_enum, default_value = "pretty")]
    format: Format,
}

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    let journal = args.journal.open_to_read()?;
    let id = diff::find(&journal, &args.diff).map_err(|e| problems::of_store(&e))?;
    let evidence = match cku_learning::verify(&journal, &id) {
        Ok(evidence) => evidence,
        Err(VerifyError::NotLearned(_)) => {
            return Err(journal::refuse(&format!("the diff {id} was not proposed by the learner")));
        }
        Err(error @ VerifyError::Differs { .. }) => {
            output::problem(foreign(&error.to_string()));
            return Err(Exit::Internal);
        }
        Err(VerifyError::Follow(error)) => return Err(super::not_followed(&error)),
    };
    match args.format {
        Format::Json => output::json(&evidence)?,
        Format::Pretty => {
            let digest = evidence.digest().map_err(|e| journal::failed(&e))?;
            output::result(format_args!(
                "the entries up to {} of {} give the same evidence, bit for bit: {digest}\n",
                evidence.seq, evidence.scope.tenant
            ))?;
        }
    }
    Ok(Exit::Pass)
}
