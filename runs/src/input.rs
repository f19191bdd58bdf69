//! What the gates decide on, built from the journal, the submission and the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    time::Duration,
};

use cku_base::{BasisPoints, TenantPath, Timestamp};
use cku_engine::{Bundle, access::RoleGrant};
use cku_gates::{Chain, DecisionInput, ErrorBudget, Freeze, Reliability, State};
use cku_journal::{Confirmed, Journal, VerifyError};
use serde::Deserialize;

use crate::{
    office::KillSwitch,
    projection::{GRANTS, KEYS, KILL_SWITCH, OUTCOMES, Outcomes, SKILLS},
    state::Run,
    store::StoreError,
};

/// After this long a chain is verified again, from where it was verified to.
const VERIFIED_FOR: Duration = Duration::from_secs(60);

/// Who holds which role in the tenant, above it and below it.
pub fn role_grants(journal: &Journal, tenant: &TenantPath) -> Result<Vec<RoleGrant>, StoreError> {
    let mut grants = Vec::new();
    for at in journal.tenants()?.iter().filter(|at| at.contains(tenant) || tenant.contains(at)) {
        for (_, grant) in journal.rows(at, GRANTS)? {
            grants.push(serde_json::from_value(grant)?);
        }
    }
    grants.sort();
    Ok(grants)
}

/// The kill switch that stops a tenant, its own or one above: where it was set, and why.
pub fn kill_switch(
    journal: &Journal,
    tenant: &TenantPath,
) -> Result<Option<(TenantPath, KillSwitch)>, StoreError> {
    for above in tenant.ancestry() {
        if let Some(row) = journal.row(&above, KILL_SWITCH, "set")? {
            let set: KillSwitch = serde_json::from_value(row)?;
            if set.on {
                return Ok(Some((above, set)));
            }
        }
    }
    Ok(None)
}

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
}

#[derive(Debug)]
struct Known {
    chain: Chain,
    /// None where it is damaged, or somebody verifies it right now.
    confirmed: Option<Confirmed>,
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

    fn of_one(&self, journal: &Journal, tenant: &TenantPath, now: Timestamp) -> Result<Chain, StoreError> {
        let lock = || self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut since = None;
        if let Some(known) = lock().get_mut(tenant) {
            let chain = &known.chain;
            let fresh = chain.verified_at.after(VERIFIED_FOR).is_some_and(|until| now < until);
            if fresh || !chain.intact {
                return Ok(chain.clone());
            }
            since = known.confirmed.take();
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
            Err(VerifyError::Read(error)) => return Err(error.into()),
        };
        lock().insert(tenant.clone(), Known { chain: chain.clone(), confirmed });
        Ok(chain)
    }
}

/// How the error budget is reckoned, as the bundle says in `data.cku.settings.error_budget`.
#[derive(Debug, Deserialize)]
struct BudgetSettings {
    /// The share of runs that must succeed.
    objective: BasisPoints,
    /// Over how long.
    window: String,
    /// With fewer runs than this the budget is untouched.
    minimum_runs: u64,
}

/// What is left of the tenant's error budget, reckoned in whole days; none where the bundle does not say
/// how.
fn error_budget(
    journal: &Journal,
    bundle: &Bundle,
    tenant: &TenantPath,
    now: Timestamp,
) -> Result<Option<ErrorBudget>, StoreError> {
    let settings = bundle.data().pointer("/cku/settings/error_budget");
    let Some(Ok(settings)) = settings.map(BudgetSettings::deserialize) else { return Ok(None) };
    let Some(window) = cku_skills::parse_duration(&settings.window) else { return Ok(None) };
    let (mut ended, mut failed) = (0u64, 0u64);
    for (day, counts) in journal.rows(tenant, OUTCOMES)? {
        let day: Option<Timestamp> = format!("{day}T00:00:00Z").parse().ok();
        if day.is_some_and(|day| day.after(window).is_none_or(|until| until >= now)) {
            let counts: Outcomes = serde_json::from_value(counts)?;
            ended += counts.ended;
            failed += counts.failed;
        }
    }
    if ended < settings.minimum_runs {
        return Ok(BasisPoints::try_from(10_000).ok().map(|remaining| ErrorBudget { remaining }));
    }
    let allowed = ended * u64::from(10_000 - settings.objective.get());
    let spent = (failed * 10_000 * 10_000).checked_div(allowed);
    // An objective of 100 % allows no failure: the budget is whole until the first.
    let spent = spent.unwrap_or(if failed == 0 { 0 } else { 10_000 });
    let remaining = 10_000u64.saturating_sub(spent);
    let remaining = u32::try_from(remaining).ok().and_then(|r| BasisPoints::try_from(r).ok());
    Ok(remaining.map(|remaining| ErrorBudget { remaining }))
}

/// Skills of the plan that no step of this tenant ever used.
fn first_time_skills(journal: &Journal, run: &Run) -> Result<Vec<String>, StoreError> {
    let planned: BTreeSet<&str> = run.plan_steps().map(|s| s.skill.as_str()).collect();
    let mut first = Vec::new();
    for skill in planned {
        if journal.row(&run.tenant, SKILLS, skill)?.is_none() {
            first.push(skill.to_owned());
        }
    }
    Ok(first)
}

/// The keys that count for nothing any more: whoever stole one may have used it before it was revoked.
fn revoked_keys(journal: &Journal) -> Result<BTreeSet<String>, StoreError> {
    let keys = journal.rows(&TenantPath::root(), KEYS)?.into_iter();
    let revoked = keys.filter(|(_, key)| key.get("revoked_at").is_some_and(|at| !at.is_null()));
    Ok(revoked.map(|(id, _)| id).collect())
}

/// Everything that a decision over this run depends on, at this time.
pub fn build(
    journal: &Journal,
    chains: &Chains,
    bundle: &Bundle,
    run: &Run,
    now: Timestamp,
) -> Result<DecisionInput, StoreError> {
    let revoked = revoked_keys(journal)?;
    let counts = |key: &Option<String>| key.as_ref().is_none_or(|key| !revoked.contains(key));
    let mut principal = run.submitted.principal.clone();
    if let Some(token) = &mut principal.token {
        token.valid &= counts(&token.key);
    }
    let state = State {
        kill_switch: kill_switch(journal, &run.tenant)?.is_some(),
        role_grants: role_grants(journal, &run.tenant)?,
        // No entry sets a freeze yet, so none holds.
        freeze: Some(Freeze { active: false, reason: String::new() }),
        chain: Some(chains.of(journal, &run.tenant, now)?),
        error_budget: error_budget(journal, bundle, &run.tenant, now)?,
        // The shipped defaults of the bundle count until something was learned.
        reliability: Reliability::default(),
        first_time_skills: Some(first_time_skills(journal, run)?),
        exploration: None,
        changes: None,
    };
    Ok(DecisionInput {
        run_id: run.id.clone(),
        tenant: run.tenant.clone(),
        mode: run.submitted.mode.clone(),
        time: now,
        submitted_at: run.submitted.submitted_at,
        principal,
        submission: run.submission.clone(),
        policy_diff: None,
        evidence_by: run.submitted.evidence_by.clone(),
        approvals: run.approvals.iter().filter(|approval| counts(&approval.key)).cloned().collect(),
        votes: run.votes.iter().filter(|vote| counts(&vote.key)).cloned().collect(),
        state,
    })
}
