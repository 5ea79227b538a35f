//! The samples of the OTrP draft, and a conformant transcript made by another implementation of JOSE, read in place.

use std::collections::BTreeMap;
use std::path::Path;

use aws_lc_rs::signature::{RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use tamarack_crypto::{KeyAgree, Provider, PublicKey};
use tamarack_jose::json::{self, Json, Limits};
use tamarack_jose::jwe::{DecryptionKey, Jwe};
use tamarack_jose::jws::{Purpose, Unverified, VerificationKey};
use tamarack_jose::{Error, Mode, base64};
use tamarack_testkit::specs::otrp_dir;

fn providers() -> [Provider; 2] {
    [tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider()]
}

fn read(path: &Path) -> Json {
    let text = std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    json::parse(&text, &Limits::default()).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn member<'j>(object: &'j Json, name: &str) -> &'j Json {
    object.get(name).unwrap_or_else(|| panic!("no member {name}"))
}

/// SubjectPublicKeyInfo of 1,024-bit RSA up to the key itself.
const SPKI_1024: &[u8] = &[
    0x30, 0x81, 0x9f, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
    0x00, 0x03, 0x81, 0x8d, 0x00,
];

#[test]
fn the_drafts_own_signatures_are_right_but_their_keys_too_small() {
    let Some(dir) = otrp_dir() else {
        return;
    };
    let vectors = read(&dir.join("samples/vectors-jws.json"));
    let vectors = vectors.as_array().expect("an array");
    for vector in vectors {
        let text = |name| member(vector, name).as_str().expect("a string");
        let certificate = base64::decode(text("signer_cert_b64")).expect("a certificate");
        let at = certificate.windows(SPKI_1024.len()).position(|w| w == SPKI_1024).expect("an RSA key");
        let spki = &certificate[at..at + 162];
        let signing_input = [text("protected"), text("payload")].join(".");
        let signature = base64::decode_url(text("signature")).expect("a signature");
        UnparsedPublicKey::new(&RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, spki)
            .verify(signing_input.as_bytes(), &signature)
            .expect("the mathematics is right");
        let refused = VerificationKey::new(spki, Purpose::OtrpRequest).err();
        assert_eq!(refused, Some(Error::Key), "{}", text("name"));
        let jws = json::object(["protected", "payload", "signature"].map(|name| (name, text(name).into())));
        let parsed = Unverified::parse(&jws, Mode::Compat);
        // Two have protected headers with quotes of typography.
        assert_eq!(parsed.is_ok(), member(vector, "protected_is_json").as_bool() == Some(true));
    }
    assert_eq!(vectors.len(), 6);
}

/// The private keys of the transcript: who signs or decrypts.
fn agreement_keys(dir: &Path, provider: &Provider) -> BTreeMap<&'static str, Box<dyn KeyAgree>> {
    let load = |name: &'static str| {
        let pem = std::fs::read(dir.join(format!("{name}.key.pem"))).expect("a key file");
        let (_, der) = pem_rfc7468::decode_vec(&pem).expect("PEM");
        (name, provider.agree.load_pkcs8(&der).expect("a P-256 key"))
    };
    ["tam", "tee", "spaik"].map(load).into()
}

#[derive(Default)]
struct Found {
    verified: usize,
    decrypted: usize,
}

