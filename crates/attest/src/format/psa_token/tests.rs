use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;

use tamarack_cbor::{Decode, Encoder, Limits};
use tamarack_corim::{
    AttestKeys, Class, ClassId, Comid, Corim, CryptoKey, Digest, Environment, Id, Instance, MeasuredElement,
    Measurement, MeasurementValues, Signer, Triple, Validity,
};
use tamarack_cose::{Purpose, Sign1, SignOptions, VerificationKey, thumbprint};
use tamarack_crypto::{PublicKey, Sign};
use tamarack_crypto_rustcrypto::provider;
use tamarack_eat::DebugStatus;
use tamarack_model::{Code, codes};

use super::{FORMAT, PsaClaims, SOFTWARE_COMPONENT, binding, wrap};
use crate::tests::{NONCE, NOW, make};
use crate::{
    Appraisal, Expectations, Grade, Policy, ProviderRole, ReferenceProvider, References, Refusal, Tier,
    appraise, hints_unverified,
};

/// A device with a PSA root of trust, whose maker endorses its key and released its firmware.
struct Device {
    root: Box<dyn Sign>,
    teep_key: PublicKey,
    policy: Policy,
}

/// The claims of a token; each test changes what it is about.
#[derive(Clone)]
struct Token {
    nonce: Vec<u8>,
    implementation: [u8; 32],
    instance: [u8; 33],
    lifecycle: u64,
    firmware: [u8; 32],
}

impl Token {
    fn encode(&self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.map_with(|map| {
            map.int(10, |e| e.bytes(&self.nonce))
                .int(256, |e| e.bytes(&self.instance))
                .int(265, |e| e.text("tag:psacertified.org,2023:psa#tfm"))
                .int(2394, |e| e.int(-1))
                .int(2395, |e| e.uint(self.lifecycle))
                .int(2396, |e| e.bytes(&self.implementation))
                .int(2399, |e| {
                    e.array(1).map_with(|map| {
                        map.int(1, |e| e.text("PRoT"))
                            .int(2, |e| e.bytes(&self.firmware))
                            .int(5, |e| e.bytes(&[6; 32]));
                    })
                });
        });
        e.into_bytes()
    }
}

fn instance() -> [u8; 33] {
    let mut id = [7; 33];
    id[0] = 1;
    id
}

fn environment(instance: Option<[u8; 33]>) -> Environment {
    Environment {
        class: Some(Class { class_id: Some(ClassId::Bytes(vec![5; 32])), ..Class::default() }),
        instance: instance.map(|id| Instance::Ueid(id.to_vec())),
        group: None,
    }
}

impl Device {
    fn new() -> Self {
        Self::under(Grade::Hardware, Some(instance()))
    }

    fn under(cap: Grade, endorsed: Option<[u8; 33]>) -> Self {
        Self::endorsed(cap, endorsed, None)
    }

    fn endorsed(cap: Grade, endorsed: Option<[u8; 33]>, validity: Option<Validity>) -> Self {
        let (root, maker) = (make(&provider()), make(&provider()));
        let mut references = References::new(vec![ReferenceProvider {
            name: "Acme".into(),
            role: ProviderRole::Maker,
            keys: vec![VerificationKey::new(maker.public_key(), Purpose::ReferenceValues, &provider())],
            scope: vec![environment(None)],
            elements: None,
            cap,
        }]);
        let mut tag = Comid::new(Id::Text("gizmo".into()), 1);
        tag.attest_keys = vec![AttestKeys {
            environment: environment(endorsed),
            keys: vec![CryptoKey::new(&root.public_key())],
            element: None,
            authorized_by: Vec::new(),
        }];
        let values = MeasurementValues {
            digests: vec![Digest::sha256([8; 32])],
            name: Some("PRoT".into()),
            cryptokeys: vec![CryptoKey::Bytes(vec![6; 32])],
            ..MeasurementValues::default()
        };
        let element = Some(MeasuredElement::Text(SOFTWARE_COMPONENT.into()));
        let measurement = Measurement { element, values, authorized_by: Vec::new() };
        tag.reference_values =
            vec![Triple { environment: environment(None), measurements: vec![measurement] }];
        let corim = Corim { validity, ..Corim::new(Id::Text("acme".into()), tag) };
        let signed = tamarack_corim::sign(&corim, &Signer::new("Acme"), &*maker, None).unwrap();
        references.add(&signed, NOW, &provider()).unwrap();
        let policy =
            Policy { references: Some(references.into()), ..Policy::new(Vec::new(), Grade::Hardware) };
        let teep_key = make(&provider()).public_key();
        Self { root, teep_key, policy }
    }

