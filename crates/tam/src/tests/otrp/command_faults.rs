//! Every check of a response to a command, violated by exactly one fault; and what two instances or devices do at once.

use alloc::vec::Vec;

use tamarack_model::{Code, codes};
use tamarack_otrp::response::{Content, Reason};
use tamarack_otrp::{Command, ErrorCode, broker};
use tamarack_store::{Read, SessionOutcome, Store, StoreOp, Tenant, TenantId};

use super::tee::{Tee, TeeKey};
use super::world::{World, message};
use crate::tests::world::NOW;
use crate::tests::{no_content, refused};
use crate::{Input, Output, Reply};

/// A TEE that was told to make a domain, with that request.
fn told() -> (World, Tee, Vec<u8>) {
    let world = World::new();
    world.publish(1);
    world.want("acme/wallet/ta");
    let mut tee = world.tee();
    let request = message(&world.send(&tee.answer(&world.begin())));
    (world, tee, request)
}

/// What was changed is refused or ends the session; an honest answer to the same request is taken only in the first case.
#[track_caller]
fn refused_and_still_open(status: u16, code: Code, forge: impl FnOnce(&World, &mut Tee, &[u8]) -> Vec<u8>) {
    let (world, mut tee, request) = told();
    let before = world.digest();
    let forged = forge(&world, &mut tee, &request);
    refused(&world.send(&forged), status, code);
    assert_eq!(world.digest(), before);
    message(&world.send(&tee.answer(&request)));
}

/// The session has failed with this code, and the request is answered.
#[track_caller]
fn ends(code: Code, forge: impl FnOnce(&mut Tee, &[u8]) -> Vec<u8>) {
    let (world, mut tee, request) = told();
    let answer = forge(&mut tee, &request);
    no_content(&world.send(&answer));
    let session = world.last_session();
    assert_eq!((session.outcome, session.code), (Some(SessionOutcome::Failed), Some(code)), "{session:?}");
    let honest = tee.answer(&request);
    refused(&world.send(&honest), 400, codes::OTRP_UNEXPECTED);
    assert!(world.record(&tee).unwrap().otrp.unwrap().domains.is_empty(), "nothing of it is believed");
}

fn pass(tee: &Tee) -> Content {
    Content::new(tee.did())
}

#[test]
fn c4_a_response_belongs_to_one_request() {
    let unexpected = codes::OTRP_UNEXPECTED;
    refused_and_still_open(400, unexpected, |_, tee, request| {
        let (_, tid) = tee.ids(request);
        tee.content(Command::CreateSd, (&tid, &tid), &pass(tee))
    });
    refused_and_still_open(400, unexpected, |_, tee, request| {
        let (rid, _) = tee.ids(request);
        tee.content(Command::CreateSd, (&rid, &rid), &pass(tee))
    });
    refused_and_still_open(400, unexpected, |_, tee, request| {
        let (rid, tid) = tee.ids(request);
        tee.content(Command::DeleteSd, (&rid, &tid), &pass(tee))
    });
    // A TEEP Update waits under the hash of its token, and is none of these.
    let (world, mut tee, request) = told();
    world.clock.set(NOW + 24 * 3600 + 1);
    refused(&world.send(&tee.answer(&request)), 400, unexpected);
}

#[test]
fn c4_a_response_is_taken_once() {
    let (world, mut tee, request) = told();
    let answer = tee.answer(&request);
    message(&world.send(&answer));
    let before = world.digest();
    refused(&world.send(&answer), 400, codes::OTRP_UNEXPECTED);
    assert_eq!(world.digest(), before);
}

#[test]
fn k5_only_the_pinned_key_of_the_device_answers() {
    refused_and_still_open(400, codes::JOSE_SIGNATURE, |world, tee, request| {
        // Another genuine device.
        let other = world.tee();
        let (rid, tid) = tee.ids(request);
        other.content(Command::CreateSd, (&rid, &tid), &pass(tee))
    });
    refused_and_still_open(400, codes::JOSE_SIGNATURE, |_, tee, request| {
        // The device's provider keys sign nothing of the protocol.
        let (rid, tid) = tee.ids(request);
        let own = core::mem::replace(&mut tee.key, TeeKey::generate());
        let forged = tee.content(Command::CreateSd, (&rid, &tid), &pass(tee));
        tee.key = own;
        forged
    });
}

