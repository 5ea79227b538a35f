//! Encrypted payloads, and what a signed manifest gives one TA on one device.

use tamarack_cose::{Recipient, To, thumbprint};
use tamarack_crypto::PublicKey;
use tamarack_model::{ComponentId, codes};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_suit::{Envelope, Limits, Reason, ReportResult};
use tamarack_tee::{Param, Persona, Platform};
use tamarack_teep::ErrCode;

use crate::world::*;

const FAILED: ErrCode = ErrCode::ManifestProcessingFailed;
const CARD: &[u8] = b"4012 8888 8888 1881";

fn data() -> ComponentId {
    wallet(ComponentId::PERSONALIZATION)
}

fn data_suit() -> ComponentId {
    wallet("data.suit")
}

fn decryption_key(world: &World) -> PublicKey {
    world.agent.platform().decryption_key(Persona(0)).unwrap().public_key()
}

/// The wallet's card data, encrypted to `key` and signed by `signer`.
fn card(signer: u8, key: &PublicKey, sequence: u64, content: &[u8]) -> Vec<u8> {
    let kid = thumbprint(key, &provider());
    let to = [To::Key(Recipient { key, kid: Some(&kid.0) })];
    let payload = Payload::sealed(content, &to, &provider()).unwrap();
    sign_manifest(signer, builder(&data_suit(), &data(), sequence, payload))
}

fn read_card(world: &mut World) -> Result<Vec<u8>, tamarack_agent::Error> {
    let mut params = vec![Param::MemrefOutput { capacity: 64, data: Vec::new() }];
    world.call(PERSONALIZATION, &mut params)?;
    match params.remove(0) {
        Param::MemrefOutput { data, .. } => Ok(data),
        _ => unreachable!(),
    }
}

fn reason(result: &ReportResult) -> Option<Reason> {
    match result {
        ReportResult::Success => None,
        ReportResult::Failure { reason, .. } => Some(*reason),
    }
}

#[test]
fn a_ta_reads_what_it_was_personalized_with_and_nobody_is_told() {
    let mut world = World::new();
    world.install_wallet(1);
    assert!(read_card(&mut world).is_err());
    let key = decryption_key(&world);
    let reply = world.exchange(Script::install(card(1, &key, 1, CARD)));
    reply.expect_success();
    assert_eq!(read_card(&mut world).unwrap(), CARD);

    // The device lists the manifest, and no component with a digest from which a card number could be guessed.
    let response = world.query();
    let listed: Vec<_> = response.tc_list.iter().map(|entry| &entry.id).collect();
    assert!(listed.contains(&&data_suit()) && !listed.contains(&&data()), "{listed:?}");
    let digest = provider().sha256(CARD);
    assert!(response.tc_list.iter().all(|entry| entry.digest.is_none_or(|found| found.0 != digest)));
    assert!(world.agent.status().unwrap().components.iter().all(|c| c.digest.0 != digest));
    let report = &reply.reports(1)[0];
    assert_eq!(report.claims, []);
    let told = [&reply.bytes[..], format!("{report:?}").as_bytes()].concat();
    assert!(!told.windows(CARD.len()).any(|window| window == CARD));
    // Nothing of it is left in a place for payloads.
    assert_eq!(world.storage().blobs(), 1);
}

#[test]
fn what_is_for_another_device_is_refused_with_one_code() {
    let mut world = World::new();
    world.install_wallet(1);
    let other = decryption_key(&World::with_seed(2, &seed()));
    let reply = world.refused(Script::install(card(1, &other, 1, CARD)), FAILED, codes::COSE_DECRYPT);
    assert_eq!(reason(&reply.reports(1)[0].result), Some(Reason::OperationFailed));

    // The right key and another ciphertext tell the same, word for word.
    let key = decryption_key(&world);
    let kid = thumbprint(&key, &provider());
    let to = [To::Key(Recipient { key: &key, kid: Some(&kid.0) })];
    let Payload::Sealed { info, mut ciphertext } = Payload::sealed(CARD, &to, &provider()).unwrap() else {
        unreachable!()
    };
    ciphertext[0] ^= 1;
    let changed = builder(&data_suit(), &data(), 1, Payload::Sealed { info, ciphertext });
    let changed = Script::install(sign_manifest(1, changed));
    let again = world.refused(changed, FAILED, codes::COSE_DECRYPT);
    assert_eq!(reply.error().err_msg, again.error().err_msg);
    assert!(read_card(&mut world).is_err());
}

