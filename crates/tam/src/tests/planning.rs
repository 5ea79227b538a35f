use tamarack_model::{HeldBack, OwnerSays, Sha256Digest, TcEntry, View};
use tamarack_store::{Policy, Provider, StoreOp, TenantId};

use super::world::id;
use super::*;
use crate::planner::{Plan, Problem, plan};

fn held(entry: &tamarack_store::CatalogueEntry) -> TcEntry {
    TcEntry { id: entry.manifest.clone(), digest: Some(entry.digest), size: None }
}

fn plan_for(world: &World, held: &[TcEntry], requested: &[&str], unneeded: &[&str]) -> Plan {
    let view = View {
        held: held.to_vec(),
        requested: requested.iter().map(|text| (id(text), None)).collect(),
        unneeded: unneeded.iter().map(|text| id(text)).collect(),
        held_back: Vec::new(),
    };
    plan(&world.store, &TenantId::default(), &view).unwrap()
}

/// Sequence numbers that a plan installs.
fn sequences(plan: &Plan) -> Vec<u64> {
    plan.install.iter().map(|entry| entry.sequence).collect()
}

fn withdraw(world: &World, sequence: u64) {
    let (tenant, manifest) = (TenantId::default(), id("acme/wallet/suit"));
    world.apply([StoreOp::Withdraw { tenant, manifest, sequence, at: NOW }]);
}

fn want(world: &World, component: &str) {
    world.apply([StoreOp::SetPolicy(Policy {
        tenant: TenantId::default(),
        component: id(component),
        since: NOW,
    })]);
}

#[test]
fn requests_are_met_with_the_newest_version() {
    let world = World::new();
    let none = plan_for(&world, &[], &["acme/wallet/ta"], &[]);
    assert_eq!(none.problems, [Problem::NotOffered(id("acme/wallet/ta"))]);
    world.publish(1);
    world.publish(2);
    for name in ["acme/wallet/ta", "acme/wallet/suit"] {
        assert_eq!(sequences(&plan_for(&world, &[], &[name], &[])), [2], "{name}");
    }
    withdraw(&world, 2);
    assert_eq!(sequences(&plan_for(&world, &[], &["acme/wallet/ta"], &[])), [1]);
    assert!(plan_for(&world, &[], &[], &[]).is_empty());
}

#[test]
fn a_request_with_a_minimum_is_not_met_by_less() {
    let world = World::new();
    world.publish(3);
    let view = View { requested: alloc::vec![(id("acme/wallet/ta"), Some(4))], ..View::default() };
    let plan = plan(&world.store, &TenantId::default(), &view).unwrap();
    assert_eq!((plan.install.len(), plan.problems), (0, alloc::vec![Problem::TooOld(id("acme/wallet/ta"))]));
}

#[test]
fn what_is_installed_is_updated() {
    let world = World::new();
    let (one, two) = (world.publish(1), world.publish(2));
    assert_eq!(sequences(&plan_for(&world, &[held(&one)], &[], &[])), [2]);
    assert!(plan_for(&world, &[held(&two)], &["acme/wallet/ta"], &[]).is_empty());
}

#[test]
fn a_downgrade_is_never_planned() {
    let world = World::new();
    let (_, two) = (world.publish(1), world.publish(2));
    withdraw(&world, 2);
    want(&world, "acme/wallet/ta");
    let plan = plan_for(&world, &[held(&two)], &["acme/wallet/ta"], &[]);
    assert!(plan.is_empty() && plan.problems.is_empty(), "{plan:?}");
}

#[test]
fn foreign_digests_are_left_alone() {
    let world = World::new();
    let entry = world.publish(1);
    let foreign = TcEntry { digest: Some(Sha256Digest([0xee; 32])), ..held(&entry) };
    let unnamed = TcEntry { digest: None, size: Some(5), ..held(&entry) };
    let renamed = TcEntry { id: id("acme/other/suit"), ..held(&entry) };
    for held in [foreign, unnamed] {
        assert!(plan_for(&world, core::slice::from_ref(&held), &[], &["acme/wallet/suit"]).is_empty());
        // It may be newer than anything here, so a request does not replace it either.
        let plan = plan_for(&world, &[held], &["acme/wallet/ta"], &[]);
        assert!(plan.is_empty(), "{plan:?}");
        assert_eq!(plan.problems, [Problem::Foreign(id("acme/wallet/suit"))]);
    }
    // A known digest under another id is foreign too.
    world.publish(2);
    assert!(plan_for(&world, &[renamed], &[], &["acme/other/suit"]).is_empty());
}

#[test]
fn unneeded_manifests_are_removed_unless_they_are_wanted() {
    let world = World::new();
    let one = world.publish(1);
    world.publish(2);
    let manifest = "acme/wallet/suit";
    let removed = plan_for(&world, &[held(&one)], &[], &[manifest]);
    assert_eq!((removed.remove.as_slice(), removed.install.len()), (&[id(manifest)][..], 0));
    assert!(plan_for(&world, &[], &[], &[manifest]).is_empty(), "not held");
    for wanted in ["acme/wallet/ta", manifest] {
        let kept = plan_for(&world, &[held(&one)], &[wanted], &[manifest]);
        assert_eq!((kept.remove.len(), sequences(&kept)), (0, alloc::vec![2]), "requested: {wanted}");
    }
    want(&world, "acme/wallet/ta");
    let kept = plan_for(&world, &[held(&one)], &[], &[manifest]);
    assert_eq!((kept.remove.len(), sequences(&kept)), (0, alloc::vec![2]), "wanted by policy");
}

