use alloc::format;
use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use proptest::prelude::*;
use tamarack_cbor::Encode;
use tamarack_corim::{Class, ClassId, Environment};
use tamarack_cose::thumbprint;
use tamarack_crypto::PublicKey;
use tamarack_crypto_rustcrypto::provider;
use tamarack_eat::ear::{Tier, VerifierId, claim};
use tamarack_eat::{
    Claims, Confirmation, MeasuredComponent, MeasuredTa, Measurement, SOFTWARE_TEE_FORMAT, TA_FORMAT,
    TaClaims, TaIdentity,
};
use tamarack_model::{Code, ComponentId, codes};

use crate::reference::tests::{other_released, released, released_with_ta};
use crate::release::{MOST_ENTRIES, Shown};
use crate::tests::{NONCE, NOW, World, make};
use crate::{
    Assessment, Expectations, Grade, References, Refusal, appraise, assess, hints_unverified, result,
};

const NOT_ASKED: [u8; 16] = [8; 16];

fn component(name: &str) -> ComponentId {
    ComponentId::new(vec![b"bank.example".to_vec(), vec![3; 16], name.as_bytes().to_vec()]).unwrap()
}

pub(crate) fn measured(name: &str, digest: [u8; 32]) -> MeasuredTa {
    MeasuredTa {
        component: component(name),
        manifest: component("suit"),
        provider: "bank".into(),
        sequence: 4,
        digest,
        loaded: true,
    }
}

fn environment(vendor: &str) -> Environment {
    Environment::of_class(Class {
        class_id: Some(ClassId::Uuid([3; 16])),
        vendor: Some(vendor.into()),
        model: Some(super::MODEL.into()),
        ..Class::default()
    })
}

/// What a signer may speak of: all TAs of one domain.
fn scope() -> Environment {
    let class = environment("bank.example").class.map(|class| Class { class_id: None, ..class });
    Environment { class, ..Environment::default() }
}

/// The platform's release, and the TA "ta" with this digest.
pub(crate) fn with_ta(digest: [u8; 32]) -> References {
    let name = component("ta").to_string();
    released_with_ta(scope(), environment("bank.example"), &name, digest).unwrap()
}

fn world(references: impl Into<Option<References>>) -> World {
    let mut world = World::new(Grade::Software);
    world.policy.references = references.into().map(Into::into);
    world
}

impl World {
    /// Platform Evidence with these TAs among the measurements.
    pub(crate) fn measuring(&self, tas: &[MeasuredTa]) -> Vec<u8> {
        let measurements = tas.iter().map(|ta| Measurement::Component(MeasuredComponent::from(ta))).collect();
        self.evidence(&Claims { measurements, ..self.claims() })
    }

    fn assess_as(&self, format: &str, nonce: &[u8], key: bool, evidence: &[u8]) -> Assessment {
        let teep_key = key.then(|| thumbprint(&self.teep_key, &provider()));
        let expected = Expectations { nonce, teep_key, now: NOW };
        assess(Some(format), evidence, &expected, &self.policy, &provider())
    }

    fn platform(&self, evidence: &[u8]) -> Assessment {
        self.assess_as(SOFTWARE_TEE_FORMAT, &NONCE, true, evidence)
    }

    fn ta_claims(&self, key: Option<PublicKey>) -> TaClaims {
        let MeasuredTa { component, manifest, provider, sequence, digest, .. } = measured("ta", [5; 32]);
        let domain = b"bank.example".to_vec();
        let identity = TaIdentity { manifest, digest, sequence, domain, component, provider };
        TaClaims { nonce: NONCE.to_vec(), key, identity }
    }

    fn prove(&self, ta: &TaClaims) -> Vec<u8> {
        self.evidence(&TaClaims::embed(&ta.to_cbor(), self.claims(), &provider()))
    }

    fn ta(&self, evidence: &[u8]) -> Assessment {
        self.assess_as(TA_FORMAT, &NONCE, false, evidence)
    }
}

fn code(assessment: Assessment) -> Option<Code> {
    assessment.outcome.err().map(|Refusal { code, reason }| {
        assert!(!reason.is_empty());
        code
    })
}

