use alloc::vec::Vec;

use tamarack_cose::{Recipient, SignOptions, To, thumbprint};
use tamarack_crypto::{KeyType, PublicKey};
use tamarack_model::{ComponentId, DeviceId};
use tamarack_store::{Personalization, Provider, Read, StoreOp, TenantId};
use tamarack_suit::author::{Builder, Component, Payload};

use super::world::{id, key};
use super::*;
use crate::personal::{check_personalization, decryption_key};

const CARD: &[u8] = b"4012 8888 8888 1881";

fn named(kind: &str) -> ComponentId {
    ComponentId::tamarack("acme", [7; 16], kind).unwrap()
}

fn sealed(world: &World, key: &PublicKey) -> Payload {
    let kid = thumbprint(key, &world.crypto);
    let to = [To::Key(Recipient { key, kid: Some(&kid.0) })];
    Payload::sealed(CARD, &to, &world.crypto).unwrap()
}

fn signed(world: &World, signer: &dyn Sign, builder: &Builder) -> Vec<u8> {
    builder.build(&world.crypto).unwrap().sign(signer, &SignOptions::default()).unwrap().envelope()
}

fn card(world: &World, key: &PublicKey, sequence: u64) -> Builder {
    Builder::new(named("data.suit"), sequence).component(Component::new(named("data"), sealed(world, key)))
}

fn check(world: &World, device: &Device, envelope: &[u8]) -> Result<u64, Code> {
    let row = world.row(device);
    let given = check_personalization(envelope, &world.provider(), &row, &world.store, &world.crypto);
    given.map(|given| given.sequence).map_err(|e| e.code)
}

/// What the REST interface does.
fn give(world: &World, device: &Device, envelope: &[u8]) {
    let row = Personalization {
        tenant: TenantId::default(),
        device: device.id(&world.crypto),
        manifest: named("data.suit"),
        data: envelope.to_vec(),
        set: NOW,
        delivered: None,
    };
    world.apply([StoreOp::SetPersonalization(row)]);
}

fn delivered(world: &World, device: DeviceId) -> Option<u64> {
    world.store.personalizations(&TenantId::default(), &device).unwrap()[0].delivered
}

/// A world with the wallet published, and a device that has proved itself.
fn known() -> (World, Device) {
    let world = World::new();
    let builder = Builder::new(named("suit"), 1)
        .component(Component::new(named("ta"), Payload::integrated("#ta", b"wasm".to_vec(), &world.crypto)));
    world.publish_envelope(&signed(&world, world.signer.as_ref(), &builder));
    let device = world.device();
    no_content(&world.query(&device));
    (world, device)
}

#[test]
fn the_row_of_a_device_has_the_key_of_its_evidence() {
    let (world, device) = known();
    assert_eq!(decryption_key(&world.row(&device)), Some(device.decryption));
}

#[test]
fn personalization_goes_to_its_device_once_the_ta_is_there() {
    let (world, mut device) = known();
    let other = world.device();
    no_content(&world.query(&other));
    let envelope = signed(&world, world.signer.as_ref(), &card(&world, &device.decryption, 3));
    assert_eq!(check(&world, &device, &envelope), Ok(3));
    give(&world, &device, &envelope);
    // There is no TA yet.
    no_content(&world.query(&device));

    device.requested.push(named("ta"));
    let update = world.update(&world.query(&device));
    assert_eq!(update.manifest_list.len(), 2, "the TA, and what it is personalized with");
    assert_eq!(update.manifest_list[1], tamarack_suit::untagged(&envelope));
    let token = update.token.unwrap();
    let reports: Vec<_> =
        update.manifest_list.iter().map(|envelope| device.report(envelope, Some(&token), true)).collect();
    assert_eq!(delivered(&world, device.id(&world.crypto)), None);
    no_content(&world.post(&device.success(&token, &reports)));
    assert_eq!(delivered(&world, device.id(&world.crypto)), Some(NOW));

    // Held, it is not sent again; lost with its TA, it is.
    device.requested.clear();
    update.manifest_list.iter().for_each(|envelope| device.install(envelope));
    device.held.push(tamarack_model::TcEntry {
        id: named("ta"),
        digest: Some(tamarack_model::Sha256Digest([6; 32])),
        size: None,
    });
    no_content(&world.query(&device));
    device.held.retain(|held| held.id != named("data.suit"));
    device.epoch += 1;
    let again = world.update(&world.query(&device));
    assert_eq!(again.manifest_list, [tamarack_suit::untagged(&envelope)]);

    // Another device with the TA gets nothing of it.
    let mut other = other;
    other.requested.push(named("ta"));
    assert_eq!(world.update(&world.query(&other)).manifest_list.len(), 1);
}

