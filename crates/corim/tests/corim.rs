//! What is written is read and validates; what is malformed, unsigned or by another key is not.

use proptest::prelude::*;
use tamarack_cbor::{Decode, Encode, Encoder, ErrorKind, Limits, Value};
use tamarack_corim::{
    AttestKeys, Class, ClassId, Comid, Corim, CryptoKey, Digest, DigestAlgorithm, Entity, Environment, Error,
    Group, Id, Instance, LIMITS, LinkedTag, MEDIA_TYPE_UNSIGNED, MeasuredElement, Measurement,
    MeasurementValues, Profile, Relation, SignedCorim, Signer, Svn, Tag, Triple, Validity, Version, flag,
    sign,
};
use tamarack_cose::{ContentType, Purpose, Sign1, SignOptions, VerificationKey};
use tamarack_crypto::{KeyType, Sign};
use tamarack_crypto_rustcrypto::provider;
use tamarack_model::codes;
use tamarack_testkit::cddl::corim as corim_rules;
use tamarack_testkit::specs::specs_dir;

fn key(key_type: KeyType) -> Box<dyn Sign> {
    let keys = provider().keys;
    keys.load_pkcs8(keys.generate_pkcs8(key_type).unwrap().expose()).unwrap()
}

fn trusted(key: &dyn Sign, purpose: Purpose) -> VerificationKey {
    VerificationKey::new(key.public_key(), purpose, &provider())
}

fn class() -> Class {
    Class {
        class_id: Some(ClassId::Uuid([1; 16])),
        vendor: Some("Acme".into()),
        model: Some("gizmo".into()),
        layer: Some(1),
        index: Some(0),
    }
}

fn measured(name: &str, digest: [u8; 32], svn: Svn) -> Measurement {
    Measurement {
        element: Some(MeasuredElement::Text(name.into())),
        values: MeasurementValues {
            svn: Some(svn),
            digests: vec![Digest::sha256(digest)],
            ..MeasurementValues::default()
        },
        authorized_by: Vec::new(),
    }
}

/// The least that can be said, and everything that can be said.
fn minimal() -> Corim {
    let mut comid = Comid::new(Id::Text("tag".into()), 0);
    comid.reference_values = vec![Triple {
        environment: Environment { group: Some(Group::Uuid([3; 16])), ..Environment::default() },
        measurements: vec![measured("urn:x:agent", [4; 32], Svn::Exact(1))],
    }];
    Corim::new(Id::Uuid([9; 16]), comid)
}

