//! A TAM that believes verifiers: in a background check it asks one, and takes passports that devices bring.

use alloc::vec;

use tamarack_attest::{
    Expectations, Grade as TeeGrade, ProviderRole, ReferenceProvider, References, Refusal, ResultPolicy,
    Verifier, assess,
};
use tamarack_corim::{
    Class, ClassId, Comid, Corim, Digest, Environment, Id, MeasuredElement, Measurement, MeasurementValues,
    Signer, Triple,
};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::KeyType;
use tamarack_eat::ear::VerifierId;
use tamarack_store::{Read, Store, TenantId};
use tamarack_teep::{Message, QueryResponse};

use super::challenge::{at_once, reply};
use super::world::{NOW, challenge, crypto, key};
use super::*;
use crate::{AppraisalRequest, Input, Output};

/// A verifier with reference values of its own.
struct Remote {
    key: Box<dyn Sign>,
    references: References,
}

fn environment() -> Environment {
    Environment::of_class(Class { class_id: Some(ClassId::Uuid([2; 16])), ..Class::default() })
}

/// A maker's references with this Agent, and the maker.
fn released(agent: [u8; 32]) -> (References, ReferenceProvider, Vec<u8>) {
    let key = key(KeyType::P256);
    let provider = ReferenceProvider {
        name: "Acme".into(),
        role: ProviderRole::Maker,
        keys: vec![VerificationKey::new(key.public_key(), Purpose::ReferenceValues, &crypto())],
        scope: vec![environment()],
        elements: None,
        cap: TeeGrade::None,
    };
    let values = MeasurementValues { digests: vec![Digest::sha256(agent)], ..MeasurementValues::default() };
    let element = Some(MeasuredElement::Text("urn:x-tamarack:agent".into()));
    let measurement = Measurement { element, values, authorized_by: Vec::new() };
    let mut tag = Comid::new(Id::Text("firmware".into()), 1);
    tag.reference_values = vec![Triple { environment: environment(), measurements: vec![measurement] }];
    let corim = Corim::new(Id::Text("acme".into()), tag);
    let signed = tamarack_corim::sign(&corim, &Signer::new("Acme"), &*key, None).unwrap();
    let mut references = References::new(vec![provider.clone()]);
    references.add(&signed, NOW, &crypto()).unwrap();
    (references, provider, signed)
}

impl Remote {
    /// A verifier that the TAM of `world` believes.
    fn of(world: &mut World) -> Self {
        let key = key(KeyType::P256);
        world.tam.config.results = Some(ResultPolicy::new(vec![Verifier {
            name: "Verity".into(),
            keys: vec![VerificationKey::new(key.public_key(), Purpose::AttestationResult, &crypto())],
            scope: Some(vec![environment()]),
            cap: TeeGrade::Software,
        }]));
        Self { key, references: released([4; 32]).0 }
    }

    /// What it says about Evidence, by the TEE CAs of `world` and its own reference values.
    fn ear(&self, world: &World, request: &AppraisalRequest, now: u64) -> Result<Vec<u8>, Refusal> {
        let policy = tamarack_attest::Policy {
            references: Some(self.references.clone().into()),
            ..world.tam.config.evidence.clone()
        };
        let expected = Expectations { nonce: &request.nonce, teep_key: None, now };
        let assessment = assess(Some(&request.format), &request.evidence, &expected, &policy, &crypto());
        let verifier = VerifierId { developer: "Verity".into(), build: "1".into() };
        match assessment.ear(verifier, now, 300) {
            Some(ear) => Ok(ear.sign(&*self.key, &crypto()).unwrap()),
            None => Err(assessment.outcome.unwrap_err()),
        }
    }
}

fn asking() -> (World, Remote) {
    let mut world = World::new();
    world.publish(1);
    let remote = Remote::of(&mut world);
    world.tam.config.remote_verifier = true;
    (world, remote)
}

/// What the TAM wants to know about a message.
fn asked(world: &World, body: &[u8]) -> AppraisalRequest {
    let tenant = TenantId::default();
    let before = world.digest();
    let request = world.tam.begin(world.clock.get(), &world.store, tenant, body).unwrap_err();
    assert_eq!(world.digest(), before, "nothing is written before a verifier has spoken");
    request
}

fn resume(world: &World, body: &[u8], appraised: Result<Vec<u8>, Refusal>) -> Reply {
    world.tam.resume(world.clock.get(), &world.store, TenantId::default(), body, appraised)
}

