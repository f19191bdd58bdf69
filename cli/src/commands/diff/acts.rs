//! What people do to policy diffs: approve, refuse, withdraw, activate, roll back.

use cku_authority::{Chains, Stage};
use cku_base::{BasisPoints, Digest};
use cku_changes::diff;
use cku_gates::{ApprovalDecision, Verdict};
use cku_journal::Journal;

use super::{Acting, By, not_done, review, short};
use crate::{
    exit::Exit,
    journal,
    output::{self, Format},
    render::{foreign, problems},
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

    /// The evidence that was looked at, or the beginning of its digest: other evidence is refused.
    #[arg(long, value_name = "DIGEST")]
    evidence: Option<String>,
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

/// Make the revision of an approved policy diff the active one, or try it first.
#[derive(Debug, clap::Args)]
pub(crate) struct ActivateArgs {
    #[command(flatten)]
    by: By,

    /// Let it decide beside what is active, without effect.
    #[arg(long, conflicts_with = "canary")]
    shadow: bool,

    /// Let it decide over this share of the runs, like `0.1`.
    #[arg(long, value_name = "SHARE", value_parser = crate::share::share)]
    canary: Option<BasisPoints>,

    /// Take the canary back by itself when so many of its runs have failed.
    #[arg(long, value_name = "RUNS", requires = "canary", value_parser = clap::value_parser!(u64).range(1..))]
    stop_after: Option<u64>,
}

impl ActivateArgs {
    fn stage(&self) -> Result<Stage, Exit> {
        match (self.shadow, self.canary) {
            (true, _) => Ok(Stage::Shadow),
            (false, None) => Ok(Stage::Active),
            (false, Some(share)) if share.get() == 0 => {
                Err(journal::refuse("--canary 0 decides over nothing; give a share like `0.1`"))
            }
            (false, Some(share)) => Ok(Stage::Canary { share, stop_after: self.stop_after }),
        }
    }
}

/// Take the last activation, or a trial, back: the revision before it decides again.
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
    looked_at(&journal, &id, args.evidence.as_deref())?;
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

/// Refuses to speak about other evidence than that which was looked at.
fn looked_at(journal: &Journal, id: &Digest, evidence: Option<&str>) -> Result<(), Exit> {
    let Some(named) = evidence else { return Ok(()) };
    let diff = diff::load(journal, id).map_err(|e| problems::of_store(&e))?;
    let is = diff.checked.map(|checked| checked.evidence.to_string()).unwrap_or_default();
    let digits = |text: &str| text.trim_start_matches("sha256:").to_owned();
    match digits(named).len() >= 8 && digits(&is).starts_with(&digits(named)) {
        true => Ok(()),
        false => Err(journal::refuse(&format!(
            "the evidence is {}, not `{}`; look at the diff again with `cku diff show`",
            if is.is_empty() { "not found out yet" } else { &is },
            foreign(named)
        ))),
    }
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
    let stage = args.stage()?;
    let done = diff::activate(&journal, &Chains::default(), &mut worker, (&id, stage), &by, journal::now());
    let activated = done.map_err(|error| not_done(&error))?;
    let (id, modes) = (short(&activated.diff.id), &activated.diff.proposed.modes);
    let does = match stage {
        Stage::Active => format!("is active in {modes}"),
        Stage::Shadow => format!("decides in {modes} beside what is active, without effect"),
        Stage::Canary { share, .. } => {
            let percent = f64::from(share.get()) / 100.0;
            format!("decides over {percent} % of the runs in {modes}")
        }
    };
    let back = if stage == Stage::Active { " for 7 days" } else { "" };
    output::result(format_args!(
        "{} {does} (activation {})\n`cku diff rollback {id}` takes it back{back}\n",
        activated.revision, activated.activation,
    ))?;
    Ok(Exit::Pass)
}

pub(super) fn roll_back(args: &RollbackArgs) -> Result<Exit, Exit> {
    let Acting { journal, by, id, mut worker } = args.by.open()?;
    let done = diff::roll_back(&journal, &mut worker, &id, &by, &args.reason, journal::now());
    let activated = done.map_err(|error| not_done(&error))?;
    output::result(format_args!(
        "rolled back; {} decides again (activation {})\n",
        activated.revision, activated.activation
    ))?;
    Ok(Exit::Pass)
}
