//! Who may say what: TAMs, signers, the device authority; and what strangers learn.

use tamarack_agent::{
    Agent, AnchorChange, AnchorOrder, AnchorState, Error, Input, Principal, Seed, Subject as Anchor,
    TamAnchor,
};
use tamarack_cbor::{Encode, Limits};
use tamarack_cose::{Purpose, Sign1, SignOptions, VerificationKey, thumbprint};
use tamarack_crypto::{KeyType, Sign};
use tamarack_model::{Outcome, codes};
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem, generate_key, load_key};
use tamarack_suit::author::Payload;
use tamarack_suit::{Reason, ReportResult};
use tamarack_teep::{DataItems, ErrCode, Message, SignedMessage};
use tamarack_testkit::memory_platform::MemoryStorage;
use tamarack_x509::Role;

use crate::world::*;

const FAILED: ErrCode = ErrCode::ManifestProcessingFailed;
const DAY: u64 = 86_400;

fn root(role: Role, name: &str) -> Authority {
    Authority::create(role, name, KeyType::P256, Validity::days(NOW - DAY, 3650)).unwrap()
}

/// A certified key: the key and its chain.
fn certified(root: &Authority, uri: &str, days: u32) -> (Box<dyn Sign>, Vec<Vec<u8>>) {
    let key = load_key(&generate_key(KeyType::P256).unwrap()).unwrap();
    let subject = Subject { uri: uri.into(), common_name: "leaf".into() };
    let Validity { not_before, not_after } = Validity::days(NOW - 60, days);
    let pem = root.issue(key.public_key(), subject, not_before, not_after).unwrap();
    (key, certificates_from_pem(&pem).unwrap())
}

/// A seed whose first TAM is `uri` under `root`.
fn seed_under(root: &Authority, uri: &str) -> Seed {
    let mut seed = seed();
    let principal = Principal::Certificate { anchor: root.cert_der().to_vec(), uri: uri.into() };
    seed.tams[0] = TamAnchor { principal, ..seed.tams[0].clone() };
    seed
}

/// An exchange is open and this TAM speaks in it: what does it get?
fn stranger(world: &mut World, tam: Box<dyn Sign>, chain: Vec<Vec<u8>>) -> crate::world::Reply {
    world.drive(Input::RequestPolicyCheck);
    (world.tam, world.tam_chain) = (tam, chain);
    let before = (world.digest(), world.storage().commits());
    let query = Message::QueryRequest(world.query_request());
    let reply = world.send(&query);
    assert_eq!((world.digest(), world.storage().commits()), before, "nothing is written for a stranger");
    reply
}

#[test]
fn k1_another_owner_sees_and_touches_nothing() {
    let mut world = World::new();
    world.install_wallet(5);
    world.count();
    world.tam = key(2, "tam");
    assert_eq!(world.query().tc_list.len(), 2, "agent and firmware only");
    // Deleting what it does not see changes nothing.
    let before = world.digest();
    world.update(Script::remove(wallet("suit"))).expect_success();
    assert_eq!(world.digest(), before);
    // Installing the same manifest makes another slot with data of its own.
    world.install_wallet(5);
    assert_eq!(world.agent.status().unwrap().components.len(), 2);
    assert_eq!(world.count(), 2, "the first Owner's TA has its data");
}

#[test]
fn k1_an_update_of_one_owner_cannot_use_anothers_exchange() {
    let mut world = World::new();
    let nonce = world.query().agent_nonce;
    world.tam = key(2, "tam");
    let script = Script { nonce: Some(nonce), ..Script::install(wallet_envelope(1)) };
    world.refused(script, ErrCode::PermanentError, codes::TEEP_NOT_BOUND);
}

#[test]
fn k2_a_renewed_certificate_is_the_same_owner() {
    let root = root(Role::Tam, "TAM CA");
    let mut world = World::with_seed(1, &seed_under(&root, TAM_URI));
    (world.tam, world.tam_chain) = certified(&root, TAM_URI, 30);
    world.install_wallet(1);
    (world.tam, world.tam_chain) = certified(&root, TAM_URI, 30);
    assert_eq!(world.query().tc_list.len(), 4);
    world.install_wallet(2);
    assert_eq!(world.agent.status().unwrap().components.len(), 1);
}

