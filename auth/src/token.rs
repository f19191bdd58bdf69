//! Tokens: JWTs (RFC 7519) in their compact form, verified against trusted keys and a given time.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cku_base::{
    Digest, Principal, PrincipalId, TenantPath, Timestamp,
    document::{Limits, read_json},
};
use jsonwebtoken::{DecodingKey, crypto};
use serde_json::{Map, Value, json};

use crate::{
    account::PREFIX,
    issuer::{self, ACCOUNTS},
    key::{KeyId, Material, PublicKey, SigningKey, TrustedKey},
    trust::Trust,
};

/// Bytes of a token.
const LONGEST: usize = 16 << 10;

/// Header members that change what a signature means, or bring a key along.
const NEVER: [&str; 9] = ["crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc", "x5t#S256"];

/// Who a token is from, verified; the token itself goes nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authenticated {
    /// Who.
    pub principal: Principal,
    /// Who says so.
    pub issuer: String,
    /// When they said so.
    pub issued_at: Timestamp,
    /// Until when it holds.
    pub expires_at: Timestamp,
    /// The key that signed it.
    pub key_id: KeyId,
    /// The name of the token, if it has one.
    pub token_id: Option<String>,
}

/// What a token is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who signs it.
    pub issuer: String,
    /// Whom it is meant for.
    pub audience: String,
    /// Who it is about.
    pub principal: Principal,
    /// When it is signed; whole seconds count.
    pub issued_at: Timestamp,
    /// Until when it holds; whole seconds count.
    pub expires_at: Timestamp,
    /// Its name, if it has one.
    pub token_id: Option<String>,
}

/// Why a token does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is no token at all.
    #[error("it is no token: {0}")]
    Malformed(String),
    /// Its header says something that is never taken.
    #[error("its header has `{0}`, which is never taken from a token; sign it without")]
    Header(String),
    /// It names another algorithm than the key's.
    #[error("it is signed with `{said}`, and the key is for {wanted}")]
    Algorithm {
        /// What it says.
        said: String,
        /// What the key is for.
        wanted: &'static str,
    },
    /// No trusted key has that name.
    #[error(
        "it is signed with the key `{0}`, which is not trusted here; `cku auth keys` lists those that are"
    )]
    UnknownKey(String),
    /// It does not name its key.
    #[error("it does not say which key signed it; sign it with `kid` in its header")]
    NoKey,
    /// The key is trusted no longer.
    #[error("the key `{0}` that signed it was revoked; ask the issuer for a token of the new key")]
    RevokedKey(KeyId),
    /// The signature is not the key's.
    #[error("its signature is wrong: it was changed, or signed with another key")]
    Signature,
    /// A claim is missing or says what it may not.
    #[error("its claim `{name}` {problem}")]
    Claim {
        /// The claim.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// It held until a time that has passed.
    #[error("it expired at {0}; ask for a new one")]
    Expired(Timestamp),
    /// It does not hold yet.
    #[error("it holds from {0} on; are the clocks right?")]
    NotYet(Timestamp),
    /// The issuer is trusted for declared accounts, and this token is of none of them.
    #[error(
        "{why} for what `{issuer}` says in it: {said}; an administrator declares it in the `accounts` of that issuer"
    )]
    Unmapped {
        /// Who signed it.
        issuer: String,
        /// No account, or several.
        why: &'static str,
        /// The claims that the declarations ask for.
        said: String,
    },
    /// It was revoked by its name.
    #[error("it was revoked (`{0}`); ask for a new one")]
    Revoked(String),
    /// It begins like a token of a service account, and is none.
    #[error("no service account has it: it was mistyped, or is not of this installation")]
    NoCredential,
    /// The service account was closed.
    #[error("the service account `{0}` was closed")]
    Closed(String),
    /// The key does not speak for that principal.
    #[error("the issuer `{issuer}` does not speak for {whom}")]
    NotTheirs {
        /// Who signed it.
        issuer: String,
        /// For whom, and who does.
        whom: String,
    },
}

