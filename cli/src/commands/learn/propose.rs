//! `cku learn propose`: policy diffs of what outcomes raised.

use cku_changes::diff;
use cku_gates::Submitter;
use cku_journal::Journal;
use cku_learning::{Following, Objection, ProposalError, Raised, objection};

use super::{Of, followed, not_followed, tenants};
use crate::{
    commands::diff::{change_control, check},
    exit::Exit,
    journal::{self, TokenArg},
    output::{self, Format},
    render::{foreign, problems},
};

/// Make policy diffs of what outcomes raised, each with its evidence, and find out all that is to be known
/// about them. It takes a token of the learner's account; people approve.
///
/// What was proposed before is not proposed again; what people refused begins anew.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    of: Of,

    #[command(flatten)]
    how: check::How,

    #[command(flatten)]
    token: TokenArg,
}

pub(super) fn run(args: &Args) -> Result<Exit, Exit> {
    let journal = args.of.journal.open()?;
    let genesis = journal::genesis(&journal)?;
    let by = args.token.submitter(&journal, &genesis)?;
    let mut worker = change_control(&journal)?;
    let mut proposed = 0;
    let meant = tenants(&journal, args.of.tenant.as_ref())?;
    // All of them: outcomes of one may speak against what those of another raise.
    let mut followings = Vec::new();
    for tenant in tenants(&journal, None)? {
        let mut following = followed(&journal, &tenant)?;
        if meant.contains(&tenant) {
            clear(&journal, &mut following, &by)?;
        }
        followings.push(following);
    }
    for following in followings.iter().filter(|following| meant.contains(following.tenant())) {
        let tenant = following.tenant();
        for raised in following.to_propose() {
            if let Some(objection) = objection(raised, &followings) {
                output::note(format_args!("{}\n", held_back(raised, &objection)));
                continue;
            }
            let made = cku_learning::propose(&journal, &mut worker, tenant, raised, (&by, journal::now()));
            let made = match made {
                Ok(made) => made,
                // The threshold was changed by others just now; the next decision tells the scope.
                Err(error @ (ProposalError::Gone(..) | ProposalError::Moved(..))) => {
                    output::note(format_args!("{}\n", foreign(&error.to_string())));
                    continue;
                }
                Err(error) => return Err(not_proposed(&error)),
            };
            proposed += 1;
            check::found(&journal, &mut worker, &made.diff.id, &by, &args.how, Format::Pretty)?;
        }
    }
    if proposed == 0 {
        output::result(
            "outcomes raise nothing that is not proposed already; `cku learn status` shows how far they are\n",
        )?;
    }
    Ok(Exit::Pass)
}

/// Takes back canaries that fail, and notes what came to an end: what was settled just now may be raised again with
/// outcomes to come, and not by those before.
fn clear(journal: &Journal, following: &mut Following, by: &Submitter) -> Result<(), Exit> {
    for id in cku_learning::stop_failing(journal, following).map_err(|e| journal::failed(&e))? {
        output::note(format_args!(
            "the canary of {id} is taken back: what it lets pass fails too often for its budget\n"
        ));
    }
    cku_learning::settle_ended(journal, following, (by, journal::now()))
        .map_err(|e| problems::of_store(&e))?;
    following.follow(journal, None).map_err(|error| not_followed(&error))
}

/// Why a loosening waits.
fn held_back(raised: &Raised, objection: &Objection) -> String {
    format!(
        "{} in {} waits: for {} about {:.1} % of what would pass would fail, and at most {:.1} % may",
        foreign(&raised.threshold),
        raised.mode,
        objection.tenant,
        100.0 * objection.rate,
        100.0 * objection.epsilon
    )
}

fn not_proposed(error: &ProposalError) -> Exit {
    match error {
        ProposalError::Refused(diff::ProposeError::Access(error)) => problems::of_access(error),
        ProposalError::Bundle(error) => problems::of_bundle(error),
        ProposalError::Store(error) => problems::of_store(error),
        refused => journal::refuse(&foreign(&refused.to_string())),
    }
}
