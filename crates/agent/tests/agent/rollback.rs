//! Sequence numbers, ownership of components, deletion.

use tamarack_agent::Operations;
use tamarack_model::{Outcome, codes};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_suit::{Reason, ReportResult};
use tamarack_teep::ErrCode;

use crate::world::*;

const FAILED: ErrCode = ErrCode::ManifestProcessingFailed;

fn reason(result: &ReportResult) -> Option<Reason> {
    match result {
        ReportResult::Success => None,
        ReportResult::Failure { reason, .. } => Some(*reason),
    }
}

#[test]
fn r1_a_manifest_must_name_itself() {
    let mut world = World::new();
    let payload = Payload::integrated("#ta", b"x".to_vec(), &provider());
    let nameless =
        Builder { manifest_component_id: None, ..builder(&wallet("suit"), &wallet("ta"), 1, payload) };
    let script = Script::install(sign_manifest(1, nameless));
    let reply = world.refused(script, FAILED, codes::SUIT_NO_MANIFEST_ID);
    assert_eq!(reason(&reply.reports(1)[0].result), Some(Reason::ComponentUnauthorised));
}

#[test]
fn r1_one_manifest_owns_each_component() {
    let mut world = World::new();
    world.install_wallet(1);
    let thief = || envelope(1, &wallet("thief"), &wallet("ta"), 1, b"thief");
    world.refused(Script::install(thief()), FAILED, codes::SUIT_NOT_OWNER);
    // Also within one Update.
    let fresh = |kind| id("com.acme", [4; 16], kind);
    let both = Script {
        install: vec![
            envelope(1, &fresh("suit"), &fresh("ta"), 1, b"a"),
            envelope(1, &fresh("thief"), &fresh("ta"), 1, b"b"),
        ],
        ..Script::default()
    };
    world.refused(both, FAILED, codes::SUIT_UNAUTHORISED);
    // Once its owner is gone the component is free.
    let script = Script { install: vec![thief()], remove: vec![wallet("suit")], ..Script::default() };
    world.exchange(script).expect_success();
}

#[test]
fn r1_counters_are_per_owner() {
    let mut world = World::new();
    world.install_wallet(5);
    world.tam = key(2, "tam");
    world.install_wallet(1);
    assert_eq!(world.agent.status().unwrap().components.len(), 2);
}

#[test]
fn r2_lower_sequence_is_refused() {
    let mut world = World::new();
    world.install_wallet(2);
    let reply = world.refused(Script::install(wallet_envelope(1)), FAILED, codes::SUIT_ROLLBACK);
    let reports = reply.reports(1);
    assert_eq!(reason(&reports[0].result), Some(Reason::ConditionFailed));
    assert!(matches!(reports[0].result, ReportResult::Failure { code: 2006, .. }));
    assert!(reply.error().err_msg.as_ref().unwrap().starts_with("TMK-2006"));
}

#[test]
fn r2_equal_sequence_with_another_digest_is_refused() {
    let mut world = World::new();
    world.install_wallet(2);
    let other = envelope(1, &wallet("suit"), &wallet("ta"), 2, b"another");
    world.refused(Script::install(other), FAILED, codes::SUIT_ROLLBACK);
}

#[test]
fn r2_the_same_manifest_again_changes_nothing() {
    let mut world = World::new();
    world.install_wallet(2);
    let before = world.digest();
    let reply = world.exchange(Script::install(wallet_envelope(2)));
    reply.expect_success();
    assert_eq!(reply.outcome(), Some(&Outcome::Unchanged));
    assert_eq!(reason(&reply.reports(1)[0].result), None);
    assert_eq!(world.digest(), before);
}

#[test]
fn r3_a_tombstone_outlives_the_manifest() {
    let mut world = World::new();
    world.install_wallet(3);
    world.exchange(Script::remove(wallet("suit"))).expect_success();
    world.restart();
    world.refused(Script::install(wallet_envelope(2)), FAILED, codes::SUIT_ROLLBACK);
    let other = envelope(1, &wallet("suit"), &wallet("ta"), 3, b"another");
    world.refused(Script::install(other), FAILED, codes::SUIT_ROLLBACK);
    world.exchange(Script::install(wallet_envelope(3))).expect_success();
}

