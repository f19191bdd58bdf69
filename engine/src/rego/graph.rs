//! The rules of a set of Rego modules and what each of them refers to.
//!
//! The graph answers three questions at load: is there a cycle (mutual recursion would exhaust the
//! stack, and an abort cannot be caught), which built-ins are called, and what can a rule reach.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::diagnostic::{LineIndex, Place};
use regorus::unstable::{Expr, Literal, Module, Query, Ref, Rule, RuleHead, Span};

/// The components of a path below `data`.
pub(crate) type RulePath = Vec<String>;

/// A call of something that is not a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuiltinCall {
    /// The dotted name, like `time.now_ns`.
    pub(crate) name: String,
    /// Where it is called.
    pub(crate) place: Place,
}

/// All bodies that define one path.
#[derive(Debug, Clone)]
pub(crate) struct RuleNode {
    /// Where it is defined first.
    pub(crate) place: Place,
    /// Paths below `data` that it refers to; shorter where an index is computed.
    pub(crate) references: BTreeSet<RulePath>,
    /// Whether it refers to `input` itself.
    pub(crate) reads_input: bool,
    /// The files that define it.
    pub(crate) files: BTreeSet<String>,
}

/// The rules of a set of modules.
#[derive(Debug, Clone, Default)]
pub(crate) struct RuleGraph {
    rules: BTreeMap<RulePath, RuleNode>,
    calls: Vec<BuiltinCall>,
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
        }
        graph
    }

    /// Every rule by its path.
    pub(crate) fn rules(&self) -> &BTreeMap<RulePath, RuleNode> {
        &self.rules
    }

    /// Every call of something that is not a rule.
    pub(crate) fn calls(&self) -> &[BuiltinCall] {
        &self.calls
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
            open.extend(node.references.iter().flat_map(|r| self.touched_by(r)));
        }
        false
    }

    /// The shortest way from some rule back to itself, for each group of rules that has one.
    pub(crate) fn cycles(&self) -> Vec<Vec<RulePath>> {
        let mut done: BTreeSet<&RulePath> = BTreeSet::new();
        let mut cycles = Vec::new();
        for start in self.rules.keys() {
            if done.contains(start) {
                continue;
            }
            if let Some(cycle) = self.cycle_from(start) {
                done.extend(self.rules.keys().filter(|r| cycle.contains(r)));
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// Breadth first, so that the cycle found is the shortest through `start`.
    fn cycle_from(&self, start: &RulePath) -> Option<Vec<RulePath>> {
        let mut came_from: BTreeMap<&RulePath, &RulePath> = BTreeMap::new();
        let mut open = std::collections::VecDeque::from([start]);
        while let Some(rule) = open.pop_front() {
            let node = self.rules.get(rule)?;
            for next in node.references.iter().flat_map(|r| self.touched_by(r)) {
                if next == start {
                    let back = std::iter::successors(Some(rule), |r| came_from.get(*r).copied());
                    let mut cycle: Vec<RulePath> = back.cloned().collect();
                    cycle.reverse();
                    return Some(cycle);
                }
                if !came_from.contains_key(next) {
                    came_from.insert(next, rule);
                    open.push_back(next);
                }
            }
        }
        None
    }

    fn touched_by<'g>(&'g self, path: &[String]) -> impl Iterator<Item = &'g RulePath> + use<'g> {
        let path = path.to_vec();
        self.rules.keys().filter(move |rule| rule.starts_with(&path) || path.starts_with(rule))
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
            references: BTreeSet::new(),
            reads_input: false,
            files: BTreeSet::new(),
        });
        node.files.insert(walk.file.to_owned());
        node.references.append(&mut walk.references);
        node.reads_input |= walk.reads_input;
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

fn head_path(rule: &Rule) -> RulePath {
    let refr = match rule {
        Rule::Default { refr, .. } => refr,
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => refr,
        },
    };
    static_path(refr)
}

/// The components of a reference up to the first computed one.
fn static_path(expr: &Expr) -> RulePath {
    let (base, path) = reference(expr);
    base.into_iter().map(str::to_owned).chain(path).collect()
}

