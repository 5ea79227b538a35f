use alloc::string::ToString;

use tamarack_crypto::KeyType;
use tamarack_eat::Confirmation;
use tamarack_store::{Read, StoreOp, TenantId};
use tamarack_teep::{Message, SignedMessage};
use tamarack_x509::Role;

use super::world::{authority, challenge, key, sign_with};
use super::*;

/// Evidence of `device` with changed claims in an otherwise honest QueryResponse.
fn with_claims(
    device: &Device,
    request: &SignedMessage,
    change: impl FnOnce(&mut tamarack_eat::Claims),
) -> Vec<u8> {
    let challenge = challenge(request);
    let mut message = device.query_response(&challenge);
    let mut claims = device.claims(&challenge);
    change(&mut claims);
    message.attestation_payload = Some(device.evidence(&claims));
    device.sign(Message::QueryResponse(message))
}

#[test]
fn unattested_devices_get_error_7_and_no_manifest() {
    let world = World::new();
    world.publish(1);
    world.apply([StoreOp::SetPolicy(tamarack_store::Policy {
        tenant: TenantId::default(),
        component: world::id("acme/wallet/ta"),
        since: NOW,
    })]);
    let device = world.device();
    let before = world.digest();
    let request = world.query_request();
    let other_key = stranger();
    let cases = [
        (
            "key not under the TEE CA",
            Device::new(&authority(Role::Tee), KeyType::P256).response(&request),
            codes::EVIDENCE_UNTRUSTED,
        ),
        (
            "k4: a certificate of another role",
            Device::new(&authority(Role::Tam), KeyType::P256).response(&request),
            codes::EVIDENCE_UNTRUSTED,
        ),
        (
            "stale nonce",
            with_claims(&device, &request, |c| c.eat_nonce = alloc::vec![alloc::vec![1; 32]]),
            codes::EVIDENCE_STALE,
        ),
        (
            "cnf of another key",
            with_claims(&device, &request, |c| c.cnf = Some(Confirmation::Key(other_key.public_key()))),
            codes::EVIDENCE_KEY_BINDING,
        ),
        (
            "Evidence of another device, stolen",
            sign_with(
                other_key.as_ref(),
                Message::QueryResponse(device.query_response(&challenge(&request))),
            ),
            codes::EVIDENCE_KEY_BINDING,
        ),
        ("e1: a missing layer", with_claims(&device, &request, drop_layers), codes::EVIDENCE_POLICY),
        (
            "another format",
            device.sign(Message::QueryResponse(with(&device.query_response(&challenge(&request)), |m| {
                m.attestation_payload_format = Some("application/psa-attestation-token".into());
            }))),
            codes::EVIDENCE_FORMAT,
        ),
    ];
    for (what, body, code) in cases {
        let reply = world.post(&body);
        assert_eq!(reply.event().code, Some(code), "{what}: {reply:?}");
        refused_by_update(&world, &reply, ErrCode::AttestationRequired, code);
        assert_eq!(world.update(&reply).agent_nonce, Some(device.agent_nonce), "{what}");
    }
    assert_eq!((world.digest(), world.store.time_persisted()), (before, 0));
    // The same device, honest, gets its manifest.
    assert_eq!(world.update(&world.post(&device.response(&request))).manifest_list.len(), 1);
}

fn drop_layers(claims: &mut tamarack_eat::Claims) {
    claims.platform.as_mut().unwrap().layers = 0;
}

#[test]
fn e1_the_grade_is_capped_by_the_tee_ca() {
    let mut world = World::new();
    world.tam.config.evidence.minimum = tamarack_attest::Grade::Hardware;
    world.tam.config.evidence.tee_cas[0].cap = tamarack_attest::Grade::Hardware;
    let reply = world.query(&world.device());
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_POLICY);
    world.tam.config.evidence.minimum = tamarack_attest::Grade::Software;
    let device = world.device();
    no_content(&world.query(&device));
    assert_eq!(world.row(&device).grade, "software");
    assert!(
        world.row(&device).claims.iter().any(|(name, value)| name == "layers" && value.contains("seccomp"))
    );
}

