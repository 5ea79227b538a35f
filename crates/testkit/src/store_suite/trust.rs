//! What devices are judged by: reference values and who gives them, release policies, the last Evidence.

use tamarack_model::DeviceId;
use tamarack_store::{
    Conflict, Recorded, Reference, ReferenceFloor, ReleasePolicy, Store, StoreOp, Tenant, TenantId,
    TenantReferenceProvider,
};

use super::rows::{floor, recorded, reference, reference_provider, release_policy};
use super::{apply, refused};

pub(super) fn insert_reference(row: Reference, floors: Vec<ReferenceFloor>, seen: usize) -> StoreOp {
    StoreOp::InsertReference { row, floors, seen }
}

pub(super) fn reference_values_are_added_in_turn(store: &impl Store) {
    let tenant = TenantId::default();
    let rows = || store.references(&tenant).expect("references");
    let floors = || store.reference_floors(&tenant).expect("floors");
    apply(store, [insert_reference(reference(2), vec![floor(1, 3), floor(2, i64::MAX as u64)], 0)]);
    // Two that were checked against the same state: the later one has to look again.
    refused(store, insert_reference(reference(1), vec![], 0), Conflict::Changed);
    refused(store, insert_reference(reference(2), vec![], 1), Conflict::Exists("reference values"));
    refused(store, insert_reference(reference(1), vec![floor(1, 1 << 63)], 1), Conflict::TooLarge);
    assert_eq!(floors(), [floor(1, 3), floor(2, i64::MAX as u64)]);
    apply(store, [insert_reference(reference(1), vec![floor(1, 2)], 1)]);
    assert_eq!(rows(), [reference(2), reference(1)], "in the order in which they were added");
    assert_eq!(floors()[0], floor(1, 3), "a floor fell");
    apply(store, [insert_reference(reference(3), vec![floor(1, 9)], 2)]);
    assert_eq!(floors()[0], floor(1, 9));

    let off = |id| StoreOp::DeactivateReference { tenant: tenant.clone(), id: [id; 32], at: 7 };
    apply(store, [off(2)]);
    assert_eq!(rows()[0], Reference { deactivated: Some(7), ..reference(2) });
    refused(store, off(2), Conflict::Missing("reference values"));
    refused(store, off(9), Conflict::Missing("reference values"));
    let other = TenantId::new("other").expect("a tenant");
    apply(store, [StoreOp::InsertTenant(Tenant { id: other.clone(), created: 1 })]);
    assert!(store.references(&other).expect("references").is_empty());
    assert!(store.reference_floors(&other).expect("floors").is_empty());
    apply(
        store,
        [insert_reference(Reference { tenant: other.clone(), ..reference(1) }, vec![floor(1, 1)], 0)],
    );
    assert_eq!(floors()[0], floor(1, 9));
}

pub(super) fn reference_providers_are_of_one_tenant(store: &impl Store) {
    let tenant = TenantId::default();
    let rows = |tenant: &TenantId| store.reference_providers(tenant).expect("reference providers");
    let bare =
        TenantReferenceProvider { maker: false, scope: vec![], elements: None, ..reference_provider("Bare") };
    let put = |row: &TenantReferenceProvider| apply(store, [StoreOp::PutReferenceProvider(row.clone())]);
    put(&reference_provider("Zeta"));
    put(&bare);
    assert_eq!(rows(&tenant), [bare.clone(), reference_provider("Zeta")], "in order of name");
    let changed = TenantReferenceProvider { set: 9, elements: None, ..reference_provider("Zeta") };
    put(&changed);
    assert_eq!(rows(&tenant), [bare, changed.clone()]);
    let other = TenantId::new("other").expect("a tenant");
    apply(store, [StoreOp::InsertTenant(Tenant { id: other.clone(), created: 1 })]);
    assert!(rows(&other).is_empty());
    put(&TenantReferenceProvider { tenant: other.clone(), ..reference_provider("Zeta") });
    let remove = |name: &str| StoreOp::RemoveReferenceProvider { tenant: tenant.clone(), name: name.into() };
    apply(store, [remove("Bare")]);
    assert_eq!(rows(&tenant), [changed]);
    assert_eq!(rows(&other).len(), 1);
    refused(store, remove("Bare"), Conflict::Missing("provider of reference values"));
}

pub(super) fn release_policies_have_a_history(store: &impl Store) {
    let tenant = TenantId::default();
    assert_eq!(store.release_policy(&tenant).unwrap(), None);
    let set = |row: ReleasePolicy| StoreOp::SetReleasePolicy(row);
    let taken = Conflict::Exists("version of the release policy");
    refused(store, set(release_policy(2, None)), taken);
    apply(store, [set(release_policy(1, Some("true")))]);
    // Two that were written against the same version: the later one has to look again.
    refused(store, set(release_policy(1, Some("false"))), taken);
    apply(store, [set(release_policy(2, None)), set(release_policy(3, Some("false")))]);
    refused(store, set(release_policy(1 << 63, None)), Conflict::TooLarge);
    assert_eq!(store.release_policy(&tenant).unwrap(), Some(release_policy(3, Some("false"))));
    assert_eq!(
        store.release_policies(&tenant).unwrap(),
        [release_policy(3, Some("false")), release_policy(2, None), release_policy(1, Some("true"))]
    );
    let other = TenantId::new("other").expect("a tenant");
    apply(store, [StoreOp::InsertTenant(Tenant { id: other.clone(), created: 1 })]);
    assert_eq!(store.release_policy(&other).unwrap(), None);
    apply(store, [set(ReleasePolicy { tenant: other.clone(), ..release_policy(1, Some("x")) })]);
    assert_eq!(store.release_policies(&tenant).unwrap().len(), 3);
    assert_eq!(store.release_policies(&other).unwrap().len(), 1);
}

pub(super) fn the_last_evidence_is_kept(store: &impl Store) {
    let tenant = TenantId::default();
    let read = |device: u8| store.recorded(&tenant, &DeviceId([device; 32])).unwrap();
    let record = |row: Recorded| apply(store, [StoreOp::Record(Box::new(row))]);
    assert_eq!(read(1), None);
    record(recorded(1, 5));
    assert_eq!(read(1), Some(recorded(1, 5)));
    let bare = Recorded {
        otrp: false,
        format: None,
        evidence: vec![],
        policy: None,
        withheld: vec![],
        ..recorded(1, 6)
    };
    record(bare.clone());
    assert_eq!((read(1), read(2)), (Some(bare), None));
    let other = TenantId::new("other").expect("a tenant");
    apply(store, [StoreOp::InsertTenant(Tenant { id: other.clone(), created: 1 })]);
    assert_eq!(store.recorded(&other, &DeviceId([1; 32])).unwrap(), None);
}
