//! An activation is for all tenants, and outcomes are of one: whether those of another speak against a loosening.

use cku_base::TenantPath;
use cku_learner::{Direction, Prediction};

use crate::{following::Following, scope::Raised};

/// Outcomes since its last change below which a tenant has no say.
const ENOUGH: u32 = 100;

/// A tenant whose outcomes speak against a loosening.
#[derive(Debug, Clone, PartialEq)]
pub struct Objection {
    /// Whose outcomes.
    pub tenant: TenantPath,
    /// The share of what would pass that fails there, by its profile; an estimate.
    pub rate: f64,
    /// ε there.
    pub epsilon: f64,
}

/// The first of the others whose outcomes speak against what was raised: it is a loosening, and there the same threshold
/// is to be tightened, or more than ε is predicted to fail of what would pass. A tightening is nothing to object
/// to.
pub fn objection<'f>(raised: &Raised, others: impl IntoIterator<Item = &'f Following>) -> Option<Objection> {
    let evidence = &raised.evidence;
    if evidence.direction != Direction::Loosen {
        return None;
    }
    let of = |other: &Following| {
        let mut scopes = other.scopes();
        let scope = scopes.find(|scope| scope.mode == raised.mode && scope.threshold == raised.threshold)?;
        // Off its grid there, it is judged by the threshold as it is.
        let cut = scope.grid.cut(evidence.to).unwrap_or(scope.state.cut());
        let rate = Prediction::fit(scope.state.counts()).rate(cut);
        let epsilon = scope.settings.get().epsilon;
        let tightens = scope.raised.is_some_and(|raised| raised.evidence.direction == Direction::Tighten);
        let fails = scope.state.counts().since_change() >= ENOUGH && rate > epsilon;
        (tightens || fails).then(|| Objection { tenant: other.tenant().clone(), rate, epsilon })
    };
    others.into_iter().filter(|other| *other.tenant() != evidence.scope.tenant).find_map(of)
}
