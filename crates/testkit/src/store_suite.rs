//! The contract of a TAM store: every backend passes [`contract`].

use tamarack_crypto::{Provider as Crypto, PublicKey};
use tamarack_model::{ComponentId, DeviceId, HeldBack, OwnerSays, Sha256Digest, TcEntry, codes};
use tamarack_store::{
    ApiToken, AuditEntry, CatalogueEntry, Conflict, Device, Domain, DomainSigner, Held, HeldDomain,
    OtrpDevice, PendingCommand, PendingUpdate, Personalization, Policy, Proof, Provider, ProviderKey,
    Recorded, Reference, ReferenceFloor, ReferenceScope, ReleasePolicy, Role, Session, SessionOutcome,
    StateMark, Store, StoreError, StoreOp, TeepKey, Tenant, TenantId, TenantReferenceProvider, Withheld,
    registry_digest, verify_audit,
};

/// Makes a fresh store with `open` for each rule and checks that it is kept.
///
/// # Panics
///
/// When a rule is broken, with the rule.
pub fn contract<S: Store>(crypto: &Crypto, mut open: impl FnMut() -> S) {
    rows_read_back(&open());
    batches_are_whole(&open());
    tenants_are_apart(&open());
    providers_do_not_overlap(&open());
    tokens_are_revoked_once(&open());
    sequence_numbers_only_rise(&open());
    a_manifest_id_stays_with_its_provider(&open());
    domains_are_created_and_deleted(&open());
    personalization_is_delivered_as_it_was_set(&open());
    the_newest_is_offered(&open());
    reference_values_are_added_in_turn(&open());
    reference_providers_are_of_one_tenant(&open());
    release_policies_have_a_history(&open());
    the_last_evidence_is_kept(&open());
    device_rows_are_written_by_one(&open());
    c2_a_challenge_burns_once(&open());
    c4_at_most_four_updates_wait(&open());
    c4_a_token_is_answered_once(&open());
    s3_time_does_not_go_back(&open());
    sessions_end_once(&open());
    audit_is_a_chain(&open(), crypto);
    numbers_have_a_range(&open());
    artifacts_are_addressed_by_content(&open(), crypto);
    the_registry_digest_sees_every_row(&mut open, crypto);
}

/// A component id from its text form.
pub fn id(text: &str) -> ComponentId {
    ComponentId::parse_text(text).expect("a component id")
}

/// A provider that owns one prefix.
pub fn provider(name: &str, prefix: &str) -> Provider {
    Provider {
        tenant: TenantId::default(),
        id: name.into(),
        name: format!("{name} Inc."),
        prefixes: vec![id(prefix)],
        signers: vec![PublicKey::Ed25519([7; 32]), PublicKey::P256 { x: [1; 32], y: [2; 32] }],
        enabled: true,
    }
}

/// A catalogue entry of provider `acme` that installs one component.
pub fn entry(manifest: &str, component: &str, sequence: u64) -> CatalogueEntry {
    let mut digest = [sequence as u8; 32];
    manifest.bytes().enumerate().for_each(|(i, b)| digest[i % 31] ^= b);
    CatalogueEntry {
        tenant: TenantId::default(),
        provider: "acme".into(),
        manifest: id(manifest),
        sequence,
        digest: Sha256Digest(digest),
        components: vec![TcEntry {
            id: id(component),
            digest: Some(Sha256Digest([9; 32])),
            size: Some(1000 + sequence),
        }],
        artifact: Sha256Digest([8; 32]),
        size: 77,
        published: 1_700_000_000,
        withdrawn: None,
    }
}

/// A device with every field set.
pub fn device(number: u8) -> Device {
    let entries =
        vec![TcEntry { id: id("acme/wallet/suit"), digest: Some(Sha256Digest([3; 32])), size: None }];
    Device {
        tenant: TenantId::default(),
        id: DeviceId([number; 32]),
        revision: 0,
        teep: Some(TeepKey { key: PublicKey::Ed25519([number; 32]), id: [number ^ 0x80; 32] }),
        otrp: Some(otrp_device(number)),
        ueid: vec![1, number],
        grade: "software".into(),
        claims: vec![("class".into(), "software-tee".into()), ("dbgstat".into(), "1".into())],
        state: Some(StateMark { epoch: 5, root: [6; 32] }),
        quarantine: Some("because".into()),
        first_seen: 10,
        last_seen: 20,
        reported: Some(Held { entries: entries.clone(), at: 15, proof: Proof::Report }),
        attested: Some(Held { entries, at: 16, proof: Proof::Evidence }),
        held_back: vec![
            HeldBack { id: id("acme/x"), why: OwnerSays::Refused, sequence: None },
            HeldBack { id: id("acme/y"), why: OwnerSays::Deferred, sequence: Some(3) },
        ],
    }
}

