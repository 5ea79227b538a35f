//! The engine under a fake clock, against devices that sign real messages with real Evidence.

use alloc::boxed::Box;
use alloc::vec::Vec;

mod challenge;
mod encrypted;
mod evidence;
mod otrp;
mod outcome;
mod personal;
mod planning;
mod publish;
mod reference;
mod release;
mod request;
mod verifier;
mod world;

use tamarack_crypto::Sign;
use world::{Device, Frank, NOW, World};

use crate::Reply;
use tamarack_model::{Code, codes};
use tamarack_store::{Proof, SessionOutcome};
use tamarack_teep::ErrCode;

#[track_caller]
fn no_content(reply: &Reply) {
    assert!(matches!(reply, Reply::NoContent { .. }), "{reply:?}");
}

#[track_caller]
fn refused(reply: &Reply, status: u16, code: Code) {
    match reply {
        Reply::Refuse { status: s, code: c, event } => {
            assert_eq!((*s, *c, event.code), (status, code, Some(code)), "{event:?}");
        }
        other => panic!("{other:?}"),
    }
}

/// A signed Update that gives nothing but this error.
#[track_caller]
fn refused_by_update(world: &World, reply: &Reply, err_code: ErrCode, code: Code) {
    assert_eq!(reply.event().code, Some(code), "{reply:?}");
    let update = world.update(reply);
    assert_eq!(update.err_code, Some(err_code));
    assert!(update.err_msg.as_deref().is_some_and(|text| text.starts_with(&alloc::format!("{code}"))));
    assert!(
        update.manifest_list.is_empty() && update.unneeded_manifest_list.is_empty() && update.token.is_none()
    );
}

#[test]
fn an_empty_post_gets_a_query_request_of_every_suite_and_leaves_no_trace() {
    let world = World::new();
    let before = world.digest();
    let request = world.query_request();
    assert_eq!(request.signers().len(), 2);
    assert_eq!((world.digest(), world.store.time_persisted()), (before, 0));
}

#[test]
fn a_session_installs_confirms_and_ends() {
    let world = World::new();
    world.publish(1);
    let mut device = world.device();
    device.requested.push(world::id("acme/wallet/ta"));

    let reply = world.query(&device);
    let update = world.update(&reply);
    assert_eq!(update.manifest_list.len(), 1);
    assert_eq!(update.agent_nonce, Some(device.agent_nonce), "c6: the Update echoes the Agent's nonce");
    let token = update.token.clone().unwrap();
    let row = world.row(&device);
    assert_eq!(row.attested.as_ref().map(|held| held.proof), Some(Proof::Evidence));

    let reply =
        world.post(&device.success(&token, &[device.report(&update.manifest_list[0], Some(&token), true)]));
    no_content(&reply);
    let session = world.session(&reply);
    assert_eq!((session.outcome, session.ended), (Some(SessionOutcome::Updated), Some(NOW)));
    let row = world.row(&device);
    let reported = row.reported.unwrap();
    assert_eq!(reported.proof, Proof::Report);
    assert!(reported.entries.iter().any(|entry| entry.id == world::id("acme/wallet/ta")));

    device.install(&update.manifest_list[0]);
    let reply = world.query(&device);
    no_content(&reply);
    assert_eq!(world.session(&reply).outcome, Some(SessionOutcome::NothingToDo));
}

#[test]
fn e4_success_makes_reported_and_only_evidence_makes_attested() {
    let world = World::new();
    world.publish(1);
    let mut device = world.device();
    device.requested.push(world::id("acme/wallet/ta"));
    let holds = |held: &Option<tamarack_store::Held>| {
        held.as_ref().is_some_and(|held| held.entries.iter().any(|e| e.id == world::id("acme/wallet/suit")))
    };
    let update = world.update(&world.query(&device));
    let token = update.token.unwrap();
    no_content(&world.post(&device.success(&token, &[])));
    let row = world.row(&device);
    assert!(holds(&row.reported) && !holds(&row.attested));
    assert_eq!(row.reported.unwrap().proof, Proof::Unconfirmed, "a Success without report is unconfirmed");

    device.install(&update.manifest_list[0]);
    no_content(&world.query(&device));
    assert!(holds(&world.row(&device).attested));
}

#[test]
fn garbage_is_refused_with_a_status_and_leaves_no_trace() {
    let world = World::new();
    let device = world.device();
    let request = world.query_request();
    let good = device.response(&request);
    let before = world.digest();
    let unsigned = tamarack_teep::Message::QueryResponse(device.query_response(&[0; 32])).to_cbor();
    let mut truncated = good.clone();
    truncated.pop();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let from_a_tam = match world.connect() {
        Reply::Transmit { message, .. } => message,
        other => panic!("{other:?}"),
    };
    let cases: [(&[u8], Code); 6] = [
        (b"{}", codes::COSE_MALFORMED),
        (&unsigned, codes::COSE_MALFORMED),
        (&truncated, codes::COSE_MALFORMED),
        (&flipped, codes::COSE_SIGNATURE),
        (&[0xd2, 0x84, 0x40, 0xa0, 0x41, 0x00, 0x41, 0x00], codes::TEEP_MALFORMED),
        (&from_a_tam, codes::TEEP_UNEXPECTED),
    ];
    for (body, code) in cases {
        refused(&world.post(body), 400, code);
    }
    refused(&world.post(&alloc::vec![0; (1 << 20) + 1]), 413, codes::HTTP_TOO_LARGE);
    let other = tamarack_store::TenantId::new("nobody").unwrap();
    refused(&world.tam.respond(NOW, &world.store, other, &[]), 404, codes::API_NOT_FOUND);
    assert_eq!((world.digest(), world.store.time_persisted()), (before, 0));
    // None of it has used the challenge up.
    no_content(&world.post(&good));
}

#[test]
fn every_flipped_byte_of_a_query_response_is_refused() {
    let world = World::new();
    let device = world.device();
    let good = device.response(&world.query_request());
    let before = world.digest();
    // Tag, array, protected header of 3 bytes and the map's head stand before the label of kid, which is a hint in the
    // unprotected header: whatever it is changed to, the message means the same.
    const KID_LABEL: usize = 7;
    for at in (0..good.len()).filter(|at| *at != KID_LABEL) {
        let mut bytes = good.clone();
        bytes[at] ^= 0x01;
        let reply = world.post(&bytes);
        let event = reply.event();
        assert!(event.code.is_some() && event.device.is_none(), "byte {at}: {reply:?}");
    }
    assert_eq!(world.digest(), before);
}

#[test]
fn a_device_that_proved_itself_with_either_suite_is_answered_in_it() {
    let world = World::new();
    world.publish(1);
    for key_type in [tamarack_crypto::KeyType::P256, tamarack_crypto::KeyType::Ed25519] {
        let mut device = world.device_with(key_type);
        device.requested.push(world::id("acme/wallet/ta"));
        let reply = world.query(&device);
        let Reply::Transmit { message, .. } = &reply else { panic!("{reply:?}") };
        let parsed = tamarack_teep::SignedMessage::parse(message, &tamarack_cbor::Limits::default()).unwrap();
        assert_eq!(parsed.cipher_suite(), Some(tamarack_teep::CipherSuite::of(key_type)));
    }
}

/// A key that is not in the world.
fn stranger() -> Box<dyn Sign> {
    world::key(tamarack_crypto::KeyType::Ed25519)
}

/// Applies `change` to a copy.
fn with<T: Clone>(value: &T, change: impl FnOnce(&mut T)) -> T {
    let mut copy = value.clone();
    change(&mut copy);
    copy
}
