//! What the gates decide on, built from the journal, the submission and the time.

use std::collections::{BTreeMap, BTreeSet};

use cku_authority::{StoreError, freeze, kill_switch, revoked_keys, role_grants};
use cku_base::{BasisPoints, TenantPath, Timestamp};
use cku_engine::Bundle;
use cku_gates::{DecisionInput, ErrorBudget, Reliability, State};
use cku_journal::Journal;
use serde::Deserialize;

use crate::{
    exploration,
    gating::Beside,
    projection::{OUTCOMES, Outcomes, SKILLS},
    state::Run,
};

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

/// What is known of the skills of the plan and of those who voted: nothing else of it is for this decision.
fn reliability(known: &Reliability, run: &Run) -> Reliability {
    let of = |known: &BTreeMap<String, BasisPoints>, names: BTreeSet<String>| {
        names.into_iter().filter_map(|name| known.get(&name).map(|bound| (name, *bound))).collect()
    };
    let skills = run.plan_steps().map(|step| step.skill.clone()).collect();
    let voters = run.votes.iter().map(|vote| vote.voter.to_string()).collect();
    Reliability { skills: of(&known.skills, skills), voters: of(&known.voters, voters) }
}

/// Everything that a decision over this run depends on, at this time.
pub fn build(
    journal: &Journal,
    beside: Beside<'_>,
    bundle: &Bundle,
    run: &Run,
    now: Timestamp,
) -> Result<DecisionInput, StoreError> {
    let Beside { chains, exploration, reliability: known } = beside;
    let revoked = revoked_keys(journal)?;
    let counts = |key: &Option<String>| key.as_ref().is_none_or(|key| !revoked.contains(key));
    let mut principal = run.submitted.principal.clone();
    if let Some(token) = &mut principal.token {
        token.valid &= counts(&token.key);
    }
    let state = State {
        kill_switch: kill_switch(journal, &run.tenant)?.is_some(),
        role_grants: role_grants(journal, &run.tenant)?,
        freeze: Some(freeze(journal, &run.tenant, now)?),
        chain: Some(chains.of(journal, &run.tenant, now)?),
        error_budget: error_budget(journal, bundle, &run.tenant, now)?,
        // Of whom nothing is known, the defaults of the bundle count.
        reliability: known.map(|known| reliability(known, run)).unwrap_or_default(),
        first_time_skills: Some(first_time_skills(journal, run)?),
        exploration: exploration::draws(journal, exploration, bundle, run)?,
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