#[test]
fn r3_evicted_tombstones_fold_into_a_floor() {
    let mut world = World::new();
    let name = |n: u8, kind| id("com.acme", [n; 16], kind);
    let install = |n: u8, sequence| envelope(1, &name(n, "suit"), &name(n, "ta"), sequence, b"content");
    // One more than there is room for: the lowest number gives way.
    for n in 0..=64u8 {
        world.exchange(Script::install(install(n, u64::from(n) + 5))).expect_success();
        world.exchange(Script::remove(name(n, "suit"))).expect_success();
    }
    world.restart();
    // It is not forgotten by number, whoever asks in that domain; the others are remembered by name.
    world.refused(Script::install(install(0, 5)), FAILED, codes::SUIT_ROLLBACK);
    world.refused(Script::install(install(200, 5)), FAILED, codes::SUIT_ROLLBACK);
    world.refused(Script::install(install(1, 5)), FAILED, codes::SUIT_ROLLBACK);
    world.exchange(Script::install(install(200, 6))).expect_success();
    let globex =
        envelope(2, &id("com.globex", [1; 16], "suit"), &id("com.globex", [1; 16], "ta"), 1, b"other");
    world.exchange(Script::install(globex)).expect_success();
}

#[test]
fn r3_delete_and_reinstall_in_one_update() {
    let mut world = World::new();
    world.install_wallet(1);
    assert_eq!(world.count(), 1);
    let script =
        Script { install: vec![wallet_envelope(1)], remove: vec![wallet("suit")], ..Script::default() };
    world.exchange(script).expect_success();
    assert_eq!(world.count(), 1, "the data of the deleted one is gone");
}

#[test]
fn r6_deleting_erases_the_tas_data_and_the_salt_of_its_key() {
    let mut world = World::new();
    world.install_wallet(1);
    world.count();
    let data = |world: &World| {
        let pairs = world.storage().pairs().into_iter();
        pairs.filter(|(key, _)| key.starts_with(b"s/ta/") || key.starts_with(b"s/salt/")).collect::<Vec<_>>()
    };
    let before = data(&world);
    assert_eq!(before.len(), 2);
    world.install_wallet(2);
    assert_eq!(data(&world), before, "an update keeps both");
    world.exchange(Script::remove(wallet("suit"))).expect_success();
    assert_eq!(data(&world), []);
    world.install_wallet(3);
    assert_ne!(data(&world)[0], before[0], "a reinstall gets another salt");
}

#[test]
fn r6_components_that_a_newer_manifest_drops_are_removed() {
    let mut world = World::new();
    let two = |sequence| {
        let payload = |key: &str| Payload::integrated(key, key.as_bytes().to_vec(), &provider());
        Builder::new(wallet("suit"), sequence)
            .component(Component::new(wallet("ta"), payload("#ta")))
            .component(Component::new(wallet("map"), payload("#map")))
    };
    world.exchange(Script::install(sign_manifest(1, two(1)))).expect_success();
    assert_eq!(world.agent.status().unwrap().components.len(), 2);
    world.install_wallet(2);
    assert_eq!(world.agent.status().unwrap().components.len(), 1);
    assert_eq!(world.storage().blobs(), 1);
}

#[test]
fn removing_what_is_not_there_is_no_error() {
    let mut world = World::new();
    let before = world.digest();
    world.exchange(Script::remove(wallet("suit"))).expect_success();
    assert_eq!(world.digest(), before);
}

#[test]
fn k7_operations_of_a_signer_are_kept() {
    let check = |operations, first_works: bool, script: fn() -> Script| {
        let mut seed = seed();
        seed.signers[0].operations = operations;
        let mut world = World::with_seed(1, &seed);
        if first_works {
            world.install_wallet(1);
        }
        world.refused(script(), FAILED, codes::SUIT_UNAUTHORISED);
    };
    let all = Operations::ALL;
    check(Operations { install: false, ..all }, false, || Script::install(wallet_envelope(1)));
    check(Operations { update: false, ..all }, true, || Script::install(wallet_envelope(2)));
    check(Operations { delete: false, ..all }, true, || Script::remove(wallet("suit")));
}
