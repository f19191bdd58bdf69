//! What people do: each act is asked of the access policies; what is done is an entry, and so is a denial.

use std::collections::BTreeSet;

use cku_authority::{AccessError, StoreError, allowed};
use cku_base::{TenantPath, Timestamp};
use cku_engine::{Worker, access::Resource};
use cku_gates::{ApprovalDecision, Authentication, Submitter};
use cku_journal::Journal;

use crate::{
    command::{Command, Refusal},
    event::Strategy,
    state::Run,
    store::{self, Actor},
};

/// How often an act is tried when others act on the same run.
const TRIES: usize = 20;

/// Why an act did not happen.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The access policies do not allow it, or the journal could not be asked.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// The state of the run does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It takes a token.
    #[error(
        "this takes a person's token, and the journal is local, single-user; `cku init` makes one for several people"
    )]
    TakesToken,
    /// The journal did not give or take something.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Does something to a run, if the access policies and its state allow it.
pub fn act(
    journal: &Journal,
    worker: &mut Worker,
    (tenant, id): (&TenantPath, &str),
    by: &Submitter,
    command: &Command,
    now: Timestamp,
) -> Result<Run, ActError> {
    let needs_token = matches!(command, Command::Consent { .. } | Command::Vote { .. });
    if needs_token && by.authentication == Authentication::Local {
        return Err(ActError::TakesToken);
    }
    for _ in 1..TRIES {
        match try_to_act(journal, worker, (tenant, id), by, command, now) {
            Err(ActError::Store(error)) if error.is_conflict() => {}
            done => return done,
        }
    }
    try_to_act(journal, worker, (tenant, id), by, command, now)
}

fn try_to_act(
    journal: &Journal,
    worker: &mut Worker,
    (tenant, id): (&TenantPath, &str),
    by: &Submitter,
    command: &Command,
    now: Timestamp,
) -> Result<Run, ActError> {
    let run = store::load(journal, tenant, id)?;
    let (action, resource) = asked_for(command, &run);
    allowed(journal, worker, by, (action, &resource), (&run.submitted.mode, Some(id)))?;
    let events = run.decide(by, command, now)?;
    Ok(store::add(journal, run, &Actor::Person(by), events, Vec::new())?)
}

/// What a command asks of the access policies.
fn asked_for(command: &Command, run: &Run) -> (&'static str, Resource) {
    let authors = run.authors();
    let of_run = |action| (action, Resource::run(&run.tenant, &authors));
    match command {
        Command::Consent { gate, decision, .. } => {
            let gate = Resource::gate(gate, &run.tenant, &authors);
            match decision {
                ApprovalDecision::Approve => ("gate:approve", gate),
                ApprovalDecision::Refuse => ("gate:reject", gate),
            }
        }
        Command::Vote { .. } => of_run("vote:cast"),
        Command::Heal { strategy: Strategy::Rollback | Strategy::Abort, .. } => of_run("execution:rollback"),
        Command::Heal { .. } | Command::Label(_) => of_run("healing:invoke"),
        Command::Resume => of_run("run:create"),
        Command::Cancel { .. } => of_run("run:cancel"),
    }
}

impl Run {
    /// The text forms of those who submitted the run or wrote its plan.
    pub fn authors(&self) -> BTreeSet<String> {
        let plan = self.submission.plan.as_ref().and_then(|p| p.author.as_ref());
        std::iter::once(&self.submitted.principal.principal).chain(plan).map(ToString::to_string).collect()
    }
}
