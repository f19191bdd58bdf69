//! An entry: header, body, and the hashes that chain it to the one before.
//!
//! Header and body are hashed apart, and the body with a random salt: a body can be erased together
//! with its salt, the chain still verifies, and nothing can be guessed from what stays.

use std::sync::Arc;

use cku_base::{
    Digest, TenantPath, Timestamp,
    canonical::{self, CanonicalError, ObjectWriter},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::kind::Kind;

/// Stands before the header's digest in an entry's hash.
const ENTRY_LABEL: &[u8] = b"cku/entry/v1";
/// Stands before the tenant in what the first entry points back to.
const GENESIS_LABEL: &[u8] = b"cku/genesis/v1";

/// Random bytes that keep the digest of a body from telling what it says.
pub type Salt = [u8; 32];

/// What is chained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Whose chain it is in.
    pub tenant: TenantPath,
    /// Its place there, from 1.
    pub seq: u64,
    /// When it was written; never earlier than the entry before.
    pub time: Timestamp,
    /// What it says, as `name/version`.
    pub kind: String,
    /// The hash of the entry before; of the tenant's name for the first.
    pub prev: Digest,
    /// SHA-256 of salt and canonical body.
    pub body_hash: Digest,
}

/// What an entry says: `{actor, subject, …}`.
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// What it was hashed with.
    pub salt: Salt,
    /// Its members; shared, since those who wait for an entry are given what was written.
    pub value: Arc<Map<String, Value>>,
}

/// An entry of a chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// What is chained.
    pub header: Header,
    /// What it says; none where it is gone.
    pub body: Option<Body>,
    /// SHA-256 of a label and the digest of the canonical header.
    pub hash: Digest,
}

/// The end of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The place of the last entry; 0 where there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// When it was written.
    pub time: Timestamp,
}

impl Head {
    /// The end of a chain without entries.
    pub fn empty(tenant: &TenantPath) -> Self {
        let label = [GENESIS_LABEL, tenant.as_str().as_bytes()].concat();
        Self { seq: 0, hash: Digest::of(&label), time: Timestamp::EPOCH }
    }
}

impl Entry {
    /// An entry with all that it takes to verify it from outside.
    pub fn document(&self) -> Value {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let (salt, value) = match &self.body {
            Some(body) => (Some(hex(&body.salt)), Some(&*body.value)),
            None => (None, None),
        };
        serde_json::json!({"header": self.header, "hash": self.hash, "salt": salt, "body": value})
    }

    /// What it says.
    pub fn kind(&self) -> Kind {
        Kind::of(&self.header.kind)
    }

    /// What it is about, which names its stream.
    pub fn subject(&self) -> Option<&str> {
        self.body.as_ref()?.value.get("subject")?.as_str()
    }

    /// The end of the chain after it.
    pub fn head(&self) -> Head {
        Head { seq: self.header.seq, hash: self.hash, time: self.header.time }
    }
}

/// A body that is ready to be chained: written, salted and hashed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prepared {
    pub(crate) tenant: TenantPath,
    pub(crate) kind: Kind,
    pub(crate) body: Body,
    pub(crate) text: Vec<u8>,
    pub(crate) hash: Digest,
}

impl Prepared {
    /// Writes and hashes a body.
    pub(crate) fn new(
        tenant: TenantPath,
        kind: Kind,
        value: Map<String, Value>,
        salt: Salt,
    ) -> Result<Self, CanonicalError> {
        let text = canonical::object(&value)?;
        let hash = body_hash(&salt, &text);
        Ok(Self { tenant, kind, body: Body { salt, value: Arc::new(value) }, text, hash })
    }

    /// The entry after `head`, at this time or at that of the entry before, whichever is later.
    pub(crate) fn seal(&self, head: &Head, time: Timestamp) -> Result<Entry, CanonicalError> {
        let header = Header {
            tenant: self.tenant.clone(),
            seq: head.seq + 1,
            time: time.max(head.time),
            kind: self.kind.as_str().to_owned(),
            prev: head.hash,
            body_hash: self.hash,
        };
        let hash = header.hash()?;
        Ok(Entry { header, body: Some(self.body.clone()), hash })
    }
}

/// The digest of a body that the header holds.
pub(crate) fn body_hash(salt: &Salt, canonical_body: &[u8]) -> Digest {
    Digest::of(&[salt.as_slice(), canonical_body].concat())
}

impl Header {
    /// The hash of the entry with this header.
    pub fn hash(&self) -> Result<Digest, CanonicalError> {
        let header = ObjectWriter::default()
            .member("tenant", &self.tenant)?
            .member("seq", &integer(self.seq))?
            .member("time", &self.time)?
            .member("kind", &self.kind)?
            .member("prev", &self.prev)?
            .member("body_hash", &self.body_hash)?
            .finish();
        Ok(Digest::of(&[ENTRY_LABEL, Digest::of(&header).as_bytes()].concat()))
    }
}