    fn token(&self) -> Token {
        Token {
            nonce: binding(&NONCE, &self.teep_key, &provider()).to_vec(),
            implementation: [5; 32],
            instance: instance(),
            lifecycle: 0x3000,
            firmware: [8; 32],
        }
    }

    fn sign(&self, token: &Token) -> Vec<u8> {
        Sign1::sign(&*self.root, &token.encode(), &[], &SignOptions::default()).unwrap()
    }

    fn evidence(&self, token: &Token) -> Vec<u8> {
        wrap(&NONCE, &self.teep_key, &self.sign(token))
    }

    fn appraise(&self, evidence: &[u8]) -> Result<Appraisal, Refusal> {
        let expected =
            Expectations { nonce: &NONCE, teep_key: Some(thumbprint(&self.teep_key, &provider())), now: NOW };
        appraise(Some(FORMAT), evidence, &expected, &self.policy, &provider())
    }

    #[track_caller]
    fn refused(&self, change: impl FnOnce(&mut Token)) -> Code {
        let mut token = self.token();
        change(&mut token);
        let refusal = self.appraise(&self.evidence(&token)).expect_err("refused");
        assert!(!refusal.reason.is_empty());
        refusal.code
    }
}

#[test]
fn genuine_tokens_are_accepted() {
    let device = Device::new();
    let evidence = device.evidence(&device.token());
    let hints = hints_unverified(Some(FORMAT), &evidence).unwrap();
    assert_eq!((&hints.nonce[..], hints.teep_key), (&NONCE[..], Some(device.teep_key)));
    let appraisal = device.appraise(&evidence).unwrap();
    assert_eq!(appraisal.grade, Grade::Hardware);
    assert_eq!(appraisal.device.0, thumbprint(&device.root.public_key(), &provider()).0);
    assert_eq!(appraisal.result.status, Tier::Affirming);
    assert_eq!(appraisal.result.vector.hardware, Some(2));
    assert_eq!(appraisal.components.len(), 1);
    assert_eq!(appraisal.claims.eat_nonce, [NONCE.to_vec()]);
}

#[test]
fn firmware_that_nobody_released_is_refused() {
    let device = Device::new();
    assert_eq!(device.refused(|token| token.firmware[31] ^= 1), codes::MEASUREMENT_MISMATCH);
}

#[test]
fn c3_the_token_is_bound_to_challenge_and_key() {
    let device = Device::new();
    let stranger = make(&provider()).public_key();
    assert_eq!(device.refused(|token| token.nonce = vec![1; 32]), codes::EVIDENCE_STALE);
    // Made for the same challenge and another TEEP key, or for another challenge and the same key.
    let other_key = binding(&NONCE, &stranger, &provider()).to_vec();
    assert_eq!(device.refused(|token| token.nonce = other_key), codes::EVIDENCE_STALE);
    let other_nonce = binding(&[9; 32], &device.teep_key, &provider()).to_vec();
    assert_eq!(device.refused(|token| token.nonce = other_nonce), codes::EVIDENCE_STALE);
    // The challenge itself is fresh and says nothing about who sends it.
    assert_eq!(device.refused(|token| token.nonce = NONCE.to_vec()), codes::EVIDENCE_KEY_BINDING);
    // Around the token stands another challenge, or another key.
    let token = device.sign(&device.token());
    let code = |evidence: &[u8]| device.appraise(evidence).expect_err("refused").code;
    assert_eq!(code(&wrap(&[9; 32], &device.teep_key, &token)), codes::EVIDENCE_STALE);
    assert_eq!(code(&wrap(&NONCE, &stranger, &token)), codes::EVIDENCE_KEY_BINDING);
}