#[test]
fn a_background_check_gives_what_appraisal_here_would_give() {
    let (world, remote) = asking();
    let mut device = world.device();
    device.requested.push(world::id("acme/wallet/ta"));
    let body = device.response(&world.query_request());
    let request = asked(&world, &body);
    assert_eq!(request.format, tamarack_eat::SOFTWARE_TEE_FORMAT);
    let ear = remote.ear(&world, &request, NOW).unwrap();
    world.update(&resume(&world, &body, Ok(ear.clone())));
    let row = world.store.device(&TenantId::default(), &device.id(&world.crypto)).unwrap().unwrap();
    assert_eq!((&*row.grade, row.state.unwrap().epoch), ("software", 5));
    assert!(row.attested.is_some());
    // c2: the same message again gets nothing, whatever a verifier says of it.
    no_content(&resume(&world, &body, Ok(ear)));
    no_content(&world.tam.begin(NOW, &world.store, TenantId::default(), &body).unwrap());
}

#[test]
fn only_what_could_be_right_is_shown_to_a_verifier() {
    let (world, _) = asking();
    let device = world.device();
    let request = world.query_request();
    let good = device.query_response(&challenge(&request));
    // Another key signed; the challenge is over, or of nobody.
    let stolen = world::sign_with(stranger().as_ref(), Message::QueryResponse(good));
    let foreign = device.sign(Message::QueryResponse(device.query_response(&[1; 32])));
    for body in [stolen, foreign] {
        assert!(matches!(at_once(&world, &body), Output::Reply(_)));
    }
    let late = device.response(&request);
    world.clock.set(NOW + 301);
    assert!(matches!(at_once(&world, &late), Output::Reply(_)));
}

#[test]
fn c2_the_challenge_may_expire_while_the_verifier_takes_its_time() {
    let (world, remote) = asking();
    let body = world.device().response(&world.query_request());
    let request = asked(&world, &body);
    world.clock.set(NOW + 301);
    let ear = remote.ear(&world, &request, NOW + 301).unwrap();
    let reply = resume(&world, &body, Ok(ear));
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::EVIDENCE_STALE);
}

#[test]
fn c2_two_that_wait_for_a_verifier_at_the_same_time_get_one_answer() {
    let (world, remote) = asking();
    let device = world.device();
    let body = device.response(&world.query_request());
    let requests = [asked(&world, &body), asked(&world, &body)];
    let ears = requests.map(|request| remote.ear(&world, &request, NOW).unwrap());
    let replies = ears.map(|ear| resume(&world, &body, Ok(ear)));
    assert_eq!(replies[1].event().code, Some(codes::EVIDENCE_STALE));
    assert_eq!(world.store.sessions(&TenantId::default(), None, 9).unwrap().len(), 1);
}

#[test]
fn e3_a_result_by_nobody_or_about_another_is_refused() {
    let (mut world, remote) = asking();
    let (device, other) = (world.device(), world.device());
    let message = world.query_request();
    let body = device.response(&message);
    let request = asked(&world, &body);
    let own = remote.ear(&world, &request, NOW).unwrap();
    let about_other = remote.ear(&world, &asked(&world, &other.response(&message)), NOW).unwrap();
    let about_other_nonce =
        remote.ear(&world, &asked(&world, &device.response(&world.query_request())), NOW).unwrap();
    let stranger = Remote { key: key(KeyType::P256), references: remote.references.clone() };
    let by_stranger = stranger.ear(&world, &request, NOW).unwrap();
    let bad = Remote { key: remote.key, references: released([9; 32]).0 };
    let contraindicated = bad.ear(&world, &request, NOW).unwrap();
    let unavailable = Refusal { code: codes::VERIFIER_UNAVAILABLE, reason: "no answer".into() };
    let before = world.digest();
    for (what, appraised, err_code, code) in [
        ("by a stranger", Ok(by_stranger), ErrCode::AttestationRequired, codes::RESULT_UNTRUSTED),
        ("about another key", Ok(about_other), ErrCode::AttestationRequired, codes::RESULT_BINDING),
        ("for another nonce", Ok(about_other_nonce), ErrCode::AttestationRequired, codes::RESULT_STALE),
        ("nothing", Ok(Vec::new()), ErrCode::AttestationRequired, codes::RESULT_MALFORMED),
        ("Evidence", Ok(request.evidence.clone()), ErrCode::AttestationRequired, codes::RESULT_UNTRUSTED),
        ("contraindicated", Ok(contraindicated), ErrCode::AttestationRequired, codes::RESULT_STATUS),
        ("no answer", Err(unavailable), ErrCode::TemporaryError, codes::VERIFIER_UNAVAILABLE),
    ] {
        let reply = resume(&world, &body, appraised);
        refused_by_update(&world, &reply, err_code, code);
        assert_eq!(world.digest(), before, "{what}");
    }
    // Older than the TAM takes, although the challenge still lives.
    world.tam.config.results.as_mut().unwrap().maximum_age = 60;
    world.clock.set(NOW + 61);
    let reply = resume(&world, &body, Ok(own.clone()));
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::RESULT_STALE);
    world.clock.set(NOW + 60);
    no_content(&resume(&world, &body, Ok(own)));
}

