//! The tenant's release policy over OTrP: it is asked before each command that brings something.

use alloc::boxed::Box;
use alloc::vec::Vec;

use tamarack_model::codes;
use tamarack_otrp::Command;
use tamarack_store::{Read, SessionOutcome, TenantId};

use super::world::World;
use crate::Reply;
use crate::tests::refused;
use crate::tests::release::Words;
use crate::tests::world::{NOW, id};

#[test]
fn what_a_policy_denies_is_not_brought_and_what_it_allows_is() {
    let mut world = World::new();
    world.base.tam.config.release_rules = Some(Box::new(Words));
    world.publish(1);
    world.set_policy(Some("purse"));
    let mut tee = world.tee();
    tee.requested.push(id("acme/wallet/suit"));
    // Not even the domain is made.
    refused(&world.exchange(&mut tee), 403, codes::RELEASE_DENIED);
    assert_eq!(tee.done, []);
    let session = world.last_session();
    assert_eq!((session.outcome, session.code), (Some(SessionOutcome::Refused), Some(codes::RELEASE_DENIED)));
    assert_eq!(
        session.reason.as_deref(),
        Some("nothing to do; cannot: acme/wallet/suit is not released: not purse")
    );
    let recorded = || world.store.recorded(&TenantId::default(), &tee.id()).unwrap().unwrap();
    assert!(recorded().otrp && recorded().at == NOW && !recorded().evidence.is_empty());
    assert_eq!(recorded().withheld.iter().map(|row| row.code).collect::<Vec<_>>(), [codes::RELEASE_DENIED]);

    // The policy is asked anew before each command of a session.
    world.set_policy(Some("wallet"));
    tee.requested.push(id("acme/wallet/suit"));
    world.exchange(&mut tee);
    assert_eq!(core::mem::take(&mut tee.done), [Command::CreateSd, Command::InstallTa]);
    let recorded = world.store.recorded(&TenantId::default(), &tee.id()).unwrap().unwrap();
    assert_eq!((recorded.policy, recorded.withheld.len()), (Some(2), 0));

    // An update is not brought, and applications get their keys all the same.
    world.publish(2);
    world.set_policy(Some("nothing"));
    let reply = world.exchange(&mut tee);
    assert!(matches!(reply, Reply::Keys { .. }), "{reply:?}");
    assert_eq!(reply.event().code, Some(codes::RELEASE_DENIED));
    assert_eq!(tee.done, []);

    // Removals go out whatever the policy says.
    tee.unneeded.push(id("acme/wallet/suit"));
    world.exchange(&mut tee);
    assert_eq!(tee.done, [Command::DeleteTa]);
}

#[test]
fn a_policy_sees_that_there_were_only_certificates() {
    let mut world = World::new();
    world.otrp().tee_rules[1].draft = true;
    world.base.tam.config.release_rules = Some(Box::new(Words));
    world.publish(1);
    world.want("acme/wallet/ta");
    world.set_policy(Some("evidence"));
    let mut tee = world.foreign_tee();
    refused(&world.exchange(&mut tee), 403, codes::RELEASE_DENIED);
    world.set_policy(Some("certificates"));
    world.exchange(&mut tee);
    assert_eq!(tee.done, [Command::CreateSd, Command::InstallTa]);
}
