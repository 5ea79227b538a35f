//! Orders of a device's owner and what the device answers, signed and bare: no panic, and what is read is written the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tamarack_cbor::{Decode, Encode};
use tamarack_fuzz::{limits, seeds, wallet};
use tamarack_model::{OwnerSays, Sha256Digest};
use tamarack_owner::{Change, Effect, Order, Rules, Selector, Statement, TamView, Waiting};

fn examples() -> Vec<Vec<u8>> {
    let key = tamarack_crypto::PublicKey::Ed25519([7; 32]);
    let tam = String::from("https://tam.example/tam");
    let mut rules = Rules::default();
    for (selector, effect) in [
        (Selector::Tam(Some(tam.clone())), Effect::Deny),
        (Selector::Provider(None), Effect::Consent),
        (Selector::Component(Some(wallet("ta"))), Effect::Allow),
    ] {
        rules.set(&selector, Some(effect)).expect("few rules");
    }
    let changes = vec![
        Change::Rule { selector: Selector::Component(None), effect: None },
        Change::Approve { tam: tam.clone(), manifest: wallet("suit"), digest: Sha256Digest([1; 32]) },
        Change::Key(key),
    ];
    let waiting = Waiting {
        tam: tam.clone(),
        manifest: wallet("suit"),
        digest: Sha256Digest([1; 32]),
        sequence: 3,
        provider: "acme".into(),
        says: Some(OwnerSays::Deferred),
        since: 1,
        approved: false,
    };
    let statement = Statement {
        order: [2; 32],
        key,
        sequence: 1,
        rules,
        tams: vec![TamView { names: vec![tam.clone()], active: true, effect: Effect::Deny }],
        waiting: vec![waiting],
        stopped: vec![(tam, wallet("suit"))],
    };
    vec![Order { challenge: [1; 16], nonce: [2; 16], changes }.to_cbor(), statement.to_cbor()]
}

fuzz_target!(init: seeds(examples), |data: &[u8]| {
    if let Ok(order) = Order::from_cbor(data, &limits()) {
        assert_eq!(Order::from_cbor(&order.to_cbor(), &limits()), Ok(order));
    }
    if let Ok(statement) = Statement::from_cbor(data, &limits()) {
        assert_eq!(Statement::from_cbor(&statement.to_cbor(), &limits()), Ok(statement));
    }
    let crypto = tamarack_crypto_rustcrypto::provider();
    let key = tamarack_crypto::PublicKey::Ed25519([7; 32]);
    let _ = Order::verify(data, &key, &crypto);
    let _ = Statement::verify(data, &[0; 32], None, &crypto);
});
