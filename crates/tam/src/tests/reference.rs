extern crate std;

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec;

use tamarack_attest::{
    Grade as TeeGrade, ProviderRole, ReferenceProvider, References, ResultPolicy, Verifier,
};
use tamarack_corim::{
    Class, ClassId, Comid, Corim, Digest, Environment, Id, MeasuredElement, Measurement, MeasurementValues,
    Signer, Triple, Validity,
};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::KeyType;
use tamarack_store::{
    Conflict, Read, ReferenceScope, Store, StoreError, StoreOp, TenantId, TenantReferenceProvider,
};

use super::world::{crypto, key};
use super::*;
use crate::{ReferenceMemo, ReferenceState};

struct Maker {
    key: Box<dyn Sign>,
}

fn environment() -> Environment {
    Environment::of_class(Class { class_id: Some(ClassId::Uuid([2; 16])), ..Class::default() })
}

impl Maker {
    /// A maker of the devices of `world`, whom its TAM knows.
    fn of(world: &mut World) -> Self {
        let key = key(KeyType::P256);
        world.tam.config.reference_providers = vec![ReferenceProvider {
            name: "Acme".into(),
            role: ProviderRole::Maker,
            keys: vec![VerificationKey::new(key.public_key(), Purpose::ReferenceValues, &crypto())],
            scope: vec![environment()],
            elements: None,
            cap: TeeGrade::None,
        }];
        Self { key }
    }

    fn corim(&self, version: u64, agent: [u8; 32], not_after: u64) -> Vec<u8> {
        let mut tag = Comid::new(Id::Text("firmware".into()), version);
        let values =
            MeasurementValues { digests: vec![Digest::sha256(agent)], ..MeasurementValues::default() };
        let element = Some(MeasuredElement::Text("urn:x-tamarack:agent".into()));
        let measurement = Measurement { element, values, authorized_by: Vec::new() };
        tag.reference_values = vec![Triple { environment: environment(), measurements: vec![measurement] }];
        let validity = Some(Validity { not_before: None, not_after });
        let corim = Corim { validity, ..Corim::new(Id::Text("acme".into()), tag) };
        tamarack_corim::sign(&corim, &Signer::new("Acme"), &*self.key, None).unwrap()
    }
}

impl World {
    fn add(&self, signed: &[u8]) -> Result<[u8; 32], Code> {
        let tenant = TenantId::default();
        let addition = self.tam.add_reference(&self.store, &tenant, signed, self.clock.get());
        let addition = addition.map_err(|refusal| refusal.code)?;
        self.apply(addition.change);
        Ok(addition.row.id)
    }
}

#[test]
fn an_agent_changed_by_one_byte_is_not_attested() {
    let mut world = World::new();
    let maker = Maker::of(&mut world);
    let device = world.device();
    // Without reference values nobody looks.
    no_content(&world.query(&device));
    let mut changed = [4; 32];
    changed[0] ^= 1;
    world.add(&maker.corim(1, changed, NOW + 100)).unwrap();
    let attested = world.row(&device).attested;
    let before = world.digest();
    let reply = world.query(&device);
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::MEASUREMENT_MISMATCH);
    assert_eq!(world.digest(), before, "a refusal leaves no trace");
    assert_eq!(world.row(&device).attested, attested);
    // The release that it runs.
    world.add(&maker.corim(2, [4; 32], NOW + 100)).unwrap();
    no_content(&world.query(&device));
    assert!(world.row(&device).claims.contains(&("reference-values".to_string(), "affirming".to_string())));
    // Until the values end.
    world.clock.set(NOW + 101);
    let reply = world.query(&device);
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::REFERENCE_EXPIRED);
}

