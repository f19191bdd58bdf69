//! Signatures as OPA specifies them: a JWT whose payload lists every file with its hash.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cku_auth::{Algorithm, PublicKey, SigningKey};
use cku_base::document::{self, Limits};
use jsonwebtoken::{DecodingKey, EncodingKey, crypto, jwk::Jwk};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Archive, OPA_DATA, OPA_MANIFEST, hash};

/// The one algorithm of hashes that is taken.
const SHA_256: &str = "SHA-256";

/// Header members that change what a signature means, or bring a key along.
const NEVER: [&str; 9] = ["crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc", "x5t#S256"];

/// Why an archive cannot be signed, or why its signatures do not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not a key that signs.
    #[error("this is no private key in PKCS #8 PEM for Ed25519, P-256 or RSA; `cku auth keygen` makes one")]
    NoKey,
    /// The key did not sign.
    #[error("the key did not sign: {0}")]
    NotSigned(String),
    /// There is none.
    #[error("it is not signed; `cku bundle sign` signs it")]
    Unsigned,
    /// A signature is no token.
    #[error("signature {at} is no token: {problem}")]
    Malformed {
        /// Which, from 1 on.
        at: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// It names a key that was not given.
    #[error("signature {at} is by the key `{key}`, which is not among those that were given")]
    UnknownKey {
        /// Which, from 1 on.
        at: usize,
        /// What it names.
        key: String,
    },
    /// It names another algorithm than its key has.
    #[error("signature {at} says `{said}`, and its key is for {wanted}")]
    Algorithm {
        /// Which, from 1 on.
        at: usize,
        /// What it says.
        said: String,
        /// What the key is for.
        wanted: &'static str,
    },
    /// It is not the key's.
    #[error("signature {at} is wrong: it was changed, or made with another key")]
    Wrong {
        /// Which, from 1 on.
        at: usize,
    },
    /// It says less or more than the archive holds.
    #[error("signature {at} is for other files: {problem}")]
    Files {
        /// Which, from 1 on.
        at: usize,
        /// Which file, and what is wrong with it.
        problem: String,
    },
    /// It was made for another scope.
    #[error("signature {at} is for the scope `{said}`, not for `{wanted}`")]
    Scope {
        /// Which, from 1 on.
        at: usize,
        /// What it says.
        said: String,
        /// What is wanted.
        wanted: String,
    },
}

/// A key that signs archives: Ed25519, P-256 or RSA; it shows nowhere.
pub struct BundleKey {
    key: EncodingKey,
    public: PublicKey,
}

impl std::fmt::Debug for BundleKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BundleKey({})", self.public.id())
    }
}

impl BundleKey {
    /// From PKCS #8 in PEM.
    pub fn from_pem(pem: &str) -> Result<Self, SignatureError> {
        if let Ok(signing) = SigningKey::from_pem(pem) {
            let key = EncodingKey::from_ed_pem(pem.as_bytes()).map_err(|_| SignatureError::NoKey)?;
            return Ok(Self { key, public: signing.public_key() });
        }
        let ec = EncodingKey::from_ec_pem(pem.as_bytes()).map(|key| (key, jsonwebtoken::Algorithm::ES256));
        let rsa =
            || EncodingKey::from_rsa_pem(pem.as_bytes()).map(|key| (key, jsonwebtoken::Algorithm::RS256));
        let (key, algorithm) = ec.or_else(|_| rsa()).map_err(|_| SignatureError::NoKey)?;
        let jwk = Jwk::from_encoding_key(&key, algorithm).map_err(|_| SignatureError::NoKey)?;
        let jwk = serde_json::to_value(jwk).map_err(|_| SignatureError::NoKey)?;
        let public = PublicKey::from_jwk(jwk).map_err(|_| SignatureError::NoKey)?;
        Ok(Self { key, public })
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }
}

/// A signature that counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The key that made it.
    pub key: PublicKey,
    /// When, in seconds since 1970, as the signer says.
    pub issued_at: Option<i64>,
    /// For what.
    pub scope: String,
}

#[derive(Deserialize)]
struct Payload {
    files: Vec<FileHash>,
    #[serde(default)]
    keyid: Option<String>,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    iat: Option<i64>,
}

#[derive(Deserialize)]
struct FileHash {
    name: String,
    hash: String,
    algorithm: String,
}

