//! The device's owner: rules, consent, orders.

use std::cell::Cell;
use std::rc::Rc;

use tamarack_agent::{
    Agent, AgentConfig, AnchorChange, AnchorOrder, AnchorState, Error, Input, Output, Seed, Subject,
};
use tamarack_cbor::Encode;
use tamarack_cose::{Sign1, SignOptions};
use tamarack_crypto::Sign;
use tamarack_model::{ComponentId, Outcome, OwnerSays, Sha256Digest, codes};
use tamarack_owner::{Change, Effect, Order, Selector, Statement};
use tamarack_suit::Envelope;
use tamarack_suit::author::Payload;
use tamarack_teep::{ErrCode, Message, OWNER_POLICY_EXTENSION};

use crate::power::{Failing, check_on};
use crate::world::*;

pub fn owner() -> Box<dyn Sign> {
    key(1, "device owner")
}

/// The seed of a device with an owner.
pub fn owned() -> Seed {
    Seed { device_owner: Some(owner().public_key()), ..seed() }
}

pub fn rule(selector: Selector, effect: Effect) -> Change {
    Change::Rule { selector, effect: Some(effect) }
}

pub fn deny_acme() -> Change {
    rule(Selector::Provider(Some("acme".into())), Effect::Deny)
}

fn consent_for_acme() -> Change {
    rule(Selector::Component(Some(ComponentId::new(["com.acme"]).unwrap())), Effect::Consent)
}

fn forget(selector: Selector) -> Change {
    Change::Rule { selector, effect: None }
}

/// An order as `signer` signs it for the question `challenge`.
pub fn signed(signer: &dyn Sign, challenge: [u8; 16], changes: Vec<Change>) -> Vec<u8> {
    Order { challenge, nonce: [5; 16], changes }.sign(signer).unwrap()
}

impl World {
    pub fn owned() -> Self {
        Self::with_seed(1, &owned())
    }

    /// Asks for a challenge and orders.
    pub fn order(&mut self, changes: Vec<Change>) -> Result<Statement, Error> {
        let challenge = self.agent.owner_challenge()?;
        let order = signed(&*owner(), challenge, changes);
        let statement = self.agent.owner_order(&order)?;
        let digest = provider().sha256(&order);
        Ok(Statement::verify(&statement, &digest, None, &provider()).unwrap())
    }

    #[track_caller]
    fn show(&mut self) -> Statement {
        self.order(Vec::new()).unwrap()
    }

    fn approve(&mut self, manifest: ComponentId, digest: Sha256Digest) -> Result<Statement, Error> {
        self.order(vec![Change::Approve { tam: TAM_URI.into(), manifest, digest }])
    }
}

fn digest_of(envelope: &[u8]) -> Sha256Digest {
    let envelope = Envelope::parse(envelope, &tamarack_suit::Limits::default()).unwrap();
    Sha256Digest(envelope.digest().bytes().try_into().unwrap())
}

/// What the wallet's TAM is told.
fn told(world: &mut World) -> Vec<(ComponentId, OwnerSays, Option<u64>)> {
    world.query().owner_policy.into_iter().map(|one| (one.id, one.why, one.sequence)).collect()
}

#[test]
fn a_device_without_owner_takes_no_orders_and_tells_of_none() {
    let mut world = World::new();
    assert_eq!(world.agent.owner_challenge(), Err(Error::NoOwner));
    let order = signed(&*owner(), [0; 16], vec![deny_acme()]);
    assert_eq!(world.agent.owner_order(&order), Err(Error::NoOwner));
    world.install_wallet(1);
    let response = world.query();
    assert!(response.owner_policy.is_empty());
    assert!(!response.ext_list.contains(&OWNER_POLICY_EXTENSION));
}

#[test]
fn without_rules_everything_is_allowed_and_announced() {
    let mut world = World::owned();
    world.install_wallet(1);
    let response = world.query();
    assert!(response.owner_policy.is_empty());
    assert!(response.ext_list.contains(&OWNER_POLICY_EXTENSION));
    let statement = world.show();
    assert_eq!((statement.sequence, statement.rules.iter().count()), (0, 0));
    assert_eq!(statement.tams[0].names, [TAM_URI]);
}

