//! `cku learn pause` and `resume`: whether the learner proposes anything.

use cku_authority::AccessError;
use cku_base::TenantPath;
use cku_learning::LearnerPaused;

use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    output,
    render::{foreign, problems},
};

/// Let the learner propose nothing for a while, or go on. Outcomes are taken in either way.
///
/// Whoever may set the kill switch may do it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this threshold, as `gate.name`.
    #[arg(long, value_name = "THRESHOLD")]
    threshold: Option<String>,

    /// Only in this mode.
    #[arg(long, value_name = "MODE")]
    mode: Option<String>,

    /// By whose outcomes.
    #[arg(long, value_name = "TENANT")]
    tenant: TenantPath,

    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "no reason given")]
    reason: String,

    #[command(flatten)]
    journal: JournalArg,

    #[command(flatten)]
    token: TokenArg,
}

pub(super) fn run(args: &Args, paused: bool) -> Result<Exit, Exit> {
    let journal = args.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = args.token.submitter(&journal, &genesis)?;
    let mut worker = journal::active_worker(&journal)?;
    let strange = journal::strange(&journal, &args.tenant)?;
    let what = LearnerPaused {
        mode: args.mode.clone(),
        threshold: args.threshold.clone(),
        paused,
        reason: args.reason.clone(),
    };
    let done = cku_learning::pause(&journal, &mut worker, &args.tenant, &by, &what);
    done.map_err(|error: AccessError| problems::of_access(&error))?;
    let which =
        args.threshold.as_ref().map_or_else(|| "all thresholds".to_owned(), |t| format!("`{}`", foreign(t)));
    let which = args.mode.as_ref().map_or(which.clone(), |mode| format!("{which} in {}", foreign(mode)));
    let tenant = &args.tenant;
    match paused {
        true => output::result(format_args!(
            "the learner proposes nothing for {which} by outcomes of {tenant}\n"
        ))?,
        false => {
            output::result(format_args!("the learner proposes again for {which} by outcomes of {tenant}\n"))?
        }
    }
    output::note(strange.unwrap_or_default());
    Ok(Exit::Pass)
}
