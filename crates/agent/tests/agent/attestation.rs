//! What Evidence shows: of the device to each Owner, and of a TA to whoever it speaks to.

use tamarack_agent::{AnchorChange, AnchorOrder, Error, Input, Subject};
use tamarack_cbor::{Encode, Limits};
use tamarack_cose::{Encrypted, Recipient, SignOptions, encrypt, thumbprint};
use tamarack_crypto::{KeyAgree, PublicKey};
use tamarack_eat::{Claims, Confirmation, MeasuredTa, Measurement, SOFTWARE_TEE_FORMAT, TaClaims, Token};
use tamarack_model::{OwnerId, codes};
use tamarack_tee::{Params, TaError, TaReturn};
use tamarack_teep::{
    CHALLENGE_HEADER, EVIDENCE_CONTEXT, Message, QueryRequest, QueryResponse, SignedMessage,
};

use super::world::*;

const NONCE: [u8; 32] = [7; 32];

fn claims(evidence: &[u8]) -> Claims {
    Token::parse(evidence, &Limits::default()).unwrap().unverified().unwrap()
}

fn evidence(response: &QueryResponse) -> Claims {
    claims(response.attestation_payload.as_deref().unwrap())
}

/// What the wallet's Evidence says.
fn attested(world: &mut World, nonce: &[u8], key: &[u8]) -> (Claims, TaClaims) {
    let claims = claims(&world.prove(ATTEST, &[nonce, key]).unwrap());
    let ta = TaClaims::extract(&claims, &provider()).unwrap();
    (claims, ta)
}

fn returned(result: Result<Vec<u8>, Error>) -> TaReturn {
    match result {
        Err(Error::Ta(TaError::Returned(code))) => code,
        other => panic!("{other:?}"),
    }
}

/// The TA hands in the challenge of its TAM, and names a key: both stand in its submodule, where no TAM looks.
#[test]
fn l4_a_ta_chooses_neither_eat_nonce_nor_cnf() {
    let mut world = World::new();
    world.install_wallet(3);
    let challenge = world.query_request().challenge.unwrap();
    let (claims, ta) = attested(&mut world, &challenge, b"a");
    assert_eq!(ta.nonce, challenge);
    assert!(ta.key.is_some());
    assert!(!claims.eat_nonce.contains(&challenge));
    assert_eq!(claims.cnf, None);
    // Nor has it the face of Evidence about the device, whichever format is claimed for it.
    let platform = evidence(&world.query());
    assert_eq!(platform.eat_nonce, [challenge]);
    assert_ne!(platform.eat_profile, claims.eat_profile);
    assert_ne!(platform.ueid, claims.ueid);
    let bytes = world.prove(ATTEST, &[&NONCE, b"a"]).unwrap();
    let hints = tamarack_attest::hints_unverified(Some(SOFTWARE_TEE_FORMAT), &bytes).unwrap();
    assert_eq!(hints.teep_key, None, "a TAM would find a key to check the message with");
    assert_ne!(hints.nonce, NONCE);
}

#[test]
fn l4_who_a_ta_is_says_the_agent() {
    let mut world = World::new();
    world.install_wallet(3);
    attested(&mut world, &NONCE, b"");
    let (claims, ta) = attested(&mut world, &NONCE, b"");
    let identity = &ta.identity;
    assert_eq!((&identity.manifest, &identity.component), (&wallet("suit"), &wallet("ta")));
    assert_eq!(
        (identity.sequence, &identity.domain[..], &identity.provider[..]),
        (3, &b"com.acme"[..], "acme")
    );
    assert_eq!(identity.digest, provider().sha256(b"wallet 3"));
    assert_eq!((ta.key, &ta.nonce[..]), (None, &NONCE[..]));
    // Around it, the platform's own claims, and the same state that the TAM is told.
    let platform = evidence(&world.query()).platform.unwrap();
    assert_eq!(claims.platform.unwrap().state_root, platform.state_root);
    // An update is another TA.
    world.install_wallet(4);
    let (_, ta) = attested(&mut world, &NONCE, b"");
    assert_eq!((ta.identity.sequence, ta.identity.digest), (4, provider().sha256(b"wallet 4")));
    for length in [0, 7, 65] {
        assert_eq!(returned(world.prove(ATTEST, &[&vec![1; length], b""])), TaReturn::BAD_PARAMETERS);
    }
    assert_eq!(returned(world.prove(ATTEST, &[&NONCE, b"none"])), TaReturn::ITEM_NOT_FOUND);
}