#[test]
fn a_denied_provider_is_refused_by_the_owner_and_not_as_a_failure() {
    let mut world = World::owned();
    world.order(vec![deny_acme()]).unwrap();
    let before = world.digest();
    let reply = world.exchange(Script::install(wallet_envelope(3)));
    assert_eq!(reply.outcome(), Some(&Outcome::RefusedByOwner));
    let error = reply.error();
    assert_eq!(error.err_code, ErrCode::ManifestProcessingFailed);
    assert!(error.err_msg.as_ref().unwrap().starts_with("TMK-5020"), "{error:?}");
    assert_eq!(error.owner_policy.len(), 1);
    let reports = reply.reports(1);
    assert!(matches!(
        reports[..],
        [tamarack_suit::Report { result: tamarack_suit::ReportResult::Failure { code: 5020, .. }, .. }]
    ));
    assert_eq!(world.digest(), before, "a refusal changes nothing that counts");
    // The TAM learns it beforehand from now on; the version does not matter.
    assert_eq!(told(&mut world), [(wallet("suit"), OwnerSays::Refused, None)]);
    // Allowed again, it goes through, and nothing is told any more.
    world.order(vec![forget(Selector::Provider(Some("acme".into())))]).unwrap();
    assert!(told(&mut world).is_empty());
    world.install_wallet(3);
}

#[test]
fn a_denied_component_does_not_keep_others_or_removals_from_going_on() {
    let mut world = World::owned();
    world.install_wallet(1);
    let lamp = id("com.acme", [0x33; 16], "suit");
    let lamp_ta = id("com.acme", [0x33; 16], "ta");
    let valve = id("com.acme", VALVE, "suit");
    let prefix = ComponentId::new([&b"com.acme"[..], &VALVE]).unwrap();
    world.order(vec![rule(Selector::Component(Some(prefix)), Effect::Deny)]).unwrap();
    let script = Script {
        install: vec![
            envelope(1, &valve, &id("com.acme", VALVE, "ta"), 1, b"valve"),
            envelope(1, &lamp, &lamp_ta, 1, b"lamp"),
        ],
        remove: vec![wallet("suit")],
        ..Script::default()
    };
    let reply = world.exchange(script);
    assert_eq!(reply.outcome(), Some(&Outcome::RefusedByOwner));
    assert_eq!(reply.error().suit_reports.len(), 3);
    let held: Vec<ComponentId> =
        world.agent.status().unwrap().components.into_iter().map(|one| one.component).collect();
    assert_eq!(held, [lamp_ta]);
    assert_eq!(told(&mut world), [(valve, OwnerSays::Refused, None)]);
}

#[test]
fn what_is_denied_later_stops_at_once_and_its_data_stays() {
    let mut world = World::owned();
    world.install_wallet(1);
    assert_eq!(world.count(), 1);
    let name = tamarack_agent::TaName::Uuid(WALLET);
    let session = world.agent.open_session(NOW, &name, Some(TAM_URI), &mut Vec::new()).unwrap();
    let statement = world.order(vec![deny_acme()]).unwrap();
    assert_eq!(statement.stopped, [(TAM_URI.to_string(), wallet("suit"))]);
    assert_eq!(world.agent.invoke(NOW, session, COUNT, &mut Vec::new()), Err(Error::NoSession));
    assert!(matches!(world.call(COUNT, &mut Vec::new()), Err(Error::DeniedByOwner(_))));
    assert_eq!(told(&mut world), [(wallet("suit"), OwnerSays::Refused, None)]);
    // An application that asks for it learns why, and no TAM is asked.
    let asked = world.drive(Input::RequestTa { component: wallet("ta"), tam_uri: None });
    assert_eq!(asked.outcome(), Some(&Outcome::RefusedByOwner));
    // Also after a restart.
    world.restart();
    assert!(matches!(world.call(COUNT, &mut Vec::new()), Err(Error::DeniedByOwner(_))));
    world.order(vec![forget(Selector::Provider(Some("acme".into())))]).unwrap();
    assert_eq!(world.count(), 2, "its data was kept");
}

