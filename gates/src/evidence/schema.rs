//! The published JSON Schema of each kind of evidence.

use schemars::{Schema, SchemaGenerator, generate::SchemaSettings, json_schema};

use super::{
    data::{Change, Coverage, Findings, Tests},
    document::{Format, Kind},
};

/// The JSON Schema (draft 2020-12) of evidence of this kind, as `gates/schema/` publishes it.
///
/// A schema cannot say that totals are sums; reading a document checks that as well.
pub fn schema(kind: Kind) -> Schema {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let document = document(kind, &mut generator);
    let mut schema = json_schema!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Evidence of the kind `{kind}`"),
    });
    for (keyword, value) in document.as_object().into_iter().flatten() {
        schema.insert(keyword.clone(), value.clone());
    }
    schema.insert("$defs".to_owned(), generator.take_definitions(true).into());
    schema
}

/// The schema of a document of this kind, with its parts in the generator's definitions.
pub(super) fn document(kind: Kind, generator: &mut SchemaGenerator) -> Schema {
    let formats: Vec<&str> = Format::ALL.iter().filter(|f| f.kind() == kind).map(|f| f.name()).collect();
    let data = match kind {
        Kind::Coverage => generator.subschema_for::<Coverage>(),
        Kind::Findings => generator.subschema_for::<Findings>(),
        Kind::Tests => generator.subschema_for::<Tests>(),
        Kind::Change => generator.subschema_for::<Change>(),
    };
    json_schema!({
        "type": "object",
        "required": ["kind", "format", "digest", "data"],
        "properties": {
            "kind": { "const": kind.name() },
            "format": { "description": "The format of the report.", "enum": formats },
            "tool": { "description": "The tool that wrote the report.", "type": ["string", "null"] },
            "version": { "description": "The version of that tool.", "type": ["string", "null"] },
            "digest": {
                "description": "The digest of the bytes of the report.",
                "type": "string",
                "pattern": "^sha256:[0-9a-f]{64}$",
            },
            "data": data,
        },
    })
}
