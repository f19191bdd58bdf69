//! What speaks for a proposal, and finding it again.

use std::collections::BTreeMap;

use cku_authority::StoreError;
use cku_base::{Digest, TenantPath, Timestamp, canonical::CanonicalError};
use cku_journal::{Journal, Kind};
use cku_learner::{
    Direction, Grid, Prediction, Proposal, Scope, ScopeState, Settings, Tables,
    evidence::{Evidence as Details, gather, ranking_value},
};
use serde::{Deserialize, Serialize};

use crate::{
    following::{FollowError, Following},
    notes::{LearnerProposed, SUBJECT},
    scope::{Raised, Told},
};

/// What speaks for a proposal, as it was when it was raised; the same entries give the same bytes.
///
/// Numbers that are not whole are written as the shortest decimal that reads back as the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What is to be changed.
    pub scope: Scope,
    /// Toward which side.
    pub direction: Direction,
    /// The value of the threshold, in the unit of its type.
    pub from: i64,
    /// The proposed one.
    pub to: i64,
    /// Whether it takes back a tightening that ran out; then no claim is made beside that one's.
    pub expiry: bool,
    /// Whether it takes a loosening back, since what passes since then fails too often.
    pub takes_back: bool,
    /// A tightening ends by itself after so many outcomes, unless they confirm it.
    pub expires_after: Option<u32>,
    /// A loosening is proposed to be taken back where this comes true.
    pub rollback: Option<Rollback>,
    /// What is claimed.
    pub claim: Claim,
    /// The e-value of the claim, whose expectation is at most 1 where it is wrong; proposals are ranked by it. None
    /// where no claim is made.
    pub e_value: Option<String>,
    /// What the detectors held.
    pub detectors: Detectors,
    /// What the bands were seen to do.
    pub bands: Vec<BandSeen>,
    /// The share of failures that is predicted among the runs that pass: an estimate, and no claim.
    pub predicted: Predicted,
    /// How many submitted the runs.
    pub sources: usize,
    /// The entry after which it was raised.
    pub seq: u64,
    /// Its time.
    pub time: Timestamp,
}

/// When a loosening is to be taken back: the watch over it reaches a level within so many outcomes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// To this value of the threshold, in the unit of its type.
    pub to: i64,
    /// The level of the e-value against "at most ε of what passes fails", whichever source is left out:
    /// (L + 1)/δ.
    pub level: String,
    /// The outcomes for which it is watched, from the first run that it decides.
    pub outcomes: u32,
}

/// Within `window` outcomes of the scope, the probability of such a proposal being wrong is at most `delta`:
/// of a tightening where at most `epsilon` of what passes fails, of a loosening after which more does, and of taking
/// back a loosening after which at most `epsilon` does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// ε, the error budget.
    pub epsilon: String,
    /// δ.
    pub delta: String,
    /// N.
    pub window: u32,
    /// η, the share of labels that may be wrong.
    pub label_noise: String,
    /// m: of the sources that failed most, any one may lie.
    pub left_out: usize,
}

/// What the detectors held when the proposal was raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detectors {
    /// The e-detector of all outcomes that passed.
    pub tighten: String,
    /// The least of that and of those without one source.
    pub least: String,
    /// Who was left out for it.
    pub without: Option<String>,
    /// The level that the least must reach: N/δ.
    pub tighten_level: String,
    /// The wealth of each candidate for a loosening, by bands beyond the threshold.
    pub loosen: Vec<String>,
    /// The level that it must reach: 2/δ.
    pub loosen_level: String,
    /// The watch over the last loosening, while it lasts.
    pub watch: Option<Watched>,
}

/// What the watch over a loosening held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watched {
    /// Outcomes since the loosening decides.
    pub outcomes: u32,
    /// The e-value of all of them.
    pub value: String,
    /// The least of that and of those without one source.
    pub least: String,
    /// The level that the least must reach: (L + 1)/δ.
    pub level: String,
}