#[test]
fn a_tam_always_removes_what_is_its_own() {
    let mut world = World::owned();
    world.install_wallet(1);
    world.order(vec![deny_acme(), rule(Selector::Component(None), Effect::Consent)]).unwrap();
    world.exchange(Script::remove(wallet("suit"))).expect_success();
    assert!(world.agent.status().unwrap().components.is_empty());
    assert!(told(&mut world).is_empty());
}

#[test]
fn e5_a_denied_tam_gets_what_a_stranger_gets() {
    let mut world = World::owned();
    world.install_wallet(1);
    world.count();
    world.order(vec![rule(Selector::Tam(Some(TAM_URI.into())), Effect::Deny)]).unwrap();
    let blobs = world.storage().blobs();
    let reply = world.send(&Message::QueryRequest(world.query_request()));
    let mut stranger = World::owned();
    stranger.tam = key(9, "tam");
    let query = Message::QueryRequest(stranger.query_request());
    let expected = stranger.send(&query);
    // Nobody is asked any more on behalf of an application, and nothing is answered outside an exchange.
    assert_eq!((&reply.message, reply.outcome()), (&expected.message, expected.outcome()));
    assert!(reply.bytes.is_empty());
    let asked = world
        .drive(Input::RequestTa { component: id("com.acme", VALVE, "ta"), tam_uri: Some(TAM_URI.into()) });
    assert_eq!(asked.outcome(), Some(&Outcome::RefusedByOwner));
    world.agent.handle(NOW, Input::RequestPolicyCheck).unwrap();
    assert!(
        matches!(world.agent.poll_output(), Some(Output::Connect { tam_uri, .. }) if tam_uri == OTHER_URI),
        "a policy check leaves a denied TAM out"
    );
    // In an exchange the stranger's anonymous answer is all there is: no Evidence, no list, no signature of the device.
    let reply = world.send(&Message::QueryRequest(world.query_request()));
    assert_eq!(reply.error().err_code, ErrCode::BadCertificate);
    assert_eq!((&reply.error().err_msg, reply.error().owner_policy.len()), (&None, 0));
    assert!(matches!(world.call(COUNT, &mut Vec::new()), Err(Error::DeniedByOwner(_))));
    assert_eq!(world.storage().blobs(), blobs);
}

#[test]
fn consent_defers_until_the_owner_approves_this_very_manifest() {
    let mut world = World::owned();
    world.order(vec![consent_for_acme()]).unwrap();
    // An application wants it, so the TAM sends it.
    let first = wallet_envelope(1);
    let asked = world.drive(Input::RequestTa { component: wallet("ta"), tam_uri: None });
    assert_eq!(asked.outcome(), None, "the TAM is asked");
    assert!(world.query().owner_policy.is_empty(), "nothing waits yet");
    let reply = world.update(Script::install(first.clone()));
    assert_eq!(reply.outcome(), Some(&Outcome::Deferred));
    assert_eq!(reply.error().err_code, ErrCode::TemporaryError);
    assert_eq!(told(&mut world), [(wallet("suit"), OwnerSays::Deferred, Some(1))]);
    // Asked again, no TAM is bothered.
    let asked = world.drive(Input::RequestTa { component: wallet("ta"), tam_uri: None });
    assert_eq!(asked.outcome(), Some(&Outcome::Deferred));

    let waiting = world.show().waiting;
    assert_eq!(waiting.len(), 1);
    let one = &waiting[0];
    assert_eq!((&one.manifest, one.sequence, one.digest), (&wallet("suit"), 1, digest_of(&first)));
    assert_eq!((one.says, one.approved, one.provider.as_str()), (Some(OwnerSays::Deferred), false, "acme"));

    let approved = world.approve(wallet("suit"), one.digest).unwrap();
    assert_eq!((approved.waiting[0].says, approved.waiting[0].approved), (None, true));
    assert!(told(&mut world).is_empty(), "the TAM may send it again");
    // Something else under the same name still waits.
    let reply = world.exchange(Script::install(wallet_envelope(2)));
    assert_eq!(reply.outcome(), Some(&Outcome::Deferred));
    world.exchange(Script::install(first)).expect_success();
    assert_eq!(world.count(), 1);
    assert!(world.show().waiting.is_empty());
    // The approval is used up: an update waits again, and the wallet runs on meanwhile.
    let reply = world.exchange(Script::install(wallet_envelope(2)));
    assert_eq!(reply.outcome(), Some(&Outcome::Deferred));
    assert_eq!(world.count(), 2);
    // What is there already needs nobody's consent.
    world.exchange(Script::install(wallet_envelope(1))).expect_success();
}

