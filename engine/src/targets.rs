//! The targets that a bundle knows: `data.entities`, as `kind` -> `tenant/name` -> attributes.

use std::collections::{BTreeMap, HashMap};

use cku_base::{
    TenantPath,
    diagnostic::{Diagnostic, Place},
    suggest,
};
use serde_json::Value;

use crate::{
    access::{AttributeValue, Denial, Resource},
    cedar::access::AccessPolicies,
    manifest::Manifest,
};

/// Where the entities of targets are.
pub(crate) const ENTITIES: &str = "data/entities";

/// The known targets, by their text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Targets {
    kinds: BTreeMap<String, String>,
    known: HashMap<String, Resource>,
}

impl Targets {
    /// Reads `data.entities` and checks each entity against the access schema.
    pub(crate) fn load(
        data: &Value,
        file: &str,
        manifest: &Manifest,
        access: Option<&AccessPolicies>,
        problems: &mut Vec<Diagnostic>,
    ) -> Self {
        let mut targets = Self { kinds: manifest.targets.clone(), known: HashMap::new() };
        let Some(entities) = data.get("entities") else { return targets };
        let mut refuse = |message: String| {
            problems.push(Diagnostic::error("B007", message).at(Place::whole_file(file)));
        };
        let Value::Object(kinds) = entities else {
            refuse("`entities` maps kinds to targets, like `service: {acme/api: {}}`".to_owned());
            return targets;
        };
        for (kind, members) in kinds {
            let Some(type_name) = manifest.targets.get(kind) else {
                let near = suggest(kind, manifest.targets.keys().map(String::as_str));
                let hint = near.map_or_else(String::new, |n| format!("; did you mean `{n}`?"));
                refuse(format!("the kind `{kind}` is not one of `targets` in bundle.yaml{hint}"));
                continue;
            };
            if !members.is_object() && !members.is_null() {
                refuse(format!("`{kind}` is no object of targets; write `{kind}: {{acme/api: {{}}}}`"));
            }
            for (path, attributes) in members.as_object().into_iter().flatten() {
                let text = format!("{kind}:{path}");
                match resource(type_name, path, attributes) {
                    Ok(resource) => {
                        let fits = access.map_or(Ok(()), |a| a.check_resource(&resource));
                        if let Err(error) = fits {
                            refuse(format!("the target `{text}` does not fit the access schema: {error}"));
                        }
                        targets.known.insert(text, resource);
                    }
                    Err(error) => refuse(format!("the target `{text}` {error}")),
                }
            }
        }
        targets
    }

    /// The entity of a target text.
    pub(crate) fn find(&self, text: &str) -> Result<&Resource, Denial> {
        let (kind, path) = text.split_once(':').ok_or(Denial::MalformedTarget)?;
        split(path).ok_or(Denial::MalformedTarget)?;
        if !self.kinds.contains_key(kind) {
            return Err(Denial::UnmappedKind);
        }
        self.known.get(text).ok_or(Denial::UnknownTarget)
    }
}

/// The owning tenant and the name of `acme/payments/api`.
fn split(path: &str) -> Option<(TenantPath, &str)> {
    let (tenant, name) = path.rsplit_once('/')?;
    (!name.is_empty()).then_some(())?;
    Some((tenant.parse().ok()?, name))
}

fn resource(type_name: &str, path: &str, attributes: &Value) -> Result<Resource, String> {
    let (tenant, _) = split(path).ok_or("is not written `tenant/name`")?;
    let members = match attributes {
        Value::Null => None,
        Value::Object(members) => Some(members),
        _ => return Err("has attributes that are no object".to_owned()),
    };
    let attributes = members.into_iter().flatten().map(|(name, value)| {
        let value = AttributeValue::from_json(value).ok_or_else(|| {
            format!("has an attribute `{name}` that is no text, integer, Boolean or list of texts")
        })?;
        Ok((name.clone(), value))
    });
    Ok(Resource {
        type_name: type_name.to_owned(),
        id: path.to_owned(),
        tenant,
        attributes: attributes.collect::<Result<_, String>>()?,
    })
}
