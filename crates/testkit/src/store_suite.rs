//! The contract of a TAM store: every backend passes [`contract`].

use tamarack_crypto::Provider as Crypto;
use tamarack_model::{DeviceId, Sha256Digest};
use tamarack_store::{
    AuditEntry, Conflict, Device, Domain, PendingCommand, PendingUpdate, Policy, Provider, StateMark, Store,
    StoreError, StoreOp, Tenant, TenantId, TenantReferenceProvider, registry_digest, verify_audit,
};

mod catalog;
mod exchange;
mod rows;
mod trust;

use exchange::burn;
use rows::{
    audit, floor, held_domain, personalization, recorded, reference, reference_provider, release_policy,
    session, token,
};
pub use rows::{device, domain, entry, id, pending, provider};
use trust::insert_reference;

/// Makes a fresh store with `open` for each rule and checks that it is kept.
///
/// # Panics
///
/// When a rule is broken, with the rule.
pub fn contract<S: Store>(crypto: &Crypto, mut open: impl FnMut() -> S) {
    rows_read_back(&open());
    batches_are_whole(&open());
    catalog::tenants_are_apart(&open());
    catalog::providers_do_not_overlap(&open());
    catalog::tokens_are_revoked_once(&open());
    catalog::sequence_numbers_only_rise(&open());
    catalog::a_manifest_id_stays_with_its_provider(&open());
    catalog::domains_are_created_and_deleted(&open());
    catalog::personalization_is_delivered_as_it_was_set(&open());
    catalog::the_newest_is_offered(&open());
    trust::reference_values_are_added_in_turn(&open());
    trust::reference_providers_are_of_one_tenant(&open());
    trust::release_policies_have_a_history(&open());
    trust::the_last_evidence_is_kept(&open());
    exchange::device_rows_are_written_by_one(&open());
    exchange::c2_a_challenge_burns_once(&open());
    exchange::c4_at_most_four_updates_wait(&open());
    exchange::c4_a_token_is_answered_once(&open());
    exchange::s3_time_does_not_go_back(&open());
    exchange::sessions_end_once(&open());
    audit_is_a_chain(&open(), crypto);
    numbers_have_a_range(&open());
    artifacts_are_addressed_by_content(&open(), crypto);
    the_registry_digest_sees_every_row(&mut open, crypto);
}

fn put(device: Device) -> StoreOp {
    StoreOp::PutDevice(Box::new(device))
}

fn apply(store: &impl Store, ops: impl IntoIterator<Item = StoreOp>) {
    store.apply(ops.into_iter().collect()).expect("the batch is accepted");
}

#[track_caller]
fn refused(store: &impl Store, op: StoreOp, conflict: Conflict) {
    assert_eq!(store.apply(vec![op]), Err(StoreError::Conflict(conflict)));
}

