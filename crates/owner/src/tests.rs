use alloc::string::String;
use alloc::vec::Vec;
use alloc::{boxed::Box, vec};

use proptest::prelude::*;
use tamarack_cbor::{Decode, Encode};
use tamarack_crypto::{KeyType, Provider, Sign};
use tamarack_model::{ComponentId, OwnerSays, Sha256Digest};

use super::*;

fn provider() -> Provider {
    tamarack_crypto_rustcrypto::provider()
}

fn key(key_type: KeyType) -> Box<dyn Sign> {
    let keys = provider().keys;
    keys.load_pkcs8(keys.generate_pkcs8(key_type).unwrap().expose()).unwrap()
}

fn id(text: &str) -> ComponentId {
    ComponentId::parse_text(text).unwrap()
}

fn rules(rows: &[(Selector, Effect)]) -> Rules {
    let mut rules = Rules::default();
    for (selector, effect) in rows {
        rules.set(selector, Some(*effect)).unwrap();
    }
    rules
}

#[test]
fn without_rules_everything_is_allowed() {
    let rules = Rules::default();
    assert_eq!(rules.of_tam(["https://tam.example"]), Effect::Allow);
    assert_eq!(
        (rules.of_provider("acme"), rules.of_component(&id("com.acme/x"))),
        (Effect::Allow, Effect::Allow)
    );
}

#[test]
fn the_most_specific_rule_of_a_kind_counts() {
    let rules = rules(&[
        (Selector::Component(None), Effect::Deny),
        (Selector::Component(Some(id("com.acme"))), Effect::Consent),
        (Selector::Component(Some(id("com.acme/wallet"))), Effect::Allow),
        (Selector::Provider(None), Effect::Consent),
        (Selector::Provider(Some("acme".into())), Effect::Allow),
        (Selector::Tam(None), Effect::Deny),
        (Selector::Tam(Some("https://tam.example".into())), Effect::Allow),
        (Selector::Tam(Some("1.2.3".into())), Effect::Consent),
    ]);
    for (component, expected) in [
        ("com.acme/wallet/ta", Effect::Allow),
        ("com.acme/valve/ta", Effect::Consent),
        // Whole segments: this one only begins with the same letters.
        ("com.acmeco/wallet", Effect::Deny),
    ] {
        assert_eq!(rules.of_component(&id(component)), expected, "{component}");
    }
    assert_eq!((rules.of_provider("acme"), rules.of_provider("globex")), (Effect::Allow, Effect::Consent));
    assert_eq!(rules.of_tam(["https://tam.example"]), Effect::Allow);
    assert_eq!(rules.of_tam(["https://other.example"]), Effect::Deny);
    assert_eq!(rules.of_tam([]), Effect::Deny, "a TAM without a name is every other one");
    assert_eq!(rules.of_tam(["https://tam.example", "1.2.3"]), Effect::Consent, "two names, both hold");
}

#[test]
fn rules_are_bounded_and_one_for_each_selector() {
    let mut rules = Rules::default();
    let selector = |n: usize| Selector::Provider(Some(alloc::format!("p{n}")));
    for n in 0..MAX_RULES {
        rules.set(&selector(n), Some(Effect::Deny)).unwrap();
    }
    assert_eq!(rules.set(&selector(MAX_RULES), Some(Effect::Deny)), Err(Error::TooManyRules));
    // In place of one that is there.
    rules.set(&selector(3), Some(Effect::Allow)).unwrap();
    assert_eq!((rules.iter().count(), rules.of_provider("p3")), (MAX_RULES, Effect::Allow));
    rules.set(&selector(3), None).unwrap();
    assert_eq!(rules.iter().count(), MAX_RULES - 1);
}

fn order() -> Order {
    Order {
        challenge: [1; 16],
        nonce: [2; 16],
        changes: vec![
            Change::Rule {
                selector: Selector::Tam(Some("https://tam.example".into())),
                effect: Some(Effect::Deny),
            },
            Change::Rule { selector: Selector::Component(Some(id("com.acme"))), effect: None },
            Change::Approve {
                tam: "https://tam.example".into(),
                manifest: id("com.acme/w/suit"),
                digest: Sha256Digest([3; 32]),
            },
            Change::Key(key(KeyType::P256).public_key()),
        ],
    }
}