#[test]
fn policy_reaches_every_device_and_disabled_providers_none() {
    let world = World::new();
    let one = world.publish(1);
    want(&world, "acme/wallet/ta");
    assert_eq!(sequences(&plan_for(&world, &[], &[], &[])), [1]);
    world.publish(2);
    world.apply([StoreOp::UpdateProvider(Provider { enabled: false, ..world.provider() })]);
    let plan = plan_for(&world, &[held(&one)], &["acme/wallet/ta"], &[]);
    assert!(plan.is_empty(), "{plan:?}");
    assert_eq!(plan_for(&world, &[], &[], &[]).problems, [Problem::NotOffered(id("acme/wallet/ta"))]);
}

#[test]
fn an_update_holds_what_fits() {
    let mut world = World::new();
    world.publish(1);
    world.publish_envelope(&world.envelope("acme/valve/suit", "acme/valve/ta", 1));
    let size = world.wallet(1).len();
    let mut device = world.device();
    device.requested = alloc::vec![id("acme/valve/ta"), id("acme/wallet/ta")];
    world.tam.config.update_limit = size + 8;
    let first = world.update(&world.query(&device));
    assert_eq!(first.manifest_list.len(), 1);
    device.install(&first.manifest_list[0]);
    let second = world.update(&world.query(&device));
    assert_eq!(second.manifest_list.len(), 1);
    assert_ne!(first.manifest_list, second.manifest_list);
    world.tam.config.update_limit = 10;
    let reply = world.query(&device);
    no_content(&reply);
    assert_eq!(world.session(&reply).code, Some(codes::SUIT_LIMIT));
}

#[test]
fn a_removal_travels_and_is_reported() {
    let world = World::new();
    world.publish(1);
    let mut device = world.device();
    device.install(&world.wallet(1));
    device.unneeded.push(id("acme/wallet/suit"));
    let update = world.update(&world.query(&device));
    assert_eq!(update.unneeded_manifest_list, [id("acme/wallet/suit")]);
    assert!(update.manifest_list.is_empty() && update.agent_nonce.is_some());
    no_content(&world.post(&device.success(&update.token.unwrap(), &[])));
    let reported = world.row(&device).reported.unwrap();
    assert!(reported.entries.iter().all(|entry| entry.id != id("acme/wallet/suit")), "{reported:?}");
}

#[test]
fn a_damaged_artifact_stops_the_update_and_changes_nothing() {
    let world = World::new();
    let entry = world.publish(1);
    let missing = tamarack_store::CatalogueEntry {
        sequence: 2,
        digest: Sha256Digest([9; 32]),
        artifact: Sha256Digest([9; 32]),
        ..entry
    };
    world.apply([StoreOp::Publish(missing)]);
    let mut device = world.device();
    device.requested.push(id("acme/wallet/ta"));
    let before = world.digest();
    refused(&world.query(&device), 500, codes::STORE_FAILED);
    assert_eq!(world.digest(), before);
}

#[test]
fn what_is_in_a_deleted_domain_goes_and_does_not_come() {
    let world = World::new();
    let (tenant, entry) = (TenantId::default(), world.publish(1));
    let domain = tamarack_store::Domain {
        tenant: tenant.clone(),
        name: "acme".into(),
        provider: "acme".into(),
        signers: Vec::new(),
        quota: None,
        created: NOW,
        deleted: None,
    };
    world.apply([StoreOp::InsertDomain(domain)]);
    want(&world, "acme/wallet/ta");
    assert_eq!(sequences(&plan_for(&world, &[], &[], &[])), [1]);
    world.apply([StoreOp::DeleteDomain { tenant, name: "acme".into(), at: NOW }]);
    let plan = plan_for(&world, &[], &[], &[]);
    assert_eq!(
        (sequences(&plan), plan.problems),
        (Vec::new(), [Problem::NotOffered(id("acme/wallet/ta"))].into())
    );
    let plan = plan_for(&world, &[held(&entry)], &[], &[]);
    assert_eq!((sequences(&plan), plan.remove), (Vec::new(), [id("acme/wallet/suit")].into()));
}

#[test]
fn what_the_devices_owner_withholds_is_not_sent_again_before_the_report_changes() {
    let world = World::new();
    world.publish(2);
    let wallet = || id("acme/wallet/suit");
    let planned = |withheld: Vec<HeldBack>| {
        let requested = alloc::vec![(id("acme/wallet/ta"), None)];
        plan(&world.store, &TenantId::default(), &View { requested, held_back: withheld, ..View::default() })
            .unwrap()
    };
    let says = |id, why, sequence| alloc::vec![HeldBack { id, why, sequence }];
    for (withheld, why) in [
        (says(wallet(), OwnerSays::Refused, None), OwnerSays::Refused),
        (says(wallet(), OwnerSays::Deferred, Some(2)), OwnerSays::Deferred),
        // By the component that an application asked for.
        (says(id("acme/wallet/ta"), OwnerSays::Refused, None), OwnerSays::Refused),
    ] {
        let plan = planned(withheld);
        assert_eq!((plan.install.len(), plan.problems), (0, alloc::vec![Problem::ByOwner(wallet(), why)]));
    }
    for withheld in [
        Vec::new(),
        // A newer version has not been asked for yet.
        says(wallet(), OwnerSays::Deferred, Some(1)),
        says(id("acme/valve/suit"), OwnerSays::Refused, None),
    ] {
        let plan = planned(withheld);
        assert_eq!((plan.install.len(), plan.problems.len()), (1, 0));
    }
}
