//! Demands of RFC 9052 on readers that no public vector shows, on objects written by hand.

use tamarack_cbor::{Decode, Encode, Encoder, Limits};
use tamarack_cose::{
    CoseKey, Error, MAX_KEYS_TRIED, Mac0, MacKey, Purpose, Sign, Sign1, SignOptions, VerificationKey,
    thumbprint,
};
use tamarack_crypto::{KeyType, Secret, Sign as Signer};
use tamarack_crypto_rustcrypto::provider;

const PAYLOAD: &[u8] = b"payload";
const PURPOSES: [Purpose; 10] = [
    Purpose::TeepMessage,
    Purpose::SuitManifest,
    Purpose::SuitReport,
    Purpose::Evidence,
    Purpose::AttestationResult,
    Purpose::TrustedApplication,
    Purpose::DeviceAuthority,
    Purpose::ReferenceValues,
    Purpose::DeviceOwner,
    Purpose::OwnerStatement,
];

fn signer(key_type: KeyType) -> Box<dyn Signer> {
    let keys = provider().keys;
    keys.load_pkcs8(keys.generate_pkcs8(key_type).unwrap().expose()).unwrap()
}

fn trust(signer: &dyn Signer) -> VerificationKey {
    VerificationKey::new(signer.public_key(), Purpose::TeepMessage, &provider())
}

fn unhex(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).unwrap()
}

/// A COSE_Sign1 with exactly these headers, truly signed.
fn sign1(signer: &dyn Signer, protected: &str, unprotected: &str) -> Vec<u8> {
    let (protected, unprotected) = (unhex(protected), unhex(unprotected));
    let mut tbs = Encoder::new();
    tbs.array(4).text("Signature1").bytes(&protected).bytes(b"").bytes(PAYLOAD);
    let signature = signer.sign(&tbs.into_bytes()).unwrap();
    let mut e = Encoder::new();
    e.tag(18).array(4).bytes(&protected).raw(&unprotected).bytes(PAYLOAD).bytes(&signature);
    e.into_bytes()
}

fn verify(bytes: &[u8], keys: &[VerificationKey]) -> Result<(), Error> {
    let object = Sign1::parse(bytes, &Limits::default())?;
    object.verify(keys, Purpose::TeepMessage, None, b"", &provider()).map(drop)
}

/// Headers in hexadecimal, and the outcome for an Ed25519 key.
fn check(protected: &str, unprotected: &str, expected: impl Fn(Result<(), Error>) -> bool) {
    let signer = signer(KeyType::Ed25519);
    let result = verify(&sign1(&*signer, protected, unprotected), &[trust(&*signer)]);
    assert!(expected(result), "{protected} | {unprotected}: {result:?}");
}

#[test]
fn critical_headers_must_be_known_and_protected() {
    check("a1 01 32", "a0", |r| r.is_ok());
    // crit [1], with alg itself; crit [4] with kid.
    check("a2 01 32 02 81 01", "a0", |r| r.is_ok());
    check("a2 01 32 02 81 18 2a", "a0", |r| r == Err(Error::Critical(42)));
    check("a3 01 32 02 81 18 2a 18 2a f5", "a0", |r| r == Err(Error::Critical(42)));
    check("a2 01 32 02 81 61 61", "a0", |r| r.is_err());
    check("a2 01 32 02 80", "a0", |r| matches!(r, Err(Error::Cbor(_))));
    check("a1 01 32", "a1 02 81 01", |r| matches!(r, Err(Error::Cbor(_))));
}

#[test]
fn a_label_stands_once_and_in_one_bucket() {
    check("a2 01 32 03 00", "a1 04 41 00", |r| r == Err(Error::KeyUnknown));
    check("a2 01 32 03 00", "a1 03 00", |r| r == Err(Error::RepeatedHeader(3)));
    check("a1 01 32", "a1 01 32", |r| r == Err(Error::RepeatedHeader(1)));
    check("a2 01 32 01 32", "a0", |r| matches!(r, Err(Error::Cbor(_))));
    check("a1 01 32", "a2 03 00 03 00", |r| matches!(r, Err(Error::Cbor(_))));
    // Labels are integers or text.
    check("a1 01 32", "a1 41 00 00", |r| matches!(r, Err(Error::Cbor(_))));
    check("a1 01 32", "a1 61 61 00", |r| r.is_ok());
}