#[test]
fn deactivated_values_leave_nothing_that_is_accepted() {
    let mut world = World::new();
    let maker = Maker::of(&mut world);
    let device = world.device();
    world.add(&maker.corim(1, [4; 32], NOW + 100)).unwrap();
    let id = world.add(&maker.corim(2, [4; 32], NOW + 100)).unwrap();
    no_content(&world.query(&device));
    let tenant = TenantId::default();
    world.apply([StoreOp::DeactivateReference { tenant, id, at: NOW }]);
    let reply = world.query(&device);
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::MEASUREMENT_UNKNOWN);
    // Neither do they if their provider is not trusted any more.
    let mut world = World::new();
    let maker = Maker::of(&mut world);
    let device = world.device();
    world.add(&maker.corim(1, [4; 32], NOW + 100)).unwrap();
    world.tam.config.reference_providers.clear();
    let reply = world.query(&device);
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::MEASUREMENT_UNKNOWN);
}

#[test]
fn tenants_have_values_of_their_own() {
    let mut world = World::new();
    let maker = Maker::of(&mut world);
    let other = TenantId::new("other").unwrap();
    world.apply([StoreOp::InsertTenant(tamarack_store::Tenant { id: other.clone(), created: NOW })]);
    world.add(&maker.corim(1, [4; 32], NOW + 100)).unwrap();
    assert!(world.tam.references(&world.store, &other).unwrap().is_none());
    assert!(world.tam.references(&world.store, &TenantId::default()).unwrap().is_some());
    assert!(world.tam.add_reference(&world.store, &other, &maker.corim(1, [5; 32], NOW + 100), NOW).is_ok());
}

#[test]
fn rolled_back_unsigned_and_foreign_values_are_refused() {
    let mut world = World::new();
    let maker = Maker::of(&mut world);
    world.add(&maker.corim(3, [4; 32], NOW + 100)).unwrap();
    let before = world.digest();
    let stranger = Maker { key: key(KeyType::P256) };
    for (signed, code) in [
        (maker.corim(2, [5; 32], NOW + 100), codes::REFERENCE_ROLLBACK),
        (maker.corim(3, [5; 32], NOW + 100), codes::REFERENCE_CONFLICT),
        (maker.corim(4, [5; 32], NOW - 1), codes::REFERENCE_EXPIRED),
        (stranger.corim(4, [5; 32], NOW + 100), codes::REFERENCE_UNTRUSTED),
        (Vec::new(), codes::REFERENCE_MALFORMED),
    ] {
        assert_eq!(world.add(&signed), Err(code));
    }
    assert_eq!(world.digest(), before);
}

#[test]
fn of_two_additions_at_once_the_second_has_to_look_again() {
    let mut world = World::new();
    let maker = Maker::of(&mut world);
    let tenant = TenantId::default();
    let look =
        |signed: &[u8]| world.tam.add_reference(&world.store, &tenant, signed, NOW).unwrap().change.unwrap();
    let (one, two) = (look(&maker.corim(1, [4; 32], NOW + 9)), look(&maker.corim(1, [5; 32], NOW + 9)));
    world.apply([one]);
    let refused = world.store.apply(vec![two]);
    assert_eq!(refused, Err(StoreError::Conflict(Conflict::Changed)));
    assert_eq!(world.add(&maker.corim(1, [5; 32], NOW + 9)), Err(codes::REFERENCE_CONFLICT));
    assert_eq!(world.store.references(&tenant).unwrap().len(), 1);
}

/// A provider of the tenant's own, with what it may speak of.
fn tenants(name: &str, key: &dyn Sign) -> TenantReferenceProvider {
    TenantReferenceProvider {
        tenant: TenantId::default(),
        name: name.into(),
        maker: true,
        keys: vec![key.public_key()],
        scope: vec![ReferenceScope { class_id: Some(vec![2; 16]), vendor: None, model: None }],
        elements: None,
        set: NOW,
    }
}

