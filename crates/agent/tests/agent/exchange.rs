//! Negotiation, binding, repeats and rates.

use tamarack_agent::{Agent, AgentConfig, Input, TamAnchor};
use tamarack_model::{Outcome, codes};
use tamarack_teep::{CipherSuite, ErrCode, Message, QueryRequest, SuitCoseProfile};

use crate::world::*;

/// A QueryRequest changed by `change` is answered with this Error.
fn check_query(change: impl Fn(&mut QueryRequest), err_code: ErrCode) -> tamarack_teep::ErrorMessage {
    let mut world = World::new();
    let mut query = world.query_request();
    change(&mut query);
    let before = world.digest();
    let reply = world.send(&Message::QueryRequest(query));
    assert_eq!(reply.error().err_code, err_code);
    assert_eq!(world.digest(), before);
    reply.error().clone()
}

#[test]
fn what_cannot_be_negotiated_is_answered_with_what_could() {
    let error = check_query(|q| q.versions = vec![1, 2], ErrCode::UnsupportedMsgVersion);
    assert_eq!(error.versions, [0]);

    let only_p256 = |q: &mut QueryRequest| q.supported_teep_cipher_suites = vec![CipherSuite::Sign1Esp256];
    let error = check_query(only_p256, ErrCode::UnsupportedCipherSuites);
    assert_eq!(error.supported_teep_cipher_suites, [CipherSuite::Sign1Ed25519]);

    let timestamps = |q: &mut QueryRequest| q.supported_freshness_mechanisms = vec![1];
    let error = check_query(timestamps, ErrCode::UnsupportedFreshnessMechanisms);
    assert_eq!(error.supported_freshness_mechanisms, [0]);
    check_query(|q| q.challenge = None, ErrCode::UnsupportedFreshnessMechanisms);
    check_query(|q| q.challenge = Some(vec![0; 65]), ErrCode::UnsupportedFreshnessMechanisms);

    let p256 = |q: &mut QueryRequest| {
        q.supported_suit_cose_profiles = vec![SuitCoseProfile::Esp256EcdhA128Gcm];
    };
    let error = check_query(p256, ErrCode::UnsupportedSuitReport);
    assert!(error.supported_suit_cose_profiles.contains(&SuitCoseProfile::Ed25519EcdhA128Ctr));
}

#[test]
fn a_token_comes_back_and_only_what_was_asked_is_told() {
    let mut world = World::new();
    let mut query = world.query_request();
    query.challenge = None;
    query.token = Some(vec![9; 8]);
    query.data_item_requested = tamarack_teep::DataItems::NONE;
    let reply = world.send(&Message::QueryRequest(query));
    let Some(Message::QueryResponse(response)) = reply.message else { panic!("{reply:?}") };
    assert_eq!(response.token.as_deref(), Some(&[9; 8][..]));
    assert!(response.attestation_payload.is_none() && response.tc_list.is_empty());
    assert!(response.ext_list.is_empty());
}

#[test]
fn c6_an_update_answers_this_devices_own_nonce_once() {
    let mut world = World::new();
    let install = || Script::install(wallet_envelope(1));
    let with = |nonce| Script { nonce: Some(nonce), ..install() };
    let (err_code, code) = (ErrCode::PermanentError, codes::TEEP_NOT_BOUND);
    world.refused(with(None), err_code, code);
    world.refused(with(Some([0; 16])), err_code, code);
    // What did not fit has not spoiled the exchange.
    let nonce = world.query().agent_nonce;
    world.refused_now(with(Some([0; 16])), err_code, code);
    world.update(with(nonce)).expect_success();
    let update = Script { nonce: Some(nonce), ..Script::install(wallet_envelope(2)) };
    world.refused_now(update, err_code, code);
}

