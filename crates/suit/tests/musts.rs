//! Demands of the manifest, trust-domains and report texts, each on a manifest written by hand.

use tamarack_cbor::{Encode, Encoder};
use tamarack_cose::{Purpose, Sign1, SignOptions, VerificationKey, Verified};
use tamarack_crypto::{KeyType, Sign};
use tamarack_crypto_rustcrypto::provider;
use tamarack_model::{Code, ComponentId, codes};
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_suit::{
    AuthenticEnvelope, Envelope, Error, Limits, Machine, MemoryDevice, Procedure, SuitDigest, TrustedKeys,
};

fn signer() -> Box<dyn Sign> {
    let keys = provider().keys;
    keys.load_pkcs8(keys.generate_pkcs8(KeyType::Ed25519).unwrap().expose()).unwrap()
}

fn authenticate(
    bytes: &[u8],
    signer: &dyn Sign,
    limits: &Limits,
) -> Result<Verified<AuthenticEnvelope>, Error> {
    let keys = [VerificationKey::new(signer.public_key(), Purpose::SuitManifest, &provider())];
    Envelope::parse(bytes, limits)?.authenticate(&TrustedKeys { signatures: &keys, macs: &[] }, &provider())
}

fn id(name: &str) -> ComponentId {
    ComponentId::new([name]).unwrap()
}

/// Writes one command with its argument.
type Item<'a> = &'a dyn Fn(&mut Encoder);