#[test]
fn a_disabled_provider_gives_nothing() {
    let (world, mut device) = known();
    give(&world, &device, &signed(&world, world.signer.as_ref(), &card(&world, &device.decryption, 1)));
    device.held.push(tamarack_model::TcEntry {
        id: named("ta"),
        digest: Some(tamarack_model::Sha256Digest([6; 32])),
        size: None,
    });
    device.epoch += 1;
    world.apply([StoreOp::UpdateProvider(Provider { enabled: false, ..world.provider() })]);
    no_content(&world.query(&device));
    world.apply([StoreOp::UpdateProvider(world.provider())]);
    assert_eq!(world.update(&world.query(&device)).manifest_list.len(), 1);
}

#[test]
fn a_tam_takes_no_data_that_it_could_read_nor_for_another_key() {
    let (world, device) = known();
    let signer = world.signer.as_ref();
    let ours = &device.decryption;
    let with = |payload| {
        let component = Component::new(named("data"), payload);
        signed(&world, signer, &Builder::new(named("data.suit"), 1).component(component))
    };
    let plain = with(Payload::Inline(CARD.to_vec()));
    let fetched = with(Payload::by_uri("https://acme.example/card", CARD, &world.crypto));
    let integrated = with(Payload::integrated("#card", CARD.to_vec(), &world.crypto));
    let other = signed(&world, signer, &card(&world, &world.device().decryption, 1));
    let two = card(&world, ours, 1).component(Component::new(named("more"), sealed(&world, ours)));
    let not_data =
        Builder::new(named("data.suit"), 1).component(Component::new(named("ta"), sealed(&world, ours)));
    for (envelope, expected) in [
        (plain, codes::PUBLISH_PAYLOAD),
        (fetched, codes::PUBLISH_PAYLOAD),
        (integrated, codes::PUBLISH_PAYLOAD),
        (other, codes::PUBLISH_PAYLOAD),
        (signed(&world, signer, &two), codes::PUBLISH_PAYLOAD),
        (signed(&world, signer, &not_data), codes::PUBLISH_PAYLOAD),
        (signed(&world, key(KeyType::P256).as_ref(), &card(&world, ours, 1)), codes::PUBLISH_UNSIGNED),
        (b"garbage".to_vec(), codes::SUIT_MALFORMED),
    ] {
        assert_eq!(check(&world, &device, &envelope), Err(expected));
    }
    let foreign = Builder::new(id("globex/x/data.suit"), 1)
        .component(Component::new(id("globex/x/data"), sealed(&world, ours)));
    assert_eq!(check(&world, &device, &signed(&world, signer, &foreign)), Err(codes::PUBLISH_PREFIX));
}

#[test]
fn r2_personalization_does_not_go_back() {
    let (world, device) = known();
    let signed =
        |sequence| signed(&world, world.signer.as_ref(), &card(&world, &device.decryption, sequence));
    give(&world, &device, &signed(5));
    for (sequence, expected) in
        [(4, Err(codes::PUBLISH_ROLLBACK)), (5, Err(codes::PUBLISH_ROLLBACK)), (6, Ok(6))]
    {
        assert_eq!(check(&world, &device, &signed(sequence)), expected);
    }
}
