//! Signatures: which count, and which do not.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use cku_auth::{PublicKey, SigningKey};
use cku_changes::archive::{Archive, BundleKey, SignatureError};
use serde_json::{Value, json};

use crate::{archive_of, files_of, sources, unpack};

/// A key on P-256 and one of RSA, for these tests alone.
const P256: &str = include_str!("p256.pem");
const RSA: &str = include_str!("rsa.pem");

fn ed25519(seed: u8) -> BundleKey {
    BundleKey::from_pem(&SigningKey::from_seed(&[seed; 32]).to_pem().unwrap()).unwrap()
}

fn signed(keys: &[&BundleKey]) -> Archive {
    let mut archive = Archive::new(&sources(), false).unwrap();
    for key in keys {
        archive.sign(key, "", 1_790_000_000, true).unwrap();
    }
    archive
}

/// Verifies after packing, with the tokens replaced.
fn verify_with(tokens: &[String], keys: &[&BundleKey]) -> Result<usize, SignatureError> {
    let mut files = files_of(&Archive::new(&sources(), false).unwrap().pack().unwrap());
    files.push((".signatures.json".to_owned(), json!({"signatures": tokens}).to_string().into_bytes()));
    let archive = unpack(&archive_of(&files)).unwrap();
    archive.verify(&public(keys), "").map(|signed| signed.len())
}

fn public(keys: &[&BundleKey]) -> Vec<PublicKey> {
    keys.iter().map(|key| key.public_key().clone()).collect()
}

/// A token signed by a key, with its header and payload changed before.
fn token(change: impl FnOnce(&mut Value, &mut Value)) -> String {
    let (seed, mut archive) = (SigningKey::from_seed(&[1; 32]), Archive::new(&sources(), false).unwrap());
    archive.sign(&ed25519(1), "", 0, true).unwrap();
    let parts: Vec<&str> = archive.signatures()[0].split('.').collect();
    let read = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
    let (mut header, mut payload): (Value, Value) = (read(parts[0]), read(parts[1]));
    change(&mut header, &mut payload);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&header), part(&payload));
    let key = jsonwebtoken::EncodingKey::from_ed_pem(seed.to_pem().unwrap().as_bytes()).unwrap();
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::EdDSA);
    format!("{message}.{}", signature.unwrap())
}

fn files_problem(change: impl FnOnce(&mut Vec<Value>)) -> String {
    let token = token(|_, payload| change(payload["files"].as_array_mut().unwrap()));
    match verify_with(&[token], &[&ed25519(1)]) {
        Err(SignatureError::Files { at: 1, problem }) => problem,
        other => panic!("{other:?}"),
    }
}

#[test]
fn keys_of_all_three_kinds_sign_and_verify() {
    for key in [ed25519(1), BundleKey::from_pem(P256).unwrap(), BundleKey::from_pem(RSA).unwrap()] {
        let bytes = signed(&[&key]).pack().unwrap();
        let back = unpack(&bytes).unwrap();
        let found = back.verify(&public(&[&key]), "").unwrap();
        assert_eq!(found[0].key, *key.public_key());
        assert_eq!(back.revision(), sources().revision());
    }
    assert_eq!(BundleKey::from_pem("no key").unwrap_err(), SignatureError::NoKey);
}

#[test]
fn the_payload_lists_every_file_with_opas_hash() {
    let archive = signed(&[&ed25519(1)]);
    let payload = archive.signatures()[0].split('.').nth(1).unwrap();
    let payload: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    insta::assert_snapshot!(serde_json::to_string_pretty(&payload).unwrap());
}

#[test]
fn a_second_signature_by_one_key_replaces_the_first() {
    let (one, two) = (ed25519(1), ed25519(2));
    assert_eq!(signed(&[&one, &two, &one]).signatures().len(), 2);
    let mut archive = signed(&[&one]);
    archive.sign(&two, "", 0, false).unwrap();
    assert_eq!(archive.signatures().len(), 1);
}

#[test]
fn an_archive_without_a_signature_is_not_verified() {
    let archive = Archive::new(&sources(), false).unwrap();
    assert_eq!(archive.verify(&public(&[&ed25519(1)]), ""), Err(SignatureError::Unsigned));
}

#[test]
fn a_key_that_was_not_given_does_not_count() {
    let error = signed(&[&ed25519(1)]).verify(&public(&[&ed25519(2)]), "").unwrap_err();
    assert!(matches!(error, SignatureError::UnknownKey { at: 1, .. }), "{error}");
}

#[test]
fn the_key_says_the_algorithm_and_the_token_does_not() {
    for said in ["none", "HS256", "ES256", "eddsa"] {
        let token = token(|header, _| header["alg"] = json!(said));
        let error = verify_with(&[token], &[&ed25519(1)]).unwrap_err();
        assert!(matches!(error, SignatureError::Algorithm { at: 1, .. }), "{said}: {error}");
    }
    let token = token(|header, _| header["jwk"] = json!({}));
    assert!(matches!(verify_with(&[token], &[&ed25519(1)]), Err(SignatureError::Malformed { .. })));
}

#[test]
fn one_bad_signature_of_two_spoils_both() {
    let (one, two) = (ed25519(1), ed25519(2));
    let mut tokens = signed(&[&one, &two]).signatures().to_vec();
    assert_eq!(verify_with(&tokens, &[&one, &two]), Ok(2));
    assert!(matches!(verify_with(&tokens, &[&one]), Err(SignatureError::UnknownKey { at: 2, .. })));
    let cut = tokens[1].rfind('.').unwrap();
    let other = tokens[0].rsplit_once('.').unwrap().1.to_owned();
    tokens[1].replace_range(cut + 1.., &other);
    assert_eq!(verify_with(&tokens, &[&one, &two]), Err(SignatureError::Wrong { at: 2 }));
}

#[test]
fn files_that_differ_from_the_list_are_named() {
    assert_eq!(files_problem(|files| drop(files.remove(0))), "`.manifest` was added");
    let extra = json!({"name": "b.rego", "hash": "00", "algorithm": "SHA-256"});
    assert_eq!(files_problem(|files| files.push(extra)), "`b.rego` is missing");
    assert_eq!(files_problem(|files| files[1]["hash"] = json!("00")), "`a.rego` was changed");
    assert_eq!(files_problem(|files| files.push(files[1].clone())), "it lists `a.rego` twice");
    assert_eq!(
        files_problem(|files| files[1]["algorithm"] = json!("MD5")),
        "the hash of `a.rego` is not SHA-256"
    );
}

#[test]
fn a_signature_holds_for_its_scope() {
    let key = ed25519(1);
    let mut archive = Archive::new(&sources(), false).unwrap();
    archive.sign(&key, "prod", 0, true).unwrap();
    assert!(archive.verify(&public(&[&key]), "prod").is_ok());
    assert!(matches!(archive.verify(&public(&[&key]), ""), Err(SignatureError::Scope { .. })));
}

#[test]
fn what_is_no_token_is_told() {
    for text in ["", "a.b", "a.b.c", "e30.e30.e30"] {
        let error = verify_with(&[text.to_owned()], &[&ed25519(1)]).unwrap_err();
        assert!(matches!(error, SignatureError::Malformed { at: 1, .. }), "{text}: {error}");
    }
}