fn full() -> Corim {
    let public = [KeyType::P256, KeyType::Ed25519].map(|key_type| key(key_type).public_key());
    let digest = || Digest::sha256([7; 32]);
    let keys = vec![
        CryptoKey::new(&public[0]),
        CryptoKey::new(&public[1]),
        CryptoKey::PkixKey("-----BEGIN PUBLIC KEY-----".into()),
        CryptoKey::PkixCert("-----BEGIN CERTIFICATE-----".into()),
        CryptoKey::PkixCertPath("-----BEGIN CERTIFICATE-----".into()),
        CryptoKey::KeyThumbprint(digest()),
        CryptoKey::CertThumbprint(digest()),
        CryptoKey::CertPathThumbprint(digest()),
        CryptoKey::Bytes(vec![1]),
        CryptoKey::CertDer(vec![0x30, 0]),
    ];
    let instance = |instance| Environment { instance: Some(instance), ..Environment::default() };
    let environments = [
        Environment::of_class(class()),
        Environment::of_class(Class { class_id: Some(ClassId::Oid(vec![0x2a, 3])), ..Class::default() }),
        Environment::of_class(Class { class_id: Some(ClassId::Bytes(vec![5; 32])), ..Class::default() }),
        instance(Instance::Ueid(vec![1; 33])),
        instance(Instance::Uuid([2; 16])),
        instance(Instance::of_key([3; 32])),
        instance(Instance::Key(CryptoKey::new(&public[0]))),
        Environment { group: Some(Group::Bytes(vec![8])), ..Environment::of_class(class()) },
    ];
    let elements = [
        None,
        Some(MeasuredElement::Text("x".into())),
        Some(MeasuredElement::Uint(3)),
        Some(MeasuredElement::Uuid([4; 16])),
        Some(MeasuredElement::Oid(vec![0x2a])),
    ];
    let values = MeasurementValues {
        version: Some(Version { version: "1.2.3".into(), scheme: Some(vec![0x19, 0x40, 0x00]) }),
        svn: Some(Svn::AtLeast(5)),
        digests: vec![
            digest(),
            Digest { algorithm: DigestAlgorithm::Name("sha-512".into()), value: vec![1; 64] },
        ],
        flags: vec![(flag::SECURE, true), (flag::DEBUG, false)],
        name: Some("boot loader".into()),
        cryptokeys: vec![CryptoKey::Bytes(vec![2; 32])],
        other: vec![(8, vec![0x61, b's'])],
    };
    let mut comid = Comid::new(Id::Uuid([1; 16]), 7);
    comid.language = Some("en".into());
    comid.entities =
        vec![Entity { name: "Acme".into(), uri: Some("https://acme.example".into()), roles: vec![0, 1] }];
    comid.linked_tags = vec![
        LinkedTag { tag_id: Id::Text("old".into()), relation: Relation::Replaces },
        LinkedTag { tag_id: Id::Uuid([2; 16]), relation: Relation::Supplements },
    ];
    comid.reference_values = environments
        .iter()
        .map(|environment| Triple {
            environment: environment.clone(),
            measurements: elements
                .iter()
                .map(|element| Measurement {
                    element: element.clone(),
                    values: values.clone(),
                    authorized_by: vec![CryptoKey::KeyThumbprint(digest())],
                })
                .collect(),
        })
        .collect();
    comid.endorsed_values = comid.reference_values[..1].to_vec();
    comid.attest_keys = vec![
        AttestKeys {
            environment: environments[0].clone(),
            keys: keys.clone(),
            element: None,
            authorized_by: Vec::new(),
        },
        AttestKeys {
            environment: environments[3].clone(),
            keys: keys.clone(),
            element: elements[1].clone(),
            authorized_by: keys,
        },
    ];
    Corim {
        tags: vec![Tag::Comid(comid.clone()), Tag::Comid(comid)],
        profile: Some(Profile::Uri("urn:x-tamarack:corim:1".into())),
        validity: Some(Validity { not_before: Some(5), not_after: 9 }),
        entities: vec![Entity { name: "Acme".into(), uri: None, roles: vec![1, 2] }],
        ..Corim::new(Id::Text("acme/gizmo".into()), Comid::new(Id::Uuid([0; 16]), 0))
    }
}

#[test]
fn what_is_written_is_read_by_its_key_only() {
    let signer = Signer { name: "Acme".into(), not_before: Some(1), not_after: Some(9) };
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let (maker, other) = (key(key_type), key(key_type));
        for corim in [minimal(), full()] {
            let signed = sign(&corim, &signer, &*maker, Some(b"kid")).unwrap();
            let read = SignedCorim::parse(&signed, &LIMITS).unwrap();
            assert_eq!(read.signer_unverified(), &signer);
            assert_eq!(read.unverified().unwrap(), corim);
            let answers = |key: VerificationKey| read.verify(&[key.known_as(b"kid")], &provider());
            let verified = answers(trusted(&*maker, Purpose::ReferenceValues)).unwrap();
            assert_eq!(verified.value(), &(signer.clone(), corim.clone()));
            let refused = answers(trusted(&*other, Purpose::ReferenceValues)).unwrap_err();
            assert_eq!(refused.code(), codes::COSE_SIGNATURE);
        }
    }
}

