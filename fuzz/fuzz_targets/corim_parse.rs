//! CoRIMs, signed and not, and sets of reference values that anybody may try to add to.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_attest::{Grade, ProviderRole, ReferenceProvider, References};
use tamarack_cbor::Encode;
use tamarack_corim::{
    AttestKeys, Class, ClassId, Comid, Corim, CryptoKey, Digest, Environment, Id, LIMITS, MeasuredElement,
    Measurement, MeasurementValues, SignedCorim, Signer, Svn, Triple, Validity,
};
use tamarack_cose::Purpose;
use tamarack_fuzz::{NOW, key, limits, provider, seeds, verification_key};

fn environment() -> Environment {
    Environment::of_class(Class { class_id: Some(ClassId::Uuid([2; 16])), ..Class::default() })
}

fn corim() -> Corim {
    let values = MeasurementValues {
        digests: vec![Digest::sha256([4; 32])],
        svn: Some(Svn::Exact(3)),
        ..MeasurementValues::default()
    };
    let element = Some(MeasuredElement::Text("urn:x-tamarack:agent".into()));
    let measurement = Measurement { element, values, authorized_by: Vec::new() };
    let mut tag = Comid::new(Id::Text("tag".into()), 1);
    tag.reference_values = vec![Triple { environment: environment(), measurements: vec![measurement] }];
    tag.attest_keys = vec![AttestKeys {
        environment: environment(),
        keys: vec![CryptoKey::new(&key("attestation").public_key())],
        element: None,
        authorized_by: Vec::new(),
    }];
    Corim {
        validity: Some(Validity { not_before: None, not_after: NOW }),
        ..Corim::new(Id::Uuid([1; 16]), tag)
    }
}

fn references() -> References {
    References::new(vec![ReferenceProvider {
        name: "maker".into(),
        role: ProviderRole::Maker,
        keys: vec![verification_key("maker", Purpose::ReferenceValues)],
        scope: vec![environment()],
        elements: None,
        cap: Grade::Hardware,
    }])
}

fn sign(corim: &Corim) -> Vec<u8> {
    tamarack_corim::sign(corim, &Signer::new("maker"), &*key("maker"), None).expect("what was read is signed")
}

fn examples() -> Vec<Vec<u8>> {
    vec![corim().to_cbor(), sign(&corim())]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    if let Ok(signed) = SignedCorim::parse(data, &limits()) {
        let _ = (signed.kid(), signed.signer_unverified(), signed.unverified());
        let _ = signed.verify(&[verification_key("maker", Purpose::ReferenceValues)], &provider());
    }
    let mut set = references();
    let _ = set.add(data, NOW, &provider());
    if let Ok(corim) = Corim::parse_unsigned(data, &LIMITS) {
        assert_eq!(Corim::parse_unsigned(&corim.to_cbor(), &LIMITS), Ok(corim.clone()));
        if corim.to_cbor().len() < LIMITS.bytes / 2 && set.add(&sign(&corim), NOW, &provider()).is_ok() {
            let shown = Triple { environment: environment(), measurements: Vec::new() };
            let _ = (set.compare(&shown, NOW), set.endorsed(&environment(), NOW), set.attest_keys(&environment(), NOW));
            let again = set.add(&sign(&corim), NOW, &provider()).expect("the same again");
            assert!(again.known);
        }
    }
});
