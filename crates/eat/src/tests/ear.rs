use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use proptest::prelude::*;
use tamarack_cbor::{Decode, Encode, Encoder};
use tamarack_cose::{Error as CoseError, Purpose, VerificationKey, thumbprint};
use tamarack_crypto::{KeyType, Sign};
use tamarack_crypto_rustcrypto::provider;
use tamarack_model::codes;

use crate::ear::{
    Details, Ear, EarAppraisal, LIMITS, PROFILE, SignedEar, Tier, TrustVector, VerifierId, claim,
};
use crate::{Claims, Error, Profile};

fn key(key_type: KeyType) -> Box<dyn Sign> {
    let keys = provider().keys;
    keys.load_pkcs8(keys.generate_pkcs8(key_type).unwrap().expose()).unwrap()
}

/// With every member that there is.
fn full() -> Ear {
    let evidence = super::evidence();
    let tee = EarAppraisal {
        vector: Some(TrustVector {
            instance_identity: Some(claim::RECOGNIZED_INSTANCE),
            executables: Some(claim::APPROVED_BOOT),
            sourced_data: Some(-128),
            ..TrustVector::default()
        }),
        policies: alloc::vec!["urn:x:policy".into()],
        profile: Some(Profile::Uri("urn:x:profile".into())),
        eat_nonce: evidence.eat_nonce.clone(),
        cnf: evidence.cnf.clone(),
        teep: Some(Claims {
            eat_nonce: evidence.eat_nonce.clone(),
            ueid: evidence.ueid.clone(),
            oemid: evidence.oemid,
            hwmodel: evidence.hwmodel.clone(),
            hwversion: evidence.hwversion.clone(),
            manifests: evidence.manifests.clone(),
            ..Claims::default()
        }),
        details: Some(Details {
            device: Some([9; 32]),
            grade: Some("software".into()),
            reasons: alloc::vec!["fresh".into(), "released".into()],
            platform: evidence.platform.clone(),
            code: Some(3111),
            shown: Some(alloc::vec![0x82, 1, 2]),
            findings: Some(alloc::vec![0x81, 3]),
            debug: evidence.dbgstat,
        }),
        ..EarAppraisal::new(Tier::Contraindicated)
    };
    Ear {
        iat: 1_700_000_000,
        exp: Some(1_700_000_600),
        verifier: VerifierId { developer: "Acme".into(), build: "1.0".into() },
        status: Some(Tier::Contraindicated),
        eat_nonce: alloc::vec![alloc::vec![5; 8]],
        raw_evidence: Some(alloc::vec![1, 2, 3]),
        cnf: evidence.cnf,
        submods: BTreeMap::from([("tee".into(), tee), ("ta".into(), EarAppraisal::new(Tier::Warning))]),
    }
}

fn minimal() -> Ear {
    Ear {
        exp: None,
        status: None,
        eat_nonce: Vec::new(),
        raw_evidence: None,
        cnf: None,
        submods: BTreeMap::from([("tee".into(), EarAppraisal::new(Tier::None))]),
        ..full()
    }
}

#[test]
fn what_is_signed_is_read() {
    for ear in [minimal(), full()] {
        for key_type in [KeyType::P256, KeyType::Ed25519] {
            let signer = key(key_type);
            let bytes = ear.sign(signer.as_ref(), &provider()).unwrap();
            assert_eq!(bytes[0], 0xd2, "tag 18");
            let keys = [VerificationKey::new(signer.public_key(), Purpose::AttestationResult, &provider())];
            for bytes in [&bytes[..], &bytes[1..], &[&[0xd8, 0x3d], &bytes[..]].concat()] {
                let signed = SignedEar::parse(bytes).unwrap();
                assert_eq!(signed.unverified().unwrap(), ear);
                let verified = signed.verify(&keys, &provider()).unwrap();
                assert_eq!(verified.value(), &ear);
                assert_eq!(*verified.key(), thumbprint(&signer.public_key(), &provider()));
            }
        }
    }
}