#[test]
fn personalization_needs_its_ta_and_the_tas_own_provider() {
    let mut world = World::new();
    let key = decryption_key(&world);
    let reply =
        world.refused(Script::install(card(1, &key, 1, CARD)), FAILED, codes::SUIT_UNSUPPORTED_COMPONENT);
    assert_eq!(reason(&reply.reports(1)[0].result), Some(Reason::ComponentUnsupported));
    // Another provider's signature does not reach into the domain.
    world.install_wallet(1);
    world.refused(Script::install(card(2, &key, 1, CARD)), FAILED, codes::SUIT_UNAUTHORISED);
    // Another manifest does not own the data (rule R1).
    world.exchange(Script::install(card(1, &key, 1, CARD))).expect_success();
    let to = [To::Key(Recipient { key: &key, kid: None })];
    let thief = builder(&wallet("thief"), &data(), 9, Payload::sealed(b"stolen", &to, &provider()).unwrap());
    world.refused(Script::install(sign_manifest(1, thief)), FAILED, codes::SUIT_NOT_OWNER);
    assert_eq!(read_card(&mut world).unwrap(), CARD);
}

#[test]
fn one_update_brings_ta_and_card_in_any_order() {
    for first in [true, false] {
        let mut world = World::new();
        let key = decryption_key(&world);
        let mut install = vec![card(1, &key, 1, CARD), wallet_envelope(1)];
        if first {
            install.reverse();
        }
        world.exchange(Script { install, ..Script::default() }).expect_success();
        assert_eq!(read_card(&mut world).unwrap(), CARD);
    }
}

#[test]
fn r2_an_older_card_is_refused() {
    let mut world = World::new();
    world.install_wallet(1);
    let key = decryption_key(&world);
    let old = card(1, &key, 1, b"the old card");
    world.exchange(Script::install(old.clone())).expect_success();
    world.exchange(Script::install(card(1, &key, 2, CARD))).expect_success();
    world.refused(Script::install(old), FAILED, codes::SUIT_ROLLBACK);
    assert_eq!(read_card(&mut world).unwrap(), CARD);
}

#[test]
fn the_card_outlives_an_update_of_the_ta_and_goes_with_it() {
    let mut world = World::new();
    world.install_wallet(1);
    let key = decryption_key(&world);
    world.exchange(Script::install(card(1, &key, 1, CARD))).expect_success();
    world.install_wallet(2);
    assert_eq!(read_card(&mut world).unwrap(), CARD);

    world.exchange(Script::remove(wallet("suit"))).expect_success();
    let response = world.query();
    assert!(response.tc_list.iter().all(|entry| entry.id != data_suit()), "the TAM must bring it anew");
    world.install_wallet(3);
    assert!(read_card(&mut world).is_err());
    world.exchange(Script::install(card(1, &key, 2, CARD))).expect_success();
    assert_eq!(read_card(&mut world).unwrap(), CARD);

    // A manifest that personalizes can be removed alone.
    world.exchange(Script::remove(data_suit())).expect_success();
    assert!(read_card(&mut world).is_err());
    assert_eq!(world.count(), 1, "the TA and its other data stay");
}

