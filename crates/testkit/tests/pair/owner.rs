//! The device's owner between a real Agent and a real TAM.

use tamarack_agent::Input;
use tamarack_model::{Outcome, OwnerSays, codes};
use tamarack_owner::{Change, Effect, Order, Selector, Statement};
use tamarack_store::{Read, SessionOutcome, TenantId};

use crate::world::{Pair, device_owner, wallet};

impl Pair {
    fn order(&mut self, changes: Vec<Change>) -> Statement {
        let crypto = tamarack_crypto_aws_lc::provider();
        let challenge = self.agent.owner_challenge().unwrap();
        let order = Order { challenge, nonce: [0; 16], changes }.sign(&*device_owner(&crypto)).unwrap();
        let statement = self.agent.owner_order(&order).unwrap();
        Statement::verify(&statement, &crypto.sha256(&order), None, &crypto).unwrap()
    }

    fn rule(&mut self, selector: Selector, effect: Option<Effect>) {
        self.order(vec![Change::Rule { selector, effect }]);
    }

    fn approve_all(&mut self) {
        let waiting = self.order(Vec::new()).waiting;
        let approve = |one: tamarack_owner::Waiting| Change::Approve {
            tam: one.tam,
            manifest: one.manifest,
            digest: one.digest,
        };
        let approved = self.order(waiting.into_iter().map(approve).collect());
        assert!(approved.waiting.iter().all(|one| one.approved));
    }

    /// What the TAM's record says of the owner.
    fn withheld(&self) -> Vec<(OwnerSays, Option<u64>)> {
        self.device().unwrap().held_back.into_iter().map(|one| (one.why, one.sequence)).collect()
    }

    fn last_outcome(&self) -> (Option<SessionOutcome>, Option<tamarack_model::Code>) {
        let sessions = self.store.sessions(&TenantId::default(), None, 100).unwrap();
        let last = sessions.into_iter().max_by_key(|session| session.started).unwrap();
        (last.outcome, last.code)
    }

    fn later(&mut self) -> usize {
        self.now += 60;
        let before = self.sent.len();
        self.check_policy();
        self.sent.len() - before
    }
}

fn acme() -> Selector {
    Selector::Provider(Some("acme".into()))
}

#[test]
fn a_refusal_by_the_owner_is_an_outcome_of_its_own_and_ends_the_sending() {
    for mut pair in [Pair::new(), Pair::otrp()] {
        pair.publish(1, 1);
        pair.rule(acme(), Some(Effect::Deny));
        let finished = pair.request().unwrap();
        assert_eq!(finished.outcome, Outcome::RefusedByOwner, "{finished:?}");
        assert_eq!(pair.installed(), None);
        assert_eq!(pair.withheld().first().map(|one| one.0), Some(OwnerSays::Refused));
        assert_eq!(pair.last_outcome(), (Some(SessionOutcome::RefusedByOwner), Some(codes::OWNER_REFUSED)));
        // Nothing is sent again, not even a newer version.
        pair.publish(2, 2);
        assert_eq!(pair.later(), 2, "a question and its answer");
        assert_eq!(pair.last_outcome(), (Some(SessionOutcome::NothingToDo), Some(codes::OWNER_REFUSED)));
        pair.rule(acme(), None);
        pair.later();
        assert_eq!(pair.installed(), Some(2));
        assert!(pair.withheld().is_empty());
    }
}

#[test]
fn a_deferral_ends_with_the_owners_approval_at_the_next_policy_check() {
    for mut pair in [Pair::new(), Pair::otrp()] {
        pair.publish(1, 1);
        pair.rule(Selector::Component(None), Some(Effect::Consent));
        let finished = pair.request().unwrap();
        assert_eq!(finished.outcome, Outcome::Deferred, "{finished:?}");
        assert_eq!(pair.last_outcome(), (Some(SessionOutcome::Deferred), Some(codes::OWNER_DEFERRED)));
        assert_eq!(pair.later(), 2);
        assert_eq!(pair.withheld(), [(OwnerSays::Deferred, Some(1))]);
        // A newer version is offered to the owner, once.
        pair.publish(2, 2);
        assert!(pair.later() > 2);
        assert_eq!(pair.later(), 2);
        assert_eq!(pair.withheld(), [(OwnerSays::Deferred, Some(2))]);
        assert_eq!(pair.installed(), None);
        pair.approve_all();
        pair.later();
        assert_eq!(pair.installed(), Some(2));
        assert!(pair.withheld().is_empty());
    }
}