#[test]
fn k7_a_tenants_provider_speaks_for_that_tenant_within_its_scope_and_raises_no_grade() {
    let mut world = World::new();
    Maker::of(&mut world);
    let own = Maker { key: key(KeyType::P256) };
    let signed = own.corim(1, [4; 32], NOW + 60);
    assert_eq!(world.add(&signed), Err(codes::REFERENCE_UNTRUSTED));
    let row = tenants("Own", &*own.key);
    world.tam.check_reference_provider(&world.store, &row).unwrap();
    world.apply([StoreOp::PutReferenceProvider(row.clone())]);
    world.add(&signed).unwrap();

    // Another tenant hears nothing of it.
    let other = TenantId::new("other").unwrap();
    world.apply([StoreOp::InsertTenant(tamarack_store::Tenant { id: other.clone(), created: NOW })]);
    let addition = world.tam.add_reference(&world.store, &other, &signed, NOW);
    assert_eq!(addition.unwrap_err().code, codes::REFERENCE_UNTRUSTED);
    let names = |tenant: &TenantId| -> Vec<String> {
        let providers = world.tam.reference_providers(&world.store, tenant).unwrap();
        providers.into_iter().map(|provider| provider.name).collect()
    };
    assert_eq!(
        (names(&TenantId::default()), names(&other)),
        (vec!["Acme".into(), "Own".into()], vec!["Acme".to_string()])
    );

    // Beyond its scope it may not speak.
    let narrow = ReferenceScope { class_id: Some(vec![9; 16]), vendor: None, model: None };
    world.apply([StoreOp::PutReferenceProvider(TenantReferenceProvider {
        scope: vec![narrow],
        ..row.clone()
    })]);
    assert_eq!(world.add(&own.corim(2, [4; 32], NOW + 60)), Err(codes::REFERENCE_SCOPE));
    assert!(world.tam.references(&world.store, &TenantId::default()).unwrap().unwrap().entries().is_empty());

    // Its attest keys are worth what the operator lets tenants' providers be worth, whatever they say.
    let cap = |world: &World| {
        let providers = world.tam.reference_providers(&world.store, &TenantId::default()).unwrap();
        providers.last().unwrap().cap
    };
    assert_eq!(cap(&world), TeeGrade::None);
    world.tam.config.tenant_provider_cap = TeeGrade::Software;
    assert_eq!(cap(&world), TeeGrade::Software);
}

/// Believes one verifier.
fn believing(key: &dyn Sign) -> ResultPolicy {
    ResultPolicy::new(vec![Verifier {
        name: "Verity".into(),
        keys: vec![VerificationKey::new(key.public_key(), Purpose::AttestationResult, &crypto())],
        scope: None,
        cap: TeeGrade::Software,
    }])
}

#[test]
fn k5_a_tenants_provider_takes_nobodys_name_or_key() {
    let mut world = World::new();
    let operators = Maker::of(&mut world);
    let own = key(KeyType::P256);
    world.apply([StoreOp::PutReferenceProvider(tenants("First", &*own))]);
    let fresh = key(KeyType::Ed25519);
    let signer = &*world.signer;
    let verifiers = key(KeyType::P256);
    world.tam.config.results = Some(believing(&*verifiers));
    let tee_ca = *world.tam.config.evidence.tee_cas[0].anchor.key().unwrap();
    let tams = &*world.tam.config.signers[0].key;
    let good = tenants("New", &*fresh);
    let nothing = ReferenceScope { class_id: None, vendor: None, model: None };
    for (row, why) in [
        (TenantReferenceProvider { name: String::new(), ..good.clone() }, "give a name"),
        (TenantReferenceProvider { keys: vec![], ..good.clone() }, "at least one key"),
        (TenantReferenceProvider { scope: vec![], ..good.clone() }, "at least one environment"),
        (TenantReferenceProvider { scope: vec![nothing], ..good.clone() }, "it says nothing"),
        (tenants("Acme", &*fresh), "name: another provider has it"),
        (tenants("New", &*operators.key), "keys: another provider has one of them"),
        (tenants("New", &*own), "keys: another provider has one of them"),
        (tenants("New", signer), "signs something else too"),
        (tenants("New", tams), "signs something else too"),
        (tenants("New", &*verifiers), "signs something else too"),
        (TenantReferenceProvider { keys: vec![tee_ca], ..good.clone() }, "signs something else too"),
    ] {
        let refusal = world.tam.check_reference_provider(&world.store, &row).unwrap_err();
        assert_eq!(refusal.code, codes::REFERENCE_PROVIDER);
        assert!(refusal.reason.contains(why), "{why}: {refusal}");
    }
    world.tam.check_reference_provider(&world.store, &good).unwrap();
    // It may change its own.
    world.tam.check_reference_provider(&world.store, &tenants("First", &*own)).unwrap();
    // A verifier that comes later with that key: one of the two must go, and it is not the operator's.
    let names = |world: &World| -> Vec<String> {
        let providers = world.tam.reference_providers(&world.store, &TenantId::default()).unwrap();
        providers.into_iter().map(|provider| provider.name).collect()
    };
    assert_eq!(names(&world), ["Acme", "First"]);
    world.tam.config.results = Some(believing(&*own));
    assert_eq!(names(&world), ["Acme"]);
    // The operator's provider of that name or key, which comes later, is the one that counts.
    world.tam.config.reference_providers[0].name = "First".into();
    let providers = world.tam.reference_providers(&world.store, &TenantId::default()).unwrap();
    assert_eq!(providers.len(), 1);
    assert_eq!(
        providers[0].keys[0].id(),
        VerificationKey::new(operators.key.public_key(), Purpose::ReferenceValues, &crypto()).id()
    );
}

