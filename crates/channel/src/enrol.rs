use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decoder, Encoder, Error, ErrorKind};
use tamarack_crypto::KeyType;
use tamarack_model::{ComponentId, Protocol};

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
    /// Kind of the device's keys; those of OTrP are P-256 in any case.
    pub key_type: KeyType,
    /// Number of personas, 1 to 256: Owners that it can have without their seeing that it is the same device.
    pub personas: u32,
    /// What it shall be in OTrP; None for a device that speaks TEEP only.
    pub otrp: Option<OtrpProfile>,
}

/// What the device shall be in OTrP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtrpProfile {
    /// Name of the TEE, the same for a whole kind of device, 1 to 64 bytes.
    pub tee_name: String,
    /// Its version, 1 to 64 bytes.
    pub tee_version: String,
}

/// What a device is enrolled with, sealed at once and changed only by protocol afterwards (security rule R8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enrolment {
    /// Certificates of the attestation keys, a chain for each persona in any order, leaf first, DER.
    pub chains: Vec<Vec<Vec<u8>>>,
    /// Certificates of the TEE's OTrP keys, in the same form with the root last; empty without OTrP.
    pub otrp_chains: Vec<Vec<Vec<u8>>>,
    /// Certificates of the trusted firmware's keys, in the same form; empty if it has none.
    pub firmware_chains: Vec<Vec<Vec<u8>>>,
    /// TAMs that the device obeys.
    pub tams: Vec<TamSeed>,
    /// Signers whose manifests it runs.
    pub signers: Vec<SignerSeed>,
    /// Its peripherals, and the TAs that command them.
    pub peripherals: Vec<PeripheralSeed>,
    /// SubjectPublicKeyInfo (DER) of the device authority.
    pub authority: Option<Vec<u8>>,
    /// SubjectPublicKeyInfo (DER) of the device's owner.
    pub owner: Option<Vec<u8>>,
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
    /// How it proves who it is in TEEP; None if it does not speak it.
    pub proof: Option<Proof>,
    /// How it proves who it is in OTrP; None if it does not speak it. Together with `proof` it says that both are one
    /// Owner.
    pub otrp: Option<OtrpSeed>,
    /// Which protocol the device begins to speak with it.
    pub protocol: Protocol,
    /// Most security domains that it may create, and with them introduce signers (security rule K7); 0 for none.
    pub domains: u32,
    /// Most bytes that the components of one of its domains may take.
    pub domain_quota: u64,
    /// Where to reach it when an app names no URI.
    pub uri: Option<String>,
    /// Component id prefixes that it may manage.
    pub scopes: Vec<Vec<Vec<u8>>>,
    /// Whether its Updates must be bound to the exchange (security rule C6).
    pub require_binding: bool,
}

/// How a TAM proves who it is in OTrP: by a certificate under this root with exactly this name (security rule K2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtrpSeed {
    /// The root, DER.
    pub root: Vec<u8>,
    /// The one subject alternative name of its kind: the tamid.
    pub name: String,
    /// Which kind of name.
    pub kind: NameKind,
    /// Whether messages in the plain form of the draft are accepted, which do not bind the certificate to the signature
    /// (weaker: security rule K4).
    pub draft: bool,
}

/// The kinds of subject alternative name that can be a tamid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameKind {
    /// registeredID, in dotted decimals: what the draft says.
    RegisteredId,
    /// A URI, as the draft's samples have it.
    Uri,
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
        e.array(9).text(&self.common_name).bytes(&self.vendor_id).bytes(&self.class_id).bytes(&self.oemid);
        e.bytes(&self.hwmodel).text(&self.hwversion).int(match self.key_type {
            KeyType::P256 => ESP256,
            KeyType::Ed25519 => ED25519,
        });
        e.uint(self.personas.into());
        codec::put_optional(e, self.otrp.as_ref(), |e, otrp| {
            end(e.array(2).text(&otrp.tee_name).text(&otrp.tee_version));
        });
    }

    pub(crate) fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(9, "the 9 elements of a profile")?;
        Ok(Self {
            common_name: codec::string(d)?,
            vendor_id: d.byte_array("16 bytes")?,
            class_id: d.byte_array("16 bytes")?,
            oemid: d.byte_array("16 bytes")?,
            hwmodel: hwmodel(d)?,
            hwversion: codec::string(d)?,
            key_type: key_type(d)?,
            personas: personas(d)?,
            otrp: codec::optional(d, OtrpProfile::decode)?,
        })
    }
}