#[test]
fn c6_an_update_for_another_device_is_refused() {
    let (mut a, mut b) = (World::new(), World::with_seed(2, &seed()));
    a.query();
    b.query();
    let for_a = a.update_bytes(Script::install(wallet_envelope(1)));
    b.refused_message(for_a.clone(), ErrCode::PermanentError, codes::TEEP_NOT_BOUND);
    a.drive(Input::ProcessTeepMessage(for_a)).expect_success();
}

#[test]
fn c6_a_restart_ends_every_exchange() {
    let mut world = World::new();
    world.query();
    world.restart();
    let script = Script::install(wallet_envelope(1));
    world.refused_now(script, ErrCode::PermanentError, codes::TEEP_NOT_BOUND);
}

/// A TAM that does not know the binding.
fn unbound() -> World {
    let mut seed = seed();
    seed.tams[0] = TamAnchor { require_binding: false, ..seed.tams[0].clone() };
    World::with_seed(1, &seed)
}

fn without_nonce(script: Script) -> Script {
    Script { nonce: Some(None), ..script }
}

#[test]
fn c6_binding_can_be_waived_for_an_anchor_but_not_for_deletes() {
    let mut world = unbound();
    world.exchange(without_nonce(Script::install(wallet_envelope(1)))).expect_success();
    let delete = without_nonce(Script::remove(wallet("suit")));
    // Rule R4.
    world.refused(delete, ErrCode::PermanentError, codes::TEEP_NOT_BOUND);
    assert_eq!(world.count(), 1);
}

#[test]
fn r3_a_reinstall_of_the_same_sequence_must_be_bound() {
    let mut world = unbound();
    world.install_wallet(1);
    world.exchange(Script::remove(wallet("suit"))).expect_success();
    let again = || Script::install(wallet_envelope(1));
    let (err_code, code) = (ErrCode::ManifestProcessingFailed, codes::SUIT_ROLLBACK);
    world.refused(without_nonce(again()), err_code, code);
    world.exchange(again()).expect_success();
}

#[test]
fn r4_a_replayed_delete_does_not_delete() {
    let mut world = World::new();
    world.install_wallet(1);
    world.query();
    let delete = world.update_bytes(Script::remove(wallet("suit")));
    world.drive(Input::ProcessTeepMessage(delete.clone())).expect_success();
    world.install_wallet(2);
    world.query();
    let reply = world.refused_message(delete.clone(), ErrCode::PermanentError, codes::TEEP_UNEXPECTED);
    assert!(reply.error().err_msg.as_ref().unwrap().contains("stale"));
    // Also when its stored answer has made room for others.
    for sequence in 3..8 {
        world.install_wallet(sequence);
    }
    world.refused_message(delete, ErrCode::PermanentError, codes::TEEP_NOT_BOUND);
    assert_eq!(world.count(), 1);
}

#[test]
fn r4_a_delete_without_token_does_not_delete() {
    let mut world = World::new();
    world.install_wallet(1);
    let agent_nonce = world.query().agent_nonce;
    let unneeded_manifest_list = vec![wallet("suit")];
    let update = tamarack_teep::Update { unneeded_manifest_list, agent_nonce, ..Default::default() };
    let before = world.digest();
    let reply = world.send(&tamarack_teep::Message::Update(update));
    assert_eq!(reply.outcome(), Some(&Outcome::Refused(codes::TEEP_NOT_BOUND)));
    assert_eq!((world.digest(), world.count()), (before, 1));
}

#[test]
fn r5_a_repeated_update_gets_the_answer_that_was_given() {
    let mut world = World::new();
    world.query();
    let update = world.update_bytes(Script::install(wallet_envelope(1)));
    let first = world.drive(Input::ProcessTeepMessage(update.clone()));
    first.expect_success();
    world.restart();
    let (before, second) = (world.digest(), world.drive(Input::ProcessTeepMessage(update.clone())));
    assert_eq!((second.bytes, second.finished.unwrap().outcome), (first.bytes, Outcome::Unchanged));
    assert_eq!(world.digest(), before);

    world.install_wallet(2);
    let stale = world.refused_message(update, ErrCode::PermanentError, codes::TEEP_UNEXPECTED);
    assert_eq!(stale.error().token.as_deref(), Some(&[1; 16][..]));
}