#[test]
fn c7_a_ta_gets_so_much_evidence_in_a_minute() {
    let mut world = World::new();
    world.install_wallet(1);
    world.restart_with(tamarack_agent::AgentConfig { evidence_per_minute: 2, ..Default::default() });
    world.prove(ATTEST, &[&NONCE, b""]).unwrap();
    world.prove(ATTEST, &[&NONCE, b""]).unwrap();
    assert_eq!(returned(world.prove(ATTEST, &[&NONCE, b""])), TaReturn::BUSY);
    world.now += 60;
    world.prove(ATTEST, &[&NONCE, b""]).unwrap();
}

#[test]
fn k5_a_key_that_decrypts_signs_nothing_and_the_other_way_round() {
    let mut world = World::new();
    world.install_wallet(1);
    let (_, ta) = attested(&mut world, &NONCE, b"a");
    let seal = |key: &PublicKey, context: &str| {
        let to = [Recipient { key, kid: None }];
        encrypt(b"secret", &to, context, &[], &provider()).unwrap()
    };
    let message = seal(&ta.key.unwrap(), "TA Encryption");
    assert_eq!(world.prove(DECRYPT, &[b"a", &message]).unwrap(), b"secret");
    let other_use = seal(&ta.key.unwrap(), EVIDENCE_CONTEXT);
    assert_eq!(returned(world.prove(DECRYPT, &[b"a", &other_use])), TaReturn::MAC_INVALID);
    assert_eq!(returned(world.prove(DECRYPT, &[b"a", b"nothing"])), TaReturn::BAD_PARAMETERS);
    assert_eq!(returned(world.prove(SIGN_WITH, &[b"a"])), TaReturn::ITEM_NOT_FOUND);
    // The key "k" signs, on the same curve.
    let mut params = Params::from([tamarack_tee::Param::MemrefInput(vec![1])]);
    params.extend([tamarack_tee::Param::None, tamarack_tee::Param::None]);
    world.call(SIGN, &mut params).unwrap();
    let (_, ta) = attested(&mut world, &NONCE, b"k");
    let message = seal(&ta.key.unwrap(), "TA Encryption");
    assert_eq!(returned(world.prove(DECRYPT, &[b"k", &message])), TaReturn::ITEM_NOT_FOUND);
}

#[test]
fn what_a_ta_seals_only_its_key_opens() {
    let mut world = World::new();
    world.install_wallet(1);
    assert_eq!(returned(world.prove(SEAL, &[b"key", b"", b"data"])), TaReturn::ITEM_NOT_FOUND);
    world.prove(KEEP, &[b"key", &[1; 31]]).unwrap();
    assert_eq!(returned(world.prove(SEAL, &[b"key", b"", b"data"])), TaReturn::BAD_PARAMETERS);
    world.prove(KEEP, &[b"key", &[1; 32]]).unwrap();
    let sealed = world.prove(SEAL, &[b"key", b"here", b"data"]).unwrap();
    assert_eq!(sealed.len(), 12 + 4 + 16);
    assert_ne!(world.prove(SEAL, &[b"key", b"there", &sealed]).unwrap(), b"data");
    assert_eq!(world.prove(SEAL, &[b"key", b"here", &sealed]).unwrap(), b"data");
    world.prove(KEEP, &[b"key", &[2; 32]]).unwrap();
    assert_ne!(world.prove(SEAL, &[b"key", b"here", &sealed]).unwrap(), b"data");
}

