//! Questions of other systems, as the OpenID AuthZEN Authorization API puts them: may this subject do this
//! action to this resource?
//!
//! What they are about is the other system's, so the policies and their schema are apart from those that
//! say who may do what in cku: `authzen/*.cedar` and one `authzen/*.cedarschema`. `data.authzen.entities`
//! holds what is known of subjects and resources, as `type -> id -> properties`; `$in` among the
//! properties lists parents, as `type:id`. `authzen` in bundle.yaml says which type is which entity type,
//! and which actions a Rego rule decides instead.

mod kept;
mod load;
mod shape;
mod stored;

use std::collections::{BTreeMap, HashMap};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityTypeName, EntityUid, PolicySet, Request,
    RestrictedExpression, Schema,
};
use serde_json::{Map, Value};

use crate::access::{Answer, Denial};
pub(crate) use kept::Evaluated;
pub(crate) use load::load;
use shape::Record;
use stored::Stored;

/// A subject or a resource, as a request names it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Thing {
    /// Its type, such as `user`.
    pub kind: String,
    /// Its name among those of its type.
    pub id: String,
    /// What the request says of it.
    pub properties: Map<String, Value>,
}

/// May this subject do this to that?
#[derive(Debug, Clone, Copy)]
pub struct Asked<'q> {
    /// Who.
    pub subject: &'q Thing,
    /// What, such as `can_read`.
    pub action: &'q str,
    /// More of what; policies see it as `context.action`, where the schema declares that.
    pub action_properties: &'q Map<String, Value>,
    /// To what.
    pub resource: &'q Thing,
    /// Around it.
    pub context: &'q Map<String, Value>,
}

/// The policies over questions of other systems.
#[derive(Debug, Clone)]
pub struct Authzen {
    schema: Schema,
    actions: BTreeMap<String, Action>,
    /// The names of all actions, in the order of the schema.
    order: Vec<String>,
    /// Of each type the entity type, and what its properties are.
    types: HashMap<String, Type>,
    /// The entities of actions, which scopes like `action in …` look at, and all that are stored.
    entities: Entities,
    /// The entities of actions alone.
    hierarchy: Vec<Entity>,
    stored: Stored,
    /// Action -> the Rego rule that decides it.
    pub(crate) rego: BTreeMap<String, String>,
}

#[derive(Debug, Clone)]
struct Action {
    uid: EntityUid,
    policies: PolicySet,
    context: Record,
    subjects: Vec<EntityTypeName>,
    resources: Vec<EntityTypeName>,
}

#[derive(Debug, Clone)]
struct Type {
    name: EntityTypeName,
    shape: Record,
    /// Properties of a stored entity that a request may say otherwise.
    open: Vec<String>,
}

impl Authzen {
    /// The Rego rule that decides an action, if one does.
    pub fn rego_of(&self, action: &str) -> Option<&str> {
        self.rego.get(action).map(String::as_str)
    }

    /// The ids of all that is known of a type, in order.
    pub fn ids(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.stored.ids(kind)
    }

    /// The names of the actions that can be asked of such a subject and resource, in the order of the schema.
    pub fn actions(&self, subject: &str, resource: &str) -> Vec<&str> {
        let of = |kind: &str| self.types.get(kind).map(|found| &found.name);
        let (subject, resource) = (of(subject), of(resource));
        let fits = |action: &Action| {
            subject.is_some_and(|name| action.subjects.contains(name))
                && resource.is_some_and(|name| action.resources.contains(name))
        };
        let asked = |name: &&String| self.actions.get(*name).is_none_or(fits);
        self.order.iter().filter(asked).map(String::as_str).collect()
    }