#[test]
fn an_approval_is_used_up_by_one_installation() {
    let mut world = World::owned();
    world.order(vec![consent_for_acme()]).unwrap();
    let first = wallet_envelope(1);
    world.exchange(Script::install(first.clone()));
    world.approve(wallet("suit"), digest_of(&first)).unwrap();
    world.exchange(Script::install(first.clone())).expect_success();
    // The very same manifest again, after its TAM removed it: nobody has consented to that.
    world.exchange(Script::remove(wallet("suit"))).expect_success();
    let reply = world.exchange(Script::install(first.clone()));
    assert_eq!(reply.outcome(), Some(&Outcome::Deferred));
    assert!(!world.show().waiting[0].approved);
    // An approval that was not used up yet does not outlive a denial either: what is denied is denied.
    world.approve(wallet("suit"), digest_of(&first)).unwrap();
    world.order(vec![deny_acme()]).unwrap();
    let reply = world.exchange(Script::install(first));
    assert_eq!(reply.outcome(), Some(&Outcome::RefusedByOwner));
    assert!(world.agent.status().unwrap().components.is_empty());
}

#[test]
fn only_what_waits_can_be_approved() {
    let mut world = World::owned();
    world.order(vec![consent_for_acme()]).unwrap();
    let first = wallet_envelope(1);
    world.exchange(Script::install(first.clone()));
    let before = world.digest();
    for (order, why) in [
        (
            Change::Approve { tam: TAM_URI.into(), manifest: wallet("suit"), digest: Sha256Digest([1; 32]) },
            "another version",
        ),
        (
            Change::Approve { tam: OTHER_URI.into(), manifest: wallet("suit"), digest: digest_of(&first) },
            "another TAM",
        ),
        (
            Change::Approve {
                tam: "https://nobody".into(),
                manifest: wallet("suit"),
                digest: digest_of(&first),
            },
            "no TAM",
        ),
        (rule(Selector::Tam(Some("https://nobody".into())), Effect::Deny), "a rule for no TAM"),
        (Change::Key(key(1, "tam").public_key()), "a key with another purpose"),
    ] {
        // The first change of the order is good, and not made either.
        let refused = world.order(vec![deny_acme(), order]);
        assert!(matches!(refused, Err(Error::Owner(_))), "{why}: {refused:?}");
        assert_eq!(world.digest(), before, "{why}");
    }
    world.order(vec![deny_acme()]).unwrap();
    assert!(matches!(world.approve(wallet("suit"), digest_of(&first)), Err(Error::Owner(_))), "it is denied");
}

#[test]
fn what_waits_is_bounded_for_each_tam() {
    let mut world = World::owned();
    world.order(vec![consent_for_acme()]).unwrap();
    for n in 0..20_u8 {
        world.now += 1;
        let manifest = id("com.acme", [n; 16], "suit");
        let reply =
            world.exchange(Script::install(envelope(1, &manifest, &id("com.acme", [n; 16], "ta"), 1, b"x")));
        assert_eq!(reply.outcome(), Some(&Outcome::Deferred));
    }
    let waiting = world.show().waiting;
    assert_eq!(waiting.len(), 16);
    assert!(waiting.iter().all(|one| one.since > NOW + 4), "the oldest made room");
}