#[test]
fn k2_only_the_exact_name_under_the_exact_root_for_the_role_counts() {
    let own = root(Role::Tam, "TAM CA");
    let world = || World::with_seed(1, &seed_under(&own, TAM_URI));
    let check = |certificate: (Box<dyn Sign>, Vec<Vec<u8>>), err_code, code| {
        let reply = stranger(&mut world(), certificate.0, certificate.1);
        assert_eq!(reply.error().err_code, err_code);
        assert_eq!(reply.outcome(), Some(&Outcome::Refused(code)));
    };
    let bad = ErrCode::BadCertificate;
    check(certified(&own, "https://tam.example/tam/", 30), bad, codes::TAM_NOT_TRUSTED);
    check(certified(&root(Role::Tam, "TAM CA"), TAM_URI, 30), bad, codes::X509_PATH);
    check(certified(&root(Role::Tee, "TEE CA"), TAM_URI, 30), bad, codes::X509_USAGE);
    check(certified(&own, TAM_URI, 0), ErrCode::CertificateExpired, codes::X509_EXPIRED);
    // The right certificate with another key.
    let (_, chain) = certified(&own, TAM_URI, 30);
    check(
        (load_key(&generate_key(KeyType::P256).unwrap()).unwrap(), chain),
        ErrCode::PermanentError,
        codes::COSE_SIGNATURE,
    );
}

#[test]
fn k3_a_key_belongs_to_one_owner_and_k5_to_one_purpose() {
    let check = |change: fn(&mut Seed)| {
        let mut seed = seed();
        change(&mut seed);
        let mut platform = platform(1, MemoryStorage::default());
        assert!(matches!(Agent::enrol(&mut platform, &provider(), &seed), Err(Error::Seed(_))));
        assert_eq!(platform.storage().commits(), 0);
    };
    check(|seed| seed.tams[1].principal = seed.tams[0].principal.clone());
    check(|seed| seed.tams[1].owner = seed.tams[0].owner);
    check(|seed| seed.signers[0].principal = seed.tams[0].principal.clone());
    check(|seed| seed.device_authority = Some(key(1, "tam").public_key()));
    check(|seed| seed.tams.clear());
}

#[test]
fn k3_all_keys_of_a_tam_are_the_same_owner() {
    let mut seed = seed();
    let second = key(7, "tam");
    seed.tams[0].principal = Principal::Keys(vec![key(1, "tam").public_key(), second.public_key()]);
    let mut world = World::with_seed(1, &seed);
    world.install_wallet(1);
    world.tam = second;
    assert_eq!(world.query().tc_list.len(), 4);
}

#[test]
fn k4_a_certificate_outside_the_protected_header_identifies_nobody() {
    let root = root(Role::Tam, "TAM CA");
    let mut world = World::with_seed(1, &seed_under(&root, TAM_URI));
    let (tam, chain) = certified(&root, TAM_URI, 30);
    world.drive(Input::RequestPolicyCheck);
    // The same message once with the chain protected, once moved to the unprotected header.
    (world.tam, world.tam_chain) = (tam, chain.clone());
    world.query();
    world.tam_chain = Vec::new();
    let bytes = world.sign(&Message::QueryRequest(world.query_request()));
    let kid = thumbprint(&world.tam.public_key(), &provider());
    let mut plain = tamarack_cbor::Encoder::new();
    plain.map_with(|map| {
        map.int(4, |e| e.bytes(&kid.0));
    });
    let mut with_chain = tamarack_cbor::Encoder::new();
    with_chain.map_with(|map| {
        map.int(4, |e| e.bytes(&kid.0)).int(33, |e| e.bytes(&chain[0]));
    });
    let (plain, with_chain) = (plain.into_bytes(), with_chain.into_bytes());
    let at = bytes.windows(plain.len()).position(|window| window == plain).unwrap();
    let moved = [&bytes[..at], &with_chain, &bytes[at + plain.len()..]].concat();
    let reply = world.drive(Input::ProcessTeepMessage(moved));
    assert_eq!(reply.error().err_code, ErrCode::BadCertificate);
}

#[test]
fn k5_a_manifest_signed_by_a_tam_key_is_not_a_signers() {
    let mut world = World::new();
    let payload = Payload::integrated("#ta", b"x".to_vec(), &provider());
    let builder = builder(&wallet("suit"), &wallet("ta"), 1, payload);
    let signed = builder.build(&provider()).unwrap().sign(&*key(1, "tam"), &SignOptions::default());
    let script = Script::install(signed.unwrap().envelope());
    let reply = world.refused(script, FAILED, codes::SUIT_UNAUTHENTICATED);
    let ReportResult::Failure { reason, .. } = reply.reports(1)[0].result.clone() else { panic!() };
    assert_eq!(reason, Reason::Unauthorised);
}

