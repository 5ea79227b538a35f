use alloc::vec::Vec;

use tamarack_jose::jwk::KeyUse;
use tamarack_otrp::Command;
use tamarack_store::{Domain, DomainSigner, Personalization, Proof, Read, SessionOutcome, StoreOp, TenantId};

use super::tee::Tee;
use super::world::World;
use crate::Reply;
use crate::tests::world::{NOW, id};

fn commands(tee: &mut Tee) -> Vec<Command> {
    core::mem::take(&mut tee.done)
}

#[test]
fn a_domain_is_made_and_a_ta_installed_updated_and_removed() {
    let world = World::new();
    let (mut tee, first) = (world.tee(), world.publish(1));
    tee.requested.push(id("acme/wallet/suit"));
    let reply = world.exchange(&mut tee);
    assert_eq!(commands(&mut tee), [Command::CreateSd, Command::InstallTa]);
    assert_eq!(Tee::digest_of(tee.ta("acme", "wallet").unwrap()), first.digest.0);
    let keys = [("acme".into(), Some(KeyUse::Signature)), ("acme".into(), Some(KeyUse::Encryption))];
    assert_eq!(tee.keys(&reply), keys);
    let session = world.last_session();
    assert_eq!(session.outcome, Some(SessionOutcome::Updated), "{session:?}");
    let record = world.record(&tee).unwrap();
    let otrp = record.otrp.unwrap();
    assert_eq!((otrp.did, otrp.domains.len(), otrp.aiks.len()), (tee.did(), 1, 2));
    assert!(record.teep.is_none());
    assert_eq!(record.reported.unwrap().proof, Proof::Report);
    assert!(record.attested.unwrap().entries.is_empty(), "attested is what came with Evidence");

    // Nothing to do; now the Evidence shows it.
    world.exchange(&mut tee);
    assert!(commands(&mut tee).is_empty());
    assert_eq!(world.last_session().outcome, Some(SessionOutcome::NothingToDo));
    let attested = world.record(&tee).unwrap().attested.unwrap();
    assert_eq!(attested.entries[0].digest, Some(first.digest));

    let second = world.publish(2);
    world.exchange(&mut tee);
    assert_eq!(commands(&mut tee), [Command::UpdateTa]);
    assert_eq!(Tee::digest_of(tee.ta("acme", "wallet").unwrap()), second.digest.0);

    tee.unneeded.push(id("acme/wallet/suit"));
    world.exchange(&mut tee);
    assert_eq!(commands(&mut tee), [Command::DeleteTa]);
    assert!(tee.ta("acme", "wallet").is_none());
    assert!(world.record(&tee).unwrap().reported.unwrap().entries.is_empty());
}

#[test]
fn a_device_as_the_draft_has_it_is_served_by_the_tams_own_record() {
    let mut world = World::new();
    world.otrp().tee_rules[1].draft = true;
    let (mut tee, first) = (world.foreign_tee(), world.publish(1));
    world.want("acme/wallet/ta");
    let reply = world.exchange(&mut tee);
    assert_eq!(commands(&mut tee), [Command::CreateSd, Command::InstallTa]);
    assert_eq!(Tee::digest_of(tee.ta("acme", "wallet").unwrap()), first.digest.0);
    assert_eq!(tee.keys(&reply), [("acme".into(), None)]);
    let record = world.record(&tee).unwrap();
    assert_eq!((record.grade.as_str(), record.attested), ("hardware", None));
    assert_eq!(record.reported.unwrap().entries[0].digest, Some(first.digest));
    world.exchange(&mut tee);
    assert!(commands(&mut tee).is_empty(), "it knows what it installed");
    world.publish(2);
    world.exchange(&mut tee);
    assert_eq!(commands(&mut tee), [Command::UpdateTa]);

    // A guest's certificate comes and goes, and is not sent twice.
    let guest = DomainSigner { provider: "isv".into(), certificate: b"guest".to_vec() };
    let mut domain = world.domain("acme");
    domain.signers.push(guest);
    world.apply([StoreOp::UpdateDomain(domain)]);
    world.exchange(&mut tee);
    assert_eq!(commands(&mut tee), [Command::UpdateSd]);
    assert_eq!(tee.sds["acme"].certificates.len(), 2);
    world.exchange(&mut tee);
    assert!(commands(&mut tee).is_empty());
}

#[test]
fn a_lost_answer_is_made_good_by_the_next_state() {
    for extended in [true, false] {
        for lost in 0..3 {
            let mut world = World::new();
            world.otrp().tee_rules[1].draft = true;
            let mut tee = if extended { world.tee() } else { world.foreign_tee() };
            let entry = world.publish(1);
            world.want("acme/wallet/ta");
            let mut request = world.begin();
            for number in 0.. {
                let answer = tee.answer(&request);
                if number == lost {
                    break;
                }
                request = super::world::message(&world.send(&answer));
            }
            world.exchange(&mut tee);
            assert_eq!(Tee::digest_of(tee.ta("acme", "wallet").unwrap()), entry.digest.0);
            commands(&mut tee);
            world.exchange(&mut tee);
            assert!(commands(&mut tee).is_empty(), "extended {extended}, lost {lost}");
            world.publish(2);
            world.exchange(&mut tee);
            assert_eq!(commands(&mut tee), [Command::UpdateTa], "extended {extended}, lost {lost}");
        }
    }
}