    /// All that is known of a subject or resource. Of one that is stored, that is what is stored, also what it
    /// leaves out; a request adds to it what the bundle says that requests may say, and nothing else.
    pub fn properties<'t>(&'t self, thing: &'t Thing) -> impl Iterator<Item = (&'t str, &'t Value)> {
        let stored = self.stored.properties(&thing.kind, &thing.id);
        let open = self.types.get(&thing.kind).map_or(&[][..], |found| &found.open);
        let wins = move |name: &str| stored.is_none() || open.iter().any(|o| o == name);
        let said = thing.properties.iter().filter(move |(name, _)| wins(name));
        let known = stored
            .into_iter()
            .flatten()
            .filter(move |(name, _)| !(thing.properties.contains_key(name.as_str()) && open.contains(name)));
        said.chain(known).map(|(name, value)| (name.as_str(), value))
    }

    /// Answers a question that Cedar decides; whatever goes wrong is a denial.
    pub fn ask(&self, asked: &Asked<'_>) -> Answer {
        self.try_ask(asked).unwrap_or_else(|why| Answer::Denied(Denial::Error(why)))
    }

    fn try_ask(&self, asked: &Asked<'_>) -> Result<Answer, String> {
        let action = self.actions.get(asked.action);
        let action = action.ok_or_else(|| format!("there is no action `{}`", asked.action))?;
        let (subject, resource) = (self.uid(asked.subject)?, self.uid(asked.resource)?);
        let fits =
            action.subjects.contains(subject.type_name()) && action.resources.contains(resource.type_name());
        let context = self.context(action, asked)?;
        // What the schema says of a request holds already where the types fit: the context was made in the
        // shape of the action's. Where they do not, the schema says what is wrong.
        let schema = (!fits).then_some(&self.schema);
        let own;
        let entities = match self.says_more(asked.subject) || self.says_more(asked.resource) {
            false => &self.entities,
            true => {
                own = self.own((asked.subject, &subject), (asked.resource, &resource))?;
                &own
            }
        };
        let request = Request::new(subject, action.uid.clone(), resource, context, schema)
            .map_err(|e| e.to_string())?;
        let response = Authorizer::new().is_authorized(&request, &action.policies, entities);
        // A policy that errs is skipped by Cedar, a forbid included: so any error is a deny.
        if let Some(error) = crate::cedar::error_of(&response) {
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

    /// Whether an answer depends on nothing but the names in a question: it says nothing more that policies
    /// could see.
    fn is_plain(&self, asked: &Asked<'_>) -> bool {
        let says_nothing = |thing: &Thing| thing.properties.is_empty();
        says_nothing(asked.subject)
            && says_nothing(asked.resource)
            && self.actions.get(asked.action).is_some_and(|action| action.context.is_empty())
    }

    fn uid(&self, thing: &Thing) -> Result<EntityUid, String> {
        let found =
            self.types.get(&thing.kind).ok_or_else(|| format!("there is no type `{}`", thing.kind))?;
        let id = cedar_policy::EntityId::new(&thing.id);
        Ok(EntityUid::from_type_name_and_id(found.name.clone(), id))
    }

    /// Whether a request makes more of a subject or resource than what is stored of it.
    fn says_more(&self, thing: &Thing) -> bool {
        let is_stored = self.stored.properties(&thing.kind, &thing.id).is_some();
        let open = self.types.get(&thing.kind).map_or(&[][..], |found| &found.open);
        !is_stored || open.iter().any(|name| thing.properties.contains_key(name))
    }

    /// The entities of a question whose subject or resource is not as it is stored: these two as the request
    /// has them, and all that a policy can come to from them.
    fn own(&self, subject: (&Thing, &EntityUid), resource: (&Thing, &EntityUid)) -> Result<Entities, String> {
        let mut own = Vec::new();
        for (thing, uid) in [subject, resource] {
            self.stored.reach(uid, &self.entities, &mut own);
            self.given(thing, uid, &mut own)?;
        }
        own.extend(self.hierarchy.iter().cloned());
        Entities::from_entities(own, None).map_err(|e| e.to_string())
    }

    /// The entity of a subject or resource of which the request says something, or that is not stored.
    fn given(&self, thing: &Thing, uid: &EntityUid, own: &mut Vec<Entity>) -> Result<(), String> {
        if !self.says_more(thing) {
            return Ok(());
        }
        let found =
            self.types.get(&thing.kind).ok_or_else(|| format!("there is no type `{}`", thing.kind))?;
        let all: HashMap<&str, &Value> = self.properties(thing).collect();
        let values = found.shape.values(|name| all.get(name).copied());
        let values = values.map_err(|why| format!("of the {} `{}` {why}", thing.kind, thing.id))?;
        let parents = self.stored.parents(uid);
        own.retain(|entity| entity.uid() != *uid);
        let entity = Entity::new(uid.clone(), values.into_iter().collect(), parents);
        own.push(entity.map_err(|e| e.to_string())?);
        Ok(())
    }

    fn context(&self, action: &Action, asked: &Asked<'_>) -> Result<Context, String> {
        if action.context.is_empty() {
            return Ok(Context::empty());
        }
        let properties = Value::Object(asked.action_properties.clone());
        let member = |name: &str| match asked.context.get(name) {
            None if name == "action" => Some(&properties),
            found => found,
        };
        let values: Vec<(String, RestrictedExpression)> =
            action.context.values(member).map_err(|why| format!("of the context {why}"))?;
        Context::from_pairs(values).map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn what_is_stored_decides_as_what_can_be_come_to_from_subject_and_resource() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/authzen/bundle");
        let bundle = crate::Bundle::load(&folder).unwrap();
        let authzen = bundle.authzen().unwrap();
        let things = |kind: &str| -> Vec<Thing> {
            let thing = |id: &str| Thing { kind: kind.to_owned(), id: id.to_owned(), ..Thing::default() };
            authzen.ids(kind).map(thing).collect()
        };
        let (mut asked, mut allowed) = (0, 0);
        for (subject, resource) in things("user")
            .iter()
            .flat_map(|user| things("record").into_iter().map(move |record| (user, record)))
        {
            for (name, action) in &authzen.actions {
                let of = [subject, &resource].map(|thing| authzen.uid(thing).unwrap());
                let answers = |entities: &Entities| {
                    let [subject, resource] = of.clone();
                    let request =
                        Request::new(subject, action.uid.clone(), resource, Context::empty(), None).unwrap();
                    Authorizer::new().is_authorized(&request, &action.policies, entities).decision()
                };
                let own = authzen.own((subject, &of[0]), (&resource, &of[1])).unwrap();
                let decision = answers(&authzen.entities);
                assert_eq!(decision, answers(&own), "{subject:?} {name} {resource:?}");
                asked += 1;
                allowed += usize::from(decision == Decision::Allow);
            }
        }
        assert!(allowed > 0 && allowed < asked, "{allowed} of {asked}");
    }
}
