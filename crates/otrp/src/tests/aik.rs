use alloc::vec::Vec;

use tamarack_crypto::PublicKey;
use tamarack_jose::jwk::KeyUse;
use tamarack_jose::{self as jose, Json, Jwk, base64, json, jws};

use super::{Party, provider};
use crate::aik::{SignedAiks, SpAik, encode, read_key, type_text};
use crate::member::Context;
use crate::{Error, Limits, Mode, Tolerance};

#[test]
fn signed_aiks_read_back() {
    let (provider, tam, other) = (provider(), Party::new(), Party::new());
    let aik = |key_use| SpAik { spid: "sp".into(), key: Party::new().jwk().with_use(key_use) };
    let aiks = SignedAiks {
        tamid: "1.2.3".into(),
        iat: 1_800_000_000,
        exp: 1_800_086_400,
        aiks: Vec::from([aik(KeyUse::Signature), aik(KeyUse::Encryption)]),
    };
    let headers = jws::SignHeaders::chain(&tam.chain, &provider);
    let message = aiks.sign(tam.signer(), &headers).unwrap();
    let verify = |key: jws::VerificationKey| {
        let unverified = SignedAiks::parse(&message, &Limits::default()).unwrap();
        assert_eq!(unverified.x5c(), &*tam.chain);
        assert_eq!(unverified.names_leaf(&provider), Some(true));
        unverified.verify(&key, &provider)
    };
    assert_eq!(verify(tam.key(jws::Purpose::AttestationKeys)), Ok(aiks));
    let refused = |error| Err(Error::Jose(error));
    assert_eq!(verify(other.key(jws::Purpose::AttestationKeys)), refused(jose::Error::NotAuthentic));
    assert_eq!(verify(tam.key(jws::Purpose::OtrpRequest)), refused(jose::Error::Purpose));
}

fn read(json: &Json, mode: Mode) -> Result<(Jwk, Vec<Tolerance>), Error> {
    let mut cx = Context::new(&mode, &Limits::default(), false);
    read_key(&mut cx, json, "spaik").map(|key| (key, cx.tolerances))
}

#[test]
fn keys_are_told_as_spki_for_ec_and_pkcs1_for_rsa() {
    let ec = Jwk::from_public_key(&PublicKey::P256 { x: [1; 32], y: [2; 32] }).unwrap();
    let n = [&[0x80][..], &[1; 255]].concat();
    let rsa = json::object([
        ("kty", "RSA".into()),
        ("n", base64::encode_url(&n).into()),
        ("e", base64::encode_url(&[1, 0, 1]).into()),
    ]);
    let rsa = Jwk::from_json(&rsa).unwrap();
    assert_eq!(encode(&ec), ec.to_spki());
    // RSAPublicKey: a SEQUENCE of the two numbers and nothing else.
    let pkcs1 = encode(&rsa);
    assert_eq!(&pkcs1[..9], &[0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00]);
    assert_eq!(pkcs1.len(), 4 + 0x010a);
    for (key, name) in [(&ec, "ECC"), (&rsa, "RSA")] {
        assert_eq!(type_text(key), name);
        let told = Json::String(base64::encode(&encode(key)));
        assert_eq!(read(&told, Mode::Strict), Ok((key.clone(), Vec::new())));
    }
    let mistyped = Err(Error::Mistyped("spaik".into()));
    for (key, other) in [(&rsa, Json::String(base64::encode(&rsa.to_spki()))), (&ec, ec.to_json())] {
        assert_eq!(read(&other, Mode::Strict), mistyped);
        assert_eq!(read(&other, Mode::Compat), Ok((key.clone(), Vec::from([Tolerance::KeyEncoding]))));
    }
    // Exponent and modulus one after the other, as in a sample of the draft, are no encoding that a key can be told by.
    let raw = Json::String(base64::encode(&[&[1, 0, 1][..], &n].concat()));
    assert_eq!(read(&raw, Mode::Compat), mistyped);
    assert_eq!(read(&"AAAA".into(), Mode::Compat), mistyped);
}

#[test]
fn every_member_of_signed_aiks_is_checked() {
    let (provider, tam) = (provider(), Party::new());
    let jwk = tam.jwk().to_json();
    let good = alloc::format!(
        r#"{{"TEESPAIKS":{{"tamid":"1.2","iat":1,"exp":2,"aiks":[{{"spid":"sp","jwk":{jwk}}}],"more":true}}}}"#
    );
    let read = |payload: &str| {
        let jws = jws::sign(payload.as_bytes(), tam.signer(), &jws::SignHeaders::default()).unwrap();
        let unverified = SignedAiks::parse(&json::to_vec(&jws), &Limits::default())?;
        assert_eq!(unverified.names_leaf(&provider), None);
        unverified.verify(&tam.key(jws::Purpose::AttestationKeys), &provider)
    };
    assert_eq!(read(&good).unwrap().aiks[0].key, tam.jwk());
    let cases = [
        ("TEESPAIKS", "TEESPAIK", Error::Missing("TEESPAIKS".into())),
        ("\"tamid\"", "\"x\"", Error::Missing("tamid".into())),
        ("\"iat\"", "\"x\"", Error::Missing("iat".into())),
        ("\"exp\":2", "\"exp\":\"2\"", Error::Mistyped("exp".into())),
        ("\"exp\":2", "\"exp\":2.5", Error::Mistyped("exp".into())),
        ("\"spid\"", "\"x\"", Error::Missing("aiks[0].spid".into())),
        ("\"kty\":\"EC\"", "\"kty\":\"oct\"", Error::Mistyped("aiks[0].jwk".into())),
    ];
    for (from, to, error) in cases {
        assert_eq!(read(&good.replacen(from, to, 1)), Err(error), "{to}");
    }
}