#[test]
fn k5_a_verifiers_key_signs_nothing_else_and_nothing_else_signs_ears() {
    let signer = key(KeyType::P256);
    let bytes = full().sign(signer.as_ref(), &provider()).unwrap();
    let signed = SignedEar::parse(&bytes).unwrap();
    for purpose in [
        Purpose::Evidence,
        Purpose::TeepMessage,
        Purpose::SuitManifest,
        Purpose::SuitReport,
        Purpose::TrustedApplication,
        Purpose::DeviceAuthority,
        Purpose::ReferenceValues,
    ] {
        let keys = [VerificationKey::new(signer.public_key(), purpose, &provider())];
        let error = signed.verify(&keys, &provider()).unwrap_err();
        assert_eq!(error, Error::Cose(CoseError::KeyUnknown), "{purpose:?}");
    }
    let stranger = key(KeyType::P256).public_key();
    let keys = [VerificationKey::new(stranger, Purpose::AttestationResult, &provider())];
    assert_eq!(signed.verify(&keys, &provider()).unwrap_err().code(), codes::COSE_KEY_UNKNOWN);
}

#[test]
fn every_changed_bit_is_noticed() {
    let signer = key(KeyType::Ed25519);
    let bytes = full().sign(signer.as_ref(), &provider()).unwrap();
    let keys = [VerificationKey::new(signer.public_key(), Purpose::AttestationResult, &provider())];
    for at in (0..bytes.len() * 8).step_by(5) {
        let mut changed = bytes.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let verified = SignedEar::parse(&changed).and_then(|signed| signed.verify(&keys, &provider()));
        // The tag and the length of the protected header's kid are not signed; whoever reads the same claims loses nothing.
        assert!(verified.is_err() || verified.unwrap().value() == &full(), "bit {at}");
    }
}

/// One EAR of the least content, with one thing said as `change` says it.
fn with(label: i64, write: impl FnOnce(&mut Encoder) -> &mut Encoder) -> Vec<u8> {
    let mut write = Some(write);
    let mut e = Encoder::new();
    e.map_with(|map| {
        let mut member = |key: i64, default: &dyn Fn(&mut Encoder)| {
            map.int(key, |e| {
                match (key == label, write.take()) {
                    (true, Some(write)) => return write(e),
                    (_, kept) => write = kept,
                }
                default(e);
                e
            });
        };
        member(6, &|e| _ = e.uint(1));
        member(265, &|e| _ = e.text(PROFILE));
        member(266, &|e| {
            e.map_with(|map| {
                map.text("tee", |e| e.item(&EarAppraisal::new(Tier::None)));
            });
        });
        member(1004, &|e| {
            e.map_with(|map| {
                map.int(0, |e| e.text("a")).int(1, |e| e.text("b"));
            });
        });
        if ![6, 265, 266, 1004].contains(&label)
            && let Some(write) = write.take()
        {
            map.int(label, write);
        }
    });
    e.into_bytes()
}

/// A submodule "tee" with status 2 and one more member.
fn submodule(e: &mut Encoder, label: i64, write: impl FnOnce(&mut Encoder) -> &mut Encoder) -> &mut Encoder {
    e.map_with(|map| {
        map.text("tee", |e| {
            e.map_with(|map| {
                map.int(1000, |e| e.uint(2)).int(label, write);
            })
        });
    })
}

fn one_claim(e: &mut Encoder, label: i64, claim: i64) -> &mut Encoder {
    e.map_with(|map| {
        map.int(label, |e| e.int(claim));
    })
}

