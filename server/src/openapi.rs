//! What the server answers, as an OpenAPI 3.1 document.
//!
//! [`ENDPOINTS`] is the list: each with what it takes and which statuses it gives. Tests hold the list
//! against the router, and the document against the running server.

use serde_json::{Map, Value, json};

use crate::{
    answer::{self, Answer},
    context::Shared,
};

/// One thing that can be asked.
pub(crate) struct Endpoint {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    summary: &'static str,
    /// The schema of its body; none where it has none.
    body: Option<&'static str>,
    /// Names of members of its query.
    query: &'static [&'static str],
    statuses: &'static [u16],
}

const fn get(
    path: &'static str,
    summary: &'static str,
    query: &'static [&'static str],
    statuses: &'static [u16],
) -> Endpoint {
    Endpoint { method: "get", path, summary, body: None, query, statuses }
}

const fn post(
    path: &'static str,
    summary: &'static str,
    body: &'static str,
    statuses: &'static [u16],
) -> Endpoint {
    Endpoint { method: "post", path, summary, body: Some(body), query: &[], statuses }
}

/// What everything that is asked with a token and a body can come to.
const ASKED: &[u16] = &[200, 400, 401, 403, 408, 413, 415, 429, 503];
const ACTED: &[u16] = &[200, 400, 401, 403, 404, 408, 409, 413, 415, 429, 503];
const MADE: &[u16] = &[201, 400, 401, 403, 404, 408, 409, 413, 415, 429, 503];
const SEEN: &[u16] = &[200, 400, 401, 403, 404, 429, 503];
const FREE: &[u16] = &[200];