#[test]
fn orders_fit_one_device_one_time_and_one_key() {
    let (mut world, mut other) = (World::owned(), World::with_seed(2, &owned()));
    let challenge = world.agent.owner_challenge().unwrap();
    other.agent.owner_challenge().unwrap();
    let good = signed(&*owner(), challenge, vec![deny_acme()]);
    assert!(matches!(other.agent.owner_order(&good), Err(Error::Owner(_))), "made for another device");
    let before = world.digest();
    for (order, why) in [
        (
            signed(&*key(1, "authority"), challenge, vec![deny_acme()]),
            "the device authority is not the owner",
        ),
        (signed(&*key(1, "tam"), challenge, vec![deny_acme()]), "a TAM is not the owner"),
        (signed(&*owner(), [0; 16], vec![deny_acme()]), "a question that was never asked"),
        (b"no order".to_vec(), "no order at all"),
    ] {
        assert!(matches!(world.agent.owner_order(&order), Err(Error::Owner(_))), "{why}");
        assert_eq!(world.digest(), before, "{why}");
    }
    // What is altered on the way is no order, at whichever byte; and it uses up nothing.
    for at in 0..good.len() {
        let mut altered = good.clone();
        altered[at] ^= 1;
        assert!(matches!(world.agent.owner_order(&altered), Err(Error::Owner(_))), "byte {at}");
    }
    assert_eq!(world.digest(), before);
    world.agent.owner_order(&good).unwrap();
    world.order(vec![forget(Selector::Provider(Some("acme".into())))]).unwrap();
    // Replayed, later, and after a restart.
    let now = world.digest();
    assert!(matches!(world.agent.owner_order(&good), Err(Error::Owner(_))));
    let kept = world.agent.owner_challenge().unwrap();
    let stale = signed(&*owner(), kept, vec![deny_acme()]);
    world.restart();
    assert!(matches!(world.agent.owner_order(&good), Err(Error::Owner(_))));
    assert!(matches!(world.agent.owner_order(&stale), Err(Error::Owner(_))));
    assert_eq!(world.digest(), now);
}

#[test]
fn a_statement_is_about_the_order_that_it_answers() {
    let mut world = World::owned();
    let order = |world: &mut World, changes| {
        let challenge = world.agent.owner_challenge().unwrap();
        let order = signed(&*owner(), challenge, changes);
        let statement = world.agent.owner_order(&order).unwrap();
        (provider().sha256(&order), statement)
    };
    let (asked, shown) = order(&mut world, Vec::new());
    let (denied, done) = order(&mut world, vec![deny_acme()]);
    let key = Statement::verify(&shown, &asked, None, &provider()).unwrap().key;
    // A Broker that drops the order and gives an old answer is found out.
    assert!(Statement::verify(&shown, &denied, Some(&key), &provider()).is_err());
    assert_eq!(Statement::verify(&done, &denied, Some(&key), &provider()).unwrap().sequence, 1);
    // And so is another device that answers in its place.
    let mut other = World::with_seed(2, &owned());
    let (asked, shown) = order(&mut other, Vec::new());
    assert!(Statement::verify(&shown, &asked, Some(&key), &provider()).is_err());
}

#[test]
fn the_rules_are_in_the_state_root_and_survive_a_restart() {
    let mut world = World::owned();
    let before = world.agent.state_root();
    world.order(vec![deny_acme()]).unwrap();
    let after = world.agent.state_root();
    assert!(after.digest != before.digest && after.epoch > before.epoch);
    world.restart();
    assert_eq!(world.show().rules.iter().count(), 1);
    assert_eq!(world.agent.state_root(), after, "a question changes nothing");
}