#[test]
fn a_person_is_told_which_ta_asks() {
    let mut world = World::new();
    world.install_wallet(1);
    assert_eq!(returned(world.prove(CONFIRM, &[b"Pay?"])), TaReturn::NOT_SUPPORTED);
    for answer in [true, false] {
        let platform = platform(world.device, world.storage()).with_answer(answer);
        world.agent = tamarack_agent::Agent::new(platform, provider(), Default::default());
        assert_eq!(world.prove(CONFIRM, &[b"Pay?"]).unwrap(), [u8::from(answer)]);
    }
}

#[test]
fn e2_evidence_measures_the_tas_of_its_owner() {
    let mut world = World::new();
    assert!(evidence(&world.query()).measurements.is_empty());
    world.install_wallet(3);
    let tas = |world: &mut World| -> Vec<MeasuredTa> {
        let measured = evidence(&world.query()).measurements;
        let read = |one: &Measurement| match one {
            Measurement::Component(component) => MeasuredTa::try_from(component).unwrap(),
            Measurement::Other { .. } => panic!("{one:?}"),
        };
        measured.iter().map(read).collect()
    };
    let expected = MeasuredTa {
        component: wallet("ta"),
        manifest: wallet("suit"),
        provider: "acme".into(),
        sequence: 3,
        digest: provider().sha256(b"wallet 3"),
        loaded: false,
    };
    assert_eq!(tas(&mut world), std::slice::from_ref(&expected));
    world.count();
    assert_eq!(tas(&mut world), [MeasuredTa { loaded: true, ..expected.clone() }]);
    world.install_wallet(4);
    let newer = MeasuredTa { sequence: 4, digest: provider().sha256(b"wallet 4"), ..expected };
    assert_eq!(tas(&mut world), [newer]);
    // The other Owner hears nothing of it.
    world.tam = key(2, "tam");
    assert!(tas(&mut world).is_empty());
}

/// Two TAMs that put together all that they were told find no device in common.
#[test]
fn e5_two_owners_see_two_devices() {
    let mut world = World::new();
    let ours = evidence(&world.query());
    world.tam = key(2, "tam");
    let theirs = evidence(&world.query());
    assert_ne!(ours.ueid, theirs.ueid);
    assert_ne!(ours.cnf, theirs.cnf);
    let (ours, theirs) = (ours.platform.unwrap(), theirs.platform.unwrap());
    assert_ne!(ours.state_root, theirs.state_root);
    assert_ne!(ours.state_epoch, theirs.state_epoch);
    // Neither the same state nor the same epoch on two devices looks the same, even to one TAM.
    let mut other = World::with_seed(2, &seed());
    let platform = evidence(&other.query()).platform.unwrap();
    assert_ne!((platform.state_root, platform.state_epoch), (ours.state_root, ours.state_epoch));
}

#[test]
fn e5_an_owners_messages_are_signed_by_its_own_persona() {
    let mut world = World::new();
    for (number, owner) in [(0, OWNER), (1, OTHER)] {
        world.tam = key(owner.0[0], "tam");
        let bytes = world.sign(&Message::QueryRequest(world.query_request()));
        let reply = world.drive(Input::ProcessTeepMessage(bytes));
        let Some(Message::QueryResponse(response)) = &reply.message else { panic!("{reply:?}") };
        let Some(Confirmation::Key(teep_key)) = evidence(response).cnf else { panic!("a key") };
        let signed = SignedMessage::parse(&reply.bytes, &Limits::default()).unwrap();
        let trusted =
            tamarack_cose::VerificationKey::new(teep_key, tamarack_cose::Purpose::TeepMessage, &provider());
        signed.verify(&[trusted], &provider()).unwrap();
        assert_eq!(signed.kid(), None, "persona {number} is named outside");
    }
}