impl TokenError {
    /// A word for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::Header(_) => "header",
            Self::Algorithm { .. } => "algorithm",
            Self::UnknownKey(_) => "unknown_key",
            Self::NoKey => "no_key",
            Self::RevokedKey(_) => "revoked_key",
            Self::Signature => "signature",
            Self::Claim { .. } => "claim",
            Self::Expired(_) => "expired",
            Self::NotYet(_) => "not_yet",
            Self::NotTheirs { .. } => "not_theirs",
            Self::Unmapped { .. } => "unmapped",
            Self::Revoked(_) => "revoked",
            Self::NoCredential => "no_credential",
            Self::Closed(_) => "closed",
        }
    }
}

/// Verifies a token at a time.
///
/// The key is found by `kid` alone and decides the algorithm; nothing that the token says of keys or
/// algorithms is believed. Claims are read after the signature was verified. A token of a service account is
/// looked up by its digest.
pub fn verify(token: &str, trust: &Trust, now: Timestamp) -> Result<Authenticated, TokenError> {
    if token.len() > LONGEST {
        return Err(TokenError::Malformed(format!("it has more than {LONGEST} bytes")));
    }
    if token.starts_with(PREFIX) {
        return credential(token, trust, now);
    }
    let (message, signature) = token.rsplit_once('.').ok_or_else(not_three)?;
    let (header, payload) =
        message.split_once('.').filter(|(_, p)| !p.contains('.')).ok_or_else(not_three)?;
    let header = document("header", header)?;
    let keys = keys_of(&header, trust)?;
    let bytes = part("signature", signature)?;
    // Issuers name their keys as they like: of those that are called so, the ones that signed it.
    let mut keys = keys.into_iter().filter(|key| signed(&key.public_key, message, signature, &bytes));
    let first = keys.next().ok_or(TokenError::Signature)?;
    let rest: Vec<&TrustedKey> = keys.collect();
    if let Some(key) = Some(first).filter(|key| rest.is_empty() && trust.is_revoked_key(key)) {
        return Err(TokenError::RevokedKey(key.id.clone()));
    }
    let payload = document("payload", payload)?;
    let issuer = text(&payload, "iss")?;
    // One key that two issuers publish speaks for the one that the token names.
    let key = rest.into_iter().find(|key| key.issuer == issuer).unwrap_or(first);
    // Not compared with the clock: clocks differ, and who revoked it meant at once.
    if trust.is_revoked_key(key) {
        return Err(TokenError::RevokedKey(key.id.clone()));
    }
    claims(&payload, key, trust, now)
}

/// A token of a service account: it says nothing, and is found by its digest.
fn credential(token: &str, trust: &Trust, now: Timestamp) -> Result<Authenticated, TokenError> {
    let credential = trust.credentials.get(&Digest::of(token.as_bytes())).ok_or(TokenError::NoCredential)?;
    let account = trust.open_account(&credential.tenant, &credential.name);
    let account = account.ok_or_else(|| TokenError::Closed(credential.name.to_string()))?;
    let principal = account.principal();
    if trust.is_revoked(ACCOUNTS, &credential.id, &principal) {
        return Err(TokenError::Revoked(credential.id.clone()));
    }
    // Both ends are of cku's own clocks, and it was told when it ends: there is no leeway.
    if now >= credential.expires_at {
        return Err(TokenError::Expired(credential.expires_at));
    }
    Ok(Authenticated {
        principal,
        issuer: ACCOUNTS.to_owned(),
        issued_at: credential.issued_at,
        expires_at: credential.expires_at,
        key_id: KeyId::of_credential(&credential.id),
        token_id: Some(credential.id.clone()),
    })
}

fn not_three() -> TokenError {
    TokenError::Malformed("it has not three parts with a dot between them".to_owned())
}

/// One part: base64url in its one spelling, without padding.
fn part(name: &str, text: &str) -> Result<Vec<u8>, TokenError> {
    let bytes = URL_SAFE_NO_PAD.decode(text);
    bytes.map_err(|_| TokenError::Malformed(format!("its {name} is not base64url")))
}

