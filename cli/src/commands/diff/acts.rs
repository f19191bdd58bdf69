//! What people do to policy diffs: approve, refuse, withdraw, activate, roll back.

use cku_authority::Chains;
use cku_changes::diff;
use cku_gates::{ApprovalDecision, Verdict};

use super::{Acting, By, not_done, review, short};
use crate::{
    exit::Exit,
    journal,
    output::{self, Format},
    render::foreign,
};

/// Approve a policy diff, as it was checked last.
#[derive(Debug, clap::Args)]
pub(crate) struct ConsentArgs {
    #[command(flatten)]
    by: By,

    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,

    /// How long it holds.
    #[arg(long, value_name = "SPAN", default_value = "72h")]
    expires: String,
}

/// Take a policy diff away before it is active.
#[derive(Debug, clap::Args)]
pub(crate) struct ReasonArgs {
    #[command(flatten)]
    by: By,

    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Make the revision of an approved policy diff the active one.
#[derive(Debug, clap::Args)]
pub(crate) struct ActivateArgs {
    #[command(flatten)]
    by: By,
}

/// Take the last activation back: the revision before it is active again.
#[derive(Debug, clap::Args)]
pub(crate) struct RollbackArgs {
    #[command(flatten)]
    by: By,

    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(super) fn consent(args: &ConsentArgs, decision: ApprovalDecision) -> Result<Exit, Exit> {
    let Acting { journal, by, id, mut worker } = args.by.open()?;
    let now = journal::now();
    let span = cku_skills::parse_duration(&args.expires).filter(|span| !span.is_zero());
    let expires_at = span.and_then(|span| now.after(span)).ok_or_else(|| {
        journal::refuse(&format!(
            "`--expires {}` is no span of time; write it like `72h`, `30m`, `7d`",
            foreign(&args.expires)
        ))
    })?;
    let said = (decision, args.reason.as_str(), expires_at);
    let done = diff::consent(&journal, &Chains::default(), &mut worker, &id, &by, said, now);
    let (diff, judged) = done.map_err(|error| not_done(&error))?;
    let verb = if decision == ApprovalDecision::Approve { "approved" } else { "refused" };
    output::result(format_args!("{verb} the policy diff {}\n\n", short(&diff.id)))?;
    review::show(&journal, &mut worker, &diff, Format::Pretty.into())?;
    Ok(match judged.decision.verdict {
        Verdict::Pass | Verdict::Pause => Exit::Pass,
        // What was asked for was done; that it ends the diff is what a refusal is for.
        Verdict::Reject if decision == ApprovalDecision::Refuse => Exit::Pass,
        Verdict::Reject => Exit::Reject,
    })
}

pub(super) fn withdraw(args: &ReasonArgs) -> Result<Exit, Exit> {
    let Acting { journal, by, id, mut worker } = args.by.open()?;
    let done = diff::withdraw(&journal, &mut worker, &id, &by, &args.reason, journal::now());
    let diff = done.map_err(|error| not_done(&error))?;
    output::result(format_args!("withdrew the policy diff {}\n", short(&diff.id)))?;
    Ok(Exit::Pass)
}

pub(super) fn activate(args: &ActivateArgs) -> Result<Exit, Exit> {
    let Acting { journal, by, id, mut worker } = args.by.open()?;
    let done = diff::activate(&journal, &Chains::default(), &mut worker, &id, &by, journal::now());
    let activated = done.map_err(|error| not_done(&error))?;
    output::result(format_args!(
        "{} is active (activation {})\n`cku diff rollback {}` takes it back for 7 days\n",
        activated.revision,
        activated.activation,
        short(&activated.diff.id)
    ))?;
    Ok(Exit::Pass)
}

pub(super) fn roll_back(args: &RollbackArgs) -> Result<Exit, Exit> {
    let Acting { journal, by, id, mut worker } = args.by.open()?;
    let done = diff::roll_back(&journal, &mut worker, &id, &by, &args.reason, journal::now());
    let activated = done.map_err(|error| not_done(&error))?;
    output::result(format_args!(
        "rolled back; {} is active again (activation {})\n",
        activated.revision, activated.activation
    ))?;
    Ok(Exit::Pass)
}