impl Archive {
    /// Adds a signature; one by the same key is replaced, and so are those of other keys unless they stay.
    ///
    /// `at` is the time in seconds since 1970. OPA takes archives with exactly one signature.
    pub fn sign(&mut self, key: &BundleKey, scope: &str, at: i64, keep: bool) -> Result<(), SignatureError> {
        let id = key.public.id();
        let files: Vec<Value> = self
            .hashes()
            .into_iter()
            .map(|(name, hash)| json!({"name": name, "hash": hash, "algorithm": SHA_256}))
            .collect();
        let header = json!({"alg": key.public.algorithm().as_str(), "kid": id, "typ": "JWT"});
        let mut payload = json!({"files": files, "iat": at, "iss": "cku", "keyid": id});
        if let (false, Some(members)) = (scope.is_empty(), payload.as_object_mut()) {
            members.insert("scope".to_owned(), Value::from(scope));
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&payload));
        let signature = crypto::sign(message.as_bytes(), &key.key, algorithm(&key.public));
        let signature = signature.map_err(|error| SignatureError::NotSigned(error.to_string()))?;
        if keep {
            self.signatures.retain(|token| key_id(token).as_deref() != Some(id.as_str()));
        } else {
            self.signatures.clear();
        }
        self.signatures.push(format!("{message}.{signature}"));
        Ok(())
    }

    /// Verifies all signatures: each is by one of these keys, for this scope, and lists exactly these files.
    ///
    /// The algorithm is the key's; what a token says of it is only compared.
    pub fn verify(&self, keys: &[PublicKey], scope: &str) -> Result<Vec<Signed>, SignatureError> {
        if self.signatures.is_empty() {
            return Err(SignatureError::Unsigned);
        }
        let hashes = self.hashes();
        let tokens = self.signatures.iter().enumerate();
        tokens.map(|(at, token)| verify(at + 1, token, &hashes, keys, scope)).collect()
    }

    /// Every file with its hash, as OPA computes it.
    fn hashes(&self) -> BTreeMap<String, String> {
        let hash = |(path, bytes): (&str, &[u8])| {
            let hash = match path {
                OPA_MANIFEST => hash::hex(hash::canonical(&self.generated.manifest).as_bytes()),
                OPA_DATA => hash::hex(hash::canonical(&self.generated.data).as_bytes()),
                _ => hash::hex(bytes),
            };
            (path.to_owned(), hash)
        };
        self.contents().into_iter().map(hash).collect()
    }
}

fn verify(
    at: usize,
    token: &str,
    hashes: &BTreeMap<String, String>,
    keys: &[PublicKey],
    scope: &str,
) -> Result<Signed, SignatureError> {
    let malformed = |problem: &str| SignatureError::Malformed { at, problem: problem.to_owned() };
    let (message, signature) = token.rsplit_once('.').ok_or_else(|| malformed("it has not three parts"))?;
    let (header, payload) = message.split_once('.').ok_or_else(|| malformed("it has not three parts"))?;
    let header = part(header).ok_or_else(|| malformed("its header is no JSON in base64url"))?;
    let payload = part(payload).ok_or_else(|| malformed("its payload is no JSON in base64url"))?;
    if let Some(name) = NEVER.iter().find(|name| header.get(**name).is_some()) {
        return Err(malformed(&format!("its header has `{name}`, which is never taken")));
    }
    let payload: Payload =
        serde_json::from_value(payload).map_err(|error| malformed(&format!("its payload: {error}")))?;
    let named = header.get("kid").and_then(Value::as_str).or(payload.keyid.as_deref()).unwrap_or("");
    let key = keys.iter().find(|key| key.id().as_str() == named);
    let key = key.ok_or_else(|| SignatureError::UnknownKey { at, key: shown(named) })?;
    if payload.keyid.as_deref().is_some_and(|id| id != named) {
        return Err(malformed("its header and its payload name different keys"));
    }
    let wanted = key.algorithm().as_str();
    let said = header.get("alg").and_then(Value::as_str).unwrap_or("nothing");
    if said != wanted {
        return Err(SignatureError::Algorithm { at, said: shown(said), wanted });
    }
    if !is_by(key, message, signature) {
        return Err(SignatureError::Wrong { at });
    }
    same_files(&payload.files, hashes).map_err(|problem| SignatureError::Files { at, problem })?;
    if payload.scope != scope {
        return Err(SignatureError::Scope { at, said: shown(&payload.scope), wanted: scope.to_owned() });
    }
    Ok(Signed { key: key.clone(), issued_at: payload.iat, scope: payload.scope })
}

/// The ids of the keys that signatures name; nothing of it is verified.
pub fn key_ids(archive: &Archive) -> Vec<String> {
    archive.signatures.iter().map(|token| shown(&key_id(token).unwrap_or_default())).collect()
}

fn key_id(token: &str) -> Option<String> {
    let header = part(token.split_once('.')?.0)?;
    header.get("kid").and_then(Value::as_str).map(str::to_owned)
}

fn part(text: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let read = document::read_json("token", &bytes, Limits { bytes: 16 << 20, depth: 8 });
    read.ok().filter(Value::is_object)
}

fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

fn algorithm(key: &PublicKey) -> jsonwebtoken::Algorithm {
    match key.algorithm() {
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
    }
}

fn is_by(key: &PublicKey, message: &str, signature: &str) -> bool {
    let jwk = serde_json::to_value(key).and_then(serde_json::from_value::<Jwk>);
    let decoding = jwk.ok().and_then(|jwk| DecodingKey::from_jwk(&jwk).ok());
    decoding.is_some_and(|decoding| {
        crypto::verify(signature, message.as_bytes(), &decoding, algorithm(key)).unwrap_or(false)
    })
}

/// Whether a list names exactly these files with these hashes.
fn same_files(said: &[FileHash], hashes: &BTreeMap<String, String>) -> Result<(), String> {
    let mut left = hashes.clone();
    for FileHash { name, hash, algorithm } in said {
        let shown = shown(name);
        if algorithm != SHA_256 {
            return Err(format!("the hash of `{shown}` is not {SHA_256}"));
        }
        match left.remove(name) {
            Some(is) if is == hash.to_ascii_lowercase() => {}
            Some(_) => return Err(format!("`{shown}` was changed")),
            None if hashes.contains_key(name) => return Err(format!("it lists `{shown}` twice")),
            None => return Err(format!("`{shown}` is missing")),
        }
    }
    match left.into_keys().next() {
        Some(extra) => Err(format!("`{extra}` was added")),
        None => Ok(()),
    }
}
