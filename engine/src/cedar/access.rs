//! The access policies of a bundle, indexed by action.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::BuildHasher,
};

use cedar_policy::{
    ActionConstraint, Authorizer, Context, Decision, Entities, EntityUid, Policy, PolicySet, Request,
    RestrictedExpression, Schema,
};
use cku_base::Principal;

use super::{
    entities::{self, TenantEntities},
    error_of,
};
use crate::access::{Answer, Denial, Question, Resource, RoleGrant};

/// Access policies with their schema.
#[derive(Debug, Clone)]
pub(crate) struct AccessPolicies {
    schema: Schema,
    actions: HashMap<String, Action>,
    roles: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
struct Action {
    uid: EntityUid,
    policies: PolicySet,
    context: &'static [&'static str],
}

/// What the context of an access request may hold, for actions whose schema declares it.
const CONTEXTS: [&[&str]; 4] = [&["mode", "authentication"], &["mode"], &["authentication"], &[]];

impl AccessPolicies {
    /// Sorts the policies by the actions they can apply to.
    pub(crate) fn new(
        schema: Schema,
        policies: &[Policy],
        roles: BTreeMap<String, String>,
    ) -> Result<Self, String> {
        let hierarchy = schema.action_entities().map_err(|e| e.to_string())?;
        let mut actions = HashMap::new();
        for uid in schema.actions() {
            let name = AsRef::<str>::as_ref(uid.id()).to_owned();
            let fitting = policies.iter().filter(|p| applies(p, uid, &hierarchy)).cloned();
            let context = accepted_context(&schema, uid).ok_or_else(|| {
                format!("the action `{name}` wants a context that cku cannot give; it gives `mode` and `authentication`, both String")
            })?;
            let policies = PolicySet::from_policies(fitting).map_err(|e| e.to_string())?;
            // Actions are asked for by their names alone, so a name must mean one action.
            if actions.insert(name.clone(), Action { uid: uid.clone(), policies, context }).is_some() {
                return Err(format!("two actions are named `{name}`; keep one, outside of namespaces"));
            }
        }
        Ok(Self { schema, actions, roles })
    }

    /// The names of all actions.
    pub(crate) fn actions(&self) -> impl Iterator<Item = &str> {
        self.actions.keys().map(String::as_str)
    }

    /// The ids of all policies that can apply to an action, sorted.
    pub(crate) fn ids(&self) -> Vec<String> {
        let of_actions = self.actions.values().flat_map(|action| action.policies.policies());
        let ids: BTreeSet<String> = of_actions.map(|policy| policy.id().to_string()).collect();
        ids.into_iter().collect()
    }

    /// Whether the roles of the manifest fit the schema; the error says how not.
    pub(crate) fn check_roles(&self) -> Result<(), String> {
        entities::check_roles(&self.roles, &self.schema)
    }

    /// Whether a resource fits the schema; the error says how not.
    pub(crate) fn check_resource(&self, resource: &Resource) -> Result<(), String> {
        entities::check(resource, &self.schema)
    }

    /// Answers one question; whatever goes wrong is a denial.
    fn ask(&self, question: &Question<'_>, tenants: &mut TenantEntities) -> Answer {
        match self.try_ask(question, tenants) {
            Ok(answer) => answer,
            Err(problem) => Answer::Denied(Denial::Error(problem)),
        }
    }