fn held_domain() -> HeldDomain {
    HeldDomain { name: "acme".into(), provider: "acme".into(), signers: vec![[1; 32], [2; 32]] }
}

fn otrp_device(number: u8) -> OtrpDevice {
    let aik = |purpose: Option<&str>| ProviderKey {
        provider: "acme".into(),
        purpose: purpose.map(Into::into),
        key: vec![4, number],
    };
    OtrpDevice {
        certificate: vec![0x30, number],
        did: [number ^ 0x40; 32],
        name: "tee".into(),
        version: "1".into(),
        extended: true,
        wants_status: false,
        aiks: vec![aik(None), aik(Some("enc"))],
        domains: vec![held_domain()],
    }
}

/// A domain of provider `acme` with two signers, one of them a guest.
pub fn domain(name: &str) -> Domain {
    let signer = |provider: &str| DomainSigner { provider: provider.into(), certificate: vec![0x30, 1] };
    Domain {
        tenant: TenantId::default(),
        name: name.into(),
        provider: "acme".into(),
        signers: vec![signer("acme"), signer("isv")],
        quota: Some(1 << 20),
        created: 30,
        deleted: None,
    }
}

fn personalization(set: u64) -> Personalization {
    Personalization {
        tenant: TenantId::default(),
        device: DeviceId([1; 32]),
        manifest: id("acme/w/suit"),
        data: vec![1, 2, 3],
        set,
        delivered: None,
    }
}

/// A pending Update of device `device` whose token hash begins with `number`.
pub fn pending(device: u8, number: u8) -> PendingUpdate {
    PendingUpdate {
        tenant: TenantId::default(),
        token_hash: [number; 32],
        device: DeviceId([device; 32]),
        session: [number; 16],
        manifests: vec![TcEntry {
            id: id("acme/wallet/suit"),
            digest: Some(Sha256Digest([3; 32])),
            size: None,
        }],
        removals: vec![id("acme/old/suit")],
        sent: 100,
        expires: 200,
        command: None,
    }
}

fn session(number: u8) -> Session {
    Session {
        tenant: TenantId::default(),
        id: [number; 16],
        device: DeviceId([1; 32]),
        started: 100,
        ended: None,
        outcome: None,
        code: None,
        reason: Some("install acme/wallet/suit 2".into()),
    }
}

fn audit(subject: &str) -> AuditEntry {
    AuditEntry {
        tenant: TenantId::default(),
        at: 1,
        actor: "ops".into(),
        action: "component.publish".into(),
        subject: subject.into(),
        detail: "é".into(),
    }
}

fn token(number: u8) -> ApiToken {
    ApiToken {
        tenant: TenantId::default(),
        hash: [number; 32],
        role: Role::Provider,
        provider: Some("acme".into()),
        label: "ci".into(),
        created: 5,
        revoked: None,
    }
}

fn put(device: Device) -> StoreOp {
    StoreOp::PutDevice(Box::new(device))
}

