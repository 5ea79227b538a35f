use tamarack_store::{Read, Store, StoreOp, TenantId};
use tamarack_teep::{DataItems, Message};

use super::world::{challenge, challenge_key, sign_with};
use super::*;
use crate::challenge::{Challenge, Question};
use crate::{Input, Output};

#[test]
fn c1_a_challenge_is_valid_only_as_it_was_made() {
    let mut world = World::new();
    let (question, tenant) = (Question::Evidence(DataItems::ATTESTATION), TenantId::default());
    let config = &world.tam.config;
    let made = Challenge::issue(config, &tenant, question, NOW, [9; 10], &world.crypto);
    let verify = |bytes: &[u8]| Challenge::verify(config, &tenant, bytes, NOW, &world.crypto);
    let read = verify(&made).unwrap();
    assert_eq!((read.question, read.expires, &read.id[..]), (question, NOW + 300, &made[..16]));
    for bit in 0..made.len() * 8 {
        let mut changed = made;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&changed).is_err(), "bit {bit}");
    }
    assert!(verify(&made[..31]).is_err());
    let at = |now| Challenge::verify(config, &tenant, &made, now, &world.crypto).is_ok();
    assert!(at(NOW + 300) && !at(NOW + 301), "it expires");
    assert!(at(NOW - 60) && !at(NOW - 61), "it is not from the future, but for the skew of another instance");

    // Bound to the tenant, the replay group and the key.
    let other = TenantId::new("other").unwrap();
    assert!(Challenge::verify(config, &other, &made, NOW, &world.crypto).is_err());
    world.tam.config.replay_group = [4; 16];
    assert!(Challenge::verify(&world.tam.config, &tenant, &made, NOW, &world.crypto).is_err());
    world.tam.config.replay_group = [3; 16];

    // The previous key is accepted, the one before it is not.
    world.tam.rotate_challenge_key(challenge_key(1));
    assert!(Challenge::verify(&world.tam.config, &tenant, &made, NOW, &world.crypto).is_ok());
    world.tam.rotate_challenge_key(challenge_key(2));
    assert!(Challenge::verify(&world.tam.config, &tenant, &made, NOW, &world.crypto).is_err());
}

#[test]
fn c1_two_challenges_of_one_second_differ() {
    let world = World::new();
    assert_ne!(challenge(&world.query_request()), challenge(&world.query_request()));
}

#[test]
fn c2_a_challenge_lives_five_minutes() {
    let world = World::new();
    let device = world.device();
    let response = device.response(&world.query_request());
    let before = world.digest();
    world.clock.set(NOW + 301);
    let reply = reply(at_once(&world, &response));
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_STALE);
    assert_eq!(world.digest(), before);
    world.clock.set(NOW + 300);
    no_content(&world.post(&response));
}

#[test]
fn c2_a_replayed_query_response_gets_no_content_and_changes_nothing() {
    let world = World::new();
    world.publish(1);
    let mut device = world.device();
    device.requested.push(world::id("acme/wallet/ta"));
    let response = device.response(&world.query_request());
    world.update(&world.post(&response));
    let before = world.digest();
    let reply = world.post(&response);
    no_content(&reply);
    assert_eq!(reply.event().code, Some(codes::EVIDENCE_STALE));
    assert_eq!(world.digest(), before);
    let sessions = world.store.sessions(&TenantId::default(), None, 9).unwrap();
    assert_eq!(sessions.len(), 1, "no second session");
}

/// Runs an exchange up to its batch.
fn until_persist<'t>(world: &'t World, body: &[u8]) -> (crate::Exchange<'t>, Vec<StoreOp>) {
    let mut exchange = world.tam.exchange(TenantId::default());
    match exchange.handle(NOW, &world.store, Input::Request(body.to_vec())) {
        Output::Persist(ops) => (exchange, ops),
        other => panic!("{other:?}"),
    }
}

/// The first output for a body, which for a refusal is already the reply.
pub fn at_once(world: &World, body: &[u8]) -> Output {
    let mut exchange = world.tam.exchange(TenantId::default());
    exchange.handle(world.clock.get(), &world.store, Input::Request(body.to_vec()))
}

pub fn reply(output: Output) -> Reply {
    match output {
        Output::Reply(reply) => reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn c2_one_challenge_to_two_instances_is_answered_once() {
    let world = World::new();
    world.publish(1);
    let (mut a, mut b) = (world.device(), world.device());
    a.requested.push(world::id("acme/wallet/ta"));
    b.requested.push(world::id("acme/wallet/ta"));
    // Two devices answer the same QueryRequest, and both exchanges have read the store before either writes.
    let request = world.query_request();
    let (mut first, first_ops) = until_persist(&world, &a.response(&request));
    let (mut second, second_ops) = until_persist(&world, &b.response(&request));
    let outcome = world.store.apply(first_ops);
    world.update(&reply(first.handle(NOW, &world.store, Input::Persisted(outcome))));
    let outcome = world.store.apply(second_ops);
    no_content(&reply(second.handle(NOW, &world.store, Input::Persisted(outcome))));
    assert_eq!(world.store.devices(&TenantId::default(), None, 9).unwrap().len(), 1);
}

#[test]
fn c2_one_challenge_twice_in_one_batch_fails_whole() {
    let world = World::new();
    let request = world.query_request();
    let (_, mut ops) = until_persist(&world, &world.device().response(&request));
    let (_, more) = until_persist(&world, &world.device().response(&request));
    ops.extend(more);
    let before = world.digest();
    assert!(world.store.apply(ops).is_err());
    assert_eq!(world.digest(), before);
}

#[test]
fn c2_a_challenge_that_expires_during_a_slow_appraisal_is_refused() {
    let world = World::new();
    let (mut exchange, ops) = until_persist(&world, &world.device().response(&world.query_request()));
    // Another request has moved the persisted time past the expiry before this batch is written.
    world.apply([StoreOp::AdvanceTime(NOW + 301)]);
    let outcome = world.store.apply(ops);
    let reply = reply(exchange.handle(NOW, &world.store, Input::Persisted(outcome)));
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_STALE);
}

#[test]
fn c2_a_restored_store_needs_a_new_group_key() {
    let mut world = World::new();
    let backup = world.store.snapshot();
    let device = world.device();
    let response = device.response(&world.query_request());
    no_content(&world.post(&response));
    // The restored table does not know that the challenge was answered: under the old key it would be answered again.
    world.store = backup;
    assert!(!world.store.is_burned(challenge_of(&response).first_chunk().unwrap()).unwrap());
    world.tam.config.challenge_keys.current = challenge_key(9);
    world.tam.config.replay_group = [8; 16];
    let reply = world.post(&response);
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_STALE);
}

