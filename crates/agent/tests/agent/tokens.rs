//! Which token and nonce go back, and when none does.

use tamarack_agent::TamAnchor;
use tamarack_cbor::Limits;
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_eat::Token;
use tamarack_teep::{CipherSuite, ErrCode, Message, SignedMessage, Update};

use crate::world::*;

#[test]
fn no_token_in_no_token_out() {
    let mut world = World::new();
    let mut query = world.query_request();
    (query.token, query.versions) = (None, vec![7]);
    assert_eq!(world.send(&Message::QueryRequest(query)).error().token, None);

    let mut update = |envelope, expected| {
        let agent_nonce = world.query().agent_nonce;
        let update = Update { manifest_list: vec![envelope], agent_nonce, ..Update::default() };
        let reply = world.send(&Message::Update(update));
        let token = match reply.message.as_ref().unwrap() {
            Message::Success(success) => (true, success.token.clone()),
            Message::Error(error) => (false, error.token.clone()),
            other => panic!("{other:?}"),
        };
        assert_eq!(token, (expected, None));
        let reports = reply.reports(1);
        assert_eq!(reports.len(), 1);
        assert_eq!(reports[0].nonce, None);
    };
    update(wallet_envelope(2), true);
    update(wallet_envelope(1), false);
}

#[test]
fn without_a_challenge_the_token_is_the_nonce() {
    let mut world = World::new();
    let mut query = world.query_request();
    (query.challenge, query.token) = (None, Some(vec![6; 20]));
    let Some(Message::QueryResponse(response)) = world.send(&Message::QueryRequest(query)).message else {
        panic!("no QueryResponse")
    };
    assert_eq!(response.token, Some(vec![6; 20]));
    let evidence = Token::parse(&response.attestation_payload.unwrap(), &Limits::default()).unwrap();
    assert_eq!(evidence.unverified().unwrap().eat_nonce, [vec![6; 20]]);
}

#[test]
fn an_error_about_suites_goes_under_a_suite_of_every_tam() {
    let mut world = World::new();
    let mut query = world.query_request();
    query.supported_teep_cipher_suites = vec![CipherSuite::Sign1Esp256];
    let reply = world.send(&Message::QueryRequest(query));
    assert_eq!(reply.error().err_code, ErrCode::UnsupportedCipherSuites);
    let signed = SignedMessage::parse(&reply.bytes, &Limits::default()).unwrap();
    assert!(CipherSuite::MANDATORY.contains(&signed.cipher_suite().unwrap()));
    let key = VerificationKey::new(key(1, "teep").public_key(), Purpose::TeepMessage, &provider());
    assert!(signed.verify(&[key], &provider()).is_ok());
}

#[test]
fn an_unbound_delete_is_refused_with_and_without_token() {
    let mut seed = seed();
    seed.tams[0] = TamAnchor { require_binding: false, ..seed.tams[0].clone() };
    let mut world = World::with_seed(1, &seed);
    world.install_wallet(1);
    let before = world.digest();
    for token in [None, Some(vec![8; 16])] {
        let update = Update {
            unneeded_manifest_list: vec![wallet("suit")],
            token: token.clone(),
            ..Update::default()
        };
        let reply = world.send(&Message::Update(update));
        assert_eq!((reply.error().err_code, &reply.error().token), (ErrCode::PermanentError, &token));
        assert_eq!(world.digest(), before);
    }
}
