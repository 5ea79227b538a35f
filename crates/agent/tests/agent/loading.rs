//! What a TA needs to start, and what it may do.

use tamarack_agent::{AnchorChange, AnchorOrder, AnchorState, Error, Subject, TaName};
use tamarack_cbor::Encode;
use tamarack_cose::{Sign1, SignOptions};
use tamarack_model::codes;
use tamarack_suit::author::{Component, Payload};
use tamarack_tee::{Change, Param, Params, Platform, TaError, TaReturn};

use crate::world::*;

fn open(world: &mut World) -> Result<tamarack_agent::SessionId, Error> {
    world.agent.open_session(NOW, &TaName::Uuid(WALLET), None, &mut Params::new())
}

/// Changes sealed storage behind the Agent's back, as its own code never would, and restarts.
fn tamper(world: &mut World, changes: impl FnOnce(&mut tamarack_testkit::memory_platform::MemoryPlatform)) {
    let mut platform = platform(1, world.storage());
    changes(&mut platform);
    world.restart();
}

fn record(world: &World, prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    world.storage().pairs().into_iter().find(|(key, _)| key.starts_with(prefix)).unwrap()
}

#[test]
fn l1_what_runs_is_what_was_installed() {
    let mut world = World::new();
    world.install_wallet(1);
    // The record points to other content.
    let (key, mut value) = record(&world, b"s/component/");
    tamper(&mut world, |platform| {
        let blob = platform.stage().unwrap();
        platform.stage_write(blob, b"evil").unwrap();
        platform.stage_finish(blob).unwrap();
        let at = value.windows(16).position(|w| w[..7] == [0; 7]).unwrap();
        value[at..at + 16].copy_from_slice(&blob.0);
        platform.commit(vec![Change::KeepBlob(blob), Change::Put(key, value)]).unwrap();
    });
    // The manifest's own image-match would see it too; this is the check before.
    let expected = Error::Unauthorised("its content is not what was installed".into());
    assert_eq!((open(&mut world), codes::TA_UNAUTHORISED), (Err(expected.clone()), expected.code()));
}

#[test]
fn l1_the_stored_manifest_is_verified_again() {
    let mut world = World::new();
    world.install_wallet(1);
    let (key, mut value) = record(&world, b"s/manifest/");
    let last = value.len() - 1;
    value[last] ^= 1;
    tamper(&mut world, |platform| platform.commit(vec![Change::Put(key, value)]).unwrap());
    assert_eq!(open(&mut world).unwrap_err().code(), codes::TA_UNAUTHORISED);
}

#[test]
fn l1_a_ta_without_committed_record_does_not_start() {
    let mut world = World::new();
    world.install_wallet(1);
    let (key, _) = record(&world, b"s/component/");
    tamper(&mut world, |platform| platform.commit(vec![Change::Delete(key)]).unwrap());
    assert_eq!(open(&mut world), Err(Error::NoTa));
}

#[test]
fn l1_an_update_closes_the_sessions_of_its_ta() {
    let mut world = World::new();
    world.install_wallet(1);
    let session = open(&mut world).unwrap();
    let mut params = vec![Param::ValueOutput(0, 0)];
    world.agent.invoke(NOW, session, COUNT, &mut params).unwrap();
    // Another Owner's TA of the same name is not concerned.
    world.tam = key(2, "tam");
    world.install_wallet(1);
    world.agent.invoke(NOW, session, COUNT, &mut params).unwrap();
    world.tam = key(1, "tam");
    world.install_wallet(2);
    assert_eq!(world.agent.invoke(NOW, session, COUNT, &mut params), Err(Error::NoSession));
    assert_eq!(world.agent.status().unwrap().sessions, 0);
}

#[test]
fn l1_revocation_kills_at_once() {
    let check = |subject: Subject| {
        let mut world = World::new();
        world.install_wallet(1);
        let session = open(&mut world).unwrap();
        let order = AnchorOrder { sequence: 2, subject, change: AnchorChange::State(AnchorState::Revoked) };
        let signed = Sign1::sign(&*key(1, "authority"), &order.to_cbor(), &[], &SignOptions::default());
        world.agent.change_anchor(&signed.unwrap()).unwrap();
        let result = world.agent.invoke(NOW, session, COUNT, &mut vec![Param::ValueOutput(0, 0)]);
        assert_eq!(result, Err(Error::NoSession));
        assert_eq!(open(&mut world).unwrap_err().code(), codes::TA_UNAUTHORISED);
    };
    check(Subject::Provider("acme".into()));
    check(Subject::Tam(OWNER));
}

