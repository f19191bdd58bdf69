//! Embedded Cedar: the rules of gates, and who may do what.
//!
//! Two schemas, never mixed: gate rules see typed facts, access policies see tenants, roles and
//! principals. Both are validated strictly at load, and any error of an evaluation is a deny.

pub(crate) mod access;
mod entities;
pub(crate) mod rules;

use std::{collections::BTreeMap, str::FromStr};

use cedar_policy::{
    EntityId, EntityTypeName, EntityUid, Policy, PolicyId, PolicySet, Response, Schema, ValidationMode,
    Validator,
};
use cku_base::diagnostic::{Diagnostic, LineIndex, Place};

use crate::nesting::{self, Comments};

/// Parses a schema text.
pub(crate) fn parse_schema(file: &str, text: &str, nesting: usize) -> Result<Schema, Vec<Diagnostic>> {
    nesting::check(file, text, Comments::Slashes, nesting).map_err(|d| vec![d])?;
    match Schema::from_cedarschema_str(text) {
        Ok((schema, _)) => Ok(schema),
        Err(error) => Err(diagnostics("C001", file, text, &error)),
    }
}

/// Parses and validates the policies of one file; their ids are those of their `@id` annotations.
pub(crate) fn parse_policies(
    file: &str,
    text: &str,
    schema: &Schema,
    nesting: usize,
) -> Result<(Vec<Policy>, Vec<Diagnostic>), Vec<Diagnostic>> {
    nesting::check(file, text, Comments::Slashes, nesting).map_err(|d| vec![d])?;
    nesting::check_operators(file, text, Comments::Slashes).map_err(|d| vec![d])?;
    let set = PolicySet::from_str(text).map_err(|e| diagnostics("C002", file, text, &e))?;
    let mut problems = Vec::new();
    if let Some(template) = set.templates().next() {
        problems.push(
            Diagnostic::error("C004", format!("`{}` is a template", template.id()))
                .at(Place::whole_file(file))
                .help("write a policy without `?principal` and `?resource`: templates cannot be proved"),
        );
    }
    let mut named = BTreeMap::new();
    for policy in set.policies() {
        match policy.annotation("id").filter(|id| !id.is_empty()) {
            None => problems.push(without_id(file, text, policy)),
            Some(id) => {
                if named.insert(id.to_owned(), policy.new_id(PolicyId::new(id))).is_some() {
                    problems.push(
                        Diagnostic::error("C005", format!("two policies have the id `{id}`"))
                            .at(place_of_id(file, text, id)),
                    );
                }
            }
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let policies: Vec<Policy> = named.into_values().collect();
    let warnings = validate(file, text, schema, &policies)?;
    Ok((policies, warnings))
}

/// Where the policy with this id stands.
pub(crate) fn place_of_id(file: &str, text: &str, id: &str) -> Place {
    let annotation = format!("@id(\"{id}\")");
    match text.find(&annotation) {
        Some(start) => LineIndex::new(text).place(file, start..start + annotation.len()),
        None => Place::whole_file(file),
    }
}

fn validate(
    file: &str,
    text: &str,
    schema: &Schema,
    policies: &[Policy],
) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let set = PolicySet::from_policies(policies.iter().cloned())
        .map_err(|e| diagnostics("C002", file, text, &e))?;
    let result = Validator::new(schema.clone()).validate(&set, ValidationMode::Strict);
    if !result.validation_passed() {
        return Err(result.validation_errors().flat_map(|e| diagnostics("C003", file, text, e)).collect());
    }
    let warn = |d: Diagnostic| Diagnostic { severity: cku_base::diagnostic::Severity::Warning, ..d };
    Ok(result.validation_warnings().flat_map(|w| diagnostics("C006", file, text, w)).map(warn).collect())
}

fn without_id(file: &str, text: &str, policy: &Policy) -> Diagnostic {
    // Cedar numbers the policies of a text from 0; that is all it tells about an unnamed one.
    let ordinal = policy.id().to_string().trim_start_matches("policy").parse::<usize>().unwrap_or(0);
    let starts = text.match_indices("permit").chain(text.match_indices("forbid")).map(|(at, _)| at);
    let mut heads: Vec<usize> =
        starts.filter(|at| text.get(at + 6..).is_some_and(|r| r.trim_start().starts_with('('))).collect();
    heads.sort_unstable();
    let place = match heads.get(ordinal) {
        Some(at) => LineIndex::new(text).place(file, *at..at + 6),
        None => Place::whole_file(file),
    };
    Diagnostic::error("C007", "a policy without an id")
        .at(place)
        .help("write `@id(\"a-stable-name\")` before it: reasons and reviews name policies by their id")
}

/// One diagnostic for each thing that a Cedar error reports.
fn diagnostics(
    code: &'static str,
    file: &str,
    text: &str,
    error: &dyn miette::Diagnostic,
) -> Vec<Diagnostic> {
    let related = error.related().into_iter().flatten();
    let index = LineIndex::new(text);
    std::iter::once(error)
        .chain(related)
        .map(|error| {
            let label = error.labels().and_then(|mut labels| labels.next());
            let place = label.as_ref().map_or_else(
                || Place::whole_file(file),
                |l| index.place(file, l.offset()..l.offset() + l.len().max(1)),
            );
            let message = error.to_string();
            let mut problem = Diagnostic::error(code, message.replace('\n', " ")).at(place);
            problem.label = label.as_ref().and_then(|l| l.label().map(str::to_owned));
            problem.help = error.help().map(|h| h.to_string().replace('\n', " "));
            problem
        })
        .collect()
}

/// The error of an answer, if there is one; of several the first by their texts, since Cedar gives them
/// in no defined order and a reason must be the same each time.
pub(crate) fn error_of(response: &Response) -> Option<String> {
    response.diagnostics().errors().map(ToString::to_string).min()
}

/// The entity `Type::"id"`; none where the type is no name.
pub(crate) fn uid(type_name: &str, id: &str) -> Option<EntityUid> {
    let name = EntityTypeName::from_str(type_name).ok()?;
    Some(EntityUid::from_type_name_and_id(name, EntityId::new(id)))
}
