use alloc::boxed::Box;
use alloc::vec::Vec;

use proptest::prelude::*;

use tamarack_cose::{Sign1, SignOptions, thumbprint};
use tamarack_crypto::{KeyType, Provider, PublicKey, Sign};
use tamarack_crypto_rustcrypto::provider;
use tamarack_eat::{Claims, Confirmation, DebugStatus, Profile, SOFTWARE_TEE_FORMAT, layer, sign};
use tamarack_model::{Code, codes};
use tamarack_pki::{Authority, Reason, Revocations, Subject, Validity, certificates_from_pem};
use tamarack_x509::{Anchor, Role};

use crate::{Appraisal, Expectations, Grade, Policy, Refusal, TeeCa, appraise, assess, hints_unverified};

pub(crate) const NOW: u64 = 1_750_000_000;
pub(crate) const NONCE: [u8; 32] = [7; 32];

/// A maker's authority, a device under it with its two keys, and a TAM's policy.
pub(crate) struct World {
    pub(crate) provider: Provider,
    pub(crate) authority: Authority,
    pub(crate) attestation_key: Box<dyn Sign>,
    pub(crate) teep_key: PublicKey,
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) policy: Policy,
}

impl World {
    pub(crate) fn new(cap: Grade) -> Self {
        let provider = provider();
        let authority = authority(Role::Tee);
        let attestation_key = make(&provider);
        let chain = issue(&authority, attestation_key.public_key());
        let anchor = Anchor::from_der(authority.cert_der()).unwrap();
        let policy = Policy::new(alloc::vec![TeeCa { anchor, cap }], Grade::Software);
        let teep_key = make(&provider).public_key();
        Self { provider, authority, attestation_key, teep_key, chain, policy }
    }

    pub(crate) fn claims(&self) -> Claims {
        tamarack_testkit::evidence::claims(&NONCE, self.teep_key, [4; 32])
    }

    pub(crate) fn evidence(&self, claims: &Claims) -> Vec<u8> {
        sign(claims, self.attestation_key.as_ref(), &self.chain).unwrap()
    }

    pub(crate) fn appraise(&self, evidence: &[u8]) -> Result<Appraisal, Refusal> {
        self.appraise_as(Some(SOFTWARE_TEE_FORMAT), evidence)
    }

    fn appraise_as(&self, format: Option<&str>, evidence: &[u8]) -> Result<Appraisal, Refusal> {
        let teep_key = thumbprint(&self.teep_key, &self.provider);
        let expected = Expectations { nonce: &NONCE, teep_key: Some(teep_key), now: NOW };
        appraise(format, evidence, &expected, &self.policy, &self.provider)
    }

    /// The code with which claims changed by `change` are refused.
    #[track_caller]
    fn refused(&self, change: impl FnOnce(&mut Claims)) -> Code {
        let mut claims = self.claims();
        change(&mut claims);
        let refusal = self.appraise(&self.evidence(&claims)).expect_err("refused");
        assert!(!refusal.reason.is_empty());
        refusal.code
    }
}

pub(crate) fn make(provider: &Provider) -> Box<dyn Sign> {
    let pkcs8 = provider.keys.generate_pkcs8(KeyType::P256).unwrap();
    provider.keys.load_pkcs8(pkcs8.expose()).unwrap()
}

fn authority(role: Role) -> Authority {
    Authority::create(role, "Maker", KeyType::P256, Validity::days(NOW - 86_400, 365)).unwrap()
}

fn issue(authority: &Authority, key: PublicKey) -> Vec<Vec<u8>> {
    let subject = Subject { uri: "urn:x-tamarack:device:1".into(), common_name: "device 1".into() };
    certificates_from_pem(&authority.issue(key, subject, NOW - 10, NOW + 1000).unwrap()).unwrap()
}

#[test]
fn genuine_evidence_is_accepted_with_reasons() {
    let world = World::new(Grade::Software);
    let appraisal = world.appraise(&world.evidence(&world.claims())).unwrap();
    assert_eq!(appraisal.grade, Grade::Software);
    assert_eq!(appraisal.device.0, thumbprint(&world.attestation_key.public_key(), &world.provider).0);
    assert_eq!(appraisal.claims, world.claims());
    assert_eq!(appraisal.reasons.len(), 5, "{:?}", appraisal.reasons);
}

