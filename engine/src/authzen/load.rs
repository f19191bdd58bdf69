//! Reading the policies over questions of other systems, with every problem noted.

use std::{
    collections::{BTreeMap, HashMap},
    str::FromStr,
};

use cedar_policy::{Entity, EntityTypeName, Policy, PolicySet, Schema, SchemaFragment};
use cku_base::diagnostic::{Diagnostic, Place};
use serde_json::Value;

use super::{Action, Authzen, Type, shape::Shapes, stored::Stored};
use crate::{
    cedar::{self, access::applies},
    manifest::{MANIFEST_FILE, Manifest},
    source::{BundleFile, FileKind, Sources},
};

/// Reads them, if the bundle has any.
pub(crate) fn load(
    sources: &Sources,
    manifest: &Manifest,
    data: &Value,
    problems: &mut Vec<Diagnostic>,
) -> Option<Authzen> {
    let files: Vec<&BundleFile> = sources.of_kind(FileKind::AuthzenSchema).collect();
    let file = match files.as_slice() {
        [] => {
            let stray = sources.of_kind(FileKind::AuthzenCedar).map(|file| file.path.as_str());
            let named = (manifest.authzen != Default::default()).then_some(MANIFEST_FILE);
            for path in stray.chain(named) {
                let help =
                    "add `authzen/schema.cedarschema` with the entity types and actions of the other system";
                let problem = Diagnostic::error("C001", "policies for AuthZEN without a schema");
                problems.push(problem.at(Place::whole_file(path)).help(help));
            }
            return None;
        }
        [file] => *file,
        [_, second, ..] => {
            let problem = Diagnostic::error("C001", "a second schema for AuthZEN");
            problems.push(problem.at(Place::whole_file(&second.path)).help("keep one in `authzen/`"));
            return None;
        }
    };
    let schema = cedar::parse_schema(&file.path, &file.text, manifest.limits.nesting);
    let schema = schema.map_err(|found| problems.extend(found)).ok()?;
    let policies = policies(sources, manifest, &schema, problems)?;
    let built = build(&file.text, schema, &policies, manifest, data);
    let refused = |(place, why): Wrong| {
        let place = Place::whole_file(place.unwrap_or(&file.path));
        problems.push(Diagnostic::error("B012", why).at(place));
    };
    built.map_err(refused).ok()
}

/// Why entities do not fit together. Which of those in a circle Cedar names is a matter of chance, so none is.
fn why(error: &dyn std::error::Error) -> String {
    let behind = std::iter::successors(error.source(), |error| error.source());
    let told = behind.fold(error.to_string(), |told, error| format!("{told}: {error}"));
    match told.contains("cycle") {
        true => "the parents in `$in` go round in a circle".to_owned(),
        false => format!("the entities do not fit together: {told}"),
    }
}

fn policies(
    sources: &Sources,
    manifest: &Manifest,
    schema: &Schema,
    problems: &mut Vec<Diagnostic>,
) -> Option<Vec<Policy>> {
    let (mut policies, mut places, mut fine) = (Vec::new(), HashMap::new(), true);
    for file in sources.of_kind(FileKind::AuthzenCedar) {
        match cedar::parse_policies(&file.path, &file.text, schema, manifest.limits.nesting) {
            Ok((read, warnings)) => {
                problems.extend(warnings);
                for policy in read {
                    let id = policy.id().to_string();
                    let place = cedar::place_of_id(&file.path, &file.text, &id);
                    if let Some(first) = places.insert(id.clone(), place.clone()) {
                        let message = format!("two policies have the id `{id}`; the other is at {first}");
                        problems.push(Diagnostic::error("C005", message).at(place));
                        fine = false;
                    }
                    policies.push(policy);
                }
            }
            Err(found) => {
                problems.extend(found);
                fine = false;
            }
        }
    }
    fine.then_some(policies)
}

/// The action that starts work, over which the gates decide.
const RUN_CREATE: &str = "run:create";

