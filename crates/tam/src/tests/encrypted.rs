use tamarack_cose::{Recipient, encrypt, thumbprint};
use tamarack_teep::{CHALLENGE_HEADER, EVIDENCE_CONTEXT, Message, SignedMessage};

use super::world::challenge;
use super::*;

/// A TAM that asks for encryption.
fn world() -> World {
    let mut world = World::new();
    world.tam.config.evidence_key = Some(world.crypto.agree.ephemeral().unwrap());
    world
}

/// What the device answers, with its Evidence encrypted to the key that the request names, or what `change` makes of that.
struct Sealing<'a> {
    context: &'a str,
    challenge: Vec<u8>,
    kid: Option<&'a [u8]>,
}

fn sealed(
    world: &World,
    device: &Device,
    request: &SignedMessage,
    change: impl FnOnce(&mut Sealing<'_>),
) -> Vec<u8> {
    let Message::QueryRequest(asked) = request.unverified().unwrap() else { panic!("a QueryRequest") };
    let mut sealing =
        Sealing { context: EVIDENCE_CONTEXT, challenge: asked.challenge.clone().unwrap(), kid: None };
    change(&mut sealing);
    let mut response = device.query_response(&challenge(request));
    let Sealing { context, challenge, kid } = sealing;
    let to = [Recipient { key: &asked.evidence_key.unwrap(), kid }];
    let header = [(CHALLENGE_HEADER, challenge)];
    let payload = response.attestation_payload.unwrap();
    response.attestation_payload = Some(encrypt(&payload, &to, context, &header, &world.crypto).unwrap());
    tamarack_teep::sign(&Message::QueryResponse(response), &*device.teep_key, &Default::default()).unwrap()
}

#[test]
fn e5_encrypted_evidence_without_a_kid_is_believed() {
    let world = world();
    let device = world.device();
    let body = sealed(&world, &device, &world.query_request(), |_| {});
    no_content(&world.post(&body));
    assert_eq!(world.row(&device).grade, "software");
    for id in [&device.id(&world.crypto).0, &thumbprint(&device.teep_key.public_key(), &world.crypto).0] {
        assert!(!body.windows(32).any(|bytes| bytes == id), "the device is named outside");
    }
    // A device that does not know the extension sends it in the clear, as before.
    no_content(&world.query(&world.device()));
}

#[test]
fn c7_only_an_answer_to_an_own_challenge_is_decrypted() {
    let world = world();
    let device = world.device();
    let before = world.digest();
    type Change = fn(&mut Sealing<'_>);
    let cases: [(&str, tamarack_model::Code, Change); 4] = [
        ("no challenge outside", codes::EVIDENCE_STALE, |s| s.challenge.clear()),
        ("a foreign one outside", codes::EVIDENCE_STALE, |s| s.challenge[31] ^= 1),
        ("another use", codes::COSE_DECRYPT, |s| s.context = "Firmware Encryption"),
        ("another recipient", codes::COSE_DECRYPT, |s| s.kid = Some(b"somebody else")),
    ];
    for (what, code, change) in cases {
        let reply = world.post(&sealed(&world, &device, &world.query_request(), change));
        match code {
            codes::COSE_DECRYPT => refused(&reply, 400, code),
            code => refused_by_update(&world, &reply, ErrCode::AttestationRequired, code),
        }
        assert_eq!(reply.event().code, Some(code), "{what}");
    }
    assert_eq!(world.digest(), before);
    // The challenge outside opens the door; the nonce inside decides all the same.
    let (old, new) = (world.query_request(), world.query_request());
    world.clock.set(NOW + 1);
    let stale = sealed(&world, &device, &old, |sealing| sealing.challenge = challenge(&new));
    no_content(&world.post(&stale));
    // It is burned by that one, whatever is outside.
    let again = world.post(&sealed(&world, &device, &old, |sealing| sealing.challenge = challenge(&new)));
    assert!(matches!(again, Reply::NoContent { event } if event.device.is_none()));
}

#[test]
fn e5_a_tam_without_a_key_decrypts_nothing() {
    let world = world();
    let device = world.device();
    let body = sealed(&world, &device, &world.query_request(), |_| {});
    let mut keyless = world;
    keyless.tam.config.evidence_key = None;
    let reply = keyless.post(&body);
    refused(&reply, 400, codes::COSE_DECRYPT);
    let garbage = Message::QueryResponse(tamarack_teep::QueryResponse {
        attestation_payload: Some(alloc::vec![0xd8, 0x60, 0xff]),
        ..device.query_response(&challenge(&keyless.query_request()))
    });
    assert!(keyless.post(&device.sign(garbage)).event().code.is_some());
}
