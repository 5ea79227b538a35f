use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, Error, ErrorKind};
use tamarack_crypto::KeyType;
use tamarack_model::ComponentId;

use crate::codec;
use crate::codec::end;

/// What the device shall be; given once, with the first certificate signing request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Common name for the certificate.
    pub common_name: String,
    /// SUIT vendor identifier.
    pub vendor_id: [u8; 16],
    /// SUIT class identifier.
    pub class_id: [u8; 16],
    /// EAT oemid, random, 16 bytes.
    pub oemid: [u8; 16],
    /// EAT hwmodel, 1 to 32 bytes.
    pub hwmodel: Vec<u8>,
    /// EAT hwversion.
    pub hwversion: String,
    /// Kind of the device's keys.
    pub key_type: KeyType,
}

/// What a device is enrolled with, sealed at once and changed only by protocol afterwards (security rule R8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Certificates of the attestation key, leaf first, DER.
    pub chain: Vec<Vec<u8>>,
    /// TAMs that the device obeys.
    pub tams: Vec<TamSeed>,
    /// Signers whose manifests it runs.
    pub signers: Vec<SignerSeed>,
    /// Its peripherals, and the TAs that command them.
    pub peripherals: Vec<PeripheralSeed>,
    /// SubjectPublicKeyInfo (DER) of the device authority.
    pub authority: Option<Vec<u8>>,
}

/// How a TAM or a signer proves who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// By one of these keys: SubjectPublicKeyInfo, DER.
    Keys(Vec<Vec<u8>>),
    /// By a certificate under this root that names exactly this URI.
    Certificate {
        /// The root, DER.
        root: Vec<u8>,
        /// The one subject alternative name.
        uri: String,
    },
}

/// A TAM that the device obeys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TamSeed {
    /// How it proves who it is.
    pub proof: Proof,
    /// Where to reach it when an app names no URI.
    pub uri: Option<String>,
    /// Component id prefixes that it may manage.
    pub scopes: Vec<Vec<Vec<u8>>>,
    /// Whether its Updates must be bound to the exchange (security rule C6).
    pub require_binding: bool,
}

/// A signer whose manifests the device runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerSeed {
    /// Name of the service provider.
    pub provider: String,
    /// How it proves who it is.
    pub proof: Proof,
    /// Component id prefixes that its manifests may name.
    pub prefixes: Vec<Vec<Vec<u8>>>,
    /// Most bytes that the provider's components may take.
    pub quota: u64,
}

/// A peripheral and the one TA that commands it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeripheralSeed {
    /// Name that the TA uses for it.
    pub name: String,
    /// Index in [`Enrolment::tams`] of the TAM that the TA comes from.
    pub tam: u32,
    /// Manifest component id of the TA.
    pub manifest: ComponentId,
}

/// COSE algorithms (RFC 9864) that stand for the kinds of key.
const ESP256: i64 = -9;
const ED25519: i64 = -19;

impl Profile {
    pub(crate) fn encode(&self, e: &mut Encoder) {
        e.array(7).text(&self.common_name).bytes(&self.vendor_id).bytes(&self.class_id).bytes(&self.oemid);
        e.bytes(&self.hwmodel).text(&self.hwversion).int(match self.key_type {
            KeyType::P256 => ESP256,
            KeyType::Ed25519 => ED25519,
        });
    }

    pub(crate) fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(7, "the 7 elements of a profile")?;
        Ok(Self {
            common_name: codec::string(d)?,
            vendor_id: d.byte_array("16 bytes")?,
            class_id: d.byte_array("16 bytes")?,
            oemid: d.byte_array("16 bytes")?,
            hwmodel: hwmodel(d)?,
            hwversion: codec::string(d)?,
            key_type: key_type(d)?,
        })
    }
}

fn key_type(d: &mut Decoder<'_>) -> Result<KeyType, Error> {
    let at = d.position();
    match d.int()? {
        ESP256 => Ok(KeyType::P256),
        ED25519 => Ok(KeyType::Ed25519),
        _ => Err(Error::new(at, ErrorKind::Value("key type -9 or -19"))),
    }
}

fn hwmodel(d: &mut Decoder<'_>) -> Result<Vec<u8>, Error> {
    let at = d.position();
    match d.bytes()? {
        model if (1..=32).contains(&model.len()) => Ok(model.to_vec()),
        _ => Err(Error::new(at, ErrorKind::Value("hwmodel of 1 to 32 bytes"))),
    }
}

impl Enrolment {
    pub(crate) fn encode(&self, e: &mut Encoder) {
        codec::put_segments(e.array(5), &self.chain);
        codec::put_list(e, &self.tams, |e, tam| tam.encode(e));
        codec::put_list(e, &self.signers, |e, signer| signer.encode(e));
        codec::put_list(e, &self.peripherals, |e, peripheral| peripheral.encode(e));
        codec::put_optional(e, self.authority.as_ref(), |e, key| end(e.bytes(key)));
    }

    pub(crate) fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(5, "the 5 elements of an enrolment")?;
        Ok(Self {
            chain: codec::byte_strings(d)?,
            tams: codec::list(d, TamSeed::decode)?,
            signers: codec::list(d, SignerSeed::decode)?,
            peripherals: codec::list(d, PeripheralSeed::decode)?,
            authority: codec::optional(d, |d| d.bytes().map(<[u8]>::to_vec))?,
        })
    }
}

impl Proof {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::Keys(keys) => codec::put_segments(e.array(2).uint(0), keys),
            Self::Certificate { root, uri } => end(e.array(3).uint(1).bytes(root).text(uri)),
        }
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        let at = d.position();
        let count = d.array()?;
        match (d.uint()?, count) {
            (0, 2) => Ok(Self::Keys(codec::byte_strings(d)?)),
            (1, 3) => Ok(Self::Certificate { root: d.bytes()?.to_vec(), uri: codec::string(d)? }),
            _ => Err(Error::new(at, ErrorKind::Value("keys or a certificate"))),
        }
    }
}

impl TamSeed {
    fn encode(&self, e: &mut Encoder) {
        self.proof.encode(e.array(4));
        codec::put_optional(e, self.uri.as_ref(), |e, uri| end(e.text(uri)));
        codec::put_list(e, &self.scopes, |e, prefix| codec::put_segments(e, prefix));
        e.bool(self.require_binding);
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(4, "the 4 elements of a TAM")?;
        Ok(Self {
            proof: Proof::decode(d)?,
            uri: codec::optional(d, codec::string)?,
            scopes: codec::list(d, codec::segments)?,
            require_binding: d.bool()?,
        })
    }
}

impl SignerSeed {
    fn encode(&self, e: &mut Encoder) {
        self.proof.encode(e.array(4).text(&self.provider));
        codec::put_list(e, &self.prefixes, |e, prefix| codec::put_segments(e, prefix));
        e.uint(self.quota);
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(4, "the 4 elements of a signer")?;
        Ok(Self {
            provider: codec::string(d)?,
            proof: Proof::decode(d)?,
            prefixes: codec::list(d, codec::segments)?,
            quota: d.uint()?,
        })
    }
}

impl PeripheralSeed {
    fn encode(&self, e: &mut Encoder) {
        codec::put_component(e.array(3).text(&self.name).uint(self.tam.into()), &self.manifest);
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(3, "the 3 elements of a peripheral")?;
        Ok(Self { name: codec::string(d)?, tam: codec::u32(d)?, manifest: codec::component(d)? })
    }
}
