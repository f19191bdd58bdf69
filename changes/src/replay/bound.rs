//! What a sample can have missed: the exact upper bound of Clopper and Pearson.
//!
//! C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the
//! binomial", Biometrika 26 (1934). A sample drawn without replacement, as here, tells more than one with
//! replacement, so the bound holds for it as well.

/// The share of flips that is not exceeded with this confidence, from `flips` in a sample of `looked_at`.
///
/// One-sided; without a flip it is `1 - (1 - confidence)^(1/n)`, about `3/n` at 95 %. With nothing looked
/// at it is 1.
pub fn upper_bound(flips: u64, looked_at: u64, confidence: f64) -> f64 {
    if flips >= looked_at {
        return 1.0;
    }
    let miss = (1.0 - confidence.clamp(0.0, 1.0)).ln();
    // The tail falls as the share grows; 64 halvings are more than a double can tell apart.
    let (mut low, mut high) = (0.0_f64, 1.0_f64);
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if log_tail(flips, looked_at, middle) > miss { low = middle } else { high = middle }
    }
    high
}

/// The logarithm of the probability of at most `k` of `n` at share `p`.
fn log_tail(k: u64, n: u64, p: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return f64::NEG_INFINITY;
    }
    let odds = p.ln() - (-p).ln_1p();
    let mut term = n as f64 * (-p).ln_1p();
    let (mut most, mut sum) = (term, 1.0_f64);
    for i in 0..k {
        term += ((n - i) as f64).ln() - ((i + 1) as f64).ln() + odds;
        if term > most {
            sum = sum * (most - term).exp() + 1.0;
            most = term;
        } else {
            sum += (term - most).exp();
        }
    }
    most + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_published_one() {
        // One-sided 97.5 % is the upper end of the two-sided 95 % interval that tables print.
        for (flips, looked_at, confidence, published) in [
            (0, 10, 0.975, 0.3085),
            (1, 10, 0.975, 0.4450),
            (5, 10, 0.975, 0.8129),
            (9, 10, 0.975, 0.9975),
            (0, 10, 0.95, 0.2589),
            (0, 59, 0.95, 0.0495),
            (0, 299, 0.95, 0.009_969),
            (10, 100, 0.975, 0.1762),
            (50, 100, 0.975, 0.6017),
        ] {
            let bound = upper_bound(flips, looked_at, confidence);
            assert!((bound - published).abs() < 6e-5, "{flips} of {looked_at}: {bound}, not {published}");
        }
    }

    #[test]
    fn without_a_flip_it_is_what_the_formula_says() {
        for looked_at in [1, 2, 7, 1_000, 1_000_000] {
            let formula = 1.0 - 0.05_f64.powf(1.0 / looked_at as f64);
            let bound = upper_bound(0, looked_at, 0.95);
            assert!((bound - formula).abs() < 1e-12, "{looked_at}: {bound} {formula}");
        }
    }

    #[test]
    fn nothing_looked_at_and_nothing_but_flips_bound_nothing() {
        assert!((upper_bound(0, 0, 0.95) - 1.0).abs() < f64::EPSILON);
        assert!((upper_bound(3, 3, 0.95) - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn it_is_above_the_share_that_was_seen_also_for_many() {
        let bound = upper_bound(20_000, 100_000, 0.95);
        assert!(bound > 0.2 && bound < 0.203, "{bound}");
    }
}
