//! Sets of Cedar policies, read from a bundle and compared without comments and annotations.

use std::{collections::BTreeMap, str::FromStr, sync::Arc};

use cedar_policy::{
    ActionConstraint, Authorizer, Decision, Entities, EntityUid, Policy, PolicyId, PolicySet, Request, Schema,
};
use cku_engine::{Bundle, FileKind};

/// What policies say, sorted: neither their ids nor comments nor where they stand.
pub(super) fn fingerprint<'p>(policies: impl IntoIterator<Item = &'p Policy>) -> Vec<String> {
    let said = policies.into_iter().map(|policy| match policy.to_json() {
        Ok(mut json) => {
            if let Some(members) = json.as_object_mut() {
                members.remove("annotations");
            }
            json.to_string()
        }
        // A policy that cannot be written differs from all others.
        Err(_) => format!("{policy:?}"),
    });
    let mut said: Vec<String> = said.collect();
    said.sort();
    said.dedup();
    said
}

/// The access policies of a bundle with their schema.
pub(super) struct AccessPolicies {
    pub(super) schema: Arc<Schema>,
    pub(super) schema_text: Arc<str>,
    pub(super) policies: Vec<Policy>,
}

impl AccessPolicies {
    /// Reads them; none where the bundle has none.
    pub(super) fn of(bundle: &Bundle) -> Result<Option<Self>, String> {
        let Some(file) = bundle.sources().of_kind(FileKind::CedarSchema).next() else { return Ok(None) };
        let (schema, _) = Schema::from_cedarschema_str(&file.text).map_err(|e| e.to_string())?;
        let mut policies = Vec::new();
        for file in bundle.sources().of_kind(FileKind::Cedar) {
            policies.extend(named(&file.text)?);
        }
        Ok(Some(Self { schema: Arc::new(schema), schema_text: file.text.clone(), policies }))
    }

    /// Those that can apply to an action.
    pub(super) fn on(&self, action: &EntityUid) -> Vec<Policy> {
        on(&self.policies, action, &self.schema)
    }
}

/// The policies that can apply to an action.
pub(super) fn on(policies: &[Policy], action: &EntityUid, schema: &Schema) -> Vec<Policy> {
    let hierarchy = schema.action_entities().ok();
    let within = |group: &EntityUid| {
        group == action || hierarchy.as_ref().is_some_and(|h| h.is_ancestor_of(group, action))
    };
    let applies = |policy: &&Policy| match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == *action,
        ActionConstraint::In(groups) => groups.iter().any(within),
    };
    policies.iter().filter(applies).cloned().collect()
}

/// The policies of a text, each with the id of its `@id`.
pub(super) fn named(text: &str) -> Result<Vec<Policy>, String> {
    let set = PolicySet::from_str(text).map_err(|e| e.to_string())?;
    let mut read = BTreeMap::new();
    for policy in set.policies() {
        let id = policy.annotation("id").filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| format!("a policy has no `@id`: {policy}"))?;
        if read.insert(id.to_owned(), policy.new_id(PolicyId::new(id))).is_some() {
            return Err(format!("two policies have the id `{id}`"));
        }
    }
    Ok(read.into_values().collect())
}

/// What a set decides about a request, with the ids of the policies that decided; an error of a policy
/// is no decision.
pub(super) fn decide(
    set: &PolicySet,
    request: &Request,
    entities: &Entities,
) -> Result<(bool, Vec<String>), String> {
    let response = Authorizer::new().is_authorized(request, set, entities);
    if let Some(error) = response.diagnostics().errors().map(ToString::to_string).min() {
        return Err(error);
    }
    let mut by: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
    by.sort();
    Ok((response.decision() == Decision::Allow, by))
}

/// A text without comments and without what only sets words apart, to see whether more than that changed.
///
/// Where comments begin differs: `//` in Cedar, `#` in Rego. Texts in quotes are kept as they are, and
/// line ends are kept, since they separate statements in Rego.
pub(super) fn bare(text: &str, comment: &str) -> String {
    let mut lines = Vec::new();
    let mut open: Option<char> = None;
    let mut line = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(quote) = open {
            line.push(c);
            rest = rest.get(c.len_utf8()..).unwrap_or_default();
            if c == '\\' && quote == '"' {
                if let Some(escaped) = rest.chars().next() {
                    line.push(escaped);
                    rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                }
            } else if c == quote {
                open = None;
            }
            continue;
        }
        if rest.starts_with(comment) {
            let end = rest.find('\n').unwrap_or(rest.len());
            rest = rest.get(end..).unwrap_or_default();
            continue;
        }
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
        match c {
            '\n' => lines.push(std::mem::take(&mut line)),
            // Raw texts in backticks are Rego's; Cedar has no backtick.
            '"' | '`' => {
                open = Some(c);
                line.push(c);
            }
            c if c.is_whitespace() => {
                if !line.is_empty() && !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            c => line.push(c),
        }
    }
    lines.push(line);
    let trimmed = lines.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty());
    trimmed.collect::<Vec<_>>().join("\n")
}