#[test]
fn k5_a_key_for_another_purpose_does_not_verify() {
    let maker = key(KeyType::P256);
    let signed = sign(&minimal(), &Signer::new("Acme"), &*maker, None).unwrap();
    let read = SignedCorim::parse(&signed, &LIMITS).unwrap();
    for purpose in [
        Purpose::TeepMessage,
        Purpose::SuitManifest,
        Purpose::SuitReport,
        Purpose::Evidence,
        Purpose::AttestationResult,
        Purpose::TrustedApplication,
        Purpose::DeviceAuthority,
        Purpose::DeviceOwner,
        Purpose::OwnerStatement,
    ] {
        let refused = read.verify(&[trusted(&*maker, purpose)], &provider()).unwrap_err();
        assert_eq!(refused.code(), codes::COSE_KEY_UNKNOWN, "{purpose:?}");
    }
}

#[test]
fn what_is_written_validates() {
    let Some(specs) = specs_dir() else { return };
    let rules = corim_rules(&specs, "corim");
    let maker = key(KeyType::P256);
    let signer = Signer { name: "Acme".into(), not_before: Some(1), not_after: Some(9) };
    for corim in [minimal(), full()] {
        rules.check(&corim.to_cbor()).expect("the CoRIM");
        for signer in [&signer, &Signer::new("Acme")] {
            for kid in [None, Some(&b"kid"[..])] {
                let signed = sign(&corim, signer, &*maker, kid).unwrap();
                rules.check(&signed).expect("the signed CoRIM");
            }
        }
    }
    // The rules can refuse.
    for wrong in ["d901f5a1005001010101010101010101010101010101", "d901f5a200617801816178", "d28440a0f640"] {
        assert!(rules.check(&hex::decode(wrong).unwrap()).is_err(), "{wrong}");
    }
}

/// A signed CoRIM with any payload and headers.
fn raw_signed(payload: &[u8], options: &SignOptions<'_>) -> Vec<u8> {
    Sign1::sign(&*key(KeyType::P256), payload, &[], options).unwrap()
}

#[test]
fn unsigned_detached_and_nameless_are_refused() {
    let payload = minimal().to_cbor();
    let content = || Some(ContentType::MediaType(MEDIA_TYPE_UNSIGNED.into()));
    let iss = [0xa1, 1, 0x61, b'A'];
    let good = SignOptions { content_type: content(), cwt_claims: Some(&iss), ..SignOptions::default() };
    let refused = |bytes: &[u8]| SignedCorim::parse(bytes, &LIMITS).expect_err("refused");
    assert!(SignedCorim::parse(&raw_signed(&payload, &good), &LIMITS).is_ok());
    assert_eq!(refused(&payload), Error::Unsigned);
    assert_eq!(refused(&payload).code(), codes::REFERENCE_UNSIGNED);
    let detached = raw_signed(&payload, &SignOptions { detached: true, ..good.clone() });
    assert_eq!(refused(&detached), Error::NotAttached);
    let nameless = raw_signed(&payload, &SignOptions { cwt_claims: None, ..good.clone() });
    assert_eq!(refused(&nameless), Error::NoSigner);
    for content_type in
        [None, Some(ContentType::Format(60)), Some(ContentType::MediaType("text/plain".into()))]
    {
        let other = raw_signed(&payload, &SignOptions { content_type, ..good.clone() });
        assert_eq!(refused(&other), Error::ContentType);
    }
    let parameters = Some(ContentType::MediaType("Application/RIM+cbor; profile=\"x\"".into()));
    let parameters = raw_signed(&payload, &SignOptions { content_type: parameters, ..good.clone() });
    assert!(SignedCorim::parse(&parameters, &LIMITS).is_ok());
    let untagged = &raw_signed(&payload, &good)[1..];
    assert_eq!(refused(untagged).code(), codes::REFERENCE_MALFORMED);
    // A name that would be printed as something else.
    for claims in
        [&[0xa0][..], &[0xa1, 1, 0x60], &[0xa1, 1, 0x61, 7], &[0xa1, 1, 5], &[0xa2, 1, 0x61, b'A', 4, 0x20]]
    {
        let bytes = raw_signed(&payload, &SignOptions { cwt_claims: Some(claims), ..good.clone() });
        assert_eq!(refused(&bytes).code(), codes::REFERENCE_MALFORMED, "{claims:?}");
    }
}

