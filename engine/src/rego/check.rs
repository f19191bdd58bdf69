//! What makes a set of Rego modules unfit for deciding, found when it is loaded.

use cku_base::{
    diagnostic::{Diagnostic, Place},
    suggest,
};
use regorus::unstable::BUILTINS;
use serde_json::Value;

use super::{
    graph::{RuleGraph, RulePath, dotted},
    walk::Call,
};

/// Built-ins whose value depends on more than their arguments, or that reach outside.
const NOT_DETERMINISTIC: [&str; 6] =
    ["http.send", "net.lookup_ip_addr", "opa.runtime", "rand.intn", "time.now_ns", "uuid.rfc4122"];

/// Refuses rules that depend on themselves.
pub(super) fn cycles(graph: &RuleGraph) -> impl Iterator<Item = Diagnostic> + '_ {
    graph.cycles().into_iter().map(|cycle| {
        let way = cycle.iter().chain(cycle.first()).map(|p| dotted(p)).collect::<Vec<_>>().join(" -> ");
        let place = cycle.first().and_then(|first| graph.rules().get(*first)).map(|node| node.place.clone());
        let problem = Diagnostic::error("R002", format!("rules depend on themselves: {way}"))
            .help("Rego has no recursion; walk nested values with `walk` or `graph.reachable`");
        match place {
            Some(place) => problem.at(place),
            None => problem,
        }
    })
}

/// How many rules may depend on each other in a row.
///
/// Each takes a few KiB of the evaluator's stack (400 exhaust 2 MiB), and an exhausted stack aborts.
const LONGEST_CHAIN: usize = 100;

/// Refuses chains of rules that could exhaust the stack.
pub(super) fn long_chains(graph: &RuleGraph) -> Option<Diagnostic> {
    let chain = graph.longest_chain();
    let first = chain.first().filter(|_| chain.len() > LONGEST_CHAIN)?;
    let message = format!(
        "`{}` is the first of {} rules that depend on each other in a row",
        dotted(first),
        chain.len()
    );
    let help = format!("at most {LONGEST_CHAIN} may; make it a loop over data");
    let problem = Diagnostic::error("R009", message).help(help);
    Some(match graph.rules().get(*first) {
        Some(node) => problem.at(node.place.clone()),
        None => problem,
    })
}

/// Refuses calls below `data` that no rule answers, and warns of references that lead nowhere: an
/// absent value beneath a `not` is true.
pub(super) fn nowhere(graph: &RuleGraph, data: &Value) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    let names: Vec<String> = graph.rules().keys().map(|r| dotted(r)).collect();
    let hint =
        |problem: Diagnostic, path: &RulePath| match suggest(&dotted(path), names.iter().map(String::as_str))
        {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem,
        };
    for (path, place) in graph.rule_calls().iter().filter(|(path, _)| !graph.defines(path)) {
        let problem =
            Diagnostic::error("R003", format!("there is no rule `{}`", dotted(path))).at(place.clone());
        found.push(hint(problem, path));
    }
    let called = |path: &RulePath| graph.rule_calls().iter().any(|(p, _)| p == path);
    for (path, place) in graph.rules().values().flat_map(|node| &node.references) {
        let in_data = path.iter().try_fold(data, |node, name| node.get(name)).is_some();
        // What compiled modules lack is said at the gate file's own line.
        let compiled = place.file.starts_with("compiled/");
        if !in_data && !compiled && !graph.defines(path) && !called(path) {
            let message = format!("neither a rule nor a data file defines `{}`", dotted(path));
            found.push(hint(Diagnostic::warning("R010", message).at(place.clone()), path));
        }
    }
    found
}

/// Refuses calls of what is neither a rule nor a built-in of this engine.
pub(super) fn missing_builtins(graph: &RuleGraph) -> impl Iterator<Item = Diagnostic> + '_ {
    graph.calls().iter().filter_map(|call| {
        let name = call.name.as_str();
        if name == "print" || NOT_DETERMINISTIC.contains(&name) || BUILTINS.contains_key(name) {
            return None;
        }
        let problem = Diagnostic::error("R003", format!("there is no rule or built-in `{name}`"));
        let problem = match suggest(name, BUILTINS.keys().copied()) {
            Some(near) => problem.help(format!("did you mean `{near}`?")),
            None => problem.help("this engine has no such built-in; compute it otherwise"),
        };
        Some(problem.at(call.place.clone()))
    })
}

