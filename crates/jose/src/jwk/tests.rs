use alloc::format;

use tamarack_testkit::crypto_suite::{rsa_pkcs8, small_rsa_spki};

use super::*;
use crate::json::{Limits, object, parse};

fn read(text: &str) -> Result<Jwk, Error> {
    Jwk::from_json(&parse(text.as_bytes(), &Limits::default()).expect("JSON"))
}

const P256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const P256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";

#[test]
fn rfc7638_thumbprint_covers_the_required_members_only() {
    // RFC 7638 section 3.1.
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWK\
             RXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAt\
             aSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksI\
             NHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let key = object([
        ("kty", "RSA".into()),
        ("n", n.into()),
        ("e", "AQAB".into()),
        ("alg", "RS256".into()),
        ("kid", "2011-04-29".into()),
    ]);
    let key = Jwk::from_json(&key).expect("a public key").with_use(KeyUse::Signature);
    let thumbprint = key.thumbprint(&tamarack_crypto_rustcrypto::provider());
    assert_eq!(base64::encode_url(&thumbprint), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn every_kind_of_key_reads_back() {
    let zeros = "A".repeat(64);
    let p384 = format!(r#"{{"crv":"P-384","kty":"EC","x":"{zeros}","y":"{zeros}"}}"#);
    let p256 = format!(r#"{{"crv":"P-256","kty":"EC","x":"{P256_X}","y":"{P256_Y}","use":"enc"}}"#);
    for text in [&p384, &p256] {
        let key = read(text).expect("a key");
        assert_eq!(format!("{}", key.to_json()), *text);
        let again = Jwk::from_spki(&key.to_spki()).expect("a key");
        assert_eq!(again.to_spki(), key.to_spki());
    }
    let p256 = read(&p256).expect("a key");
    assert_eq!(p256.key_use(), Some(KeyUse::Encryption));
    let public = *p256.public_key().expect("P-256");
    assert_eq!(Jwk::from_public_key(&public), Ok(Jwk { key_use: None, ..p256 }));
    assert_eq!(Jwk::from_public_key(&PublicKey::Ed25519([1; 32])), Err(Error::Key));

    // The SubjectPublicKeyInfo of RSA is what another implementation writes.
    let provider = tamarack_crypto_aws_lc::provider();
    let rsa = provider.rsa.expect("has RSA").load_pkcs8(&rsa_pkcs8()).expect("a key");
    let key = Jwk::from_spki(rsa.spki()).expect("2,048 bits");
    assert_eq!(Jwk::from_json(&key.to_json()), Ok(key.clone()));
    assert!(key.is_rsa() && key.public_key().is_none());
    let mut longer = rsa.spki().to_vec();
    longer.push(0);
    assert_eq!(Jwk::from_spki(&longer), Err(Error::Key));
    for length in 0..rsa.spki().len() {
        assert_eq!(Jwk::from_spki(&rsa.spki()[..length]), Err(Error::Key), "{length} bytes");
    }
    assert_eq!(Jwk::from_spki(&small_rsa_spki()), Err(Error::Key), "1,024 bits");
    assert_eq!(Jwk::from_spki(&PublicKey::Ed25519([1; 32]).to_spki()), Err(Error::Key));
}

#[test]
fn a_public_key_is_read_only_whole_and_public() {
    let (long, short) = ("A".repeat(43), "A".repeat(42));
    let odd = base64::encode_url(&[&[0x80][..], &[0; 254], &[1]].concat());
    let rsa = |n: &str, e: &str| read(&format!(r#"{{"kty":"RSA","n":"{n}","e":"{e}"}}"#));
    assert!(rsa(&odd, "AQAB").is_ok());
    let below = base64::encode_url(&[&[0x7f][..], &[0xff; 255]].concat());
    assert_eq!(rsa(&below, "AQAB"), Err(Error::Key), "2,047 bits");
    let zero_first = base64::encode_url(&[&[0][..], &[0x80], &[0; 255]].concat());
    assert_eq!(rsa(&zero_first, "AQAB"), Err(Error::Member("n or e")), "RFC 7518 section 6.3.1.1");
    assert_eq!(rsa(&base64::encode_url(&[0xff; 1025]), "AQAB"), Err(Error::Key), "8,200 bits");
    for (e, error) in [
        ("", Error::Member("n or e")),
        ("AA", Error::Member("n or e")),
        ("AQ", Error::Key),
        ("Ag", Error::Key),
        ("AQAAAAAAAAAB", Error::Key),
    ] {
        assert_eq!(rsa(&odd, e), Err(error), "e = {e}");
    }
    let ec = |members: &str| read(&format!(r#"{{"kty":"EC",{members}}}"#));
    let cases = [
        (format!(r#""crv":"P-256","x":"{long}""#), Error::Member("y")),
        (format!(r#""crv":"P-256","x":"{long}","y":"{short}""#), Error::Member("y")),
        (format!(r#""crv":"P-256","x":"{long}=","y":"{long}""#), Error::Member("x")),
        (format!(r#""crv":"P-256","x":7,"y":"{long}""#), Error::Member("x")),
        (format!(r#""x":"{long}","y":"{long}""#), Error::Member("crv")),
        (format!(r#""crv":"P-384","x":"{long}","y":"{long}""#), Error::Key),
        (format!(r#""crv":"P-521","x":"{long}","y":"{long}""#), Error::Key),
        (format!(r#""crv":"secp256k1","x":"{long}","y":"{long}""#), Error::Key),
        (format!(r#""crv":"P-256","x":"{long}","y":"{long}","use":"both""#), Error::Member("use")),
        (format!(r#""crv":"P-256","x":"{long}","y":"{long}","use":1"#), Error::Member("use")),
        (format!(r#""crv":"P-256","x":"{long}","y":"{long}","d":"{long}""#), Error::Key),
    ];
    for (members, error) in cases {
        assert_eq!(ec(&members), Err(error), "{members}");
    }
    assert_eq!(read(r#"{"kty":"oct","k":"AAAA"}"#), Err(Error::Key));
    assert_eq!(read(r#"{"kty":"OKP","crv":"X25519","x":"AAAA"}"#), Err(Error::Key));
    assert_eq!(read(r#"{}"#), Err(Error::Member("kty")));
    assert_eq!(read("[]"), Err(Error::Member("kty")));
}