#[test]
fn corim_meta_names_the_signer_too_and_must_agree() {
    let with = |claims: Option<(&str, u64)>, meta: Option<(&str, u64)>| {
        let mut protected = Encoder::new();
        protected.map_with(|map| {
            map.int(1, |e| e.int(-9)).int(3, |e| e.text(MEDIA_TYPE_UNSIGNED));
            map.optional(15, claims, |e, (name, end)| {
                e.map_with(|map| {
                    map.int(1, |e| e.text(name)).int(4, |e| e.uint(end));
                })
            });
            map.optional(8, meta, |e, (name, end)| {
                let mut meta = Encoder::new();
                meta.map_with(|map| {
                    map.int(0, |e| {
                        e.map_with(|map| {
                            map.int(0, |e| e.text(name)).int(1, |e| e.tag(32).text("https://acme.example"));
                        })
                    })
                    .int(1, |e| {
                        e.map_with(|map| {
                            map.int(1, |e| e.tag(1).uint(end));
                        })
                    });
                });
                e.bytes(&meta.into_bytes())
            });
        });
        let mut e = Encoder::new();
        e.tag(18)
            .array(4)
            .bytes(&protected.into_bytes())
            .map_with(|_| ())
            .bytes(&minimal().to_cbor())
            .bytes(&[0; 64]);
        SignedCorim::parse(&e.into_bytes(), &LIMITS).map(|read| read.signer_unverified().clone())
    };
    let acme = Signer { name: "Acme".into(), not_before: None, not_after: Some(9) };
    assert_eq!(with(None, Some(("Acme", 9))), Ok(acme.clone()));
    assert_eq!(with(Some(("Acme", 9)), Some(("Acme", 9))), Ok(acme));
    assert_eq!(with(Some(("Acme", 9)), Some(("Acme", 8))), Err(Error::TwoSigners));
    assert_eq!(with(Some(("Acme", 9)), Some(("Bolt", 9))), Err(Error::TwoSigners));
    assert_eq!(with(None, None), Err(Error::NoSigner));
}

/// Changes one member of the full example by its path of map keys and array indices, and says what the reader makes of it.
fn with_member(path: &[i64], replacement: Option<Value>) -> Result<Corim, tamarack_cbor::Error> {
    fn change(value: &mut Value, path: &[i64], replacement: Option<Value>) {
        match value {
            Value::Tag(506, wrapped) => {
                let Value::Bytes(content) = &mut **wrapped else { panic!("a wrapped tag") };
                let mut inner = Value::from_cbor(content, &LIMITS).unwrap();
                change(&mut inner, path, replacement);
                *content = inner.to_cbor();
            }
            Value::Tag(_, inner) => change(inner, path, replacement),
            Value::Array(items) => {
                let at = usize::try_from(path[0]).unwrap();
                match (path.len(), replacement) {
                    (1, Some(new)) => items[at] = new,
                    (1, None) => drop(items.remove(at)),
                    (_, replacement) => change(&mut items[at], &path[1..], replacement),
                }
            }
            Value::Map(pairs) => {
                let key = Value::Uint(path[0].unsigned_abs());
                let at = pairs.iter().position(|(k, _)| *k == key);
                match (path.len(), at, replacement) {
                    (1, Some(at), Some(new)) => pairs[at].1 = new,
                    (1, None, Some(new)) => pairs.push((key, new)),
                    (1, Some(at), None) => drop(pairs.remove(at)),
                    (_, Some(at), replacement) => change(&mut pairs[at].1, &path[1..], replacement),
                    _ => panic!("no member {path:?}"),
                }
            }
            _ => panic!("nothing at {path:?}"),
        }
    }
    let mut value = Value::from_cbor(&full().to_cbor(), &LIMITS).unwrap();
    change(&mut value, path, replacement);
    Corim::parse_unsigned(&value.to_cbor(), &LIMITS)
}