/// Canonical JSON has doubles: integers beyond 2^53 − 1 are texts.
fn integer(n: u64) -> Value {
    if n < 1 << 53 { Value::from(n) } else { Value::from(n.to_string()) }
}

/// How an entry does not fit into its chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Misfit {
    /// Its body is not what its header says.
    Body,
    /// Its header is not what its hash says.
    Header,
    /// Its place is not the next one.
    Seq,
    /// It points back to another entry.
    Prev,
    /// It is older than the entry before.
    Time,
    /// It is of another tenant.
    Tenant,
    /// Its body is gone, and no entry says that it was erased.
    Erased,
}

/// Whether an entry says what was hashed; `text` is its body as it is stored.
///
/// A body that is gone does not change the hashes: whether it may be is for the caller to say.
pub(crate) fn hashed(entry: &Entry, text: Option<&[u8]>) -> Result<(), Misfit> {
    if let (Some(body), Some(text)) = (&entry.body, text)
        && body_hash(&body.salt, text) != entry.header.body_hash
    {
        return Err(Misfit::Body);
    }
    match entry.header.hash() {
        Ok(hash) if hash == entry.hash => Ok(()),
        _ => Err(Misfit::Header),
    }
}

/// Whether an entry follows `head` in the chain of `tenant`; `text` is its body as it is stored.
pub(crate) fn check(
    entry: &Entry,
    text: Option<&[u8]>,
    tenant: &TenantPath,
    head: &Head,
) -> Result<(), Misfit> {
    let Header { seq, time, prev, .. } = &entry.header;
    hashed(entry, text)?;
    if entry.header.tenant != *tenant {
        return Err(Misfit::Tenant);
    }
    if *seq != head.seq + 1 {
        return Err(Misfit::Seq);
    }
    if *prev != head.hash {
        return Err(Misfit::Prev);
    }
    if *time < head.time { Err(Misfit::Time) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn prepared(n: u64) -> Prepared {
        let Value::Object(body) = json!({"subject": "s", "actor": "a", "n": n}) else { unreachable!() };
        Prepared::new("acme".parse().unwrap(), Kind::RunSubmitted, body, [7; 32]).unwrap()
    }

    #[test]
    fn time_never_goes_back() {
        let tenant: TenantPath = "acme".parse().unwrap();
        let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
        let first = prepared(1).seal(&Head::empty(&tenant), noon).unwrap();
        let earlier = prepared(2).seal(&first.head(), Timestamp::EPOCH).unwrap();
        assert_eq!(earlier.header.time, noon);
        assert_eq!(check(&earlier, None, &tenant, &first.head()), Ok(()));
    }

    #[test]
    fn each_way_in_which_an_entry_does_not_fit_has_its_name() {
        let tenant: TenantPath = "acme".parse().unwrap();
        let other: TenantPath = "globex".parse().unwrap();
        let head = Head::empty(&tenant);
        let draft = prepared(1);
        let entry = draft.seal(&head, Timestamp::EPOCH).unwrap();
        let text = draft.text.as_slice();
        assert_eq!(check(&entry, Some(text), &tenant, &head), Ok(()));
        assert_eq!(check(&entry, Some(b"{}"), &tenant, &head), Err(Misfit::Body));
        let late = Head { time: "2026-11-20T12:00:00Z".parse().unwrap(), ..head };
        assert_eq!(check(&entry, Some(text), &tenant, &late), Err(Misfit::Time));
        assert_eq!(check(&entry, Some(text), &other, &head), Err(Misfit::Tenant));
        assert_eq!(check(&entry, Some(text), &tenant, &Head { seq: 1, ..head }), Err(Misfit::Seq));
        assert_eq!(
            check(&entry, Some(text), &tenant, &Head { hash: Digest::of(b"x"), ..head }),
            Err(Misfit::Prev)
        );
        let changed = Entry { header: Header { kind: "x/1".to_owned(), ..entry.header.clone() }, ..entry };
        assert_eq!(check(&changed, Some(text), &tenant, &head), Err(Misfit::Header));
    }

    #[test]
    fn a_body_that_was_erased_leaves_the_chain_whole() {
        let tenant: TenantPath = "acme".parse().unwrap();
        let head = Head::empty(&tenant);
        let erased = Entry { body: None, ..prepared(1).seal(&head, Timestamp::EPOCH).unwrap() };
        assert_eq!(check(&erased, None, &tenant, &head), Ok(()));
    }
}