fn rows_read_back(store: &impl Store) {
    let t = TenantId::default();
    let (acme, wallet, phone) =
        (provider("acme", "acme"), entry("acme/wallet/suit", "acme/wallet/ta", 2), device(1));
    let policy = Policy { tenant: t.clone(), component: id("acme/wallet/ta"), since: 3 };
    apply(
        store,
        [
            StoreOp::InsertProvider(acme.clone()),
            StoreOp::InsertToken(token(1)),
            StoreOp::Publish(wallet.clone()),
            StoreOp::SetPolicy(policy.clone()),
            put(phone.clone()),
            StoreOp::InsertPending(pending(1, 1)),
            StoreOp::InsertSession(session(1)),
        ],
    );
    assert_eq!(store.tenant(&t).unwrap(), Some(Tenant { id: t.clone(), created: 0 }));
    assert_eq!(store.provider(&t, "acme").unwrap(), Some(acme.clone()));
    assert_eq!(store.providers(&t).unwrap(), vec![acme]);
    assert_eq!(store.token(&[1; 32]).unwrap(), Some(token(1)));
    assert_eq!(store.tokens(&t).unwrap(), vec![token(1)]);
    assert_eq!(store.catalogue(&t).unwrap(), vec![wallet.clone()]);
    assert_eq!(store.entry(&t, &wallet.manifest, 2).unwrap(), Some(wallet.clone()));
    assert_eq!(store.entry(&t, &wallet.manifest, 1).unwrap(), None);
    assert_eq!(store.entry(&t, &wallet.manifest, u64::MAX).unwrap(), None);
    assert_eq!(store.entry_by_digest(&t, &wallet.digest.0).unwrap(), Some(wallet));
    assert_eq!(store.policies(&t).unwrap(), vec![policy.clone()]);
    let stored = Device { revision: 1, ..phone };
    assert_eq!(store.device(&t, &stored.id).unwrap(), Some(stored.clone()));
    assert_eq!(store.device_by_teep_key(&t, &stored.teep.unwrap().id).unwrap(), Some(stored.clone()));
    assert_eq!(store.device_by_did(&t, &stored.otrp.as_ref().unwrap().did).unwrap(), Some(stored.clone()));
    let bare = Device {
        teep: None,
        otrp: None,
        state: None,
        quarantine: None,
        reported: None,
        attested: None,
        held_back: Vec::new(),
        ..device(2)
    };
    apply(store, [put(bare.clone())]);
    // No key at all is nobody's key twice.
    apply(store, [put(Device { id: DeviceId([3; 32]), ..bare.clone() })]);
    let bare = Device { revision: 1, ..bare };
    assert_eq!(
        store.devices(&t, None, 10).unwrap(),
        vec![stored.clone(), bare.clone(), Device { id: DeviceId([3; 32]), ..bare.clone() }]
    );
    assert_eq!(store.devices(&t, None, 1).unwrap(), vec![stored.clone()]);
    assert_eq!(store.devices(&t, Some(&stored.id), 1).unwrap(), vec![bare]);
    assert_eq!(store.pending(&t, &[1; 32]).unwrap(), Some(pending(1, 1)));
    for (number, (domain, drops)) in [(2, (Some(held_domain()), false)), (3, (None, true))] {
        let personalizes = drops.then(|| (id("acme/w/suit"), 9));
        let command =
            PendingCommand { round: 3, restarted: drops, did: [7; 32], domain, drops, personalizes };
        let row = PendingUpdate { command: Some(command), ..pending(1, number) };
        apply(store, [StoreOp::InsertPending(row.clone())]);
        assert_eq!(store.pending(&t, &[number; 32]).unwrap(), Some(row));
    }
    assert_eq!(store.session(&t, &[1; 16]).unwrap(), Some(session(1)));
    apply(store, [StoreOp::ClearPolicy { tenant: t.clone(), component: policy.component.clone() }]);
    refused(
        store,
        StoreOp::ClearPolicy { tenant: t.clone(), component: policy.component },
        Conflict::Missing("policy"),
    );
    assert_eq!(store.policies(&t).unwrap(), vec![]);
}

fn batches_are_whole(store: &impl Store) {
    let batch = vec![
        StoreOp::AdvanceTime(50),
        StoreOp::InsertProvider(provider("acme", "acme")),
        burn(1, 60),
        burn(1, 60),
    ];
    assert_eq!(store.apply(batch), Err(Conflict::Burned.into()));
    assert_eq!(
        store.providers(&TenantId::default()).unwrap(),
        vec![],
        "the first part of a failed batch is undone"
    );
    assert_eq!((store.time().unwrap(), store.is_burned(&[1; 16]).unwrap()), (0, false));
}

fn audit_is_a_chain(store: &impl Store, crypto: &Crypto) {
    let (tenant, other) = (TenantId::default(), TenantId::new("other").unwrap());
    apply(store, [StoreOp::InsertTenant(Tenant { id: other.clone(), created: 1 })]);
    apply(store, ["a", "b", "c"].map(|subject| StoreOp::Audit(audit(subject))));
    apply(store, [StoreOp::Audit(AuditEntry { tenant: other.clone(), ..audit("a") })]);
    let mut records = store.audit(&tenant, 0, 10).unwrap();
    assert_eq!(
        records.iter().map(|r| (r.number, r.entry.subject.as_str())).collect::<Vec<_>>(),
        [(1, "a"), (2, "b"), (3, "c")]
    );
    assert_eq!(store.audit(&other, 0, 10).unwrap()[0].number, 1, "each tenant has a chain of its own");
    assert_eq!(store.audit(&tenant, 1, 1).unwrap(), records[1..2]);
    assert!(verify_audit(&[0; 32], &records, crypto));
    assert!(verify_audit(&records[0].digest, &records[1..], crypto));
    records[1].entry.detail = "changed".into();
    assert!(!verify_audit(&[0; 32], &records, crypto), "a changed record breaks the chain");
    records.remove(1);
    assert!(!verify_audit(&[0; 32], &records, crypto), "a missing record breaks the chain");
}