/// What a band was seen to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BandSeen {
    /// The strictest value of the threshold at which its runs pass; the last band passes at none.
    pub passes_at: Option<i64>,
    /// The share of failures, from all outcomes, rising from band to band.
    pub risk: String,
    /// The share of the decisions.
    pub share: String,
    /// Outcomes since the last change point.
    pub since_change: u32,
}

/// A predicted share of failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predicted {
    /// At the present threshold.
    pub before: String,
    /// At the proposed one.
    pub after: String,
}

impl Evidence {
    pub(crate) fn of(
        scope: Scope,
        (state, tables, grid): (&ScopeState, &Tables, &Grid),
        (proposal, expiry): (&Proposal, bool),
        (seq, time): (u64, Timestamp),
        sources: &BTreeMap<String, u32>,
    ) -> Self {
        let settings = tables.settings();
        let declared = settings.get();
        let (least, without) = state.tighten().least(tables.factors());
        let name = |number: u32| sources.iter().find(|(_, of)| **of == number).map(|(name, _)| name.clone());
        let prediction = Prediction::fit(state.counts());
        let since: BTreeMap<usize, u32> = state.counts().since().0.collect();
        let shares = state.counts().shares();
        let all: f64 = shares.iter().sum();
        let bands = state.counts().profile().into_iter().zip(shares).enumerate();
        Self {
            scope,
            direction: proposal.direction,
            from: grid.value(proposal.from),
            to: grid.value(proposal.to),
            expiry,
            takes_back: proposal.takes_back,
            expires_after: proposal.expires_after,
            rollback: rollback(proposal, settings, grid),
            claim: Claim {
                epsilon: exact(declared.epsilon),
                delta: exact(declared.delta),
                window: declared.window,
                label_noise: exact(declared.label_noise),
                left_out: declared.left_out,
            },
            e_value: (!expiry).then(|| exact(ranking_value(tables, state, proposal))),
            detectors: Detectors {
                tighten: exact(state.tighten().value(tables.factors())),
                least: exact(least),
                without: without.and_then(|source| name(source.0)),
                tighten_level: exact(settings.tighten_level()),
                loosen: state.loosen().wealth().map(exact).collect(),
                loosen_level: exact(settings.loosen_level()),
                watch: state.watch().map(|watch| Watched {
                    outcomes: watch.outcomes(),
                    value: exact(watch.value(tables.factors())),
                    least: exact(watch.least(tables.factors())),
                    level: exact(settings.watch_level()),
                }),
            },
            bands: bands
                .map(|(at, (risk, share))| BandSeen {
                    passes_at: cut_of(at, tables.bands()).map(|cut| grid.value(cut)),
                    risk: exact(risk),
                    share: exact(if all > 0.0 { share / all } else { 0.0 }),
                    since_change: since.get(&at).copied().unwrap_or_default(),
                })
                .collect(),
            predicted: Predicted {
                before: exact(prediction.rate(proposal.from)),
                after: exact(prediction.rate(proposal.to)),
            },
            sources: sources.len(),
            seq,
            time,
        }
    }

    /// The canonical bytes, which the journal keeps.
    pub fn bytes(&self) -> Result<Vec<u8>, CanonicalError> {
        cku_base::canonical::to_vec(self)
    }

    /// The digest of its bytes.
    pub fn digest(&self) -> Result<Digest, CanonicalError> {
        Digest::of_canonical(self)
    }
}

/// The criterion of a loosening; a tightening has none, and one that is not watched neither.
fn rollback(proposal: &Proposal, settings: &Settings, grid: &Grid) -> Option<Rollback> {
    let declared = settings.get();
    (proposal.direction == Direction::Loosen && declared.watch > 0).then(|| Rollback {
        to: grid.value(proposal.from),
        level: exact(settings.watch_level()),
        outcomes: declared.watch.min(declared.window),
    })
}

/// The strictest threshold at which a band passes.
fn cut_of(band: usize, bands: u16) -> Option<cku_learner::Cut> {
    let cut = u16::try_from(band).ok()?.checked_add(1)?;
    (cut <= bands).then_some(cku_learner::Cut(cut))
}

