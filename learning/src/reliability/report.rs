//! What track records say, to be looked at.

use std::collections::BTreeMap;

use cku_base::{BasisPoints, TenantPath};
use cku_learner::{
    patterns::{Pattern, found},
    reliability::Counts,
};
use serde::Serialize;

use super::{Reckoning, SubjectKind, Subjects, TrackRecord};

/// Of the patterns that are shown, at most this share is there by chance, on the average.
pub const BY_CHANCE: f64 = 0.05;

/// What the track records of some tenants say together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Whose entries, and up to which.
    pub tenants: Vec<ReadTo>,
    /// How it is reckoned.
    pub reckoning: Reckoning,
    /// Entries whose body was erased: whatever they said counts for nothing.
    pub erased: u64,
    /// The subjects of each kind, by name.
    pub subjects: BTreeMap<SubjectKind, Vec<KnownSubject>>,
    /// Skills that fail in one way more often than the others of their mode, the most certain first.
    pub patterns: Vec<Pattern>,
}

/// A chain, as far as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadTo {
    /// Whose.
    pub tenant: TenantPath,
    /// The last entry that was read.
    pub seq: u64,
}

/// What is known of a subject. Shares are of what succeeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KnownSubject {
    /// Its name.
    pub name: String,
    /// Its outcomes.
    pub outcomes: u64,
    /// Those that failed; a partial one is a part of one.
    pub failures: f64,
    /// The mean, by which the latest outcomes count most.
    pub mean: f64,
    /// The interval of 95 %, at every look.
    pub interval: (f64, f64),
    /// The bound that is safe to go by, in ten-thousandths.
    pub lower_bound: BasisPoints,
    /// What gates are given, in ten-thousandths; none where the defaults of their policies hold, where gates are
    /// given nothing of its kind, and of several tenants together: each decides by its own outcomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given: Option<BasisPoints>,
}

impl KnownSubject {
    fn of(name: &str, counts: &Counts, given: Option<BasisPoints>) -> Self {
        Self {
            name: name.to_owned(),
            outcomes: counts.outcomes,
            failures: counts.losses as f64 / 10_000.0,
            mean: counts.mean(),
            interval: counts.interval(),
            lower_bound: counts.lower_bound(),
            given,
        }
    }
}

impl Report {
    /// What some records, which are reckoned alike, say of subjects of these kinds, and of patterns.
    pub fn of(records: &[TrackRecord], reckoning: Reckoning, kinds: &[SubjectKind]) -> Self {
        let all = records.iter().fold(Subjects::default(), |all, record| all.merge(record.subjects()));
        let given = |kind: SubjectKind, counts: &Counts| {
            let given = records.len() == 1 && kind.is_given_to_gates();
            given.then(|| reckoning.given(counts)).flatten()
        };
        let of = |kind: SubjectKind| {
            let known =
                all.of(kind).map(|(name, counts)| KnownSubject::of(name, counts, given(kind, counts)));
            (kind, known.collect())
        };
        let patterns = records.iter().map(|record| (record.tenant(), record.patterns()));
        Self {
            tenants: records
                .iter()
                .map(|record| ReadTo { tenant: record.tenant().clone(), seq: record.seq() })
                .collect(),
            reckoning,
            erased: records.iter().map(TrackRecord::erased).sum(),
            subjects: kinds.iter().copied().map(of).collect(),
            patterns: found(patterns, BY_CHANCE),
        }
    }
}
