//! Encrypted payloads: which directives open them, who may have made them, and what is refused before anything is done.

use tamarack_cbor::Encoder;
use tamarack_cose::{Purpose, Recipient, SignOptions, To, VerificationKey, encrypt_detached};
use tamarack_crypto::{KeyAgree, KeyType, Secret, Sign};
use tamarack_crypto_rustcrypto::provider;
use tamarack_model::{ComponentId, codes};
use tamarack_suit::author::{Builder, Component, Payload, Unsigned};
use tamarack_suit::{
    Envelope, Error, Failure, Limits, Machine, MemoryDevice, PAYLOAD_ENCRYPTION, PayloadKey, Procedure,
    Reason, SuitDigest, TrustedKeys, Unsupported, explain,
};

const CONTENT: &[u8] = b"the content of a trusted application";
const KEK: [u8; 16] = [3; 16];

fn signer() -> Box<dyn Sign> {
    let keys = provider().keys;
    keys.load_pkcs8(keys.generate_pkcs8(KeyType::Ed25519).unwrap().expose()).unwrap()
}

fn key() -> Box<dyn KeyAgree> {
    provider().agree.ephemeral().unwrap()
}

fn id(kind: &str) -> ComponentId {
    ComponentId::tamarack("com.acme", [7; 16], kind).unwrap()
}

/// Signs a manifest and has a device with `keys` and `payload` carry it out.
fn run(
    unsigned: Unsigned,
    keys: Vec<PayloadKey>,
    payload: &[u8],
) -> Result<(Result<(), Failure>, MemoryDevice), Error> {
    let signer = signer();
    let bytes = unsigned.sign(&*signer, &SignOptions::default()).unwrap().envelope();
    let trusted = [VerificationKey::new(signer.public_key(), Purpose::SuitManifest, &provider())];
    let envelope = Envelope::parse(&bytes, &Limits::default())?;
    let authentic = envelope.authenticate(&TrustedKeys { signatures: &trusted, macs: &[] }, &provider())?;
    let mut machine = Machine::new(authentic, Procedure::Update, Limits::default())?;
    let mut device = MemoryDevice::new(provider());
    device.keys = keys;
    device.payloads.insert("https://tam.example/ta".into(), payload.to_vec());
    Ok((device.drive(&mut machine), device))
}

fn built(builder: &Builder) -> Unsigned {
    builder.build(&provider()).unwrap()
}

/// A manifest over the components `a` and `b` with these commands to install them.
fn by_hand(count: usize, fill: impl FnOnce(&mut Encoder)) -> Unsigned {
    let mut install = Encoder::new();
    install.array(count * 2);
    fill(&mut install);
    let mut common = Encoder::new();
    common.map_with(|map| {
        map.int(2, |e| e.array(2).array(1).bytes(b"a").array(1).bytes(b"b"));
    });
    let mut manifest = Encoder::new();
    manifest.map_with(|map| {
        map.int(1, |e| e.uint(1))
            .int(2, |e| e.uint(1))
            .int(3, |e| e.bytes(&common.into_bytes()))
            .int(20, |e| e.bytes(&install.into_bytes()));
    });
    let manifest = manifest.into_bytes();
    let digest = SuitDigest::sha256_of_wrapped(&manifest, &provider());
    let mut wrapper = Encoder::new();
    wrapper.array(1).wrapped(&digest);
    let mut e = Encoder::new();
    e.map_with(|map| {
        map.int(2, |e| e.bytes(&wrapper.into_bytes())).int(3, |e| e.bytes(&manifest));
    });
    let envelope = Envelope::parse(&e.into_bytes(), &Limits::default()).unwrap();
    Unsigned::from_envelope(&envelope, &provider()).unwrap()
}

fn a() -> ComponentId {
    ComponentId::new([b"a"]).unwrap()
}

#[test]
fn an_encryption_info_is_set_by_either_directive() {
    for directive in [19, 20] {
        let to = [To::Kek { kek: &KEK, kid: None }];
        let (info, sealed) = encrypt_detached(CONTENT, &to, PAYLOAD_ENCRYPTION, &provider()).unwrap();
        let unsigned = by_hand(3, |e| {
            e.int(12).uint(0).int(directive).map_with(|map| {
                map.int(18, |e| e.bytes(&sealed)).int(19, |e| e.bytes(&info));
            });
            e.int(18).uint(15);
        });
        let (result, device) = run(unsigned, vec![PayloadKey::Shared(KEK)], b"").unwrap();
        result.unwrap();
        assert_eq!(device.components[&a()], CONTENT);
    }
}

