//! One gate: its clauses, each against what the others declare.

use std::collections::{BTreeMap, BTreeSet};

use cku_base::diagnostic::Diagnostic;

use super::{CheckedGate, Declared, Report, expression, message, names, reach, scope::Scope, threshold};
use crate::{ast::*, codes, condition::Condition, model::*, types::Type};

/// Checks a gate. `None` means that errors were reported.
pub(super) fn check(
    source: &Source<'_>,
    item: &GateItem,
    modes: &[String],
    report: &mut Report,
) -> Option<CheckedGate> {
    let place = source.place(&item.name.span);
    let (name, title) = (item.name.text.clone(), item.title.value());
    if let Some(body) = decided_elsewhere(source, item, report) {
        let gate = Gate { name, title, place, body: body? };
        return Some(CheckedGate { gate, conditions: Vec::new() });
    }
    let before = report.diagnostics.len();
    let unread = source.words(&item.broken).into_iter().map(str::to_owned).collect();
    let scope = Scope { unread, ..Scope::default() };
    let mut checking = Checking { source, modes, report, scope, rules: Rules::default() };
    checking.declarations(item);
    let conditions = checking.clauses(item);
    checking.missing(item);
    let is_rule = |clause: &&Clause| matches!(clause, Clause::Rule(_));
    let all_read = item.broken.is_empty();
    checking.directions(&conditions, item.clauses.iter().filter(is_rule).count(), all_read);
    checking.weaker_missing();
    // Where something is wrong, what is left says little about the whole.
    if all_read && !checking.report.has_errors_since(before) {
        checking.unread_facts();
        checking.reach(&conditions);
    }
    let rules = checking.rules;
    let asks = |clause: &Clause| matches!(clause, Clause::Rule(_) | Clause::Access(_));
    if all_read && !item.clauses.iter().any(asks) {
        let message = format!("gate `{name}` asks nothing: it has no `reject`, `pause` or `require access`");
        report.add(Diagnostic::error(codes::ASKS_NOTHING, message).at(place.clone()));
    }
    Some(CheckedGate { gate: Gate { name, title, place, body: GateBody::Rules(rules) }, conditions })
}

/// The body of a gate with a `decide` clause, which stands alone; the inner `None` is an error.
fn decided_elsewhere(source: &Source<'_>, item: &GateItem, report: &mut Report) -> Option<Option<GateBody>> {
    let clause = item.clauses.iter().find_map(|clause| match clause {
        Clause::Decide(clause) => Some(clause),
        _ => None,
    })?;
    let place = source.place(&clause.span);
    if item.clauses.len() > 1 {
        let message = format!("gate `{}` has `decide` beside other clauses", item.name.text);
        let diagnostic = Diagnostic::error(codes::CONTRADICTION, message).at(place.clone());
        report.add(diagnostic.help("a gate decides by its rules or by one `decide` clause, not by both"));
    }
    Some(match &clause.by {
        DecideBy::Rego(path) => {
            names::is_path(source, path, report);
            Some(GateBody::Rego { path: path.text.clone(), place: source.place(&path.span) })
        }
        // What `require access` says alone is all that it asks.
        DecideBy::Cedar(action) => {
            let requirement = AccessRequirement {
                action: action.text.clone(),
                on: None,
                attribute: format!("access:{}", action.text),
                place,
            };
            Some(GateBody::Rules(Rules { access: vec![requirement], ..Rules::default() }))
        }
    })
}

struct Checking<'a> {
    source: &'a Source<'a>,
    modes: &'a [String],
    report: &'a mut Report,
    scope: Scope,
    rules: Rules,
}

