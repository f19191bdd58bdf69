//! The learner beside a server: it reads on what is recorded, and proposes what outcomes raise.
//!
//! It acts in the name of its own account, by a token that is read anew each time, and has no other right than
//! to propose: see `cku_learning`.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use cku_auth::verify;
use cku_base::TenantPath;
use cku_gates::Submitter;
use cku_learning::{Following, round};

use crate::context::Shared;

/// How often it looks.
const EVERY: Duration = Duration::from_secs(20);

/// How soon it notices that the server ends.
const TICK: Duration = Duration::from_millis(100);

/// Learns until the server ends; what goes wrong is told once, and tried again.
pub(crate) fn learn(shared: &Shared, token: &Path) {
    let mut followed = BTreeMap::new();
    let mut told = None;
    let mut last: Option<Instant> = None;
    while !*shared.stop.borrow() {
        if last.is_none_or(|last| last.elapsed() >= EVERY) {
            last = Some(Instant::now());
            let trouble = once(shared, token, &mut followed).err();
            if let Some(why) = trouble.as_ref().filter(|why| told.as_ref() != Some(*why)) {
                tracing::warn!("the learner proposes nothing: {why}");
            }
            shared.metrics.learner_well.set(i64::from(trouble.is_none()));
            told = trouble;
        }
        std::thread::sleep(TICK);
    }
}

/// One look over all tenants.
fn once(shared: &Shared, token: &Path, followed: &mut BTreeMap<TenantPath, Following>) -> Result<(), String> {
    let by = submitter(shared, token)?;
    let tenants = shared.journal.tenants().map_err(|e| e.to_string())?;
    // All of them first: outcomes of one may speak against what those of another raise.
    for tenant in &tenants {
        let following = followed.entry(tenant.clone()).or_insert_with(|| Following::new(tenant.clone()));
        following.follow(&shared.journal, None).map_err(|e| e.to_string())?;
    }
    for tenant in tenants {
        let Some(mut following) = followed.remove(&tenant) else { continue };
        let now = (shared.clock)();
        let (journal, chains) = (&shared.journal, &shared.chains);
        let done = round(journal, chains, &mut following, followed.values(), (&by, now));
        followed.insert(tenant.clone(), following);
        let done = done.map_err(|e| e.to_string())?;
        if !done.stopped.is_empty() {
            // What decides is another bundle now.
            shared.current.refresh(false);
        }
        for id in done.stopped {
            tracing::warn!("outcomes of {tenant} took back the canary of {id}");
        }
        for id in done.proposed {
            tracing::info!("outcomes of {tenant} raised a policy diff: {id}");
        }
    }
    Ok(())
}

/// The learner's account, by the token in a file.
fn submitter(shared: &Shared, file: &Path) -> Result<Submitter, String> {
    let text =
        std::fs::read_to_string(file).map_err(|e| format!("{} cannot be read: {e}", file.display()))?;
    let active = shared.current.take();
    let trust = active.trust.as_ref().ok_or("a journal for a single user takes no tokens")?;
    let verified =
        verify(text.trim(), trust, (shared.clock)()).map_err(|e| format!("its token is refused: {e}"))?;
    Ok(cku_authority::submitter(verified))
}
