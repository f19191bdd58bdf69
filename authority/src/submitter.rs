//! Who acts, by a token that was verified.

use cku_auth::Authenticated;
use cku_gates::{Authentication, Submitter, TokenClaims};

/// What a verified token comes to: who it is from, and what of it is recorded with what they do.
pub fn submitter(verified: Authenticated) -> Submitter {
    let Authenticated { principal, issuer, issued_at, expires_at, key_id, token_id: _ } = verified;
    let key = Some(key_id.as_str().to_owned());
    let token = TokenClaims { valid: true, issuer, issued_at, expires_at, key };
    Submitter { principal, authentication: Authentication::Token, token: Some(token) }
}