/// Verifies every JWS and decrypts every JWE below `value`, plaintexts included.
fn walk(value: &Json, name: &str, keys: &BTreeMap<&str, Box<dyn KeyAgree>>, p: &Provider, found: &mut Found) {
    let public = |who: &str| -> PublicKey { keys[who].public_key() };
    match value {
        Json::Array(elements) => elements.iter().for_each(|element| walk(element, name, keys, p, found)),
        Json::Object(_) if value.get("signature").is_some() && value.get("payload").is_some() => {
            let (who, purpose) = match name {
                "TAInformation" => ("spaik", Purpose::TaInformation),
                _ if name.ends_with("Request") => ("tam", Purpose::OtrpRequest),
                _ => ("tee", Purpose::OtrpResponse),
            };
            let jws = Unverified::parse(value, Mode::Strict).unwrap_or_else(|e| panic!("{name}: {e}"));
            let key = VerificationKey::of(&public(who), purpose).expect("P-256");
            let verified = jws.verify(&key, purpose, p).unwrap_or_else(|e| panic!("{name}: {e}"));
            found.verified += 1;
            // The certificate of a device is never in the clear.
            assert_eq!(jws.x5c().is_empty(), who != "tam", "{name}");
            let payload = json::parse(verified.value(), &Limits::default()).expect("JSON in the payload");
            walk(&payload, name, keys, p, found);
        }
        Json::Object(_) if value.get("ciphertext").is_some() => {
            let jwe = Jwe::parse(value).unwrap_or_else(|e| panic!("{name}: {e}"));
            let plaintext = decrypt(&jwe, keys, p);
            found.decrypted += 1;
            let content = json::parse(&plaintext, &Limits::default()).expect("JSON in the content");
            walk(&content, name, keys, p, found);
        }
        Json::Object(members) => {
            for (name, value) in members {
                // The key of an encrypted TA is compact.
                if let (Some(text), "key") = (value.as_str(), name.as_str()) {
                    let jwe = Jwe::parse_compact(text).unwrap_or_else(|e| panic!("{name}: {e}"));
                    assert_eq!(decrypt(&jwe, keys, p).len(), 32);
                    found.decrypted += 1;
                }
                walk(value, name, keys, p, found);
            }
        }
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => {}
    }
}

/// With the one key that fits; the others fail.
fn decrypt(jwe: &Jwe, keys: &BTreeMap<&str, Box<dyn KeyAgree>>, provider: &Provider) -> Vec<u8> {
    let results = keys.values().map(|key| jwe.decrypt(DecryptionKey::Agree(&**key), provider));
    let (right, wrong): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
    assert!(wrong.into_iter().all(|result| result.err() == Some(Error::Decryption)));
    let [Ok(plaintext)] = &right[..] else { panic!("{} keys decrypt", right.len()) };
    plaintext.expose().clone()
}

#[test]
fn a_transcript_of_another_implementation_verifies_and_decrypts() {
    let Some(dir) = otrp_dir() else {
        return;
    };
    let dir = dir.join("samples/fresh/ec");
    let mut messages: Vec<_> = std::fs::read_dir(&dir).expect("the transcript").flatten().collect();
    messages.retain(|entry| entry.file_name().to_string_lossy().starts_with(|c: char| c.is_ascii_digit()));
    assert_eq!(messages.len(), 19);
    for provider in providers() {
        let keys = agreement_keys(&dir, &provider);
        let mut found = Found::default();
        for message in &messages {
            walk(&read(&message.path()), "", &keys, &provider, &mut found);
        }
        println!("{}: {} JWS verified, {} JWE decrypted", provider.name, found.verified, found.decrypted);
        // All but TAQuery and OTrPBrokerError are signed; encrypted are the state, 14 contents and the keys of two TAs.
        assert_eq!((found.verified, found.decrypted), (17, 17));
    }
}

#[test]
fn a_transcript_with_rsa_verifies_and_its_encryption_is_refused_by_name() {
    let Some(dir) = otrp_dir() else {
        return;
    };
    let dir = dir.join("samples/fresh/rsa");
    if !dir.is_dir() {
        println!("skipped: no RSA transcript at {}", dir.display());
        return;
    }
    let provider = tamarack_crypto_aws_lc::provider();
    let key = |name: &str| {
        let pem = std::fs::read(dir.join(format!("{name}.key.pem"))).expect("a key file");
        let (_, der) = pem_rfc7468::decode_vec(&pem).expect("PEM");
        provider.rsa.expect("has RSA").load_pkcs8(&der).expect("an RSA key").spki().to_vec()
    };
    let message = read(&dir.join("03-CreateSDRequest.json"));
    let jws = Unverified::parse(member(&message, "CreateSDRequest"), Mode::Strict).expect("a JWS");
    let trusted = VerificationKey::new(&key("tam"), Purpose::OtrpRequest).expect("2,048 bits");
    let payload = jws.verify(&trusted, Purpose::OtrpRequest, &provider).expect("verifies");
    let payload = json::parse(payload.value(), &Limits::default()).expect("JSON");
    let content = member(member(&payload, "CreateSDTBSRequest"), "content");
    assert_eq!(Jwe::parse(content).err(), Some(Error::Rsa1_5Refused));
}
