//! Isotonic regression.

/// The rising sequence nearest to these values in weighted squares, by pooling adjacent violators (Ayer,
/// Brunk, Ewing, Reid, Silverman, 1955). Pairs are value and weight; weights are positive.
pub fn rising(values: impl IntoIterator<Item = (f64, f64)>) -> Vec<f64> {
    // Blocks of mean, weight and length.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for (value, weight) in values {
        let mut block = (value, weight, 1);
        while let Some(before) = blocks.pop_if(|before| before.0 >= block.0) {
            let weight = before.1 + block.1;
            block = ((before.0 * before.1 + block.0 * block.1) / weight, weight, before.2 + block.2);
        }
        blocks.push(block);
    }
    blocks.into_iter().flat_map(|(mean, _, length)| std::iter::repeat_n(mean, length)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The min–max formula of isotonic regression: max over i <= k of min over j >= k of the mean of i..=j.
        #[test]
        fn it_is_the_min_max_formula(values in prop::collection::vec((0.0f64..1.0, 0.1f64..5.0), 1..12)) {
            let fitted = rising(values.clone());
            prop_assert_eq!(fitted.len(), values.len());
            let mean = |i: usize, j: usize| {
                let part = &values[i..=j];
                part.iter().map(|(v, w)| v * w).sum::<f64>() / part.iter().map(|(_, w)| w).sum::<f64>()
            };
            for (k, fitted) in fitted.iter().enumerate() {
                let expected = (0..=k)
                    .map(|i| (k..values.len()).map(|j| mean(i, j)).fold(f64::INFINITY, f64::min))
                    .fold(f64::NEG_INFINITY, f64::max);
                prop_assert!((fitted - expected).abs() < 1e-9, "{k}: {fitted} {expected}");
            }
        }
    }
}