impl Checking<'_> {
    /// Facts and thresholds first: a rule may stand before what it names.
    fn declarations(&mut self, item: &GateItem) {
        let mut declared = Declared::default();
        for clause in &item.clauses {
            match clause {
                Clause::Facts(clause) => {
                    names::is_path(self.source, &clause.path, self.report);
                    for (name, type_name) in &clause.facts {
                        names::not_reserved(self.source, name, "fact", self.report);
                        let ty = self.known_type(type_name);
                        if !declared.declare(self.source, name, "fact", self.report) {
                            continue;
                        }
                        self.scope.facts.insert(name.text.clone(), ty);
                        if let Some(ty) = ty {
                            let path = format!("{}.{}", clause.path.text, name.text);
                            let place = self.source.place(&name.span);
                            self.rules.facts.push(Fact { name: name.text.clone(), ty, path, place });
                        }
                    }
                }
                Clause::Threshold(clause) => {
                    names::not_reserved(self.source, &clause.name, "threshold", self.report);
                    let ty = self.known_type(&clause.ty);
                    let checked =
                        ty.and_then(|ty| threshold::check(self.source, clause, ty, self.modes, self.report));
                    if declared.declare(self.source, &clause.name, "threshold", self.report) {
                        let known = ty.filter(|ty| ty.is_number());
                        self.scope.thresholds.insert(clause.name.text.clone(), known);
                        self.rules.thresholds.extend(checked);
                    }
                }
                Clause::Rule(_) | Clause::Missing(_) | Clause::Access(_) | Clause::Decide(_) => {}
            }
        }
    }

    fn known_type(&mut self, name: &TypeName) -> Option<Type> {
        let ty = Type::named(&name.text);
        if ty.is_none() {
            let message = format!("there is no type `{}`", name.text);
            let types = Type::ALL.iter().map(|ty| ty.name());
            let diagnostic = names::unknown(codes::UNKNOWN_TYPE, self.source, &name.span, message, types);
            self.report.add(match name.text.starts_with("set") {
                true => diagnostic.help("the only sets are `set of text`"),
                false => diagnostic,
            });
        }
        ty
    }

    /// Rules and access; gives the rules' conditions.
    fn clauses(&mut self, item: &GateItem) -> Vec<Condition> {
        let (mut rule_names, mut actions) = (Declared::default(), Declared::listed());
        let mut conditions = Vec::new();
        for clause in &item.clauses {
            match clause {
                Clause::Rule(clause) => {
                    let checked = self.rule(clause);
                    if !rule_names.declare(self.source, &clause.name, "rule", self.report) {
                        continue;
                    }
                    if let Some((rule, condition)) = checked {
                        self.rules.rules.push(rule);
                        conditions.push(condition);
                    }
                }
                Clause::Access(clause) => {
                    let requirement = self.access(clause);
                    if actions.declare(self.source, &clause.action, "access to", self.report) {
                        self.rules.access.push(requirement);
                    }
                }
                Clause::Facts(_) | Clause::Threshold(_) | Clause::Missing(_) | Clause::Decide(_) => {}
            }
        }
        conditions
    }

    fn rule(&mut self, clause: &RuleClause) -> Option<(Rule, Condition)> {
        let modes =
            clause.modes.as_ref().map(|names| names::modes(self.source, names, self.modes, self.report));
        let message = message::segments(self.source, &clause.because, &self.scope, self.report);
        let condition = expression::condition(self.source, &clause.when, &self.scope, self.report)?;
        let reads: Vec<String> = condition.facts().into_iter().map(str::to_owned).collect();
        if reads.is_empty() {
            let message =
                format!("rule `{}` reads no fact, so that it says the same of every run", clause.name.text);
            let place = self.source.place(&clause.when.span);
            self.report.add(Diagnostic::error(codes::NO_FACT, message).at(place));
        }
        let rule = Rule {
            name: clause.name.text.clone(),
            kind: clause.kind,
            modes,
            reads,
            message,
            comparison: self.comparison(&condition),
            place: self.source.place(&clause.span),
        };
        Some((rule, condition))
    }

    /// The condition as one comparison of a numeric fact with a bound, if it is one.
    fn comparison(&self, condition: &Condition) -> Option<Comparison> {
        let Condition::Compare(op, left, right) = condition else { return None };
        let (fact, op, bound) = match (&**left, &**right) {
            (Condition::Fact(fact), bound) => (fact, *op, bound),
            (bound, Condition::Fact(fact)) => (fact, op.flipped(), bound),
            _ => return None,
        };
        let bound = match bound {
            Condition::Threshold(name) => Bound::Threshold(name.clone()),
            Condition::Number(value) => Bound::Literal(*value),
            _ => return None,
        };
        let ty = self.scope.facts.get(fact).copied().flatten()?;
        Some(Comparison { fact: fact.clone(), op, bound, ty })
    }

    fn access(&mut self, clause: &AccessClause) -> AccessRequirement {
        let action = &clause.action.text;
        if let Some(on) = &clause.on
            && let Some(ty) = self.fact(on)
            && !matches!(ty, Type::Text | Type::SetOfText)
        {
            let message =
                format!("`{}` is {}, but access is asked on a text or a set of text", on.text, ty.name());
            self.report.add(Diagnostic::error(codes::ACCESS_FACT, message).at(self.source.place(&on.span)));
        }
        AccessRequirement {
            action: action.clone(),
            on: clause.on.as_ref().map(|on| on.text.clone()),
            attribute: format!("access:{action}"),
            place: self.source.place(&clause.span),
        }
    }

    /// The type of a fact that a clause names; an error if there is no such fact.
    fn fact(&mut self, name: &Name) -> Option<Type> {
        if let Some(ty) = self.scope.facts.get(&name.text) {
            return *ty;
        }
        if self.scope.unread.contains(&name.text) {
            return None;
        }
        let message = format!("`{}` is no fact of this gate", name.text);
        let facts = self.scope.facts.keys().map(String::as_str);
        self.report.add(names::unknown(codes::UNKNOWN_NAME, self.source, &name.span, message, facts));
        None
    }

    /// The `missing` clauses, and a rejection wherever a fact has none.
    fn missing(&mut self, item: &GateItem) {
        let mut covered: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for clause in &item.clauses {
            let Clause::Missing(clause) = clause else { continue };
            self.fact(&clause.fact);
            let modes =
                clause.modes.as_ref().map(|names| names::modes(self.source, names, self.modes, self.report));
            let message = clause
                .message
                .as_ref()
                .map(|text| message::segments(self.source, text, &self.scope, self.report));
            let covered = covered.entry(&clause.fact.text).or_default();
            let place = self.source.place(&clause.span);
            for mode in
                self.modes.iter().filter(|mode| modes.as_ref().is_none_or(|modes| modes.contains(mode)))
            {
                if !covered.insert(mode) {
                    let message = format!(
                        "what it means in mode `{mode}` that `{}` is missing is said twice",
                        clause.fact.text
                    );
                    self.report.add(Diagnostic::error(codes::DUPLICATE, message).at(place.clone()));
                    break;
                }
            }
            let fact = clause.fact.text.clone();
            self.rules.missing.push(Missing {
                fact,
                kind: clause.kind,
                modes,
                message,
                implicit: false,
                place,
            });
        }
        for fact in &self.rules.facts {
            let covered = covered.get(fact.name.as_str());
            let open: Vec<String> = self
                .modes
                .iter()
                .filter(|mode| covered.is_none_or(|covered| !covered.contains(mode.as_str())))
                .cloned()
                .collect();
            if !open.is_empty() {
                self.rules.missing.push(Missing {
                    fact: fact.name.clone(),
                    kind: RuleKind::Reject,
                    modes: covered.is_some().then_some(open),
                    message: None,
                    implicit: true,
                    place: fact.place.clone(),
                });
            }
        }
    }

    /// A threshold that is said to be stricter in one direction is so in every rule, and is read.
    fn directions(&mut self, conditions: &[Condition], rule_clauses: usize, all_read: bool) {
        let mut used: BTreeSet<&str> = BTreeSet::new();
        for (rule, condition) in self.rules.rules.iter().zip(conditions) {
            used.extend(condition.thresholds());
            for (name, direction) in condition.directions() {
                let declared = self.rules.thresholds.iter().find(|threshold| threshold.name == name);
                let Some(stricter) = declared.and_then(|threshold| threshold.stricter) else { continue };
                if direction == Some(stricter) {
                    continue;
                }
                let message = match stricter {
                    Direction::Up => {
                        format!("a greater `{name}` does not make rule `{}` stricter", rule.name)
                    }
                    Direction::Down => {
                        format!("a smaller `{name}` does not make rule `{}` stricter", rule.name)
                    }
                };
                let diagnostic = Diagnostic::error(codes::DIRECTION, message).at(rule.place.clone());
                self.report.add(match direction {
                    Some(Direction::Up) => diagnostic.help(format!("declare `{name}` as `stricter up`")),
                    Some(Direction::Down) => diagnostic.help(format!("declare `{name}` as `stricter down`")),
                    None => diagnostic.help("compare it with `<`, `<=`, `>` or `>=`"),
                });
            }
        }
        // A rule with an error was left out, and may be the one that reads it.
        if conditions.len() < rule_clauses || !all_read {
            return;
        }
        let with_facts: BTreeSet<&str> = conditions.iter().flat_map(Condition::compared_with_facts).collect();
        for threshold in &self.rules.thresholds {
            let name = threshold.name.as_str();
            let (code, message) = if !used.contains(name) {
                (codes::UNUSED_THRESHOLD, format!("no rule reads threshold `{name}`"))
            } else if threshold.learn && !with_facts.contains(name) {
                let message = format!("`{name}` is learned, but no rule compares it with a fact");
                (codes::NOTHING_TO_LEARN, message)
            } else {
                continue;
            };
            self.report.add(Diagnostic::warning(code, message).at(threshold.place.clone()));
        }
    }

    /// A fact that no rule, message, access question or `missing` clause names.
    fn unread_facts(&mut self) {
        let rules = &self.rules;
        let of_messages = rules.rules.iter().map(|rule| &rule.message);
        let of_messages =
            of_messages.chain(rules.missing.iter().filter_map(|missing| missing.message.as_ref()));
        let named = of_messages.flatten().filter_map(|segment| match segment {
            Segment::Fact(name) => Some(name),
            Segment::Text(_) | Segment::Threshold(_) => None,
        });
        let read: BTreeSet<&String> = named
            .chain(rules.rules.iter().flat_map(|rule| &rule.reads))
            .chain(rules.access.iter().filter_map(|access| access.on.as_ref()))
            .chain(rules.missing.iter().filter(|missing| !missing.implicit).map(|missing| &missing.fact))
            .collect();
        for fact in rules.facts.iter().filter(|fact| !read.contains(&fact.name)) {
            let message = format!("nothing reads fact `{}`, but a run without it is rejected", fact.name);
            let diagnostic = Diagnostic::warning(codes::UNUSED_FACT, message).at(fact.place.clone());
            self.report.add(diagnostic.help("take it away, or say with `missing` what its absence means"));
        }
    }

    /// Rules that never or always fire, or change no verdict: see [`reach`].
    fn reach(&mut self, conditions: &[Condition]) {
        // Where one comparison was found to say nothing, the rule's own reach is no news.
        let told = |rule: &Rule, report: &Report| {
            let within = |d: &Diagnostic| {
                let place = d.place.as_ref().filter(|_| d.code == codes::CONSTANT);
                place.is_some_and(|at| at.file == rule.place.file && rule.place.span.contains(&at.span.start))
            };
            report.diagnostics.iter().any(within)
        };
        let facts = &self.scope.facts;
        for finding in reach::find(&self.rules, conditions, facts, self.modes) {
            if !told(finding.rule, self.report) {
                self.report.add(finding.diagnostic());
            }
        }
    }

    /// A value may reject where its absence pauses: then who leaves it out is better off.
    fn weaker_missing(&mut self) {
        let pauses = || self.rules.missing.iter().filter(|missing| missing.kind == RuleKind::Pause);
        let overlap = |a: &Option<Vec<String>>, b: &Option<Vec<String>>| match (a, b) {
            (Some(a), Some(b)) => a.iter().any(|mode| b.contains(mode)),
            _ => true,
        };
        for rule in self.rules.rules.iter().filter(|rule| rule.kind == RuleKind::Reject) {
            for missing in pauses().filter(|missing| rule.reads.contains(&missing.fact)) {
                if overlap(&rule.modes, &missing.modes) {
                    let (name, fact) = (&rule.name, &missing.fact);
                    let message = format!(
                        "rule `{name}` rejects on `{fact}`, but without `{fact}` the gate only pauses"
                    );
                    let diagnostic =
                        Diagnostic::warning(codes::WEAKER_MISSING, message).at(missing.place.clone());
                    self.report.add(diagnostic.help(format!("write `missing {fact} reject`")));
                }
            }
        }
    }
}
