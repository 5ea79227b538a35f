//! Who publishes what for whom: tenants, providers, tokens, the catalogue, domains, personalization.

use tamarack_model::{DeviceId, Sha256Digest};
use tamarack_store::{
    CatalogueEntry, Conflict, Domain, Personalization, Provider, Store, StoreOp, Tenant, TenantId,
};

use super::rows::{device, domain, entry, id, personalization, provider, token};
use super::{apply, put, refused};

pub(super) fn tenants_are_apart(store: &impl Store) {
    let other = TenantId::new("other").unwrap();
    let tenant = Tenant { id: other.clone(), created: 4 };
    apply(store, [StoreOp::InsertTenant(tenant.clone()), StoreOp::InsertProvider(provider("acme", "acme"))]);
    refused(store, StoreOp::InsertTenant(tenant), Conflict::Exists("tenant"));
    assert_eq!(store.tenants().unwrap().len(), 2);
    apply(
        store,
        [
            StoreOp::Publish(entry("acme/w/suit", "acme/w/ta", 1)),
            put(device(1)),
            StoreOp::InsertToken(token(1)),
        ],
    );
    assert!(store.providers(&other).unwrap().is_empty() && store.catalogue(&other).unwrap().is_empty());
    assert_eq!(store.newest(&other, &id("acme/w/suit")).unwrap(), None);
    assert_eq!(store.newest_with(&other, &id("acme/w/ta")).unwrap(), None);
    assert_eq!(store.device(&other, &DeviceId([1; 32])).unwrap(), None);
    assert!(store.tokens(&other).unwrap().is_empty());
    refused(
        store,
        StoreOp::Withdraw { tenant: other.clone(), manifest: id("acme/w/suit"), sequence: 1, at: 1 },
        Conflict::Missing("catalogue entry"),
    );
    refused(
        store,
        StoreOp::RevokeToken { tenant: other.clone(), hash: [1; 32], at: 1 },
        Conflict::Missing("token"),
    );
    // The same names are free there.
    apply(store, [StoreOp::InsertProvider(Provider { tenant: other, ..provider("acme", "acme") })]);
}

pub(super) fn providers_do_not_overlap(store: &impl Store) {
    apply(store, [StoreOp::InsertProvider(provider("acme", "com/acme"))]);
    refused(store, StoreOp::InsertProvider(provider("acme", "x")), Conflict::Exists("provider"));
    for taken in ["com/acme", "com/acme/sub", "com"] {
        refused(store, StoreOp::InsertProvider(provider("evil", taken)), Conflict::PrefixTaken);
    }
    apply(store, [StoreOp::InsertProvider(provider("other", "com/acme2"))]);
    refused(store, StoreOp::UpdateProvider(provider("other", "com/acme/sub")), Conflict::PrefixTaken);
    refused(store, StoreOp::UpdateProvider(provider("nobody", "n")), Conflict::Missing("provider"));
    let wider = Provider { enabled: false, ..provider("acme", "com/acme/sub") };
    apply(store, [StoreOp::UpdateProvider(wider.clone())]);
    assert_eq!(store.provider(&TenantId::default(), "acme").unwrap(), Some(wider));
}

pub(super) fn tokens_are_revoked_once(store: &impl Store) {
    apply(store, [StoreOp::InsertToken(token(1))]);
    refused(store, StoreOp::InsertToken(token(1)), Conflict::Exists("token"));
    let revoke = StoreOp::RevokeToken { tenant: TenantId::default(), hash: [1; 32], at: 9 };
    apply(store, [revoke.clone()]);
    assert_eq!(store.token(&[1; 32]).unwrap().unwrap().revoked, Some(9));
    refused(store, revoke, Conflict::Missing("token"));
}

pub(super) fn sequence_numbers_only_rise(store: &impl Store) {
    refused(store, StoreOp::Publish(entry("acme/w/suit", "acme/w/ta", 5)), Conflict::Missing("provider"));
    apply(store, [StoreOp::InsertProvider(provider("acme", "acme"))]);
    apply(store, [StoreOp::Publish(entry("acme/w/suit", "acme/w/ta", 5))]);
    for low in [4, 5] {
        let again =
            CatalogueEntry { digest: Sha256Digest([1; 32]), ..entry("acme/w/suit", "acme/w/ta", low) };
        refused(store, StoreOp::Publish(again), Conflict::Sequence(5));
    }
    let t = TenantId::default();
    apply(store, [StoreOp::Withdraw { tenant: t.clone(), manifest: id("acme/w/suit"), sequence: 5, at: 1 }]);
    refused(store, StoreOp::Publish(entry("acme/w/suit", "acme/w/ta", 5)), Conflict::Sequence(5));
    let same_digest = CatalogueEntry { manifest: id("acme/v/suit"), ..entry("acme/w/suit", "acme/w/ta", 5) };
    refused(store, StoreOp::Publish(same_digest), Conflict::Exists("catalogue entry"));
    // Another manifest counts for itself.
    apply(store, [StoreOp::Publish(entry("acme/v/suit", "acme/v/ta", 1))]);
    assert_eq!(store.highest_sequence(&t, &id("acme/w/suit")).unwrap(), Some(5));
    assert_eq!(store.highest_sequence(&t, &id("acme/x/suit")).unwrap(), None);
}

