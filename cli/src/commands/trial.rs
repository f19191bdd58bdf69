//! What is tried, after a run or what was found out about one: a canary that fails is taken back.

use cku_changes::diff;
use cku_journal::Journal;

use crate::{exit::Exit, output};

/// Takes back canaries that failed as often as was said when they began, and says so.
pub(super) fn stop_failing(journal: &Journal) -> Result<(), Exit> {
    let failed = |id: &_| cku_runs::trial_counts(journal, id).map(|counts| counts.failed);
    let stopped = diff::stop_failing(journal, failed).map_err(|error| super::diff::not_done(&error))?;
    for back in stopped {
        output::note(format_args!(
            "the canary of {} is taken back: too many of its runs failed\n",
            back.diff.id
        ));
    }
    Ok(())
}
