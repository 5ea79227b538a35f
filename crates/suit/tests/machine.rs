//! What is written is read, carried out and reported; what was altered, overreaches or is not verified is not.

use proptest::prelude::*;
use tamarack_cbor::{Encode, Encoder, Limits as CborLimits};
use tamarack_cose::{Purpose, Sign1, SignOptions, VerificationKey, Verified};
use tamarack_crypto::{KeyType, Sign};
use tamarack_crypto_rustcrypto::provider;
use tamarack_model::{Code, ComponentId, codes};
use tamarack_suit::author::{Builder, Component, Payload, Severable, Text};
use tamarack_suit::{
    AuthenticEnvelope, EffectError, EffectErrorKind, Envelope, Error, Failure, Limits, Machine, MemoryDevice,
    Procedure, Reason, Report, ReportResult, SignedReport, Step, SuitDigest, TrustedKeys, Unsupported,
    explain,
};
use tamarack_testkit::cddl::Rules;
use tamarack_testkit::specs::specs_dir;

const CONTENT: &[u8] = b"the content of a trusted application";
const URI: &str = "https://tam.example/wallet.wasm";

fn signer(key_type: KeyType) -> Box<dyn Sign> {
    let keys = provider().keys;
    keys.load_pkcs8(keys.generate_pkcs8(key_type).unwrap().expose()).unwrap()
}

fn id(kind: &str) -> ComponentId {
    ComponentId::tamarack("com.acme", [7; 16], kind).unwrap()
}

fn wallet(payload: Payload) -> Builder {
    let component = Component {
        vendor: Some([1; 16]),
        class: Some([2; 16]),
        invoke: Some(b"args".to_vec()),
        ..Component::new(id("ta"), payload)
    };
    Builder::new(id("suit"), 3).component(component)
}

fn integrated() -> Payload {
    Payload::integrated("#ta", CONTENT.to_vec(), &provider())
}

fn signed(builder: &Builder, signer: &dyn Sign) -> Vec<u8> {
    builder.build(&provider()).unwrap().sign(signer, &SignOptions::default()).unwrap().envelope()
}

fn authenticate(bytes: &[u8], signer: &dyn Sign) -> Result<Verified<AuthenticEnvelope>, Error> {
    authenticate_for(bytes, signer, Purpose::SuitManifest)
}

fn authenticate_for(
    bytes: &[u8],
    signer: &dyn Sign,
    purpose: Purpose,
) -> Result<Verified<AuthenticEnvelope>, Error> {
    let keys = [VerificationKey::new(signer.public_key(), purpose, &provider())];
    let envelope = Envelope::parse(bytes, &Limits::default())?;
    envelope.authenticate(&TrustedKeys { signatures: &keys, macs: &[] }, &provider())
}

fn run(
    device: &mut MemoryDevice,
    envelope: Verified<AuthenticEnvelope>,
    procedure: Procedure,
) -> (Result<(), Failure>, Machine) {
    let mut machine = Machine::new(envelope, procedure, Limits::default()).unwrap();
    (device.drive(&mut machine), machine)
}

/// An envelope over a manifest with one component and these commands to install it, signed.
fn by_hand(signer: &dyn Sign, shared: Option<&[u8]>, install: &[u8]) -> Vec<u8> {
    let mut common = Encoder::new();
    common.map_with(|map| {
        map.int(2, |e| e.array(1).array(1).bytes(b"x"));
        map.optional(4, shared, |e, shared| e.bytes(shared));
    });
    let mut manifest = Encoder::new();
    manifest.map_with(|map| {
        map.int(1, |e| e.uint(1))
            .int(2, |e| e.uint(1))
            .int(3, |e| e.bytes(&common.into_bytes()))
            .int(20, |e| e.bytes(install));
    });
    let manifest = manifest.into_bytes();
    let digest = SuitDigest::sha256_of_wrapped(&manifest, &provider()).to_cbor();
    let options = SignOptions { detached: true, ..SignOptions::default() };
    let block = Sign1::sign(signer, &digest, &[], &options).unwrap();
    let mut wrapper = Encoder::new();
    wrapper.array(2).bytes(&digest).bytes(&block);
    let mut e = Encoder::new();
    e.map_with(|map| {
        map.int(2, |e| e.bytes(&wrapper.into_bytes())).int(3, |e| e.bytes(&manifest));
        map.text("#x", |e| e.bytes(CONTENT));
    });
    e.into_bytes()
}

/// Writes one command with its argument.
type Item<'a> = &'a dyn Fn(&mut Encoder);

