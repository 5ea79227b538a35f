//! The third step: the tenant's policy decides what of the plan a device is given.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

use tamarack_attest::Refusal;
use tamarack_attest::release::{Decision, DeviceFacts, Release, ReleaseRules, ShownBy};
use tamarack_model::{TcEntry, UnixTime};
use tamarack_store::{CatalogueEntry, Read, ReleasePolicy, StoreOp, TenantId, Withheld};

use super::world::id;
use super::*;

/// Rules in a language of one word: who may have something is the provider, or the time is over.
pub(super) struct Words;

impl ReleaseRules for Words {
    fn check(&self, policy: &str) -> Result<(), Refusal> {
        match policy {
            "broken" => {
                Err(Refusal { code: codes::RELEASE_POLICY_INVALID, reason: "line 1, column 1".into() })
            }
            _ => Ok(()),
        }
    }

    fn decide(&self, policy: &str, device: &DeviceFacts, releases: &[Release], _: UnixTime) -> Vec<Decision> {
        let one = |release: &Release| match policy {
            "everything" => Decision::allow(""),
            "known" if device.known => Decision::allow(""),
            "evidence" if device.shown.proof != ShownBy::Certificates => Decision::allow(""),
            "certificates" if device.shown.proof == ShownBy::Certificates => Decision::allow(""),
            "updates" if release.installed.is_some() => Decision::allow(""),
            "late" => Decision::deny(codes::RELEASE_POLICY_TIME, "it took too long"),
            "broken" => Decision::deny(codes::RELEASE_POLICY_INVALID, "line 1, column 1"),
            _ if release.manifest.to_string().contains(policy) => Decision::allow(""),
            _ => Decision::deny(codes::RELEASE_DENIED, alloc::format!("not {policy}")),
        };
        // A wrong answer, to see that what nobody spoke of is denied.
        match policy {
            "silent" => Vec::new(),
            _ => releases.iter().map(one).collect(),
        }
    }
}

impl World {
    fn ruled() -> Self {
        let mut world = Self::new();
        world.tam.config.release_rules = Some(Box::new(Words));
        world
    }

    pub(super) fn set_policy(&self, text: Option<&str>) {
        let tenant = TenantId::default();
        let version = self.store.release_policy(&tenant).unwrap().map_or(0, |row| row.version) + 1;
        let (text, set) = (text.map(String::from), self.clock.get());
        self.apply([StoreOp::SetReleasePolicy(ReleasePolicy {
            tenant,
            version,
            text,
            set,
            by: "operator".into(),
        })]);
    }

    fn recorded(&self, device: &Device) -> tamarack_store::Recorded {
        self.store.recorded(&TenantId::default(), &device.id(&self.crypto)).unwrap().unwrap()
    }

    fn want(&self, component: &str) {
        let (tenant, component) = (TenantId::default(), id(component));
        self.apply([StoreOp::SetPolicy(tamarack_store::Policy { tenant, component, since: 1 })]);
    }
}

fn held(entry: &CatalogueEntry) -> TcEntry {
    TcEntry { id: entry.manifest.clone(), digest: Some(entry.digest), size: None }
}

#[test]
fn without_a_policy_a_device_gets_all_that_is_planned() {
    let world = World::ruled();
    world.publish(1);
    world.want("acme/wallet/ta");
    let device = world.device();
    let update = world.update(&world.query(&device));
    assert_eq!((update.manifest_list.len(), update.err_code, update.err_msg), (1, None, None));
    let recorded = world.recorded(&device);
    assert_eq!((recorded.policy, recorded.withheld, recorded.otrp), (None, vec![], false));
    assert!(!recorded.evidence.is_empty() && recorded.at == NOW);
    // One that was taken out of force is none.
    world.set_policy(Some("nothing"));
    world.set_policy(None);
    assert_eq!(world.update(&world.query(&device)).manifest_list.len(), 1);
}

#[test]
fn what_a_policy_denies_is_left_out_and_the_device_is_told_why() {
    let world = World::ruled();
    world.publish(1);
    world.want("acme/wallet/ta");
    world.set_policy(Some("purse"));
    let device = world.device();
    let reply = world.query(&device);
    let update = world.update(&reply);
    assert_eq!((update.manifest_list.len(), update.token), (0, None));
    assert_eq!(update.err_code, Some(ErrCode::PermanentError));
    assert_eq!(update.err_msg.as_deref(), Some("TMK-4026 acme/wallet/suit is not released: not purse"));
    let session = world.session(&reply);
    assert_eq!((session.outcome, session.code), (Some(SessionOutcome::Refused), Some(codes::RELEASE_DENIED)));
    assert_eq!(
        session.reason.as_deref(),
        Some("nothing to do; cannot: acme/wallet/suit is not released: not purse")
    );
    let withheld = Withheld {
        manifest: id("acme/wallet/suit"),
        sequence: 1,
        code: codes::RELEASE_DENIED,
        reason: "not purse".into(),
    };
    let recorded = world.recorded(&device);
    assert_eq!((recorded.policy, recorded.withheld), (Some(1), vec![withheld]));
    // Another policy, another answer; what was withheld is forgotten.
    world.set_policy(Some("wallet"));
    assert_eq!(world.update(&world.query(&device)).manifest_list.len(), 1);
    let recorded = world.recorded(&device);
    assert_eq!((recorded.policy, recorded.withheld), (Some(2), vec![]));
}

