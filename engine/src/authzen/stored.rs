//! What a bundle knows of subjects and resources.

use std::collections::{BTreeMap, HashMap, HashSet};

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid};
use serde_json::{Map, Value};

use super::Type;

/// The member that lists parents.
const PARENTS: &str = "$in";

/// Entities by their names, with all that a policy can come to from each.
#[derive(Debug, Clone, Default)]
pub(super) struct Stored {
    kinds: BTreeMap<String, BTreeMap<String, Map<String, Value>>>,
    links: HashMap<EntityUid, Links>,
}

/// Where a policy can come to from an entity.
#[derive(Debug, Clone)]
struct Links {
    parents: HashSet<EntityUid>,
    /// Parents and entities that attributes name, directly.
    next: Vec<EntityUid>,
}

impl Stored {
    /// Reads `data.authzen.entities`, and gives the entities beside; the error says what is wrong with which.
    pub(super) fn read(
        data: Option<&Value>,
        types: &HashMap<String, Type>,
    ) -> Result<(Self, Vec<Entity>), String> {
        let (mut stored, mut entities) = (Self::default(), Vec::new());
        let Some(data) = data else { return Ok((stored, entities)) };
        let kinds = data.as_object().ok_or("`entities` maps types to ids, like `user: {alice: {}}`")?;
        for (kind, members) in kinds {
            let found = types.get(kind).ok_or_else(|| {
                let near = cku_base::suggest(kind, types.keys().map(String::as_str));
                let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
                format!("there is no type `{kind}` in `authzen.types` or the schema{hint}")
            })?;
            let members = members.as_object().ok_or_else(|| format!("`{kind}` is no object of ids"))?;
            for (id, properties) in members {
                let uid = EntityUid::from_type_name_and_id(found.name.clone(), EntityId::new(id));
                let properties = match properties {
                    Value::Null => Map::new(),
                    Value::Object(properties) => properties.clone(),
                    _ => return Err(format!("the properties of {kind} `{id}` are no object")),
                };
                let known = known(&uid, &properties, found, types);
                let (entity, links) = known.map_err(|why| format!("of the {kind} `{id}` {why}"))?;
                entities.push(entity);
                stored.links.insert(uid, links);
                stored.kinds.entry(kind.clone()).or_default().insert(id.clone(), properties);
            }
        }
        Ok((stored, entities))
    }

    pub(super) fn ids(&self, kind: &str) -> impl Iterator<Item = &str> {
        self.kinds.get(kind).into_iter().flat_map(|ids| ids.keys().map(String::as_str))
    }

    pub(super) fn properties(&self, kind: &str, id: &str) -> Option<&Map<String, Value>> {
        self.kinds.get(kind)?.get(id)
    }

    pub(super) fn parents(&self, uid: &EntityUid) -> HashSet<EntityUid> {
        self.links.get(uid).map(|links| links.parents.clone()).unwrap_or_default()
    }

    /// Adds an entity of those that are stored, and all that a policy can come to from it, each once.
    pub(super) fn reach(&self, from: &EntityUid, all: &Entities, own: &mut Vec<Entity>) {
        let (Some(links), Some(entity)) = (self.links.get(from), all.get(from)) else { return };
        if own.iter().any(|entity| entity.uid() == *from) {
            return;
        }
        own.push(entity.clone());
        for next in &links.next {
            self.reach(next, all, own);
        }
    }
}

fn known(
    uid: &EntityUid,
    properties: &Map<String, Value>,
    found: &Type,
    types: &HashMap<String, Type>,
) -> Result<(Entity, Links), String> {
    let values = found.shape.values(|name| properties.get(name))?;
    let parents = match properties.get(PARENTS) {
        None => HashSet::new(),
        Some(Value::Array(items)) => {
            items.iter().map(|item| parent(item, types)).collect::<Result<_, _>>()?
        }
        Some(_) => return Err(format!("`{PARENTS}` is no list of texts like `group:admins`")),
    };
    let entity = Entity::new(uid.clone(), values.into_iter().collect(), parents.clone());
    let mut named: Vec<(&EntityTypeName, &str)> = Vec::new();
    found.shape.named(properties, &mut named);
    let named =
        named.into_iter().map(|(name, id)| EntityUid::from_type_name_and_id(name.clone(), EntityId::new(id)));
    let next = parents.iter().cloned().chain(named).collect();
    Ok((entity.map_err(|e| e.to_string())?, Links { parents, next }))
}

fn parent(item: &Value, types: &HashMap<String, Type>) -> Result<EntityUid, String> {
    let told = || format!("`{PARENTS}` is no list of texts like `group:admins`: {item}");
    let (kind, id) = item.as_str().and_then(|text| text.split_once(':')).ok_or_else(told)?;
    let found =
        types.get(kind).ok_or_else(|| format!("`{PARENTS}` names the type `{kind}`, which there is not"))?;
    Ok(EntityUid::from_type_name_and_id(found.name.clone(), EntityId::new(id)))
}