#[test]
fn l1_a_manifest_for_another_device_class_does_not_run() {
    let mut world = World::new();
    let payload = || Payload::integrated("#ta", b"x".to_vec(), &provider());
    let for_class = |class| {
        let component = Component { class: Some(class), ..Component::new(wallet("ta"), payload()) };
        let builder = tamarack_suit::author::Builder::new(wallet("suit"), 1).component(component);
        Script::install(sign_manifest(1, builder))
    };
    let failed = tamarack_teep::ErrCode::ManifestProcessingFailed;
    world.refused(for_class([1; 16]), failed, codes::SUIT_CONDITION);
    world.exchange(for_class([0xb0; 16])).expect_success();
    open(&mut world).unwrap();
}

#[test]
fn l1_a_module_that_is_no_ta_is_installed_but_does_not_start() {
    let mut world = World::new();
    let envelope = envelope(1, &wallet("suit"), &wallet("ta"), 1, b"not a TA");
    world.exchange(Script::install(envelope)).expect_success();
    assert_eq!(open(&mut world).unwrap_err().code(), codes::TA_INVALID);
}

#[test]
fn l2_a_name_that_two_owners_use_is_decided_by_the_callers_tam() {
    let mut world = World::new();
    world.install_wallet(1);
    assert_eq!(world.count(), 1);
    world.tam = key(2, "tam");
    world.install_wallet(1);
    assert_eq!(open(&mut world), Err(Error::NoTa), "bound to none of them");
    assert_eq!(world.count(), 2);
    let name = TaName::Component(wallet("ta"));
    let session = world.agent.open_session(NOW, &name, Some(OTHER_URI), &mut Params::new()).unwrap();
    let mut params = vec![Param::ValueOutput(0, 0)];
    world.agent.invoke(NOW, session, COUNT, &mut params).unwrap();
    assert_eq!(params[0], Param::ValueOutput(1, 0), "data of its own");
}

#[test]
fn l3_objects_are_scoped_and_sealed() {
    let mut world = World::new();
    world.install_wallet(1);
    let other = |kind| id("com.acme", [0x33; 16], kind);
    world.exchange(Script::install(envelope(1, &other("suit"), &other("ta"), 1, b"other"))).expect_success();
    assert_eq!((world.count(), world.count()), (1, 2));
    let mut params = vec![Param::ValueOutput(0, 0)];
    world.call_ta([0x33; 16], COUNT, &mut params).unwrap();
    assert_eq!(params[0], Param::ValueOutput(1, 0), "the same name is another object");

    // An entry moved to the other TA's name is not authentic there.
    let entries: Vec<_> =
        world.storage().pairs().into_iter().filter(|(key, _)| key.starts_with(b"s/ta/")).collect();
    assert_eq!(entries.len(), 2);
    assert!(entries.iter().all(|(_, value)| value.len() == 12 + 4 + 16), "nonce, ciphertext, tag");
    let [(first, value), (second, _)] = &entries[..] else { unreachable!() };
    assert_ne!(first, second);
    tamper(&mut world, |platform| {
        platform.commit(vec![Change::Put(second.clone(), value.clone())]).unwrap();
    });
    let failed = world.call_ta([0x33; 16], COUNT, &mut vec![Param::ValueOutput(0, 0)]);
    assert_eq!(failed, Err(Error::Ta(TaError::Returned(TaReturn::GENERIC))));
}

#[test]
fn what_a_call_wrote_is_durable_unless_it_panicked() {
    let mut world = World::new();
    world.install_wallet(1);
    assert_eq!(world.count(), 1);
    // An error of the TA's own keeps what was written.
    let refused = world.call(REFUSE, &mut vec![]);
    assert_eq!(refused, Err(Error::Ta(TaError::Returned(TaReturn::ACCESS_DENIED))));
    let session = open(&mut world).unwrap();
    let before = world.digest();
    let panic = world.agent.invoke(NOW, session, PANIC, &mut vec![]).unwrap_err();
    assert_eq!(panic.code(), codes::TA_PANIC);
    assert_eq!(world.digest(), before, "a panic undoes");
    assert_eq!(world.agent.invoke(NOW, session, REFUSE, &mut vec![]), Err(Error::NoSession));
    world.restart();
    assert_eq!(world.count(), 3);
}

#[test]
fn a_result_is_not_given_before_it_is_durable() {
    let mut world = World::new();
    world.install_wallet(1);
    assert_eq!(world.count(), 1);
    let session = open(&mut world).unwrap();
    world.storage().cut_power_after(0);
    let mut params = vec![Param::ValueOutput(0, 0)];
    let result = world.agent.invoke(NOW, session, COUNT, &mut params).unwrap_err();
    assert_eq!(result.code(), codes::TEE_STORAGE);
    world.storage().restore_power();
    assert_eq!(world.agent.invoke(NOW, session, COUNT, &mut params), Err(Error::NoSession));
    assert_eq!(world.count(), 2);
}