/// The shortest decimal that reads back as the same number.
fn exact(number: f64) -> String {
    format!("{number:?}")
}

/// What a proposal rests on in all detail, computed from all that its scope was told: the course of the
/// e-value, the share of each source, other assumptions, what is known of the runs in between. None where a
/// tightening ends by itself.
pub(crate) fn details(
    journal: &Journal,
    tenant: &TenantPath,
    raised: &Raised,
) -> Result<Option<Details>, FollowError> {
    if raised.evidence.expiry {
        return Ok(None);
    }
    let scope = (raised.mode.as_str(), raised.threshold.as_str());
    let told = Following::told(journal, tenant, scope, raised.seq)?;
    Ok(told.and_then(|Told { tables, start, events }| {
        // What came with the same entry after it was raised is no part of what raised it.
        (0..events.len()).rev().find_map(|at| gather(&tables, start, events.get(..=at)?).ok())
    }))
}

/// Why the evidence of a diff is not found again.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// No learner made it.
    #[error("no entry of this journal says that the learner proposed the diff {0}")]
    NotLearned(Digest),
    /// The entries say something else.
    #[error(
        "the evidence of the diff {diff} is not what the entries up to {seq} of {tenant} say: {found} was recorded, and they give {given}"
    )]
    Differs {
        /// The diff.
        diff: Digest,
        /// Whose entries.
        tenant: TenantPath,
        /// Up to which.
        seq: u64,
        /// What was recorded.
        found: Digest,
        /// What the entries give.
        given: String,
    },
    /// The journal could not be read.
    #[error(transparent)]
    Follow(#[from] FollowError),
}

impl From<StoreError> for VerifyError {
    fn from(error: StoreError) -> Self {
        Self::Follow(error.into())
    }
}

/// Computes the evidence of a diff again, from the first entry on, and compares it bit for bit.
pub fn verify(journal: &Journal, diff: &Digest) -> Result<Evidence, VerifyError> {
    for tenant in journal.tenants().map_err(StoreError::from)? {
        let noted = journal.stream(&tenant, SUBJECT).map_err(StoreError::from)?;
        let proposed = noted.iter().filter(|entry| entry.kind() == Kind::LearnerProposed);
        for entry in proposed {
            let proposed: LearnerProposed = cku_authority::body(entry).map_err(StoreError::from)?;
            if proposed.diff != *diff {
                continue;
            }
            let mut following = Following::new(tenant.clone());
            // Up to what was proposed, and no further: the scope holds what it had raised.
            following.follow(journal, Some(entry.header.seq.saturating_sub(1)))?;
            let scope = following
                .scopes()
                .find(|scope| scope.mode == proposed.mode && scope.threshold == proposed.threshold);
            let raised: Option<&Raised> = scope.and_then(|scope| scope.raised);
            let differs = |given: String| VerifyError::Differs {
                diff: *diff,
                tenant: tenant.clone(),
                seq: entry.header.seq,
                found: proposed.evidence,
                given,
            };
            let raised = raised.ok_or_else(|| differs("no proposal".to_owned()))?;
            let given = raised.evidence.digest().map_err(StoreError::from)?;
            let kept = journal.blob(&tenant, &proposed.evidence).map_err(StoreError::from)?;
            let bytes = raised.evidence.bytes().map_err(StoreError::from)?;
            if given != proposed.evidence || kept.is_some_and(|kept| kept != bytes) {
                return Err(differs(given.to_string()));
            }
            let details = details(journal, &tenant, raised)?;
            let given = details.map(|details| Digest::of_canonical(&details)).transpose();
            let given = given.map_err(StoreError::from)?;
            if given != proposed.details {
                let given = given.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
                return Err(differs(format!("other details, {given}")));
            }
            return Ok(raised.evidence.clone());
        }
    }
    Err(VerifyError::NotLearned(*diff))
}
