//! Whether the parts of evidence agree with each other.

use std::collections::BTreeSet;

use super::{
    data::{Change, Coverage, Findings, LevelCounts, Ratio, Tests},
    limits::MAX_COUNT,
};

/// Evidence whose parts contradict each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Inconsistent {
    /// The member that is wrong, such as `data.files[3].lines`.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
}

type Checked = Result<(), Inconsistent>;

fn wrong(path: impl Into<String>, message: impl Into<String>) -> Checked {
    Err(Inconsistent { path: path.into(), message: message.into() })
}

/// Hit is at most total, the totals are the sums over the files, no file is there twice.
pub(super) fn coverage(data: &Coverage) -> Checked {
    ratio("data.lines", data.lines)?;
    data.branches.map_or(Ok(()), |branches| ratio("data.branches", branches))?;
    let mut seen = BTreeSet::new();
    let mut sum = Ratio::default();
    for (i, file) in data.files.iter().enumerate() {
        once(&mut seen, &file.path, || format!("data.files[{i}].path"))?;
        ratio(&format!("data.files[{i}].lines"), file.lines)?;
        sum = sum.plus(file.lines);
    }
    if !data.files.is_empty() && sum != data.lines {
        let message = format!(
            "{} of {}, but the files sum up to {} of {}",
            data.lines.hit, data.lines.total, sum.hit, sum.total
        );
        return wrong("data.lines", message);
    }
    Ok(())
}

/// The counts are those of the list, and a line is from 1.
pub(super) fn findings(data: &Findings) -> Checked {
    count("data.suppressed", data.suppressed)?;
    for (i, finding) in data.findings.iter().enumerate() {
        if finding.line.is_some_and(|line| !(1..=MAX_COUNT).contains(&line)) {
            return wrong(format!("data.findings[{i}].line"), "not a line number, which is from 1");
        }
    }
    let counted = LevelCounts::of(&data.findings);
    if counted != data.counts {
        let message = format!(
            "the list holds {} errors, {} warnings, {} notes and {} of level none",
            counted.error, counted.warning, counted.note, counted.none
        );
        return wrong("data.counts", message);
    }
    Ok(())
}

/// The outcomes sum up to the total, and every failure and error is listed.
pub(super) fn tests(data: &Tests) -> Checked {
    count("data.total", data.total)?;
    let outcomes = [data.passed, data.failed, data.errors, data.skipped];
    let sum = outcomes.iter().fold(0u64, |sum, n| sum.saturating_add(*n));
    if sum != data.total {
        return wrong("data.total", format!("{}, but the outcomes sum up to {sum}", data.total));
    }
    let unsuccessful = data.failed.saturating_add(data.errors);
    if data.failures.len() as u64 != unsuccessful {
        let listed = data.failures.len();
        return wrong("data.failures", format!("lists {listed} of {unsuccessful} failures and errors"));
    }
    Ok(())
}

/// The lines sum up, only binary files have no lines, and every path is plain and there once.
pub(super) fn change(data: &Change) -> Checked {
    let mut seen = BTreeSet::new();
    let (mut added, mut removed) = (0u64, 0u64);
    for (i, file) in data.files.iter().enumerate() {
        once(&mut seen, &file.path, || format!("data.files[{i}].path"))?;
        let paths = [("path", Some(&file.path)), ("from", file.from.as_ref())];
        for (member, path) in paths.into_iter().filter_map(|(m, p)| Some((m, p?))) {
            if let Err(why) = plain_path(path) {
                return wrong(format!("data.files[{i}].{member}"), format!("`{path}` {why}"));
            }
        }
        match (file.binary, file.added, file.removed) {
            (true, None, None) => {}
            (false, Some(a), Some(r)) => {
                added = added.saturating_add(a);
                removed = removed.saturating_add(r);
            }
            (true, ..) => return wrong(format!("data.files[{i}]"), "a binary file has no lines"),
            (false, ..) => return wrong(format!("data.files[{i}]"), "a file of text has lines"),
        }
    }
    count("data.added", data.added)?;
    count("data.removed", data.removed)?;
    for (member, stated, sum) in [("added", data.added, added), ("removed", data.removed, removed)] {
        if stated != sum {
            return wrong(format!("data.{member}"), format!("{stated}, but the files sum up to {sum}"));
        }
    }
    Ok(())
}

/// A relative path without `.`, `..` or empty segments; anything else could dodge a boundary.
pub(super) fn plain_path(path: &str) -> Result<(), &'static str> {
    if path.starts_with('/') {
        return Err("is absolute");
    }
    if path.split('/').any(|segment| segment == "..") {
        return Err("leaves the repository");
    }
    if path.split('/').any(|segment| segment.is_empty() || segment == ".") {
        return Err("is not in its plain form");
    }
    Ok(())
}

fn ratio(path: &str, ratio: Ratio) -> Checked {
    count(path, ratio.total)?;
    match ratio.hit <= ratio.total {
        true => Ok(()),
        false => wrong(path, format!("{} hit are more than {} in total", ratio.hit, ratio.total)),
    }
}

fn count(path: &str, count: u64) -> Checked {
    match count <= MAX_COUNT {
        true => Ok(()),
        false => wrong(path, format!("{count} is more than {MAX_COUNT}")),
    }
}

fn once<'p>(seen: &mut BTreeSet<&'p str>, path: &'p str, at: impl Fn() -> String) -> Checked {
    match seen.insert(path) {
        true if path.is_empty() => wrong(at(), "an empty path"),
        true => Ok(()),
        false => wrong(at(), format!("`{path}` stands twice")),
    }
}