#[test]
fn an_authentic_answer_that_cannot_be_right_ends_the_session() {
    ends(codes::EVIDENCE_KEY_BINDING, |tee, request| {
        let (rid, tid) = tee.ids(request);
        tee.content(Command::CreateSd, (&rid, &tid), &Content::new([9; 32]))
    });
    ends(codes::JOSE_DECRYPTION, |tee, request| {
        let (rid, tid) = tee.ids(request);
        tee.content_to(&TeeKey::generate(), Command::CreateSd, (&rid, &tid), &pass(tee))
    });
    let (world, mut tee, request) = told();
    // The state of another TEE.
    let (rid, tid) = tee.ids(&request);
    let mut dsi = tee.dsi(None);
    dsi.tee.cert = world.tee().certificate;
    let content = Content { dsi: Some(dsi.serialize()), ..pass(&tee) };
    no_content(&world.send(&tee.content(Command::CreateSd, (&rid, &tid), &content)));
    assert_eq!(world.last_session().code, Some(codes::EVIDENCE_KEY_BINDING));
}

#[test]
fn each_signed_failure_ends_the_session_with_its_code() {
    for code in ErrorCode::ALL.iter().copied().filter(|code| !code.is_of_broker()) {
        if code == ErrorCode::DevStateMismatch {
            continue;
        }
        let (world, mut tee, request) = told();
        tee.fails = Some(code);
        no_content(&world.send(&tee.answer(&request)));
        let session = world.last_session();
        assert_eq!(session.outcome, Some(SessionOutcome::Failed), "{code}");
        assert_eq!(session.code, Some(code.code()), "{code}");
        assert!(session.reason.unwrap().contains(code.text()));
    }
}

#[test]
fn r10_a_stale_state_is_asked_for_anew_and_only_once() {
    let (world, mut tee, request) = told();
    tee.fails = Some(ErrorCode::DevStateMismatch);
    // It begins again with the same reply.
    let again = message(&world.send(&tee.answer(&request)));
    let session = world.last_session();
    assert_eq!(session.code, Some(codes::OTRP_DEV_STATE_MISMATCH));
    assert_ne!(tee.ids(&again).1, tee.ids(&request).1, "a new tid");
    let second = message(&world.send(&tee.answer(&again)));
    no_content(&world.send(&tee.answer(&second)));
    assert_eq!(world.last_session().outcome, Some(SessionOutcome::Failed));
    // The next time it works.
    tee.fails = None;
    world.exchange(&mut tee);
    assert!(tee.ta("acme", "wallet").is_some());
}

#[test]
fn r10_each_command_names_the_state_that_was_told_last() {
    let (world, mut tee, request) = told();
    // Something else changes the device before the command arrives.
    tee.dsi(None);
    let reason = Some(Reason::new(ErrorCode::DevStateMismatch));
    let (rid, tid) = tee.ids(&request);
    let stale = tee.content(Command::CreateSd, (&rid, &tid), &Content { reason, ..pass(&tee) });
    let again = message(&world.send(&stale));
    let reply = world.send(&tee.answer(&again));
    // The simulated TEE answers the first command of the new exchange only if it names the new state.
    let next = world.send(&tee.answer(&message(&reply)));
    message(&next);
    assert_eq!(tee.done, [Command::CreateSd]);
}

#[test]
fn a_device_that_confirms_without_doing_is_not_asked_for_ever() {
    let (world, mut tee, request) = told();
    let (rid, tid) = tee.ids(&request);
    let content = Content { dsi: Some(tee.dsi(None).serialize()), ..pass(&tee) };
    no_content(&world.send(&tee.content(Command::CreateSd, (&rid, &tid), &content)));
    let session = world.last_session();
    assert_eq!((session.outcome, session.code), (Some(SessionOutcome::Failed), Some(codes::OTRP_TEE_FAIL)));
}

#[test]
fn a_broker_error_leaves_a_waiting_command_as_it_is() {
    let (world, mut tee, request) = told();
    let before = world.digest();
    no_content(&world.send(&broker::BrokerError::new(ErrorCode::AgentTeeBusy).to_vec()));
    assert_eq!(world.digest(), before);
    message(&world.send(&tee.answer(&request)));
}

#[test]
fn k5_an_answer_under_a_certificate_that_was_replaced_is_none() {
    let (world, mut tee, request) = told();
    // The device proves itself anew, with another TEE certificate.
    let other = world.tee();
    (tee.certificate, tee.key) = (other.certificate, other.key);
    message(&world.send(&tee.answer(&world.begin())));
    let (rid, tid) = tee.ids(&request);
    let answer = tee.content(Command::CreateSd, (&rid, &tid), &pass(&tee));
    refused(&world.send(&answer), 400, codes::OTRP_UNEXPECTED);
}

