//! EARs: the claims-set, and what a relying party makes of any claims that a verifier signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_attest::{Grade, ResultExpectations, ResultPolicy, Verifier, result};
use tamarack_cbor::{Decode, Encode};
use tamarack_corim::{Class, Digest, Environment, MeasuredElement, Measurement, MeasurementValues, Triple};
use tamarack_cose::{Purpose, Sign1, SignOptions};
use tamarack_eat::ear::{Details, Ear, EarAppraisal, LIMITS, SignedEar, Tier, TrustVector, VerifierId};
use tamarack_eat::{MeasuredComponent, MeasuredTa};
use tamarack_fuzz::{NONCE, NOW, evidence_claims, key, provider, seeds, verification_key, wallet};

/// What the device shows that it runs.
fn agent() -> Triple {
    let class = Class { model: Some("software-tee".into()), ..Class::default() };
    let values = MeasurementValues { digests: vec![Digest::sha256([4; 32])], ..MeasurementValues::default() };
    let element = Some(MeasuredElement::Text("urn:x-tamarack:agent".into()));
    let measurement = Measurement { element, values, authorized_by: Vec::new() };
    Triple { environment: Environment::of_class(class), measurements: vec![measurement] }
}

fn examples() -> Vec<Vec<u8>> {
    let claims = evidence_claims();
    let (cnf, platform) = (claims.cnf.clone(), claims.platform.clone());
    let tee = EarAppraisal {
        vector: Some(TrustVector {
            instance_identity: Some(2),
            executables: Some(3),
            ..TrustVector::default()
        }),
        policies: vec!["urn:x:policy".into()],
        eat_nonce: claims.eat_nonce.clone(),
        teep: Some(claims.clone()),
        details: Some(Details {
            device: Some([1; 32]),
            grade: Some("software".into()),
            reasons: vec!["released".into()],
            platform,
            code: Some(3111),
            shown: Some(agent().to_cbor()),
            debug: claims.dbgstat,
            ..Details::default()
        }),
        ..EarAppraisal::new(Tier::Affirming)
    };
    let measured = MeasuredTa {
        component: wallet("ta"),
        manifest: wallet("suit"),
        provider: "acme".into(),
        sequence: 1,
        digest: [3; 32],
        loaded: true,
    };
    let ta = EarAppraisal {
        details: Some(Details {
            reasons: vec!["unknown".into()],
            shown: Some(MeasuredComponent::from(&measured).to_cbor()),
            // [[name, "unknown"]]
            findings: Some([&[0x81, 0x82, 0x61, b'x', 0x67], &b"unknown"[..]].concat()),
            ..Details::default()
        }),
        ..EarAppraisal::new(Tier::Warning)
    };
    let ear = Ear {
        iat: NOW,
        exp: Some(NOW + 60),
        verifier: VerifierId { developer: "maker".into(), build: "1".into() },
        status: Some(Tier::Warning),
        eat_nonce: claims.eat_nonce,
        raw_evidence: None,
        cnf,
        submods: [("tee".into(), tee), (format!("ta:{}", measured.component), ta)].into(),
    };
    vec![ear.to_cbor(), ear.sign(&*key("verifier"), &provider()).expect("the key signs")]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    if let Ok(ear) = Ear::from_cbor(data, &LIMITS) {
        assert!(ear.status.is_none_or(|status| status >= ear.worst()), "better than its submodules");
        assert_eq!(Ear::from_cbor(&ear.to_cbor(), &LIMITS), Ok(ear));
    }
    let _ = SignedEar::parse(data).and_then(|signed| signed.unverified());
    let policy = ResultPolicy::new(vec![Verifier {
        name: "verifier".into(),
        keys: vec![verification_key("verifier", Purpose::AttestationResult)],
        scope: None,
        cap: Grade::Software,
    }]);
    let expected = ResultExpectations { nonce: Some(&NONCE), key: None, now: NOW };
    let signed = Sign1::sign(&*key("verifier"), data, &[], &SignOptions::default()).expect("the key signs");
    for bytes in [data, &signed] {
        let _ = result::hints_unverified(bytes);
        if let Ok(accepted) = policy.accept(bytes, &expected, &provider()) {
            assert_eq!(accepted.ear.eat_nonce, [NONCE.to_vec()], "a stale result");
            assert!(accepted.ear.iat.abs_diff(NOW) <= 300, "an old result");
            let tas = accepted.ear.submods.keys().filter(|name| name.starts_with("ta:")).count();
            if let Ok(appraisal) = accepted.appraisal(Grade::None) {
                assert_eq!(appraisal.tas.len(), tas, "a TA was stepped over");
                assert!(appraisal.grade <= Grade::Software, "the grade is capped");
                assert_eq!(appraisal.result.status, Tier::Affirming);
            }
        }
    }
});