fn numbers_have_a_range(store: &impl Store) {
    apply(store, [StoreOp::InsertProvider(provider("acme", "acme"))]);
    refused(store, StoreOp::Publish(entry("acme/w/suit", "acme/w/ta", 1 << 63)), Conflict::TooLarge);
    apply(store, [StoreOp::Publish(entry("acme/w/suit", "acme/w/ta", (1 << 63) - 1))]);
    let state = Some(StateMark { epoch: u64::MAX, root: [0; 32] });
    refused(store, put(Device { state, ..device(1) }), Conflict::TooLarge);
}

fn artifacts_are_addressed_by_content(store: &impl Store, crypto: &Crypto) {
    let digest = store.put_artifact(b"envelope").unwrap();
    assert_eq!(digest, crypto.sha256(b"envelope"));
    assert_eq!(store.put_artifact(b"envelope").unwrap(), digest);
    assert_eq!(store.artifact(&digest).unwrap(), b"envelope");
    let missing = StoreError::ArtifactMissing(Sha256Digest([1; 32]));
    assert_eq!(store.artifact(&[1; 32]), Err(missing));
}

fn the_registry_digest_sees_every_row<S: Store>(open: &mut impl FnMut() -> S, crypto: &Crypto) {
    let tenant = TenantId::default();
    let steps = [
        StoreOp::InsertProvider(provider("acme", "acme")),
        StoreOp::UpdateProvider(Provider { enabled: false, ..provider("acme", "acme") }),
        StoreOp::InsertDomain(domain("acme")),
        StoreOp::UpdateDomain(Domain { signers: Vec::new(), ..domain("acme") }),
        StoreOp::DeleteDomain { tenant: tenant.clone(), name: "acme".into(), at: 9 },
        StoreOp::Publish(entry("acme/w/suit", "acme/w/ta", 1)),
        StoreOp::Withdraw { tenant: tenant.clone(), manifest: id("acme/w/suit"), sequence: 1, at: 5 },
        StoreOp::SetPolicy(Policy { tenant: tenant.clone(), component: id("acme/w/ta"), since: 1 }),
        insert_reference(reference(1), vec![floor(1, 1)], 0),
        insert_reference(reference(2), vec![floor(1, 2)], 1),
        StoreOp::DeactivateReference { tenant: tenant.clone(), id: [1; 32], at: 6 },
        StoreOp::PutReferenceProvider(reference_provider("Acme")),
        StoreOp::PutReferenceProvider(TenantReferenceProvider { maker: false, ..reference_provider("Acme") }),
        StoreOp::SetReleasePolicy(release_policy(1, Some("true"))),
        StoreOp::SetReleasePolicy(release_policy(2, None)),
        put(device(1)),
        StoreOp::Record(Box::new(recorded(1, 5))),
        StoreOp::Record(Box::new(recorded(1, 6))),
        put(Device { revision: 1, last_seen: 99, ..device(1) }),
        put(Device { revision: 2, otrp: None, ..device(1) }),
        StoreOp::SetPersonalization(personalization(1)),
        StoreOp::DeliverPersonalization {
            tenant: tenant.clone(),
            device: DeviceId([1; 32]),
            manifest: id("acme/w/suit"),
            set: 1,
            at: 2,
        },
        StoreOp::ReleaseDevice { tenant, device: DeviceId([1; 32]) },
    ];
    let (one, two) = (open(), open());
    let mut seen = vec![registry_digest(&one, crypto).unwrap()];
    for step in steps {
        apply(&one, [step.clone()]);
        apply(&two, [step.clone()]);
        let digest = registry_digest(&one, crypto).unwrap();
        assert!(!seen.contains(&digest), "not seen in the digest: {step:?}");
        assert_eq!(digest, registry_digest(&two, crypto).unwrap(), "the same rows have the same digest");
        seen.push(digest);
    }
    // What is no part of the registry does not show.
    apply(&one, [burn(1, 60), StoreOp::InsertSession(session(1)), StoreOp::Audit(audit("a"))]);
    assert_eq!(registry_digest(&one, crypto).unwrap(), *seen.last().unwrap());
}
