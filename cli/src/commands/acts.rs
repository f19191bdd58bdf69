//! What people do to a run: approve, refuse, vote, heal, cancel, and say later how it turned out.

use cku_base::{BasisPoints, Digest, Timestamp};
use cku_gates::{ApprovalDecision, Ballot, VoterKind};
use cku_runs::{Command, Label, Run, Strategy};

use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    output,
    render::{self, foreign},
};

/// Who does it, and where.
#[derive(Debug, clap::Args)]
pub(crate) struct By {
    /// The run.
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    journal: JournalArg,
    #[command(flatten)]
    token: TokenArg,
}

/// Approve a gate of a run.
#[derive(Debug, clap::Args)]
pub(crate) struct ConsentArgs {
    #[command(flatten)]
    by: By,

    /// The gate.
    #[arg(value_name = "GATE")]
    gate: String,

    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,

    /// How long it holds.
    #[arg(long, value_name = "SPAN", default_value = "72h")]
    expires: String,

    /// The subject that was looked at: another one is refused.
    #[arg(long, value_name = "DIGEST")]
    subject: Option<Digest>,
}

/// Vote on a run.
#[derive(Debug, clap::Args)]
pub(crate) struct VoteArgs {
    #[command(flatten)]
    by: By,

    /// What is said.
    #[arg(value_enum, value_name = "VOTE")]
    vote: VoteArg,

    /// How surely, from 0 to 1.
    #[arg(long, value_name = "SHARE", default_value = "1", value_parser = crate::share::share)]
    confidence: BasisPoints,

    /// In what part.
    #[arg(long, value_enum, default_value = "person")]
    part: PartArg,
}

/// Say what is done about the failure of a step that waits for a person.
#[derive(Debug, clap::Args)]
pub(crate) struct HealArgs {
    #[command(flatten)]
    by: By,

    /// The step.
    #[arg(value_name = "STEP")]
    step: String,

    /// What is done.
    #[arg(value_enum, value_name = "STRATEGY")]
    strategy: StrategyArg,

    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

/// End a run where it stands; what it did stays done.
#[derive(Debug, clap::Args)]
pub(crate) struct CancelArgs {
    #[command(flatten)]
    by: By,

    /// Why.
    #[arg(long, value_name = "TEXT", default_value = "cancelled")]
    reason: String,
}

/// Say what was found out about a run after it ended.
#[derive(Debug, clap::Args)]
pub(crate) struct OutcomeArgs {
    #[command(flatten)]
    by: By,

    /// What, in a word: `incident` and `revert` count as failures, others as nothing.
    #[arg(long, value_name = "WORD")]
    label: String,

    /// When it happened; without it, now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,