/// All of it.
pub(crate) const ENDPOINTS: &[Endpoint] = &[
    post(
        "/access/v1/evaluation",
        "AuthZEN: may this subject do this?",
        "Evaluation",
        &[200, 400, 401, 403, 404, 408, 409, 413, 415, 429, 503],
    ),
    post(
        "/access/v1/evaluations",
        "AuthZEN: many questions",
        "Evaluations",
        &[200, 400, 401, 403, 404, 408, 409, 413, 415, 429, 503],
    ),
    post("/access/v1/search/subject", "AuthZEN: who may?", "SearchSubject", ASKED),
    post("/access/v1/search/resource", "AuthZEN: what to?", "SearchResource", ASKED),
    post("/access/v1/search/action", "AuthZEN: which actions?", "SearchAction", ASKED),
    post(
        "/access/v1/requests",
        "Request approval of work that pauses",
        "AccessRequest",
        &[202, 400, 401, 403, 404, 408, 409, 413, 415, 429, 503],
    ),
    get("/access/v1/requests/{id}", "Whether it was approved", &[], SEEN),
    get("/.well-known/authzen-configuration", "AuthZEN: where all of this is", &[], FREE),
    post("/v1/decide", "The gates over a submission", "Decide", ASKED),
    post("/v1/decide/batch", "The gates over many", "DecideBatch", ASKED),
    get("/v1/decisions/{id}", "What was decided, and why", &[], SEEN),
    post("/v1/runs", "Submit a run", "Run", MADE),
    get("/v1/runs", "Runs that whoever asks may see", &["tenant", "status", "after", "limit"], SEEN),
    get("/v1/runs/{id}", "A run", &[], SEEN),
    get("/v1/runs/{id}/timeline", "Its entries", &[], SEEN),
    post("/v1/runs/{id}/gates", "Ask the gates again", "Nothing", ACTED),
    post("/v1/runs/{id}/approvals", "Approve or refuse a gate", "Approval", ACTED),
    post("/v1/runs/{id}/votes", "Vote", "Vote", ACTED),
    post("/v1/runs/{id}/heal", "Say what is done about a failed step", "Heal", ACTED),
    post("/v1/runs/{id}/cancel", "End it where it stands", "Reason", ACTED),
    post("/v1/runs/{id}/outcome", "Say what was found out later", "Outcome", ACTED),
    get("/v1/approvals", "What waits for whoever asks", &[], SEEN),
    post("/v1/diffs", "Propose a policy diff", "Proposal", MADE),
    get("/v1/diffs", "Policy diffs", &[], SEEN),
    get("/v1/diffs/{id}", "The review of one", &[], &[200, 400, 401, 403, 404, 409, 429, 503]),
    post("/v1/diffs/{id}/check", "Find everything out anew", "Nothing", ACTED),
    post("/v1/diffs/{id}/approve", "Approve it", "Consent", ACTED),
    post("/v1/diffs/{id}/refuse", "Refuse it", "Consent", ACTED),
    post("/v1/diffs/{id}/withdraw", "Take it away", "Why", ACTED),
    post("/v1/diffs/{id}/activate", "Make it active, or try it", "Activation", ACTED),
    post("/v1/diffs/{id}/rollback", "Take it back", "Why", ACTED),
    get("/v1/bundles", "What decides where", &[], SEEN),
    get("/v1/roles", "Who holds which role", &["tenant"], SEEN),
    post("/v1/roles", "Grant a role, or take it away", "RoleChange", ACTED),
    post("/v1/killswitch", "Stop everything, or let it go on", "Switch", ACTED),
    post("/v1/freeze", "Freeze releases for a time", "Freeze", ACTED),
    get("/v1/journal", "A tenant's entries", &["tenant", "after", "limit"], SEEN),
    get(
        "/v1/reliability",
        "How skills, agents, gates, voters and tenants turned out",
        &["tenant", "kind"],
        SEEN,
    ),
    get("/v1/session", "Who asks", &[], SEEN),
    post("/v1/sessions/revoke", "Refuse one token from now on", "TokenRevocation", ACTED),
    post("/v1/service-accounts", "Open a service account", "ServiceAccount", MADE),
    get("/v1/service-accounts", "Service accounts of a tenant and below", &["tenant"], SEEN),
    get("/v1/service-accounts/{id}", "A service account and its tokens", &["tenant"], SEEN),
    post("/v1/service-accounts/{id}/close", "Close it for good", "AccountReason", ACTED),
    post("/v1/service-accounts/{id}/tokens", "Issue a token, which is shown once", "TokenWanted", MADE),
    get(
        "/v1/service-accounts/{id}/tokens",
        "Its tokens: when they end, not what they are",
        &["tenant"],
        SEEN,
    ),
    post(
        "/v1/service-accounts/{id}/tokens/{token}/revoke",
        "Refuse one of its tokens",
        "AccountReason",
        ACTED,
    ),
    get("/healthz", "It lives", &[], FREE),
    get("/readyz", "Whether it can decide", &[], &[200, 503]),
    get("/metrics", "For Prometheus", &[], FREE),
    get("/openapi.json", "This", &[], FREE),
];

/// `GET /openapi.json`
pub(crate) fn document(shared: &Shared) -> Answer {
    answer::json(&describe(&shared.public_url))
}

fn describe(url: &str) -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for endpoint in ENDPOINTS {
        let path = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Some(members) = path.as_object_mut() {
            members.insert(endpoint.method.to_owned(), operation(endpoint));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "cku", "version": env!("CARGO_PKG_VERSION"),
            "description": "Decisions, each in the journal before it is answered.",
        },
        "servers": [{"url": url}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": schemas(),
        },
    })
}

