use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tamarack_eat::SOFTWARE_TEE_FORMAT;
use tamarack_eat::ear::{MEDIA_TYPE, Tier};
use tamarack_model::codes;

use crate::support::{Device, World};

const NONCE: [u8; 16] = [7; 16];

#[test]
fn a_background_check_answers_the_relying_partys_nonce() {
    let world = World::new();
    assert_eq!(world.references("POST", "", &world.device.release(1, [4; 32])).status, 201);
    let reply = world.appraise(SOFTWARE_TEE_FORMAT, Some(&NONCE), &world.device.evidence(&NONCE, [4; 32]));
    assert_eq!((reply.status, &*reply.media_type), (200, MEDIA_TYPE));
    let ear = world.check(&reply.body, &NONCE).unwrap();
    assert_eq!(ear.status, Some(Tier::Affirming));
    // An Agent that differs in one byte.
    let mut changed = [4; 32];
    changed[31] ^= 1;
    let reply = world.appraise(SOFTWARE_TEE_FORMAT, Some(&NONCE), &world.device.evidence(&NONCE, changed));
    assert_eq!(reply.status, 200);
    let ear = world.check(&reply.body, &NONCE).unwrap();
    assert_eq!(ear.status, Some(Tier::Contraindicated));
    let details = ear.submods["tee"].details.as_ref().unwrap();
    assert_eq!(details.code, Some(codes::MEASUREMENT_MISMATCH.0));
}

#[test]
fn a_passport_is_made_for_the_verifiers_challenge_and_checked_with_its_key_alone() {
    let world = World::new();
    world.references("POST", "", &world.device.release(1, [4; 32]));
    let challenge = world.challenge();
    let evidence = world.device.evidence(&challenge, [4; 32]);
    let reply = world.appraise(SOFTWARE_TEE_FORMAT, None, &evidence);
    assert_eq!(reply.status, 200);
    assert_eq!(world.check(&reply.body, &challenge).unwrap().status, Some(Tier::Affirming));
    let stale = world.check(&reply.body, &world.challenge()).unwrap_err();
    assert_eq!(stale.code, codes::RESULT_STALE);
    assert_eq!(World::new().check(&reply.body, &challenge).unwrap_err().code, codes::RESULT_UNTRUSTED);
    // Anybody may ask which key it is; who trusts it is another matter.
    let key = world.request("GET", "/key", &[], &[]).body;
    assert_eq!(key, std::fs::read(&world.made.public_key).unwrap());
}

#[test]
fn what_is_not_genuine_fresh_and_bound_gets_a_reason_and_no_result() {
    let world = World::with("[limits]\nbody = 4096\n");
    let good = world.device.evidence(&NONCE, [4; 32]);
    let stranger = Device::new().evidence(&NONCE, [4; 32]);
    let mut weak = world.device.claims(&NONCE, [4; 32]);
    weak.platform.as_mut().unwrap().layers = 0;
    let mut debug = world.device.claims(&NONCE, [4; 32]);
    debug.dbgstat = Some(tamarack_eat::DebugStatus::Enabled);
    let mut over = world.device.claims(&NONCE, [4; 32]);
    over.exp = Some(1_000_000_000);
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    let (tee, nonce) = (SOFTWARE_TEE_FORMAT, Some(&NONCE[..]));
    for (what, format, nonce, evidence, status, code) in [
        ("an unknown format", "application/octet-stream", nonce, &good[..], 415, codes::EVIDENCE_FORMAT),
        (
            "another profile",
            "application/eat+cwt; eat_profile=\"urn:x\"",
            nonce,
            &good,
            415,
            codes::EVIDENCE_FORMAT,
        ),
        ("nothing", tee, nonce, &[], 422, codes::EAT_MALFORMED),
        ("no CBOR", tee, nonce, b"{}", 422, codes::EAT_MALFORMED),
        ("more behind it", tee, nonce, &[&good[..], &[0]].concat(), 422, codes::EAT_MALFORMED),
        ("another TEE CA", tee, nonce, &stranger, 422, codes::EVIDENCE_UNTRUSTED),
        ("a changed signature", tee, nonce, &changed, 422, codes::EVIDENCE_UNTRUSTED),
        ("another nonce", tee, Some(&[8; 16]), &good, 422, codes::EVIDENCE_STALE),
        ("no challenge of this verifier", tee, None, &good, 422, codes::EVIDENCE_STALE),
        ("a short nonce", tee, Some(&[8; 7]), &good, 400, codes::API_INVALID),
        ("over", tee, nonce, &world.device.sign(&over), 422, codes::EVIDENCE_STALE),
        ("no isolation", tee, nonce, &world.device.sign(&weak), 422, codes::EVIDENCE_POLICY),
        ("debuggable", tee, nonce, &world.device.sign(&debug), 422, codes::EVIDENCE_POLICY),
        ("too large", tee, nonce, &[0; 5000], 413, codes::HTTP_TOO_LARGE),
    ] {
        let reply = world.appraise(format, nonce, evidence);
        assert_eq!(reply.problem(), (status, code.to_string()), "{what}");
    }
    let twice = "/appraise?nonce=0707070707070707&nonce=0707070707070707";
    let reply = world.request("POST", twice, &[("content-type", tee)], &good);
    assert_eq!(reply.problem(), (400, codes::API_INVALID.to_string()), "two nonces");
    assert_eq!(world.request("GET", "/nothing", &[], &[]).problem().0, 404);
    assert_eq!(world.request("POST", "/appraise", &[], &good).problem().0, 415);
}

/// Nothing is affirmed because nobody said anything.
#[test]
fn without_reference_values_nothing_is_affirmed() {
    let world = World::new();
    let evidence = world.device.evidence(&NONCE, [4; 32]);
    let reply = world.appraise(SOFTWARE_TEE_FORMAT, Some(&NONCE), &evidence);
    let ear = world.check(&reply.body, &NONCE).unwrap();
    assert_eq!(ear.status, Some(Tier::Warning), "nobody speaks of its Agent");
}

#[test]
fn who_sends_slowly_holds_up_nobody() {
    let world = World::with("[limits]\nin_flight = 1\n");
    let address = world.running.as_ref().unwrap().address();
    let slow: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(address).unwrap();
            let head = format!(
                "POST /appraise?nonce=0707070707070707 HTTP/1.1\r\nhost: x\r\ncontent-type: {SOFTWARE_TEE_FORMAT}\r\ncontent-length: 100\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            stream
        })
        .collect();
    std::thread::sleep(Duration::from_millis(50));
    let begin = Instant::now();
    let evidence = world.device.evidence(&NONCE, [4; 32]);
    let reply = world.appraise(SOFTWARE_TEE_FORMAT, Some(&NONCE), &evidence);
    assert_eq!(reply.status, 200, "{}", reply.json());
    assert!(begin.elapsed() < Duration::from_secs(5));
    drop(slow);
}
