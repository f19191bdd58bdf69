//! Tokens, keys and a time in; a principal out. Pure.
//!
//! A [`TrustedKey`] says whose tokens count, for whom it speaks, and with which algorithm; a [`TrustedIssuer`]
//! where the keys of an issuer are found and how its claims name principals; a [`Trust`] is all of that, with
//! the service accounts that are kept here and the tokens that were revoked. [`verify`] reads a token (a JWT with EdDSA, ES256 or RS256) and gives
//! who it is from, or one error that says what is wrong with it. A small installation signs its own
//! with a [`SigningKey`].
//!
//! ```
//! use cku_auth::{Claims, SigningKey, Trust, TrustedKey, verify};
//! use cku_base::{Principal, PrincipalKind, TenantPath, Timestamp};
//!
//! let key = SigningKey::from_seed(&[7; 32]);
//! let issuer = "https://id.acme.example".to_owned();
//! let trusted = TrustedKey::new(key.public_key(), issuer.clone(), TenantPath::root(), [PrincipalKind::User]);
//! let trust = Trust::new(vec![trusted], "cku")?;
//! let noon: Timestamp = "2026-11-20T12:00:00Z".parse()?;
//! let principal = Principal { kind: PrincipalKind::User, id: "dana@acme.example".parse()?, tenant: "acme".parse()? };
//! let token = key.token(&Claims {
//!     issuer, audience: "cku".to_owned(), principal: principal.clone(), token_id: None,
//!     issued_at: noon, expires_at: "2026-11-20T13:00:00Z".parse()?,
//! });
//! assert_eq!(verify(&token, &trust, noon)?.principal, principal);
//! assert!(verify(&token, &trust, "2026-11-20T13:00:30Z".parse()?).is_err());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod account;
mod issuer;
mod jwks;
mod key;
mod token;
mod trust;

pub use account::{Account, Credential, PREFIX, Secret, credential_id};
pub use issuer::{ACCOUNTS, AccountRule, GITHUB, IssuerError, Names, TrustedIssuer};
pub use jwks::{KeySet, LARGEST_SET, read_set};
pub use key::{Algorithm, KeyError, KeyId, PublicKey, SigningKey, TrustedKey};
pub use token::{Authenticated, Claims, TokenError, verify};
pub use trust::{Issuer, Named, RevokedToken, Trust, TrustError};
