//! The proposals of many scopes, ranked, with a bound on the share of wrong ones.

use crate::ebh;

/// A proposal of some scope by what speaks for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked<T> {
    /// Its scope, or whatever it is.
    pub subject: T,
    /// An e-value: its expectation is at most 1 where the proposal is wrong.
    pub e_value: f64,
    /// Whether it is among those of which at most the given share is wrong, on the average.
    pub within_share: bool,
}

/// The e-value of a detector at `value` with an expected value of at most `starts` where it is wrong: R of a
/// tighten detector after n outcomes has `starts` = n ≤ N, W of a loosen detector J + L.
pub fn e_value(value: f64, starts: f64) -> f64 {
    value / starts.max(1.0)
}

/// Ranks by e-value, the greatest first. All scopes must be given, also those that propose nothing: they count.
pub fn rank<T>(scopes: Vec<(T, f64)>, share: f64) -> Vec<Ranked<T>> {
    let e_values: Vec<f64> = scopes.iter().map(|(_, e)| *e).collect();
    let believed = ebh::believed(&e_values, share);
    let ranked = scopes.into_iter().enumerate().map(|(at, (subject, e_value))| Ranked {
        subject,
        e_value,
        within_share: believed.contains(&at),
    });
    let mut ranked: Vec<Ranked<T>> = ranked.collect();
    ranked.sort_by(|a, b| b.e_value.total_cmp(&a.e_value));
    ranked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn among_many_scopes_one_needs_more_evidence_than_alone() {
        let alone = rank(vec![("a", 120.0)], 0.01);
        assert!(alone[0].within_share);
        let mut scopes = vec![("a", 120.0)];
        scopes.extend([("quiet", 0.5); 9]);
        assert!(!rank(scopes, 0.01)[0].within_share);
        let ranked = rank(vec![("a", 300.0), ("b", 2.0), ("c", 400.0)], 0.01);
        let order: Vec<_> = ranked.iter().map(|r| (r.subject, r.within_share)).collect();
        assert_eq!(order, [("c", true), ("a", true), ("b", false)]);
    }
}
