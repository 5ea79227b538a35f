use alloc::vec::Vec;

use tamarack_cbor::Limits;
use tamarack_cose::{Error as CoseError, Header, Purpose, Sign1, SignOptions, VerificationKey, Verified};
use tamarack_crypto::{Provider, Sign};

use crate::{CipherSuite, Error, Message};

/// First bytes of an object with tag 18 and with tag 98, the only shapes that a TEEP message has.
const HEAD_SIGN1: &[u8] = &[0xd2];
const HEAD_SIGN: &[u8] = &[0xd8, 0x62];

/// A TEEP message as it arrived: a tagged COSE_Sign1 or COSE_Sign that nothing vouches for yet.
#[derive(Clone, Debug)]
pub struct SignedMessage {
    object: Object,
    limits: Limits,
}

#[derive(Clone, Debug)]
enum Object {
    Sign1(Sign1),
    Sign(tamarack_cose::Sign),
}

/// What a message says about one of its signatures, unverified: hints for finding the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signer<'m> {
    /// Key identifier.
    pub kid: Option<&'m [u8]>,
    /// Certificates of the *protected* header (security rule K4), DER, leaf first.
    pub x5chain: &'m [Vec<u8>],
    /// Algorithm label of the protected header.
    pub algorithm: Option<i64>,
}

impl SignedMessage {
    /// Reads the COSE object. The message inside is read by [`SignedMessage::verify`] only.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        let object = if bytes.starts_with(HEAD_SIGN1) {
            Object::Sign1(Sign1::parse(bytes, limits)?)
        } else if bytes.starts_with(HEAD_SIGN) {
            Object::Sign(tamarack_cose::Sign::parse(bytes, limits)?)
        } else {
            return Err(Error::NotSigned);
        };
        Ok(Self { object, limits: *limits })
    }

    /// What it says about its signatures: one, or with COSE_Sign up to eight.
    pub fn signers(&self) -> Vec<Signer<'_>> {
        fn signer<'m>(kid: Option<&'m [u8]>, protected: &'m Header) -> Signer<'m> {
            Signer { kid, x5chain: &protected.x5chain, algorithm: protected.alg }
        }
        match &self.object {
            Object::Sign1(one) => alloc::vec![signer(one.kid(), one.protected.header())],
            Object::Sign(many) => {
                many.signatures.iter().map(|one| signer(one.kid(), one.protected.header())).collect()
            }
        }
    }

    /// Key identifier of the first signature.
    pub fn kid(&self) -> Option<&[u8]> {
        self.signers().first().and_then(|signer| signer.kid)
    }

    /// Certificates that came with the first signature in its protected header, DER, leaf first.
    pub fn x5chain(&self) -> &[Vec<u8>] {
        self.signers().first().map_or(&[], |signer| signer.x5chain)
    }

    /// The cipher suite in use if it is a COSE_Sign1 of a known algorithm. A COSE_Sign leaves the choice to the Agent.
    pub fn cipher_suite(&self) -> Option<CipherSuite> {
        match &self.object {
            Object::Sign1(one) => CipherSuite::of_algorithm(one.protected.header().alg?),
            Object::Sign(_) => None,
        }
    }

    /// Type number of the message inside, which nobody vouches for.
    pub fn message_type_unverified(&self) -> Option<u8> {
        self.unverified().ok().map(|message| message.message_type().number())
    }

    /// The message inside, which nobody vouches for: to correlate by token or to find Evidence, never to act on.
    pub fn unverified(&self) -> Result<Message, Error> {
        let payload = match &self.object {
            Object::Sign1(one) => one.unverified_payload(),
            Object::Sign(many) => many.unverified_payload(),
        };
        Message::from_cbor(payload.ok_or(CoseError::Payload)?, &self.limits)
    }

    /// Checks that one of `keys` for [`Purpose::TeepMessage`] signed it, then reads the message.
    pub fn verify(&self, keys: &[VerificationKey], provider: &Provider) -> Result<Verified<Message>, Error> {
        let payload = match &self.object {
            Object::Sign1(one) => one.verify(keys, Purpose::TeepMessage, None, &[], provider),
            Object::Sign(many) => many.verify(keys, Purpose::TeepMessage, None, &[], provider),
        }?;
        payload.try_map(|payload| Message::from_cbor(&payload, &self.limits))
    }
}

/// Signs `message` with one key, giving a tagged COSE_Sign1 with attached payload (`options.detached` is ignored). A
/// message that its own reader would refuse is not signed.
pub fn sign(message: &Message, signer: &dyn Sign, options: &SignOptions<'_>) -> Result<Vec<u8>, Error> {
    let options = SignOptions { detached: false, ..options.clone() };
    Ok(Sign1::sign(signer, &checked(message)?, &[], &options)?)
}

/// Signs `message` with a key of each cipher suite offered, giving a tagged COSE_Sign: the first QueryRequest to an Agent
/// that is not known yet (section 8.1).
pub fn sign_all(message: &Message, signers: &[(&dyn Sign, SignOptions<'_>)]) -> Result<Vec<u8>, Error> {
    let signers: Vec<_> = signers
        .iter()
        .map(|(signer, options)| (*signer, SignOptions { detached: false, ..options.clone() }))
        .collect();
    Ok(tamarack_cose::Sign::sign(&signers, &checked(message)?, &[])?)
}

/// The encoding, if every field is within the bounds of section 4.
fn checked(message: &Message) -> Result<Vec<u8>, Error> {
    let bytes = message.to_cbor();
    // What may be sent is bounded by the receiver; only the definition counts here.
    Message::from_cbor(&bytes, &Limits { bytes: usize::MAX, items: usize::MAX, ..Limits::default() })?;
    Ok(bytes)
}
