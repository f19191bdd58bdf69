//! The entities that access policies see, built natively: tenants, roles, principals, resources.
//!
//! Every tenant has one `Role` entity per role, held in its attributes; the role of a parent tenant
//! is a member of the child's, so that `principal in resource.tenant.reviewers` knows inheritance.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityUid, RestrictedExpression, Schema};
use cku_base::{Principal, PrincipalKind, TenantPath};

use super::uid;
use crate::access::{AttributeValue, Question, Resource, RoleGrant};

/// The entities of tenants and their roles, built before; they depend on nothing but the tenants.
#[derive(Debug, Default)]
pub(super) struct TenantEntities {
    built: HashMap<BTreeSet<TenantPath>, Entities>,
}

impl TenantEntities {
    /// A full cache starts anew.
    const CAPACITY: usize = 256;

    /// The entities of one question: the principal with its roles, the resource, and every tenant that
    /// either of them belongs to. They are validated against the schema.
    pub(super) fn of_question(
        &mut self,
        question: &Question<'_>,
        roles: &BTreeMap<String, String>,
        schema: &Schema,
    ) -> Result<Entities, String> {
        let (principal, resource) = (question.principal, question.resource);
        let tenants: BTreeSet<TenantPath> =
            principal.tenant.ancestry().chain(resource.tenant.ancestry()).collect();
        let mut own = vec![principal_entity(principal, question.grants_held(), &tenants)?];
        if resource.type_name != "Tenant" {
            own.push(resource_entity(resource)?);
        }
        let known = match self.built.get(&tenants) {
            Some(known) => known.clone(),
            None => {
                if self.built.len() >= Self::CAPACITY {
                    self.built.clear();
                }
                let built = of_tenants(&tenants, roles, schema)?;
                self.built.insert(tenants, built.clone());
                built
            }
        };
        known.add_entities(own, Some(schema)).map_err(|e| with_causes(&e))
    }
}

/// Whether the roles of the manifest are attributes of the schema's `Tenant`.
pub(super) fn check_roles(roles: &BTreeMap<String, String>, schema: &Schema) -> Result<(), String> {
    of_tenants(&BTreeSet::from([TenantPath::root()]), roles, schema).map(|_| ())
}

fn of_tenants(
    tenants: &BTreeSet<TenantPath>,
    roles: &BTreeMap<String, String>,
    schema: &Schema,
) -> Result<Entities, String> {
    let mut entities = Vec::new();
    for tenant in tenants {
        let attributes = roles
            .iter()
            .map(|(role, attribute)| Ok((attribute.clone(), reference(role_uid(tenant, role)?))))
            .collect::<Result<HashMap<_, _>, String>>()?;
        let parents = tenant.parent().map(|t| tenant_uid(&t)).transpose()?;
        entities.push(entity(tenant_uid(tenant)?, attributes, parents)?);
        for role in roles.keys() {
            let children = tenants.iter().filter(|t| t.parent().as_ref() == Some(tenant));
            let parents = children.map(|child| role_uid(child, role)).collect::<Result<HashSet<_>, _>>()?;
            entities.push(entity(role_uid(tenant, role)?, HashMap::new(), parents)?);
        }
    }
    Entities::from_entities(entities, Some(schema)).map_err(|e| with_causes(&e))
}

/// Whether a resource fits the schema.
pub(super) fn check(resource: &Resource, schema: &Schema) -> Result<(), String> {
    Entities::from_entities([resource_entity(resource)?], Some(schema))
        .map(|_| ())
        .map_err(|e| with_causes(&e))
}

/// The entity of a principal.
pub(super) fn principal_uid(principal: &Principal) -> Result<EntityUid, String> {
    let type_name = match principal.kind {
        PrincipalKind::User => "User",
        PrincipalKind::ServiceAccount => "ServiceAccount",
        PrincipalKind::Agent => "Agent",
    };
    named(type_name, principal.id.as_str())
}

/// The entity of a resource.
pub(super) fn resource_uid(resource: &Resource) -> Result<EntityUid, String> {
    named(&resource.type_name, &resource.id)
}

fn principal_entity<'g>(
    principal: &Principal,
    held: impl Iterator<Item = &'g RoleGrant>,
    tenants: &BTreeSet<TenantPath>,
) -> Result<Entity, String> {
    let attributes = HashMap::from([
        ("name".to_owned(), RestrictedExpression::new_string(principal.to_string())),
        ("tenant".to_owned(), reference(tenant_uid(&principal.tenant)?)),
    ]);
    let held = held.filter(|g| tenants.contains(&g.tenant));
    let parents = held.map(|g| role_uid(&g.tenant, &g.role)).collect::<Result<HashSet<_>, _>>()?;
    entity(principal_uid(principal)?, attributes, parents)
}

fn resource_entity(resource: &Resource) -> Result<Entity, String> {
    let tenant = ("tenant".to_owned(), reference(tenant_uid(&resource.tenant)?));
    let attributes = resource.attributes.iter().map(|(name, value)| (name.clone(), expression(value)));
    entity(resource_uid(resource)?, attributes.chain([tenant]).collect(), None)
}

fn expression(value: &AttributeValue) -> RestrictedExpression {
    match value {
        AttributeValue::Bool(b) => RestrictedExpression::new_bool(*b),
        AttributeValue::Long(n) => RestrictedExpression::new_long(*n),
        AttributeValue::Text(text) => RestrictedExpression::new_string(text.clone()),
        AttributeValue::Texts(texts) => {
            RestrictedExpression::new_set(texts.iter().cloned().map(RestrictedExpression::new_string))
        }
    }
}

fn entity(
    uid: EntityUid,
    attributes: HashMap<String, RestrictedExpression>,
    parents: impl IntoIterator<Item = EntityUid>,
) -> Result<Entity, String> {
    Entity::new(uid, attributes, parents.into_iter().collect()).map_err(|e| e.to_string())
}

/// An error and what caused it, which is where Cedar says what does not fit.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn tenant_uid(tenant: &TenantPath) -> Result<EntityUid, String> {
    named("Tenant", tenant.as_str())
}

fn role_uid(tenant: &TenantPath, role: &str) -> Result<EntityUid, String> {
    // `#` is in no tenant path, so no two roles share a name.
    named("Role", &format!("{tenant}#{role}"))
}

fn named(type_name: &str, id: &str) -> Result<EntityUid, String> {
    uid(type_name, id).ok_or_else(|| format!("`{type_name}` is not the name of an entity type"))
}

fn reference(uid: EntityUid) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid)
}
