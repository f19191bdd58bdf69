//! Who carries out a run, and whether anybody does.

use std::{path::Path, time::Duration};

use cku_journal::{Claim, ClaimError, Journal};

use crate::event::subject;

/// How often a claim is tried, and how long it waits between: whoever only looks holds it for an instant.
const TRIES: u32 = 5;
const INSTANT: Duration = Duration::from_millis(2);

/// Claims the carrying out of a run.
pub fn claim(journal: &Journal, id: &str, holder: &str) -> Result<Claim, ClaimError> {
    let work = subject(id);
    for _ in 1..TRIES {
        match journal.claim(&work, holder) {
            Err(ClaimError::Held { .. }) => std::thread::sleep(INSTANT),
            done => return done,
        }
    }
    journal.claim(&work, holder)
}

/// Whether nobody carries out a run; of one that is running, cku has gone away then.
///
/// The journal must be opened by its real name, since claims lie beside it. Where that cannot be told
/// without making anything, somebody may.
pub fn is_unattended(journal: &Journal, id: &str) -> bool {
    let mut claims = journal.path().as_os_str().to_owned();
    claims.push("-claims");
    Path::new(&claims).is_dir() && journal.claim(&subject(id), "a look at it").is_ok()
}