#[test]
fn the_key_changes_by_the_owners_order_or_the_device_authority() {
    let mut world = World::owned();
    world.order(vec![deny_acme()]).unwrap();
    let heir = key(2, "device owner");
    let kept = world.show().key;
    world.order(vec![Change::Key(heir.public_key())]).unwrap();
    assert!(matches!(world.order(Vec::new()), Err(Error::Owner(_))), "the old key orders no more");
    let by = |world: &mut World, signer: &dyn Sign| {
        let challenge = world.agent.owner_challenge()?;
        let order = signed(signer, challenge, Vec::new());
        let statement = world.agent.owner_order(&order)?;
        Ok::<_, Error>(Statement::verify(&statement, &provider().sha256(&order), None, &provider()).unwrap())
    };
    assert_eq!(by(&mut world, &*heir).unwrap().key, kept);

    let authority = |sequence, change| {
        let order = AnchorOrder { sequence, subject: Subject::DeviceOwner, change };
        Sign1::sign(&*key(1, "authority"), &order.to_cbor(), &[], &SignOptions::default()).unwrap()
    };
    let next = key(3, "device owner");
    world.agent.change_anchor(&authority(2, AnchorChange::Keys(vec![next.public_key()]))).unwrap();
    assert!(by(&mut world, &*heir).is_err());
    let statement = by(&mut world, &*next).unwrap();
    assert_eq!(statement.rules.iter().count(), 1, "the rules stay");
    assert_ne!(statement.key, kept, "a new owner knows the device by a new key");
    let two = AnchorChange::Keys(vec![heir.public_key(), owner().public_key()]);
    assert!(matches!(world.agent.change_anchor(&authority(3, two)), Err(Error::Authority(_))));
    // Without an owner there are no rules.
    world.agent.change_anchor(&authority(3, AnchorChange::State(AnchorState::Revoked))).unwrap();
    assert_eq!(world.agent.owner_challenge(), Err(Error::NoOwner));
    world.install_wallet(1);
}

#[test]
fn an_order_goes_before_an_update_that_is_on_its_way() {
    let mut world = World::owned();
    let payload = Payload::by_uri("https://tam.example/wallet", b"wallet", &provider());
    let update = sign_manifest(1, builder(&wallet("suit"), &wallet("ta"), 1, payload));
    world.query();
    let bytes = world.update_bytes(Script::install(update));
    world.agent.handle(NOW, Input::ProcessTeepMessage(bytes)).unwrap();
    let Some(Output::Fetch { fetch, .. }) = world.agent.poll_output() else { panic!("a fetch") };
    world.order(vec![deny_acme()]).unwrap();
    let before = world.digest();
    world.agent.handle(NOW, Input::Chunk { fetch, data: b"wallet".to_vec(), last: true }).unwrap();
    let reply = world.settle();
    assert_eq!(reply.error().err_code, ErrCode::TemporaryError);
    assert_eq!(reply.outcome(), Some(&Outcome::Refused(codes::DEVICE_BUSY)));
    assert_eq!(world.digest(), before);
    assert_eq!(world.storage().blobs(), 0, "what was staged is gone");
}

/// What an order leaves behind when the power fails at write `writes` of it.
fn cut(writes: u32) -> (bool, usize) {
    let mut world = World::owned();
    world.install_wallet(1);
    let left = Rc::new(Cell::new(u32::MAX));
    let failing = Failing { inner: platform(1, world.storage()), left: left.clone(), untrusted: false };
    let mut agent = Agent::new(failing, provider(), AgentConfig::default());
    let challenge = agent.owner_challenge().unwrap();
    let prefix = ComponentId::new(["com.globex"]).unwrap();
    let changes = vec![deny_acme(), rule(Selector::Component(Some(prefix)), Effect::Consent)];
    left.set(writes);
    let done = agent.owner_order(&signed(&*owner(), challenge, changes)).is_ok();
    let storage = agent.into_platform().inner.storage();
    let mut world = World::on(1, platform(1, storage));
    let statement = world.show();
    let runs = world.call(COUNT, &mut vec![tamarack_tee::Param::ValueOutput(0, 0)]).is_ok();
    assert_eq!(runs, statement.rules.is_empty(), "the rules that are shown are the ones that hold");
    (done, statement.rules.iter().count())
}

