//! Keys: public ones that are trusted, and the one that an installation signs with.

use std::{collections::BTreeSet, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cku_base::{Digest, PrincipalKind, TenantPath, Timestamp};
use ed25519_dalek::{
    Signer, VerifyingKey,
    pkcs8::{DecodePrivateKey, EncodePrivateKey, spki::der::pem::LineEnding},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::issuer::TrustedIssuer;

/// The RFC 7638 thumbprint of a public key: SHA-256 of its required members, in base64url.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(String);

impl KeyId {
    /// The text that tokens name in `kid`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl KeyId {
    /// The id of a key that is known because its issuer publishes it: the same key of two issuers is two.
    pub fn published(issuer: &str, key: &PublicKey) -> Self {
        // Texts always have a canonical form.
        let digest = Digest::of_canonical(&json!({"iss": issuer, "key": key.id()}));
        let digest = digest.unwrap_or_else(|_| Digest::of(b""));
        Self(URL_SAFE_NO_PAD.encode(digest.as_bytes()))
    }

    /// The id of what proves a service account.
    pub(crate) fn of_credential(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub(crate) String);

/// The algorithms of tokens; which one counts follows from the key, never from the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Algorithm {
    /// Ed25519 (RFC 8037).
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA over P-256 with SHA-256.
    #[serde(rename = "ES256")]
    Es256,
    /// RSA PKCS #1 v1.5 with SHA-256.
    #[serde(rename = "RS256")]
    Rs256,
}

impl Algorithm {
    /// As tokens write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
        }
    }
}

/// A public key, as a JWK (RFC 7517); members that it does not need are passed over.
///
/// INVARIANT: an Ed25519 key is a point that is not of small order; P-256 coordinates have 32 bytes; an
/// RSA modulus has 2048 to 4096 bits, and its exponent is odd, at least 3 and below 2^33.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Jwk", into = "Jwk")]
pub struct PublicKey(Material);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Material {
    Ed25519(VerifyingKey),
    P256 { x: String, y: String },
    Rsa { n: String, e: String },
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(expecting = "a JWK, an object with `kty` and the members of the key")]
struct Jwk {
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    #[serde(default, skip_serializing)]
    d: Option<String>,
    #[serde(default, skip_serializing)]
    k: Option<String>,
}

impl TryFrom<Jwk> for PublicKey {
    type Error = KeyError;

    fn try_from(jwk: Jwk) -> Result<Self, KeyError> {
        if jwk.d.is_some() || jwk.k.is_some() {
            return Err(KeyError(
                "this is a secret key; give the public one, without `d` and `k`".to_owned(),
            ));
        }
        let curve = jwk.crv.as_deref().unwrap_or_default();
        match (jwk.kty.as_str(), curve) {
            ("OKP", "Ed25519") => {
                let bytes = member("x", jwk.x.as_deref())?;
                let bytes: [u8; 32] =
                    bytes.try_into().map_err(|_| KeyError("`x` has not 32 bytes".to_owned()))?;
                Self::ed25519(bytes)
            }
            ("EC", "P-256") => {
                for (name, value) in [("x", &jwk.x), ("y", &jwk.y)] {
                    if member(name, value.as_deref())?.len() != 32 {
                        return Err(KeyError(format!("`{name}` has not 32 bytes")));
                    }
                }
                let (x, y) = (jwk.x.unwrap_or_default(), jwk.y.unwrap_or_default());
                jsonwebtoken::DecodingKey::from_ec_components(&x, &y)
                    .map_err(|_| KeyError("the P-256 key cannot be used".to_owned()))?;
                Ok(Self(Material::P256 { x, y }))
            }
            ("RSA", _) => {
                let n = member("n", jwk.n.as_deref())?;
                let e = member("e", jwk.e.as_deref())?;
                let first = n.first().copied().unwrap_or(0);
                let bits = n.len() * 8 - first.leading_zeros() as usize;
                // Larger numbers only cost time, on the side that verifies.
                if first == 0 || !(2_048..=4_096).contains(&bits) {
                    return Err(KeyError(format!("an RSA key of {bits} bits; it takes 2048 to 4096")));
                }
                let exponent =
                    e.iter().try_fold(0u64, |n, byte| n.checked_mul(256)?.checked_add((*byte).into()));
                let exponent = exponent.filter(|n| n % 2 == 1 && (3..1 << 33).contains(n));
                if exponent.is_none() || e.first() == Some(&0) {
                    let why = "the exponent `e` is not an odd number from 3 on and below 2^33";
                    return Err(KeyError(why.to_owned()));
                }
                Ok(Self(Material::Rsa { n: jwk.n.unwrap_or_default(), e: jwk.e.unwrap_or_default() }))
            }
            (kty, curve) => Err(KeyError(format!(
                "a key of the type `{}` `{}`; it takes OKP with Ed25519, EC with P-256, or RSA",
                shown(kty),
                shown(curve)
            ))),
        }
    }
}

impl From<PublicKey> for Jwk {
    fn from(key: PublicKey) -> Self {
        let none =
            Self { kty: String::new(), crv: None, x: None, y: None, n: None, e: None, d: None, k: None };
        match key.0 {
            Material::Ed25519(key) => Self {
                kty: "OKP".to_owned(),
                crv: Some("Ed25519".to_owned()),
                x: Some(URL_SAFE_NO_PAD.encode(key.as_bytes())),
                ..none
            },
            Material::P256 { x, y } => {
                Self { kty: "EC".to_owned(), crv: Some("P-256".to_owned()), x: Some(x), y: Some(y), ..none }
            }
            Material::Rsa { n, e } => Self { kty: "RSA".to_owned(), n: Some(n), e: Some(e), ..none },
        }
    }
}

