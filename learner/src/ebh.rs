//! Which of many e-values to believe.

/// The places of the e-values that are believed, such that the expected share of wrong ones among them is at most
/// `share`: the e-BH procedure (Wang and Ramdas, False discovery rate control with e-values, 2022). The k greatest
/// are believed, for the greatest k whose k-th e-value is at least n/(share·k). The e-values may depend on each
/// other in any way. In the order of the e-values, the greatest first.
pub fn believed(e_values: &[f64], share: f64) -> Vec<usize> {
    let n = e_values.len() as f64;
    let mut order: Vec<(usize, f64)> = e_values.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let enough = |(at, (_, e)): (usize, &(usize, f64))| *e >= n / (share * (at + 1) as f64);
    let last = order.iter().enumerate().rposition(enough);
    order.into_iter().take(last.map_or(0, |last| last + 1)).map(|(at, _)| at).collect()
}

/// For each e-value the least share at which it is [`believed`], at most 1: min over k ≥ its rank of n/(k·e₍k₎). Whoever
/// takes up all whose share is at most α takes up wrong ones with an expected share of at most α.
pub fn shares(e_values: &[f64]) -> Vec<f64> {
    let n = e_values.len() as f64;
    let mut order: Vec<(usize, f64)> = e_values.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut shares = vec![1.0; e_values.len()];
    let mut least = 1.0f64;
    for (rank, (at, e)) in order.into_iter().enumerate().rev() {
        if e > 0.0 {
            least = least.min(n / (e * (rank + 1) as f64));
        }
        if let Some(share) = shares.get_mut(at) {
            *share = least;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_alone_is_believed_at_the_plain_level() {
        assert_eq!(believed(&[100.0], 0.01), [0]);
        assert_eq!(believed(&[99.9], 0.01), [0usize; 0]);
        assert_eq!(believed(&[], 0.01), [0usize; 0]);
    }

    proptest! {
        #[test]
        fn the_least_shares_are_those_at_which_each_begins_to_be_believed(
            e in prop::collection::vec(0.0f64..400.0, 1..12), share in 0.01f64..0.9,
        ) {
            let mut within: Vec<usize> = (0..e.len()).filter(|at| shares(&e)[*at] <= share).collect();
            let mut all = believed(&e, share);
            within.sort_unstable();
            all.sort_unstable();
            prop_assert_eq!(within, all);
        }

        /// The definition, tried for every k.
        #[test]
        fn it_is_the_largest_set_that_bears_itself(e in prop::collection::vec(0.0f64..200.0, 1..12), share in 0.01f64..0.5) {
            let mut sorted = e.clone();
            sorted.sort_by(|a, b| b.total_cmp(a));
            let n = e.len() as f64;
            let k = (1..=e.len()).filter(|k| *k as f64 * sorted[k - 1] / n >= 1.0 / share - 1e-12).max().unwrap_or(0);
            let found = believed(&e, share);
            prop_assert_eq!(found.len(), k);
            prop_assert!(found.iter().all(|at| e[*at] >= sorted.get(k.wrapping_sub(1)).copied().unwrap_or(0.0)));
        }
    }
}