#[test]
fn members_that_are_missing_or_wrong_are_refused_with_their_position() {
    let uint = || Some(Value::Uint(0));
    let empty = || Some(Value::Array(Vec::new()));
    let empty_map = || Some(Value::Map(Vec::new()));
    let text = |text: &str| Some(Value::Text(text.into()));
    let tagged = |tag, value| Some(Value::Tag(tag, Box::new(value)));
    let digest = |alg: Value, size: usize| Value::Array(vec![alg, Value::Bytes(vec![0; size])]);
    let signer = || {
        let role = Value::Array(vec![Value::Uint(2)]);
        Value::Map(vec![(Value::Uint(0), Value::Text("Bolt".into())), (Value::Uint(2), role)])
    };
    // (where, what to put there)
    let cases: Vec<(&[i64], Option<Value>)> = vec![
        (&[0], None),
        (&[0], Some(Value::Bytes(vec![0; 15]))),
        (&[0], text("")),
        (&[0], text("a\nb")),
        (&[1], None),
        (&[1], empty()),
        (&[1, 0], text("not a tag")),
        (&[2], text("not an array")),
        (&[3], text("not a URI")),
        (&[3], tagged(32, Value::Uint(5))),
        (&[4], empty_map()),
        (&[4, 1], Some(Value::Uint(9))),
        (&[4, 1], tagged(1, Value::Nint(0))),
        (&[4, 1], tagged(1, Value::Uint(4))),
        (&[5], empty()),
        (&[5, 0, 0], None),
        (&[5, 0, 2], empty()),
        (&[5], Some(Value::Array(vec![signer(), signer()]))),
        (&[6], uint()),
        (&[1, 0, 1], None),
        (&[1, 0, 1, 0], None),
        (&[1, 0, 1, 1], text("seven")),
        (&[1, 0, 3, 0, 1], Some(Value::Uint(2))),
        (&[1, 0, 4], None),
        (&[1, 0, 4], empty_map()),
        (&[1, 0, 4, 0], empty()),
        (&[1, 0, 4, 0, 0], empty()),
        (&[1, 0, 4, 0, 0, 0], empty_map()),
        (&[1, 0, 4, 0, 0, 0, 3], uint()),
        (&[1, 0, 4, 0, 0, 0, 0], empty_map()),
        (&[1, 0, 4, 0, 0, 0, 0, 1], None),
        (&[1, 0, 4, 0, 0, 0, 0, 0], tagged(37, Value::Bytes(vec![0; 15]))),
        (&[1, 0, 4, 0, 0, 0, 0, 0], tagged(38, Value::Bytes(vec![0; 16]))),
        (&[1, 0, 4, 0, 0, 1], empty()),
        (&[1, 0, 4, 0, 0, 1, 0, 1], None),
        (&[1, 0, 4, 0, 0, 1, 0, 1], empty_map()),
        (&[1, 0, 4, 0, 0, 1, 0, 3], uint()),
        (&[1, 0, 4, 0, 0, 1, 0, 2], empty()),
        (&[1, 0, 4, 0, 0, 1, 0, 1, 1], tagged(554, Value::Uint(1))),
        (&[1, 0, 4, 0, 0, 1, 0, 1, 1], tagged(553, Value::Nint(1))),
        (&[1, 0, 4, 0, 0, 1, 0, 1, 2], empty()),
        (&[1, 0, 4, 0, 0, 1, 0, 1, 2, 0], Some(digest(Value::Uint(1), 31))),
        (&[1, 0, 4, 0, 0, 1, 0, 1, 2, 0], Some(digest(Value::Uint(99), 0))),
        (&[1, 0, 4, 0, 0, 1, 0, 1, 2, 0], Some(digest(Value::Uint(8), 64))),
        (&[1, 0, 4, 0, 0, 1, 0, 1, 2, 0], Some(Value::Array(vec![Value::Uint(1)]))),
        (&[1, 0, 4, 0, 0, 1, 0, 1, 3], empty_map()),
        (&[1, 0, 4, 0, 0, 1, 0, 1, 3, 11], Some(Value::Bool(true))),
        (&[1, 0, 4, 0, 0, 1, 0, 1, 3, 3], uint()),
        (&[1, 0, 4, 0, 3, 0, 1], tagged(550, Value::Bytes(vec![0; 34]))),
        (&[1, 0, 4, 0, 3, 0, 1], tagged(561, digest(Value::Uint(1), 32))),
        (&[1, 0, 4, 3, 0, 1], empty()),
        (&[1, 0, 4, 3, 0, 1, 0], tagged(558, Value::Uint(1))),
        (&[1, 0, 4, 3, 0, 1, 0], tagged(563, Value::Uint(1))),
        (&[1, 0, 4, 3, 1, 2], empty_map()),
        (&[1, 0, 4, 3, 1, 2, 2], uint()),
    ];
    let size = full().to_cbor().len();
    for (path, replacement) in cases {
        let error = with_member(path, replacement.clone()).expect_err("refused");
        assert!(!error.is_limit() && error.at < size + 64, "{path:?} {replacement:?}: {error}");
        assert!(path.len() < 3 || error.at > 20, "{path:?}: the position is the one in the whole: {error}");
    }
    assert_eq!(with_member(&[2], Some(Value::Array(vec![Value::Map(vec![])]))).map(|c| c.id), Ok(full().id));
}