/// A reference's variable and its static components.
fn reference(expr: &Expr) -> (Option<&str>, RulePath) {
    match expr {
        Expr::Var { value, .. } => (value.as_string().ok().map(AsRef::as_ref), Vec::new()),
        Expr::RefDot { refr, field, .. } => extend(refr, field.1.as_string().ok().map(|s| s.to_string())),
        Expr::RefBrack { refr, index, .. } => match &**index {
            Expr::String { value, .. } | Expr::RawString { value, .. } => {
                extend(refr, value.as_string().ok().map(|s| s.to_string()))
            }
            _ => extend(refr, None),
        },
        _ => (None, Vec::new()),
    }
}

/// A computed component ends the static path: what follows is marked by a component nobody can write.
fn extend(refr: &Expr, component: Option<String>) -> (Option<&str>, RulePath) {
    let (base, mut path) = reference(refr);
    let ended = path.last().is_some_and(|last| last == COMPUTED);
    match component {
        _ if ended => {}
        Some(component) => path.push(component),
        None => path.push(COMPUTED.to_owned()),
    }
    (base, path)
}

const COMPUTED: &str = "\u{0}computed";

struct Walk<'m> {
    package: RulePath,
    own_rules: BTreeSet<String>,
    imports: BTreeMap<String, (String, RulePath)>,
    index: LineIndex<'m>,
    file: &'m str,
    scopes: Vec<BTreeSet<String>>,
    references: BTreeSet<RulePath>,
    reads_input: bool,
    calls: Vec<BuiltinCall>,
}

impl<'m> Walk<'m> {
    fn new(module: &'m Module, package: RulePath, own_rules: BTreeSet<String>) -> Self {
        let imports = module.imports.iter().filter_map(|import| {
            let (base, path) = reference(&import.refr);
            let alias = import.r#as.as_ref().map(|s| s.text().to_owned()).or_else(|| path.last().cloned())?;
            Some((alias, (base?.to_owned(), path)))
        });
        let source = &module.package.span.source;
        Self {
            package,
            own_rules,
            imports: imports.collect(),
            index: LineIndex::new(source.get_contents()),
            file: source.get_path(),
            scopes: Vec::new(),
            references: BTreeSet::new(),
            reads_input: false,
            calls: Vec::new(),
        }
    }

    fn place(&self, span: &Span) -> Place {
        self.index.place(self.file, span.start as usize..span.end as usize)
    }

    fn rule(&mut self, rule: &Rule) {
        match rule {
            Rule::Default { value, .. } => self.expr(value),
            Rule::Spec { head, bodies, .. } => {
                let arguments = match head {
                    RuleHead::Func { args, .. } => args.as_slice(),
                    _ => &[],
                };
                let mut scope = BTreeSet::new();
                arguments.iter().for_each(|a| pattern_names(a, &mut scope));
                self.scopes.push(scope);
                // The head sees what the body declares.
                let queries: Vec<&Query> = bodies.iter().map(|b| &*b.query).collect();
                let declared = queries.iter().flat_map(|q| declared_names(q)).collect();
                self.scopes.push(declared);
                match head {
                    RuleHead::Compr { refr, assign, .. } | RuleHead::Func { refr, assign, .. } => {
                        self.indexes(refr);
                        assign.iter().for_each(|a| self.expr(&a.value));
                    }
                    RuleHead::Set { refr, key, .. } => {
                        self.indexes(refr);
                        key.iter().for_each(|k| self.expr(k));
                    }
                }
                self.scopes.pop();
                for body in bodies {
                    self.scopes.push(declared_names(&body.query));
                    body.assign.iter().for_each(|a| self.expr(&a.value));
                    self.scopes.pop();
                    self.query(&body.query, &[]);
                }
                self.scopes.pop();
            }
        }
    }