#[test]
fn only_keys_that_a_maker_endorses_for_this_device_count() {
    let device = Device::new();
    let other = Device::new();
    let code = |policy: Policy, token: &Token| {
        let expected = Expectations {
            nonce: &NONCE,
            teep_key: Some(thumbprint(&device.teep_key, &provider())),
            now: NOW,
        };
        let evidence = device.evidence(token);
        let appraisal = appraise(Some(FORMAT), &evidence, &expected, &policy, &provider());
        appraisal.map(|a| a.grade).map_err(|r| r.code)
    };
    let token = device.token();
    assert_eq!(code(device.policy.clone(), &token), Ok(Grade::Hardware));
    assert_eq!(code(other.policy, &token), Err(codes::EVIDENCE_UNTRUSTED));
    let without = Policy { references: None, ..device.policy.clone() };
    assert_eq!(code(without, &token), Err(codes::EVIDENCE_UNTRUSTED));
    let mut instance = token.clone();
    instance.instance[32] ^= 1;
    assert_eq!(code(device.policy.clone(), &instance), Err(codes::EVIDENCE_UNTRUSTED));
    let mut implementation = token.clone();
    implementation.implementation[0] ^= 1;
    assert_eq!(code(device.policy.clone(), &implementation), Err(codes::EVIDENCE_UNTRUSTED));
    let mut deactivated = device.policy.clone();
    let references = deactivated.references.as_mut().unwrap();
    let id = references.entries()[0].id;
    alloc::sync::Arc::make_mut(references).deactivate(&id);
    assert_eq!(code(deactivated, &token), Err(codes::EVIDENCE_UNTRUSTED));
}

#[test]
fn an_endorsement_outside_its_validity_vouches_for_no_key() {
    let validity = Some(Validity { not_before: Some(NOW), not_after: NOW + 10 });
    let device = Device::endorsed(Grade::Hardware, Some(instance()), validity);
    let evidence = device.evidence(&device.token());
    let appraised = |now| {
        let teep_key = Some(thumbprint(&device.teep_key, &provider()));
        let expected = Expectations { nonce: &NONCE, teep_key, now };
        appraise(Some(FORMAT), &evidence, &expected, &device.policy, &provider())
    };
    for now in [NOW, NOW + 10] {
        assert_eq!(appraised(now).unwrap().grade, Grade::Hardware);
    }
    for now in [0, NOW - 1, NOW + 11, u64::MAX] {
        let refusal = appraised(now).unwrap_err();
        assert_eq!(refusal.code, codes::EVIDENCE_UNTRUSTED, "{now}");
        assert!(refusal.reason.contains("no maker endorses a key"), "{refusal}");
    }
}

#[test]
fn e1_grade_is_the_lower_of_cap_and_life_cycle() {
    for (cap, lifecycle, expected) in [
        (Grade::Hardware, 0x30ff, Ok(Grade::Hardware)),
        (Grade::Software, 0x3000, Ok(Grade::Software)),
        (Grade::None, 0x3000, Ok(Grade::None)),
        (Grade::Hardware, 0x0000, Ok(Grade::None)),
        (Grade::Hardware, 0x1000, Ok(Grade::None)),
        (Grade::Hardware, 0x2000, Ok(Grade::None)),
        (Grade::Hardware, 0x4000, Ok(Grade::None)),
        (Grade::Hardware, 0x5000, Ok(Grade::None)),
        (Grade::Hardware, 0x6000, Err(codes::EVIDENCE_POLICY)),
        (Grade::Hardware, 0x7000, Err(codes::EAT_MALFORMED)),
    ] {
        let mut device = Device::under(cap, None);
        device.policy.minimum = Grade::None;
        device.policy.debug = DebugStatus::Enabled;
        let evidence = device.evidence(&Token { lifecycle, ..device.token() });
        let grade = device.appraise(&evidence).map(|a| a.grade).map_err(|r| r.code);
        assert_eq!(grade, expected, "cap {cap}, life cycle {lifecycle:#x}");
        device.policy.minimum = Grade::Hardware;
        device.policy.debug = DebugStatus::Disabled;
        let accepted = device.appraise(&evidence).is_ok();
        assert_eq!(accepted, expected == Ok(Grade::Hardware), "cap {cap}, life cycle {lifecycle:#x}");
    }
}