#[test]
fn one_that_is_denied_does_not_keep_the_other_back() {
    let world = World::ruled();
    world.publish(1);
    world.publish_envelope(&world.envelope("acme/purse/suit", "acme/purse/ta", 4));
    world.want("acme/wallet/ta");
    world.want("acme/purse/ta");
    world.set_policy(Some("purse"));
    let device = world.device();
    let update = world.update(&world.query(&device));
    assert_eq!((update.manifest_list.len(), update.err_code), (1, None));
    assert!(update.token.is_some());
    assert_eq!(update.err_msg.as_deref(), Some("TMK-4026 acme/wallet/suit is not released: not purse"));
}

#[test]
fn removals_go_out_whatever_the_policy_says() {
    let world = World::ruled();
    let wallet = world.publish(1);
    world.set_policy(Some("nothing"));
    let mut device = world.device();
    device.held.push(held(&wallet));
    device.unneeded.push(wallet.manifest.clone());
    let update = world.update(&world.query(&device));
    assert_eq!(update.unneeded_manifest_list, [wallet.manifest]);
    assert_eq!((update.manifest_list.len(), update.err_msg), (0, None));
}

#[test]
fn updates_are_decided_like_installations() {
    let world = World::ruled();
    let old = world.publish(1);
    world.publish(2);
    let mut device = world.device();
    device.held.push(held(&old));
    world.set_policy(Some("nothing"));
    assert_eq!(world.update(&world.query(&device)).manifest_list.len(), 0);
    world.set_policy(Some("updates"));
    assert_eq!(world.update(&world.query(&device)).manifest_list.len(), 1);
}

#[test]
fn whatever_goes_wrong_with_a_policy_is_a_denial() {
    let mut world = World::ruled();
    world.publish(1);
    world.want("acme/wallet/ta");
    let device = world.device();
    for (policy, code, err_code) in [
        ("late", codes::RELEASE_POLICY_TIME, ErrCode::TemporaryError),
        ("broken", codes::RELEASE_POLICY_INVALID, ErrCode::TemporaryError),
        ("silent", codes::RELEASE_UNKNOWN, ErrCode::TemporaryError),
    ] {
        world.set_policy(Some(policy));
        let update = world.update(&world.query(&device));
        assert_eq!((update.manifest_list.len(), update.err_code), (0, Some(err_code)), "{policy}");
        assert_eq!(world.recorded(&device).withheld[0].code, code, "{policy}");
    }
    assert_eq!(world.tam.check_release_policy("broken").unwrap_err().code, codes::RELEASE_POLICY_INVALID);
    // A TAM without rules cannot know what the policy would say.
    world.set_policy(Some("everything"));
    assert_eq!(world.update(&world.query(&device)).manifest_list.len(), 1);
    world.tam.config.release_rules = None;
    assert_eq!(world.update(&world.query(&device)).manifest_list.len(), 0);
    assert_eq!(world.recorded(&device).withheld[0].code, codes::RELEASE_UNKNOWN);
    assert_eq!(world.tam.check_release_policy("everything").unwrap_err().code, codes::RELEASE_UNKNOWN);
}

#[test]
fn a_device_is_known_from_its_second_time_on() {
    let world = World::ruled();
    world.publish(1);
    world.want("acme/wallet/ta");
    world.set_policy(Some("known"));
    let device = world.device();
    assert_eq!(world.update(&world.query(&device)).manifest_list.len(), 0);
    world.clock.set(NOW + 60);
    assert_eq!(world.update(&world.query(&device)).manifest_list.len(), 1);
}

#[test]
fn what_a_policy_would_do_is_told_without_doing_it() {
    let world = World::ruled();
    let wallet = world.publish(1);
    world.publish_envelope(&world.envelope("acme/purse/suit", "acme/purse/ta", 4));
    world.want("acme/purse/ta");
    let mut device = world.device();
    device.held.push(held(&wallet));
    world.query(&device);
    let before = world.digest();
    let preview =
        |policy: &str| world.tam.preview(&world.store, &world.row(&device), policy, NOW + 9).unwrap();
    let told = preview("purse");
    assert_eq!((told.appraised, told.cut), (Some(NOW), false));
    let rows: Vec<_> = told
        .rows
        .iter()
        .map(|row| (row.release.to_string(), row.wanted, row.release.installed, row.decision.allow))
        .collect();
    assert_eq!(
        rows,
        [
            ("acme/purse/suit 4".to_string(), true, None, true),
            ("acme/wallet/suit 1".to_string(), false, Some(1), false)
        ]
    );
    assert!(preview("everything").rows.iter().all(|row| row.decision.allow));
    assert_eq!(world.digest(), before);
    // Nothing is known of a device that never proved itself.
    let mut row = world.row(&device);
    row.id.0[0] ^= 1;
    let told = world.tam.preview(&world.store, &row, "everything", NOW).unwrap();
    assert_eq!(told.appraised, None);
    assert!(told.rows.iter().all(|row| row.decision.code == Some(codes::RELEASE_UNKNOWN)));
}

#[test]
fn a_device_in_quarantine_keeps_what_was_recorded() {
    let world = World::ruled();
    let mut device = world.device();
    device.epoch = 9;
    world.query(&device);
    let before = world.recorded(&device);
    world.clock.set(NOW + 60);
    device.epoch = 3;
    let reply = world.query(&device);
    assert_eq!(world.session(&reply).code, Some(codes::EVIDENCE_ROLLED_BACK));
    assert_eq!(world.recorded(&device), before);
}
