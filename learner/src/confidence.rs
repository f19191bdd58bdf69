//! An interval for a mean in [0, 1] that holds at every look.

/// The number of outcomes for which the interval is narrowest.
pub const TUNED_FOR: f64 = 1_000.0;

/// log of the beta-binomial mixture martingale for a mean of `p` after losses that sum to `losses` among
/// `outcomes`: the likelihood ratio against `p`, mixed over a beta distribution with mean `p`.
///
/// Howard, Ramdas, McAuliffe, Sekhon: Time-uniform, nonparametric, nonasymptotic confidence sequences (2021),
/// proposition 7, two-sided; the width of the mixture is tuned as the authors' library `confseq` does.
fn log_mixture(p: f64, losses: f64, outcomes: f64) -> f64 {
    let variance = p * (1.0 - p);
    let log_alpha = libm::log(1.0 / 0.05);
    let rho = variance * TUNED_FOR / (2.0 * log_alpha + libm::log(1.0 + 2.0 * log_alpha));
    let r = (rho - variance).max(1e-3 * variance);
    let successes = outcomes - losses;
    log_beta(r / p + successes, r / (1.0 - p) + losses)
        - log_beta(r / p, r / (1.0 - p))
        - losses * libm::log(p)
        - successes * libm::log(1.0 - p)
}

fn log_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

/// The interval of means that are not refuted at level `alpha`: with probability 1 − alpha it holds the average of
/// the expected losses at every number of outcomes at once. Losses are in [0, 1] and need not be independent.
pub fn interval(losses: f64, outcomes: f64, alpha: f64) -> (f64, f64) {
    if outcomes <= 0.0 {
        return (0.0, 1.0);
    }
    let mean = (losses / outcomes).clamp(0.0, 1.0);
    let refuted = |p: f64| log_mixture(p, losses, outcomes) >= libm::log(1.0 / alpha);
    // Between an end that is refuted and the mean, which never is.
    let end = |mut out: f64, mut within: f64| {
        for _ in 0..60 {
            let middle = 0.5 * (out + within);
            if refuted(middle) { out = middle } else { within = middle }
        }
        out
    };
    let low = if mean > 0.0 { end(0.0, mean) } else { 0.0 };
    let high = if mean < 1.0 { end(1.0, mean) } else { 1.0 };
    (low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_interval_of_the_authors_library() {
        let table = include_str!("../testdata/confseq.json");
        let rows: Vec<serde_json::Value> = serde_json::from_str(table).unwrap();
        assert_eq!(rows.len(), 20);
        for row in rows {
            let number = |name: &str| row[name].as_f64().unwrap();
            let (low, high) = interval(number("successes"), number("trials"), number("alpha"));
            assert!((low - number("lower")).abs() < 1e-6, "{row}: {low}");
            assert!((high - number("upper")).abs() < 1e-6, "{row}: {high}");
        }
    }

    #[test]
    fn without_outcomes_nothing_is_known() {
        assert_eq!(interval(0.0, 0.0, 0.05), (0.0, 1.0));
    }
}