#[test]
fn ears_are_read_strictly() {
    let read = |bytes: &[u8]| Ear::from_cbor(bytes, &LIMITS);
    assert!(read(&with(99, |e| e.text("what nobody knows"))).is_ok(), "unknown claims are stepped over");
    assert!(read(&with(266, |e| submodule(e, 99, |e| e.uint(1)))).is_ok());
    assert!(read(&with(266, |e| submodule(e, 1001, |e| one_claim(e, 7, -32)))).is_ok());
    let refused: &[(&str, Vec<u8>)] = &[
        ("another profile", with(265, |e| e.text("tag:github.com,2023:veraison/ear"))),
        ("a profile that is an OID", with(265, |e| e.bytes(&[1]))),
        ("a time in floating point", with(6, |e| e.raw(&[0xf9, 0x3c, 0x00]))),
        ("a time as text", with(6, |e| e.text("1"))),
        ("an expiry in floating point", with(4, |e| e.raw(&[0xf9, 0x3c, 0x00]))),
        ("a tagged time", with(6, |e| e.tag(1).uint(1))),
        ("a verifier without build", with(1004, |e| e.raw(&[0xa1, 0x00, 0x61, 0x61]))),
        ("a verifier that says more", with(1004, |e| e.raw(&[0xa3, 0, 0x60, 1, 0x60, 2, 0x60]))),
        ("no submodule", with(266, |e| e.raw(&[0xa0]))),
        ("a submodule with a number", with(266, |e| e.raw(&[0xa1, 0x00, 0xa1, 0x19, 0x03, 0xe8, 0x00]))),
        ("a submodule without status", with(266, |e| e.raw(&[0xa1, 0x61, 0x61, 0xa0]))),
        ("a status that is no tier", with(1000, |e| e.uint(3))),
        ("a status above a submodule's", with(1000, |e| e.uint(2))),
        ("a short nonce", with(10, |e| e.bytes(&[0; 7]))),
        ("raw evidence as text", with(1002, |e| e.text("a"))),
        ("an empty vector", with(266, |e| submodule(e, 1001, |e| e.raw(&[0xa0])))),
        ("a claim of another number", with(266, |e| submodule(e, 1001, |e| one_claim(e, 8, 2)))),
        ("a claim of 9 bits", with(266, |e| submodule(e, 1001, |e| one_claim(e, 0, 128)))),
        ("a status above a warning", with(266, |e| submodule(e, 1001, |e| one_claim(e, 2, 33)))),
        ("a status above nothing said", with(266, |e| submodule(e, 1001, |e| one_claim(e, 2, 0)))),
        ("a status above a negative claim", with(266, |e| submodule(e, 1001, |e| one_claim(e, 2, -97)))),
        ("no policy", with(266, |e| submodule(e, 1003, |e| e.raw(&[0x80])))),
        ("TEEP claims without any", with(266, |e| submodule(e, 65_000, |e| e.raw(&[0xa0])))),
        (
            "details with a short device id",
            with(266, |e| submodule(e, -77_062, |e| e.raw(&[0xa1, 1, 0x41, 0]))),
        ),
        ("details with a debug status of 5", with(266, |e| submodule(e, -77_062, |e| one_claim(e, 8, 5)))),
        ("details with a large code", with(266, |e| submodule(e, -77_062, |e| one_claim(e, 5, 10_000)))),
    ];
    for (what, bytes) in refused {
        let error = read(bytes).expect_err(what);
        assert_eq!(Error::Claims(error).code(), codes::EAT_MALFORMED, "{what}");
    }
    for missing in [6_i64, 265, 266, 1004] {
        let whole = with(99, |e| e.uint(0));
        let mut key = Encoder::new();
        key.int(missing);
        // Rename the member to one that is stepped over; all keys that occur have three bytes, or one.
        let (from, to) =
            (key.into_bytes(), if missing == 6 { alloc::vec![0x07] } else { alloc::vec![0x19, 0x7f, 0xff] });
        let at = whole.windows(from.len()).position(|w| w == from).unwrap();
        let changed = [&whole[..at], &to, &whole[at + from.len()..]].concat();
        assert!(read(&changed).is_err(), "without {missing}");
    }
}

#[test]
fn what_no_reader_takes_is_not_signed() {
    let signer = key(KeyType::P256);
    let better = Ear { status: Some(Tier::Affirming), ..full() };
    assert_eq!(better.sign(signer.as_ref(), &provider()).unwrap_err().code(), codes::EAT_MALFORMED);
    let empty = Ear { submods: BTreeMap::new(), ..full() };
    assert_eq!(empty.sign(signer.as_ref(), &provider()).unwrap_err().code(), codes::EAT_MALFORMED);
}

#[test]
fn tiers_are_those_of_ar4si() {
    for (claim, tier) in [
        (-128, Tier::Contraindicated),
        (-97, Tier::Contraindicated),
        (-96, Tier::Warning),
        (-33, Tier::Warning),
        (-32, Tier::Affirming),
        (-2, Tier::Affirming),
        (-1, Tier::None),
        (1, Tier::None),
        (2, Tier::Affirming),
        (31, Tier::Affirming),
        (32, Tier::Warning),
        (95, Tier::Warning),
        (96, Tier::Contraindicated),
        (127, Tier::Contraindicated),
    ] {
        assert_eq!(Tier::of_claim(claim), tier, "{claim}");
        assert_eq!(Tier::from_number(tier.number()), Some(tier));
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(ear) = Ear::from_cbor(&bytes, &LIMITS) {
            let again = Ear::from_cbor(&ear.to_cbor(), &LIMITS);
            prop_assert_eq!(again, Ok(ear));
        }
        let _ = SignedEar::parse(&bytes).and_then(|signed| signed.unverified());
    }
}