    /// Visits what a body or comprehension says; `results` are the terms that see its variables.
    fn query(&mut self, query: &Query, results: &[&Expr]) {
        self.scopes.push(declared_names(query));
        results.iter().for_each(|r| self.expr(r));
        for statement in &query.stmts {
            match &statement.literal {
                Literal::SomeVars { .. } => {}
                Literal::SomeIn { key, value, collection, .. } => {
                    key.iter().for_each(|k| self.expr(k));
                    self.expr(value);
                    self.expr(collection);
                }
                Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => self.expr(expr),
                Literal::Every { key, value, domain, query, .. } => {
                    self.expr(domain);
                    let names = key.iter().chain([value]).map(|s| s.text().to_owned()).collect();
                    self.scopes.push(names);
                    self.query(query, &[]);
                    self.scopes.pop();
                }
            }
            statement.with_mods.iter().for_each(|w| self.expr(&w.r#as));
        }
        self.scopes.pop();
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr),
            Expr::Array { items, .. } | Expr::Set { items, .. } => items.iter().for_each(|i| self.expr(i)),
            Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
                self.expr(key);
                self.expr(value);
            }),
            Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
                self.query(query, &[term]);
            }
            Expr::ObjectCompr { key, value, query, .. } => self.query(query, &[key, value]),
            Expr::Call { span, fcn, params, .. } => {
                self.call(fcn, span);
                params.iter().for_each(|p| self.expr(p));
            }
            Expr::UnaryExpr { expr, .. } => self.expr(expr),
            Expr::BinExpr { lhs, rhs, .. }
            | Expr::BoolExpr { lhs, rhs, .. }
            | Expr::ArithExpr { lhs, rhs, .. }
            | Expr::AssignExpr { lhs, rhs, .. } => {
                self.expr(lhs);
                self.expr(rhs);
            }
            Expr::Membership { key, value, collection, .. } => {
                key.iter().for_each(|k| self.expr(k));
                self.expr(value);
                self.expr(collection);
            }
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => {}
        }
    }

    fn reference(&mut self, expr: &Expr) {
        self.indexes(expr);
        let (Some(base), path) = reference(expr) else { return };
        match self.resolve(base, path) {
            Some(Target::Input) => self.reads_input = true,
            Some(Target::Data(path)) => {
                self.references.insert(path);
            }
            None => {}
        }
    }

    /// Visits the computed parts of a reference, and a base that is no variable.
    fn indexes(&mut self, expr: &Expr) {
        match expr {
            Expr::RefDot { refr, .. } => self.indexes(refr),
            Expr::RefBrack { refr, index, .. } => {
                self.indexes(refr);
                self.expr(index);
            }
            Expr::Var { .. } => {}
            other => self.expr(other),
        }
    }

    fn call(&mut self, fcn: &Expr, span: &Span) {
        let (Some(base), path) = reference(fcn) else { return };
        match self.resolve(base, path.clone()) {
            Some(Target::Data(path)) => {
                self.references.insert(path);
            }
            Some(Target::Input) => {}
            None => {
                let name = std::iter::once(base.to_owned()).chain(path).collect::<Vec<_>>().join(".");
                let place = self.place(span);
                self.calls.push(BuiltinCall { name, place });
            }
        }
    }

    fn resolve(&self, base: &str, path: RulePath) -> Option<Target> {
        let known = |path: RulePath| path.into_iter().take_while(|c| c != COMPUTED).collect::<RulePath>();
        if self.scopes.iter().any(|scope| scope.contains(base)) {
            return None;
        }
        match base {
            "input" => Some(Target::Input),
            "data" => Some(Target::Data(known(path))),
            _ => {
                if let Some((root, imported)) = self.imports.get(base) {
                    let whole: RulePath = imported.iter().cloned().chain(path).collect();
                    return match root.as_str() {
                        "data" => Some(Target::Data(known(whole))),
                        "input" => Some(Target::Input),
                        _ => None,
                    };
                }
                self.own_rules.contains(base).then(|| {
                    let whole = self.package.iter().cloned().chain([base.to_owned()]).chain(path);
                    Target::Data(known(whole.collect()))
                })
            }
        }
    }
}

enum Target {
    Input,
    Data(RulePath),
}

/// The names that the statements of a query declare for it: `some x`, `some x in …`, `x := …`.
fn declared_names(query: &Query) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeVars { vars, .. } => names.extend(vars.iter().map(|v| v.text().to_owned())),
            Literal::SomeIn { key, value, .. } => {
                key.iter().for_each(|k| pattern_names(k, &mut names));
                pattern_names(value, &mut names);
            }
            Literal::Expr { expr, .. } => {
                if let Expr::AssignExpr { op: regorus::unstable::AssignOp::ColEq, lhs, .. } = &**expr {
                    pattern_names(lhs, &mut names);
                }
            }
            Literal::NotExpr { .. } | Literal::Every { .. } => {}
        }
    }
    names
}

/// The variables of a pattern such as `[x, {"k": y}]`.
fn pattern_names(expr: &Expr, names: &mut BTreeSet<String>) {
    match expr {
        Expr::Var { span, .. } => {
            names.insert(span.text().to_owned());
        }
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().for_each(|i| pattern_names(i, names));
        }
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, _, value)| pattern_names(value, names)),
        _ => {}
    }
}