/// A JSON object in which nothing stands twice.
fn document(name: &str, text: &str) -> Result<Map<String, Value>, TokenError> {
    let bytes = part(name, text)?;
    match read_json(name, &bytes, Limits { bytes: LONGEST, depth: 8 }) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err(TokenError::Malformed(format!("its {name} is no JSON object"))),
        Err(problem) => Err(TokenError::Malformed(format!("its {name} is {}", problem.message))),
    }
}

/// The trusted keys that the header names, if it may; several where issuers have the same name for theirs.
fn keys_of<'t>(header: &Map<String, Value>, trust: &'t Trust) -> Result<Vec<&'t TrustedKey>, TokenError> {
    if let Some(name) = NEVER.iter().find(|name| header.contains_key(**name)) {
        return Err(TokenError::Header((*name).to_owned()));
    }
    if let Some(typ) = header.get("typ") {
        let known = typ.as_str().map(str::to_ascii_lowercase);
        if !matches!(known.as_deref(), Some("jwt" | "at+jwt" | "application/at+jwt")) {
            return Err(TokenError::Header("typ".to_owned()));
        }
    }
    let kid = match header.get("kid") {
        Some(Value::String(kid)) => kid,
        Some(_) => return Err(TokenError::Malformed("its `kid` is no text".to_owned())),
        None => return Err(TokenError::NoKey),
    };
    let called = trust.called(kid);
    let first = called
        .first()
        .ok_or_else(|| TokenError::UnknownKey(kid.chars().take(64).flat_map(char::escape_debug).collect()))?;
    let wanted = first.public_key.algorithm().as_str();
    let said = header.get("alg").and_then(Value::as_str).unwrap_or("nothing");
    let keys: Vec<&TrustedKey> =
        called.into_iter().filter(|key| key.public_key.algorithm().as_str() == said).collect();
    if keys.is_empty() {
        let said = said.chars().take(20).flat_map(char::escape_debug).collect();
        return Err(TokenError::Algorithm { said, wanted });
    }
    Ok(keys)
}

fn signed(key: &PublicKey, message: &str, signature: &str, bytes: &[u8]) -> bool {
    let with = |key: Result<DecodingKey, _>, algorithm| {
        key.is_ok_and(|key: DecodingKey| {
            crypto::verify(signature, message.as_bytes(), &key, algorithm).unwrap_or(false)
        })
    };
    match key.material() {
        Material::Ed25519(key) => {
            let signature = ed25519_dalek::Signature::from_slice(bytes);
            signature.is_ok_and(|signature| key.verify_strict(message.as_bytes(), &signature).is_ok())
        }
        Material::P256 { x, y } => {
            bytes.len() == 64
                && with(
                    DecodingKey::from_ec_components(x, y).map_err(|_: jsonwebtoken::errors::Error| ()),
                    jsonwebtoken::Algorithm::ES256,
                )
        }
        Material::Rsa { n, e } => with(
            DecodingKey::from_rsa_components(n, e).map_err(|_: jsonwebtoken::errors::Error| ()),
            jsonwebtoken::Algorithm::RS256,
        ),
    }
}