/// What is verified once is not verified again until a row changes, and then at once.
#[test]
fn verified_reference_values_are_remembered_as_long_as_no_row_changes() {
    let mut world = World::new();
    let maker = Maker::of(&mut world);
    world.tam.config.reference_memo = Some(Box::new(Counting::default()));
    let tenant = TenantId::default();
    world.add(&maker.corim(1, [4; 32], u64::MAX)).unwrap();
    let first = world.tam.references(&world.store, &tenant).unwrap().unwrap();
    let again = world.tam.references(&world.store, &tenant).unwrap().unwrap();
    assert!(Arc::ptr_eq(&first, &again), "nothing was verified again");
    assert_eq!(again.entries().len(), 1);
    let newer = world.add(&maker.corim(2, [5; 32], u64::MAX)).unwrap();
    let added = world.tam.references(&world.store, &tenant).unwrap().unwrap();
    assert_eq!(added.entries().len(), 2);
    world.apply([StoreOp::DeactivateReference { tenant: tenant.clone(), id: newer, at: NOW }]);
    let deactivated = world.tam.references(&world.store, &tenant).unwrap().unwrap();
    assert!(!deactivated.entries()[1].active);
    let other = TenantId::new("other").unwrap();
    assert!(world.tam.references(&world.store, &other).unwrap().is_none(), "nobody else's");
}

/// Remembers everything, like a server that serves few tenants.
#[derive(Default)]
struct Counting(std::sync::Mutex<Vec<(TenantId, ReferenceState, Arc<References>)>>);

impl ReferenceMemo for Counting {
    fn recall(&self, tenant: &TenantId, state: &ReferenceState) -> Option<Arc<References>> {
        let held = self.0.lock().unwrap();
        let known = held.iter().find(|(t, s, _)| t == tenant && s == state);
        known.map(|(_, _, references)| references.clone())
    }

    fn remember(&self, tenant: &TenantId, state: ReferenceState, references: &Arc<References>) {
        self.0.lock().unwrap().push((tenant.clone(), state, references.clone()));
    }
}

/// Prints how long 100 signed CoRIMs take with and without a memo.
#[test]
fn what_a_memo_saves() {
    let mut world = World::new();
    let maker = Maker::of(&mut world);
    for version in 1..=100 {
        world.add(&maker.corim(version, [4; 32], u64::MAX)).unwrap();
    }
    let time = |world: &World| {
        let begin = std::time::Instant::now();
        for _ in 0..10 {
            world.tam.references(&world.store, &TenantId::default()).unwrap().unwrap();
        }
        begin.elapsed() / 10
    };
    let without = time(&world);
    world.tam.config.reference_memo = Some(Box::new(Counting::default()));
    let with = time(&world);
    std::println!("100 CoRIMs: {without:?} at each appraisal, {with:?} with a memo");
    assert!(with < without);
}
