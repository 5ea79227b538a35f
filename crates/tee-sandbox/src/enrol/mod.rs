//! First start of a device: what it is, the request for its certificate, and what it shall trust.
//!
//! ```text
//! RootSecret::create_fuse            once, outside the device folder
//! Store::open                        an empty store
//! SoftwarePlatform::create           seals a DeviceConfig and keys made inside
//! certificate_request -> TEE CA -> install_certificates
//! otrp_certificate_requests -> TEE CA, firmware CA -> install_otrp_certificates
//! TrustStoreSeed -> the Agent        which seals its trust store in one commit
//! ```

pub(crate) mod csr;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Limits};
use tamarack_crypto::KeyType;

/// What a device is made as. It is sealed at the first start and does not change.
///
/// Its file form is a deterministic CBOR map:
///
/// | key | type | meaning |
/// |---|---|---|
/// | 1 | uint | version, 2 |
/// | 2 | bstr 16 | vendor_id |
/// | 3 | bstr 16 | class_id |
/// | 4 | uint 1..256 | number of personas |
/// | 5 | bstr 16 | oemid |
/// | 6 | bstr 1..32 | hwmodel |
/// | 7 | tstr | hwversion |
/// | 8 | int | key type, as a COSE algorithm: -9 or -19 |
/// | 9 | uint | key generation |
/// | 10 | [tstr, tstr] | name and version of the TEE in OTrP; only on a device that speaks it |
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceConfig {
    /// SUIT vendor identifier, a UUID.
    pub vendor_id: [u8; 16],
    /// SUIT class identifier, a UUID.
    pub class_id: [u8; 16],
    /// Number of personas, 1 to 256: Owners that the device can have without their seeing that it is the same one
    /// (security rule E5).
    pub personas: u32,
    /// EAT oemid, random.
    pub oemid: [u8; 16],
    /// EAT hwmodel, 1 to 32 bytes.
    pub hwmodel: Vec<u8>,
    /// EAT hwversion.
    pub hwversion: String,
    /// Kind of the device keys.
    pub key_type: KeyType,
    /// Generation of the storage keys (security rule K6).
    pub key_generation: u32,
    /// What the device is in OTrP; None for one that speaks TEEP only.
    pub otrp: Option<OtrpConfig>,
}

/// What a device is in OTrP besides its certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtrpConfig {
    /// Name of the TEE, the same for a whole kind of device, 1 to 64 bytes.
    pub tee_name: String,
    /// Its version, 1 to 64 bytes.
    pub tee_version: String,
}

impl OtrpConfig {
    fn is_valid(&self) -> bool {
        [&self.tee_name, &self.tee_version].iter().all(|text| (1..=64).contains(&text.len()))
    }
}

impl DeviceConfig {
    /// A device of this vendor and class with [`DEFAULT_PERSONAS`] and Ed25519 keys.
    pub fn new(vendor_id: [u8; 16], class_id: [u8; 16], hwmodel: &str) -> Self {
        Self {
            vendor_id,
            class_id,
            personas: DEFAULT_PERSONAS,
            // The same for all devices of a vendor, and nothing but a label: made of the vendor identifier.
            oemid: vendor_id,
            hwmodel: hwmodel.as_bytes().to_vec(),
            hwversion: "1".into(),
            key_type: crate::platform::DEFAULT_KEY_TYPE,
            key_generation: 1,
            otrp: None,
        }
    }

    /// Reads the file form whole.
    pub fn read(bytes: &[u8]) -> Result<Self, tamarack_cbor::Error> {
        Self::from_cbor(bytes, &Limits::default())
    }
}

/// Number of personas of a device that is not told how many TAMs it has.
pub const DEFAULT_PERSONAS: u32 = 3;
/// Most personas of a device.
pub(crate) const MAX_PERSONAS: u32 = 256;
const VERSION: u64 = 2;
const P256: i64 = -9;
const ED25519: i64 = -19;

impl Encode for DeviceConfig {
    fn encode(&self, e: &mut Encoder) {
        let key_type = match self.key_type {
            KeyType::P256 => P256,
            KeyType::Ed25519 => ED25519,
        };
        e.map_with(|map| {
            map.int(1, |e| e.uint(VERSION))
                .int(2, |e| e.bytes(&self.vendor_id))
                .int(3, |e| e.bytes(&self.class_id))
                .int(4, |e| e.uint(self.personas.into()))
                .int(5, |e| e.bytes(&self.oemid))
                .int(6, |e| e.bytes(&self.hwmodel))
                .int(7, |e| e.text(&self.hwversion))
                .int(8, |e| e.int(key_type))
                .int(9, |e| e.uint(self.key_generation.into()))
                .optional(10, self.otrp.as_ref(), |e, otrp| {
                    e.array(2).text(&otrp.tee_name).text(&otrp.tee_version)
                });
        });
    }
}

