use alloc::boxed::Box;

use tamarack_cbor::Limits;
use tamarack_cose::{Error as CoseError, Purpose, VerificationKey};
use tamarack_crypto::{KeyType, Provider, Sign};
use tamarack_crypto_rustcrypto::provider;
use tamarack_model::codes;

use super::evidence;
use crate::{Claims, Error, Token, sign};

fn make(provider: &Provider) -> Box<dyn Sign> {
    let pkcs8 = provider.keys.generate_pkcs8(KeyType::P256).unwrap();
    provider.keys.load_pkcs8(pkcs8.expose()).unwrap()
}

#[test]
fn a_token_is_read_with_every_tag_in_use() {
    let provider = provider();
    let signer = make(&provider);
    let chain = [alloc::vec![0x30, 0], alloc::vec![0x30, 1, 0]];
    let tagged = sign(&evidence(), signer.as_ref(), &chain).unwrap();
    assert_eq!(tagged[0], 0xd2);
    let cwt = [&[0xd8, 0x3d], &tagged[..]].concat();
    for bytes in [&tagged[..], &tagged[1..], &cwt[..]] {
        let token = Token::parse(bytes, &Limits::default()).unwrap();
        assert_eq!(token.x5chain(), chain);
        let keys = [VerificationKey::new(signer.public_key(), Purpose::Evidence, &provider)];
        let verified = token.verify(&keys, Purpose::Evidence, &provider).unwrap();
        assert_eq!(verified.value(), &evidence());
    }
}

#[test]
fn k5_a_token_verifies_for_its_purpose_only() {
    let provider = provider();
    let signer = make(&provider);
    let bytes = sign(&evidence(), signer.as_ref(), &[]).unwrap();
    let token = Token::parse(&bytes, &Limits::default()).unwrap();
    for purpose in [Purpose::TeepMessage, Purpose::AttestationResult, Purpose::SuitReport] {
        let keys = [VerificationKey::new(signer.public_key(), purpose, &provider)];
        let error = token.verify(&keys, Purpose::Evidence, &provider).unwrap_err();
        assert_eq!(error, Error::Cose(CoseError::KeyUnknown));
        assert_eq!(error.code(), codes::COSE_KEY_UNKNOWN);
    }
}

#[test]
fn claims_that_no_reader_takes_are_not_signed() {
    let signer = make(&provider());
    let claims = Claims { ueid: Some(alloc::vec![1; 6]), ..Claims::default() };
    assert_eq!(sign(&claims, signer.as_ref(), &[]).unwrap_err().code(), codes::EAT_MALFORMED);
}