#[test]
fn k6_reports_are_signed_with_a_key_of_their_own() {
    let mut world = World::new();
    let reply = world.exchange(Script::install(wallet_envelope(1)));
    assert_eq!(reply.reports(1).len(), 1);
    assert_ne!(key(1, "report").public_key(), key(1, "teep").public_key());
    let teep = VerificationKey::new(key(1, "teep").public_key(), Purpose::TeepMessage, &provider());
    let signed = SignedMessage::parse(&reply.bytes, &Limits::default()).unwrap();
    assert!(signed.verify(&[teep], &provider()).is_ok());
}

#[test]
fn k7_a_signer_names_only_what_lies_under_its_prefixes() {
    let foreign = |kind| id("com.globex", WALLET, kind);
    let check = |envelope: Vec<u8>, expected| {
        let reply = World::new().refused(Script::install(envelope), FAILED, codes::SUIT_UNAUTHORISED);
        let ReportResult::Failure { reason, .. } = reply.reports(1)[0].result.clone() else { panic!() };
        assert_eq!(reason, expected);
    };
    check(envelope(1, &foreign("suit"), &wallet("ta"), 1, b"x"), Reason::Unauthorised);
    check(envelope(1, &wallet("suit"), &foreign("ta"), 1, b"x"), Reason::ComponentUnauthorised);
    check(envelope(2, &wallet("suit"), &wallet("ta"), 1, b"x"), Reason::Unauthorised);
    // Prefixes are whole segments.
    let near = |kind| id("com.acme2", WALLET, kind);
    check(envelope(1, &near("suit"), &near("ta"), 1, b"x"), Reason::Unauthorised);
}

#[test]
fn k7_a_tam_manages_only_what_lies_in_its_scopes() {
    let mut seed = seed();
    seed.tams[0].scopes = vec![vec![b"com.globex".to_vec()]];
    let mut world = World::with_seed(1, &seed);
    world.refused(Script::install(wallet_envelope(1)), FAILED, codes::SUIT_UNAUTHORISED);
    world.refused(Script::remove(wallet("suit")), FAILED, codes::SUIT_UNAUTHORISED);
    // The manifest itself must lie in them too, not only what it installs.
    let mut narrow = seed.clone();
    narrow.tams[0].scopes = vec![wallet("ta").segments().to_vec()];
    let script = Script::install(wallet_envelope(1));
    World::with_seed(1, &narrow).refused(script, FAILED, codes::SUIT_UNAUTHORISED);
    let globex = |kind| id("com.globex", WALLET, kind);
    world.exchange(Script::install(envelope(2, &globex("suit"), &globex("ta"), 1, b"x"))).expect_success();
}

#[test]
fn k7_the_quota_of_a_provider_is_kept() {
    let mut seed = seed();
    seed.signers[0].quota = 100;
    let mut world = World::with_seed(1, &seed);
    let sized = |uuid, sequence, size: usize| {
        envelope(1, &id("com.acme", uuid, "suit"), &id("com.acme", uuid, "ta"), sequence, &vec![1; size])
    };
    world.refused(Script::install(sized([1; 16], 1, 101)), FAILED, codes::SUIT_LIMIT);
    world.exchange(Script::install(sized([1; 16], 1, 60))).expect_success();
    world.refused(Script::install(sized([2; 16], 1, 41)), FAILED, codes::SUIT_LIMIT);
    world.exchange(Script::install(sized([2; 16], 1, 40))).expect_success();
    // What an update replaces does not count.
    world.exchange(Script::install(sized([1; 16], 2, 60))).expect_success();
}

#[test]
fn signers_with_certificates_are_known_by_root_and_name() {
    let ca = root(Role::Developer, "Developer CA");
    let mut seed = seed();
    seed.signers[0].principal =
        Principal::Certificate { anchor: ca.cert_der().to_vec(), uri: "https://acme.example".into() };
    let signed = |name: &str| {
        let (key, chain) = certified(&ca, name, 30);
        let payload = Payload::integrated("#ta", b"x".to_vec(), &provider());
        let builder = builder(&wallet("suit"), &wallet("ta"), 1, payload);
        let options = SignOptions { x5chain: &chain, ..SignOptions::default() };
        builder.build(&provider()).unwrap().sign(&*key, &options).unwrap().envelope()
    };
    let mut world = World::with_seed(1, &seed);
    world.refused(Script::install(signed("https://evil.example")), FAILED, codes::SUIT_UNAUTHENTICATED);
    world.exchange(Script::install(signed("https://acme.example"))).expect_success();
    assert_eq!(world.count(), 1);
    // It goes on running when the certificate has expired.
    world.now += 100 * DAY;
    world.restart();
    assert_eq!(world.count(), 2);
    world.refused(Script::install(signed("https://acme.example")), FAILED, codes::SUIT_UNAUTHENTICATED);
}

