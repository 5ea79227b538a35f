//! EARs: the claims-set, and what a relying party makes of any claims that a verifier signed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_attest::{Grade, ResultExpectations, ResultPolicy, Verifier, result};
use tamarack_cbor::{Decode, Encode};
use tamarack_cose::{Purpose, Sign1, SignOptions};
use tamarack_eat::ear::{Details, Ear, EarAppraisal, LIMITS, SignedEar, Tier, TrustVector, VerifierId};
use tamarack_fuzz::{NONCE, NOW, evidence_claims, key, provider, seeds, verification_key};

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
            debug: claims.dbgstat,
            ..Details::default()
        }),
        ..EarAppraisal::new(Tier::Affirming)
    };
    let ear = Ear {
        iat: NOW,
        exp: Some(NOW + 60),
        verifier: VerifierId { developer: "maker".into(), build: "1".into() },
        status: Some(Tier::Warning),
        eat_nonce: claims.eat_nonce,
        raw_evidence: None,
        cnf,
        submods: [("tee".into(), tee), ("ta:x".into(), EarAppraisal::new(Tier::Warning))].into(),
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
            if let Ok(appraisal) = accepted.appraisal(Grade::None) {
                assert!(appraisal.grade <= Grade::Software, "the grade is capped");
                assert_eq!(appraisal.result.status, Tier::Affirming);
            }
        }
    }
});