#[test]
fn a_power_cut_leaves_all_of_an_order_or_nothing() {
    assert_eq!(cut(0), (false, 0));
    assert_eq!(cut(1), (true, 2), "an order is one commit");
}

#[test]
fn a_power_cut_leaves_an_approval_or_what_was_approved() {
    let approved = || {
        let mut world = World::owned();
        world.install_wallet(1);
        world.count();
        world.order(vec![consent_for_acme()]).unwrap();
        let second = wallet_envelope(2);
        world.exchange(Script::install(second.clone()));
        world.approve(wallet("suit"), digest_of(&second)).unwrap();
        world
    };
    check_on(approved, || Script::install(wallet_envelope(2)), None);
}

#[test]
fn f14_a_bundled_ta_is_installed_only_if_the_tam_grants_its_digest() {
    let mut world = World::owned();
    let full = wallet_envelope(3);
    let limits = tamarack_suit::Limits::default();
    let severed = Envelope::parse(&full, &limits).unwrap().without_payloads();
    let bundle = format!("bundle:{}", wallet("ta"));
    let ask = |minimum| Input::EnsureTa { component: wallet("ta"), tam_uri: None, minimum, bundled: true };

    // The TAM is told that only the manifest is wanted.
    world.drive(ask(Some(2)));
    let response = world.query();
    let [requested] = &response.requested_tc_list[..] else { panic!("{response:?}") };
    assert_eq!((requested.sequence_number, requested.have_binary), (Some(2), Some(true)));
    // Without a grant nothing is installed: the Broker's word alone brings nothing in.
    assert!(world.agent.status().unwrap().components.is_empty());
    // A bundle with other content is refused, and leaves nothing behind.
    world.payloads.insert(bundle.clone(), b"wallet 4".to_vec());
    world.refused_now(
        Script::install(severed.clone()),
        ErrCode::ManifestProcessingFailed,
        codes::SUIT_CONDITION,
    );
    // So is none at all.
    world.payloads.clear();
    world.drive(ask(None));
    assert_eq!(world.query().requested_tc_list[0].sequence_number, Some(0));
    let reply = world.update(Script::install(severed.clone()));
    assert!(matches!(reply.outcome(), Some(Outcome::Refused(_))), "{reply:?}");
    // With the right one no payload comes from anywhere else.
    world.payloads.insert(bundle.clone(), b"wallet 3".to_vec());
    world.drive(ask(Some(3)));
    world.fetched.clear();
    world.exchange(Script::install(severed.clone())).expect_success();
    assert_eq!(world.fetched, [bundle]);
    assert_eq!(world.count(), 1);
    // A bundle is offered for one request and no longer.
    let mut world = World::owned();
    world.drive(ask(Some(3)));
    world.agent.handle(NOW, Input::RequestPolicyCheck).unwrap();
    world.settle();
    let reply = world.exchange(Script::install(severed));
    assert!(matches!(reply.outcome(), Some(Outcome::Refused(_))), "{reply:?}");
    assert!(world.fetched.is_empty());
}

#[test]
fn f13_a_minimum_sequence_asks_for_a_newer_version_of_what_is_there() {
    let mut world = World::new();
    world.install_wallet(1);
    let ask = |minimum| Input::EnsureTa { component: wallet("ta"), tam_uri: None, minimum, bundled: false };
    for good in [None, Some(1)] {
        let asked = world.drive(ask(good));
        assert_eq!(asked.outcome(), Some(&Outcome::Unchanged), "no network for what is there");
    }
    let asked = world.drive(ask(Some(2)));
    assert_eq!(asked.outcome(), None, "the TAM is asked");
    assert_eq!(world.query().requested_tc_list[0].sequence_number, Some(2));
    world.update(Script::install(wallet_envelope(2))).expect_success();
    assert!(world.query().requested_tc_list.is_empty(), "fulfilled");
    // A version that is too old does not fulfil it.
    world.drive(ask(Some(9)));
    world.exchange(Script::install(wallet_envelope(3))).expect_success();
    assert_eq!(world.query().requested_tc_list[0].sequence_number, Some(9));
}