#[test]
fn r9_the_epoch_that_an_owner_is_told_still_rises_by_one() {
    let mut world = World::new();
    let told = |world: &mut World| {
        let platform = evidence(&world.query()).platform.unwrap();
        (platform.state_epoch, platform.state_root, world.agent.state_root().epoch)
    };
    let (first, root, epoch) = told(&mut world);
    assert_eq!(told(&mut world), (first, root, epoch), "nothing has changed");
    world.install_wallet(1);
    let (second, changed, later) = told(&mut world);
    assert_eq!(second - first, later - epoch);
    assert!(later > epoch);
    assert_ne!(changed, root);
    // A copy that goes another way ends at the same epoch with another root.
    world.restart();
    assert_eq!(told(&mut world), (second, changed, later));
}

/// A TAM names a key, and whoever carries the answer sees nothing but the challenge.
#[test]
fn e5_evidence_is_encrypted_to_the_tam() {
    let mut world = World::new();
    let key = provider().agree.ephemeral().unwrap();
    let request = QueryRequest { evidence_key: Some(key.public_key()), ..world.query_request() };
    let clear = world.query();
    let reply = world.send(&Message::QueryRequest(request));
    let Some(Message::QueryResponse(response)) = &reply.message else { panic!("{reply:?}") };
    assert_eq!(response.attestation_payload_format, clear.attestation_payload_format);
    let encrypted =
        Encrypted::parse(response.attestation_payload.as_deref().unwrap(), &Limits::default()).unwrap();
    assert_eq!(encrypted.unprotected(CHALLENGE_HEADER), Some(&NONCE[..]));
    assert_eq!(encrypted.kids().collect::<Vec<_>>(), [None]);
    let plain = decrypted(&encrypted, &*key);
    assert_eq!(claims(&plain), evidence(&clear));
    let ueid = evidence(&clear).ueid.unwrap();
    let sees = |secret: &[u8]| reply.bytes.windows(secret.len()).any(|bytes| bytes == secret);
    assert!(!sees(&ueid[1..]));
    let Some(Confirmation::Key(teep_key)) = evidence(&clear).cnf else { panic!("a key") };
    assert!(!sees(&thumbprint(&teep_key, &provider()).0));
}

fn decrypted(encrypted: &Encrypted, key: &dyn KeyAgree) -> Vec<u8> {
    encrypted.decrypt(key, None, EVIDENCE_CONTEXT, &provider()).unwrap().expose().clone()
}

#[test]
fn e5_one_persona_shows_itself_to_one_owner() {
    let mut seed = seed();
    seed.tams[1].persona = seed.tams[0].persona;
    let mut platform = platform(1, Default::default());
    let twice = tamarack_agent::Agent::enrol(&mut platform, &provider(), &seed).unwrap_err();
    assert_eq!(twice, Error::Seed("two TAM anchors have the same persona"));
    seed.tams[1].persona = tamarack_tee::Persona(tamarack_testkit::memory_platform::PERSONAS);
    let none = tamarack_agent::Agent::enrol(&mut platform, &provider(), &seed).unwrap_err();
    assert_eq!(none.code(), codes::CONFIG_INVALID);
}

/// A TA whose TAM was revoked is asked nothing any more, so it proves nothing either (rule L1).
#[test]
fn l1_a_revoked_ta_proves_nothing() {
    let mut world = World::new();
    world.install_wallet(1);
    world.prove(ATTEST, &[&NONCE, b""]).unwrap();
    let order = AnchorOrder {
        sequence: 2,
        subject: Subject::Tam(OwnerId(OWNER.0)),
        change: AnchorChange::State(tamarack_agent::AnchorState::Revoked),
    };
    let signed =
        tamarack_cose::Sign1::sign(&*key(1, "authority"), &order.to_cbor(), &[], &SignOptions::default());
    world.agent.change_anchor(&signed.unwrap()).unwrap();
    assert!(world.prove(ATTEST, &[&NONCE, b""]).is_err());
}