#[test]
fn e5_a_stranger_learns_nothing() {
    let mut world = World::new();
    world.install_wallet(1);
    let mut answers = Vec::new();
    for _ in 0..2 {
        let reply = stranger(&mut world, key(66, "tam"), Vec::new());
        let error = reply.error();
        assert_eq!(error.err_code, ErrCode::BadCertificate);
        assert!(error.err_msg.is_none() && error.suit_reports.is_empty() && error.challenge.is_none());
        assert_eq!(reply.outcome(), Some(&Outcome::Refused(codes::COSE_KEY_UNKNOWN)));
        let signed = SignedMessage::parse(&reply.bytes, &Limits::default()).unwrap();
        assert_eq!(signed.kid(), None);
        let own = key(1, "teep").public_key();
        let own = VerificationKey::new(own, Purpose::TeepMessage, &provider());
        assert!(signed.verify(&[own], &provider()).is_err(), "signed as this device");
        answers.push(reply.bytes);
    }
    assert_ne!(answers[0], answers[1], "two answers are not linkable");
}

#[test]
fn e5_the_token_of_a_stranger_comes_back() {
    let mut world = World::new();
    world.drive(Input::RequestPolicyCheck);
    world.tam = key(66, "tam");
    let mut query = world.query_request();
    (query.token, query.challenge) = (Some(vec![5; 16]), None);
    query.data_item_requested = DataItems::NONE;
    let reply = world.send(&Message::QueryRequest(query));
    assert_eq!(reply.error().token.as_deref(), Some(&[5; 16][..]));
}

#[test]
fn e5_each_owner_sees_another_ueid() {
    let mut world = World::new();
    let ueid = |world: &mut World| {
        let evidence = world.query().attestation_payload.unwrap();
        let sign1 = Sign1::parse(&evidence, &Limits::default()).unwrap();
        sign1.unverified_payload().unwrap().to_vec()
    };
    let first = ueid(&mut world);
    assert_eq!(ueid(&mut world), first, "the same for one Owner");
    world.tam = key(2, "tam");
    assert_ne!(ueid(&mut world), first);
}

#[test]
fn r8_anchors_change_only_by_the_device_authority_in_order() {
    let mut world = World::new();
    world.install_wallet(1);
    let order = |signer: &dyn Sign, sequence, state| {
        let order = AnchorOrder {
            sequence,
            subject: Anchor::Provider("acme".into()),
            change: AnchorChange::State(state),
        };
        Sign1::sign(signer, &order.to_cbor(), &[], &SignOptions::default()).unwrap()
    };
    let authority = key(1, "authority");
    let before = world.digest();
    for (order, why) in [
        (order(&*key(1, "tam"), 2, AnchorState::Revoked), "another key"),
        (order(&*authority, 1, AnchorState::Revoked), "a sequence number that was used"),
        (order(&*authority, 3, AnchorState::Revoked), "a sequence number that is not the next"),
    ] {
        assert!(matches!(world.agent.change_anchor(&order), Err(Error::Authority(_))), "{why}");
        assert_eq!(world.digest(), before);
    }
    // For loading only: what is installed runs, nothing new comes in.
    world.agent.change_anchor(&order(&*authority, 2, AnchorState::LoadOnly)).unwrap();
    assert_eq!(world.count(), 1);
    world.refused(Script::install(wallet_envelope(2)), FAILED, codes::SUIT_UNAUTHENTICATED);
    world.agent.change_anchor(&order(&*authority, 3, AnchorState::Active)).unwrap();
    world.install_wallet(2);
    assert_eq!(world.agent.status().unwrap().trust_store_sequence, 3);
}

/// The order that gives `subject` these keys, as the device authority signs it.
fn new_keys(sequence: u64, subject: Anchor, keys: &[&dyn Sign]) -> Vec<u8> {
    let change = AnchorChange::Keys(keys.iter().map(|key| key.public_key()).collect());
    let order = AnchorOrder { sequence, subject, change };
    Sign1::sign(&*key(1, "authority"), &order.to_cbor(), &[], &SignOptions::default()).unwrap()
}