#[test]
fn r5_a_refusal_is_repeated_too() {
    let mut world = World::new();
    world.install_wallet(2);
    world.query();
    let update = world.update_bytes(Script::install(wallet_envelope(1)));
    let first = world.drive(Input::ProcessTeepMessage(update.clone()));
    assert_eq!(first.error().err_code, ErrCode::ManifestProcessingFailed);
    assert_eq!(world.drive(Input::ProcessTeepMessage(update)).bytes, first.bytes);
}

#[test]
fn c7_evidence_is_limited_per_owner() {
    let mut world = World::new();
    let config = AgentConfig { evidence_per_minute: 2, ..AgentConfig::default() };
    world.agent = Agent::new(platform(1, world.storage()), provider(), config);
    world.query();
    world.query();
    let query = Message::QueryRequest(world.query_request());
    let reply = world.send(&query);
    assert_eq!(reply.error().err_code, ErrCode::TemporaryError);
    assert_eq!(reply.outcome(), Some(&Outcome::Refused(codes::OVERLOADED)));
    world.now += 60;
    world.query();
    world.query();
    world.tam = key(2, "tam");
    world.query();
}

#[test]
fn messages_of_agents_are_refused() {
    let mut world = World::new();
    world.query();
    let success = Message::Success(tamarack_teep::Success { token: None, msg: None, suit_reports: vec![] });
    let bytes = world.sign(&success);
    world.refused_message(bytes, ErrCode::PermanentError, codes::TEEP_UNEXPECTED);
}

#[test]
fn an_altered_message_is_refused_wherever_it_is_altered() {
    let mut world = World::new();
    world.drive(Input::RequestPolicyCheck);
    world.query();
    let update = world.update_bytes(Script::install(wallet_envelope(1)));
    let before = world.digest();
    for at in (0..update.len()).step_by(3) {
        let mut altered = update.clone();
        altered[at] ^= 1;
        let reply = world.drive(Input::ProcessTeepMessage(altered));
        assert!(matches!(reply.outcome(), Some(Outcome::Refused(_))), "byte {at}");
        assert!(!matches!(reply.message, Some(Message::Success(_))), "byte {at}");
        assert_eq!(world.digest(), before, "byte {at}");
    }
    world.drive(Input::ProcessTeepMessage(update)).expect_success();
}

#[test]
fn one_update_is_processed_at_a_time() {
    let mut world = World::new();
    let payload = tamarack_suit::author::Payload::by_uri("https://files.example/w", b"w", &provider());
    let envelope = sign_manifest(1, builder(&wallet("suit"), &wallet("ta"), 1, payload));
    world.query();
    let update = world.update_bytes(Script::install(envelope));
    let now = world.now;
    world.agent.handle(now, Input::ProcessTeepMessage(update)).unwrap();
    let fetch = match world.agent.poll_output() {
        Some(tamarack_agent::Output::Fetch { fetch, .. }) => fetch,
        other => panic!("{other:?}"),
    };
    let busy = world.agent.handle(now, Input::RequestPolicyCheck).unwrap_err();
    assert_eq!(busy.code(), codes::DEVICE_BUSY);
    let query = Message::QueryRequest(world.query_request());
    let reply = world.send(&query);
    assert_eq!(reply.outcome(), Some(&Outcome::Refused(codes::DEVICE_BUSY)));
    let wrong = Input::Chunk { fetch: fetch + 1, data: vec![], last: true };
    assert!(world.agent.handle(now, wrong).is_err());
    world.drive(Input::Chunk { fetch, data: b"w".to_vec(), last: true }).expect_success();
}
