//! The same with OTrP: real Agent, real TAM, one fake clock.

use tamarack_agent::Input;
use tamarack_model::{Outcome, codes};
use tamarack_otrp::ErrorCode;
use tamarack_store::{Proof, Read, SessionOutcome, TenantId};

use crate::world::link::{flipping, honest, losing, repeating};
use crate::world::{Delivery, NOW, Pair, wallet};

fn sessions(pair: &Pair) -> Vec<tamarack_store::Session> {
    pair.store.sessions(&TenantId::default(), None, 9).unwrap()
}

#[test]
fn a_ta_is_installed_used_updated_and_removed_over_otrp() {
    let mut pair = Pair::otrp();
    let first = pair.publish(1, 1);
    let finished = pair.request().expect("the request comes to an end");
    assert_eq!(finished.outcome, Outcome::Done, "{finished:?}; {:?}", sessions(&pair));
    assert_eq!(pair.installed(), Some(1));
    assert!(pair.keys.take().is_some(), "the TAM vouches for the provider's keys");
    let device = pair.device().unwrap();
    assert_eq!((device.grade.as_str(), device.teep), ("software", None));
    assert_eq!(device.otrp.unwrap().domains[0].name, "com.acme");
    let held = device.reported.unwrap();
    assert_eq!((held.proof, held.entries[0].digest), (Proof::Report, Some(first.digest)));
    assert_eq!(sessions(&pair)[0].outcome, Some(SessionOutcome::Updated));

    // Attested when Evidence comes with it.
    pair.now += 60;
    pair.check_policy();
    let attested = pair.device().unwrap().attested.unwrap();
    assert_eq!(attested.entries[0].digest, Some(first.digest));

    pair.pay(250);
    let (key, payments, spent) = pair.wallet_state();
    assert_eq!((payments, spent), (1, 250));
    pair.publish(2, 2);
    pair.now += 60;
    pair.check_policy();
    assert_eq!(pair.installed(), Some(2), "{:?}", sessions(&pair)[0]);
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

#[test]
fn a_deleted_domain_goes_with_its_tas() {
    let mut pair = Pair::otrp();
    pair.publish(1, 1);
    pair.request();
    pair.delete_domain();
    pair.now += 60;
    pair.check_policy();
    assert_eq!(pair.installed(), None);
    let device = pair.device().unwrap();
    assert!(device.otrp.unwrap().domains.is_empty() && device.reported.unwrap().entries.is_empty());
    pair.now += 60;
    pair.request();
    assert_eq!(pair.installed(), None, "nothing is installed into it any more");
}

/// A TA of another provider runs in the domain under its own id, signed by its maker alone (capability F45).
#[test]
fn f44_a_guest_ta_runs_in_the_domain_of_its_buyer() {
    let mut pair = Pair::otrp();
    pair.publish(1, 1);
    pair.request();
    let guest = pair.publish_as_guest();
    pair.now += 60;
    pair.play(Input::RequestTa { component: guest.clone(), tam_uri: None });
    let held = |pair: &Pair| {
        let status = pair.agent.status().unwrap();
        [&guest, &wallet("ta")].map(|id| status.components.iter().any(|held| held.component == *id))
    };
    assert_eq!(held(&pair), [true, true], "{:?}", sessions(&pair)[0]);
    let device = pair.device().unwrap();
    assert_eq!(device.otrp.unwrap().domains[0].signers.len(), 2);
    // One goes, the other lives.
    pair.now += 60;
    pair.play(Input::UnrequestTa { component: wallet("ta") });
    pair.check_policy();
    assert_eq!(held(&pair), [true, false], "{:?}", sessions(&pair)[0]);
}

/// One TA, published once, reaches a device of each protocol.
#[test]
fn one_publication_reaches_devices_of_both_protocols() {
    let mut pair = Pair::otrp();
    let entry = pair.publish(1, 1);
    pair.request();
    assert_eq!(pair.installed(), Some(1));
    let otrp = pair.other_device();
    pair.request();
    assert_eq!(pair.installed(), Some(1));
    let devices = pair.store.devices(&TenantId::default(), None, 9).unwrap();
    assert_eq!(devices.len(), 2);
    for device in &devices {
        let held = &device.reported.as_ref().unwrap().entries;
        assert!(held.iter().any(|held| held.digest == Some(entry.digest)), "{held:?}");
    }
    assert_eq!(devices.iter().filter(|device| device.teep.is_some()).count(), 1);
    assert_eq!(devices.iter().filter(|device| device.otrp.is_some()).count(), 1);
    // And the next version too.
    pair.publish(2, 2);
    pair.now += 60;
    pair.check_policy();
    assert_eq!(pair.installed(), Some(2));
    pair.agent = otrp;
    pair.check_policy();
    assert_eq!(pair.installed(), Some(2));
}

/// A device that speaks both with a TAM that it knows as one Owner is one device at that TAM.
#[test]
fn k2_a_bound_device_has_one_record() {
    let mut pair = Pair::bound();
    let entry = pair.publish(1, 1);
    // The Agent answers either protocol of a TAM that it knows by both.
    let connect = |pair: &mut Pair| {
        let tenant = TenantId::default();
        let reply = pair.tam.respond(pair.now, &pair.store, tenant, &[]);
        let tamarack_tam::Reply::Transmit { message, .. } = reply else { panic!("{reply:?}") };
        pair.play(Input::ProcessTeepMessage(message));
    };
    pair.play(Input::RequestTa { component: wallet("ta"), tam_uri: None });
    assert_eq!(pair.installed(), Some(1));
    pair.now += 60;
    connect(&mut pair);
    let devices = pair.store.devices(&TenantId::default(), None, 9).unwrap();
    assert_eq!(devices.len(), 1);
    let device = &devices[0];
    assert!(device.teep.is_some() && device.otrp.is_some());
    assert!(device.attested.as_ref().unwrap().entries.iter().any(|held| held.digest == Some(entry.digest)));
    // What one protocol brought the other one knows and replaces.
    pair.publish(2, 2);
    pair.now += 60;
    connect(&mut pair);
    assert_eq!(pair.installed(), Some(2), "{:?}", sessions(&pair)[0]);
    pair.publish(1, 3);
    pair.now += 60;
    pair.check_policy();
    assert_eq!(pair.installed(), Some(3), "{:?}", sessions(&pair)[0]);
    let devices = pair.store.devices(&TenantId::default(), None, 9).unwrap();
    assert_eq!((devices.len(), devices[0].quarantine.clone()), (1, None));
}

#[test]
fn lost_and_repeated_messages_of_otrp_are_survived() {
    let (.., messages) = Pair::published(Pair::otrp);
    assert!(messages >= 6, "three requests with their answers, {messages}");
    for number in 0..messages {
        for lost in [true, false] {
            let (mut pair, ..) = Pair::published(Pair::otrp);
            pair.link = if lost { losing(number) } else { repeating(number) };
            pair.request();
            pair.link = honest();
            for _ in 0..2 {
                pair.now += 400;
                pair.request();
                pair.check_policy();
            }
            assert_eq!(pair.installed(), Some(1), "message {number}, lost {lost}: {:?}", sessions(&pair));
            let device = pair.device().unwrap();
            assert!(device.quarantine.is_none(), "message {number}, lost {lost}: {:?}", device.quarantine);
        }
    }
}

/// Old messages come again in another order, to both sides and in place of new ones.
#[test]
fn r10_every_old_message_of_otrp_changes_nothing() {
    let mut pair = Pair::otrp();
    pair.publish(1, 1);
    pair.request();
    pair.publish(2, 2);
    pair.now += 60;
    pair.check_policy();
    pair.now += 60;
    pair.check_policy();
    assert_eq!(pair.installed(), Some(2), "{:?}", sessions(&pair)[0]);
    let old = pair.sent.clone();
    let before = pair.digests();
    for (number, message) in old.iter().enumerate().rev() {
        let _ = pair.agent.handle(pair.now, Input::ProcessOtrpMessage(message.clone()));
        while pair.agent.poll_output().is_some() {}
        assert_eq!(pair.installed(), Some(2), "message {number} to the device");
        let reply = pair.tam.respond_otrp(pair.now, &pair.store, TenantId::default(), message, true);
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
    pair.now += 60;
    pair.check_policy();
    assert_eq!(sessions(&pair)[0].outcome, Some(SessionOutcome::NothingToDo));
}

#[test]
fn no_flipped_bit_in_any_message_of_otrp_has_an_effect() {
    let (.., messages) = Pair::published(Pair::otrp);
    for number in 0..messages {
        for step in 0..6 {
            let (mut pair, published, _) = Pair::published(Pair::otrp);
            let wanted = published.components[0].digest;
            pair.link = flipping(number, step, 6);
            pair.request();
            let what = format!("message {number}, step {step}");
            let held = pair.held();
            assert!(held.is_none() || held == wanted, "{what}");
            pair.link = honest();
            pair.now += 1;
            pair.request();
            assert_eq!(pair.installed(), Some(1), "{what}: {:?}", sessions(&pair));
        }
    }
}

#[test]
fn a_lying_broker_changes_nothing_at_the_tam() {
    for code in [ErrorCode::AgentTeeUnknown, ErrorCode::AgentTeeBusy, ErrorCode::AgentTeeFail] {
        let mut pair = Pair::otrp();
        pair.publish(1, 1);
        let before = pair.digests();
        pair.broker = Some(code);
        pair.request();
        assert_eq!(pair.digests().1, before.1, "{code}");
        assert!(sessions(&pair).is_empty());
        pair.broker = None;
        pair.now += 60;
        pair.request();
        assert_eq!(pair.installed(), Some(1));
    }
}

#[test]
fn without_a_status_in_force_the_device_is_not_asked() {
    let mut pair = Pair::otrp();
    pair.publish(1, 1);
    pair.now = NOW + 2 * 86_400;
    pair.request();
    assert_eq!(pair.installed(), None);
    let reply = pair.tam.respond_otrp(pair.now, &pair.store, TenantId::default(), &[], false);
    assert_eq!(reply.event().code, Some(codes::OCSP_UNAVAILABLE));
}