#[test]
fn r2_a_new_epoch_recovers_from_a_stolen_signers_number() {
    let mut world = World::new();
    // Whoever stole acme's key used up all numbers.
    world.exchange(Script::install(wallet_envelope(i64::MAX as u64))).expect_success();
    let acme = || Anchor::Provider("acme".into());
    let before = world.digest();
    let same = new_keys(2, acme(), &[&*key(1, "signer")]);
    assert!(
        matches!(world.agent.change_anchor(&same), Err(Error::Authority(_))),
        "the stolen key is no new key"
    );
    assert_eq!(world.digest(), before);
    world.agent.change_anchor(&new_keys(2, acme(), &[&*key(9, "signer")])).unwrap();
    // What the old key signed neither comes in nor runs.
    world.refused(Script::install(wallet_envelope(i64::MAX as u64)), FAILED, codes::SUIT_UNAUTHENTICATED);
    assert!(world.call(1, &mut Vec::new()).is_err());
    // The new one begins again, and the usual order holds in its epoch.
    let by_new_key = |sequence| envelope(9, &wallet("suit"), &wallet("ta"), sequence, b"clean");
    world.exchange(Script::install(by_new_key(2))).expect_success();
    world.restart();
    world.refused(Script::install(by_new_key(1)), FAILED, codes::SUIT_ROLLBACK);
}

#[test]
fn k3_the_device_authority_replaces_the_keys_of_a_tam() {
    let mut world = World::new();
    world.install_wallet(1);
    assert_eq!(world.count(), 1);
    let stolen = new_keys(2, Anchor::Tam(OWNER), &[&*key(2, "tam")]);
    assert!(matches!(world.agent.change_anchor(&stolen), Err(Error::Authority(_))), "another TAM's key");
    world.agent.change_anchor(&new_keys(2, Anchor::Tam(OWNER), &[&*key(7, "tam")])).unwrap();
    let reply = stranger(&mut world, key(1, "tam"), Vec::new());
    assert_eq!(reply.error().err_code, ErrCode::BadCertificate, "the old key is a stranger's");
    // The same Owner under its new key: its TA is there, and goes on.
    world.tam = key(7, "tam");
    world.install_wallet(2);
    assert_eq!(world.count(), 2);
}

#[test]
fn r8_a_revoked_tam_is_a_stranger_and_its_manifest_names_are_reserved() {
    let mut world = World::new();
    let order = AnchorOrder {
        sequence: 2,
        subject: Anchor::Tam(OWNER),
        change: AnchorChange::State(AnchorState::Revoked),
    };
    let order = Sign1::sign(&*key(1, "authority"), &order.to_cbor(), &[], &SignOptions::default()).unwrap();
    world.agent.change_anchor(&order).unwrap();
    let reply = stranger(&mut world, key(1, "tam"), Vec::new());
    assert_eq!(reply.error().err_code, ErrCode::BadCertificate);

    // The device's own namespace is nobody's, whatever the prefixes say.
    let mut seed = seed();
    seed.signers[0].prefixes = vec![vec![]];
    let own = |kind| id(tamarack_agent::DEVICE_DOMAIN, WALLET, kind);
    let script = Script::install(envelope(1, &own("suit"), &own("ta"), 1, b"x"));
    World::with_seed(1, &seed).refused(script, FAILED, codes::SUIT_UNAUTHORISED);
}

#[test]
fn s3_the_time_does_not_go_back_behind_what_a_tam_vouched_for() {
    let root = root(Role::Tam, "TAM CA");
    let mut world = World::with_seed(1, &seed_under(&root, TAM_URI));
    let old = certified(&root, TAM_URI, 10);
    // A later message of this TAM was verified, by the clock of then.
    world.now = NOW + 20 * DAY;
    let key = load_key(&generate_key(KeyType::P256).unwrap()).unwrap();
    let subject = Subject { uri: TAM_URI.into(), common_name: "leaf".into() };
    let pem = root.issue(key.public_key(), subject, NOW, NOW + 100 * DAY).unwrap();
    (world.tam, world.tam_chain) = (key, certificates_from_pem(&pem).unwrap());
    world.query();
    // Now the host sets the clock back to when an expired certificate was valid.
    world.now = NOW;
    world.restart();
    let reply = stranger(&mut world, old.0, old.1);
    assert_eq!(reply.error().err_code, ErrCode::CertificateExpired);
}
