//! Entries of the journal, a line each.

use cku_base::TenantPath;
use cku_journal::Entry;
use serde_json::{Map, Value};

use super::{foreign, style};

/// Columns of the actor; a longer one pushes what follows aside, in its line alone.
const ACTOR: usize = 32;

/// Lines of entries, their tenants as wide as the widest of all that are shown.
pub(crate) fn lines(entries: &[Entry], tenants: &[TenantPath]) -> String {
    let of_tenant = tenants.iter().map(|t| t.as_str().len()).max().unwrap_or(0);
    entries.iter().map(|entry| line(entry, of_tenant)).collect()
}

fn line(entry: &Entry, of_tenant: usize) -> String {
    let dim = style::DIM;
    let header = &entry.header;
    let says = entry.body.as_ref().map(|body| {
        let subject = body.value.get("subject").and_then(Value::as_str).unwrap_or_default();
        let (actor, says) = (actor(&body.value), says(&body.value));
        let says = format!("{actor:<ACTOR$}  {}  {}", foreign(subject), foreign(&says));
        says.trim_end().to_owned()
    });
    let says = says.unwrap_or_else(|| "(erased)".to_owned());
    let (tenant, seq, time, kind) =
        (header.tenant.as_str(), header.seq, header.time.to_string(), &header.kind);
    format!("{tenant:<of_tenant$} {seq:>5}  {dim}{time:<27}{dim:#}  {kind:<19} {says}\n")
}

fn actor(body: &Map<String, Value>) -> String {
    let actor = match body.get("actor") {
        Some(Value::String(text)) => text.clone(),
        Some(actor) => format!("{}:{}", text(actor, "/kind"), text(actor, "/id")),
        None => String::new(),
    };
    foreign(&actor).into_owned()
}

/// What an entry says beside its subject, in a few words.
fn says(body: &Map<String, Value>) -> String {
    let body = &Value::Object(body.clone());
    let word = |at: &str, (yes, no): (&str, &str)| match body.pointer(at) {
        Some(Value::Bool(true)) => yes.to_owned(),
        Some(Value::Bool(false)) => no.to_owned(),
        _ => String::new(),
    };
    let text = |at: &str| text(body, at).to_owned();
    let words = [
        text("/step"),
        ending(body),
        text("/gate"),
        // Of an approval, a word; of a decision, all of it.
        text("/decision"),
        text("/vote"),
        text("/action"),
        text("/resource"),
        word("/allowed", ("allowed", "denied")),
        text("/why"),
        text("/verdict"),
        text("/status"),
        text("/strategy"),
        text("/grant/role"),
        text("/key/issuer"),
        word("/on", ("on", "off")),
        text("/label"),
        text("/reason"),
        text("/message"),
        text("/note"),
    ];
    words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ")
}

/// How a step or its undo ended; nothing of other entries, which have no `failure`.
fn ending(body: &Value) -> String {
    match body.get("failure") {
        None => String::new(),
        Some(Value::Null) => "succeeded".to_owned(),
        Some(failure) => format!("failed ({}): {}", text(failure, "/class"), text(failure, "/message")),
    }
}

fn text<'v>(value: &'v Value, at: &str) -> &'v str {
    value.pointer(at).and_then(Value::as_str).unwrap_or_default()
}
