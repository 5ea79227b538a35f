//! Both ends under one fake clock, over a link that is honest, lossy or hostile.

mod crowd;
mod makers;
mod otrp;
mod owner;
mod valve;
// The test of the permission matrix uses more of it.
#[allow(dead_code)]
mod world;

use tamarack_agent::Input;
use tamarack_cbor::{Decode, Limits, Value};
use tamarack_crypto::PublicKey;
use tamarack_model::Outcome;
use tamarack_testkit::cddl::Rules;
use world::link::{flipping, honest, losing, repeating};
use world::{Delivery, Pair, wallet};

#[test]
fn a_ta_is_installed_used_updated_and_removed() {
    let mut pair = Pair::new();
    let first = pair.publish(1, 1);
    let finished = pair.request().expect("the request comes to an end");
    assert_eq!(finished.outcome, Outcome::Done, "{finished:?}");
    assert_eq!(pair.installed(), Some(1));

    // Reported by the device's word; attested only when fresh Evidence shows it.
    let knows = |pair: &Pair| {
        let device = pair.device().unwrap();
        let has = |held: &Option<tamarack_store::Held>| {
            held.as_ref().is_some_and(|held| held.entries.iter().any(|e| e.digest == Some(first.digest)))
        };
        (has(&device.reported), has(&device.attested))
    };
    assert_eq!(knows(&pair), (true, false));
    pair.now += 60;
    pair.check_policy();
    assert_eq!(knows(&pair), (true, true));

    let receipt = pair.pay(250);
    let (key, payments, spent) = pair.wallet_state();
    assert_eq!((payments, spent), (1, 250));
    check_receipt(&receipt, &key);

    pair.publish(2, 2);
    pair.now += 60;
    pair.check_policy();
    assert_eq!(pair.installed(), Some(2));
    assert_eq!(pair.wallet_state(), (key.clone(), 1, 250), "key and counter live on");

    pair.now += 60;
    pair.play(Input::UnrequestTa { component: wallet("ta") });
    pair.check_policy();
    assert_eq!(pair.installed(), None);
    pair.now += 60;
    pair.request();
    let (new_key, payments, spent) = pair.wallet_state();
    assert_eq!((payments, spent), (0, 0), "its data is gone");
    assert_ne!(new_key, key);
}

/// `[payload, signature]`, Ed25519 over the payload.
fn check_receipt(receipt: &[u8], key: &[u8]) {
    let Value::Array(parts) = Value::from_cbor(receipt, &Limits::default()).unwrap() else {
        panic!("{receipt:?}")
    };
    let [Value::Bytes(payload), Value::Bytes(signature)] = parts.as_slice() else { panic!("{parts:?}") };
    let key = PublicKey::from_point(key).unwrap();
    tamarack_crypto_aws_lc::provider().verify.verify(&key, payload, signature).unwrap();
}

/// A flipped bit is noticed, or it hit something that nothing depends on: the kid, which is a hint, or one of the two
/// signatures of the QueryRequest, where the other one counts. Nothing but the honest outcome ever comes of it.
#[test]
fn no_flipped_bit_in_any_message_has_an_effect() {
    let (.., messages) = Pair::published(Pair::new);
    assert!(messages >= 4, "QueryRequest, QueryResponse, Update, Success");
    let (mut noticed, mut tried) = (0, 0);
    for number in 0..messages {
        for step in 0..24 {
            let (mut pair, published, _) = Pair::published(Pair::new);
            let wanted = published.components[0].digest;
            pair.link = flipping(number, step, 24);
            pair.request();
            let what = format!("message {number}, step {step}");
            let held = pair.held();
            assert!(held.is_none() || held == wanted, "{what}");
            tried += usize::from(number + 1 < messages);
            noticed += usize::from(number + 1 < messages && held.is_none());
            // Nothing stays stuck: the next honest exchange comes to its end.
            pair.link = honest();
            pair.now += 1;
            pair.request();
            assert_eq!(pair.installed(), Some(1), "{what}");
        }
    }
    assert!(noticed * 3 >= tried * 2, "only {noticed} of {tried} flips were noticed");
}