#[test]
fn an_encrypted_ta_is_installed_as_its_plaintext() {
    let mut world = World::new();
    let key = decryption_key(&world);
    let payload = Payload::integrated("#ta", b"a secret program".to_vec(), &provider());
    let to = [To::Key(Recipient { key: &key, kid: None })];
    let component = Component::new(wallet("ta"), payload);
    let encrypted = Builder::new(wallet("suit"), 1)
        .encrypted(component.clone(), wallet("sealed"), &to, &provider())
        .unwrap();
    let envelope = sign_manifest(1, encrypted);
    assert!(!envelope.windows(16).any(|window| window == b"a secret program"));
    world.exchange(Script::install(envelope)).expect_success();
    let mut params = vec![Param::MemrefOutput { capacity: 64, data: Vec::new() }];
    world.call(MODULE, &mut params).unwrap();
    assert_eq!(params[0], Param::MemrefOutput { capacity: 64, data: b"a secret program".to_vec() });
    // What carried it is not kept.
    let status = world.agent.status().unwrap();
    assert_eq!(status.components.iter().map(|c| &c.component).collect::<Vec<_>>(), [&wallet("ta")]);
    assert_eq!(world.storage().blobs(), 1);

    let other = decryption_key(&World::with_seed(2, &seed()));
    let to = [To::Key(Recipient { key: &other, kid: None })];
    let foreign =
        Builder::new(wallet("suit"), 2).encrypted(component, wallet("sealed"), &to, &provider()).unwrap();
    world.refused(Script::install(sign_manifest(1, foreign)), FAILED, codes::COSE_DECRYPT);
}

/// Who relays an Update has the envelope in his hands, and the content itself where it leaked once.
#[test]
fn a_plain_payload_in_the_place_of_an_encrypted_one_is_refused() {
    let mut world = World::new();
    let key = decryption_key(&world);
    let content = b"a secret program";
    let payload = Payload::integrated("#ta", content.to_vec(), &provider());
    let to = [To::Key(Recipient { key: &key, kid: None })];
    let encrypted = Builder::new(wallet("suit"), 1)
        .encrypted(Component::new(wallet("ta"), payload), wallet("sealed"), &to, &provider())
        .unwrap();
    let envelope = sign_manifest(1, encrypted);
    let parsed = Envelope::parse(&envelope, &Limits::default()).unwrap();
    let ciphertext = parsed.integrated_payloads().next().unwrap().1.to_vec();
    let at = envelope.windows(ciphertext.len()).position(|window| window == ciphertext).unwrap();
    let mut altered = ciphertext.clone();
    altered[0] ^= 1;
    for replaced in [[&content[..], content].concat(), altered] {
        assert_eq!(replaced.len(), ciphertext.len());
        let mut changed = envelope.clone();
        changed[at..at + replaced.len()].copy_from_slice(&replaced);
        world.refused(Script::install(changed), FAILED, codes::SUIT_CONDITION);
        assert_eq!(world.storage().blobs(), 0);
    }
    world.exchange(Script::install(envelope)).expect_success();
}

#[test]
fn personalization_data_is_bounded() {
    let mut world = World::new();
    world.install_wallet(1);
    let key = decryption_key(&world);
    let limit = tamarack_agent::AgentConfig::default().ta.object_size;
    world.refused(Script::install(card(1, &key, 1, &vec![0; limit + 1])), FAILED, codes::SUIT_LIMIT);
    world.exchange(Script::install(card(1, &key, 1, &vec![0; limit]))).expect_success();
}

#[test]
fn a_manifest_that_drops_the_data_takes_it_away() {
    let mut world = World::new();
    let key = decryption_key(&world);
    let both = |sequence, card: bool| {
        let ta = Payload::integrated("#ta", b"wallet".to_vec(), &provider());
        let mut builder = Builder::new(wallet("suit"), sequence).component(Component::new(wallet("ta"), ta));
        if card {
            let to = [To::Key(Recipient { key: &key, kid: None })];
            let sealed = Payload::sealed(CARD, &to, &provider()).unwrap();
            builder = builder.component(Component::new(data(), sealed));
        }
        Script::install(sign_manifest(1, builder))
    };
    world.exchange(both(1, true)).expect_success();
    assert_eq!(read_card(&mut world).unwrap(), CARD);
    world.exchange(both(2, false)).expect_success();
    assert!(read_card(&mut world).is_err());
}
