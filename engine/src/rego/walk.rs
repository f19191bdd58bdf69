//! Walking Rego modules: what each rule refers to and calls, with the scopes of local variables.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::diagnostic::{LineIndex, Place};
use regorus::unstable::{AssignOp, Expr, Literal, Module, Query, Rule, RuleHead, Span};

/// The components of a path below `data`.
pub(crate) type RulePath = Vec<String>;

/// A call of something that is not a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// The dotted name, like `time.now_ns`.
    pub(crate) name: String,
    /// Where it is called.
    pub(crate) place: Place,
}

/// The path that a rule defines within its package, up to the first computed component.
pub(super) fn head_path(rule: &Rule) -> RulePath {
    let refr = match rule {
        Rule::Default { refr, .. } => refr,
        Rule::Spec { head, .. } => match head {
            RuleHead::Compr { refr, .. } | RuleHead::Set { refr, .. } | RuleHead::Func { refr, .. } => refr,
        },
    };
    static_path(refr)
}

/// The components of a reference up to the first computed one.
pub(super) fn static_path(expr: &Expr) -> RulePath {
    let (base, path) = reference(expr);
    known(base.into_iter().map(str::to_owned).chain(path))
}

/// The components before the first computed one.
fn known(path: impl IntoIterator<Item = String>) -> RulePath {
    path.into_iter().take_while(|component| component != COMPUTED).collect()
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

/// Visits the rules of a module and notes what they refer to.
pub(super) struct Walk<'m> {
    pub(super) package: RulePath,
    own_rules: BTreeSet<String>,
    imports: BTreeMap<String, (String, RulePath)>,
    index: LineIndex<'m>,
    pub(super) file: &'m str,
    scopes: Vec<BTreeSet<String>>,
    /// What the rules visited so far refer to below `data`, with the first place of each.
    pub(super) references: BTreeMap<RulePath, Place>,
    /// Whether one of them refers to `input` itself.
    pub(super) reads_input: bool,
    /// Calls of what is no rule.
    pub(super) calls: Vec<Call>,
    /// Calls of what must be a rule.
    pub(super) rule_calls: Vec<(RulePath, Place)>,
}

impl<'m> Walk<'m> {
    pub(super) fn new(module: &'m Module, package: RulePath, own_rules: BTreeSet<String>) -> Self {
        let imports = module.imports.iter().filter_map(|import| {
            // `rego.v1` and `future.keywords` name no values.
            let (base, path) = reference(&import.refr);
            let base = base.filter(|base| matches!(*base, "data" | "input"))?;
            let alias = import.r#as.as_ref().map(|s| s.text().to_owned()).or_else(|| path.last().cloned())?;
            Some((alias, (base.to_owned(), path)))
        });
        let source = &module.package.span.source;
        Self {
            package,
            own_rules,
            imports: imports.collect(),
            index: LineIndex::new(source.get_contents()),
            file: source.get_path(),
            scopes: Vec::new(),
            references: BTreeMap::new(),
            reads_input: false,
            calls: Vec::new(),
            rule_calls: Vec::new(),
        }
    }

    pub(super) fn place(&self, span: &Span) -> Place {
        self.index.place(self.file, span.start as usize..span.end as usize)
    }

    pub(super) fn rule(&mut self, rule: &Rule) {
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
    pub(super) fn query(&mut self, query: &Query, results: &[&Expr]) {
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
            // What `:=` declares is not known yet on its right side.
            Expr::AssignExpr { op: AssignOp::ColEq, lhs, rhs, .. } => {
                let mut declared = BTreeSet::new();
                pattern_names(lhs, &mut declared);
                let hidden: Vec<String> = match self.scopes.last_mut() {
                    Some(scope) => declared.into_iter().filter(|name| scope.remove(name)).collect(),
                    None => Vec::new(),
                };
                self.expr(rhs);
                if let Some(scope) = self.scopes.last_mut() {
                    scope.extend(hidden);
                }
            }
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
            Some(Target::Data(path)) => self.refer(path, expr.span()),
            None => {}
        }
    }

    fn refer(&mut self, path: RulePath, span: &Span) {
        let place = self.place(span);
        self.references.entry(path).or_insert(place);
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
                self.rule_calls.push((path.clone(), self.place(span)));
                self.refer(path, span);
            }
            Some(Target::Input) => {}
            None => {
                let name = std::iter::once(base.to_owned()).chain(path).collect::<Vec<_>>().join(".");
                let place = self.place(span);
                self.calls.push(Call { name, place });
            }
        }
    }

    fn resolve(&self, base: &str, path: RulePath) -> Option<Target> {
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
                    Target::Data(known(whole))
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
                if let Expr::AssignExpr { op: AssignOp::ColEq, lhs, .. } = &**expr {
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