fn claims(
    claims: &Map<String, Value>,
    key: &TrustedKey,
    trust: &Trust,
    now: Timestamp,
) -> Result<Authenticated, TokenError> {
    let issuer = text(claims, "iss")?;
    if issuer != key.issuer {
        let problem = format!("is not `{}`, whose key signed it", key.issuer);
        return Err(claim("iss", problem));
    }
    let publisher = trust.publisher(key).map(|known| &known.issuer);
    let audience = publisher.and_then(|issuer| issuer.audience.as_ref()).unwrap_or(&trust.audience);
    let meant = match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(many)) => {
            many.iter().all(Value::is_string) && many.iter().any(|one| one == audience.as_str())
        }
        _ => false,
    };
    if !meant {
        return Err(claim("aud", format!("does not name `{audience}`")));
    }
    let issued_at = time(claims, "iat")?.ok_or_else(|| missing("iat"))?;
    let expires_at = time(claims, "exp")?.ok_or_else(|| missing("exp"))?;
    let late = |time: Timestamp| time.after(trust.leeway).unwrap_or(time);
    if expires_at <= issued_at {
        return Err(claim("exp", "is not after `iat`".to_owned()));
    }
    if issued_at.after(trust.longest).is_some_and(|latest| expires_at > latest) {
        let hours = trust.longest.as_secs() / 3_600;
        return Err(claim("exp", format!("is more than {hours} hours after `iat`")));
    }
    if now >= late(expires_at) {
        return Err(TokenError::Expired(expires_at));
    }
    let begins = time(claims, "nbf")?.map_or(issued_at, |nbf| nbf.max(issued_at));
    if begins > late(now) {
        return Err(TokenError::NotYet(begins));
    }
    let principal = match publisher {
        Some(issuer) => issuer.principal(claims)?,
        None => principal(claims)?,
    };
    trust.speaks_for(key, &principal).map_err(|other| {
        let other = other.map_or_else(String::new, |other| format!("; `{other}` does"));
        let whom = format!("`{principal}` of {}{other}", principal.tenant);
        TokenError::NotTheirs { issuer: key.issuer.clone(), whom }
    })?;
    if trust.is_closed(&principal) {
        return Err(TokenError::Closed(principal.id.to_string()));
    }
    let token_id = claims.get("jti").map(|_| text(claims, "jti").map(str::to_owned)).transpose()?;
    if let Some(id) = token_id.as_ref().filter(|id| trust.is_revoked(&key.issuer, id, &principal)) {
        return Err(TokenError::Revoked(issuer::shown(id)));
    }
    Ok(Authenticated {
        principal,
        issuer: key.issuer.clone(),
        issued_at,
        expires_at,
        key_id: key.id.clone(),
        token_id,
    })
}

fn principal(claims: &Map<String, Value>) -> Result<Principal, TokenError> {
    let id: PrincipalId = text(claims, "sub")?
        .parse()
        .map_err(|e: cku_base::PrincipalIdError| claim("sub", format!("is unfit: {e}")))?;
    let tenant: TenantPath = text(claims, "tenant")?
        .parse()
        .map_err(|e: cku_base::TenantPathError| claim("tenant", format!("is unfit: {e}")))?;
    let kind = issuer::kind(text(claims, "kind")?)
        .ok_or_else(|| claim("kind", "is not `user`, `service_account` or `agent`".to_owned()))?;
    Ok(Principal { kind, id, tenant })
}

fn claim(name: &str, problem: String) -> TokenError {
    TokenError::Claim { name: name.to_owned(), problem }
}

fn missing(name: &str) -> TokenError {
    claim(name, "is missing".to_owned())
}

fn text<'c>(claims: &'c Map<String, Value>, name: &'static str) -> Result<&'c str, TokenError> {
    match claims.get(name) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(claim(name, "is no text".to_owned())),
        None => Err(missing(name)),
    }
}

/// A time in whole seconds; fractions are cut off, as they say nothing here.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Timestamp>, TokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = match value.as_i64() {
        Some(seconds) => Some(seconds),
        // PyJWT and others write 1700000000.5; the range keeps the cut exact.
        None => value.as_f64().filter(|s| (0.0..4.0e11).contains(s)).map(|s| s.floor() as i64),
    };
    let time = seconds.and_then(Timestamp::from_unix_seconds);
    time.map(Some).ok_or_else(|| claim(name, "is no time in seconds".to_owned()))
}

impl SigningKey {
    /// A token that says this.
    pub fn token(&self, claims: &Claims) -> String {
        let Claims { issuer, audience, principal, issued_at, expires_at, token_id } = claims;
        let header = json!({"alg": "EdDSA", "kid": self.public_key().id(), "typ": "JWT"});
        let seconds = |time: &Timestamp| time.unix_micros().div_euclid(1_000_000);
        let mut payload = json!({
            "iss": issuer, "aud": audience, "sub": principal.id, "kind": principal.kind, "tenant": principal.tenant,
            "iat": seconds(issued_at), "exp": seconds(expires_at),
        });
        if let (Some(id), Some(members)) = (token_id, payload.as_object_mut()) {
            members.insert("jti".to_owned(), Value::from(id.as_str()));
        }
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&header), part(&payload));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(message.as_bytes()));
        format!("{message}.{signature}")
    }
}