#[test]
fn the_algorithm_is_protected_and_fits_the_key() {
    check("", "a1 01 32", |r| r == Err(Error::AlgorithmMissing));
    check("a1 01 32", "a0", |r| r.is_ok());
    // ESP256 with an Ed25519 key; EdDSA only by opt-in; a MAC; nothing that exists.
    check("a1 01 28", "a0", |r| r == Err(Error::AlgorithmForKey));
    check("a1 01 27", "a0", |r| r == Err(Error::Algorithm(-8)));
    check("a1 01 05", "a0", |r| r == Err(Error::Algorithm(5)));
    check("a1 01 19 7fff", "a0", |r| r == Err(Error::Algorithm(0x7fff)));

    for (key_type, protected) in [(KeyType::Ed25519, "a1 01 27"), (KeyType::P256, "a1 01 26")] {
        let signer = signer(key_type);
        let bytes = sign1(&*signer, protected, "a0");
        assert!(verify(&bytes, &[trust(&*signer)]).is_err());
        assert_eq!(verify(&bytes, &[trust(&*signer).accepting_legacy_ids()]), Ok(()));
        let written = Sign1::sign(&*signer, PAYLOAD, b"", &SignOptions::default()).unwrap();
        let alg = Sign1::parse(&written, &Limits::default()).unwrap().protected.header().alg;
        assert!(matches!(alg, Some(-9 | -19)), "{alg:?}");
    }
}

#[test]
fn an_empty_protected_header_is_read_in_both_forms() {
    let signer = signer(KeyType::P256);
    let written = Sign::sign(&[(&*signer, SignOptions::default())], PAYLOAD, b"").unwrap();
    // Tag 98, array of 4, then the header of the body: the empty string.
    assert_eq!(written[..4], [0xd8, 98, 0x84, 0x40]);
    let as_map = [&written[..3], &[0x41, 0xa0], &written[4..]].concat();
    for bytes in [written, as_map] {
        let object = Sign::parse(&bytes, &Limits::default()).unwrap();
        let keys = [trust(&*signer)];
        let verified = object.verify(&keys, Purpose::TeepMessage, None, b"", &provider()).unwrap();
        assert_eq!(verified.value(), PAYLOAD);
    }
}

#[test]
fn a_cose_sign_has_one_to_eight_signatures() {
    let signer = signer(KeyType::Ed25519);
    for count in [0, 1, 8, 9] {
        let signers: Vec<(&dyn Signer, _)> = (0..count).map(|_| (&*signer, SignOptions::default())).collect();
        let bytes = Sign::sign(&signers, PAYLOAD, b"").unwrap();
        assert_eq!(Sign::parse(&bytes, &Limits::default()).is_ok(), (1..=8).contains(&count), "{count}");
    }
}

#[test]
fn k5_at_most_eight_keys_are_tried_without_kid() {
    let ours = signer(KeyType::Ed25519);
    let mut keys: Vec<_> = (0..MAX_KEYS_TRIED).map(|_| trust(&*signer(KeyType::Ed25519))).collect();
    keys.insert(MAX_KEYS_TRIED - 1, trust(&*ours));
    let anonymous = Sign1::sign(&*ours, PAYLOAD, b"", &SignOptions::default()).unwrap();
    assert_eq!(verify(&anonymous, &keys), Ok(()));
    keys.swap(MAX_KEYS_TRIED - 1, MAX_KEYS_TRIED);
    assert_eq!(verify(&anonymous, &keys), Err(Error::NotAuthentic));
    // With a kid it is found wherever it stands; a kid is not unique, so others that answer to it are tried first.
    let kid = thumbprint(&ours.public_key(), &provider());
    let named = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
    let named = Sign1::sign(&*ours, PAYLOAD, b"", &named).unwrap();
    assert_eq!(verify(&named, &keys), Ok(()));
    keys[0] = keys[0].clone().known_as(&kid.0);
    assert_eq!(verify(&named, &keys), Ok(()));
}