#[test]
fn what_is_fetched_is_decrypted_in_its_place_or_on_a_copy() {
    let made = || provider().keys.generate_pkcs8(KeyType::P256).unwrap();
    let (ours, others) = (made(), made());
    let load = |pkcs8: &Secret<Vec<u8>>| {
        vec![PayloadKey::Private(provider().agree.load_pkcs8(pkcs8.expose()).unwrap())]
    };
    let public = provider().agree.load_pkcs8(ours.expose()).unwrap().public_key();
    let to = [To::Key(Recipient { key: &public, kid: None })];
    let (info, sealed) = encrypt_detached(CONTENT, &to, PAYLOAD_ENCRYPTION, &provider()).unwrap();
    let digest = SuitDigest::sha256(CONTENT, &provider());
    let in_place = by_hand(4, |e| {
        e.int(12).uint(0).int(20).map_with(|map| {
            map.int(3, |e| e.wrapped(&digest))
                .int(14, |e| e.uint(CONTENT.len() as u64))
                .int(19, |e| e.bytes(&info))
                .int(21, |e| e.text("https://tam.example/ta"));
        });
        e.int(21).uint(15).int(3).uint(15);
    });
    let on_copy = by_hand(6, |e| {
        e.int(12).uint(1).int(20).map_with(|map| {
            map.int(21, |e| e.text("https://tam.example/ta"));
        });
        e.int(21).uint(15).int(12).uint(0).int(20).map_with(|map| {
            map.int(19, |e| e.bytes(&info)).int(22, |e| e.uint(1));
        });
        e.int(22).uint(15);
    });
    for unsigned in [in_place, on_copy] {
        let (result, device) = run(unsigned.clone(), load(&ours), &sealed).unwrap();
        result.unwrap();
        assert_eq!(device.components[&a()], CONTENT);
        let mut changed = sealed.clone();
        changed[3] ^= 1;
        // What many have for a downgrade: the content itself in the place of its ciphertext, which matches every digest.
        let plain = CONTENT.to_vec();
        for (keys, payload) in [
            (load(&others), &sealed),
            (vec![PayloadKey::Shared(KEK)], &sealed),
            (Vec::new(), &sealed),
            (load(&ours), &changed),
            (load(&ours), &sealed[..15].to_vec()),
            (load(&ours), &sealed[..sealed.len() - 1].to_vec()),
            (load(&ours), &plain),
        ] {
            let (result, device) = run(unsigned.clone(), keys, payload).unwrap();
            let failure = result.unwrap_err();
            assert_eq!((failure.code, failure.reason), (codes::COSE_DECRYPT, Reason::OperationFailed));
            let left = device.components.get(&a());
            assert!(left.is_none_or(|left| left == payload), "something that was not brought: {left:?}");
        }
    }
}

#[test]
fn what_many_could_have_encrypted_is_matched() {
    // With two recipients either could have made another payload: a copy without a digest is not enough.
    let kek = [4; 16];
    let alone = [To::Kek { kek: &KEK, kid: None }];
    let many = [To::Kek { kek: &KEK, kid: None }, To::Kek { kek: &kek, kid: None }];
    for (to, expected) in [(&alone[..], None), (&many[..], Some(codes::SUIT_CONDITION))] {
        let (info, sealed) = encrypt_detached(CONTENT, to, PAYLOAD_ENCRYPTION, &provider()).unwrap();
        let unsigned = by_hand(6, |e| {
            e.int(12).uint(1).int(20).map_with(|map| {
                map.int(21, |e| e.text("https://tam.example/ta"));
            });
            e.int(21).uint(15).int(12).uint(0).int(20).map_with(|map| {
                map.int(19, |e| e.bytes(&info)).int(22, |e| e.uint(1));
            });
            e.int(22).uint(15);
        });
        let (result, _) = run(unsigned, vec![PayloadKey::Shared(KEK)], &sealed).unwrap();
        assert_eq!(result.err().map(|failure| failure.code), expected);
    }
}

