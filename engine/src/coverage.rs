//! What evaluations touched: for tests, which say with it what they do not test.

use std::collections::{BTreeMap, BTreeSet};

use crate::access::{Answer, Denial};

/// What a few evaluations touched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Coverage {
    /// How often each compiled policy of a gate determined a verdict, by its id.
    pub rules: BTreeMap<String, u64>,
    /// How often each access policy determined an answer, by its id.
    pub access: BTreeMap<String, u64>,
    /// The lines of Rego that can be evaluated, by file.
    pub rego: BTreeMap<String, RegoLines>,
}

/// The lines of one file that can be evaluated, from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RegoLines {
    /// Those that were.
    pub covered: BTreeSet<u32>,
    /// Those that were not.
    pub not_covered: BTreeSet<u32>,
}

impl Coverage {
    /// Adds what others touched.
    pub fn merge(&mut self, other: Self) {
        count(&mut self.rules, other.rules);
        count(&mut self.access, other.access);
        for (file, lines) in other.rego {
            let known = self.rego.entry(file).or_default();
            known.covered.extend(lines.covered);
            known.not_covered.extend(lines.not_covered);
            known.not_covered.retain(|line| !known.covered.contains(line));
        }
    }

    /// Notes the policies that determined an answer.
    pub(crate) fn of_access(&mut self, answer: &Answer) {
        if let Answer::Allowed { by } | Answer::Denied(Denial::Forbidden(by)) = answer {
            count(&mut self.access, by.iter().map(|id| (id.clone(), 1)));
        }
    }

    /// Notes the policies that determined a verdict.
    pub(crate) fn of_rules<'i>(&mut self, ids: impl IntoIterator<Item = &'i String>) {
        count(&mut self.rules, ids.into_iter().map(|id| (id.clone(), 1)));
    }
}

fn count(counts: &mut BTreeMap<String, u64>, more: impl IntoIterator<Item = (String, u64)>) {
    for (id, times) in more {
        *counts.entry(id).or_default() += times;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_ran_once_is_covered() {
        let lines = |covered: &[u32], not: &[u32]| RegoLines {
            covered: covered.iter().copied().collect(),
            not_covered: not.iter().copied().collect(),
        };
        let of =
            |lines| Coverage { rego: BTreeMap::from([("a.rego".to_owned(), lines)]), ..Coverage::default() };
        let mut coverage = of(lines(&[1], &[2, 3]));
        coverage.merge(of(lines(&[2], &[1, 3])));
        assert_eq!(coverage.rego["a.rego"], lines(&[1, 2], &[3]));
    }
}
