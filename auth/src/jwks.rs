//! Sets of keys, as issuers publish them (RFC 7517, section 5).

use std::collections::BTreeSet;

use cku_base::document::{Limits, read_json};
use serde_json::{Map, Value};

use crate::{
    issuer::{TrustedIssuer, shown},
    key::{KeyError, PublicKey},
};

/// Bytes of a set.
pub const LARGEST_SET: usize = 256 << 10;

/// Keys of a set.
const MOST: usize = 64;

/// What was found in a set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet {
    /// The keys that can be used, each as its issuer names it in `kid`.
    pub keys: Vec<(String, PublicKey)>,
    /// A line for each that was passed over; what it holds is not in it, since it may be a secret.
    pub skipped: Vec<String>,
}

/// Reads the set of an issuer; a key that cannot be used is passed over, and said.
///
/// Something that is no set is an error: what was known stays. A set without keys is one: its issuer took
/// them back.
pub fn read_set(bytes: &[u8], issuer: &TrustedIssuer) -> Result<KeySet, KeyError> {
    let unfit = |why: &str| KeyError(format!("it is no set of keys: {why}"));
    let limits = Limits { bytes: LARGEST_SET, depth: 8 };
    let document = read_json("keys", bytes, limits).map_err(|problem| unfit(&problem.message))?;
    let Value::Object(mut document) = document else { return Err(unfit("it is no JSON object")) };
    let Some(Value::Array(listed)) = document.remove("keys") else {
        return Err(unfit("it has no list `keys`"));
    };
    if listed.len() > MOST {
        return Err(unfit(&format!("it has {} keys, more than {MOST}", listed.len())));
    }
    let mut set = KeySet::default();
    let (mut kids, mut ids) = (BTreeSet::new(), BTreeSet::new());
    for (at, jwk) in listed.into_iter().enumerate() {
        let kid = jwk.get("kid").and_then(Value::as_str).map(str::to_owned);
        match usable(jwk, issuer) {
            // One that has no name is named by its thumbprint, as RFC 7638 suggests.
            Ok(key) => {
                let kid = kid.unwrap_or_else(|| key.id().as_str().to_owned());
                let is_new = (kids.insert(kid.clone()), ids.insert(key.id()));
                match is_new {
                    (true, true) => set.keys.push((kid, key)),
                    (false, _) => set.skipped.push(format!("`{}`: another key has that `kid`", shown(&kid))),
                    // One key under two names would be learned and retired by turns.
                    (_, false) => {
                        set.skipped.push(format!("`{}`: the same key has another `kid`", shown(&kid)))
                    }
                }
            }
            Err(why) => {
                let name =
                    kid.map_or_else(|| format!("number {}", at + 1), |kid| format!("`{}`", shown(&kid)));
                set.skipped.push(format!("{name}: {why}"));
            }
        }
    }
    Ok(set)
}

fn usable(jwk: Value, issuer: &TrustedIssuer) -> Result<PublicKey, KeyError> {
    let unfit = |why: String| Err(KeyError(why));
    let members = jwk.as_object().cloned().unwrap_or_else(Map::new);
    if ["d", "k", "p", "q", "dp", "dq", "qi", "oth"].iter().any(|secret| members.contains_key(*secret)) {
        return unfit("it is a secret key, which was published: have it replaced".to_owned());
    }
    if members.get("kid").is_some_and(|kid| kid.as_str().is_none_or(|kid| kid.is_empty() || kid.len() > 256))
    {
        return unfit("its `kid` is no text of 1 to 256 bytes".to_owned());
    }
    if let Some(other) = members.get("use").filter(|used| *used != "sig") {
        return unfit(format!("it is for `{}`, not for signatures", shown(other.as_str().unwrap_or("?"))));
    }
    if let Some(Value::Array(for_what)) = members.get("key_ops")
        && !for_what.iter().any(|operation| operation == "verify")
    {
        return unfit("its `key_ops` are without `verify`".to_owned());
    }
    let key = PublicKey::from_jwk(jwk)?;
    let algorithm = key.algorithm();
    if let Some(other) = members.get("alg").filter(|said| *said != algorithm.as_str()) {
        let other = shown(other.as_str().unwrap_or("?"));
        return unfit(format!(
            "it is for `{other}`; keys of its type are used with {} here",
            algorithm.as_str()
        ));
    }
    if !issuer.algorithms.is_empty() && !issuer.algorithms.contains(&algorithm) {
        return unfit(format!("{} is not among the issuer's `algorithms`", algorithm.as_str()));
    }
    Ok(key)
}
