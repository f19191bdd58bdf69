//! Questions of other systems: the published cases of the AuthZEN working group, and what is denied.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{path::Path, sync::Arc};

use cku_engine::{
    Bundle, Sources, Worker,
    access::{Answer, Denial},
    authzen::{Asked, Thing},
};
use serde_json::{Map, Value, json};

fn repository() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn bundle() -> Arc<Bundle> {
    Arc::new(Bundle::load(&repository().join("testdata/authzen/bundle")).unwrap())
}

fn cases(name: &str) -> Value {
    let path = repository().join("testdata/authzen/cases").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

fn thing(value: &Value) -> Thing {
    let text = |member: &str| value[member].as_str().unwrap_or_default().to_owned();
    let properties = value["properties"].as_object().cloned().unwrap_or_default();
    Thing { kind: text("type"), id: text("id"), properties }
}

fn ask(worker: &mut Worker, request: &Value) -> Answer {
    let (subject, resource) = (thing(&request["subject"]), thing(&request["resource"]));
    let (none, context) = (Map::new(), request["context"].as_object().cloned().unwrap_or_default());
    let action = request["action"]["name"].as_str().unwrap();
    let (subject, resource, context) = (&subject, &resource, &context);
    worker.evaluate(&Asked { subject, action, action_properties: &none, resource, context })
}

#[test]
fn the_published_decisions_come_out() {
    let mut worker = Worker::new(bundle());
    for name in ["todo-decisions.json", "api-gateway-decisions.json"] {
        for case in cases(name)["evaluation"].as_array().unwrap() {
            let answer = ask(&mut worker, &case["request"]);
            assert_eq!(answer.is_allowed(), case["expected"] == true, "{case}: {answer:?}");
        }
    }
}

#[test]
fn what_is_known_of_a_subject_is_not_for_a_request_to_say() {
    let mut worker = Worker::new(bundle());
    let claims = json!({
        "subject": {"type": "user", "id": "carol", "properties": {"role": "manager", "roles": ["admin"]}},
        "action": {"name": "edit"}, "resource": {"type": "record", "id": "101"},
    });
    assert!(!ask(&mut worker, &claims).is_allowed(), "her role is stored");
    // Nor is what is left out: carol has no roles in the todo application.
    let roles = json!({
        "subject": {"type": "user", "id": "carol", "properties": {"roles": ["admin"]}},
        "action": {"name": "can_delete_todo"}, "resource": {"type": "todo", "id": "1"},
    });
    assert!(!ask(&mut worker, &roles).is_allowed());
    let unknown = json!({
        "subject": {"type": "user", "id": "zoe", "properties": {"role": "manager", "unheard": 1}},
        "action": {"name": "view"}, "resource": {"type": "record", "id": "101"},
    });
    assert!(ask(&mut worker, &unknown).is_allowed(), "nothing is stored of her, and the rest is passed over");
}

#[test]
fn whatever_goes_wrong_is_a_denial_that_says_so() {
    let mut worker = Worker::new(bundle());
    let mut told = String::new();
    for (what, request) in [
        (
            "no such action",
            json!({"subject": {"type": "user", "id": "a"}, "action": {"name": "fly"}, "resource": {"type": "record", "id": "101"}}),
        ),
        (
            "no such type",
            json!({"subject": {"type": "usr", "id": "a"}, "action": {"name": "view"}, "resource": {"type": "record", "id": "101"}}),
        ),
        (
            "another resource",
            json!({"subject": {"type": "user", "id": "alice"}, "action": {"name": "view"}, "resource": {"type": "todo", "id": "1"}}),
        ),
        (
            "a property is missing",
            json!({"subject": {"type": "identity", "id": "x"}, "action": {"name": "POST"}, "resource": {"type": "route", "id": "/"}}),
        ),
        (
            "a property is something else",
            json!({"subject": {"type": "identity", "id": "x", "properties": {"roles": "admin"}}, "action": {"name": "POST"}, "resource": {"type": "route", "id": "/"}}),
        ),
    ] {
        let Answer::Denied(Denial::Error(why)) = ask(&mut worker, &request) else { panic!("{what}") };
        told.push_str(&format!("{what}: {why}\n"));
    }
    insta::assert_snapshot!(told);
}

/// A bundle of these files beside a manifest.
fn small(manifest: &str, files: &[(&str, &str)]) -> Result<Arc<Bundle>, String> {
    let manifest = ("bundle.yaml", manifest);
    let bundle = Bundle::from_sources(Sources::from_files(files.iter().copied().chain([manifest])));
    let told = |e: cku_engine::LoadError| {
        let told: Vec<String> = e.diagnostics.iter().map(|d| format!("{} {}", d.code, d.message)).collect();
        told.join("; ")
    };
    bundle.map(Arc::new).map_err(told)
}

const SCHEMA: &str = "
namespace Files {
  type Times = { created: datetime };
  entity Group in [Group];
  entity User in [Group] { level: Long, manager?: User };
  entity File { owner: User, shared: Set<User>, times: Times };
  action open appliesTo { principal: [User], resource: [File], context: { mfa?: Bool, action: { how: String } } };
}
";

const POLICY: &str = "
@id(\"open\")
permit (principal in Files::Group::\"staff\", action == Files::Action::\"open\", resource)
when {
  resource.owner has manager && resource.owner.manager == principal && resource.times.created < datetime(\"2026-01-01\") &&
  context has mfa && context.mfa && context.action.how == \"read\"
};
";

const MANIFEST: &str = "
name: files
modes: [dev]
authzen:
  types: { user: Files::User, group: Files::Group, file: Files::File }
  request_wins: { user: [level] }
  rego: { may_print: data.printing.allow }
";

const ENTITIES: &str = "
group: { engineers: { $in: [\"group:staff\"] }, staff: {} }
user:
  ada: { level: 3, $in: [\"group:engineers\"] }
  bo: { level: 1, manager: ada }
file:
  plan: { owner: bo, shared: [bo, ada], times: { created: \"2025-05-01\" } }
";

const REGO: &str = "package printing\n\nimport rego.v1\n\nallow if {\n\tinput.subject.properties.level >= 2\n\tinput.action.name == \"may_print\"\n}\n";

#[test]
fn parents_references_records_and_rego_rules_count() {
    let files = [
        ("authzen/a.cedarschema", SCHEMA),
        ("authzen/a.cedar", POLICY),
        ("printing.rego", REGO),
        ("data/authzen/entities.yaml", ENTITIES),
    ];
    let mut worker = Worker::new(small(MANIFEST, &files).unwrap());
    let authzen = worker.bundle().authzen().unwrap();
    assert_eq!(authzen.actions("user", "file"), ["open", "may_print"]);
    assert_eq!(authzen.ids("user").collect::<Vec<_>>(), ["ada", "bo"]);
    let (context, read) = (json!({"mfa": true}), json!({"how": "read"}));
    let mut open = |subject: Thing, resource: &str, action: &str, how: &Value| {
        let resource = Thing { kind: "file".to_owned(), id: resource.to_owned(), properties: Map::new() };
        let (context, how) = (context.as_object().unwrap(), how.as_object().unwrap());
        worker.evaluate(&Asked {
            subject: &subject,
            action,
            action_properties: how,
            resource: &resource,
            context,
        })
    };
    let user = |id: &str, properties: Value| Thing {
        kind: "user".to_owned(),
        id: id.to_owned(),
        properties: properties.as_object().unwrap().clone(),
    };
    assert!(open(user("ada", json!({})), "plan", "open", &read).is_allowed(), "through the owner's manager");
    assert!(!open(user("bo", json!({})), "plan", "open", &read).is_allowed());
    assert!(!open(user("ada", json!({})), "plan", "open", &json!({"how": "write"})).is_allowed());
    assert!(!open(user("ada", json!({})), "none", "open", &read).is_allowed(), "it is not known");
    assert!(open(user("ada", json!({"level": 9})), "plan", "open", &read).is_allowed(), "her parents stay");
    assert!(open(user("ada", json!({})), "plan", "may_print", &read).is_allowed());
    assert!(!open(user("bo", json!({})), "plan", "may_print", &read).is_allowed());
    assert!(
        open(user("bo", json!({"level": 2})), "plan", "may_print", &read).is_allowed(),
        "a request may say it"
    );
}

#[test]
fn what_does_not_fit_together_is_refused_at_load() {
    let all = [("authzen/a.cedarschema", SCHEMA), ("authzen/a.cedar", POLICY), ("printing.rego", REGO)];
    let with = |path: &'static str, text: &'static str| {
        let kept = all.iter().copied().filter(|(other, _)| *other != path);
        small(MANIFEST, &kept.chain([(path, text)]).collect::<Vec<_>>()).unwrap_err()
    };
    let mut told = String::new();
    for (what, refused) in [
        ("a policy without a schema", small("{name: x, modes: [dev]}", &all[1..2]).unwrap_err()),
        ("a mapping without a schema", small(MANIFEST, &[]).unwrap_err()),
        ("two schemas", with("authzen/b.cedarschema", "entity A;")),
        (
            "an unknown property",
            with(
                "authzen/a.cedar",
                "@id(\"x\") permit (principal is Files::User, action, resource) when { principal.lvl == 1 };",
            ),
        ),
        (
            "a type that is not declared",
            small(&MANIFEST.replace("Files::File", "Files::Fil"), &all).unwrap_err(),
        ),
        (
            "a rule that is not there",
            small(&MANIFEST.replace("printing.allow", "printing.alow"), &all).unwrap_err(),
        ),
        (
            "an action of cku's own",
            small(&MANIFEST.replace("may_print", "\"run:create\""), &all).unwrap_err(),
        ),
        (
            "a rule for an action of the schema",
            small(&MANIFEST.replace("may_print", "open"), &all).unwrap_err(),
        ),
        (
            "groups in each other",
            with(
                "data/authzen/entities.yaml",
                "group: { a: { $in: [\"group:b\"] }, b: { $in: [\"group:a\"] } }",
            ),
        ),
        (
            "a property of an unknown type",
            small(&MANIFEST.replace("{ user: [level]", "{ usr: [level]"), &all).unwrap_err(),
        ),
        ("entities of an unknown type", with("data/authzen/entities.yaml", "usr: {ada: {level: 1}}")),
        ("an entity that lacks something", with("data/authzen/entities.yaml", "user: {ada: {}}")),
        (
            "a parent that is none",
            with("data/authzen/entities.yaml", "user: {ada: {level: 1, $in: [staff]}}"),
        ),
        ("a misspelt member", small(&MANIFEST.replace("request_wins", "request_win"), &all).unwrap_err()),
    ] {
        told.push_str(&format!("{what}: {refused}\n"));
    }
    insta::assert_snapshot!(told);
}