#[test]
fn a_tenants_own_reference_values_still_count() {
    let (mut world, remote) = asking();
    let (_, provider, signed) = released([9; 32]);
    world.tam.config.reference_providers = vec![provider];
    let addition = world.tam.add_reference(&world.store, &TenantId::default(), &signed, NOW).unwrap();
    world.apply(addition.change);
    let body = world.device().response(&world.query_request());
    let ear = remote.ear(&world, &asked(&world, &body), NOW).unwrap();
    let reply = resume(&world, &body, Ok(ear));
    refused_by_update(&world, &reply, ErrCode::AttestationRequired, codes::MEASUREMENT_MISMATCH);
}

/// The device had its Evidence appraised itself, for the TAM's challenge, and sends the result instead: without a format, which
/// means an Attestation Result.
#[test]
fn a_passport_stands_for_evidence() {
    let mut world = World::new();
    world.publish(1);
    let remote = Remote::of(&mut world);
    let mut device = world.device();
    device.requested.push(world::id("acme/wallet/ta"));
    let message = world.query_request();
    let plain = device.query_response(&challenge(&message));
    let request = AppraisalRequest {
        format: plain.attestation_payload_format.clone().unwrap(),
        evidence: plain.attestation_payload.clone().unwrap(),
        nonce: challenge(&message),
    };
    let ear = remote.ear(&world, &request, NOW).unwrap();
    let passport = QueryResponse {
        attestation_payload_format: None,
        attestation_payload: Some(ear.clone()),
        ..plain.clone()
    };
    let body = device.sign(Message::QueryResponse(passport.clone()));
    // Shown by somebody else: the key in it is not his.
    let thief = world.device();
    let stolen = world::sign_with(thief.teep_key.as_ref(), Message::QueryResponse(passport.clone()));
    refused_by_update(
        &world,
        &world.post(&stolen),
        ErrCode::AttestationRequired,
        codes::EVIDENCE_KEY_BINDING,
    );
    world.update(&world.post(&body));
    let row = world.store.device(&TenantId::default(), &device.id(&world.crypto)).unwrap().unwrap();
    assert!(row.attested.is_some());
    no_content(&world.post(&body));
    // For an older challenge, it is no answer.
    let old = device.sign(Message::QueryResponse(passport));
    world.query_request();
    no_content(&world.post(&old));
    // A TAM that believes nobody takes no passport.
    let world = World::new();
    let device = world.device();
    let plain = device.query_response(&challenge(&world.query_request()));
    let passport =
        QueryResponse { attestation_payload_format: None, attestation_payload: Some(ear), ..plain };
    let body = device.sign(Message::QueryResponse(passport));
    refused_by_update(&world, &world.post(&body), ErrCode::AttestationRequired, codes::EVIDENCE_FORMAT);
}

#[test]
fn an_exchange_that_is_driven_out_of_order_ends() {
    let (world, _) = asking();
    let body = world.device().response(&world.query_request());
    let mut exchange = world.tam.exchange(TenantId::default());
    let output = exchange.handle(NOW, &world.store, Input::Request(body));
    assert!(matches!(output, Output::Appraise(_)));
    let output = exchange.handle(NOW, &world.store, Input::Persisted(Ok(())));
    refused(&reply(output), 500, codes::INTERNAL);
    let mut exchange = world.tam.exchange(TenantId::default());
    let output = exchange.handle(NOW, &world.store, Input::Appraised(Ok(Vec::new())));
    refused(&reply(output), 500, codes::INTERNAL);
    let _ = world.store.apply(Vec::new());
}