#[test]
fn limits_hold_inside_and_outside() {
    let bytes = full().to_cbor();
    let kinds = |limits: Limits| Corim::parse_unsigned(&bytes, &limits).expect_err("refused").kind;
    assert_eq!(kinds(Limits { bytes: bytes.len() - 1, ..LIMITS }), ErrorKind::TooLong(bytes.len() - 1));
    assert_eq!(kinds(Limits { items: 100, ..LIMITS }), ErrorKind::TooManyItems(100));
    assert_eq!(kinds(Limits { depth: 4, ..LIMITS }), ErrorKind::TooDeep(4));
    let signed = sign(&full(), &Signer::new("Acme"), &*key(KeyType::P256), None).unwrap();
    let refused = SignedCorim::parse(&signed, &Limits { bytes: 100, ..LIMITS }).unwrap_err();
    assert_eq!(refused.code(), codes::CBOR_LIMIT);
}

#[test]
fn what_would_not_be_read_is_not_signed() {
    let maker = key(KeyType::P256);
    let signed = |corim: &Corim, name: &str| sign(corim, &Signer::new(name), &*maker, None);
    assert!(signed(&minimal(), "Acme").is_ok());
    assert!(signed(&minimal(), "").is_err(), "no name");
    let bare = Corim::new(Id::Text("x".into()), Comid::new(Id::Text("tag".into()), 1));
    assert!(signed(&bare, "Acme").is_err(), "no triples");
    let mut wrong = minimal();
    if let Tag::Comid(comid) = &mut wrong.tags[0] {
        comid.reference_values[0].measurements[0].values.digests[0].value.pop();
    }
    assert!(signed(&wrong, "Acme").is_err(), "a digest of 31 bytes");
}

