//! The rules of a set of Rego modules and which of them depend on which.
//!
//! The graph answers at load: is there a cycle, or a chain so long that evaluating it would exhaust
//! the stack (an abort cannot be caught); and what can a rule reach.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use cku_base::diagnostic::Place;
use regorus::{
    Source,
    unstable::{Module, Parser, Ref, Rule},
};

pub(crate) use super::walk::RulePath;
use super::walk::{Call, Walk, head_path, static_path};

/// All bodies that define one path.
#[derive(Debug, Clone)]
pub(crate) struct RuleNode {
    /// Where it is defined first.
    pub(crate) place: Place,
    /// Paths below `data` that it refers to, with a place each; shorter where an index is computed.
    pub(crate) references: BTreeMap<RulePath, Place>,
    /// Whether it refers to `input` itself.
    pub(crate) reads_input: bool,
    /// The files that define it.
    pub(crate) files: BTreeSet<String>,
}

/// The rules of a set of modules.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuleGraph {
    rules: BTreeMap<RulePath, RuleNode>,
    calls: Vec<Call>,
    rule_calls: Vec<(RulePath, Place)>,
    /// By the position of a rule in `rules`: the positions of those it depends on.
    edges: Vec<Vec<usize>>,
}

impl RuleGraph {
    /// Walks the modules.
    pub(crate) fn of(modules: &[Ref<Module>]) -> Self {
        let mut names: BTreeMap<RulePath, BTreeSet<String>> = BTreeMap::new();
        for module in modules {
            let package = static_path(&module.package.refr);
            let defined = names.entry(package).or_default();
            defined.extend(module.policy.iter().filter_map(|rule| head_path(rule).into_iter().next()));
        }
        let mut graph = Self::default();
        for module in modules {
            let package = static_path(&module.package.refr);
            let own = names.get(&package).cloned().unwrap_or_default();
            let mut walk = Walk::new(module, package, own);
            for rule in &module.policy {
                graph.add(&mut walk, rule);
            }
            graph.calls.append(&mut walk.calls);
            graph.rule_calls.append(&mut walk.rule_calls);
        }
        graph.connect();
        graph
    }

    /// Every rule by its path.
    pub(crate) fn rules(&self) -> &BTreeMap<RulePath, RuleNode> {
        &self.rules
    }

    /// Every call of something that is not a rule.
    pub(crate) fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Every call of something that must be a rule.
    pub(crate) fn rule_calls(&self) -> &[(RulePath, Place)] {
        &self.rule_calls
    }

    /// Whether some rule lies at, above or below this path.
    pub(crate) fn defines(&self, path: &[String]) -> bool {
        self.touched_by(path).next().is_some()
    }

    /// Whether what this path names depends on the input.
    pub(crate) fn depends_on_input(&self, path: &[String]) -> bool {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&RulePath> = self.touched_by(path).collect();
        while let Some(rule) = open.pop() {
            if !seen.insert(rule) {
                continue;
            }
            let Some(node) = self.rules.get(rule) else { continue };
            if node.reads_input {
                return true;
            }
            open.extend(node.references.keys().flat_map(|r| self.touched_by(r)));
        }
        false
    }

    /// What these paths can reach: the files of the rules, and every path below `data` that is referred to.
    pub(crate) fn reach(&self, from: Vec<RulePath>) -> (BTreeSet<&str>, BTreeSet<RulePath>) {
        let (mut files, mut seen, mut open) = (BTreeSet::new(), BTreeSet::new(), from);
        while let Some(path) = open.pop() {
            if !seen.insert(path.clone()) {
                continue;
            }
            for node in self.touched_by(&path).filter_map(|rule| self.rules.get(rule)) {
                files.extend(node.files.iter().map(String::as_str));
                open.extend(node.references.keys().filter(|r| !seen.contains(*r)).cloned());
            }
        }
        (files, seen)
    }

    /// For each group of rules that depend on each other: the shortest way from its first rule back.
    pub(crate) fn cycles(&self) -> Vec<Vec<&RulePath>> {
        let components = self.components();
        let cyclic = components.iter().filter(|component| match component.as_slice() {
            [one] => self.successors(*one).contains(one),
            several => several.len() > 1,
        });
        let mut cycles: Vec<Vec<&RulePath>> =
            cyclic.filter_map(|component| self.cycle_within(component)).collect();
        cycles.sort();
        cycles
    }

    /// The longest chain of rules in which each depends on the next; empty where there is a cycle.
    pub(crate) fn longest_chain(&self) -> Vec<&RulePath> {
        let mut best: Vec<(usize, Option<usize>)> = vec![(0, None); self.edges.len()];
        // Components come with those they depend on before them.
        for component in self.components() {
            let [rule] = component.as_slice() else { return Vec::new() };
            let next =
                self.successors(*rule).iter().copied().max_by_key(|next| best.get(*next).map_or(0, |b| b.0));
            let length = next.and_then(|next| best.get(next)).map_or(0, |b| b.0) + 1;
            if let Some(entry) = best.get_mut(*rule) {
                *entry = (length, next);
            }
        }
        let names: Vec<&RulePath> = self.rules.keys().collect();
        let start = (0..best.len()).max_by_key(|rule| best.get(*rule).map_or(0, |b| b.0));
        let chain = std::iter::successors(start, |rule| best.get(*rule).and_then(|b| b.1));
        chain.take(best.len()).filter_map(|rule| names.get(rule).copied()).collect()
    }

