//! Who may do what to a diff.

use std::collections::BTreeSet;

use cku_authority::{AccessError, allowed};
use cku_base::TenantPath;
use cku_engine::{Worker, access::Resource};
use cku_gates::Submitter;
use cku_journal::Journal;

use super::{gate, state::Diff};

/// Asks the access policies of change control about a diff; a denial is an entry of its own.
pub(super) fn may(
    journal: &Journal,
    worker: &mut Worker,
    by: &Submitter,
    action: &'static str,
    diff: &Diff,
) -> Result<(), AccessError> {
    let authors = BTreeSet::from([diff.proposed.author.principal.to_string()]);
    let resource = Resource::policy_diff(&TenantPath::root(), &authors);
    let mode = gate::mode_of(worker.bundle(), &diff.proposed.modes);
    allowed(journal, worker, by, (action, &resource), (&mode, None))
}