fn operation(endpoint: &Endpoint) -> Value {
    let mut operation = Map::new();
    operation.insert("summary".to_owned(), json!(endpoint.summary));
    let in_path = endpoint.path.split(['{', '}']).skip(1).step_by(2).map(|name| {
        json!({"name": name, "in": "path", "required": true, "schema": {"type": "string", "minLength": 1, "pattern": "^[^/]+$"}})
    });
    let query = endpoint.query.iter().map(|name| {
        let kind = if matches!(*name, "limit" | "after") && endpoint.path == "/v1/journal" || *name == "limit"
        {
            json!({"type": "integer", "minimum": 0})
        } else {
            json!({"type": "string"})
        };
        json!({"name": name, "in": "query", "schema": kind})
    });
    let parameters: Vec<Value> = in_path.chain(query).collect();
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), Value::Array(parameters));
    }
    if let Some(body) = endpoint.body {
        let schema = json!({"$ref": format!("#/components/schemas/{body}")});
        let content = json!({"application/json": {"schema": schema}});
        operation.insert("requestBody".to_owned(), json!({"required": true, "content": content}));
    }
    let mut responses = Map::new();
    for status in endpoint.statuses {
        responses.insert(status.to_string(), response(endpoint, *status));
    }
    operation.insert("responses".to_owned(), Value::Object(responses));
    if endpoint.statuses.len() <= 2 {
        operation.insert("security".to_owned(), json!([]));
    }
    Value::Object(operation)
}

fn response(endpoint: &Endpoint, status: u16) -> Value {
    if status >= 400 && endpoint.path != "/readyz" {
        let schema = json!({"$ref": "#/components/schemas/Problem"});
        return json!({"description": "what is wrong", "content": {"application/problem+json": {"schema": schema}}});
    }
    match endpoint.path {
        "/metrics" => {
            json!({"description": "metrics", "content": {"text/plain": {"schema": {"type": "string"}}}})
        }
        _ => {
            json!({"description": "the answer", "content": {"application/json": {"schema": {"type": "object"}}}})
        }
    }
}

/// An object whose members are these; those with `!` must be there.
fn object(members: &[(&str, Value)]) -> Value {
    let named = members.iter().map(|(name, schema)| (name.trim_end_matches('!').to_owned(), schema.clone()));
    let required: Vec<&str> = members.iter().filter_map(|(name, _)| name.strip_suffix('!')).collect();
    let named: Map<String, Value> = named.collect();
    json!({"type": "object", "properties": named, "required": required})
}