#[test]
fn each_measured_ta_is_appraised_apart() {
    for (references, tee, ta, executables, code) in [
        (None, Tier::None, Tier::None, None, codes::EVIDENCE_POLICY),
        (Some(released()), Tier::Affirming, Tier::Warning, Some(33), codes::MEASUREMENT_UNKNOWN),
        (
            Some(with_ta([9; 32])),
            Tier::Affirming,
            Tier::Contraindicated,
            Some(96),
            codes::MEASUREMENT_MISMATCH,
        ),
        // A TEE that is not what was released measures whatever it likes.
        (Some(other_released()), Tier::Contraindicated, Tier::Warning, Some(33), codes::MEASUREMENT_UNKNOWN),
    ] {
        let world = world(references);
        let assessment = world.platform(&world.measuring(&[measured("ta", [5; 32])]));
        assert_eq!(assessment.result.status, tee);
        let [found] = &assessment.tas[..] else { panic!("{:?}", assessment.tas) };
        assert_eq!((found.result.status, found.result.vector.executables), (ta, executables));
        assert_eq!(found.refusal().unwrap().code, code);
        // No TA pulls its device down.
        assert_eq!(assessment.outcome.is_ok(), tee != Tier::Contraindicated);
    }
    let world = world(with_ta([5; 32]));
    let tas = [measured("ta", [5; 32]), measured("other", [6; 32])];
    let appraisal = world.platform(&world.measuring(&tas)).outcome.unwrap();
    let statuses: Vec<Tier> = appraisal.tas.iter().map(|ta| ta.result.status).collect();
    assert_eq!(statuses, [Tier::Affirming, Tier::Warning]);
    assert_eq!(appraisal.tas[0].refusal(), None);
    assert!(appraisal.tas[0].result.reasons.iter().any(|reason| reason.contains("says Bank")));
}

#[test]
fn what_a_policy_is_not_shown_is_no_worse_than_what_it_is() {
    let world = world(with_ta([9; 32]));
    let mut tas: Vec<MeasuredTa> =
        (0..MOST_ENTRIES).map(|number| measured(&format!("{number}"), [6; 32])).collect();
    // The last one is none of those that were released.
    tas.push(measured("ta", [5; 32]));
    let appraisal = world.platform(&world.measuring(&tas)).outcome.unwrap();
    let shown = Shown::of(&appraisal, Some(SOFTWARE_TEE_FORMAT), NOW);
    let statuses: Vec<Tier> = shown.submodules.iter().map(|submodule| submodule.status).collect();
    assert_eq!((statuses.len(), shown.cut), (MOST_ENTRIES, true));
    assert_eq!(statuses[..2], [Tier::Contraindicated, Tier::Warning]);
    assert_eq!(shown.submodules[0].name, component("ta").to_string());
}

#[test]
fn a_tee_that_is_not_affirmed_affirms_no_ta() {
    let name = component("ta").to_string();
    let mut world = world(with_ta([5; 32]));
    let references = released_with_ta(scope(), environment("bank.example"), &name, [5; 32]).unwrap();
    world.policy.references = Some(references.into());
    let mut claims = world.claims();
    claims.manifests = vec![tamarack_eat::Manifest::sha256("urn:x-tamarack:agent", [1; 32])];
    claims.measurements = vec![Measurement::Component(MeasuredComponent::from(&measured("ta", [5; 32])))];
    let assessment = world.platform(&world.evidence(&claims));
    assert_eq!(assessment.result.status, Tier::Contraindicated);
    let result = &assessment.tas[0].result;
    assert_eq!(result.vector.executables, Some(claim::APPROVED_BOOT), "its digest is a released one");
    assert_eq!(result.status, Tier::None);
    assert!(result.reasons.iter().any(|reason| reason.contains("contraindicated")), "{:?}", result.reasons);
}

#[test]
fn signers_of_tas_keep_to_their_domains() {
    let name = component("ta").to_string();
    let refused = released_with_ta(scope(), environment("shop.example"), &name, [5; 32]).unwrap_err();
    assert_eq!(refused.code, codes::REFERENCE_SCOPE);
    // What is released for another domain says nothing about this one.
    let shop = environment("shop.example");
    let world = world(released_with_ta(shop.clone(), shop, &name, [5; 32]).unwrap());
    let assessment = world.platform(&world.measuring(&[measured("ta", [5; 32])]));
    assert_eq!(assessment.tas[0].result.status, Tier::Warning);
}

#[test]
fn measurements_that_are_no_tas_are_refused() {
    let world = world(None);
    let ta = measured("ta", [5; 32]);
    assert_eq!(code(world.platform(&world.measuring(&[ta.clone(), ta.clone()]))), Some(codes::EAT_MALFORMED));
    let other = |measurement| world.evidence(&Claims { measurements: vec![measurement], ..world.claims() });
    let odd = MeasuredComponent { flags: None, ..MeasuredComponent::from(&ta) };
    for measurement in [Measurement::Component(odd), Measurement::Other { format: 60, body: vec![0xa0] }] {
        assert_eq!(code(world.platform(&other(measurement))), Some(codes::EAT_MALFORMED));
    }
}

