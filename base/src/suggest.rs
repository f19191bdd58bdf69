//! "Did you mean …?"

/// The candidate nearest to `name`, if one is near enough to be a slip of the keyboard.
pub fn suggest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = name.chars().count().div_ceil(3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != name)
        .map(|candidate| (strsim::osa_distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= near)
        // The smallest name breaks ties, so that the answer does not depend on the order.
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let names = ["line_coverage", "lint_errors", "tests_failed"];
        assert_eq!(suggest("line_covrage", names), Some("line_coverage"));
        assert_eq!(suggest("lint_erors", names), Some("lint_errors"));
        assert_eq!(suggest("owner", names), None);
    }
}