#[test]
fn environments_match_as_the_draft_compares_them() {
    let all = Environment { instance: Some(Instance::Uuid([1; 16])), ..Environment::of_class(class()) };
    let only = |class: Class| Environment::of_class(class);
    let vendor = only(Class { vendor: Some("Acme".into()), ..Class::default() });
    let other = only(Class { vendor: Some("Bolt".into()), ..Class::default() });
    let second = only(Class { index: Some(1), ..class() });
    let cases = [
        (&all, &all, true),
        (&vendor, &all, true),
        (&all, &vendor, false),
        (&other, &all, false),
        (&second, &all, false),
        (&only(class()), &all, true),
    ];
    for (condition, entry, expected) in cases {
        assert_eq!(condition.includes(entry), expected, "{condition:?} {entry:?}");
    }
}

#[test]
fn keys_in_pem_and_cose_are_the_same_key() {
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let public = key(key_type).public_key();
        let pem = pem_of(&public.to_spki());
        for key in [CryptoKey::new(&public), CryptoKey::PkixKey(pem)] {
            assert_eq!(key.public_key(), Some(public));
        }
    }
    for other in ["", "-----BEGIN PUBLIC KEY-----\n!!\n-----END PUBLIC KEY-----\n"] {
        assert_eq!(CryptoKey::PkixKey(other.into()).public_key(), None);
    }
    assert_eq!(CryptoKey::CoseKey(vec![0xa0]).public_key(), None);
    assert_eq!(CryptoKey::Bytes(vec![1]).public_key(), None);
}

fn pem_of(der: &[u8]) -> String {
    pem_rfc7468::encode_string("PUBLIC KEY", pem_rfc7468::LineEnding::LF, der).unwrap()
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for head in [&[][..], &[0xd2, 0x84], &[0xd9, 1, 0xf5], &[0xd9, 1, 0xf5, 0xa2, 0, 0x61, b'x', 1]] {
            let bytes = [head, &bytes].concat();
            let _ = SignedCorim::parse(&bytes, &LIMITS);
            if let Ok(corim) = Corim::parse_unsigned(&bytes, &LIMITS) {
                prop_assert_eq!(Corim::parse_unsigned(&corim.to_cbor(), &LIMITS), Ok(corim));
            }
        }
    }

    #[test]
    fn a_changed_byte_never_panics_and_never_verifies(at in any::<prop::sample::Index>(), flip in 1..=255u8) {
        let maker = tamarack_testkit::memory_platform::ed25519(&provider(), 1, b"maker");
        let signed = sign(&minimal(), &Signer::new("Acme"), &*maker, None).unwrap();
        let mut changed = signed.clone();
        let at = at.index(changed.len());
        changed[at] ^= flip;
        if let Ok(read) = SignedCorim::parse(&changed, &LIMITS) {
            // An empty unprotected header may turn into a kid, which is a hint that fits no key.
            prop_assert!(read.verify(&[trusted(&*maker, Purpose::ReferenceValues)], &provider()).is_err());
        }
    }
}

/// A CoRIM need not be deterministically encoded; what nobody here knows is kept in one order however it came.
#[test]
fn members_that_are_not_known_have_one_order() {
    let mut tag = Comid::new(Id::Uuid([1; 16]), 1);
    let values = MeasurementValues {
        other: vec![(200, vec![5]), (-9, vec![6]), (-11, vec![7])],
        ..Default::default()
    };
    let measurement = Measurement { element: None, values, authorized_by: Vec::new() };
    let environment = Environment::of_class(class());
    tag.reference_values = vec![Triple { environment, measurements: vec![measurement] }];
    let corim = Corim::new(Id::Uuid([1; 16]), tag);
    let written = corim.to_cbor();
    let at = written.windows(7).position(|run| run == [0x18, 200, 5, 0x28, 6, 0x2a, 7]).unwrap();
    for other in [[0x2a, 7, 0x28, 6, 0x18, 200, 5], [0x28, 6, 0x18, 200, 5, 0x2a, 7]] {
        let mut came = written.clone();
        came[at..at + 7].copy_from_slice(&other);
        assert_eq!(Corim::parse_unsigned(&came, &LIMITS), Ok(corim.clone()));
    }
}