#[test]
fn e5_a_denied_tam_learns_no_more_than_a_stranger() {
    let mut pair = Pair::new();
    pair.publish(1, 1);
    pair.request();
    assert_eq!(pair.installed(), Some(1));
    pair.rule(Selector::Tam(None), Some(Effect::Deny));
    let (before, sent) = (pair.device(), pair.sent.len());
    pair.now += 60;
    // Nobody is asked, and what the TAM sends of its own accord is answered anonymously at most.
    pair.check_policy();
    assert_eq!(pair.sent.len(), sent);
    assert_eq!(pair.device(), before);
}

#[test]
fn f14_a_granted_bundle_is_installed_without_a_byte_of_the_ta_from_the_tam() {
    let ask = |minimum| Input::EnsureTa { component: wallet("ta"), tam_uri: None, minimum, bundled: true };
    let content = crate::world::wallet_module(1);
    let mut pair = Pair::new();
    // No TAM grants it: it is not published.
    pair.bundle = Some(content.clone());
    pair.play(ask(Some(1)));
    assert_eq!(pair.installed(), None);
    pair.publish(1, 1);
    pair.now += 60;
    let before = pair.sent.len();
    // Altered on the way, or by whoever packed it.
    let mut altered = content.clone();
    *altered.last_mut().unwrap() ^= 1;
    pair.bundle = Some(altered);
    let finished = pair.play(ask(Some(1))).unwrap();
    assert_eq!(finished.outcome, Outcome::Refused(codes::SUIT_CONDITION), "{finished:?}");
    assert_eq!(pair.installed(), None);
    pair.bundle = Some(content.clone());
    pair.now += 60;
    let finished = pair.play(ask(Some(1))).unwrap();
    assert_eq!(finished.outcome, Outcome::Done, "{finished:?}");
    assert_eq!(pair.installed(), Some(1));
    let longest = pair.sent[before..].iter().map(Vec::len).max().unwrap();
    assert!(longest < content.len(), "{longest} bytes in a message, the TA has {}", content.len());
    let piece = &content[content.len() / 2..][..32];
    assert!(pair.sent[before..].iter().all(|message| !message.windows(32).any(|part| part == piece)));
    // What the TAM has in a newer version it does not grant in the old one.
    pair.publish(2, 2);
    pair.now += 60;
    let finished = pair.play(ask(Some(2))).unwrap();
    assert_eq!(finished.outcome, Outcome::Refused(codes::SUIT_CONDITION), "{finished:?}");
    assert_eq!(pair.installed(), Some(1));
}

/// Where a TAM of the device is reached as well, or somebody else is.
const ELSEWHERE: &str = "https://elsewhere.example/tam";

/// What a package says, which nobody has signed: who is to be asked, and that the content is there already.
fn ask_at(uri: &str) -> Input {
    Input::EnsureTa { component: wallet("ta"), tam_uri: Some(uri.into()), minimum: Some(1), bundled: true }
}

#[test]
fn f14_whom_a_package_names_grants_nothing_unless_the_device_knows_it() {
    let crypto = tamarack_crypto_aws_lc::provider();
    for uri in [crate::world::TAM_URI, ELSEWHERE] {
        let mut pair = Pair::new();
        // The manifest is genuine, and so is the content; it is the TAM that is not.
        pair.publish(1, 1);
        pair.bundle = Some(crate::world::wallet_module(1));
        let stranger = tamarack_testkit::memory_platform::ed25519(&crypto, 77, b"stranger");
        pair.usurp(vec![stranger], None);
        let before = pair.digests();
        pair.play(ask_at(uri));
        assert_eq!((pair.installed(), pair.digests().1), (None, before.1), "{uri}");
        assert!(!pair.sent.iter().any(|message| is_evidence(message)), "{uri}");
    }
}

#[test]
fn another_address_is_no_way_around_what_the_owner_denies() {
    let mut pair = Pair::new();
    pair.publish(1, 1);
    pair.bundle = Some(crate::world::wallet_module(1));
    pair.rule(Selector::Tam(Some(crate::world::TAM_URI.into())), Some(Effect::Deny));
    pair.play(ask_at(ELSEWHERE));
    assert_eq!(pair.installed(), None);
    assert!(!pair.sent.iter().any(|message| is_evidence(message)), "the same TAM, whatever its address");
    // Without the rule it is the TAM that the device knows.
    pair.rule(Selector::Tam(Some(crate::world::TAM_URI.into())), None);
    pair.now += 60;
    pair.play(ask_at(ELSEWHERE));
    assert_eq!(pair.installed(), Some(1));
}

fn is_evidence(message: &[u8]) -> bool {
    let signed = tamarack_teep::SignedMessage::parse(message, &tamarack_cbor::Limits::default());
    let read = signed.ok().and_then(|signed| signed.unverified().ok());
    matches!(read, Some(tamarack_teep::Message::QueryResponse(response)) if response.attestation_payload.is_some())
}