#[test]
fn a_plaintext_larger_than_image_size_is_refused() {
    let to = [To::Kek { kek: &KEK, kid: None }];
    let (info, sealed) = encrypt_detached(CONTENT, &to, PAYLOAD_ENCRYPTION, &provider()).unwrap();
    for (size, fits) in [(CONTENT.len() as u64, true), (CONTENT.len() as u64 - 1, false)] {
        let unsigned = by_hand(3, |e| {
            e.int(12).uint(0).int(20).map_with(|map| {
                map.int(14, |e| e.uint(size)).int(18, |e| e.bytes(&sealed)).int(19, |e| e.bytes(&info));
            });
            e.int(18).uint(15);
        });
        let (result, _) = run(unsigned, vec![PayloadKey::Shared(KEK)], b"").unwrap();
        assert_eq!(result.is_ok(), fits, "{result:?}");
    }
}

#[test]
fn an_algorithm_that_is_not_carried_out_is_refused_by_name_before_anything_is_done() {
    // A256GCM.
    let mut info = Encoder::new();
    info.tag(96).array(4).bytes(&[0xa1, 1, 3]);
    info.map_with(|map| {
        map.int(5, |e| e.bytes(&[0; 12]));
    });
    info.null().array(1).array(3).bytes(b"").map_with(|map| {
        map.int(1, |e| e.int(-3));
    });
    info.bytes(&[0; 40]);
    let info = info.into_bytes();
    let unsigned = by_hand(3, |e| {
        e.int(12).uint(0).int(20).map_with(|map| {
            map.int(18, |e| e.bytes(&[0; 40])).int(19, |e| e.bytes(&info));
        });
        e.int(18).uint(15);
    });
    let error = run(unsigned, Vec::new(), b"").err().unwrap();
    assert_eq!(error, Error::Unsupported(Unsupported::Encryption(3)));
    assert_eq!(error.reason(), Reason::AlgorithmUnsupported);
}

#[test]
fn what_is_written_encrypted_is_shown_and_tells_nothing_of_the_content() {
    let key = key();
    let public = key.public_key();
    let to = [To::Key(Recipient { key: &public, kid: Some(b"kid") })];
    let payload = Payload::sealed(CONTENT, &to, &provider()).unwrap();
    let unsigned = built(&Builder::new(id("data.suit"), 1).component(Component::new(id("data"), payload)));
    let digest = provider().sha256(CONTENT);
    let bytes = unsigned.clone().envelope();
    for secret in [CONTENT, &digest[..]] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret));
    }
    let tree = explain::explain(&Envelope::parse(&bytes, &Limits::default()).unwrap()).unwrap();
    let text = format!("{tree:?}");
    assert!(text.contains("A128GCM (1)") && text.contains("ECDH-ES+A128KW (-29)"), "{text}");
    let (result, device) = run(unsigned, vec![PayloadKey::Private(key)], b"").unwrap();
    result.unwrap();
    assert_eq!(device.components[&id("data")], CONTENT);
}

/// The draft's "image match before decryption": the digest is the ciphertext's, and then what it decrypts to is the signer's,
/// whoever else could have encrypted something else.
#[test]
fn a_digest_of_the_ciphertext_vouches_for_what_it_decrypts_to() {
    let kek = [4; 16];
    let to = [To::Kek { kek: &KEK, kid: None }, To::Kek { kek: &kek, kid: None }];
    let (info, sealed) = encrypt_detached(CONTENT, &to, PAYLOAD_ENCRYPTION, &provider()).unwrap();
    let digest = SuitDigest::sha256(&sealed, &provider());
    // Matched before it is decrypted, or only afterwards, or not at all.
    for (matched, expected) in
        [(Some(true), None), (Some(false), Some(codes::SUIT_CONDITION)), (None, Some(codes::SUIT_CONDITION))]
    {
        let more = matched.map_or(0, |before| if before { 1 } else { 2 });
        let unsigned = by_hand(6 + more, |e| {
            e.int(12).uint(1).int(20).map_with(|map| {
                map.int(3, |e| e.wrapped(&digest)).int(21, |e| e.text("https://tam.example/ta"));
            });
            e.int(21).uint(15);
            if matched == Some(true) {
                e.int(3).uint(15);
            }
            e.int(12).uint(0).int(20).map_with(|map| {
                map.int(19, |e| e.bytes(&info)).int(22, |e| e.uint(1));
            });
            e.int(22).uint(15);
            if matched == Some(false) {
                e.int(12).uint(1).int(3).uint(15);
            }
        });
        let (result, device) = run(unsigned, vec![PayloadKey::Shared(KEK)], &sealed).unwrap();
        assert_eq!(result.err().map(|failure| failure.code), expected, "{matched:?}");
        assert_eq!(device.components[&a()], CONTENT);
    }
}
