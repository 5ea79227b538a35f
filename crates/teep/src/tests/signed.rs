use alloc::boxed::Box;
use alloc::vec::Vec;

use tamarack_cbor::Limits;
use tamarack_cose::{Error as CoseError, Purpose, SignOptions, VerificationKey, thumbprint};
use tamarack_crypto::{KeyType, Provider, Sign};
use tamarack_crypto_rustcrypto::provider;

use crate::{CipherSuite, Error, Message, SignedMessage, Success, sign, sign_all};

fn make(provider: &Provider, key_type: KeyType) -> Box<dyn Sign> {
    let pkcs8 = provider.keys.generate_pkcs8(key_type).unwrap();
    provider.keys.load_pkcs8(pkcs8.expose()).unwrap()
}

fn trust(provider: &Provider, signer: &dyn Sign, purpose: Purpose) -> Vec<VerificationKey> {
    alloc::vec![VerificationKey::new(signer.public_key(), purpose, provider)]
}

fn success() -> Message {
    Message::Success(Success { token: Some(alloc::vec![3; 16]), ..Success::default() })
}

#[test]
fn a_signed_message_verifies_under_its_key_only() {
    let provider = provider();
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let (signer, stranger) = (make(&provider, key_type), make(&provider, key_type));
        let kid = thumbprint(&signer.public_key(), &provider);
        let chain = [alloc::vec![0x30, 0x00]];
        let options = SignOptions { kid: Some(&kid.0), x5chain: &chain, ..SignOptions::default() };
        let bytes = sign(&success(), signer.as_ref(), &options).unwrap();
        let signed = SignedMessage::parse(&bytes, &Limits::default()).unwrap();
        assert_eq!(signed.kid(), Some(&kid.0[..]));
        assert_eq!(signed.x5chain(), chain);
        assert_eq!(signed.cipher_suite(), Some(CipherSuite::of(key_type)));
        assert_eq!(signed.message_type_unverified(), Some(5));

        let keys = trust(&provider, signer.as_ref(), Purpose::TeepMessage);
        let verified = signed.verify(&keys, &provider).unwrap();
        assert_eq!((verified.value(), verified.key()), (&success(), &kid));

        let others = trust(&provider, stranger.as_ref(), Purpose::TeepMessage);
        assert_eq!(signed.verify(&others, &provider).unwrap_err(), Error::Cose(CoseError::KeyUnknown));
    }
}

#[test]
fn k5_keys_of_other_purposes_do_not_verify_messages() {
    let provider = provider();
    let signer = make(&provider, KeyType::Ed25519);
    let bytes = sign(&success(), signer.as_ref(), &SignOptions::default()).unwrap();
    let signed = SignedMessage::parse(&bytes, &Limits::default()).unwrap();
    for purpose in [
        Purpose::SuitManifest,
        Purpose::SuitReport,
        Purpose::Evidence,
        Purpose::AttestationResult,
        Purpose::TrustedApplication,
        Purpose::DeviceAuthority,
    ] {
        let keys = trust(&provider, signer.as_ref(), purpose);
        assert_eq!(signed.verify(&keys, &provider).unwrap_err(), Error::Cose(CoseError::KeyUnknown));
    }
}

#[test]
fn every_changed_bit_is_noticed() {
    let provider = provider();
    let signer = make(&provider, KeyType::Ed25519);
    let keys = trust(&provider, signer.as_ref(), Purpose::TeepMessage);
    let bytes = sign(&success(), signer.as_ref(), &SignOptions::default()).unwrap();
    for at in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[at / 8] ^= 1 << (at % 8);
        let read = SignedMessage::parse(&changed, &Limits::default())
            .and_then(|signed| signed.verify(&keys, &provider).map(drop));
        assert!(read.is_err(), "bit {at}");
    }
}

#[test]
fn a_signature_per_suite_lets_either_verify() {
    let provider = provider();
    let signers = [make(&provider, KeyType::P256), make(&provider, KeyType::Ed25519)];
    let list: Vec<(&dyn Sign, SignOptions<'_>)> =
        signers.iter().map(|signer| (signer.as_ref(), SignOptions::default())).collect();
    let bytes = sign_all(&success(), &list).unwrap();
    let signed = SignedMessage::parse(&bytes, &Limits::default()).unwrap();
    assert_eq!(signed.cipher_suite(), None);
    let algorithms: Vec<_> = signed.signers().iter().map(|signer| signer.algorithm).collect();
    assert_eq!(algorithms, [Some(-9), Some(-19)]);
    for signer in &signers {
        let keys = trust(&provider, signer.as_ref(), Purpose::TeepMessage);
        assert_eq!(signed.verify(&keys, &provider).unwrap().value(), &success());
    }
}

#[test]
fn only_tagged_signatures_are_messages() {
    let provider = provider();
    let signer = make(&provider, KeyType::Ed25519);
    let bytes = sign(&success(), signer.as_ref(), &SignOptions::default()).unwrap();
    // Without its tag, as the bare message, and with the tag of COSE_Mac0.
    for other in [bytes[1..].to_vec(), success().to_cbor(), [&[0xd1], &bytes[1..]].concat(), Vec::new()] {
        let error = SignedMessage::parse(&other, &Limits::default()).unwrap_err();
        assert_eq!(error, Error::NotSigned);
    }
}

#[test]
fn what_no_reader_takes_is_not_signed() {
    let provider = provider();
    let signer = make(&provider, KeyType::Ed25519);
    let short = Message::Success(Success { token: Some(alloc::vec![1; 7]), ..Success::default() });
    assert!(sign(&short, signer.as_ref(), &SignOptions::default()).is_err());
    assert!(sign_all(&short, &[(signer.as_ref(), SignOptions::default())]).is_err());
}