/// Revoked, nothing said, and no list any more in force.
#[test]
fn k4_an_attestation_key_can_be_revoked() {
    let mut world = World::new(Grade::Software);
    let mut revoked = Revocations::default();
    let good = world.authority.revocation_list(&revoked, NOW - 60, 120).unwrap();
    let over = world.authority.revocation_list(&revoked, NOW - 60, 59).unwrap();
    world.authority.revoke(&world.chain[0], &mut revoked, Reason::KeyCompromise, NOW).unwrap();
    let bad = world.authority.revocation_list(&revoked, NOW - 60, 120).unwrap();
    let foreign = authority(Role::Tee).revocation_list(&revoked, NOW - 60, 120).unwrap();
    let evidence = world.evidence(&world.claims());
    for (lists, why) in [
        (alloc::vec![], None),
        (alloc::vec![good.clone()], None),
        (alloc::vec![bad.clone()], Some("is revoked")),
        (alloc::vec![good, bad], Some("is revoked")),
        (alloc::vec![over], Some("is over")),
        (alloc::vec![foreign], Some("is not signed by its issuer")),
        (alloc::vec![b"x".to_vec()], Some("cannot be read")),
    ] {
        world.policy.crls = [lists].into();
        match (world.appraise(&evidence), why) {
            (Ok(_), None) => {}
            (Err(refusal), Some(why)) => {
                assert_eq!(refusal.code, codes::EVIDENCE_UNTRUSTED);
                assert!(refusal.reason.contains(why), "{why}: {}", refusal.reason);
            }
            (result, why) => panic!("{why:?}: {result:?}"),
        }
    }
}

/// A clock that is wrong in either direction puts the device's certificate, or what its maker released, outside of its validity.
#[test]
fn a_wrong_clock_trusts_nothing() {
    let mut world = World::new(Grade::Software);
    let evidence = world.evidence(&world.claims());
    let teep_key = Some(thumbprint(&world.teep_key, &world.provider));
    for references in [None, Some(crate::reference::tests::released().into())] {
        world.policy.references = references;
        let assessed = |now| {
            let expected = Expectations { nonce: &NONCE, teep_key, now };
            assess(Some(SOFTWARE_TEE_FORMAT), &evidence, &expected, &world.policy, &world.provider)
        };
        for now in [NOW - 10, NOW + 1000] {
            assert!(assessed(now).outcome.is_ok(), "{now}");
        }
        for now in [0, NOW - 11, NOW + 1001, NOW + 400 * 86_400, u64::MAX] {
            let assessment = assessed(now);
            let refusal = assessment.outcome.unwrap_err();
            assert_eq!(refusal.code, codes::EVIDENCE_UNTRUSTED, "{now}: {refusal}");
            assert_ne!(assessment.result.status, crate::Tier::Affirming, "{now}");
        }
    }
}

#[test]
fn hints_name_nonce_and_key_before_anything_is_proven() {
    let world = World::new(Grade::Software);
    let hints = hints_unverified(Some(SOFTWARE_TEE_FORMAT), &world.evidence(&world.claims())).unwrap();
    assert_eq!((&hints.nonce[..], hints.teep_key), (&NONCE[..], Some(world.teep_key)));
}

#[test]
fn e1_grade_is_the_lower_of_cap_and_claims() {
    let missing = |layers: u64| {
        move |world: &World| {
            let mut claims = world.claims();
            claims.platform.as_mut().unwrap().layers &= !layers;
            world.evidence(&claims)
        }
    };
    let cases: [(Grade, u64, Grade); 6] = [
        (Grade::Hardware, 0, Grade::Software),
        (Grade::Software, 0, Grade::Software),
        (Grade::None, 0, Grade::None),
        (Grade::Hardware, layer::SECCOMP, Grade::None),
        (Grade::Software, layer::OWN_UID, Grade::None),
        (Grade::Software, layer::SECRET_MEMORY, Grade::Software),
    ];
    for (cap, layers, expected) in cases {
        let mut world = World::new(cap);
        world.policy.minimum = Grade::None;
        let appraisal = world.appraise(&missing(layers)(&world)).unwrap();
        assert_eq!(appraisal.grade, expected, "cap {cap}, without {layers:b}");
    }
    let world = World::new(Grade::Software);
    let refusal = world.appraise(&missing(layer::SECCOMP)(&world)).unwrap_err();
    assert_eq!(refusal.code, codes::EVIDENCE_POLICY);
    assert!(refusal.reason.contains("missing: seccomp"), "{refusal}");
}

#[test]
fn e2_an_explicit_format_is_needed() {
    let world = World::new(Grade::Software);
    let evidence = world.evidence(&world.claims());
    let cases = [
        (None, false),
        (Some("application/eat+cwt"), false),
        (Some("application/eat+cwt; eat_profile=\"urn:ietf:rfc:rfc9999\""), false),
        (Some("application/psa-attestation-token"), false),
        (Some("APPLICATION/EAT+CWT;eat_profile=urn:x-tamarack:eat:software-tee:1"), true),
        (Some(SOFTWARE_TEE_FORMAT), true),
    ];
    for (format, accepted) in cases {
        let result = world.appraise_as(format, &evidence);
        assert_eq!(result.is_ok(), accepted, "{format:?}");
        assert!(accepted || result.unwrap_err().code == codes::EVIDENCE_FORMAT);
    }
}

#[test]
fn e2_required_claims_are_required() {
    let world = World::new(Grade::Software);
    type Change = fn(&mut Claims);
    let changes: [Change; 11] = [
        |c| c.ueid = None,
        |c| c.oemid = None,
        |c| c.hwmodel = None,
        |c| c.hwversion = None,
        |c| c.manifests.clear(),
        |c| c.cnf = None,
        |c| c.eat_profile = None,
        |c| c.eat_profile = Some(Profile::Uri("urn:ietf:rfc:rfc9999".into())),
        |c| c.dbgstat = None,
        |c| c.platform = None,
        |c| c.platform.as_mut().unwrap().class = "trustzone".into(),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        assert_eq!(world.refused(change), codes::EAT_MALFORMED, "change {index}");
    }
}