    fn try_ask(&self, question: &Question<'_>, tenants: &mut TenantEntities) -> Result<Answer, String> {
        let action = self
            .actions
            .get(question.action)
            .ok_or_else(|| format!("the access schema has no action `{}`", question.action))?;
        let entities = tenants.of_question(question, &self.roles, &self.schema)?;
        let principal = entities::principal_uid(question.principal)?;
        let resource = entities::resource_uid(question.resource)?;
        // An absent entity has no attributes and no parents, and policies over it pass or vanish.
        if entities.get(&principal).is_none() || entities.get(&resource).is_none() {
            return Err("the principal or the resource is not known".to_owned());
        }
        let context = context(action.context, question)?;
        let request = Request::new(principal, action.uid.clone(), resource, context, Some(&self.schema))
            .map_err(|e| e.to_string())?;
        let response = Authorizer::new().is_authorized(&request, &action.policies, &entities);
        // A policy that errs is skipped by Cedar, a forbid included: so any error is a deny.
        if let Some(error) = error_of(&response) {
            return Err(error);
        }
        let mut by: Vec<String> = response.diagnostics().reason().map(ToString::to_string).collect();
        by.sort();
        Ok(match response.decision() {
            Decision::Allow => Answer::Allowed { by },
            Decision::Deny if by.is_empty() => Answer::Denied(Denial::NotPermitted),
            Decision::Deny => Answer::Denied(Denial::Forbidden(by)),
        })
    }
}

pub(crate) fn applies(policy: &Policy, action: &EntityUid, hierarchy: &Entities) -> bool {
    let within = |group: &EntityUid| group == action || hierarchy.is_ancestor_of(group, action);
    match policy.action_constraint() {
        ActionConstraint::Any => true,
        ActionConstraint::Eq(uid) => uid == *action,
        ActionConstraint::In(groups) => groups.iter().any(within),
    }
}

fn accepted_context(schema: &Schema, action: &EntityUid) -> Option<&'static [&'static str]> {
    let accepts = |names: &&&'static [&'static str]| {
        let pairs = names.iter().map(|n| ((*n).to_owned(), RestrictedExpression::new_string(String::new())));
        Context::from_pairs(pairs).is_ok_and(|c| c.validate(schema, action).is_ok())
    };
    // A group of actions is asked by nobody and has no context of its own.
    let asked = schema.principals_for_action(action).is_some_and(|mut types| types.next().is_some());
    if asked { CONTEXTS.iter().find(accepts).copied() } else { Some(&[]) }
}

fn context(names: &[&str], question: &Question<'_>) -> Result<Context, String> {
    let pairs = names.iter().map(|name| {
        let value = if *name == "mode" { question.mode } else { question.authentication };
        ((*name).to_owned(), RestrictedExpression::new_string(value.to_owned()))
    });
    Context::from_pairs(pairs).map_err(|e| e.to_string())
}

/// Answers given before, with what they depend on.
///
/// The policies never change within a bundle and an answer depends on nothing else, so the same
/// question has the same answer. A full cache starts anew.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    tenants: TenantEntities,
    hasher: std::hash::RandomState,
    known: HashMap<u64, Vec<Answered>>,
    count: usize,
}

#[derive(Debug)]
struct Answered {
    principal: Principal,
    grants: Vec<RoleGrant>,
    action: String,
    resource: Resource,
    mode: String,
    authentication: String,
    answer: Answer,
}

impl Answers {
    const CAPACITY: usize = 4_096;

    /// The answer to a question, found or asked.
    pub(crate) fn find_or_ask(&mut self, question: &Question<'_>, policies: &AccessPolicies) -> Answer {
        let key =
            self.hasher.hash_one((question.principal, question.action, question.resource, question.mode));
        let known = self.known.get(&key).and_then(|bucket| bucket.iter().find(|a| a.answers(question)));
        if let Some(known) = known {
            return known.answer.clone();
        }
        let answer = policies.ask(question, &mut self.tenants);
        if self.count >= Self::CAPACITY {
            self.known.clear();
            self.count = 0;
        }
        self.count += 1;
        self.known.entry(key).or_default().push(Answered {
            principal: question.principal.clone(),
            grants: question.grants_held().cloned().collect(),
            action: question.action.to_owned(),
            resource: question.resource.clone(),
            mode: question.mode.to_owned(),
            authentication: question.authentication.to_owned(),
            answer: answer.clone(),
        });
        answer
    }
}

impl Answered {
    fn answers(&self, question: &Question<'_>) -> bool {
        self.principal == *question.principal
            && self.action == question.action
            && self.mode == question.mode
            && self.authentication == question.authentication
            && self.resource == *question.resource
            && self.grants.iter().eq(question.grants_held())
    }
}