#[test]
fn signers_change_and_a_deleted_domain_goes_with_all_that_is_in_it() {
    let world = World::new();
    world.publish(1);
    let mut tee = world.tee();
    tee.requested.push(id("acme/wallet/suit"));
    world.exchange(&mut tee);
    commands(&mut tee);

    // One more, and that one less.
    let mut shared = world.domain("acme");
    shared.signers.push(DomainSigner { provider: "isv".into(), certificate: b"guest".to_vec() });
    for (domain, certificates) in [(shared, 2), (world.domain("acme"), 1)] {
        world.apply([StoreOp::UpdateDomain(domain)]);
        world.exchange(&mut tee);
        assert_eq!(commands(&mut tee), [Command::UpdateSd]);
        assert_eq!(tee.sds["acme"].certificates.len(), certificates);
    }

    let own = world.domain("acme").signers.remove(0);
    let renewed = DomainSigner { certificate: b"renewed".to_vec(), ..own.clone() };
    let domain = Domain { signers: alloc::vec![renewed], ..world.domain("acme") };
    world.apply([StoreOp::UpdateDomain(domain)]);
    world.exchange(&mut tee);
    assert_eq!(commands(&mut tee), [Command::UpdateSd]);
    assert_eq!(tee.sds["acme"].certificates, [b"renewed".to_vec()]);

    let tenant = TenantId::default();
    world.apply([StoreOp::DeleteDomain { tenant, name: "acme".into(), at: NOW }]);
    tee.requested.push(id("acme/wallet/suit"));
    let reply = world.exchange(&mut tee);
    assert_eq!(commands(&mut tee), [Command::DeleteSd], "and nothing is installed into it");
    assert!(tee.sds.is_empty() && tee.aiks.is_empty());
    assert!(matches!(reply, Reply::NoContent { .. }), "no key is left to hand out: {reply:?}");
    let record = world.record(&tee).unwrap();
    assert!(record.otrp.unwrap().domains.is_empty() && record.reported.unwrap().entries.is_empty());
}

#[test]
fn personalization_data_is_delivered_once_and_alone() {
    let mut world = World::new();
    world.otrp().tee_rules[1].draft = true;
    for mut tee in [world.tee(), world.foreign_tee()] {
        if world.store.catalogue(&TenantId::default()).unwrap().is_empty() {
            world.publish(1);
            world.want("acme/wallet/ta");
        }
        world.exchange(&mut tee);
        let row = Personalization {
            tenant: TenantId::default(),
            device: tee.id(),
            manifest: id("acme/wallet/suit"),
            data: b"card 1234".to_vec(),
            set: NOW,
            delivered: None,
        };
        world.apply([StoreOp::SetPersonalization(row.clone())]);
        commands(&mut tee);
        world.exchange(&mut tee);
        assert_eq!(commands(&mut tee), [Command::UpdateTa]);
        assert_eq!(tee.sds["acme"].tas["wallet"].1.as_deref(), Some(&b"card 1234"[..]));
        world.exchange(&mut tee);
        assert!(commands(&mut tee).is_empty());
        let rows = world.store.personalizations(&TenantId::default(), &tee.id()).unwrap();
        assert_eq!(rows, [Personalization { delivered: Some(NOW), ..row }]);
    }
}

#[test]
fn a_device_that_tells_no_next_state_is_asked_for_it() {
    let world = World::new();
    world.publish(1);
    let mut tee = world.tee();
    tee.tells = false;
    tee.requested.push(id("acme/wallet/suit"));
    world.exchange(&mut tee);
    assert_eq!(commands(&mut tee), [Command::CreateSd, Command::InstallTa]);
    assert!(tee.ta("acme", "wallet").is_some());
}

/// With the order of its answers lost the TAM does not know what is there; all that is in its domain came from it, so it is
/// an old version.
#[test]
fn a_ta_that_nobody_recorded_is_replaced_by_the_newest() {
    let mut world = World::new();
    world.otrp().tee_rules[1].draft = true;
    let (mut tee, _) = (world.foreign_tee(), world.publish(1));
    world.want("acme/wallet/ta");
    let mut request = world.begin();
    while tee.ta("acme", "wallet").is_none() {
        let answer = tee.answer(&request);
        if tee.ta("acme", "wallet").is_none() {
            request = super::world::message(&world.send(&answer));
        }
    }
    commands(&mut tee);
    let second = world.publish(2);
    world.exchange(&mut tee);
    assert_eq!(commands(&mut tee), [Command::UpdateTa]);
    assert_eq!(Tee::digest_of(tee.ta("acme", "wallet").unwrap()), second.digest.0);
}

#[test]
fn a_tee_that_wants_the_status_gets_it_with_every_request() {
    let world = World::new();
    world.publish(1);
    let mut tee = world.tee();
    tee.wants_status = true;
    tee.requested.push(id("acme/wallet/suit"));
    world.exchange(&mut tee);
    assert!(tee.ta("acme", "wallet").is_some());
}
