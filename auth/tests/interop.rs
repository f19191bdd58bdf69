//! Tokens that another implementation signed: `testdata/tokens`, made with PyJWT.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;

use cku_auth::{PublicKey, Trust, TrustedKey, verify};
use cku_base::{PrincipalKind, Timestamp};
use serde_json::Value;

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../testdata/tokens").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn tokens_of_pyjwt_are_verified_under_every_algorithm() {
    let noon: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    for (name, algorithm) in [("eddsa", "EdDSA"), ("es256", "ES256"), ("rs256", "RS256")] {
        let jwk: Value = serde_json::from_str(&read(&format!("{name}.jwk.json"))).unwrap();
        let public: PublicKey = serde_json::from_value(jwk.clone()).unwrap();
        assert_eq!(public.algorithm().as_str(), algorithm);
        assert_eq!(public.id().as_str(), jwk["kid"].as_str().unwrap(), "the thumbprint that Python computed");
        let kinds = [PrincipalKind::User];
        let key = TrustedKey::new(public, "https://id.acme.example", "acme".parse().unwrap(), kinds);
        let trust = Trust::new(vec![key], "cku").unwrap();
        let token = read(&format!("{name}.jwt"));
        let verified = verify(token.trim_end(), &trust, noon).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(verified.principal.to_string(), "user:rhea@acme.example");
        assert_eq!(verified.token_id.as_deref(), Some(name));
        // Another key of the same algorithm did not sign it.
        let message = token.rsplit_once('.').unwrap().0;
        for other in ["eddsa", "es256", "rs256"] {
            let signature = read(&format!("{other}.jwt"));
            let signature = signature.trim_end().rsplit_once('.').unwrap().1.to_owned();
            let verified = verify(&format!("{message}.{signature}"), &trust, noon);
            assert_eq!(verified.is_ok(), other == name);
        }
    }
}