fn burn(challenge: u8, expires: u64) -> StoreOp {
    let tenant = TenantId::default();
    StoreOp::BurnChallenge { tenant, challenge: [challenge; 16], expires, keep_until: expires + 100 }
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

fn tenants_are_apart(store: &impl Store) {
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

fn providers_do_not_overlap(store: &impl Store) {
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

fn tokens_are_revoked_once(store: &impl Store) {
    apply(store, [StoreOp::InsertToken(token(1))]);
    refused(store, StoreOp::InsertToken(token(1)), Conflict::Exists("token"));
    let revoke = StoreOp::RevokeToken { tenant: TenantId::default(), hash: [1; 32], at: 9 };
    apply(store, [revoke.clone()]);
    assert_eq!(store.token(&[1; 32]).unwrap().unwrap().revoked, Some(9));
    refused(store, revoke, Conflict::Missing("token"));
}

fn sequence_numbers_only_rise(store: &impl Store) {
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

fn a_manifest_id_stays_with_its_provider(store: &impl Store) {
    let acme =
        [StoreOp::InsertProvider(provider("acme", "acme")), StoreOp::InsertProvider(provider("isv", "isv"))];
    apply(store, acme);
    apply(store, [StoreOp::Publish(entry("acme/w/suit", "acme/w/ta", 1))]);
    let guest = CatalogueEntry { provider: "isv".into(), ..entry("acme/w/suit", "acme/w/ta", 2) };
    refused(store, StoreOp::Publish(guest), Conflict::Exists("catalogue entry"));
    let own = CatalogueEntry { provider: "isv".into(), ..entry("acme/v/suit", "acme/v/ta", 2) };
    apply(store, [StoreOp::Publish(own)]);
}

fn domains_are_created_and_deleted(store: &impl Store) {
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

fn personalization_is_delivered_as_it_was_set(store: &impl Store) {
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

fn reference(number: u8) -> Reference {
    Reference {
        tenant: TenantId::default(),
        id: [number; 32],
        provider: "Acme".into(),
        name: format!("acme/{number}"),
        signed: vec![number; 100],
        added: 5,
        deactivated: None,
    }
}

fn floor(tag: u8, version: u64) -> ReferenceFloor {
    ReferenceFloor { provider: "Acme".into(), tag: vec![tag], version }
}

fn insert_reference(row: Reference, floors: Vec<ReferenceFloor>, seen: usize) -> StoreOp {
    StoreOp::InsertReference { row, floors, seen }
}

fn reference_values_are_added_in_turn(store: &impl Store) {
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

fn reference_provider(name: &str) -> TenantReferenceProvider {
    TenantReferenceProvider {
        tenant: TenantId::default(),
        name: name.into(),
        maker: true,
        keys: vec![PublicKey::Ed25519([7; 32])],
        scope: vec![
            ReferenceScope { class_id: Some(vec![1; 16]), vendor: Some("acme".into()), model: None },
            ReferenceScope { class_id: None, vendor: None, model: Some("m1".into()) },
        ],
        elements: Some(vec!["urn:acme".into()]),
        set: 8,
    }
}

fn reference_providers_are_of_one_tenant(store: &impl Store) {
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

fn release_policy(version: u64, text: Option<&str>) -> ReleasePolicy {
    ReleasePolicy {
        tenant: TenantId::default(),
        version,
        text: text.map(Into::into),
        set: 10 + version,
        by: "operator".into(),
    }
}

fn release_policies_have_a_history(store: &impl Store) {
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

fn recorded(device: u8, at: u64) -> Recorded {
    Recorded {
        tenant: TenantId::default(),
        device: DeviceId([device; 32]),
        at,
        otrp: true,
        format: Some("application/eat+cwt".into()),
        evidence: vec![1, 2, 3],
        shown: vec![4],
        policy: Some(3),
        withheld: vec![Withheld {
            manifest: id("acme/w/suit"),
            sequence: 9,
            code: codes::RELEASE_DENIED,
            reason: "because".into(),
        }],
    }
}

fn the_last_evidence_is_kept(store: &impl Store) {
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

fn the_newest_is_offered(store: &impl Store) {
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

fn device_rows_are_written_by_one(store: &impl Store) {
    apply(store, [put(device(1))]);
    refused(store, put(device(1)), Conflict::Changed);
    let second = Device { revision: 1, last_seen: 21, ..device(1) };
    apply(store, [put(second.clone())]);
    refused(store, put(second), Conflict::Changed);
    refused(store, put(Device { revision: 1, ..device(2) }), Conflict::Changed);
    let stolen = [
        Device { teep: device(1).teep, ..device(2) },
        Device { otrp: device(1).otrp, ..device(2) },
        Device { teep: None, otrp: device(1).otrp, ..device(2) },
    ];
    for stolen_key in stolen {
        refused(store, put(stolen_key), Conflict::Exists("device key"));
    }
    let t = TenantId::default();
    apply(store, [StoreOp::ReleaseDevice { tenant: t.clone(), device: DeviceId([1; 32]) }]);
    let released = store.device(&t, &DeviceId([1; 32])).unwrap().unwrap();
    assert_eq!((released.revision, released.quarantine, released.state), (3, None, None));
    let nobody = StoreOp::ReleaseDevice { tenant: t, device: DeviceId([9; 32]) };
    refused(store, nobody, Conflict::Missing("device"));
}

fn c2_a_challenge_burns_once(store: &impl Store) {
    apply(store, [StoreOp::AdvanceTime(1000), burn(1, 1300)]);
    assert!(store.is_burned(&[1; 16]).unwrap() && !store.is_burned(&[2; 16]).unwrap());
    refused(store, burn(1, 1300), Conflict::Burned);
    assert_eq!(StoreError::from(Conflict::Burned).code(), codes::EVIDENCE_STALE);
    refused(store, burn(2, 999), Conflict::Expired);
    // Kept until the end that was given, not only until it expires.
    apply(store, [StoreOp::Prune(1400)]);
    assert!(store.is_burned(&[1; 16]).unwrap());
    apply(store, [StoreOp::Prune(1401)]);
    assert!(!store.is_burned(&[1; 16]).unwrap());
}

fn c4_at_most_four_updates_wait(store: &impl Store) {
    apply(store, (1..=4).map(|n| StoreOp::InsertPending(pending(1, n))));
    apply(store, [StoreOp::InsertPending(pending(2, 50)), StoreOp::InsertPending(pending(1, 5))]);
    let t = TenantId::default();
    let waiting = store.pending_of(&t, &DeviceId([1; 32])).unwrap();
    assert_eq!(waiting.iter().map(|p| p.token_hash[0]).collect::<Vec<_>>(), [2, 3, 4, 5]);
    assert_eq!(store.pending_of(&t, &DeviceId([2; 32])).unwrap(), vec![pending(2, 50)]);
}

fn c4_a_token_is_answered_once(store: &impl Store) {
    let tenant = TenantId::default();
    let take = |n| StoreOp::TakePending { tenant: tenant.clone(), token_hash: [n; 32] };
    apply(store, [StoreOp::InsertPending(pending(1, 1)), StoreOp::InsertPending(pending(1, 2))]);
    refused(store, StoreOp::InsertPending(pending(3, 1)), Conflict::Exists("pending update"));
    apply(store, [take(1)]);
    refused(store, take(1), Conflict::Missing("pending update"));
    assert_eq!(StoreError::from(Conflict::Missing("pending update")).code(), codes::TEEP_TOKEN);
    apply(store, [StoreOp::AdvanceTime(201)]);
    refused(store, take(2), Conflict::Missing("pending update"));
    apply(store, [StoreOp::Prune(201)]);
    assert_eq!(store.pending(&tenant, &[2; 32]).unwrap(), None);
}

fn s3_time_does_not_go_back(store: &impl Store) {
    assert_eq!(store.time().unwrap(), 0);
    apply(store, [StoreOp::AdvanceTime(100), StoreOp::AdvanceTime(40)]);
    assert_eq!(store.time().unwrap(), 100);
}

fn sessions_end_once(store: &impl Store) {
    let tenant = TenantId::default();
    apply(store, [StoreOp::InsertSession(session(1)), StoreOp::InsertSession(session(2))]);
    refused(store, StoreOp::InsertSession(session(1)), Conflict::Exists("session"));
    let end = StoreOp::EndSession {
        tenant: tenant.clone(),
        id: [1; 16],
        at: 150,
        outcome: SessionOutcome::Failed,
        code: Some(codes::SUIT_ROLLBACK),
        reason: Some("too low".into()),
    };
    apply(store, [end.clone()]);
    refused(store, end, Conflict::Missing("session"));
    let ended = store.session(&tenant, &[1; 16]).unwrap().unwrap();
    assert_eq!((ended.ended, ended.outcome), (Some(150), Some(SessionOutcome::Failed)));
    assert_eq!((ended.code, ended.reason.as_deref()), (Some(codes::SUIT_ROLLBACK), Some("too low")));
    let ids = |device, limit| {
        let rows = store.sessions(&tenant, device, limit).unwrap();
        rows.iter().map(|s| s.id[0]).collect::<Vec<_>>()
    };
    assert_eq!((ids(None, 9), ids(None, 1)), (vec![2, 1], vec![2]));
    assert_eq!((ids(Some(&DeviceId([1; 32])), 9), ids(Some(&DeviceId([2; 32])), 9)), (vec![2, 1], vec![]));
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
