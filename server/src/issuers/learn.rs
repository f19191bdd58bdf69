//! What an issuer publishes becomes entries: a key that is new is learned, one that is gone is retired.

use cku_auth::{Issuer, KeyId, TrustedKey, read_set};
use cku_authority::{KeyLearned, KeyRetired, StoreError, issuers, keys_changed_at, trusted_keys};
use cku_base::{Digest, Timestamp};
use cku_journal::Journal;

/// How often it is tried when others change keys meanwhile.
const TRIES: usize = 5;

/// What was found in the key set of an issuer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Ids of keys that were not known before.
    pub learned: Vec<String>,
    /// Ids of keys that it does not publish any more.
    pub retired: Vec<String>,
    /// A line for each key that was passed over.
    pub skipped: Vec<String>,
}

/// Writes down what is another in this set than it was.
///
/// Several servers may do so at once: whoever comes later finds that there is nothing to do.
pub(super) fn learn(journal: &Journal, issuer: &Issuer, set: &[u8], now: Timestamp) -> Result<Found, String> {
    let read = read_set(set, &issuer.issuer).map_err(|error| error.to_string())?;
    let digest = Digest::of(set);
    for _ in 0..TRIES {
        let mut found = Found { skipped: read.skipped.clone(), ..Found::default() };
        let failed = |error: StoreError| error.to_string();
        let after = keys_changed_at(journal).map_err(failed)?;
        let is_trusted = issuers(journal)
            .map_err(failed)?
            .iter()
            .any(|row| row.seq == issuer.seq && row.revoked_at.is_none());
        if !is_trusted {
            return Err("it was trusted otherwise meanwhile".to_owned());
        }
        let known =
            trusted_keys(journal).map_err(failed)?.into_iter().map(serde_json::from_value::<TrustedKey>);
        let known = known.collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
        let theirs: Vec<&TrustedKey> =
            known.iter().filter(|key| key.issuer == issuer.issuer.issuer).collect();
        let known: Vec<&TrustedKey> = theirs.iter().copied().filter(|key| key.under.is_some()).collect();
        let holds = |key: &TrustedKey| {
            key.under == Some(issuer.seq) && key.retired_at.is_none() && key.revoked_at.is_none()
        };
        let (mut learned, mut there) = (Vec::new(), Vec::new());
        for (kid, public) in &read.keys {
            let id = KeyId::published(&issuer.issuer.issuer, public);
            there.push(id.clone());
            let before = known.iter().find(|key| key.id == id);
            // Also under its own name, where it was trusted by itself.
            let mut same = theirs.iter().filter(|key| key.public_key == *public);
            if same.any(|key| key.revoked_at.is_some()) {
                found.skipped.push(format!("the key {id} was revoked here, and stays so"));
            } else if before.is_none_or(|key| !holds(key) || key.kid.as_ref() != Some(kid)) {
                let key = TrustedKey::published(public.clone(), kid.clone(), &issuer.issuer, issuer.seq);
                found.learned.push(id.to_string());
                learned.push(KeyLearned {
                    key: serde_json::to_value(&key).map_err(|error| error.to_string())?,
                    id: id.to_string(),
                    issuer: issuer.issuer.issuer.clone(),
                    under: issuer.seq,
                    set: digest,
                });
            }
        }
        let gone = known.iter().filter(|key| holds(key) && !there.contains(&key.id));
        let retired: Vec<KeyRetired> =
            gone.map(|key| KeyRetired { id: key.id.to_string(), retired_at: now, set: digest }).collect();
        found.retired = retired.iter().map(|key| key.id.clone()).collect();
        match cku_authority::learn(journal, &learned, &retired, after) {
            Err(error) if error.is_conflict() => {}
            Err(error) => return Err(error.to_string()),
            Ok(()) => return Ok(found),
        }
    }
    Err("others changed keys at the same time; it is tried again".to_owned())
}