#[test]
fn what_stands_around_the_token_is_read_strictly() {
    let device = Device::new();
    let good = device.evidence(&device.token());
    let expected = Ok(Grade::Hardware);
    let grade = |evidence: &[u8]| device.appraise(evidence).map(|a| a.grade).map_err(|r| r.code);
    assert_eq!(grade(&good), expected);
    assert_eq!(grade(&[&[0xd9, 0x02, 0x59][..], &good].concat()), expected, "under tag 601");
    let wrapped = |token: &[u8]| wrap(&NONCE, &device.teep_key, token);
    let token = device.sign(&device.token());
    assert_eq!(grade(&wrapped(&[&[0xd8, 0x3d][..], &token].concat())), expected, "under tag 61");
    let malformed = [
        ("nothing", Vec::new()),
        ("no map", vec![0x80]),
        ("an empty map", vec![0xa0]),
        ("no token", wrapped(&[])),
        ("an untagged token", wrapped(&token[1..])),
        ("another claim", [&[0xa5][..], &good[1..], &[0x19, 0x01, 0x10, 0x80]].concat()),
        ("another profile", {
            let at = good.windows(7).position(|w| w == b"token:1").unwrap();
            [&good[..at], b"token:2", &good[at + 7..]].concat()
        }),
    ];
    for (what, evidence) in malformed {
        assert_eq!(grade(&evidence), Err(codes::EAT_MALFORMED), "{what}");
    }
    assert_eq!(
        grade(&wrapped(&[&[0xd1][..], &token[1..]].concat())),
        Err(codes::EVIDENCE_UNTRUSTED),
        "a MAC"
    );
}

/// RFC 9783 permits ES384, ES512 and MACs besides ES256. They are refused, and the reason says what would do.
#[test]
fn other_algorithms_of_the_profile_are_refused_with_a_reason() {
    let device = Device::new();
    let token = device.sign(&device.token());
    // The protected header of the good token is a map with one algorithm: 43 a1 01 26 or 28.
    let header = token.iter().position(|byte| *byte == 0xa1).expect("a protected header");
    for (label, size, name) in [(34_u8, 96, "ES384"), (35, 132, "ES512")] {
        // Label -35 is 38 22, and -36 is 38 23.
        let body = &token[header + 3..];
        let payload = &body[..body.len() - 66];
        let mut e = Encoder::new();
        e.bytes(&vec![1; size]);
        let changed =
            [&token[..header - 1], &[0x44, 0xa1, 0x01, 0x38, label], payload, &e.into_bytes()].concat();
        let refusal = device.appraise(&wrap(&NONCE, &device.teep_key, &changed)).unwrap_err();
        assert_eq!(refusal.code, codes::EVIDENCE_UNTRUSTED, "{refusal}");
        assert!(refusal.reason.contains(name), "{refusal}");
    }
    let mac = wrap(&NONCE, &device.teep_key, &[&[0xd1][..], &token[1..]].concat());
    let refusal = device.appraise(&mac).unwrap_err();
    assert_eq!(refusal.code, codes::EVIDENCE_UNTRUSTED);
    assert!(refusal.reason.contains("MAC"), "{refusal}");
}

#[test]
fn every_changed_bit_is_noticed() {
    let device = Device::new();
    let evidence = device.evidence(&device.token());
    for at in (0..evidence.len() * 8).step_by(7) {
        let mut changed = evidence.clone();
        changed[at / 8] ^= 1 << (at % 8);
        assert!(device.appraise(&changed).is_err(), "bit {at}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let policy = Policy::new(Vec::new(), Grade::None);
        let expected = Expectations { nonce: &bytes, teep_key: Some(tamarack_cose::KeyId([0; 32])), now: NOW };
        let _ = PsaClaims::from_cbor(&bytes, &Limits::default());
        let wrapped = wrap(&NONCE, &PublicKey::Ed25519([1; 32]), &bytes);
        for evidence in [&bytes, &wrapped] {
            prop_assert!(appraise(Some(FORMAT), evidence, &expected, &policy, &provider()).is_err());
            let _ = hints_unverified(Some(FORMAT), evidence);
        }
    }
}
