//! Tokens that somebody made to get in.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as B64};
use cku_auth::{Claims, PublicKey, SigningKey, TokenError, Trust, TrustError, TrustedKey, verify};
use cku_base::{Principal, PrincipalKind, Timestamp};
use ed25519_dalek::Signer;
use jsonwebtoken::{EncodingKey, crypto};
use proptest::prelude::*;
use serde_json::{Value, json};

const ISSUER: &str = "https://id.acme.example";
const SEED: [u8; 32] = [7; 32];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn noon() -> Timestamp {
    at("2026-11-20T12:00:00Z")
}

fn key() -> SigningKey {
    SigningKey::from_seed(&SEED)
}

fn trusted() -> TrustedKey {
    TrustedKey::new(key().public_key(), ISSUER, "acme".parse().unwrap(), [PrincipalKind::User])
}

fn trust() -> Trust {
    Trust::new(vec![trusted()], "cku").unwrap()
}

fn header() -> Value {
    json!({"alg": "EdDSA", "kid": key().public_key().id(), "typ": "JWT"})
}

fn payload() -> Value {
    json!({
        "iss": ISSUER, "aud": "cku", "sub": "dana@acme.example", "kind": "user", "tenant": "acme/payments",
        "iat": 1_795_176_000, "exp": 1_795_179_600,
    })
}

/// A token over these texts, signed with the trusted key.
fn signed_texts(header: &str, payload: &str) -> String {
    let message = format!("{}.{}", B64.encode(header), B64.encode(payload));
    let signature = ed25519_dalek::SigningKey::from_bytes(&SEED).sign(message.as_bytes());
    format!("{message}.{}", B64.encode(signature.to_bytes()))
}

fn signed(header: &Value, payload: &Value) -> String {
    signed_texts(&header.to_string(), &payload.to_string())
}

fn with(mut document: Value, name: &str, value: Value) -> Value {
    document[name] = value;
    document
}

fn without(mut document: Value, name: &str) -> Value {
    document.as_object_mut().unwrap().remove(name);
    document
}

fn refused(token: &str) -> TokenError {
    verify(token, &trust(), noon()).unwrap_err()
}

#[test]
fn the_good_one_is_good() {
    let verified = verify(&signed(&header(), &payload()), &trust(), noon()).unwrap();
    assert_eq!(verified.principal.to_string(), "user:dana@acme.example");
    assert_eq!(verified.principal.tenant.to_string(), "acme/payments");
    assert_eq!((verified.issued_at, verified.expires_at), (noon(), at("2026-11-20T13:00:00Z")));
}