#[test]
fn l4_a_ta_proves_itself_with_nonce_and_key() {
    let world = world(with_ta([5; 32]));
    let key = make(&provider()).public_key();
    let evidence = world.prove(&world.ta_claims(Some(key)));
    let hints = hints_unverified(Some(TA_FORMAT), &evidence).unwrap();
    assert_eq!((&hints.nonce[..], hints.teep_key), (&NONCE[..], None));
    let assessment = world.ta(&evidence);
    let ear = assessment.ear(VerifierId { developer: "v".into(), build: "1".into() }, NOW, 60).unwrap();
    let appraisal = assessment.outcome.unwrap();
    let [ta] = &appraisal.tas[..] else { panic!("{:?}", appraisal.tas) };
    assert_eq!(ta.shown.measured, measured("ta", [5; 32]));
    assert_eq!(ta.shown.proof.as_ref().unwrap().key, Some(key));
    assert_eq!(ta.result.status, Tier::Affirming);
    // The EAR says it to the relying party: whose key, for which nonce.
    assert_eq!(ear.status, Some(Tier::Affirming));
    assert_eq!(ear.eat_nonce, [NONCE.to_vec()]);
    assert_eq!(ear.cnf, None, "no device's key");
    assert_eq!(ear.submods[result::TA].cnf, Some(Confirmation::Key(key)));
    assert_eq!(ear.submods[result::TA].eat_nonce, [NONCE.to_vec()]);
    assert_eq!(ear.submods[result::TEE].status, Tier::Affirming);
}

#[test]
fn ta_evidence_is_refused_for_what_the_ta_is() {
    for (references, expected) in [
        (with_ta([9; 32]), codes::MEASUREMENT_MISMATCH),
        (released(), codes::MEASUREMENT_UNKNOWN),
        (other_released(), codes::MEASUREMENT_MISMATCH),
    ] {
        let world = world(references);
        let assessment = world.ta(&world.prove(&world.ta_claims(None)));
        assert!(assessment.genuine.is_some(), "it is genuine all the same");
        assert_eq!(code(assessment), Some(expected));
    }
    let world = world(with_ta([5; 32]));
    let good = world.ta_claims(None);
    assert_eq!(code(world.ta(&world.prove(&good))), None);
    let other = TaClaims { nonce: NOT_ASKED.to_vec(), ..good.clone() };
    assert_eq!(code(world.ta(&world.prove(&other))), Some(codes::EVIDENCE_STALE), "another nonce");
    let stranger = self::world(with_ta([5; 32]));
    assert_eq!(code(world.ta(&stranger.prove(&good))), Some(codes::EVIDENCE_UNTRUSTED), "another TEE CA");
    // The submodule is not what the TEE's nonce covers.
    let mut claims = TaClaims::embed(&good.to_cbor(), world.claims(), &provider());
    claims.eat_nonce = vec![NONCE.to_vec()];
    assert_eq!(code(world.ta(&world.evidence(&claims))), Some(codes::EVIDENCE_STALE));
    claims.submods.clear();
    assert_eq!(code(world.ta(&world.evidence(&claims))), Some(codes::EAT_MALFORMED), "no submodule");
    let mut old = TaClaims::embed(&good.to_cbor(), world.claims(), &provider());
    old.exp = Some(NOW);
    assert_eq!(code(world.ta(&world.evidence(&old))), Some(codes::EVIDENCE_STALE), "over");
    let mut weak = TaClaims::embed(&good.to_cbor(), world.claims(), &provider());
    weak.platform.as_mut().unwrap().layers = 0;
    assert_eq!(code(world.ta(&world.evidence(&weak))), Some(codes::EVIDENCE_POLICY), "no isolation");
}

/// Neither kind of Evidence passes for the other, whatever the header around it says.
#[test]
fn l4_ta_evidence_never_stands_for_a_device() {
    let world = world(with_ta([5; 32]));
    let ta = world.prove(&world.ta_claims(Some(world.teep_key)));
    assert_eq!(code(world.assess_as(TA_FORMAT, &NONCE, true, &ta)), Some(codes::EVIDENCE_KEY_BINDING));
    for key in [true, false] {
        assert_eq!(code(world.assess_as(SOFTWARE_TEE_FORMAT, &NONCE, key, &ta)), Some(codes::EAT_MALFORMED));
    }
    let platform = world.evidence(&world.claims());
    assert_eq!(code(world.ta(&platform)), Some(codes::EAT_MALFORMED));
    assert_eq!(hints_unverified(Some(TA_FORMAT), &platform).unwrap_err().code, codes::EAT_MALFORMED);
}

#[test]
fn platform_evidence_says_its_key_to_who_does_not_know_it() {
    let world = world(released());
    let evidence = world.evidence(&world.claims());
    let assessment = world.assess_as(SOFTWARE_TEE_FORMAT, &NONCE, false, &evidence);
    let ear = assessment.ear(VerifierId { developer: "v".into(), build: "1".into() }, NOW, 60).unwrap();
    assert_eq!(ear.cnf, Some(Confirmation::Key(world.teep_key)));
    assert_eq!(ear.exp, Some(NOW + 60));
    assert!(assessment.outcome.is_ok());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let world = World::new(Grade::Software);
        let expected = Expectations { nonce: &NONCE, teep_key: None, now: NOW };
        prop_assert!(appraise(Some(TA_FORMAT), &bytes, &expected, &world.policy, &provider()).is_err());
        // Genuine around anything.
        let evidence = world.evidence(&TaClaims::embed(&[0x80], world.claims(), &provider()));
        prop_assert!(appraise(Some(TA_FORMAT), &evidence, &expected, &world.policy, &provider()).is_err(), "{}", format!("{bytes:?}"));
    }
}
