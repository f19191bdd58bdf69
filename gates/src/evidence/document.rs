//! A piece of evidence as a document: what it is, who made it, and what it holds.

use std::{fmt, str::FromStr};

use cku_base::{Digest, canonical::CanonicalError};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser::SerializeStruct};
use serde_json::Value;

use super::{
    check::{self, Inconsistent},
    data::{Change, Coverage, Findings, Tests},
    schema,
};

/// A report that was read: `{kind, format, tool, version, digest, data}`.
///
/// Reading one from JSON checks that its parts agree: the kind with the format, the totals with
/// the items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// The format of the report; it decides the kind of the data.
    pub format: Format,
    /// The tool that wrote the report, if the report says so.
    pub tool: Option<String>,
    /// The version of that tool, if the report says so.
    pub version: Option<String>,
    /// The digest of the bytes of the report.
    ///
    /// For one of several runs in a SARIF file: the digest of the canonical JSON of
    /// `{"run": <index from 0>, "source": <digest of the bytes>}`, so that each run has its own.
    pub digest: Digest,
    /// What the report holds.
    pub data: EvidenceData,
}

impl Evidence {
    /// What the evidence is about.
    pub fn kind(&self) -> Kind {
        self.format.kind()
    }

    /// The digest of this document's canonical JSON: of what it says, not of the report it names.
    pub fn document_digest(&self) -> Result<Digest, CanonicalError> {
        Digest::of_canonical(self)
    }

    /// Checks that the data is of the format's kind and does not contradict itself.
    ///
    /// Parsed evidence and evidence read from JSON passes; values built in code may not.
    pub fn check(&self) -> Result<(), Inconsistent> {
        let (expected, found) = (self.format.kind(), self.data.kind());
        if expected != found {
            let message = format!("`{found}`, but the format `{}` gives `{expected}`", self.format);
            return Err(Inconsistent { path: "kind".to_owned(), message });
        }
        self.data.check()
    }
}

/// What a report holds, by its kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum EvidenceData {
    /// Executed lines and branches.
    Coverage(Coverage),
    /// What a static analysis found.
    Findings(Findings),
    /// What a test run gave.
    Tests(Tests),
    /// What a change touches.
    Change(Change),
}

impl EvidenceData {
    /// What the data is about.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Coverage(_) => Kind::Coverage,
            Self::Findings(_) => Kind::Findings,
            Self::Tests(_) => Kind::Tests,
            Self::Change(_) => Kind::Change,
        }
    }

    /// Checks that the parts agree: totals with items, counts with lists.
    pub fn check(&self) -> Result<(), Inconsistent> {
        match self {
            Self::Coverage(data) => check::coverage(data),
            Self::Findings(data) => check::findings(data),
            Self::Tests(data) => check::tests(data),
            Self::Change(data) => check::change(data),
        }
    }

    fn read(kind: Kind, value: Value) -> Result<Self, serde_path_to_error::Error<serde_json::Error>> {
        use serde_path_to_error::deserialize;
        match kind {
            Kind::Coverage => deserialize(value).map(Self::Coverage),
            Kind::Findings => deserialize(value).map(Self::Findings),
            Kind::Tests => deserialize(value).map(Self::Tests),
            Kind::Change => deserialize(value).map(Self::Change),
        }
    }
}

/// What evidence is about; it decides the shape of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Executed lines and branches.
    Coverage,
    /// What a static analysis found.
    Findings,
    /// What a test run gave.
    Tests,
    /// What a change touches.
    Change,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Coverage, Self::Findings, Self::Tests, Self::Change];

    /// The kind as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coverage => "coverage",
            Self::Findings => "findings",
            Self::Tests => "tests",
            Self::Change => "change",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A format of reports that cku reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// LCOV tracefile: coverage.
    Lcov,
    /// Cobertura XML: coverage.
    Cobertura,
    /// SARIF 2.1.0: findings.
    Sarif,
    /// JUnit XML: tests.
    Junit,
    /// `git diff --numstat -z`: a change.
    Numstat,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::Lcov, Self::Cobertura, Self::Sarif, Self::Junit, Self::Numstat];

    /// What a report of this format is about.
    pub fn kind(self) -> Kind {
        match self {
            Self::Lcov | Self::Cobertura => Kind::Coverage,
            Self::Sarif => Kind::Findings,
            Self::Junit => Kind::Tests,
            Self::Numstat => Kind::Change,
        }
    }

    /// The format as it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lcov => "lcov",
            Self::Cobertura => "cobertura",
            Self::Sarif => "sarif",
            Self::Junit => "junit",
            Self::Numstat => "numstat",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(text: &str) -> Result<Self, UnknownFormat> {
        let named = Self::ALL.into_iter().find(|format| format.name() == text);
        named.ok_or_else(|| UnknownFormat(text.chars().take(100).collect()))
    }
}

/// A name that is not the name of a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no format of evidence; write lcov, cobertura, sarif, junit or numstat")]
pub struct UnknownFormat(String);

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut document = serializer.serialize_struct("Evidence", 6)?;
        document.serialize_field("kind", &self.kind())?;
        document.serialize_field("format", &self.format)?;
        document.serialize_field("tool", &self.tool)?;
        document.serialize_field("version", &self.version)?;
        document.serialize_field("digest", &self.digest)?;
        document.serialize_field("data", &self.data)?;
        document.end()
    }
}

impl<'de> Deserialize<'de> for Evidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = Written::deserialize(deserializer)?;
        let data = EvidenceData::read(written.kind, written.data).map_err(|error| {
            de::Error::custom(match error.path().to_string().as_str() {
                "." => format!("data: {}", error.inner()),
                path => format!("data.{path}: {}", error.inner()),
            })
        })?;
        let Written { format, tool, version, digest, .. } = written;
        let evidence = Self { format, tool, version, digest, data };
        evidence.check().map_err(de::Error::custom)?;
        Ok(evidence)
    }
}

/// The members as written, before the kind has decided what the data is.
#[derive(Deserialize)]
#[serde(rename = "Evidence")]
struct Written {
    kind: Kind,
    format: Format,
    tool: Option<String>,
    version: Option<String>,
    digest: Digest,
    data: Value,
}

impl JsonSchema for Evidence {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Evidence".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let kinds: Vec<Schema> = Kind::ALL.map(|kind| schema::document(kind, generator)).into();
        json_schema!({ "description": "A report that was read.", "oneOf": kinds })
    }
}
