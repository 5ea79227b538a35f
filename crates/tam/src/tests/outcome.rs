use alloc::string::String;

use tamarack_store::{Read, TenantId};
use tamarack_teep::ErrorMessage;

use super::challenge::{at_once, reply};
use super::*;

/// A device that has an Update to answer: its token and envelope.
fn waiting(world: &World) -> (Device, Vec<u8>, Vec<u8>) {
    let mut device = world.device();
    device.requested.push(world::id("acme/wallet/ta"));
    let update = world.update(&world.query(&device));
    (device, update.token.unwrap(), update.manifest_list[0].clone())
}

#[test]
fn c4_a_token_is_answered_once_and_by_its_device() {
    let world = World::new();
    world.publish(1);
    let (device, token, envelope) = waiting(&world);
    let (other, other_token, _) = waiting(&world);
    let before = world.digest();

    refused(&world.post(&other.success(&token, &[])), 400, codes::COSE_KEY_UNKNOWN);
    refused(&world.post(&device.success(&[1; 16], &[])), 400, codes::TEEP_TOKEN);
    assert_eq!(world.digest(), before);

    let success = device.success(&token, &[device.report(&envelope, Some(&token), true)]);
    no_content(&world.post(&success));
    let before = world.digest();
    refused(&world.post(&success), 400, codes::TEEP_TOKEN);
    refused(&world.post(&device.error(with_token(&token, ErrCode::TemporaryError))), 400, codes::TEEP_TOKEN);
    assert_eq!(world.digest(), before);

    // The other one waits until it expires.
    world.clock.set(NOW + 24 * 3600 + 1);
    refused(&reply(at_once(&world, &other.success(&other_token, &[]))), 400, codes::TEEP_TOKEN);
}

#[test]
fn c4_the_store_holds_the_hash_of_a_token_only() {
    let world = World::new();
    world.publish(1);
    let (device, token, _) = waiting(&world);
    let pending = world.store.pending_of(&TenantId::default(), &device.id(&world.crypto)).unwrap();
    assert_eq!(pending[0].token_hash, world.crypto.sha256(&token));
    assert_eq!(token.len(), 16);
}

#[test]
fn c4_at_most_four_updates_of_a_device_wait() {
    let world = World::new();
    world.publish(1);
    let (device, first, _) = waiting(&world);
    for _ in 0..4 {
        world.update(&world.query(&device));
    }
    let pending = world.store.pending_of(&TenantId::default(), &device.id(&world.crypto)).unwrap();
    assert_eq!(pending.len(), 4);
    refused(&world.post(&device.success(&first, &[])), 400, codes::TEEP_TOKEN);
}

fn with_token(token: &[u8], err_code: ErrCode) -> ErrorMessage {
    ErrorMessage { token: Some(token.to_vec()), ..ErrorMessage::new(err_code) }
}

#[test]
fn an_error_ends_the_session_with_the_reason_of_the_report() {
    let world = World::new();
    world.publish(1);
    let (device, token, envelope) = waiting(&world);
    let attested = world.row(&device).attested;
    let error = ErrorMessage {
        err_msg: Some(String::from("image-match \u{1b}failed")),
        suit_reports: alloc::vec![device.report(&envelope, Some(&token), false)],
        ..with_token(&token, ErrCode::ManifestProcessingFailed)
    };
    let reply = world.post(&device.error(error));
    no_content(&reply);
    let session = world.session(&reply);
    assert_eq!(session.outcome, Some(SessionOutcome::Failed));
    assert_eq!(session.code, Some(codes::SUIT_CONDITION));
    let reason = session.reason.unwrap();
    for part in ["(17)", "image-match \u{fffd}failed", "reason 10"] {
        assert!(reason.contains(part), "{reason}");
    }
    assert_eq!(world.row(&device).reported, attested, "nothing was installed");
}

#[test]
fn reports_count_only_for_their_token_and_manifest() {
    let world = World::new();
    world.publish(1);
    let other = world.envelope("acme/other/suit", "acme/other/ta", 1);
    type Reports = fn(&Device, &[u8], &[u8], &[u8]) -> Vec<Vec<u8>>;
    let cases: [(Reports, SessionOutcome); 6] = [
        (|d, t, e, _| alloc::vec![d.report(e, Some(t), true)], SessionOutcome::Updated),
        (|_, _, _, _| alloc::vec![], SessionOutcome::Unconfirmed),
        (|d, _, e, _| alloc::vec![d.report(e, None, true)], SessionOutcome::Unconfirmed),
        (|d, _, e, _| alloc::vec![d.report(e, Some(&[9; 16]), true)], SessionOutcome::Unconfirmed),
        (|d, t, _, other| alloc::vec![d.report(other, Some(t), true)], SessionOutcome::Unconfirmed),
        (|d, t, e, _| alloc::vec![d.report(e, Some(t), false)], SessionOutcome::Failed),
    ];
    for (index, (reports, expected)) in cases.into_iter().enumerate() {
        let (device, token, envelope) = waiting(&world);
        let reports = reports(&device, &token, &envelope, &other);
        let reply = world.post(&device.success(&token, &reports));
        assert_eq!(world.session(&reply).outcome, Some(expected), "case {index}");
    }
}

#[test]
fn every_err_code_of_an_agent_has_a_code() {
    let world = World::new();
    world.publish(1);
    for err_code in ErrCode::ALL {
        let (device, token, _) = waiting(&world);
        let reply = world.post(&device.error(with_token(&token, err_code)));
        let session = world.session(&reply);
        assert!(session.code.is_some_and(|code| code.info().is_some()), "{err_code}");
        // Without a token it is an answer to a QueryRequest, by somebody.
        let before = world.digest();
        let reply = world.post(&device.error(ErrorMessage::new(err_code)));
        no_content(&reply);
        assert!(reply.event().code.is_some() && world.digest() == before);
    }
}