impl OtrpProfile {
    fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(2, "name and version of the TEE")?;
        let at = d.position();
        let profile = Self { tee_name: codec::string(d)?, tee_version: codec::string(d)? };
        match [&profile.tee_name, &profile.tee_version].iter().all(|text| (1..=64).contains(&text.len())) {
            true => Ok(profile),
            false => Err(Error::new(at, ErrorKind::Value("name and version of 1 to 64 bytes"))),
        }
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

fn personas(d: &mut Decoder<'_>) -> Result<u32, Error> {
    let at = d.position();
    match codec::u32(d)? {
        count @ 1..=256 => Ok(count),
        _ => Err(Error::new(at, ErrorKind::Value("1 to 256 personas"))),
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
        e.array(8);
        for chains in [&self.chains, &self.otrp_chains, &self.firmware_chains] {
            codec::put_list(e, chains, |e, chain| codec::put_segments(e, chain));
        }
        codec::put_list(e, &self.tams, |e, tam| tam.encode(e));
        codec::put_list(e, &self.signers, |e, signer| signer.encode(e));
        codec::put_list(e, &self.peripherals, |e, peripheral| peripheral.encode(e));
        codec::put_optional(e, self.authority.as_ref(), |e, key| end(e.bytes(key)));
        codec::put_optional(e, self.owner.as_ref(), |e, key| end(e.bytes(key)));
    }

    pub(crate) fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(8, "the 8 elements of an enrolment")?;
        Ok(Self {
            chains: codec::list(d, codec::byte_strings)?,
            otrp_chains: codec::list(d, codec::byte_strings)?,
            firmware_chains: codec::list(d, codec::byte_strings)?,
            tams: codec::list(d, TamSeed::decode)?,
            signers: codec::list(d, SignerSeed::decode)?,
            peripherals: codec::list(d, PeripheralSeed::decode)?,
            authority: codec::optional(d, |d| d.bytes().map(<[u8]>::to_vec))?,
            owner: codec::optional(d, |d| d.bytes().map(<[u8]>::to_vec))?,
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
        codec::put_optional(e.array(8), self.proof.as_ref(), |e, proof| proof.encode(e));
        codec::put_optional(e, self.otrp.as_ref(), |e, otrp| otrp.encode(e));
        codec::put_protocol(e, self.protocol);
        e.uint(self.domains.into()).uint(self.domain_quota);
        codec::put_optional(e, self.uri.as_ref(), |e, uri| end(e.text(uri)));
        codec::put_list(e, &self.scopes, |e, prefix| codec::put_segments(e, prefix));
        e.bool(self.require_binding);
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(8, "the 8 elements of a TAM")?;
        Ok(Self {
            proof: codec::optional(d, Proof::decode)?,
            otrp: codec::optional(d, OtrpSeed::decode)?,
            protocol: codec::protocol(d)?,
            domains: codec::u32(d)?,
            domain_quota: d.uint()?,
            uri: codec::optional(d, codec::string)?,
            scopes: codec::list(d, codec::segments)?,
            require_binding: d.bool()?,
        })
    }
}

impl OtrpSeed {
    fn encode(&self, e: &mut Encoder) {
        let kind = match self.kind {
            NameKind::RegisteredId => 0,
            NameKind::Uri => 1,
        };
        e.array(4).bytes(&self.root).text(&self.name).uint(kind).bool(self.draft);
    }

    fn decode(d: &mut Decoder<'_>) -> Result<Self, Error> {
        d.array_of(4, "the 4 elements of an OTrP principal")?;
        Ok(Self { root: d.bytes()?.to_vec(), name: codec::string(d)?, kind: name_kind(d)?, draft: d.bool()? })
    }
}

fn name_kind(d: &mut Decoder<'_>) -> Result<NameKind, Error> {
    let at = d.position();
    match d.uint()? {
        0 => Ok(NameKind::RegisteredId),
        1 => Ok(NameKind::Uri),
        _ => Err(Error::new(at, ErrorKind::Value("kind of name 0 (registeredID) or 1 (URI)"))),
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
