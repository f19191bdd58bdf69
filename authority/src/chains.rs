//! Whether chains are intact, as gates see it.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use cku_base::{TenantPath, Timestamp};
use cku_gates::Chain;
use cku_journal::{Confirmed, Journal, VerifyError};

use crate::store::StoreError;

/// After this long a chain is verified again, from where it was verified to.
const VERIFIED_FOR: Duration = Duration::from_secs(60);

/// After this long it is, where somebody sees to that.
const REFRESHED_AFTER: Duration = Duration::from_secs(20);

/// What is known of the chains of a journal; each is verified in full once, with all that is derived from
/// it, then from there on.
///
/// What gates decide on (roles, keys, switches, runs, outcomes) is read from derived rows: a row that
/// does not follow from the entries makes the chain as little intact as a changed entry does. The first
/// look costs a pass over the tenant's entries and those of the tenants above, some 15 µs each; a later
/// one the entries since then and a pass over the rows, which are kept in memory meanwhile.
#[derive(Debug, Default)]
pub struct Chains {
    known: Mutex<BTreeMap<TenantPath, Known>>,
    /// Held while a chain is looked at for the first time: who comes meanwhile waits, and does not verify
    /// all of it, too.
    first: Mutex<()>,
}

#[derive(Debug)]
struct Known {
    chain: Chain,
    /// None where it is damaged, or somebody verifies it right now.
    confirmed: Option<Confirmed>,
}

/// What is known of a chain.
enum Lookup {
    Good(Chain),
    Old,
    Unknown,
}

impl Chains {
    /// What is known of a tenant's chain and of those above, where its roles and switches stand;
    /// verifies what is not known.
    pub fn of(&self, journal: &Journal, tenant: &TenantPath, now: Timestamp) -> Result<Chain, StoreError> {
        let mut whole = self.of_one(journal, tenant, now)?;
        for above in tenant.ancestry().skip(1) {
            let chain = self.of_one(journal, &above, now)?;
            whole.intact &= chain.intact;
            whole.verified_at = whole.verified_at.min(chain.verified_at);
        }
        Ok(whole)
    }

    /// Whether a tenant's chain and those above were verified before, so that [`Chains::of`] takes no pass
    /// over all of their entries.
    pub fn are_known(&self, tenant: &TenantPath) -> bool {
        let known = self.lock();
        tenant.ancestry().all(|tenant| known.contains_key(&tenant))
    }

    /// Verifies what is known and has grown old, so that no decision has to wait for it: for whoever keeps
    /// a journal open.
    pub fn refresh(&self, journal: &Journal, now: Timestamp) -> Result<(), StoreError> {
        let known = self.lock();
        let old =
            |known: &Known| known.chain.verified_at.after(REFRESHED_AFTER).is_none_or(|until| until <= now);
        let due: Vec<TenantPath> =
            known.iter().filter(|(_, known)| old(known)).map(|(tenant, _)| tenant.clone()).collect();
        drop(known);
        due.iter().try_for_each(|tenant| self.verify(journal, tenant, now).map(drop))
    }

    fn of_one(&self, journal: &Journal, tenant: &TenantPath, now: Timestamp) -> Result<Chain, StoreError> {
        match self.lookup(tenant, now) {
            Lookup::Good(chain) => return Ok(chain),
            Lookup::Old => {}
            Lookup::Unknown => {
                let _first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
                if let Lookup::Good(chain) = self.lookup(tenant, now) {
                    return Ok(chain);
                }
                return self.verify(journal, tenant, now);
            }
        }
        self.verify(journal, tenant, now)
    }

    fn lookup(&self, tenant: &TenantPath, now: Timestamp) -> Lookup {
        let known = self.lock();
        let Some(known) = known.get(tenant) else { return Lookup::Unknown };
        let chain = &known.chain;
        let fresh = chain.verified_at.after(VERIFIED_FOR).is_some_and(|until| now < until);
        // While somebody verifies it, others go by what was known: its age is for gates to see.
        if fresh || known.confirmed.is_none() { Lookup::Good(chain.clone()) } else { Lookup::Old }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantPath, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Verifies a chain from where it was verified to; one that is damaged stays so.
    fn verify(&self, journal: &Journal, tenant: &TenantPath, now: Timestamp) -> Result<Chain, StoreError> {
        let mut since = None;
        if let Some(known) = self.lock().get_mut(tenant) {
            since = known.confirmed.take();
            if since.is_none() {
                return Ok(known.chain.clone());
            }
        }
        let before = since.as_ref().map_or(0, |since| since.verified().to);
        let (chain, confirmed) = match journal.confirm(tenant, since) {
            Ok(confirmed) => {
                let verified_to = confirmed.verified().to;
                (Chain { intact: true, verified_to, verified_at: now }, Some(confirmed))
            }
            Err(VerifyError::Damaged(damage)) => {
                let verified_to = damage.seq.map_or(before, |seq| seq.saturating_sub(1));
                (Chain { intact: false, verified_to, verified_at: now }, None)
            }
            Err(VerifyError::Read(error)) => {
                // What was known is gone with what could not be read: the next look begins anew.
                self.lock().remove(tenant);
                return Err(error.into());
            }
        };
        self.lock().insert(tenant.clone(), Known { chain: chain.clone(), confirmed });
        Ok(chain)
    }
}
