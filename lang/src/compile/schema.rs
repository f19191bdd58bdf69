//! The Cedar schema under which all gate policies are valid.

use super::quoted;
use crate::{
    model::{Gate, GateBody, Rules},
    types::Type,
};

/// One `Subject`, one `Run`, the modes as an enum, and two actions per gate with its facts.
///
/// Facts are optional, so that Cedar's validator demands a `has` before each use.
pub(super) fn schema(gates: &[Gate], modes: &[String]) -> String {
    let modes: Vec<String> = modes.iter().map(|mode| quoted(mode)).collect();
    let mut schema = format!("entity Subject;\nentity Run;\nentity Mode enum [{}];\n", modes.join(", "));
    for gate in gates {
        if let GateBody::Rules(rules) = &gate.body {
            schema.push_str(&actions(&gate.name, rules));
        }
    }
    schema
}

fn actions(gate: &str, rules: &Rules) -> String {
    let facts = rules.facts.iter().map(|fact| (fact.name.as_str(), cedar_type(fact.ty)));
    let access = rules.access.iter().map(|requirement| (requirement.attribute.as_str(), "Bool"));
    let attributes: String =
        facts.chain(access).map(|(name, ty)| format!(",\n    {}?: {ty}", quoted(name))).collect();
    let (proceed, hold) = (quoted(&format!("{gate}.proceed")), quoted(&format!("{gate}.hold")));
    format!(
        "\naction {proceed}, {hold} appliesTo {{\n  principal: Subject,\n  resource: Run,\n  \
         context: {{\n    \"mode\": Mode{attributes}\n  }}\n}};\n"
    )
}

fn cedar_type(ty: Type) -> &'static str {
    match ty {
        Type::Bool => "Bool",
        Type::Count | Type::Percent | Type::Ratio | Type::Money | Type::Duration => "Long",
        Type::Text => "String",
        Type::SetOfText => "Set<String>",
    }
}
