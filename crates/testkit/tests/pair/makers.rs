//! One TAM for devices of two makers; one provider that goes from one TAM to another.

use tamarack_agent::{Agent, Input};
use tamarack_model::DeviceId;
use tamarack_store::{Device, Domain, Policy, Read, Store, StoreOp, TenantId};
use tamarack_tee::{Persona, Platform};
use tamarack_testkit::memory_platform::MemoryPlatform;

use crate::world::{OTHER_URI, Pair, TAM_URI, wallet};

fn digest(agent: &Agent<MemoryPlatform>) -> Option<[u8; 32]> {
    let status = agent.status().unwrap();
    status.components.iter().find(|c| c.component == wallet("ta")).map(|c| c.digest.0)
}

/// The row of the device that is plugged in.
fn row(pair: &Pair) -> Device {
    pair.device().expect("the TAM knows the device")
}

#[test]
fn two_makers_devices_are_served_by_one_tam() {
    // The first maker's device speaks OTrP and knows the TAM by its name under a root.
    let mut pair = Pair::otrp();
    pair.publish(1, 1);
    pair.request();
    let first = row(&pair);
    // The second maker's speaks TEEP, under another TEE CA, and knows the TAM by its keys.
    let before = pair.second_makers_device();
    pair.now += 60;
    pair.request();
    let second = row(&pair);
    assert!(digest(&before).is_some() && digest(&before) == digest(&pair.agent), "one TA, published once");
    assert_eq!(pair.store.catalogue(&TenantId::default()).unwrap().len(), 1);
    let identity = |agent: &Agent<MemoryPlatform>| agent.platform().identity(Persona(0)).unwrap().clone();
    let (one, other) = (identity(&before), identity(&pair.agent));
    assert!(one.vendor_id != other.vendor_id && one.class_id != other.class_id && one.oemid != other.oemid);
    assert!(first.otrp.is_some() && second.otrp.is_none() && second.teep.is_some());
    assert_ne!(first.id, second.id);
    // Both pay, each with a key of its own.
    pair.pay(100);
    let (key, payments, _) = pair.wallet_state();
    let second_agent = std::mem::replace(&mut pair.agent, before);
    pair.pay(100);
    let (other_key, other_payments, _) = pair.wallet_state();
    assert_eq!((payments, other_payments), (1, 1));
    assert_ne!(key, other_key);
    // An update reaches both.
    pair.publish(2, 2);
    pair.now += 60;
    pair.check_policy();
    assert_eq!(pair.installed(), Some(2));
    pair.agent = second_agent;
    pair.now += 60;
    pair.check_policy();
    assert_eq!(pair.installed(), Some(2));
}

fn request_at(pair: &mut Pair, uri: &str) {
    pair.play(Input::RequestTa { component: wallet("ta"), tam_uri: Some(uri.into()) });
}

/// Both TAMs are asked.
fn check_both(pair: &mut Pair) {
    for _ in 0..2 {
        pair.now += 60;
        pair.check_policy();
    }
}

fn retire(pair: &Pair) {
    let (tenant, name) = (TenantId::default(), "com.acme".to_string());
    if pair.store.domain(&tenant, &name).unwrap().is_none() {
        let domain = Domain {
            tenant: tenant.clone(),
            name: name.clone(),
            provider: "acme".into(),
            signers: Vec::new(),
            quota: None,
            created: pair.now,
            deleted: None,
        };
        pair.store.apply(vec![StoreOp::InsertDomain(domain)]).unwrap();
    }
    pair.store.apply(vec![StoreOp::DeleteDomain { tenant, name, at: pair.now }]).unwrap();
}

/// What the first TAM knows of the device by Evidence.
fn attested(pair: &Pair) -> bool {
    let id = tamarack_cose::thumbprint(
        &pair.agent.platform().attestation_public_key(Persona(0)),
        &tamarack_crypto_rustcrypto::provider(),
    );
    let device = pair.store.device(&TenantId::default(), &DeviceId(id.0)).unwrap().expect("known");
    device.attested.is_some_and(|held| held.entries.iter().any(|entry| entry.id == wallet("ta")))
}

#[test]
fn a_provider_moves_to_another_tam_and_never_lives_at_both() {
    let mut pair = Pair::new().with_another_tam();
    pair.publish(1, 1);
    request_at(&mut pair, TAM_URI);
    pair.pay(250);
    let (old_key, payments, spent) = pair.wallet_state();
    assert_eq!((pair.wallets(), payments, spent), (1, 1, 250));
    // The old domain goes first: the TA and its data leave the device.
    retire(&pair);
    check_both(&mut pair);
    assert_eq!(pair.wallets(), 0);
    // The old TAM has seen it proven before the new one has anything to give.
    check_both(&mut pair);
    assert!(!attested(&pair));
    pair.publish_at_the_other();
    request_at(&mut pair, OTHER_URI);
    assert_eq!(pair.wallets(), 1);
    let (key, payments, spent) = pair.wallet_state();
    assert_eq!((payments, spent), (0, 0), "nothing of the old data is left");
    assert_ne!(key, old_key);
    // The old TAM has no way back to it.
    check_both(&mut pair);
    assert_eq!((pair.wallets(), pair.wallet_state().0), (1, key));
}

#[test]
fn a_provider_that_moves_may_live_at_both_for_a_while() {
    let mut pair = Pair::new().with_another_tam();
    pair.publish(1, 1);
    request_at(&mut pair, TAM_URI);
    pair.publish_at_the_other();
    // An app has what it needs already; it is the new TAM that wants it there.
    let policy = Policy { tenant: TenantId::default(), component: wallet("ta"), since: pair.now };
    pair.other.as_ref().unwrap().1.apply(vec![StoreOp::SetPolicy(policy)]).unwrap();
    check_both(&mut pair);
    assert_eq!(pair.wallets(), 2, "each Owner has its own");
    retire(&pair);
    check_both(&mut pair);
    assert_eq!(pair.wallets(), 1);
    assert_eq!(pair.wallet_state().1, 0, "the one that is left is the new TAM's");
}
