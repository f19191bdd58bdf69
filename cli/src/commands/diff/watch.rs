//! `cku diff watch`: what a folder or a git ref comes to hold is proposed.

use std::{path::PathBuf, thread, time::Duration};

use cku_authority::{Chains, Modes, Purpose, Stage, rollout};
use cku_base::Digest;
use cku_changes::diff::{self, ActError, Proposal, ProposeError};
use cku_engine::Worker;
use cku_gates::Submitter;
use cku_journal::Journal;
use cku_skills::Cancel;

use super::{check, not_done, short, source};
use crate::{
    exit::Exit,
    journal::{self, JournalArg, TokenArg},
    output::{self, Format},
    render::{foreign, problems},
};

/// Propose what a folder or a git ref comes to hold, each time it changes, until it is asked to end.
///
/// What does not load is told and changes nothing: the last good revision stays active. The folder is looked
/// at again and again, so it may be a link that is moved to another folder at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder of the bundle.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,

    /// Take the bundle of that folder from this branch, tag or commit of git instead.
    #[arg(long, value_name = "REF")]
    git: Option<String>,

    /// Let it decide in this mode only; may be given more than once.
    #[arg(long, value_name = "MODE")]
    mode: Vec<String>,

    /// How often it is looked at; what is proposed held still for that long.
    #[arg(long, value_name = "SPAN", default_value = "2s")]
    every: String,

    /// Make it active at once where change control lets it pass.
    #[arg(long)]
    activate: bool,

    /// End after the first proposal.
    #[arg(long)]
    once: bool,

    #[command(flatten)]
    how: check::How,

    #[command(flatten)]
    journal: JournalArg,

    #[command(flatten)]
    token: TokenArg,
}

/// What is done with what is seen, and what was done with what was seen last.
struct Watch<'a> {
    args: &'a Args,
    journal: Journal,
    by: Submitter,
    modes: Modes,
    /// What was proposed, or could not be: it is not told again until something else is seen.
    told: Option<Seen>,
}

/// What a look saw: a revision, or that there was none.
type Seen = Result<Digest, ()>;

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    let every = cku_skills::parse_duration(&args.every).filter(|span| !span.is_zero());
    let every = every.ok_or_else(|| {
        journal::refuse(&format!(
            "`--every {}` is no span of time; write it like `2s`, `1m`",
            foreign(&args.every)
        ))
    })?;
    let journal = args.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = args.token.submitter(&journal, &genesis)?;
    super::change_control(&journal)?;
    let stop = Cancel::default();
    let asked = stop.clone();
    // A second handler cannot be set; there is one watch a process.
    let _ = ctrlc::set_handler(move || asked.cancel("cku was asked to end"));
    let modes = Modes::of(args.mode.iter().map(String::as_str));
    let mut watch = Watch { args, journal, by, modes, told: None };
    let mut before: Option<Seen> = None;
    while stop.reason().is_none() {
        let seen = look(args);
        let now = seen.as_ref().map(|seen| seen.bundle.revision()).map_err(|_| ());
        // What is being written is left alone until it holds still.
        if before.as_ref() == Some(&now) && watch.told.as_ref() != Some(&now) {
            watch.told = Some(now);
            if watch.act(seen)? && args.once {
                return Ok(Exit::Pass);
            }
        }
        before = Some(now);
        wait(&stop, every);
    }
    Ok(Exit::Pass)
}

/// Sleeps, unless it is asked to end.
fn wait(stop: &Cancel, span: Duration) {
    const STEP: Duration = Duration::from_millis(50);
    let mut left = span;
    while !left.is_zero() && stop.reason().is_none() {
        let step = left.min(STEP);
        thread::sleep(step);
        left -= step;
    }
}

fn look(args: &Args) -> Result<source::Proposed, source::Refused> {
    match &args.git {
        Some(reference) => source::git_ref(reference, &args.dir),
        None => source::quiet_folder(&args.dir),
    }
}

impl Watch<'_> {
    /// Proposes what was seen, if it is something new; whether it did.
    fn act(&mut self, seen: Result<source::Proposed, source::Refused>) -> Result<bool, Exit> {
        let proposed = match seen {
            Ok(proposed) => proposed,
            Err(refused) => {
                refused.show();
                output::note("what is active stays active\n");
                return Ok(false);
            }
        };
        let revision = proposed.bundle.revision();
        let rollout = rollout(&self.journal, Purpose::Gates).map_err(|e| problems::of_store(&e))?;
        let all = diff::list(&self.journal).map_err(|e| problems::of_store(&e))?;
        let base = rollout.only(&self.modes);
        if base == Some(revision) {
            return Ok(false);
        }
        // What was proposed from this base before, or refused, is not proposed again by itself.
        if let Some((id, row)) =
            all.iter().rfind(|(_, row)| row.revision == revision && Some(row.base) == base)
        {
            output::note(format_args!("{revision} was proposed before: {} is {}\n", short(id), row.status));
            return Ok(false);
        }
        let mut worker = super::change_control(&self.journal)?;
        let Some(id) = self.propose(&mut worker, &proposed)? else { return Ok(false) };
        check::found(&self.journal, &mut worker, &id, &self.by, &self.args.how, Format::Pretty)?;
        if self.args.activate {
            self.activate(&mut worker, &id)?;
        }
        Ok(true)
    }

    fn propose(&self, worker: &mut Worker, proposed: &source::Proposed) -> Result<Option<Digest>, Exit> {
        let time = journal::now();
        let expires_at = time.after(Duration::from_secs(72 * 3_600)).unwrap_or(time);
        let proposal = Proposal {
            title: proposed.title.clone().unwrap_or_else(|| {
                format!("what {} holds now", foreign(&self.args.dir.display().to_string()))
            }),
            purpose: Purpose::Gates,
            modes: self.modes.clone(),
            bundle: &proposed.bundle,
            base: None,
            by: self.by.clone(),
            time,
            expires_at,
            origin: proposed.origin.clone(),
        };
        match diff::propose(&self.journal, worker, &proposal) {
            Ok(diff) => Ok(Some(diff.id)),
            Err(ProposeError::Access(error)) => Err(problems::of_access(&error)),
            Err(refused) => {
                output::problem(foreign(&refused.to_string()));
                Ok(None)
            }
        }
    }

    /// Makes it active, if change control lets it pass without anybody's word.
    fn activate(&self, worker: &mut Worker, id: &Digest) -> Result<(), Exit> {
        let stage = (id, Stage::Active);
        let done = diff::activate(&self.journal, &Chains::default(), worker, stage, &self.by, journal::now());
        match done {
            Ok(activated) => output::result(format_args!(
                "{} is active (activation {})\n",
                activated.revision, activated.activation
            )),
            Err(ActError::NotPassed { .. }) => {
                output::note("it waits for people, and becomes active with `cku diff activate`\n");
                Ok(())
            }
            Err(error) => Err(not_done(&error)),
        }
    }
}