#[test]
fn stale_evidence_is_refused() {
    let world = World::new(Grade::Software);
    assert_eq!(world.refused(|c| c.eat_nonce = alloc::vec![alloc::vec![8; 32]]), codes::EVIDENCE_STALE);
    assert_eq!(world.refused(|c| c.eat_nonce = alloc::vec![NONCE[..31].to_vec()]), codes::EVIDENCE_STALE);
    assert_eq!(world.refused(|c| c.eat_nonce.clear()), codes::EVIDENCE_STALE);
    assert_eq!(world.refused(|c| c.exp = Some(NOW)), codes::EVIDENCE_STALE);
    assert_eq!(world.refused(|c| c.eat_nonce.push(NONCE.to_vec())), codes::EAT_MALFORMED);
}

#[test]
fn evidence_for_another_teep_key_is_refused() {
    let world = World::new(Grade::Software);
    let other = make(&world.provider).public_key();
    let code = world.refused(|c| c.cnf = Some(Confirmation::Key(other)));
    assert_eq!(code, codes::EVIDENCE_KEY_BINDING);
    // The thumbprint of the right key is as good as the key.
    let mut claims = world.claims();
    claims.cnf = Some(Confirmation::Thumbprint(thumbprint(&world.teep_key, &world.provider).0));
    assert!(world.appraise(&world.evidence(&claims)).is_ok());
}

#[test]
fn debuggable_devices_are_refused() {
    let world = World::new(Grade::Software);
    let code = world.refused(|c| c.dbgstat = Some(DebugStatus::Enabled));
    assert_eq!(code, codes::EVIDENCE_POLICY);
}

#[test]
fn k4_only_a_chain_of_the_protected_header_to_a_tee_ca_counts() {
    let world = World::new(Grade::Software);
    let claims = world.claims();
    let key = world.attestation_key.as_ref();
    let stranger = authority(Role::Tee);
    let wrong_role = authority(Role::Tam);
    let other_key = make(&world.provider);
    let signed = |chain: &[Vec<u8>]| sign(&claims, key, chain).unwrap();
    let cases = [
        ("no chain", signed(&[])),
        ("another authority", signed(&issue(&stranger, key.public_key()))),
        ("an authority of TAMs", signed(&issue(&wrong_role, key.public_key()))),
        ("a chain for another key", signed(&issue(&world.authority, other_key.public_key()))),
        ("not a certificate", signed(&[alloc::vec![0x30, 0]])),
    ];
    for (what, evidence) in cases {
        let refusal = world.appraise(&evidence).expect_err(what);
        assert_eq!(refusal.code, codes::EVIDENCE_UNTRUSTED, "{what}: {refusal}");
    }
    let mut empty = World::new(Grade::Software);
    empty.policy.tee_cas.clear();
    assert_eq!(empty.appraise(&empty.evidence(&empty.claims())).unwrap_err().code, codes::EVIDENCE_UNTRUSTED);
}

#[test]
fn every_changed_bit_is_noticed() {
    let world = World::new(Grade::Software);
    let evidence = world.evidence(&world.claims());
    // The unprotected header is empty and the tag is not signed; every other bit counts.
    for at in (0..evidence.len() * 8).step_by(5) {
        let mut changed = evidence.clone();
        changed[at / 8] ^= 1 << (at % 8);
        assert!(world.appraise(&changed).is_err(), "bit {at}");
    }
}

#[test]
fn other_payloads_under_the_attestation_key_are_refused() {
    let world = World::new(Grade::Software);
    let options = SignOptions { x5chain: &world.chain, ..SignOptions::default() };
    for payload in [&[][..], &[0xa0], &[0x82, 5, 0xa0], &[0xff]] {
        let bytes = Sign1::sign(world.attestation_key.as_ref(), payload, &[], &options).unwrap();
        let refusal = world.appraise(&bytes).unwrap_err();
        assert_eq!(refusal.code, codes::EAT_MALFORMED, "{payload:?}: {refusal}");
    }
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), format in "[ -~]{0,90}") {
        let provider = provider();
        let policy = Policy::new(Vec::new(), Grade::None);
        let teep_key = tamarack_cose::KeyId([0; 32]);
        let expected = Expectations { nonce: &bytes, teep_key: Some(teep_key), now: NOW };
        for format in [None, Some(SOFTWARE_TEE_FORMAT), Some(format.as_str())] {
            for tag in [&[][..], &[0xd2, 0x84], &[0xd8, 0x3d, 0xd2, 0x84]] {
                let evidence = [tag, &bytes].concat();
                prop_assert!(appraise(format, &evidence, &expected, &policy, &provider).is_err());
                let _ = hints_unverified(format, &evidence);
            }
        }
    }
}