#[test]
fn lost_and_repeated_messages_are_survived() {
    let (.., messages) = Pair::published(Pair::new);
    for number in 0..messages {
        for lost in [true, false] {
            let (mut pair, ..) = Pair::published(Pair::new);
            pair.link = if lost { losing(number) } else { repeating(number) };
            pair.request();
            pair.link = honest();
            for _ in 0..2 {
                pair.now += 400;
                pair.request();
                pair.check_policy();
            }
            assert_eq!(pair.installed(), Some(1), "message {number}, lost {lost}");
            let device = pair.device().unwrap();
            assert!(device.quarantine.is_none(), "message {number}, lost {lost}: {:?}", device.quarantine);
        }
    }
}

#[test]
fn every_old_message_to_either_side_changes_nothing() {
    let mut pair = Pair::new();
    pair.publish(1, 1);
    pair.request();
    pair.publish(2, 2);
    pair.now += 60;
    pair.check_policy();
    pair.now += 60;
    pair.check_policy();
    assert_eq!(pair.installed(), Some(2));
    let old = pair.sent.clone();
    let before = pair.digests();
    for (number, message) in old.iter().enumerate() {
        // To the device, alone and in the middle of an exchange; to the TAM in place of an honest answer.
        let _ = pair.agent.handle(pair.now, Input::ProcessTeepMessage(message.clone()));
        while pair.agent.poll_output().is_some() {}
        assert_eq!(pair.digests().0, before.0, "message {number} to the device");
        let reply = pair.tam.respond(pair.now, &pair.store, tamarack_store::TenantId::default(), message);
        drop(reply);
        assert_eq!(pair.digests().1, before.1, "message {number} to the TAM");
        let replay = message.clone();
        let start = pair.sent.len();
        pair.link = Box::new(
            move |n, _| if n == start { Delivery::Altered(replay.clone()) } else { Delivery::Intact },
        );
        pair.check_policy();
        assert_eq!(pair.installed(), Some(2), "message {number} in an exchange");
        pair.link = honest();
    }
}

#[test]
fn what_both_ends_send_is_what_the_cddl_describes() {
    let Some(specs) = tamarack_testkit::specs::specs_dir() else { return };
    let rules = tamarack_testkit::cddl::teep_messages(&specs, None);
    let eat = Rules::load(&specs, "eat", Some("TEEP-Claims-Set"));
    let mut pair = Pair::new();
    pair.publish(1, 1);
    pair.request();
    pair.now += 60;
    pair.play(Input::UnrequestTa { component: wallet("ta") });
    pair.check_policy();
    let mut evidence = 0;
    for message in &pair.sent {
        let (Value::Tag(_, object), _) = Value::decode_lenient(message).unwrap() else { panic!("untagged") };
        let Value::Array(parts) = *object else { panic!("not COSE") };
        let Value::Bytes(payload) = &parts[2] else { panic!("detached") };
        rules.check(payload).unwrap_or_else(|e| panic!("{e}\n{}", hex::encode(payload)));
        let message = tamarack_teep::Message::from_cbor(payload, &Limits::default()).unwrap();
        if let tamarack_teep::Message::QueryResponse(response) = message {
            let token = response.attestation_payload.unwrap();
            let (Value::Tag(18, object), _) = Value::decode_lenient(&token).unwrap() else {
                panic!("no Sign1")
            };
            let Value::Array(parts) = *object else { panic!("not COSE") };
            let Value::Bytes(claims) = &parts[2] else { panic!("detached") };
            eat.check(claims).unwrap_or_else(|e| panic!("{e}"));
            evidence += 1;
        }
    }
    assert!(pair.sent.len() >= 8 && evidence >= 2, "{} messages, {evidence} with Evidence", pair.sent.len());
}