/// Runs an exchange up to its batch.
fn until_persist<'t>(world: &'t World, body: &[u8]) -> (crate::OtrpExchange<'t>, Vec<StoreOp>) {
    let mut exchange = world.tam.otrp_exchange(TenantId::default(), true);
    match exchange.handle(NOW, &world.store, Input::Request(body.to_vec())) {
        Output::Persist(ops) => (exchange, ops),
        other => panic!("{other:?}"),
    }
}

fn finish(world: &World, exchange: &mut crate::OtrpExchange<'_>, ops: Vec<StoreOp>) -> Output {
    let outcome = world.store.apply(ops);
    exchange.handle(NOW, &world.store, Input::Persisted(outcome))
}

#[test]
fn c2_one_tid_at_two_instances_is_answered_once() {
    let world = World::new();
    world.publish(1);
    world.want("acme/wallet/ta");
    let (mut a, mut b) = (world.tee(), world.tee());
    let request = world.begin();
    let (mut first, first_ops) = until_persist(&world, &a.answer(&request));
    let (mut second, second_ops) = until_persist(&world, &b.answer(&request));
    let Output::Reply(Reply::Transmit { .. }) = finish(&world, &mut first, first_ops) else { panic!() };
    match finish(&world, &mut second, second_ops) {
        Output::Reply(reply) => no_content(&reply),
        other => panic!("{other:?}"),
    }
    assert_eq!(world.store.devices(&TenantId::default(), None, 9).unwrap().len(), 1);
}

#[test]
fn c4_one_response_at_two_instances_is_taken_once() {
    let (world, mut tee, request) = told();
    let answer = tee.answer(&request);
    let (mut first, first_ops) = until_persist(&world, &answer);
    let (mut second, second_ops) = until_persist(&world, &answer);
    let Output::Reply(Reply::Transmit { .. }) = finish(&world, &mut first, first_ops) else { panic!() };
    match finish(&world, &mut second, second_ops) {
        Output::Reply(reply) => refused(&reply, 400, codes::OTRP_UNEXPECTED),
        other => panic!("{other:?}"),
    }
}

#[test]
fn two_exchanges_of_one_device_at_once_are_both_answered() {
    let world = World::new();
    world.publish(1);
    world.want("acme/wallet/ta");
    let mut tee = world.tee();
    world.exchange(&mut tee);
    let (one, two) = (world.begin(), world.begin());
    let (mut first, first_ops) = until_persist(&world, &tee.answer(&one));
    let (mut second, second_ops) = until_persist(&world, &tee.answer(&two));
    assert!(matches!(finish(&world, &mut first, first_ops), Output::Reply(Reply::Keys { .. })));
    // The row was written meanwhile, so the second starts again by itself.
    let Output::Persist(ops) = finish(&world, &mut second, second_ops) else {
        panic!("it does not try again")
    };
    assert!(matches!(finish(&world, &mut second, ops), Output::Reply(Reply::Keys { .. })));
}

#[test]
fn k7_tenants_share_nothing() {
    let world = World::new();
    world.publish(1);
    world.want("acme/wallet/ta");
    let other = TenantId::new("other").unwrap();
    world.apply([StoreOp::InsertTenant(Tenant { id: other.clone(), created: NOW })]);
    let mut tee = world.tee();
    // A tid of one endpoint at the other, both ways.
    let theirs = message(&world.tenant_post(&other, &[]));
    refused(&world.send(&tee.answer(&theirs)), 403, codes::EVIDENCE_STALE);
    let ours = world.begin();
    refused(&world.tenant_post(&other, &tee.answer(&ours)), 403, codes::EVIDENCE_STALE);
    // A command's answer at the other endpoint.
    let request = message(&world.send(&tee.answer(&world.begin())));
    let answer = tee.answer(&request);
    refused(&world.tenant_post(&other, &answer), 400, codes::OTRP_UNEXPECTED);
    message(&world.send(&answer));
    // The other tenant wants nothing of this device, and knows it by a record of its own.
    let mut stranger = world.tee();
    let theirs = message(&world.tenant_post(&other, &[]));
    no_content(&world.tenant_post(&other, &stranger.answer(&theirs)));
    assert!(stranger.done.is_empty());
    assert!(world.store.device(&other, &tee.id()).unwrap().is_none());
    assert!(world.store.device(&TenantId::default(), &stranger.id()).unwrap().is_none());
    // And a tenant that is not there.
    let nobody = TenantId::new("nobody").unwrap();
    refused(&world.tenant_post(&nobody, &[]), 404, codes::API_NOT_FOUND);
}