#[test]
fn k5_a_key_serves_its_purpose_and_no_other() {
    let provider = provider();
    let signer = signer(KeyType::P256);
    let limits = Limits::default();
    let one = Sign1::sign(&*signer, PAYLOAD, b"", &SignOptions::default()).unwrap();
    let one = Sign1::parse(&one, &limits).unwrap();
    let many = Sign::sign(&[(&*signer, SignOptions::default())], PAYLOAD, b"").unwrap();
    let many = Sign::parse(&many, &limits).unwrap();
    let mac_key = |purpose| MacKey::new(Secret::new(vec![7; 32]), purpose, &provider);
    let mac = Mac0::authenticate(&mac_key(Purpose::SuitManifest), PAYLOAD, b"", false, &provider);
    let mac = Mac0::parse(&mac, &limits).unwrap();
    for of_key in PURPOSES {
        let keys = [VerificationKey::new(signer.public_key(), of_key, &provider)];
        for wanted in PURPOSES {
            let results = [
                one.verify(&keys, wanted, None, b"", &provider),
                many.verify(&keys, wanted, None, b"", &provider),
                mac.verify(&[mac_key(of_key)], wanted, None, b"", &provider),
            ];
            for result in results {
                let expected = if of_key == wanted { None } else { Some(Error::KeyUnknown) };
                assert_eq!(result.err(), expected, "{of_key:?} for {wanted:?}");
            }
        }
    }
}

#[test]
fn a_payload_is_attached_or_given_apart() {
    let signer = signer(KeyType::Ed25519);
    for detached in [false, true] {
        let options = SignOptions { detached, ..SignOptions::default() };
        let bytes = Sign1::sign(&*signer, PAYLOAD, b"aad", &options).unwrap();
        let object = Sign1::parse(&bytes, &Limits::default()).unwrap();
        let with = |payload, aad: &[u8]| {
            let keys = [trust(&*signer)];
            object.verify(&keys, Purpose::TeepMessage, payload, aad, &provider()).map(|v| v.into_value())
        };
        let (good, other) = if detached { (Some(PAYLOAD), None) } else { (None, Some(PAYLOAD)) };
        assert_eq!(with(good, b"aad"), Ok(PAYLOAD.to_vec()));
        assert_eq!(with(other, b"aad"), Err(Error::Payload));
        assert_eq!(with(good, b""), Err(Error::NotAuthentic), "external_aad is signed");
        if detached {
            assert_eq!(with(Some(b"other"), b"aad"), Err(Error::NotAuthentic));
        }
    }
}

#[test]
fn a_public_key_is_read_only_whole_and_public() {
    let read = |text: &str| CoseKey::from_cbor(&unhex(text), &Limits::default());
    let half = "5820 0101010101010101010101010101010101010101010101010101010101010101";
    let cases = [
        (format!("a3 01 01 20 06 21 {half}"), true, "Ed25519"),
        (format!("a4 01 02 20 01 21 {half} 22 {half}"), true, "P-256"),
        (format!("a2 20 06 21 {half}"), false, "no key type"),
        (format!("a3 01 41 01 20 06 21 {half}"), false, "key type as bytes"),
        (format!("a4 01 01 20 06 21 {half} 23 {half}"), false, "private part"),
        (format!("a4 01 02 20 01 21 {half} 22 f5"), false, "compressed point"),
        (format!("a3 01 02 20 01 21 {half}"), false, "no y"),
        (format!("a3 01 01 20 01 21 {half}"), false, "P-256 as OKP"),
        ("a3 01 01 20 06 21 41 01".into(), false, "short coordinate"),
    ];
    for (text, expected, what) in cases {
        let key = read(&text);
        assert_eq!(key.is_ok(), expected, "{what}");
        if let Ok(key) = key {
            assert_eq!(key.to_cbor(), unhex(&text), "{what}");
        }
    }
}