/// A sequence of the given encoded commands and arguments.
fn sequence(items: &[Item<'_>]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(items.len() * 2);
    items.iter().for_each(|item| item(&mut e));
    e.into_bytes()
}

fn fetch(e: &mut Encoder) {
    e.int(21).uint(2);
}

fn image_match(e: &mut Encoder) {
    e.int(3).uint(2);
}

fn abort(e: &mut Encoder) {
    e.int(14).uint(2);
}

fn set_uri(e: &mut Encoder) {
    e.int(20).map_with(|map| {
        map.int(21, |e| e.text("#x")).int(3, |e| {
            let digest = SuitDigest::sha256(b"something else", &provider());
            e.wrapped(&digest)
        });
    });
}

fn soft(value: bool) -> impl Fn(&mut Encoder) {
    move |e| {
        e.int(20).map_with(|map| {
            map.int(13, |e| e.bool(value));
        });
    }
}

fn run_sequence(content: Vec<u8>) -> impl Fn(&mut Encoder) {
    move |e| {
        e.int(32).bytes(&content);
    }
}

fn try_each(contents: Vec<Vec<u8>>, or_nothing: bool) -> impl Fn(&mut Encoder) {
    move |e| {
        e.int(15).array(contents.len() + usize::from(or_nothing));
        for content in &contents {
            e.bytes(content);
        }
        if or_nothing {
            e.null();
        }
    }
}

/// Installs by hand-written commands; the code of the failure, if it fails.
fn install(items: &[Item<'_>]) -> Result<(), Code> {
    let signer = signer(KeyType::Ed25519);
    let envelope = by_hand(&*signer, None, &sequence(items));
    let authentic = authenticate(&envelope, &*signer).map_err(|e| e.code())?;
    run(&mut MemoryDevice::new(provider()), authentic, Procedure::Update).0.map_err(|failure| failure.code)
}

#[test]
fn what_is_written_is_installed_invoked_and_uninstalled() {
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let signer = signer(key_type);
        let text = Text {
            language: "en".into(),
            description: None,
            update: None,
            versions: vec![(0, "1.0".into())],
        };
        let payloads =
            [integrated(), Payload::by_uri(URI, CONTENT, &provider()), Payload::Inline(CONTENT.to_vec())];
        for payload in payloads {
            let builder = wallet(payload).text(text.clone()).sever(Severable::Text).sever(Severable::Install);
            let authentic = authenticate(&signed(&builder, &*signer), &*signer).unwrap();
            let mut device = MemoryDevice::new(provider());
            device.payloads.insert(URI.into(), CONTENT.to_vec());
            for procedure in [Procedure::Update, Procedure::Invocation, Procedure::Uninstall] {
                if procedure != Procedure::Uninstall {
                    assert!(run(&mut device, authentic.clone(), procedure).0.is_ok());
                    assert_eq!(device.components[&id("ta")], CONTENT);
                } else {
                    assert!(run(&mut device, authentic.clone(), procedure).0.is_ok());
                }
            }
            assert_eq!(device.invoked, [(id("ta"), Some(b"args".to_vec()))]);
            assert_eq!(device.unlinked, [id("ta")]);
        }
    }
}

#[test]
fn emitted_envelopes_and_reports_match_the_cddl() {
    let Some(specs) = specs_dir() else { return };
    let envelopes = Rules::load(&specs, "suit-envelope", None);
    let reports = Rules::load(&specs, "suit-report", None);
    let signer = signer(KeyType::P256);
    let wrong = Payload::Integrated {
        key: "#ta".into(),
        content: CONTENT.to_vec(),
        digest: SuitDigest::sha256(b"another", &provider()),
        size: CONTENT.len() as u64,
    };
    for payload in [integrated(), wrong, Payload::Inline(CONTENT.to_vec())] {
        let bytes = signed(&wallet(payload).sever(Severable::Install), &*signer);
        envelopes.check(&bytes).unwrap();
        let authentic = authenticate(&bytes, &*signer).unwrap();
        envelopes.check(&authentic.value().envelope.without_payloads()).unwrap();
        let (_, machine) = run(&mut MemoryDevice::new(provider()), authentic, Procedure::Update);
        let report = machine.report(Some(b"nonce"));
        reports.check(&report.to_cbor()).unwrap();
        reports.check(&report.sign(&*signer, &SignOptions::default()).unwrap()).unwrap();
    }
}

#[test]
fn a_wrong_digest_fails_and_the_report_says_what_was_found() {
    let signer = signer(KeyType::Ed25519);
    let payload = Payload::Uri { uri: URI.into(), digest: SuitDigest::sha256(b"x", &provider()), size: 36 };
    let authentic = authenticate(&signed(&wallet(payload), &*signer), &*signer).unwrap();
    let mut device = MemoryDevice::new(provider());
    device.payloads.insert(URI.into(), CONTENT.to_vec());
    let (result, machine) = run(&mut device, authentic, Procedure::Update);
    assert_eq!(result.unwrap_err().code, codes::SUIT_CONDITION);
    let found = SuitDigest::sha256(CONTENT, &provider());
    let report = machine.report(Some(b"token"));
    let ReportResult::Failure { record, reason, .. } = &report.result else { panic!("{report:?}") };
    assert_eq!((*reason, record.section), (Reason::ConditionFailed, 20));
    assert!(record.properties.contains(&(3, tamarack_suit::parameter::Value::Digest(found))));

    let bytes = report.sign(&*signer, &SignOptions::default()).unwrap();
    let read = SignedReport::parse(&bytes, &CborLimits::default()).unwrap();
    let key = |purpose| [VerificationKey::new(signer.public_key(), purpose, &provider())];
    assert_eq!(read.verify(&key(Purpose::SuitReport), &provider()).unwrap().into_value(), report);
    assert!(read.verify(&key(Purpose::SuitManifest), &provider()).is_err());
}

#[test]
fn k5_a_key_of_another_purpose_or_another_key_authenticates_nothing() {
    let (ours, other) = (signer(KeyType::P256), signer(KeyType::P256));
    let bytes = signed(&wallet(integrated()), &*ours);
    assert!(authenticate(&bytes, &*ours).is_ok());
    for purpose in [Purpose::TeepMessage, Purpose::SuitReport, Purpose::Evidence] {
        assert_eq!(
            authenticate_for(&bytes, &*ours, purpose).unwrap_err().code(),
            codes::SUIT_UNAUTHENTICATED
        );
    }
    assert_eq!(authenticate(&bytes, &*other).unwrap_err().code(), codes::SUIT_UNAUTHENTICATED);
}

#[test]
fn no_flipped_bit_is_carried_out() {
    let signer = signer(KeyType::Ed25519);
    let bytes = signed(&wallet(integrated()).sever(Severable::Install), &*signer);
    for bit in 0..bytes.len() * 8 {
        let mut altered = bytes.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        // Only the integrated payload and its key are outside the signature; the digest covers the former.
        if let Ok(authentic) = authenticate(&altered, &*signer) {
            let mut device = MemoryDevice::new(provider());
            assert!(run(&mut device, authentic, Procedure::Update).0.is_err(), "bit {bit}");
        }
    }
}

#[test]
fn t_content_that_was_never_matched_ends_in_failure() {
    assert_eq!(install(&[&set_uri, &fetch]), Err(codes::SUIT_CONDITION));
    // A mismatch that an alternative swallows.
    let alternatives = try_each(vec![sequence(&[&image_match])], true);
    assert_eq!(install(&[&set_uri, &fetch, &alternatives]), Err(codes::SUIT_CONDITION));
    let softly = run_sequence(sequence(&[&soft(true), &image_match]));
    assert_eq!(install(&[&set_uri, &fetch, &softly]), Err(codes::SUIT_CONDITION));
}

#[test]
fn failures_are_soft_only_where_they_may_be() {
    let failing = || sequence(&[&abort]);
    let check = |items: &[Item<'_>], expected| assert_eq!(install(items), expected);
    check(&[&abort], Err(codes::SUIT_CONDITION));
    check(&[&soft(true)], Err(codes::SUIT_MALFORMED));
    check(&[&run_sequence(failing())], Err(codes::SUIT_CONDITION));
    check(&[&run_sequence(sequence(&[&soft(true), &abort]))], Ok(()));
    check(&[&try_each(vec![failing(), failing()], false)], Err(codes::SUIT_CONDITION));
    check(&[&try_each(vec![failing(), failing()], true)], Ok(()));
    check(&[&try_each(vec![failing(), sequence(&[&soft(true)])], false)], Ok(()));
    check(&[&try_each(vec![sequence(&[&soft(false), &abort])], true)], Err(codes::SUIT_CONDITION));
    // A failure that comes out of a nested sequence is a condition's in the one around it.
    let nested = sequence(&[&run_sequence(failing())]);
    check(&[&try_each(vec![nested], true)], Ok(()));
    // A directive's failure ends everything.
    check(&[&try_each(vec![sequence(&[&fetch])], true)], Err(codes::SUIT_MALFORMED));
}

#[test]
fn unsupported_commands_refuse_the_whole_manifest_by_name() {
    let signer = signer(KeyType::Ed25519);
    let swap = |e: &mut Encoder| {
        e.int(31).uint(2);
    };
    let unknown = |e: &mut Encoder| {
        e.int(99).uint(2);
    };
    let hidden = try_each(vec![sequence(&[&swap]), sequence(&[&abort])], true);
    let cases: [(Item<'_>, i64, &str); 3] =
        [(&swap, 31, "swap"), (&hidden, 31, "swap"), (&unknown, 99, "unknown")];
    for (item, code, name) in cases {
        let bytes = by_hand(&*signer, None, &sequence(&[&set_uri, &fetch, item]));
        let error = authenticate(&bytes, &*signer).unwrap_err();
        assert_eq!(error, Error::Unsupported(Unsupported::Command { code, name }));
        assert_eq!(error.reason(), Reason::CommandUnsupported);
    }
}

#[test]
fn the_machine_waits_at_a_fetch_and_takes_its_failure() {
    let signer = signer(KeyType::Ed25519);
    let builder = wallet(Payload::by_uri(URI, CONTENT, &provider()));
    let authentic = authenticate(&signed(&builder, &*signer), &*signer).unwrap();
    let mut machine = Machine::new(authentic, Procedure::Update, Limits::default()).unwrap();
    let mut device = MemoryDevice::new(provider());
    for _ in 0..2 {
        let Step::Fetch(request) = machine.run(&mut device, &provider()) else { panic!("no fetch") };
        assert_eq!((request.uri.as_str(), request.max_size), (URI, Some(CONTENT.len() as u64)));
    }
    machine.fetched(Err(EffectError::new(EffectErrorKind::Failed, "no network")));
    let Step::Done(Err(failure)) = machine.run(&mut device, &provider()) else { panic!("not failed") };
    assert_eq!((failure.code, failure.reason), (codes::SUIT_DIRECTIVE, Reason::OperationFailed));
}

#[test]
fn every_effect_is_authorised_and_steps_are_counted() {
    let signer = signer(KeyType::Ed25519);
    let authentic = authenticate(&signed(&wallet(integrated()), &*signer), &*signer).unwrap();
    let mut device = MemoryDevice::new(provider());
    device.allowed = Some(Vec::new());
    let (result, _) = run(&mut device, authentic.clone(), Procedure::Update);
    assert_eq!(result.unwrap_err().reason, Reason::ComponentUnauthorised);
    assert!(device.components.is_empty());
    let limits = Limits { steps: 3, ..Limits::default() };
    let mut machine = Machine::new(authentic, Procedure::Update, limits).unwrap();
    let result = MemoryDevice::new(provider()).drive(&mut machine);
    assert_eq!(result.unwrap_err().code, codes::SUIT_LIMIT);
}

#[test]
fn storage_keeps_what_was_signed() {
    let signer = signer(KeyType::P256);
    let bytes = signed(&wallet(integrated()), &*signer);
    let stored = Envelope::parse(&bytes, &Limits::default()).unwrap().without_payloads();
    let authentic = authenticate(&stored, &*signer).unwrap();
    assert_eq!(authentic.value().envelope.integrated("#ta"), None);
    let (result, _) = run(&mut MemoryDevice::new(provider()), authentic, Procedure::Update);
    assert_eq!(result.unwrap_err().code, codes::SUIT_DIRECTIVE);
}

#[test]
fn reasons_are_numbered_without_gaps() {
    for (number, reason) in Reason::ALL.into_iter().enumerate() {
        assert_eq!(reason.number(), number as u64);
        assert_eq!(Reason::from_number(number as u64), Some(reason));
    }
    assert_eq!(Reason::from_number(13), None);
}

fn read_all(bytes: &[u8]) {
    if let Ok(envelope) = Envelope::parse(bytes, &Limits::default()) {
        let _ = explain::explain(&envelope);
    }
    let _ = Report::parse(bytes, &CborLimits::default());
}

proptest! {
    #[test]
    fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..600, value: u8) {
        read_all(&bytes);
        let mut written = wallet(integrated()).build(&provider()).unwrap().envelope();
        let at = at % written.len();
        written[at] = value;
        read_all(&written);
        written.truncate(at);
        read_all(&written);
    }
}