fn sequence(items: &[Item<'_>]) -> Vec<u8> {
    let mut e = Encoder::new();
    e.array(items.len() * 2);
    items.iter().for_each(|item| item(&mut e));
    e.into_bytes()
}

/// Authentication wrapper and manifest over these components ("a", "b", ...), installed by these commands.
fn parts(signer: &dyn Sign, components: usize, install: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut common = Encoder::new();
    common.map_with(|map| {
        map.int(2, |e| {
            e.array(components);
            (0..components as u8).fold(e, |e, n| e.array(1).bytes(&[b'a' + n]))
        });
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
    (wrapper.into_bytes(), manifest)
}

fn envelope(signer: &dyn Sign, components: usize, install: &[u8]) -> Vec<u8> {
    let (wrapper, manifest) = parts(signer, components, install);
    let mut e = Encoder::new();
    e.map_with(|map| {
        map.int(2, |e| e.bytes(&wrapper)).int(3, |e| e.bytes(&manifest));
    });
    e.into_bytes()
}

/// Installs on `device`; the machine afterwards and the code of the failure.
fn run_on(
    device: &mut MemoryDevice,
    components: usize,
    items: &[Item<'_>],
) -> (Result<(), Code>, Option<Machine>) {
    let signer = signer();
    let bytes = envelope(&*signer, components, &sequence(items));
    match authenticate(&bytes, &*signer, &Limits::default()) {
        Err(e) => (Err(e.code()), None),
        Ok(authentic) => {
            let mut machine = Machine::new(authentic, Procedure::Update, Limits::default()).unwrap();
            (device.drive(&mut machine).map_err(|failure| failure.code), Some(machine))
        }
    }
}

fn run(components: usize, items: &[Item<'_>]) -> Result<(), Code> {
    run_on(&mut MemoryDevice::new(provider()), components, items).0
}

/// A condition or directive with a reporting policy.
fn command(code: i64, policy: u64) -> impl Fn(&mut Encoder) {
    move |e| {
        e.int(code).uint(policy);
    }
}

/// set-parameters (19) or override-parameters (20) with one parameter that is a byte string.
fn bytes_parameter(directive: i64, label: i64, value: &'static [u8]) -> impl Fn(&mut Encoder) {
    move |e| {
        e.int(directive).map_with(|map| {
            map.int(label, |e| e.bytes(value));
        });
    }
}

fn uint_parameter(label: i64, value: u64) -> impl Fn(&mut Encoder) {
    move |e| {
        e.int(20).map_with(|map| {
            map.int(label, |e| e.uint(value));
        });
    }
}

/// set-component-index with this encoded argument.
fn index(argument: &'static [u8]) -> impl Fn(&mut Encoder) {
    move |e| {
        e.int(12).raw(argument);
    }
}

const VENDOR: i64 = 1;
const CLASS: i64 = 2;
const DEVICE: i64 = 24;
const WRITE: i64 = 18;
const CONTENT: i64 = 18;

#[test]
fn a_condition_without_its_parameter_fails() {
    for code in [VENDOR, CLASS, DEVICE, 3, 5, 6] {
        assert_eq!(run(1, &[&command(code, 15)]), Err(codes::SUIT_MALFORMED), "condition {code}");
        // Nor does an alternative hide it.
        let hidden = |e: &mut Encoder| {
            let content = sequence(&[&command(code, 15)]);
            e.int(15).array(2).bytes(&content).null();
        };
        assert_eq!(run(1, &[&hidden]), Err(codes::SUIT_MALFORMED), "condition {code} in try-each");
    }
}

#[test]
fn identifiers_must_be_the_devices() {
    for code in [VENDOR, CLASS, DEVICE] {
        let check = |identifier: &'static [u8; 16], expected| {
            let mut device = MemoryDevice::new(provider());
            device.identifiers = Some(vec![vec![1; 16]]);
            let set = bytes_parameter(20, code, identifier);
            let result = run_on(&mut device, 1, &[&set, &command(code, 15)]).0;
            assert_eq!(result, expected, "condition {code}");
        };
        check(&[1; 16], Ok(()));
        check(&[2; 16], Err(codes::SUIT_CONDITION));
    }
}

#[test]
fn a_component_in_another_slot_fails() {
    let check = |slot, expected| {
        let mut device = MemoryDevice::new(provider());
        device.slots.insert(id("a"), 1);
        assert_eq!(run_on(&mut device, 1, &[&uint_parameter(5, slot), &command(5, 15)]).0, expected);
    };
    check(1, Ok(()));
    check(0, Err(codes::SUIT_CONDITION));
}

#[test]
fn check_content_compares_the_whole_content() {
    let check = |held: &[u8], expected| {
        let mut device = MemoryDevice::new(provider());
        device.components.insert(id("a"), held.to_vec());
        let items: [Item<'_>; 2] = [&bytes_parameter(20, CONTENT, b"content"), &command(6, 15)];
        assert_eq!(run_on(&mut device, 1, &items).0, expected, "{held:?}");
    };
    check(b"content", Ok(()));
    for other in [&b"contenT"[..], b"Content", b"conten", b"contents", b""] {
        check(other, Err(codes::SUIT_CONDITION));
    }
}

#[test]
fn set_parameters_leaves_what_is_set() {
    let check = |directives: [i64; 2], expected: &[u8]| {
        let mut device = MemoryDevice::new(provider());
        let items: [Item<'_>; 3] = [
            &bytes_parameter(directives[0], CONTENT, b"first"),
            &bytes_parameter(directives[1], CONTENT, b"second"),
            &command(WRITE, 0),
        ];
        assert_eq!(run_on(&mut device, 1, &items).0, Ok(()));
        assert_eq!(device.components[&id("a")], expected, "{directives:?}");
    };
    check([19, 19], b"first");
    check([20, 19], b"first");
    check([19, 20], b"second");
    check([20, 20], b"second");
}

#[test]
fn several_components_need_an_index_first() {
    let set = bytes_parameter(20, CONTENT, b"x");
    let write = command(WRITE, 0);
    assert_eq!(run(1, &[&set, &write]), Ok(()));
    assert!(run(2, &[&set, &write]).is_err());
    assert!(run(2, &[&set, &index(&[0]), &write]).is_err());
    assert_eq!(run(2, &[&index(&[0]), &set, &write]), Ok(()));
}

#[test]
fn an_index_is_one_several_or_all() {
    let check = |argument: &'static [u8], expected: &[&str]| {
        let mut device = MemoryDevice::new(provider());
        // Each component has parameters of its own.
        let items: [Item<'_>; 8] = [
            &index(&[0]),
            &bytes_parameter(20, CONTENT, b"a"),
            &index(&[1]),
            &bytes_parameter(20, CONTENT, b"b"),
            &index(&[2]),
            &bytes_parameter(20, CONTENT, b"c"),
            &index(argument),
            &command(WRITE, 0),
        ];
        assert_eq!(run_on(&mut device, 3, &items).0, Ok(()), "{argument:?}");
        let held: Vec<_> = device.components.iter().collect();
        assert_eq!(held.len(), expected.len(), "{argument:?}");
        for name in expected {
            assert_eq!(device.components[&id(name)], name.as_bytes(), "{argument:?}");
        }
    };
    check(&[0x01], &["b"]);
    check(&[0x82, 0x00, 0x02], &["a", "c"]);
    check(&[0xf5], &["a", "b", "c"]);
    let beyond = [&index(&[3]) as Item<'_>, &command(14, 0)];
    assert_eq!(run(3, &beyond), Err(codes::SUIT_MALFORMED));
}

#[test]
fn a_record_for_each_component_in_order() {
    let mut device = MemoryDevice::new(provider());
    for name in ["a", "b", "c"] {
        device.slots.insert(id(name), 1);
    }
    let all: [Item<'_>; 3] = [&index(&[0xf5]), &uint_parameter(5, 1), &command(5, 1)];
    let (result, machine) = run_on(&mut device, 3, &all);
    assert_eq!(result, Ok(()));
    let indices = |machine: Option<Machine>| -> Vec<u64> {
        machine.unwrap().report(None).records.iter().map(|record| record.component_index).collect()
    };
    assert_eq!(indices(machine), [0, 1, 2]);
    let some: [Item<'_>; 3] = [&index(&[0x82, 2, 0]), &uint_parameter(5, 1), &command(5, 1)];
    assert_eq!(indices(run_on(&mut device, 3, &some).1), [2, 0]);
    // Without the policy bit nothing is recorded; a failure is recorded under its own bit.
    let silent: [Item<'_>; 3] = [&index(&[0xf5]), &uint_parameter(5, 1), &command(5, 2)];
    assert_eq!(indices(run_on(&mut device, 3, &silent).1), [0; 0]);
    device.slots.insert(id("b"), 2);
    let (result, machine) = run_on(&mut device, 3, &silent);
    assert_eq!((result, indices(machine)), (Err(codes::SUIT_CONDITION), vec![1]));
}

#[test]
fn the_wrapper_comes_before_the_manifest() {
    let signer = signer();
    let install = sequence(&[&bytes_parameter(20, CONTENT, b"x"), &command(WRITE, 0)]);
    let (wrapper, manifest) = parts(&*signer, 1, &install);
    let with_order = |manifest_first: bool| {
        let mut e = Encoder::new();
        // A map of two pairs, written without the encoder's sorting.
        e.raw(&[0xa2]);
        let pairs: [(u64, &[u8]); 2] = [(2, &wrapper), (3, &manifest)];
        let order = if manifest_first { [1, 0] } else { [0, 1] };
        for at in order {
            e.uint(pairs[at].0).bytes(pairs[at].1);
        }
        e.into_bytes()
    };
    assert!(authenticate(&with_order(false), &*signer, &Limits::default()).is_ok());
    assert!(authenticate(&with_order(true), &*signer, &Limits::default()).is_err());
}

#[test]
fn more_components_than_there_is_room_for_are_refused() {
    let signer = signer();
    let install = sequence(&[&index(&[0]), &bytes_parameter(20, CONTENT, b"x"), &command(WRITE, 0)]);
    let bytes = envelope(&*signer, 3, &install);
    let with_room = |components| authenticate(&bytes, &*signer, &Limits { components, ..Limits::default() });
    assert!(with_room(3).is_ok());
    assert!(with_room(2).is_err());
}

#[test]
fn a_report_names_the_manifest_and_repeats_the_nonce() {
    let signer = signer();
    for uri in [None, Some("https://example.com/manifest")] {
        let payload = Payload::integrated("#a", b"content".to_vec(), &provider());
        let mut builder = Builder::new(id("manifest"), 1).component(Component::new(id("a"), payload));
        builder.reference_uri = uri.map(String::from);
        let unsigned = builder.build(&provider()).unwrap();
        let digest = *unsigned.digest();
        let bytes = unsigned.sign(&*signer, &SignOptions::default()).unwrap().envelope();
        let authentic = authenticate(&bytes, &*signer, &Limits::default()).unwrap();
        let mut machine = Machine::new(authentic, Procedure::Update, Limits::default()).unwrap();
        MemoryDevice::new(provider()).drive(&mut machine).unwrap();
        for nonce in [None, Some(&b"a nonce"[..])] {
            let report = machine.report(nonce);
            assert_eq!((report.uri.as_str(), report.digest), (uri.unwrap_or(""), digest));
            assert_eq!(report.nonce.as_deref(), nonce);
        }
    }
}

#[test]
fn a_component_is_not_copied_to_itself() {
    let copy = |from: u64| {
        let mut device = MemoryDevice::new(provider());
        device.components.insert(id("a"), b"x".to_vec());
        device.components.insert(id("b"), b"y".to_vec());
        let items: [Item<'_>; 5] = [
            &index(&[0]),
            &uint_parameter(22, from),
            &command(22, 0),
            &bytes_parameter(20, CONTENT, b"y"),
            &command(6, 0),
        ];
        run_on(&mut device, 2, &items).0
    };
    assert_eq!(copy(1), Ok(()));
    assert_eq!(copy(0), Err(codes::SUIT_MALFORMED));
}

#[test]
fn every_signature_of_an_envelope_covers_the_same_digest() {
    let (first, second, stranger) = (signer(), signer(), signer());
    let payload = Payload::integrated("#a", b"content".to_vec(), &provider());
    let builder = Builder::new(id("manifest"), 1).component(Component::new(id("a"), payload));
    let options = SignOptions::default();
    let unsigned = builder.build(&provider()).unwrap();
    let bytes = unsigned.sign(&*first, &options).unwrap().sign(&*second, &options).unwrap().envelope();
    for signer in [&first, &second] {
        assert!(authenticate(&bytes, &**signer, &Limits::default()).is_ok());
    }
    assert!(authenticate(&bytes, &*stranger, &Limits::default()).is_err());
}

#[test]
fn signing_again_needs_the_true_digest() {
    let payload = Payload::integrated("#ta", b"content".to_vec(), &provider());
    let unsigned =
        Builder::new(id("m"), 1).component(Component::new(id("c"), payload)).build(&provider()).unwrap();
    let bytes = unsigned.envelope();
    let again = |bytes: &[u8]| {
        let envelope = Envelope::parse(bytes, &Limits::default()).unwrap();
        tamarack_suit::author::Unsigned::from_envelope(&envelope, &provider())
    };
    let signed = again(&bytes).unwrap().sign(&*signer(), &SignOptions::default()).unwrap();
    assert_eq!(again(&signed.envelope()).unwrap().envelope(), bytes, "everything but the signatures is kept");
    let at = bytes.windows(4).position(|w| w == &unsigned.digest().bytes()[..4]).unwrap();
    let mut other = bytes;
    other[at] ^= 1;
    assert_eq!(again(&other).unwrap_err().code(), codes::SUIT_UNAUTHENTICATED);
}
