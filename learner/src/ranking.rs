//! The proposals of many scopes, ranked, with a bound on the share of wrong ones.

use crate::ebh;

/// A proposal of some scope by what speaks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked<T> {
    /// Its scope, or whatever it is.
    pub subject: T,
    /// An e-value: its expectation is at most 1 where the proposal is wrong.
    pub e_value: f64,
    /// Of those ranked up to it, at most this share is wrong, on the average.
    pub share: f64,
}

/// The e-value of a detector at `value` with an expected value of at most `starts` where it is wrong: R of a
/// tighten detector after n outcomes has `starts` = n ≤ N, W of a loosen detector 2.
pub fn e_value(value: f64, starts: f64) -> f64 {
    value / starts.max(1.0)
}

/// Ranks by e-value, the greatest first. All hypotheses must be given, also those that nothing is proposed on: they
/// count.
pub fn rank<T>(hypotheses: Vec<(T, f64)>) -> Vec<Ranked<T>> {
    let e_values: Vec<f64> = hypotheses.iter().map(|(_, e)| *e).collect();
    let shares = ebh::shares(&e_values);
    let ranked = hypotheses.into_iter().zip(shares);
    let mut ranked: Vec<Ranked<T>> =
        ranked.map(|((subject, e_value), share)| Ranked { subject, e_value, share }).collect();
    ranked.sort_by(|a, b| b.e_value.total_cmp(&a.e_value));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn among_many_scopes_one_needs_more_evidence_than_alone() {
        let alone = rank(vec![("a", 120.0)]);
        assert!(alone[0].share <= 0.01);
        let mut scopes = vec![("a", 120.0)];
        scopes.extend([("quiet", 0.5); 9]);
        let among = rank(scopes);
        assert!((among[0].share - 10.0 / 120.0).abs() < 1e-12 && among[1].share == 1.0);
        let ranked = rank(vec![("a", 300.0), ("b", 2.0), ("c", 400.0)]);
        let order: Vec<_> = ranked.iter().map(|r| (r.subject, r.share <= 0.01)).collect();
        assert_eq!(order, [("c", true), ("a", true), ("b", false)]);
    }
}
