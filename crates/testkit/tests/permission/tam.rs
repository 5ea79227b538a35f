//! Signed objects that the TAM judges: Evidence, the certificates under it, reference values.

use tamarack_attest::{
    Expectations, Grade, ResultExpectations, ResultPolicy, Verifier, assess, hints_unverified,
};
use tamarack_cose::{Purpose, VerificationKey, thumbprint};
use tamarack_crypto::Sign;
use tamarack_eat::ear::VerifierId;
use tamarack_model::permission::{Action, Place, Role};
use tamarack_store::TenantId;
use tamarack_teep::Message;
use tamarack_x509::Role as CertificateRole;

use crate::device::{certifier, key, read};
use crate::matrix::Observed;
use crate::pair::{NOW, Pair, policy};
use crate::rest::corim;

pub fn try_all(observed: &mut Observed) {
    for action in Action::ALL.iter().copied().filter(|action| action.place() == Place::Tam) {
        for role in Role::ALL {
            observed.note_whether(action, role, attempt(role, action));
        }
    }
}

fn attempt(role: Role, action: Action) -> bool {
    let mut pair = Pair::new();
    pair.publish(1, 1);
    let number = 100 + role as u8;
    match action {
        Action::EvidenceSign => {
            // The certificates of a device that the TAM would take, over Evidence by a key of one's own.
            let chain = pair.chain_of_the_device();
            pair.pose(number, chain);
            pair.request();
            assert_eq!(pair.device().is_some(), pair.installed().is_some());
            pair.installed().is_some()
        }
        Action::DeviceCertify => {
            let (authority, kind) = certifier(role, &pair, CertificateRole::Tee, "TEE CA");
            let chain = pair.certify(number, &authority, kind);
            pair.pose(number, chain);
            pair.request();
            pair.installed().is_some()
        }
        Action::ReferenceSign => {
            let signed = corim(&*key(role), 1);
            pair.tam.add_reference(&pair.store, &TenantId::default(), &signed, NOW).is_ok()
        }
        Action::ResultSign => result(&mut pair, &*key(role)),
        other => panic!("{} is not the TAM's to judge", other.id()),
    }
}

/// The result that appraisal of the device's own Evidence comes to, signed by this key, shown to who believes the verifier.
fn result(pair: &mut Pair, signer: &dyn Sign) -> bool {
    let crypto = tamarack_crypto_aws_lc::provider();
    pair.request();
    let response = pair.sent.iter().find_map(|message| match read(message) {
        Some(Message::QueryResponse(response)) => Some(response),
        _ => None,
    });
    let response = response.expect("a QueryResponse");
    let (format, evidence) = (response.attestation_payload_format, response.attestation_payload.unwrap());
    let hints = hints_unverified(format.as_deref(), &evidence).unwrap();
    let teep_key = hints.teep_key.map(|key| thumbprint(&key, &crypto));
    let expected = Expectations { nonce: &hints.nonce, teep_key, now: NOW };
    let assessment = assess(format.as_deref(), &evidence, &expected, &policy(&[&pair.pki]), &crypto);
    let verifier = VerifierId { developer: "a verifier".into(), build: "1".into() };
    let signed = assessment.ear(verifier, NOW, 600).expect("genuine Evidence").sign(signer, &crypto).unwrap();
    let known = key(Role::Verifier).public_key();
    let believed = ResultPolicy::new(vec![Verifier {
        name: "a verifier".into(),
        keys: vec![VerificationKey::new(known, Purpose::AttestationResult, &crypto)],
        scope: None,
        cap: Grade::Software,
    }]);
    let expected = ResultExpectations { nonce: Some(&hints.nonce), key: teep_key, now: NOW };
    believed.accept(&signed, &expected, &crypto).is_ok()
}