    /// In words.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum VoteArg {
    Approve,
    Revise,
    Reject,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum PartArg {
    Person,
    Planner,
    Builder,
    Reviewer,
    Security,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum StrategyArg {
    /// Try the step again, as a new effect.
    Retry,
    /// Go on without it.
    Skip,
    /// Undo what was done, in reverse.
    Rollback,
    /// End the run as it is.
    Abort,
}

pub(crate) fn consent(args: &ConsentArgs, decision: ApprovalDecision) -> Result<Exit, Exit> {
    let now = journal::now();
    let span = cku_skills::parse_duration(&args.expires).filter(|span| !span.is_zero());
    let expires_at = span.and_then(|span| now.after(span)).ok_or_else(|| {
        journal::refuse(&format!(
            "--expires `{}` is no span of time; write one like `72h`",
            foreign(&args.expires)
        ))
    })?;
    let command = Command::Consent {
        gate: args.gate.clone(),
        decision,
        reason: args.reason.clone(),
        expires_at,
        subject: args.subject,
    };
    let run = act(&args.by, &command)?;
    let verb = if decision == ApprovalDecision::Approve { "approved" } else { "refused" };
    output::result(format_args!(
        "{verb} `{}` of {}, until {expires_at}\n`cku run --resume {}` asks the gates again\n",
        args.gate, run.id, run.id
    ))?;
    Ok(Exit::Pass)
}

pub(crate) fn vote(args: &VoteArgs) -> Result<Exit, Exit> {
    let voter_kind = match args.part {
        PartArg::Person => VoterKind::Person,
        PartArg::Planner => VoterKind::Planner,
        PartArg::Builder => VoterKind::Builder,
        PartArg::Reviewer => VoterKind::Reviewer,
        PartArg::Security => VoterKind::Security,
    };
    let vote = match args.vote {
        VoteArg::Approve => Ballot::Approve,
        VoteArg::Revise => Ballot::Revise,
        VoteArg::Reject => Ballot::Reject,
    };
    let run = act(&args.by, &Command::Vote { voter_kind, vote, confidence: args.confidence })?;
    output::result(format_args!(
        "voted on {}\n`cku run --resume {}` asks the gates again\n",
        run.id, run.id
    ))?;
    Ok(Exit::Pass)
}

pub(crate) fn heal(args: &HealArgs) -> Result<Exit, Exit> {
    let strategy = match args.strategy {
        StrategyArg::Retry => Strategy::Retry,
        StrategyArg::Skip => Strategy::Skip,
        StrategyArg::Rollback => Strategy::Rollback,
        StrategyArg::Abort => Strategy::Abort,
    };
    let reason = match args.reason.as_str() {
        "" => format!("a person says {}", strategy.as_str()),
        reason => reason.to_owned(),
    };
    let run = act(&args.by, &Command::Heal { step: args.step.clone(), strategy, reason })?;
    output::result(format_args!(
        "step `{}` of {}: {}\n`cku run --resume {}` goes on with it\n",
        args.step,
        run.id,
        strategy.as_str(),
        run.id
    ))?;
    Ok(Exit::Pass)
}

pub(crate) fn cancel(args: &CancelArgs) -> Result<Exit, Exit> {
    let run = act(&args.by, &Command::Cancel { reason: args.reason.clone() })?;
    output::result(format_args!("{} is {}\n", run.id, run.status.as_str()))?;
    Ok(Exit::Pass)
}

pub(crate) fn outcome(args: &OutcomeArgs) -> Result<Exit, Exit> {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    if !(1..=32).contains(&args.label.len()) || !args.label.bytes().all(word) {
        return Err(journal::refuse(&format!(
            "--label `{}` is no word; write lower-case letters, like `incident`",
            foreign(&args.label)
        )));
    }
    if !Label::FAILURES.contains(&args.label.as_str())
        && let Some(meant) = cku_base::suggest(&args.label, Label::FAILURES)
    {
        return Err(journal::refuse(&format!(
            "--label `{}` would count as nothing; did you mean `{meant}`?",
            args.label
        )));
    }
    let at = args.at.unwrap_or_else(journal::now);
    let label = Label { label: args.label.clone(), at, note: args.note.clone() };
    let counts = label.counts();
    let run = act(&args.by, &Command::Label(label))?;
    let nothing = match counts {
        true => String::new(),
        false => format!("; it counts as nothing, only {} count as failures", Label::FAILURES.join(" and ")),
    };
    output::result(format_args!("{}: {} at {at}{nothing}\n", run.id, args.label))?;
    Ok(Exit::Pass)
}

/// Does it; why it was not done has been shown when this is an error.
fn act(by: &By, command: &Command) -> Result<Run, Exit> {
    let journal = by.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let who = by.token.submitter(&journal, &genesis)?;
    let (tenant, row) = cku_runs::find(&journal, &by.run).map_err(|e| render::problems::of_store(&e))?;
    // Who may do it is for the bundle that decides over this run.
    let mut worker = journal::worker_of(&journal, &row.mode, &by.run)?;
    let done = cku_runs::act(&journal, &mut worker, (&tenant, &by.run), &who, command, journal::now());
    let run = done.map_err(|error| render::problems::of_act(&error))?;
    super::trial::stop_failing(&journal)?;
    Ok(run)
}
