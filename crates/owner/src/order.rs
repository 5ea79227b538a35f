use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind, Kind};
use tamarack_cose::{CoseKey, Purpose, Sign1, SignOptions, VerificationKey};
use tamarack_crypto::{Provider, PublicKey, Sign};
use tamarack_model::{ComponentId, Sha256Digest};

use crate::rules::{decode_id, decode_selector, encode_id, encode_selector, name};
use crate::{Effect, Error, Selector, limits};

/// Bytes of the challenge that an order answers, and of the nonce by which the owner knows the answer to it.
pub const CHALLENGE_SIZE: usize = 16;
/// Most changes in one order.
pub const MAX_CHANGES: usize = 64;
/// Version of orders and statements.
pub(crate) const VERSION: u64 = 1;

/// SHA-256 of a signed order.
pub type Digest = [u8; 32];

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Sets the rule for a selector, or takes it away. Written `[0, kind, name / null, effect / null]`.
    Rule {
        /// What the rule is about.
        selector: Selector,
        /// What it says from now on; None if there shall be none.
        effect: Option<Effect>,
    },
    /// Approves one manifest that waits, this very one and no other version of it. Written `[1, tam, manifest, digest]`.
    Approve {
        /// A name of the TAM that sent it.
        tam: String,
        /// Its manifest component id.
        manifest: ComponentId,
        /// SHA-256 of element 0 of its authentication wrapper.
        digest: Sha256Digest,
    },
    /// Gives the ownership to another key. Written `[2, COSE_Key]`.
    Key(PublicKey),
}

/// What an owner wants of a device. It travels as the payload of a COSE_Sign1 and reads `[1, challenge, nonce, [* change]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// What the TEE asked with.
    pub challenge: [u8; CHALLENGE_SIZE],
    /// Random, so that no two orders have the same digest.
    pub nonce: [u8; CHALLENGE_SIZE],
    /// All of them are made, or none.
    pub changes: Vec<Change>,
}

impl Order {
    /// Signs it as the owner.
    pub fn sign(&self, owner: &dyn Sign) -> Result<Vec<u8>, Error> {
        Ok(Sign1::sign(owner, &self.to_cbor(), &[], &SignOptions::default())?)
    }

    /// Verifies that `owner` signed it, then reads it whole.
    pub fn verify(signed: &[u8], owner: &PublicKey, provider: &Provider) -> Result<Self, Error> {
        let key = VerificationKey::new(*owner, Purpose::DeviceOwner, provider);
        let order =
            Sign1::parse(signed, &limits())?.verify(&[key], Purpose::DeviceOwner, None, &[], provider)?;
        Ok(Self::from_cbor(order.value(), &limits())?)
    }
}

impl Encode for Order {
    fn encode(&self, e: &mut Encoder) {
        e.array(4).uint(VERSION).bytes(&self.challenge).bytes(&self.nonce).array(self.changes.len());
        self.changes.iter().fold(e, |e, change| e.item(change));
    }
}

impl<'b> Decode<'b> for Order {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(4, "the 4 elements of an order")?;
        version(d)?;
        let challenge = d.byte_array("a challenge of 16 bytes")?;
        let nonce = d.byte_array("a nonce of 16 bytes")?;
        let at = d.position();
        let count = d.array()?;
        if count > MAX_CHANGES {
            return Err(tamarack_cbor::Error::new(at, ErrorKind::Value("at most 64 changes")));
        }
        let changes = (0..count).map(|_| Change::decode(d)).collect::<Result<_, _>>()?;
        Ok(Self { challenge, nonce, changes })
    }
}

pub(crate) fn version(d: &mut Decoder<'_>) -> Result<(), tamarack_cbor::Error> {
    let at = d.position();
    match d.uint()? {
        VERSION => Ok(()),
        _ => Err(tamarack_cbor::Error::new(at, ErrorKind::Value("version 1"))),
    }
}

impl Encode for Change {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Rule { selector, effect } => {
                encode_selector(e.array(4).uint(0), selector);
                match effect {
                    Some(effect) => e.item(effect),
                    None => e.null(),
                };
            }
            Self::Approve { tam, manifest, digest } => {
                encode_id(e.array(4).uint(1).text(tam), manifest).bytes(&digest.0);
            }
            Self::Key(key) => {
                e.array(2).uint(2).item(&CoseKey(*key));
            }
        }
    }
}

impl<'b> Decode<'b> for Change {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let at = d.position();
        let count = d.array()?;
        match (d.uint()?, count) {
            (0, 4) => {
                let selector = decode_selector(d)?;
                let effect = match d.peek() {
                    Kind::Null => d.null().map(|()| None)?,
                    _ => Some(Effect::decode(d)?),
                };
                Ok(Self::Rule { selector, effect })
            }
            (1, 4) => {
                let (tam, manifest) = (name(d)?, decode_id(d)?);
                let digest = Sha256Digest(d.byte_array("a SHA-256 digest of 32 bytes")?);
                Ok(Self::Approve { tam, manifest, digest })
            }
            (2, 2) => CoseKey::decode(d).map(|CoseKey(key)| Self::Key(key)),
            _ => Err(tamarack_cbor::Error::new(at, ErrorKind::Value("a change of kind 0 to 2"))),
        }
    }
}