/// Refuses calls of built-ins whose answer differs from call to call, or that reach outside.
pub(super) fn not_deterministic(calls: &[Call]) -> impl Iterator<Item = Diagnostic> + '_ {
    calls.iter().filter(|call| NOT_DETERMINISTIC.contains(&call.name.as_str())).map(|call| {
        let name = call.name.as_str();
        let help = match name {
            "time.now_ns" => "use `input.time`: a decision has its time from its input",
            "http.send" | "net.lookup_ip_addr" => "a decision does no I/O; bring the data in as evidence",
            _ => "a decision must be the same for the same input",
        };
        Diagnostic::error("R004", format!("the built-in `{name}` is not deterministic"))
            .at(call.place.clone())
            .help(help)
    })
}

/// Refuses base documents at the path of a rule: data would silently replace the rule's value.
pub(super) fn data_over_rules(graph: &RuleGraph, data: &Value) -> Vec<Diagnostic> {
    let over = |rule: &RulePath| {
        let mut node = data;
        for component in rule {
            match node {
                Value::Object(members) => match members.get(component) {
                    Some(inner) => node = inner,
                    None => return false,
                },
                // A scalar or list above the rule hides it.
                _ => return true,
            }
        }
        true
    };
    let hidden = graph.rules().iter().filter(|(path, _)| over(path));
    hidden
        .map(|(path, node)| {
            Diagnostic::error("R005", format!("a data file defines `{}`, which is a rule", dotted(path)))
                .at(node.place.clone())
                .help("data would replace the rule; move the data to another path")
        })
        .collect()
}

/// Refuses packages outside the roots that the manifest claims.
pub(super) fn outside_roots<'g>(
    graph: &'g RuleGraph,
    roots: &'g [String],
) -> impl Iterator<Item = Diagnostic> + 'g {
    // What cku compiles lies outside of what the bundle claims.
    let compiled =
        |files: &std::collections::BTreeSet<String>| files.iter().all(|f| f.starts_with("compiled/"));
    let within = move |path: &RulePath| {
        roots.is_empty()
            || roots.iter().any(|root| {
                let root: Vec<&str> = root.split('/').filter(|c| !c.is_empty()).collect();
                path.len() >= root.len() && root.iter().zip(path).all(|(a, b)| a == b)
            })
    };
    graph.rules().iter().filter(move |(path, node)| !within(path) && !compiled(&node.files)).map(
        |(path, node)| {
            Diagnostic::error("R006", format!("`{}` lies outside the bundle's roots", dotted(path)))
                .at(node.place.clone())
                .help("add its root to `roots` in bundle.yaml, or move the rule")
        },
    )
}

/// Turns an error text of the evaluator into a diagnostic.
///
/// The texts look like `\n--> file:line:col\n … error: message`.
pub(super) fn located(
    code: &'static str,
    error: &str,
    place_of: impl Fn(&str, u32, u32) -> Place,
) -> Diagnostic {
    let (place, message) = split_located(error);
    let problem = Diagnostic::error(code, message);
    match place {
        Some((file, line, column)) => problem.at(place_of(file, line, column)),
        None => problem,
    }
}

/// The place and the message within an error text of the evaluator.
pub(super) fn split_located(error: &str) -> (Option<(&str, u32, u32)>, String) {
    let message = error.rsplit_once("error: ").map_or(error, |(_, message)| message).trim();
    let place = error.split("--> ").nth(1).and_then(|rest| {
        let mut parts = rest.lines().next()?.rsplitn(3, ':');
        let column = parts.next()?.trim().parse().ok()?;
        let line = parts.next()?.parse().ok()?;
        Some((parts.next()?, line, column))
    });
    match message {
        // What the parser says of a query that ends too early or goes on too long.
        "expecting" => (place, "the query does not parse to its end".to_owned()),
        message => (place, message.split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}
