//! Exact bounds of a probability from counts.

/// The upper end of the one-sided Clopper–Pearson interval: the greatest p at which `hits` or fewer of `n` have
/// probability at least `alpha` (Clopper and Pearson, 1934).
pub(super) fn upper(hits: u64, n: u64, alpha: f64) -> f64 {
    if n == 0 || hits >= n {
        return 1.0;
    }
    let (mut low, mut high) = (hits as f64 / n as f64, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if at_most(hits, n, middle) >= alpha { low = middle } else { high = middle }
    }
    high
}

/// P(X ≤ hits) for X binomial(n, p).
fn at_most(hits: u64, n: u64, p: f64) -> f64 {
    let n = n as f64;
    let term = |k: f64| {
        let choose = libm::lgamma(n + 1.0) - libm::lgamma(k + 1.0) - libm::lgamma(n - k + 1.0);
        libm::exp(choose + k * libm::log(p) + (n - k) * libm::log1p(-p))
    };
    (0..=hits).map(|k| term(k as f64)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_bound_of_the_tables() {
        // No hits: 1 - alpha^(1/n). The others: scipy.stats.beta.ppf(0.95, hits + 1, n - hits).
        assert!((upper(0, 100, 0.05) - (1.0 - 0.05f64.powf(0.01))).abs() < 1e-9);
        assert!((upper(5, 100, 0.05) - 0.102_253).abs() < 1e-5, "{}", upper(5, 100, 0.05));
        assert!((upper(1, 10, 0.05) - 0.394_163).abs() < 1e-5, "{}", upper(1, 10, 0.05));
        assert!((upper(10, 10, 0.05) - 1.0).abs() < 1e-12);
    }
}
