//! What the scopes raised, ranked over all of them.

use cku_learner::ranking::{Ranked, rank};

use crate::{following::Following, scope::Raised};

/// What a scope may claim at the same time: to tighten, to loosen, to take a loosening back.
const CLAIMS: usize = 3;

/// What was raised and makes a claim, the greatest e-value first, with the expected share of wrong ones among those
/// ranked up to it (e-BH). Every claim that a scope might make counts, as an e-value of 0 where it makes none.
pub fn ranked<'f>(followings: impl IntoIterator<Item = &'f Following>) -> Vec<Ranked<&'f Raised>> {
    let mut claims: Vec<(Option<&Raised>, f64)> = Vec::new();
    for scope in followings.into_iter().flat_map(Following::scopes) {
        let e_value = |raised: &Raised| raised.evidence.e_value.as_deref()?.parse::<f64>().ok();
        let raised = scope.raised.and_then(|raised| Some((Some(raised), e_value(raised)?)));
        claims.extend(raised);
        claims.extend((usize::from(raised.is_some())..CLAIMS).map(|_| (None, 0.0)));
    }
    let ranked = rank(claims).into_iter();
    ranked
        .filter_map(|Ranked { subject, e_value, share }| Some(Ranked { subject: subject?, e_value, share }))
        .collect()
}
