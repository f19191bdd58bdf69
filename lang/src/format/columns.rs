//! Lines, and the columns of those that stand together.

use super::layout::Start;

/// A line in parts.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) depth: usize,
    /// Whether an empty line stands before it.
    pub(super) blank: bool,
    /// Neighbours of the same sort stand in the same columns.
    pub(super) columns: Option<Start>,
    pub(super) cells: Vec<String>,
    /// What is said at its end, or in place of anything else.
    pub(super) comment: Option<String>,
}

/// A part that is longer than this stretches no column.
const LONGEST: usize = 72;

impl Line {
    /// An empty line within so many blocks.
    pub(super) fn at(depth: usize) -> Self {
        Self { depth, blank: false, columns: None, cells: Vec::new(), comment: None }
    }

    /// Adds a token.
    pub(super) fn push(&mut self, text: &str, new_cell: bool, space: bool) {
        match self.cells.last_mut() {
            Some(cell) if !new_cell => {
                if space {
                    cell.push(' ');
                }
                cell.push_str(text);
            }
            _ => self.cells.push(text.to_owned()),
        }
    }

    /// Whether it ends with the brace of a block.
    pub(super) fn opens(&self) -> bool {
        self.cells.last().is_some_and(|cell| cell.ends_with('{'))
    }
}

/// The lines as a text.
pub(super) fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for group in groups(lines) {
        let widths = widths(group);
        for line in group {
            if line.blank {
                text.push('\n');
            }
            write(&mut text, line, &widths);
        }
    }
    text
}

/// Lines of one sort without an empty one between them. A comment on a line of its own stands with
/// what it is above of, and parts nothing.
fn groups(lines: &[Line]) -> Vec<&[Line]> {
    let mut groups = Vec::new();
    let mut rest = lines;
    while let Some((first, _)) = rest.split_first() {
        let sort = |from: &[Line]| from.iter().find(|line| !line.cells.is_empty()).and_then(|l| l.columns);
        let of = sort(rest);
        let together = |n: &usize| {
            let line = rest.get(*n);
            let same = rest.get(*n..).is_some_and(|from| sort(from) == of);
            same && line.is_some_and(|line| !line.blank && line.depth == first.depth)
        };
        let length = (1..rest.len()).take_while(together).count() + 1;
        let (group, others) = rest.split_at(length);
        groups.push(group);
        rest = others;
    }
    groups
}

/// How wide each column is.
fn widths(group: &[Line]) -> Vec<usize> {
    let mut widths = Vec::new();
    for line in group.iter().filter(|line| line.columns.is_some()) {
        for (n, cell) in line.cells.iter().enumerate() {
            let width = cell.chars().count();
            match widths.get_mut(n) {
                _ if width > LONGEST => {}
                Some(widest) => *widest = width.max(*widest),
                None => widths.push(width),
            }
        }
    }
    widths
}

fn write(text: &mut String, line: &Line, widths: &[usize]) {
    text.push_str(&"  ".repeat(line.depth));
    let last = line.cells.len().saturating_sub(1);
    for (n, cell) in line.cells.iter().enumerate() {
        text.push_str(cell);
        if n < last {
            let width = if line.columns.is_some() { widths.get(n).copied().unwrap_or(0) } else { 0 };
            let padding = width.saturating_sub(cell.chars().count()) + 1;
            text.push_str(&" ".repeat(padding));
        }
    }
    if let Some(comment) = &line.comment {
        if !line.cells.is_empty() {
            text.push(' ');
        }
        text.push_str(comment);
    }
    text.push('\n');
}