impl PublicKey {
    /// From a JWK; what it holds is not in the error, since it may be a secret.
    pub fn from_jwk(jwk: Value) -> Result<Self, KeyError> {
        let Value::Object(members) = &jwk else {
            return Err(KeyError("it is not an object with `kty` and the members of the key".to_owned()));
        };
        let read = ["kty", "crv", "x", "y", "n", "e", "d", "k"];
        if let Some(name) = read.iter().find(|name| members.get(**name).is_some_and(|v| !v.is_string())) {
            return Err(KeyError(format!("`{name}` is no text")));
        }
        if !members.contains_key("kty") {
            return Err(KeyError("it has no `kty`".to_owned()));
        }
        serde_json::from_value(jwk).map_err(|error| KeyError(error.to_string()))
    }

    fn ed25519(bytes: [u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(&bytes).ok().filter(|key| !key.is_weak());
        key.map(|key| Self(Material::Ed25519(key)))
            .ok_or_else(|| KeyError("`x` is no Ed25519 key".to_owned()))
    }

    /// The one algorithm that it is used with.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Material::Ed25519(_) => Algorithm::EdDsa,
            Material::P256 { .. } => Algorithm::Es256,
            Material::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// Its thumbprint.
    pub fn id(&self) -> KeyId {
        let required = match Jwk::from(self.clone()) {
            Jwk { kty, n: Some(n), e: Some(e), .. } => json!({"e": e, "kty": kty, "n": n}),
            Jwk { kty, crv, x, y: Some(y), .. } => json!({"crv": crv, "kty": kty, "x": x, "y": y}),
            Jwk { kty, crv, x, .. } => json!({"crv": crv, "kty": kty, "x": x}),
        };
        // Its members are texts, which always have a canonical form; it is RFC 7638's, too.
        let digest = Digest::of_canonical(&required).unwrap_or_else(|_| Digest::of(b""));
        KeyId(URL_SAFE_NO_PAD.encode(digest.as_bytes()))
    }

    pub(crate) fn material(&self) -> &Material {
        &self.0
    }
}

fn member(name: &str, value: Option<&str>) -> Result<Vec<u8>, KeyError> {
    let text = value.ok_or_else(|| KeyError(format!("the key has no `{name}`")))?;
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError(format!("`{name}` is not base64url")))?;
    if bytes.is_empty() { Err(KeyError(format!("`{name}` is empty"))) } else { Ok(bytes) }
}

fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}

/// A key whose tokens are trusted, and for whom it speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedKey {
    /// Its thumbprint; of a published one, [`KeyId::published`].
    pub id: KeyId,
    /// How its issuer names it in `kid`; its thumbprint where it was not published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The place of the entry that trusts the issuer who published it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under: Option<u64>,
    /// Since when its issuer does not publish it any more; it may come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<Timestamp>,
    /// Who signs with it: `iss` of its tokens.
    pub issuer: String,
    /// It speaks for principals at home here or below.
    pub tenant: TenantPath,
    /// It speaks for principals of these kinds.
    pub kinds: BTreeSet<PrincipalKind>,
    /// The key.
    pub public_key: PublicKey,
    /// When it was revoked; none of its tokens counts then, whatever the clock says.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
}

impl TrustedKey {
    /// A key that speaks for these kinds of principals of a tenant and below.
    pub fn new(
        public_key: PublicKey,
        issuer: impl Into<String>,
        tenant: TenantPath,
        kinds: impl IntoIterator<Item = PrincipalKind>,
    ) -> Self {
        let kinds = kinds.into_iter().collect();
        let (id, issuer) = (public_key.id(), issuer.into());
        Self {
            id,
            kid: None,
            under: None,
            retired_at: None,
            issuer,
            tenant,
            kinds,
            public_key,
            revoked_at: None,
        }
    }

    /// A key that a trusted issuer publishes as `kid`; `under` is the place of the entry that trusts it.
    pub fn published(public_key: PublicKey, kid: String, issuer: &TrustedIssuer, under: u64) -> Self {
        let (tenant, kinds) = issuer.reach();
        let id = KeyId::published(&issuer.issuer, &public_key);
        let key = Self::new(public_key, issuer.issuer.clone(), tenant, kinds);
        Self { id, kid: Some(kid), under: Some(under), ..key }
    }

    /// Whether its name is that of the key.
    pub(crate) fn is_named_so(&self) -> bool {
        match self.under {
            None => self.id == self.public_key.id(),
            Some(_) => self.id == KeyId::published(&self.issuer, &self.public_key),
        }
    }

    /// Whether tokens name it so.
    pub(crate) fn is_called(&self, kid: &str) -> bool {
        self.kid.as_deref().unwrap_or(self.id.as_str()) == kid
    }
}

/// The key of a small installation's own issuer (Ed25519); it shows nowhere.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// From 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// From PKCS #8 in PEM.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let read = ed25519_dalek::SigningKey::from_pkcs8_pem(pem);
        read.map(Self)
            .map_err(|_| KeyError("this is no Ed25519 key in PEM; `cku auth keygen` makes one".to_owned()))
    }

    /// PKCS #8 in PEM; for a file that only its owner reads.
    pub fn to_pem(&self) -> Result<String, KeyError> {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF);
        pem.map(|pem| pem.to_string()).map_err(|e| KeyError(format!("the key cannot be written: {e}")))
    }

    /// The public half.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(Material::Ed25519(self.0.verifying_key()))
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public_key().id())
    }
}
