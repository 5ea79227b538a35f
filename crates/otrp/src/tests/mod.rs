use alloc::boxed::Box;
use alloc::vec::Vec;

use tamarack_crypto::{KeyAgree, KeyType, Provider, Sign};
use tamarack_jose::{Json, Jwk, jwe, jws};

use crate::{
    Aik, AuthenticRequest, Command, Common, Dsi, Limits, MessageId, Mode, Sealing, SecurityDomain,
    SignedRequest, Ta, TeeState, TfwData,
};

mod aik;
mod broker;
mod dsi;
mod error;
mod http;
mod layers;
mod members;
mod roundtrip;
mod ta_information;
mod ta_package;
mod taid;

fn provider() -> Provider {
    tamarack_crypto_rustcrypto::provider()
}

/// One side with its P-256 key, which signs and agrees.
struct Party {
    signer: Box<dyn Sign>,
    agree: Box<dyn KeyAgree>,
    recipient: jwe::Recipient,
    chain: Vec<Vec<u8>>,
}

impl Party {
    fn new() -> Self {
        let provider = provider();
        let pkcs8 = provider.keys.generate_pkcs8(KeyType::P256).expect("a key");
        let signer = provider.keys.load_pkcs8(pkcs8.expose()).expect("a key");
        let agree = provider.agree.load_pkcs8(pkcs8.expose()).expect("a key");
        let recipient = jwe::Recipient::from_spki(&signer.public_key().to_spki()).expect("a P-256 key");
        // Nothing in this crate looks into a certificate.
        Self { signer, agree, recipient, chain: Vec::from([b"leaf".to_vec(), b"ca".to_vec()]) }
    }

    fn jwk(&self) -> Jwk {
        Jwk::from_public_key(&self.signer.public_key()).expect("a P-256 key")
    }

    fn signer(&self) -> jws::Signer<'_> {
        jws::Signer::Es256(&*self.signer)
    }

    fn key(&self, purpose: jws::Purpose) -> jws::VerificationKey {
        jws::VerificationKey::of(&self.signer.public_key(), purpose).expect("a P-256 key")
    }

    fn decrypt(&self) -> jwe::DecryptionKey<'_> {
        jwe::DecryptionKey::Agree(&*self.agree)
    }

    /// Signs as this party, encrypts to `other`; a chain is sent by TAMs only.
    fn seals_to<'a>(&'a self, other: &'a Party, chain: bool, provider: &'a Provider) -> Sealing<'a> {
        let headers = match chain {
            true => jws::SignHeaders::chain(&self.chain, provider),
            false => jws::SignHeaders::default(),
        };
        Sealing {
            signer: self.signer(),
            headers,
            recipient: &other.recipient,
            enc: jwe::Enc::A128CbcHs256,
            provider,
        }
    }
}

/// Signs any object as a request of the command.
fn signed(tam: &Party, command: Command, tbs: Json) -> Vec<u8> {
    let headers = jws::SignHeaders::default();
    crate::seal::sign_named(command.request(), command.tbs_request(), tbs, tam.signer(), &headers)
        .expect("the key signs")
}

/// Parses and verifies as a TEE does.
fn authentic(message: &[u8], tam: &Party, mode: Mode) -> Result<AuthenticRequest, crate::Error> {
    let request = SignedRequest::parse(message, &mode, &Limits::default())?;
    request.verify(&tam.key(jws::Purpose::OtrpRequest), &provider())
}

fn id(text: &str) -> MessageId {
    MessageId::new(text).expect("a valid id")
}

fn common() -> Common {
    Common { rid: id("r-1"), tid: id("t-1"), tee: "tee".into(), nextdsi: true, dsihash: [7; 32] }
}

/// A DSI with one of everything.
fn full_dsi(key: Jwk) -> Dsi {
    let ta = Ta { taid: "ta".into(), taname: Some("TA".into()), digest: Some([3; 32]), seq: Some(u64::MAX) };
    let sd = SecurityDomain {
        name: "sd".into(),
        spid: "sp".into(),
        talist: Vec::from([ta]),
        spcert: Vec::from([[4; 32]]),
    };
    let tee = TeeState {
        name: "tee".into(),
        ver: "1".into(),
        cert: Vec::from([1, 2, 3]),
        cacert: Vec::from([Vec::from([4]), Vec::from([5])]),
        sdlist: Vec::from([sd]),
        teeaiklist: Vec::from([Aik { key, spid: "sp".into() }]),
        epoch: Some(9),
        ext: Vec::from([crate::EXTENSION_H1.into()]),
        eat: Some(Vec::from([6])),
        requestedtalist: Vec::from([crate::RequestedTa {
            taid: "ta".into(),
            sdname: "sd".into(),
            taname: None,
            seq: Some(1),
        }]),
        unneededtalist: Vec::from([crate::UnneededTa { taid: "tb".into(), sdname: "sd".into() }]),
        withheldtalist: Vec::from([crate::WithheldTa {
            taid: "tc".into(),
            sdname: "sd".into(),
            why: tamarack_model::OwnerSays::Deferred,
            seq: Some(4),
        }]),
    };
    let tfw =
        TfwData { tbs: b"t-1".to_vec(), cert: Vec::from([7]), sigalg: "ES256".into(), sig: [8; 64].to_vec() };
    Dsi { tfwdata: Some(tfw), tee }
}