    /// Breadth first, so that the cycle found is the shortest through the first rule.
    fn cycle_within(&self, component: &[usize]) -> Option<Vec<&RulePath>> {
        let names: Vec<&RulePath> = self.rules.keys().collect();
        let start = *component.iter().min()?;
        let mut came_from: BTreeMap<usize, usize> = BTreeMap::new();
        let mut open = VecDeque::from([start]);
        while let Some(rule) = open.pop_front() {
            for next in self.successors(rule) {
                if *next == start {
                    let back = std::iter::successors(Some(rule), |r| came_from.get(r).copied());
                    let mut cycle: Vec<&RulePath> = back.filter_map(|r| names.get(r).copied()).collect();
                    cycle.reverse();
                    return Some(cycle);
                }
                if component.contains(next) && !came_from.contains_key(next) {
                    came_from.insert(*next, rule);
                    open.push_back(*next);
                }
            }
        }
        None
    }

    /// The strongly connected components, those that others depend on first (Tarjan 1972, without
    /// recursion).
    fn components(&self) -> Vec<Vec<usize>> {
        let count = self.edges.len();
        let (mut index, mut low) = (vec![usize::MAX; count], vec![usize::MAX; count]);
        let mut on_stack = vec![false; count];
        let (mut stack, mut components, mut next_index) = (Vec::new(), Vec::new(), 0);
        for root in 0..count {
            let mut work = vec![(root, 0usize)];
            while let Some((rule, edge)) = work.pop() {
                if edge == 0 {
                    if index.get(rule).is_none_or(|i| *i != usize::MAX) {
                        continue;
                    }
                    set(&mut index, rule, next_index);
                    set(&mut low, rule, next_index);
                    set(&mut on_stack, rule, true);
                    next_index += 1;
                    stack.push(rule);
                } else if let Some(child) = self.successors(rule).get(edge - 1) {
                    let reached = get(&low, *child).min(get(&low, rule));
                    if on_stack.get(*child) == Some(&true) {
                        set(&mut low, rule, reached);
                    }
                }
                match self.successors(rule).get(edge) {
                    Some(child) => {
                        work.push((rule, edge + 1));
                        if get(&index, *child) == usize::MAX {
                            work.push((*child, 0));
                        } else if on_stack.get(*child) == Some(&true) {
                            let reached = get(&index, *child).min(get(&low, rule));
                            set(&mut low, rule, reached);
                        }
                    }
                    None if get(&low, rule) == get(&index, rule) => {
                        let start = stack.iter().rposition(|r| *r == rule).unwrap_or(0);
                        let component = stack.split_off(start);
                        component.iter().for_each(|r| set(&mut on_stack, *r, false));
                        components.push(component);
                    }
                    None => {}
                }
            }
        }
        components
    }

    fn successors(&self, rule: usize) -> &[usize] {
        self.edges.get(rule).map_or(&[], Vec::as_slice)
    }

    /// Turns references into edges, once all rules are known.
    fn connect(&mut self) {
        let positions: BTreeMap<&RulePath, usize> =
            self.rules.keys().enumerate().map(|(at, r)| (r, at)).collect();
        let edges = self.rules.values().map(|node| {
            let touched = node.references.keys().flat_map(|r| self.touched_by(r));
            let mut edges: Vec<usize> = touched.filter_map(|rule| positions.get(rule).copied()).collect();
            edges.sort_unstable();
            edges.dedup();
            edges
        });
        self.edges = edges.collect();
    }

    /// The rules at, below and above a path.
    fn touched_by<'g>(&'g self, path: &[String]) -> impl Iterator<Item = &'g RulePath> + use<'g> {
        let path = path.to_vec();
        let above: Vec<&RulePath> = (0..path.len())
            .filter_map(|length| self.rules.get_key_value(path.get(..length)?).map(|(rule, _)| rule))
            .collect();
        let below = self.rules.range(path.clone()..).map(|(rule, _)| rule);
        above.into_iter().chain(below.take_while(move |rule| rule.starts_with(&path)))
    }

    fn add(&mut self, walk: &mut Walk<'_>, rule: &Rule) {
        let mut path = walk.package.clone();
        path.extend(head_path(rule));
        walk.references.clear();
        walk.reads_input = false;
        walk.rule(rule);
        let place = walk.place(rule.span());
        let node = self.rules.entry(path).or_insert_with(|| RuleNode {
            place,
            references: BTreeMap::new(),
            reads_input: false,
            files: BTreeSet::new(),
        });
        node.files.insert(walk.file.to_owned());
        node.references.append(&mut walk.references);
        node.reads_input |= walk.reads_input;
    }
}

/// What a query calls that is no rule; none for one that does not parse.
pub(super) fn calls_of_query(query: &str) -> Option<Vec<Call>> {
    let around = Source::from_contents("<query>".to_owned(), "package query".to_owned()).ok()?;
    let module = Parser::new(&around).ok()?.parse().ok()?;
    let source = Source::from_contents("<query>".to_owned(), query.to_owned()).ok()?;
    let query = Parser::new(&source).ok()?.parse_user_query().ok()?;
    let mut walk = Walk::new(&module, Vec::new(), BTreeSet::new());
    walk.query(&query, &[]);
    Some(walk.calls)
}

fn get(values: &[usize], at: usize) -> usize {
    values.get(at).copied().unwrap_or(usize::MAX)
}

fn set<T>(values: &mut [T], at: usize, value: T) {
    if let Some(entry) = values.get_mut(at) {
        *entry = value;
    }
}

/// What a path looks like to its author.
pub(crate) fn dotted(path: &[String]) -> String {
    std::iter::once("data").chain(path.iter().map(String::as_str)).collect::<Vec<_>>().join(".")
}

/// The components of `data.a.b`; none for a text that is no such path.
pub(crate) fn parse_dotted(text: &str) -> Option<RulePath> {
    let name = |s: &&str| {
        s.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && s.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let mut parts = text.split('.');
    (parts.next() == Some("data") && parts.clone().all(|p| name(&p)))
        .then(|| parts.map(str::to_owned).collect())
}
