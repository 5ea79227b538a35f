use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use std::sync::LazyLock;

use proptest::prelude::*;
use tamarack_crypto::KeyType;
use tamarack_testkit::crypto_suite::{rsa_pkcs8, small_rsa_spki};

use super::*;
use crate::json::{Limits, array, object, parse};

fn providers() -> [Provider; 2] {
    [tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider()]
}

fn p256(provider: &Provider) -> alloc::boxed::Box<dyn Sign> {
    let pkcs8 = provider.keys.generate_pkcs8(KeyType::P256).expect("makes a key");
    provider.keys.load_pkcs8(pkcs8.expose()).expect("loads it")
}

fn strict(jws: &Json) -> Result<Unverified, Error> {
    Unverified::parse(jws, Mode::Strict)
}

/// A JWS with this protected header and these further members; its signature is nothing.
fn with_header(protected: &str, more: &[(&str, Json)]) -> Json {
    let protected = base64::encode_url(protected.as_bytes());
    let members = [("payload", "AAAA".into()), ("protected", protected.into()), ("signature", "AAAA".into())];
    let members = members.into_iter().chain(more.iter().cloned());
    Json::Object(members.map(|(name, value)| (name.to_string(), value)).collect())
}

#[test]
fn rfc7515_appendix_a3_verifies() {
    let key = object([
        ("kty", "EC".into()),
        ("crv", "P-256".into()),
        ("x", "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU".into()),
        ("y", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0".into()),
    ]);
    let key = Jwk::from_json(&key).expect("a key");
    let key = VerificationKey::new(&key.to_spki(), Purpose::OtrpRequest).expect("P-256");
    let jws = object([
        (
            "payload",
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
                .into(),
        ),
        ("protected", "eyJhbGciOiJFUzI1NiJ9".into()),
        ("header", object([("kid", "e9bc097a-ce51-4036-9562-d2ade882db0d".into())])),
        (
            "signature",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q".into(),
        ),
    ]);
    for provider in providers() {
        let verified = strict(&jws).expect("a JWS").verify(&key, Purpose::OtrpRequest, &provider);
        let verified = verified.expect("verifies");
        assert!(verified.value().starts_with(b"{\"iss\":\"joe\""));
        assert_eq!(verified.spki(), key.spki());
    }
}

#[test]
fn what_is_signed_verifies_with_what_it_says_of_the_signer() {
    for maker in providers() {
        let key = p256(&maker);
        let chain = [vec![1; 300], vec![2; 200]];
        let jwk = Jwk::from_public_key(&key.public_key()).expect("P-256");
        let headers = SignHeaders { signer: Some(&jwk), ..SignHeaders::chain(&chain, &maker) };
        let jws = sign(b"payload", Signer::Es256(&*key), &headers).expect("signs");
        // As it goes over the wire.
        let jws = parse(&json::to_vec(&jws), &Limits::default()).expect("JSON");
        let jws = strict(&jws).expect("a JWS");
        assert_eq!(jws.algorithm(), SignatureAlgorithm::Es256);
        assert_eq!(jws.x5c(), chain);
        assert_eq!(jws.x5t_s256(), Some(&maker.sha256(&chain[0])));
        assert_eq!(jws.signer_jwk(), Some(&jwk));
        assert_eq!(jws.payload_unverified(), b"payload");
        let trusted = VerificationKey::of(&key.public_key(), Purpose::OtrpRequest).expect("P-256");
        for checker in providers() {
            let verified = jws.verify(&trusted, Purpose::OtrpRequest, &checker).expect("verifies");
            assert_eq!(verified.try_map(|bytes| Ok::<_, Error>(bytes.len())).expect("maps").into_value(), 7);
        }
        let other = VerificationKey::of(&p256(&maker).public_key(), Purpose::OtrpRequest).expect("P-256");
        assert_eq!(jws.verify(&other, Purpose::OtrpRequest, &maker).err(), Some(Error::NotAuthentic));
    }
    let plain = sign(b"", Signer::Es256(&*p256(&providers()[1])), &SignHeaders::default()).expect("signs");
    assert_eq!(plain.get("header"), None);
    assert_eq!(plain.get("protected").and_then(Json::as_str), Some("eyJhbGciOiJFUzI1NiJ9"));
    assert_eq!(strict(&plain).expect("a JWS").signing_input(), b"eyJhbGciOiJFUzI1NiJ9.");
}

#[test]
fn rsa_signs_and_verifies_where_there_is_rsa() {
    let [aws_lc, rustcrypto] = providers();
    let key = aws_lc.rsa.expect("has RSA").load_pkcs8(&rsa_pkcs8()).expect("a key");
    let trusted = VerificationKey::new(key.spki(), Purpose::OtrpRequest).expect("2,048 bits");
    for algorithm in [SignatureAlgorithm::Rs256, SignatureAlgorithm::Ps256] {
        let jws = sign(b"payload", Signer::Rsa(&*key, algorithm), &SignHeaders::default()).expect("signs");
        let jws = strict(&jws).expect("a JWS");
        assert_eq!(jws.algorithm(), algorithm);
        assert!(jws.verify(&trusted, Purpose::OtrpRequest, &aws_lc).is_ok());
        let refused = jws.verify(&trusted, Purpose::OtrpRequest, &rustcrypto);
        assert_eq!(refused.err(), Some(Error::Algorithm(algorithm.name().into())));
    }
    let wrong = Signer::Rsa(&*key, SignatureAlgorithm::Es256);
    assert_eq!(sign(b"", wrong, &SignHeaders::default()), Err(Error::AlgorithmForKey));
    let small = VerificationKey::new(&small_rsa_spki(), Purpose::OtrpRequest);
    assert_eq!(small.err(), Some(Error::Key), "1,024 bits");
    let ed25519 = aws_lc.keys.generate_pkcs8(KeyType::Ed25519).expect("makes a key");
    let ed25519 = aws_lc.keys.load_pkcs8(ed25519.expose()).expect("loads it");
    assert_eq!(sign(b"", Signer::Es256(&*ed25519), &SignHeaders::default()), Err(Error::Key));
    assert!(VerificationKey::of(&ed25519.public_key(), Purpose::OtrpRequest).is_err());
}

#[test]
fn k5_a_jose_key_serves_one_purpose_and_its_own_algorithm() {
    use Purpose::*;
    let [aws_lc, _] = providers();
    let key = p256(&aws_lc);
    let jws = sign(b"payload", Signer::Es256(&*key), &SignHeaders::default()).expect("signs");
    let jws = strict(&jws).expect("a JWS");
    let purposes = [OtrpRequest, OtrpResponse, TaInformation, AttestationKeys];
    for trusted_for in purposes {
        let trusted = VerificationKey::of(&key.public_key(), trusted_for).expect("P-256");
        for purpose in purposes {
            let verified = jws.verify(&trusted, purpose, &aws_lc).map(|_| ());
            let expected = if purpose == trusted_for { Ok(()) } else { Err(Error::Purpose) };
            assert_eq!(verified, expected, "{trusted_for:?} for {purpose:?}");
        }
    }
    // The header cannot choose another algorithm than the key has.
    let rsa = aws_lc.rsa.expect("has RSA").load_pkcs8(&rsa_pkcs8()).expect("a key");
    let rsa = VerificationKey::new(rsa.spki(), OtrpRequest).expect("2,048 bits");
    assert_eq!(jws.verify(&rsa, OtrpRequest, &aws_lc).err(), Some(Error::AlgorithmForKey));
    let trusted = VerificationKey::of(&key.public_key(), OtrpRequest).expect("P-256");
    for alg in ["ES384", "RS256", "PS256"] {
        let jws = strict(&with_header(&format!(r#"{{"alg":"{alg}"}}"#), &[])).expect("a JWS");
        assert_eq!(jws.verify(&trusted, OtrpRequest, &aws_lc).err(), Some(Error::AlgorithmForKey), "{alg}");
    }
}

#[test]
fn headers_that_choose_keys_or_change_meanings_are_refused() {
    let alg = r#""alg":"ES256""#;
    let jwk = r#""jwk":{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}"#;
    let algorithm = |name: &str| Error::Algorithm(name.into());
    let cases = [
        (r#"{"alg":"none"}"#.to_string(), algorithm("none")),
        (r#"{"alg":"None"}"#.to_string(), algorithm("None")),
        (r#"{"alg":"HS256"}"#.to_string(), algorithm("HS256")),
        (r#"{"alg":"es256"}"#.to_string(), algorithm("es256")),
        (r#"{"alg":"RSA1_5"}"#.to_string(), algorithm("RSA1_5")),
        (format!(r#"{{"alg":"{}"}}"#, "A".repeat(99)), Error::Algorithm("A".repeat(32))),
        (r#"{"alg":7}"#.to_string(), Error::Member("alg")),
        (r#"{}"#.to_string(), Error::Unprotected("alg")),
        (format!(r#"{{{alg},"crit":["exp"]}}"#), Error::Header("crit")),
        (format!(r#"{{{alg},"crit":[]}}"#), Error::Header("crit")),
        (format!(r#"{{{alg},"b64":false}}"#), Error::Header("b64")),
        (format!(r#"{{{alg},"b64":false,"crit":["b64"]}}"#), Error::Header("crit")),
        (format!(r#"{{{alg},"zip":"DEF"}}"#), Error::Header("zip")),
        (format!(r#"{{{alg},"jku":"https://example.com/keys"}}"#), Error::Header("jku")),
        (format!(r#"{{{alg},"x5u":"https://example.com/chain"}}"#), Error::Header("x5u")),
        (format!(r#"{{{alg},{jwk}}}"#), Error::Header("jwk")),
        // RFC 7515 appendix E.
        (
            r#"{"alg":"none","crit":["http://example.invalid/UNDEFINED"],"http://example.invalid/UNDEFINED":true}"#
                .to_string(),
            Error::Header("crit"),
        ),
        (r#"["ES256"]"#.to_string(), Error::Member("protected")),
        (format!(r#"{{{alg},"x5t#S256":"AAAA"}}"#), Error::Member("x5t#S256")),
        (format!(r#"{{{alg},"x5c":"AAAA"}}"#), Error::Member("x5c")),
        (format!(r#"{{{alg},"x5c":[]}}"#), Error::Member("x5c")),
        (format!(r#"{{{alg},"x5c":[7]}}"#), Error::Member("x5c")),
        (format!(r#"{{{alg},"x5c":["-_8"]}}"#), Error::Member("x5c")),
        (format!(r#"{{{alg},"x5c":[{}"AAAA"]}}"#, r#""AAAA","#.repeat(6)), Error::Member("x5c")),
        (format!(r#"{{{alg},"signer":{{"kty":"oct","k":"AAAA"}}}}"#), Error::Key),
    ];
    for (protected, error) in cases {
        assert_eq!(strict(&with_header(&protected, &[])).err(), Some(error), "{protected}");
    }
    // The same in the unprotected header.
    for name in ["crit", "b64", "zip", "jwk", "jku", "x5u"] {
        let header = ("header", object([(name, Json::Null)]));
        let refused = strict(&with_header(r#"{"alg":"ES256"}"#, &[header]));
        assert_eq!(refused.err(), Some(Error::Header(name)));
    }
    let header = |members: Json| strict(&with_header(r#"{"alg":"ES256"}"#, &[("header", members)]));
    let repeated = header(object([("alg", "ES256".into())]));
    assert_eq!(repeated.err(), Some(Error::RepeatedHeader("alg".into())));
    let twice = object([("kid", "a".into()), ("kid", "b".into())]);
    assert_eq!(header(twice).err(), Some(Error::RepeatedHeader("kid".into())));
    assert_eq!(header("ES256".into()).err(), Some(Error::Member("header")));
    let unprotected = with_header(r#"{}"#, &[("header", object([("alg", "ES256".into())]))]);
    assert_eq!(strict(&unprotected).err(), Some(Error::Unprotected("alg")));
    assert_eq!(header(object([("signer", "MIIC".into())])).expect("a JWS").signer_jwk(), None);
    // A digest that nobody signed identifies nobody.
    let digest = object([("x5t#S256", base64::encode_url(&[7; 32]).into())]);
    assert_eq!(header(digest).expect("a JWS").x5t_s256(), None);
}

#[test]
fn what_is_not_a_jws_is_refused() {
    let whole = with_header(r#"{"alg":"ES256"}"#, &[]);
    assert!(strict(&whole).is_ok());
    let Json::Object(members) = whole.clone() else { unreachable!("an object was made") };
    for name in ["payload", "protected", "signature"] {
        for wrong in [None, Some(Json::Null), Some(object([])), Some("A".into()), Some("AA==".into())] {
            let mut changed = members.clone();
            changed.retain(|member| member.0 != name);
            changed.extend(wrong.clone().map(|value| (name.to_string(), value)));
            let refused = strict(&Json::Object(changed)).err();
            assert_eq!(refused, Some(Error::Member(name)), "{name}: {wrong:?}");
        }
    }
    // Inside the protected header JSON is as strict as outside: quotes of typography, repetition, depth.
    for protected in ["{\u{201c}alg\u{201d}:\u{201c}ES256\u{201d}}", r#"{"alg":"ES256","alg":"none"}"#, "{"] {
        assert!(matches!(strict(&with_header(protected, &[])), Err(Error::Json(_))), "{protected}");
    }
    let deep = format!(r#"{{"alg":"ES256","x":{}{}}}"#, "[".repeat(9), "]".repeat(9));
    assert!(matches!(strict(&with_header(&deep, &[])), Err(Error::Json(e)) if e.is_limit()));
    for other in [Json::Null, "text".into(), array(["a"]), object([])] {
        assert_eq!(strict(&other).err(), Some(Error::Member("payload")));
        let general = Unverified::parse_general(&other, Mode::Strict).err();
        assert_eq!(general, Some(Error::Member("signatures")));
    }
    let both = with_header(r#"{"alg":"ES256"}"#, &[("signatures", array([object([])]))]);
    assert_eq!(strict(&both).err(), Some(Error::Member("signatures")));
    assert_eq!(Unverified::parse_general(&both, Mode::Strict).err(), Some(Error::Member("signature")));
    // Members that are not understood are ignored (RFC 7515 section 7.2).
    assert!(strict(&with_header(r#"{"alg":"ES256","x":1}"#, &[("more", Json::Null)])).is_ok());
}

#[test]
fn compat_reads_certificates_as_peers_write_them() {
    let parse = |x5c: Json, mode| {
        let jws = with_header(r#"{"alg":"ES256"}"#, &[("header", object([("x5c", x5c)]))]);
        Unverified::parse(&jws, mode).map(|jws| jws.x5c().to_vec())
    };
    let certificate = || vec![vec![0xfb, 0xff]];
    assert_eq!(parse(array(["+/8="]), Mode::Strict), Ok(certificate()));
    for x5c in [Json::from("+/8="), array(["-_8"]), array(["+/8"])] {
        assert_eq!(parse(x5c.clone(), Mode::Strict), Err(Error::Member("x5c")));
        assert_eq!(parse(x5c, Mode::Compat), Ok(certificate()));
    }
    assert_eq!(parse(array(["+/8 ="]), Mode::Compat), Err(Error::Member("x5c")));
}

static SIGNED: LazyLock<(VerificationKey, Json)> = LazyLock::new(|| {
    let provider = tamarack_crypto_rustcrypto::provider();
    let key = p256(&provider);
    let trusted = VerificationKey::of(&key.public_key(), Purpose::OtrpRequest).expect("P-256");
    let headers = SignHeaders { x5t_s256: Some([7; 32]), ..SignHeaders::default() };
    (trusted, sign(b"{\"a\":1}", Signer::Es256(&*key), &headers).expect("signs"))
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_change_of_a_jws_verifies(which in 0..3usize, at in any::<prop::sample::Index>(), to in "[A-Za-z0-9_=-]") {
        let provider = tamarack_crypto_rustcrypto::provider();
        let (trusted, jws) = &*SIGNED;
        let Json::Object(mut members) = jws.clone() else { unreachable!("a JWS is an object") };
        let Json::String(text) = &mut members[which].1 else { unreachable!("its members are strings") };
        let at = at.index(text.len());
        prop_assume!(text[at..=at] != to);
        text.replace_range(at..=at, &to);
        let verified = strict(&Json::Object(members))
            .and_then(|jws| jws.verify(trusted, Purpose::OtrpRequest, &provider));
        prop_assert!(verified.is_err());
        let intact = strict(jws).and_then(|jws| jws.verify(trusted, Purpose::OtrpRequest, &provider));
        prop_assert!(intact.is_ok());
    }
}