#[test]
fn k4_no_key_of_a_chain_is_used_before_the_chain_holds() {
    let world = World::new();
    let device = world.device();
    // An attestation key with a chain that is somebody else's, and one without any.
    let mut without = world.device();
    without.chain.clear();
    let mut foreign = world.device();
    foreign.chain = device.chain.clone();
    for device in [without, foreign] {
        let reply = world.query(&device);
        refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_UNTRUSTED);
    }
}

#[test]
fn k5_a_key_signs_only_what_it_is_for() {
    let world = World::new();
    let mut device = world.device();
    let request = world.query_request();
    // The attestation key signs the TEEP message.
    let message = Message::QueryResponse(device.query_response(&challenge(&request)));
    let reply = world.post(&sign_with(device.attestation_key.as_ref(), message));
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_KEY_BINDING);
    // The TEEP key signs the Evidence, under the attestation key's certificate.
    device.attestation_key = key(KeyType::P256);
    let reply = world.post(&device.response(&request));
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_UNTRUSTED);
    // The manifest signer of a provider answers for a device.
    world.publish(1);
    let mut device = world.device();
    device.requested.push(world::id("acme/wallet/ta"));
    let token = world.update(&world.query(&device)).token.unwrap();
    let success = tamarack_teep::Success { token: Some(token), msg: None, suit_reports: Vec::new() };
    let reply = world.post(&sign_with(world.signer.as_ref(), Message::Success(success)));
    refused(&reply, 400, codes::COSE_KEY_UNKNOWN);
}

#[test]
fn r9_a_state_that_falls_or_forks_is_quarantined() {
    for (what, epoch, root) in [("fell", 4, [4; 32]), ("forked", 5, [9; 32])] {
        let world = World::new();
        world.publish(1);
        let mut device = world.device();
        no_content(&world.query(&device));
        let attested = world.row(&device).attested;

        (device.epoch, device.root) = (epoch, root);
        device.requested.push(world::id("acme/wallet/ta"));
        let reply = world.query(&device);
        refused_by_update(&world, &reply, ErrCode::PermanentError, codes::EVIDENCE_ROLLED_BACK);
        let row = world.row(&device);
        assert!(
            row.quarantine.as_deref().is_some_and(|reason| reason.contains(what)),
            "{:?}",
            row.quarantine
        );
        assert_eq!((row.state.unwrap().epoch, row.attested), (5, attested), "{what}");
        let session = world.session(&reply);
        assert_eq!(
            (session.outcome, session.code),
            (Some(SessionOutcome::Refused), Some(codes::EVIDENCE_ROLLED_BACK))
        );

        // It stays there, whatever it shows, until an operator releases it.
        (device.epoch, device.root) = (50, [50; 32]);
        let reply = world.query(&device);
        refused_by_update(&world, &reply, ErrCode::PermanentError, codes::DEVICE_QUARANTINED);
        world.apply([StoreOp::ReleaseDevice {
            tenant: TenantId::default(),
            device: device.id(&world.crypto),
        }]);
        assert_eq!(world.update(&world.query(&device)).manifest_list.len(), 1);
    }
}

#[test]
fn r9_a_state_that_rises_or_stays_is_fine() {
    let world = World::new();
    let mut device = world.device();
    for (epoch, root) in [(5, [5; 32]), (5, [5; 32]), (6, [6; 32]), (9, [6; 32])] {
        (device.epoch, device.root) = (epoch, root);
        no_content(&world.query(&device));
        assert_eq!(world.row(&device).state.unwrap().epoch, epoch);
    }
    device.epoch = u64::MAX;
    let reply = world.query(&device);
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EAT_MALFORMED);
}

#[test]
fn a_teep_key_belongs_to_one_device() {
    let world = World::new();
    let (a, mut b) = (world.device(), world.device());
    no_content(&world.query(&a));
    b.teep_key = a.teep_key;
    let reply = world.query(&b);
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_KEY_BINDING);
}

#[test]
fn a_device_may_renew_its_teep_key_by_evidence() {
    let world = World::new();
    let mut device = world.device();
    no_content(&world.query(&device));
    let old = world.row(&device).teep.unwrap().id;
    device.teep_key = key(KeyType::P256);
    no_content(&world.query(&device));
    assert_ne!(world.row(&device).teep.unwrap().id, old);
    assert_eq!(world.store.device_by_teep_key(&TenantId::default(), &old).unwrap(), None);
    assert_eq!(world.row(&device).id.to_string().len(), 64);
}