fn schemas() -> Value {
    let text = || json!({"type": "string"});
    let named = || json!({"type": "string", "minLength": 1});
    let free = || json!({"type": "object"});
    let number = || json!({"type": "integer", "minimum": 0});
    let of = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let thing = object(&[("type!", named()), ("id!", named()), ("properties", free())]);
    let kind = object(&[("type!", named()), ("properties", free())]);
    let action = object(&[("name!", named()), ("properties", free())]);
    let page = object(&[("token", text()), ("limit", json!({"type": "integer", "minimum": 1}))]);
    let (submission, parts) = hoisted(cku_gates::submission_schema());
    let decide = object(&[
        ("tenant", text()),
        ("mode!", named()),
        ("at_least", number()),
        ("submission!", of("RunSubmission")),
    ]);
    let digest = || json!({"type": "string", "pattern": "^sha256:[0-9a-f]{64}$"});
    let mut schemas = json!({
        "Problem": object(&[("type!", text()), ("title!", text()), ("status!", number()), ("detail!", text())]),
        "Thing": thing, "Kind": kind, "Action": action, "Page": page, "RunSubmission": submission,
        "Nothing": object(&[]),
        "Evaluation": object(&[("subject!", of("Thing")), ("action!", of("Action")), ("resource!", of("Thing")), ("context", free())]),
        "Evaluations": object(&[
            ("subject", of("Thing")), ("action", of("Action")), ("resource", of("Thing")), ("context", free()),
            ("evaluations", json!({"type": "array", "items": free()})),
            ("options", object(&[("evaluations_semantic", json!({"enum": ["execute_all", "deny_on_first_deny", "permit_on_first_permit"]}))])),
        ]),
        "SearchSubject": object(&[("subject!", of("Kind")), ("action!", of("Action")), ("resource!", of("Thing")), ("context", free()), ("page", of("Page"))]),
        "SearchResource": object(&[("subject!", of("Thing")), ("action!", of("Action")), ("resource!", of("Kind")), ("context", free()), ("page", of("Page"))]),
        "SearchAction": object(&[("subject!", of("Thing")), ("resource!", of("Thing")), ("context", free()), ("page", of("Page"))]),
        "AccessRequest": object(&[("binding_token!", digest()), ("request!", of("Evaluation"))]),
        "Decide": decide,
        "DecideBatch": object(&[("decisions!", json!({"type": "array", "minItems": 1, "items": free()}))]),
        "Run": object(&[("tenant", text()), ("mode!", named()), ("submission!", of("RunSubmission"))]),
        "Approval": object(&[
            ("gate!", named()), ("decision!", json!({"enum": ["approve", "refuse"]})), ("reason", text()),
            ("expires", text()), ("subject", digest()),
        ]),
        "Vote": object(&[
            ("part!", json!({"enum": ["person", "planner", "builder", "reviewer", "security"]})),
            ("vote!", json!({"enum": ["approve", "revise", "reject"]})),
            ("confidence", json!({"type": "number", "minimum": 0, "maximum": 1})),
        ]),
        "Heal": object(&[("step!", named()), ("strategy!", json!({"enum": ["retry", "skip", "rollback", "abort"]})), ("reason", text())]),
        "TokenRevocation": object(&[
            ("token", text()), ("issuer", text()), ("token_id", text()), ("tenant", text()), ("reason", text()),
        ]),
        "ServiceAccount": object(&[("name!", named()), ("tenant", text()), ("purpose", text())]),
        "TokenWanted": object(&[
            ("tenant", text()), ("expires", text()), ("rotate", json!({"type": "boolean"})), ("grace", text()),
        ]),
        "AccountReason": object(&[("tenant", text()), ("reason", text())]),
        "Reason": object(&[("reason", text())]),
        "Why": object(&[("reason!", text())]),
        "Outcome": object(&[("label!", named()), ("at", text()), ("note", text())]),
        "Proposal": object(&[
            ("title!", named()), ("files!", json!({"type": "object", "additionalProperties": {"type": "string"}})),
            ("modes", json!({"type": "array", "items": {"type": "string"}})), ("change_control", json!({"type": "boolean"})),
            ("expires", text()), ("base", digest()),
        ]),
        "Consent": object(&[("reason!", text()), ("evidence!", digest()), ("expires", text())]),
        "Activation": object(&[
            ("stage", json!({"enum": ["active", "shadow", "canary"]})), ("share", json!({"type": "integer", "minimum": 1, "maximum": 10_000})),
            ("stop_after", json!({"type": "integer", "minimum": 1})),
        ]),
        "Principal": object(&[("kind!", json!({"enum": ["user", "service_account", "agent"]})), ("id!", named()), ("tenant!", text())]),
        "RoleChange": object(&[("principal!", of("Principal")), ("role!", named()), ("tenant!", text()), ("granted!", json!({"type": "boolean"}))]),
        "Switch": object(&[("on!", json!({"type": "boolean"})), ("tenant", text()), ("reason", text())]),
        "Freeze": object(&[("on!", json!({"type": "boolean"})), ("tenant", text()), ("from", text()), ("until", text()), ("reason", text())]),
    });
    if let Some(members) = schemas.as_object_mut() {
        members.extend(parts);
    }
    schemas
}

/// A schema without its own definitions, and these: in this document there is one place for all.
fn hoisted(mut schema: Value) -> (Value, Map<String, Value>) {
    refer(&mut schema);
    let parts = schema.as_object_mut().and_then(|members| {
        members.remove("$schema");
        members.remove("$defs")
    });
    match parts {
        Some(Value::Object(parts)) => (schema, parts),
        _ => (schema, Map::new()),
    }
}

/// Lets references lead to where definitions are in this document.
fn refer(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(to)) = members.get_mut("$ref") {
                *to = to.replace("#/$defs/", "#/components/schemas/");
            }
            members.values_mut().for_each(refer);
        }
        Value::Array(items) => items.iter_mut().for_each(refer),
        _ => {}
    }
}