/// What is wrong, and in which file, where it is not the schema.
type Wrong = (Option<&'static str>, String);

fn build(
    text: &str,
    schema: Schema,
    policies: &[Policy],
    manifest: &Manifest,
    data: &Value,
) -> Result<Authzen, Wrong> {
    let of_schema = |why: String| (None, why);
    let hierarchy = schema.action_entities().map_err(|e| of_schema(e.to_string()))?;
    let (fragment, _) = SchemaFragment::from_cedarschema_str(text).map_err(|e| of_schema(e.to_string()))?;
    let json = fragment.to_json_value().map_err(|e| of_schema(e.to_string()))?;
    let shapes = Shapes::new(&json).ok_or_else(|| of_schema("the schema has no JSON form".to_owned()))?;
    let types = types(&shapes, manifest)?;
    let mut actions = BTreeMap::new();
    for uid in schema.actions() {
        let name = AsRef::<str>::as_ref(uid.id()).to_owned();
        let fitting = policies.iter().filter(|policy| applies(policy, uid, &hierarchy)).cloned();
        let action = Action {
            uid: uid.clone(),
            policies: PolicySet::from_policies(fitting).map_err(|e| of_schema(e.to_string()))?,
            context: shapes.context(&name).map_err(of_schema)?,
            subjects: schema.principals_for_action(uid).into_iter().flatten().cloned().collect(),
            resources: schema.resources_for_action(uid).into_iter().flatten().cloned().collect(),
        };
        if actions.insert(name.clone(), action).is_some() {
            return Err(of_schema(format!(
                "two actions are named `{name}`; keep one, outside of namespaces"
            )));
        }
    }
    if let Some(action) = manifest.authzen.rego.keys().find(|action| actions.contains_key(*action)) {
        let why =
            format!("`authzen.rego` decides `{action}`, which is an action of the schema, too; keep one");
        return Err((Some(MANIFEST_FILE), why));
    }
    if actions.contains_key(RUN_CREATE) || manifest.authzen.rego.contains_key(RUN_CREATE) {
        let why =
            format!("`{RUN_CREATE}` is cku's own: it goes through the gates; name the action otherwise");
        return Err((None, why));
    }
    let stored = Stored::read(data.pointer("/authzen/entities"), &types);
    let of_data = |why: String| (Some("data/authzen"), why);
    let (stored, known) = stored.map_err(of_data)?;
    // In the order in which they are declared: that is how people list them.
    let mut order: Vec<String> = actions.keys().cloned().collect();
    order.sort_by_key(|name| declared_at(text, name));
    order.extend(manifest.authzen.rego.keys().cloned());
    let of_actions: Vec<Entity> = hierarchy.iter().cloned().collect();
    let entities = hierarchy.add_entities(known, None).map_err(|error| of_data(why(&error)))?;
    let rego = manifest.authzen.rego.clone();
    Ok(Authzen { schema, order, actions, types, entities, hierarchy: of_actions, stored, rego })
}

/// Where a schema declares an action: where its name stands as a word of its own.
fn declared_at(text: &str, name: &str) -> Option<usize> {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    let alone = |at: &usize| {
        let before = text.get(..*at).and_then(|before| before.chars().next_back());
        let after = text.get(at + name.len()..).and_then(|after| after.chars().next());
        !before.is_some_and(part_of_a_name) && !after.is_some_and(part_of_a_name)
    };
    text.match_indices(name).map(|(at, _)| at).find(alone)
}

/// Of each type what it is: as the manifest says, or the entity type of that name.
fn types(shapes: &Shapes<'_>, manifest: &Manifest) -> Result<HashMap<String, Type>, Wrong> {
    let mut entities = shapes.entities().map_err(|why| (None, why))?;
    let mut types = HashMap::new();
    let known: Vec<String> = entities.keys().cloned().collect();
    let named = manifest.authzen.types.iter().map(|(kind, name)| (kind.clone(), name.clone()));
    let same = known.iter().filter(|name| !manifest.authzen.types.values().any(|taken| taken == *name));
    for (kind, name) in named.chain(same.map(|name| (name.clone(), name.clone()))) {
        let shape = entities.remove(&name).ok_or_else(|| {
            let near = cku_base::suggest(&name, known.iter().map(String::as_str));
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            let why = format!(
                "`authzen.types` says that `{kind}` is `{name}`, which the schema does not declare{hint}"
            );
            (Some(MANIFEST_FILE), why)
        })?;
        let open = manifest.authzen.request_wins.get(&kind).cloned().unwrap_or_default();
        let name = EntityTypeName::from_str(&name).map_err(|e| (None, e.to_string()))?;
        types.insert(kind, Type { name, shape, open });
    }
    match manifest.authzen.request_wins.keys().find(|kind| !types.contains_key(*kind)) {
        None => Ok(types),
        Some(kind) => Err((
            Some(MANIFEST_FILE),
            format!("`authzen.request_wins` names the type `{kind}`, which there is not"),
        )),
    }
}