#[test]
fn what_every_attack_is_told() {
    let (h, p) = (header(), payload());
    let kid = key().public_key().id();
    let none = |alg: &str| {
        format!(
            "{}.{}.",
            B64.encode(with(h.clone(), "alg", json!(alg)).to_string()),
            B64.encode(p.to_string())
        )
    };
    let hmac = |secret: &[u8]| {
        let header = json!({"alg": "HS256", "kid": kid, "typ": "JWT"});
        let message = format!("{}.{}", B64.encode(header.to_string()), B64.encode(p.to_string()));
        let signature = crypto::sign(
            message.as_bytes(),
            &EncodingKey::from_secret(secret),
            jsonwebtoken::Algorithm::HS256,
        )
        .unwrap();
        format!("{message}.{signature}")
    };
    let jwk = serde_json::to_value(key().public_key()).unwrap();
    let raw = B64.decode(jwk["x"].as_str().unwrap()).unwrap();
    let good = signed(&h, &p);
    let parts: Vec<&str> = good.split('.').collect();
    let twice = |text: String, member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let cases: Vec<(&str, String)> = vec![
        ("alg none", none("none")),
        ("alg None", none("None")),
        ("alg NONE with a signature", signed(&with(h.clone(), "alg", json!("NONE")), &p)),
        ("no alg", signed(&without(h.clone(), "alg"), &p)),
        ("HS256 with the public key", hmac(&raw)),
        ("HS256 with the JWK", hmac(jwk.to_string().as_bytes())),
        ("ES256 said, EdDSA signed", signed(&with(h.clone(), "alg", json!("ES256")), &p)),
        ("crit", signed(&with(h.clone(), "crit", json!(["exp"])), &p)),
        ("b64", signed(&with(h.clone(), "b64", json!(false)), &p)),
        ("its own jwk", signed(&with(h.clone(), "jwk", jwk.clone()), &p)),
        ("its own jku", signed(&with(h.clone(), "jku", json!("https://evil.example")), &p)),
        ("x5c", signed(&with(h.clone(), "x5c", json!(["…"])), &p)),
        ("typ of something else", signed(&with(h.clone(), "typ", json!("secevent+jwt")), &p)),
        ("no kid", signed(&without(h.clone(), "kid"), &p)),
        ("another kid", signed(&with(h.clone(), "kid", json!("../../dev/null")), &p)),
        ("kid a number", signed(&with(h.clone(), "kid", json!(0)), &p)),
        ("alg twice", signed_texts(&twice(h.to_string(), "\"alg\":\"none\""), &p.to_string())),
        ("sub twice, evil first", signed_texts(&h.to_string(), &twice(p.to_string(), "\"sub\":\"root\""))),
        (
            "sub twice, evil last",
            signed_texts(&h.to_string(), &p.to_string().replace('}', ",\"sub\":\"root\"}")),
        ),
        ("another audience", signed(&h, &with(p.clone(), "aud", json!("other")))),
        ("a list without us", signed(&h, &with(p.clone(), "aud", json!(["a", "b"])))),
        ("an audience that only begins so", signed(&h, &with(p.clone(), "aud", json!("cku.evil")))),
        ("no audience", signed(&h, &without(p.clone(), "aud"))),
        ("another issuer", signed(&h, &with(p.clone(), "iss", json!("https://evil.example")))),
        ("no issuer", signed(&h, &without(p.clone(), "iss"))),
        (
            "expired",
            signed(&h, &with(with(p.clone(), "exp", json!(1_795_175_000)), "iat", json!(1_795_170_000))),
        ),
        ("no exp", signed(&h, &without(p.clone(), "exp"))),
        ("exp a text", signed(&h, &with(p.clone(), "exp", json!("1795179600")))),
        ("exp beyond all", signed(&h, &with(p.clone(), "exp", json!(1e300)))),
        ("exp at once", signed(&h, &with(p.clone(), "exp", json!(1_795_176_000)))),
        ("a year long", signed(&h, &with(p.clone(), "exp", json!(1_826_712_000)))),
        ("no iat", signed(&h, &without(p.clone(), "iat"))),
        ("iat in the future", signed(&h, &with(p.clone(), "iat", json!(1_795_176_031)))),
        ("nbf in the future", signed(&h, &with(p.clone(), "nbf", json!(1_795_176_031)))),
        ("no sub", signed(&h, &without(p.clone(), "sub"))),
        (
            "a sub that looks like another",
            signed(&h, &with(p.clone(), "sub", json!("d\u{430}na@acme.example"))),
        ),
        ("an empty sub", signed(&h, &with(p.clone(), "sub", json!("")))),
        ("a tenant that is none", signed(&h, &with(p.clone(), "tenant", json!("acme/../globex")))),
        ("another tenant", signed(&h, &with(p.clone(), "tenant", json!("globex")))),
        ("the root", signed(&h, &with(p.clone(), "tenant", json!("/")))),
        ("a tenant that only begins so", signed(&h, &with(p.clone(), "tenant", json!("acmes")))),
        ("another kind", signed(&h, &with(p.clone(), "kind", json!("agent")))),
        ("a kind that is none", signed(&h, &with(p.clone(), "kind", json!("admin")))),
        ("no kind", signed(&h, &without(p.clone(), "kind"))),
        ("jti no text", signed(&h, &with(p.clone(), "jti", json!(7)))),
        ("a payload that is a list", signed_texts(&h.to_string(), "[]")),
        ("a payload that is not JSON", signed_texts(&h.to_string(), "{")),
        ("a lone surrogate", signed_texts(&h.to_string(), &p.to_string().replace("dana", "\\ud800"))),
        ("two parts", format!("{}.{}", parts[0], parts[1])),
        ("four parts", format!("{good}.{}", parts[2])),
        ("five parts, as of JWE", format!("{0}.{0}.{0}.{0}.{0}", parts[0])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("half a signature", good[..good.len() - 43].to_owned()),
        ("padded", format!("{good}==")),
        ("a blank", format!(" {good}")),
        ("a line end", format!("{good}\n")),
        ("the other alphabet", format!("{}.{}.{}", parts[0], parts[1], parts[2].replace(['-', '_'], "/"))),
        ("nothing", String::new()),
        ("dots", "..".to_owned()),
        ("not text", "é.ü.ß".to_owned()),
        ("huge", format!("{good}{}", "A".repeat(20_000))),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|(name, token)| {
            let error = refused(token);
            let told = error.to_string();
            assert!(!told.contains(parts[2]), "{name}: the token shows");
            format!("{name}: {} – {told}", error.code())
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_signature_with_other_trailing_bits_is_another_text() {
    let good = signed(&header(), &payload());
    // 64 bytes are 86 characters, of which the last carries two bits that mean nothing.
    let last = good.chars().last().unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let others = alphabet.chars().filter(|c| *c != last);
    for other in others {
        let token = format!("{}{other}", &good[..good.len() - 1]);
        assert!(verify(&token, &trust(), noon()).is_err(), "{other}");
    }
}

#[test]
fn a_revoked_key_counts_for_nothing_whatever_the_clock_says() {
    let revoked = TrustedKey { revoked_at: Some(noon()), ..trusted() };
    let trust = Trust::new(vec![revoked], "cku").unwrap();
    let token = signed(&header(), &with(payload(), "iat", json!(1_795_175_900)));
    for now in ["2026-11-20T11:59:00Z", "2026-11-20T12:00:00Z", "2026-11-20T12:30:00Z"] {
        assert!(matches!(verify(&token, &trust, at(now)), Err(TokenError::RevokedKey(_))), "{now}");
    }
}

/// A key of ci.example's and what its token for ci@acme.example in a tenant is told.
fn other_key(tenant: &str, kinds: &[PrincipalKind]) -> TrustedKey {
    let key = SigningKey::from_seed(&[8; 32]).public_key();
    TrustedKey::new(key, "https://ci.example", tenant.parse().unwrap(), kinds.iter().copied())
}

/// Whom of two issuers a trust believes: tokens of both for the same name.
fn believed(trust: &Trust, kind: PrincipalKind, tenant: &str) -> [bool; 2] {
    [(key(), ISSUER), (SigningKey::from_seed(&[8; 32]), "https://ci.example")].map(|(key, issuer)| {
        let token = key.token(&Claims {
            issuer: issuer.to_owned(),
            audience: "cku".to_owned(),
            principal: Principal { kind, id: "x".parse().unwrap(), tenant: tenant.parse().unwrap() },
            issued_at: noon(),
            expires_at: at("2026-11-20T13:00:00Z"),
            token_id: None,
        });
        match verify(&token, trust, noon()) {
            Ok(_) => true,
            Err(TokenError::NotTheirs { .. } | TokenError::RevokedKey(_)) => false,
            Err(error) => panic!("{error}"),
        }
    })
}

#[test]
fn the_innermost_issuer_speaks_for_its_own_and_the_outer_one_for_the_rest() {
    use PrincipalKind::{Agent, ServiceAccount, User};
    let all =
        TrustedKey::new(key().public_key(), ISSUER, "/".parse().unwrap(), [User, ServiceAccount, Agent]);
    let ci = other_key("acme/payments", &[ServiceAccount]);
    for keys in [vec![all.clone(), ci.clone()], vec![ci.clone(), all.clone()]] {
        let trust = Trust::new(keys, "cku").unwrap();
        for (kind, tenant, expected) in [
            (ServiceAccount, "acme/payments", [false, true]),
            (ServiceAccount, "acme/payments/eu", [false, true]),
            (ServiceAccount, "acme", [true, false]),
            (ServiceAccount, "acme/paymentsx", [true, false]),
            (User, "acme/payments", [true, false]),
            (User, "/", [true, false]),
        ] {
            assert_eq!(believed(&trust, kind, tenant), expected, "{kind:?} {tenant}");
        }
        assert_eq!(
            trust.innermost(ServiceAccount, &"acme/payments".parse().unwrap()),
            Some("https://ci.example")
        );
    }
    // A key further down gives the first issuer its names back, for both of its keys.
    let third = SigningKey::from_seed(&[9; 32]).public_key();
    let back = TrustedKey::new(third, ISSUER, "acme/payments/eu".parse().unwrap(), [ServiceAccount]);
    let trust = Trust::new(vec![all.clone(), ci.clone(), back], "cku").unwrap();
    assert_eq!(believed(&trust, ServiceAccount, "acme/payments/eu"), [true, false]);
    assert_eq!(believed(&trust, ServiceAccount, "acme/payments"), [false, true]);
    // A revoked key keeps its names: nobody else speaks for them.
    let trust = Trust::new(vec![all, TrustedKey { revoked_at: Some(noon()), ..ci }], "cku").unwrap();
    assert_eq!(believed(&trust, ServiceAccount, "acme/payments"), [false, false]);
}

#[test]
fn the_key_of_another_issuer_does_not_speak_for_us() {
    let other = SigningKey::from_seed(&[8; 32]);
    let globex = TrustedKey::new(
        other.public_key(),
        "https://id.globex.example",
        "globex".parse().unwrap(),
        [PrincipalKind::User],
    );
    let trust = Trust::new(vec![trusted(), globex], "cku").unwrap();
    let principal = Principal {
        kind: PrincipalKind::User,
        id: "dana@acme.example".parse().unwrap(),
        tenant: "acme/payments".parse().unwrap(),
    };
    let claims = |issuer: &str| Claims {
        issuer: issuer.to_owned(),
        audience: "cku".to_owned(),
        principal: principal.clone(),
        issued_at: noon(),
        expires_at: at("2026-11-20T13:00:00Z"),
        token_id: None,
    };
    let error = verify(&other.token(&claims(ISSUER)), &trust, noon()).unwrap_err();
    assert!(matches!(&error, TokenError::Claim { name, .. } if name == "iss"), "{error}");
    let error = verify(&other.token(&claims("https://id.globex.example")), &trust, noon()).unwrap_err();
    assert!(matches!(error, TokenError::NotTheirs { .. }), "{error}");
}

#[test]
fn keys_that_cannot_be_trusted_together_are_refused() {
    let other = SigningKey::from_seed(&[8; 32]).public_key();
    let key = other_key;
    let together = |key| Trust::new(vec![trusted(), key], "cku").map(|_| ());
    assert!(matches!(together(key("acme", &[PrincipalKind::User])), Err(TrustError::Overlap { .. })));
    for tenant in ["/", "acme/payments", "globex"] {
        assert_eq!(together(key(tenant, &[PrincipalKind::User])), Ok(()));
    }
    assert_eq!(together(key("acme", &[PrincipalKind::ServiceAccount])), Ok(()));
    // Nobody inherits the names of a key that was revoked.
    let revoked = TrustedKey { revoked_at: Some(noon()), ..trusted() };
    let heir = Trust::new(vec![revoked, key("acme", &[PrincipalKind::User])], "cku").unwrap_err();
    assert!(heir.to_string().contains("what a revoked key named keeps its roles"), "{heir}");
    assert!(matches!(together(trusted()), Err(TrustError::Twice(_))));
    let renamed = TrustedKey { id: other.id(), ..trusted() };
    assert!(matches!(Trust::new(vec![renamed], "cku"), Err(TrustError::OtherKey(_))));
    // A second key of the same issuer is how keys are changed.
    let next = TrustedKey { issuer: ISSUER.to_owned(), ..key("acme", &[PrincipalKind::User]) };
    assert_eq!(together(next), Ok(()));
}

#[test]
fn keys_that_are_none_are_refused() {
    let zero = B64.encode([0u8; 32]);
    let small = B64.encode([0xffu8; 128]);
    let large = B64.encode([0xffu8; 256]);
    let cases = [
        json!({"kty": "OKP", "crv": "Ed25519", "x": zero}),
        // The point of order 1.
        json!({"kty": "OKP", "crv": "Ed25519", "x": B64.encode({ let mut p = [0u8; 32]; p[0] = 1; p })}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": format!("{zero}=")}),
        json!({"kty": "OKP", "crv": "Ed448", "x": zero}),
        json!({"kty": "OKP", "crv": "Ed25519"}),
        json!({"kty": "EC", "crv": "P-256", "x": zero, "y": "AAAA"}),
        json!({"kty": "EC", "crv": "P-384", "x": zero, "y": zero}),
        json!({"kty": "RSA", "n": small, "e": "AQAB"}),
        json!({"kty": "RSA", "n": large, "e": "AQ"}),
        json!({"kty": "RSA", "n": large, "e": "AQAA"}),
        json!({"kty": "RSA", "n": large}),
        json!({"kty": "oct", "k": zero}),
        json!({"kty": "OKP", "crv": "Ed25519", "x": zero, "d": zero}),
        json!({"x": zero}),
    ];
    let told: Vec<String> = cases
        .iter()
        .map(|jwk| serde_json::from_value::<PublicKey>(jwk.clone()).unwrap_err().to_string())
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn an_rsa_key_has_2048_to_4096_bits_and_a_small_exponent() {
    let takes = |bits: usize, e: &[u8]| {
        let mut n = vec![0xff; bits.div_ceil(8)];
        n[0] = 0xff >> (n.len() * 8 - bits);
        let jwk = json!({"kty": "RSA", "n": B64.encode(n), "e": B64.encode(e)});
        serde_json::from_value::<PublicKey>(jwk).is_ok()
    };
    let common = [1, 0, 1];
    assert_eq!([2_047, 2_048, 4_096, 4_097].map(|bits| takes(bits, &common)), [false, true, true, false]);
    assert_eq!([&[1][..], &[2], &[3]].map(|e| takes(2_048, e)), [false, false, true]);
    // 2^33 − 1, 2^33 + 1, and far beyond.
    assert!(takes(2_048, &[1, 255, 255, 255, 255]));
    assert!(!takes(2_048, &[2, 0, 0, 0, 1]));
    assert!(!takes(2_048, &[255; 9]));
    assert!(!takes(2_048, &[0, 1, 0, 1]), "another spelling");
}

#[test]
fn a_key_reads_back_and_shows_nowhere() {
    let pem = key().to_pem().unwrap();
    let again = SigningKey::from_pem(&pem).unwrap();
    assert_eq!(again.public_key(), key().public_key());
    assert!(!format!("{again:?}").contains("BwcH"));
    assert!(SigningKey::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").is_err());
    // RFC 8037, appendix A.3: the thumbprint of the key of A.2.
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
    let key: PublicKey = serde_json::from_value(jwk).unwrap();
    assert_eq!(key.id().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

proptest! {
    #[test]
    fn what_we_sign_holds_in_its_window_and_at_no_other_time(
        begin in 0i64..4_000_000_000, span in 1i64..86_400, offset in -100_000i64..200_000
    ) {
        let time = |seconds| Timestamp::from_unix_seconds(seconds).unwrap();
        let principal = Principal {
            kind: PrincipalKind::User, id: "dana".parse().unwrap(), tenant: "acme".parse().unwrap(),
        };
        let token = key().token(&Claims {
            issuer: ISSUER.to_owned(), audience: "cku".to_owned(), principal: principal.clone(),
            issued_at: time(begin), expires_at: time(begin + span), token_id: Some("t-1".to_owned()),
        });
        let at = (begin + offset).max(0);
        let verified = verify(&token, &trust(), time(at));
        // The clocks may differ by 30 seconds.
        let holds = at >= begin - 30 && at < begin + span + 30;
        prop_assert_eq!(verified.is_ok(), holds, "{:?}", verified);
        if let Ok(verified) = verified {
            prop_assert_eq!(verified.principal, principal);
        }
    }

    #[test]
    fn a_token_in_which_anything_was_changed_is_refused(at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let good = signed(&header(), &payload());
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        if let Ok(changed) = String::from_utf8(bytes) {
            prop_assert!(verify(&changed, &trust(), noon()).is_err());
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "[ -~]{0,200}", a in "[A-Za-z0-9_-]{0,60}", b in "[A-Za-z0-9_-]{0,60}") {
        let _ = verify(&text, &trust(), noon());
        let _ = verify(&format!("{a}.{b}.{a}"), &trust(), noon());
    }
}