pub(super) fn a_manifest_id_stays_with_its_provider(store: &impl Store) {
    let acme =
        [StoreOp::InsertProvider(provider("acme", "acme")), StoreOp::InsertProvider(provider("isv", "isv"))];
    apply(store, acme);
    apply(store, [StoreOp::Publish(entry("acme/w/suit", "acme/w/ta", 1))]);
    let guest = CatalogueEntry { provider: "isv".into(), ..entry("acme/w/suit", "acme/w/ta", 2) };
    refused(store, StoreOp::Publish(guest), Conflict::Exists("catalogue entry"));
    let own = CatalogueEntry { provider: "isv".into(), ..entry("acme/v/suit", "acme/v/ta", 2) };
    apply(store, [StoreOp::Publish(own)]);
}

pub(super) fn the_newest_is_offered(store: &impl Store) {
    let t = TenantId::default();
    apply(store, [StoreOp::InsertProvider(provider("acme", "acme"))]);
    apply(store, [1, 2, 300].map(|n| StoreOp::Publish(entry("acme/w/suit", "acme/w/ta", n))));
    let newest = || {
        let by_id = store.newest(&t, &id("acme/w/suit")).unwrap().map(|e| e.sequence);
        assert_eq!(store.newest_with(&t, &id("acme/w/ta")).unwrap().map(|e| e.sequence), by_id);
        by_id
    };
    assert_eq!(newest(), Some(300));
    let withdraw =
        |sequence| StoreOp::Withdraw { tenant: t.clone(), manifest: id("acme/w/suit"), sequence, at: 70 };
    apply(store, [withdraw(300)]);
    assert_eq!(newest(), Some(2));
    refused(store, withdraw(300), Conflict::Missing("catalogue entry"));
    assert_eq!(store.entry(&t, &id("acme/w/suit"), 300).unwrap().unwrap().withdrawn, Some(70));
    apply(store, [withdraw(2), withdraw(1)]);
    assert_eq!(newest(), None);
    assert_eq!(store.catalogue(&t).unwrap().iter().map(|e| e.sequence).collect::<Vec<_>>(), [1, 2, 300]);
}

pub(super) fn domains_are_created_and_deleted(store: &impl Store) {
    let t = TenantId::default();
    apply(store, [StoreOp::InsertDomain(domain("b")), StoreOp::InsertDomain(domain("a"))]);
    refused(store, StoreOp::InsertDomain(domain("a")), Conflict::Exists("domain"));
    assert_eq!(store.domain(&t, "a").unwrap(), Some(domain("a")));
    assert_eq!(store.domain(&TenantId::new("other").unwrap(), "a").unwrap(), None);
    let wider = Domain { signers: Vec::new(), quota: None, ..domain("a") };
    apply(store, [StoreOp::UpdateDomain(wider.clone())]);
    assert_eq!(store.domains(&t).unwrap(), vec![wider, domain("b")]);
    refused(store, StoreOp::UpdateDomain(domain("c")), Conflict::Missing("domain"));
    let delete = |name: &str| StoreOp::DeleteDomain { tenant: t.clone(), name: name.into(), at: 40 };
    apply(store, [delete("a")]);
    for late in [delete("a"), delete("c"), StoreOp::UpdateDomain(domain("a"))] {
        refused(store, late, Conflict::Missing("domain"));
    }
    assert_eq!(store.domain(&t, "a").unwrap().unwrap().deleted, Some(40));
    apply(store, [StoreOp::InsertDomain(domain("a"))]);
    assert_eq!(store.domain(&t, "a").unwrap(), Some(domain("a")), "a new one in its place");
    refused(store, StoreOp::UpdateDomain(Domain { quota: Some(1 << 63), ..domain("a") }), Conflict::TooLarge);
}

pub(super) fn personalization_is_delivered_as_it_was_set(store: &impl Store) {
    let (t, device) = (TenantId::default(), DeviceId([1; 32]));
    let deliver = |set| StoreOp::DeliverPersonalization {
        tenant: t.clone(),
        device,
        manifest: id("acme/w/suit"),
        set,
        at: 50,
    };
    apply(
        store,
        [StoreOp::SetPersonalization(personalization(1)), StoreOp::SetPersonalization(personalization(2))],
    );
    apply(store, [deliver(1)]);
    assert_eq!(store.personalizations(&t, &device).unwrap(), vec![personalization(2)], "set anew since");
    apply(store, [deliver(2)]);
    let delivered = Personalization { delivered: Some(50), ..personalization(2) };
    assert_eq!(store.personalizations(&t, &device).unwrap(), vec![delivered]);
    apply(store, [StoreOp::SetPersonalization(personalization(3))]);
    assert_eq!(store.personalizations(&t, &device).unwrap(), vec![personalization(3)]);
    assert!(store.personalizations(&t, &DeviceId([2; 32])).unwrap().is_empty());
}