#[test]
fn an_order_is_read_whole_or_not_at_all() {
    let order = order();
    let bytes = order.to_cbor();
    assert_eq!(Order::from_cbor(&bytes, &limits()), Ok(order.clone()));
    for cut in 0..bytes.len() {
        assert!(Order::from_cbor(&bytes[..cut], &limits()).is_err(), "cut at {cut}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert!(Order::from_cbor(&longer, &limits()).is_err());
    let many = Order { changes: vec![order.changes[0].clone(); MAX_CHANGES + 1], ..order };
    assert!(Order::from_cbor(&many.to_cbor(), &limits()).is_err());
}

#[test]
fn k5_only_the_owners_key_signs_orders() {
    let (owner, other) = (key(KeyType::Ed25519), key(KeyType::Ed25519));
    let order = order();
    let signed = order.sign(&*owner).unwrap();
    assert_eq!(Order::verify(&signed, &owner.public_key(), &provider()), Ok(order));
    assert!(Order::verify(&signed, &other.public_key(), &provider()).is_err());
    for at in 0..signed.len() {
        let mut altered = signed.clone();
        altered[at] ^= 1;
        assert!(Order::verify(&altered, &owner.public_key(), &provider()).is_err(), "byte {at}");
    }
}

fn statement(key: &dyn Sign) -> Statement {
    Statement {
        order: [7; 32],
        key: key.public_key(),
        sequence: 3,
        rules: rules(&[(Selector::Provider(None), Effect::Deny), (Selector::Tam(None), Effect::Consent)]),
        tams: vec![TamView {
            names: vec!["https://tam.example".into()],
            active: true,
            effect: Effect::Consent,
        }],
        waiting: vec![Waiting {
            tam: "https://tam.example".into(),
            manifest: id("com.acme/w/suit"),
            digest: Sha256Digest([4; 32]),
            sequence: 9,
            provider: "acme".into(),
            says: Some(OwnerSays::Deferred),
            since: 1_800_000_000,
            approved: false,
        }],
        stopped: vec![("https://tam.example".into(), id("com.acme/v/suit"))],
    }
}

#[test]
fn a_statement_answers_one_order_and_comes_from_one_device() {
    let (device, other) = (key(KeyType::Ed25519), key(KeyType::Ed25519));
    let statement = statement(&*device);
    let signed = statement.sign(&*device).unwrap();
    let read = |order: [u8; 32], known: Option<&dyn Sign>| {
        Statement::verify(&signed, &order, known.map(|key| key.public_key()).as_ref(), &provider())
    };
    assert_eq!(read([7; 32], None).as_ref(), Ok(&statement));
    assert_eq!(read([7; 32], Some(&*device)), Ok(statement.clone()));
    assert!(read([8; 32], None).is_err(), "the answer to another order");
    assert!(read([7; 32], Some(&*other)).is_err(), "another device");
    // Who signs with a key of its own and names the device's, or the other way round, is no device.
    let signed = statement.sign(&*other).unwrap();
    assert!(Statement::verify(&signed, &[7; 32], None, &provider()).is_err());
    assert!(Statement::verify(&signed, &[7; 32], Some(&other.public_key()), &provider()).is_err());
}

fn arbitrary_id() -> impl Strategy<Value = ComponentId> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 1..5), 1..4)
        .prop_map(|s| ComponentId::new(s).unwrap())
}

fn arbitrary_selector() -> impl Strategy<Value = Selector> {
    let name = || prop::option::of("[a-z]{1,8}");
    prop_oneof![
        name().prop_map(Selector::Tam),
        name().prop_map(Selector::Provider),
        prop::option::of(arbitrary_id()).prop_map(Selector::Component),
    ]
}

fn arbitrary_effect() -> impl Strategy<Value = Effect> {
    prop_oneof![Just(Effect::Allow), Just(Effect::Consent), Just(Effect::Deny)]
}

proptest! {
    #[test]
    fn orders_and_rules_read_back(
        rows in prop::collection::vec((arbitrary_selector(), arbitrary_effect()), 0..20),
        challenge in any::<[u8; 16]>(),
        nonce in any::<[u8; 16]>(),
        tam in "[a-z]{1,20}",
        manifest in arbitrary_id(),
    ) {
        let rules = rules(&rows);
        prop_assert_eq!(Rules::from_cbor(&rules.to_cbor(), &limits()), Ok(rules));
        let mut changes: Vec<Change> = rows
            .into_iter()
            .map(|(selector, effect)| Change::Rule { selector, effect: Some(effect) })
            .collect();
        changes.push(Change::Approve { tam: String::from(tam.as_str()), manifest, digest: Sha256Digest([1; 32]) });
        let order = Order { challenge, nonce, changes };
        prop_assert_eq!(Order::from_cbor(&order.to_cbor(), &limits()), Ok(order));
    }

    #[test]
    fn random_bytes_are_no_order(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(order) = Order::from_cbor(&bytes, &limits()) {
            prop_assert_eq!(order.to_cbor(), bytes);
        }
    }
}