/// The nonce in a QueryResponse.
fn challenge_of(response: &[u8]) -> Vec<u8> {
    let message = tamarack_teep::SignedMessage::parse(response, &tamarack_cbor::Limits::default()).unwrap();
    let Message::QueryResponse(response) = message.unverified().unwrap() else {
        panic!("not a QueryResponse")
    };
    let format = response.attestation_payload_format.as_deref();
    tamarack_attest::hints_unverified(format, &response.attestation_payload.unwrap()).unwrap().nonce
}

#[test]
fn c2_nothing_is_written_before_signature_and_evidence_hold() {
    let world = World::new();
    let (device, before) = (world.device(), world.store.snapshot());
    let request = world.query_request();
    let good = device.query_response(&challenge(&request));
    let bodies = [
        sign_with(stranger().as_ref(), Message::QueryResponse(good.clone())),
        Device::new(&world::authority(tamarack_x509::Role::Tee), tamarack_crypto::KeyType::P256)
            .response(&request),
    ];
    for body in bodies {
        let mut exchange = world.tam.exchange(TenantId::default());
        let output = exchange.handle(NOW, &world.store, Input::Request(body));
        assert!(matches!(output, Output::Reply(_)), "nothing to persist: {output:?}");
    }
    assert!(!before.is_burned(challenge(&request).first_chunk().unwrap()).unwrap());
}

#[test]
fn c3_a_request_with_attestation_cannot_be_answered_without() {
    let world = World::new();
    let device = world.device();
    let request = world.query_request();
    let good = device.query_response(&challenge(&request));
    let before = world.digest();
    let no_evidence = with(&good, |m| (m.attestation_payload, m.attestation_payload_format) = (None, None));
    let as_token = with(&no_evidence, |m| m.token = Some(challenge(&request)));
    for message in [no_evidence, as_token] {
        let reply = world.post(&device.sign(Message::QueryResponse(message)));
        refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_MISSING);
    }
    // Fewer data items than were asked for: the MAC knows.
    let mut fewer = challenge(&request);
    fewer[1] &= 0xf0;
    let reply = world.post(&device.sign(Message::QueryResponse(device.query_response(&fewer))));
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_STALE);
    let no_list = with(&good, |m| m.tc_list.clear());
    refused(&world.post(&device.sign(Message::QueryResponse(no_list))), 400, codes::TEEP_MALFORMED);
    assert_eq!(world.digest(), before);
}

#[test]
fn c5_a_challenge_of_one_tenant_is_none_of_another() {
    let world = World::new();
    let other = TenantId::new("other").unwrap();
    world.apply([StoreOp::InsertTenant(tamarack_store::Tenant { id: other.clone(), created: 1 })]);
    let device = world.device();
    let response = device.response(&world.query_request());
    let reply = world.tam.respond(NOW, &world.store, other.clone(), &response);
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_STALE);
    no_content(&world.post(&response));
    assert!(world.store.devices(&other, None, 9).unwrap().is_empty());
}

#[test]
fn s3_the_clock_never_goes_back_behind_the_persisted_time() {
    let world = World::new();
    let device = world.device();
    let response = device.response(&world.query_request());
    world.apply([StoreOp::AdvanceTime(NOW + 10_000)]);
    // By the driver's clock the challenge is fresh.
    let reply = reply(at_once(&world, &response));
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_STALE);
    // What is issued now is issued at the persisted time.
    let issued = challenge(&world.query_request());
    assert_eq!(issued[2..6], ((NOW + 10_000) as u32).to_be_bytes());
}

#[test]
fn persist_comes_before_transmit() {
    let world = World::new();
    world.publish(1);
    let mut device = world.device();
    device.requested.push(world::id("acme/wallet/ta"));
    let (mut exchange, ops) = until_persist(&world, &device.response(&world.query_request()));
    assert!(ops.iter().any(|op| matches!(op, StoreOp::InsertPending(_))));
    let full = Err(tamarack_store::StoreError::Failed("the disk is full".into()));
    let reply = reply(exchange.handle(NOW, &world.store, Input::Persisted(full)));
    refused(&reply, 500, codes::STORE_FAILED);
}

#[test]
fn a_device_written_at_the_same_time_is_read_again() {
    let world = World::new();
    let device = world.device();
    let (mut exchange, ops) = until_persist(&world, &device.response(&world.query_request()));
    no_content(&world.query(&device));
    let outcome = world.store.apply(ops);
    let Output::Persist(again) = exchange.handle(NOW, &world.store, Input::Persisted(outcome)) else {
        panic!("starts again")
    };
    let outcome = world.store.apply(again);
    no_content(&reply(exchange.handle(NOW, &world.store, Input::Persisted(outcome))));
    assert_eq!(world.row(&device).revision, 2);
}