impl<'b> Decode<'b> for DeviceConfig {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let pairs = d.map()?;
        if !(9..=10).contains(&pairs) {
            return Err(d.expected("the 9 or 10 pairs of a device configuration"));
        }
        field(d, 1)?;
        if d.uint()? != VERSION {
            return Err(d.expected("version 2 of the device configuration"));
        }
        field(d, 2)?;
        let vendor_id = d.byte_array("16 bytes")?;
        field(d, 3)?;
        let class_id = d.byte_array("16 bytes")?;
        field(d, 4)?;
        let personas = u32::try_from(d.uint()?).ok().filter(|count| (1..=MAX_PERSONAS).contains(count));
        let personas = personas.ok_or_else(|| d.expected("1 to 256 personas"))?;
        field(d, 5)?;
        let oemid = d.byte_array("16 bytes")?;
        field(d, 6)?;
        let hwmodel = d.bytes()?.to_vec();
        if !(1..=32).contains(&hwmodel.len()) {
            return Err(d.expected("an hwmodel of 1 to 32 bytes"));
        }
        field(d, 7)?;
        let hwversion = d.text()?.to_string();
        field(d, 8)?;
        let key_type = match d.int()? {
            P256 => KeyType::P256,
            ED25519 => KeyType::Ed25519,
            _ => return Err(d.expected("key type -9 or -19")),
        };
        field(d, 9)?;
        let key_generation =
            u32::try_from(d.uint()?).map_err(|_| d.expected("a key generation of 32 bits"))?;
        let otrp = (pairs == 10).then(|| otrp(d)).transpose()?;
        Ok(Self { vendor_id, class_id, personas, oemid, hwmodel, hwversion, key_type, key_generation, otrp })
    }
}

fn otrp(d: &mut Decoder<'_>) -> Result<OtrpConfig, tamarack_cbor::Error> {
    field(d, 10)?;
    d.array_of(2, "name and version of the TEE")?;
    let config = OtrpConfig { tee_name: d.text()?.to_string(), tee_version: d.text()?.to_string() };
    if config.is_valid() { Ok(config) } else { Err(d.expected("a name and a version of 1 to 64 bytes")) }
}

/// Deterministic encoding fixes the order of the pairs, and every one is required.
fn field(d: &mut Decoder<'_>, number: u64) -> Result<(), tamarack_cbor::Error> {
    if d.uint()? == number { Ok(()) } else { Err(d.expected("the next key of a device configuration")) }
}

/// What the device shall trust from the start. The program that enrols a device fills it; the Agent turns it into its
/// trust store and seals that, in its own form, in one commit (security rule R8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustStoreSeed {
    /// TAMs to obey.
    pub tams: Vec<TamSeed>,
    /// Trusted Component Signers.
    pub signers: Vec<SignerSeed>,
    /// Peripherals, and who may command them.
    pub peripherals: Vec<PeripheralSeed>,
}

/// A TAM to obey: a root certificate and the one name under it (security rule K2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TamSeed {
    /// Root certificate, DER.
    pub anchor: Vec<u8>,
    /// The URI that its certificate names, exactly.
    pub uri: String,
    /// Prefixes of component ids that it may manage, as whole segments.
    pub scopes: Vec<Vec<Vec<u8>>>,
    /// Whether its Updates must be bound to the exchange (security rule C6).
    pub require_binding: bool,
}

/// A Trusted Component Signer with its scope (security rule K7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerSeed {
    /// Name of the service provider that it belongs to.
    pub provider: String,
    /// Its public key, DER SubjectPublicKeyInfo.
    pub key: Vec<u8>,
    /// Prefixes of component ids that its manifests may name, as whole segments.
    pub prefixes: Vec<Vec<Vec<u8>>>,
    /// Most bytes that its components may take.
    pub quota: u64,
}

/// A peripheral that one TA may command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeripheralSeed {
    /// Name that the TA uses for it.
    pub name: String,
    /// Manifest component id of the TA, as segments.
    pub manifest: Vec<Vec<u8>>,
}

#[cfg(test)]
mod tests;
