use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind};
use tamarack_cose::CoseKey;
use tamarack_crypto::PublicKey;

/// Bits of [`PlatformClaims::layers`]: what separates a software TEE from the rest of its machine (security rule S1).
pub mod layer {
    /// Runs under a user id of its own.
    pub const OWN_UID: u64 = 1;
    /// No other process of its user can read its memory.
    pub const NOT_DUMPABLE: u64 = 1 << 1;
    /// User and mount namespaces of its own.
    pub const NAMESPACES: u64 = 1 << 2;
    /// A network namespace without interfaces.
    pub const NO_NETWORK: u64 = 1 << 3;
    /// Landlock restricts its files to the device folder.
    pub const LANDLOCK: u64 = 1 << 4;
    /// seccomp restricts its system calls.
    pub const SECCOMP: u64 = 1 << 5;
    /// Keys lie in memfd_secret pages.
    pub const SECRET_MEMORY: u64 = 1 << 6;
}

/// Every layer with its name.
pub const LAYERS: &[(u64, &str)] = &[
    (layer::OWN_UID, "own-uid"),
    (layer::NOT_DUMPABLE, "not-dumpable"),
    (layer::NAMESPACES, "namespaces"),
    (layer::NO_NETWORK, "no-network"),
    (layer::LANDLOCK, "landlock"),
    (layer::SECCOMP, "seccomp"),
    (layer::SECRET_MEMORY, "secret-memory"),
];

/// Our private claim about a TEE (security rule E2): one map under one private label.
///
/// | label | field | type |
/// |---|---|---|
/// | 1 | `class` | text |
/// | 2 | `layers` | bits of [`layer`] |
/// | 3 | `root_secret` | text |
/// | 4 | `counter_quality` | text |
/// | 5 | `time_quality` | text |
/// | 6 | `state_epoch` | unsigned |
/// | 7 | `state_root` | bytes, 32 |
/// | 8 | `trust_store_sequence` | unsigned |
/// | 9 | `decryption_key` | COSE_Key, P-256; optional |
///
/// All but the last are required; texts have 1 to 64 bytes; other labels are stepped over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformClaims {
    /// What kind of TEE: `software-tee`.
    pub class: String,
    /// Isolation layers that are in force.
    pub layers: u64,
    /// What guards the root secret: `file`, `tpm`, `fuse`.
    pub root_secret: String,
    /// What guards the rollback counter: `none`, `file`, `tpm`, `rpmb`.
    pub counter_quality: String,
    /// What is behind the clock: `untrusted`, `trusted`.
    pub time_quality: String,
    /// Number of commits to the device's state.
    pub state_epoch: u64,
    /// Digest of the device's state.
    pub state_root: [u8; 32],
    /// Sequence number of the trust store.
    pub trust_store_sequence: u64,
    /// The key that payloads for this device alone are encrypted to, apart from every other key of the device (security
    /// rule K6). The signature of the Evidence vouches for it.
    pub decryption_key: Option<PublicKey>,
}

impl PlatformClaims {
    /// Class of the software TEE.
    pub const SOFTWARE_TEE: &'static str = "software-tee";

    /// Names of the layers in force.
    pub fn layer_names(&self) -> Vec<&'static str> {
        names(self.layers)
    }

    /// Names of the known layers of `wanted` that are not in force.
    pub fn missing_layers(&self, wanted: u64) -> Vec<&'static str> {
        names(wanted & !self.layers)
    }
}

fn names(bits: u64) -> Vec<&'static str> {
    LAYERS.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
}

impl<'b> Decode<'b> for PlatformClaims {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let (mut class, mut root_secret, mut counter_quality, mut time_quality) = (None, None, None, None);
        let mut decryption_key = None;
        let (mut layers, mut state_epoch, mut state_root, mut trust_store_sequence) =
            (None, None, None, None);
        for _ in 0..d.map()? {
            match d.int()? {
                1 => class = Some(word(d)?),
                2 => layers = Some(d.uint()?),
                3 => root_secret = Some(word(d)?),
                4 => counter_quality = Some(word(d)?),
                5 => time_quality = Some(word(d)?),
                6 => state_epoch = Some(d.uint()?),
                7 => state_root = Some(d.byte_array("a state root of 32 bytes")?),
                8 => trust_store_sequence = Some(d.uint()?),
                9 => decryption_key = Some(p256(d)?),
                _ => drop(d.raw()?),
            }
        }
        let missing = |name| Error::new(at, ErrorKind::Missing(name));
        Ok(Self {
            class: class.ok_or(missing("class"))?,
            layers: layers.ok_or(missing("layers"))?,
            root_secret: root_secret.ok_or(missing("root-secret"))?,
            counter_quality: counter_quality.ok_or(missing("counter-quality"))?,
            time_quality: time_quality.ok_or(missing("time-quality"))?,
            state_epoch: state_epoch.ok_or(missing("state-epoch"))?,
            state_root: state_root.ok_or(missing("state-root"))?,
            trust_store_sequence: trust_store_sequence.ok_or(missing("trust-store-sequence"))?,
            decryption_key,
        })
    }
}

/// A key for key agreement, which keys that only sign are not.
fn p256(d: &mut Decoder<'_>) -> Result<PublicKey, Error> {
    let at = d.position();
    let CoseKey(key) = CoseKey::decode(d)?;
    match key {
        PublicKey::P256 { .. } => Ok(key),
        PublicKey::Ed25519(_) => Err(Error::new(at, ErrorKind::Value("a P-256 key"))),
    }
}

/// A name that may end up in a log line.
fn word(d: &mut Decoder<'_>) -> Result<String, Error> {
    let at = d.position();
    let text = d.text()?;
    let fine = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if fine {
        Ok(text.into())
    } else {
        Err(Error::new(at, ErrorKind::Value("a word of 1 to 64 ASCII letters")))
    }
}

impl Encode for PlatformClaims {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(1, |e| e.text(&self.class))
                .int(2, |e| e.uint(self.layers))
                .int(3, |e| e.text(&self.root_secret))
                .int(4, |e| e.text(&self.counter_quality))
                .int(5, |e| e.text(&self.time_quality))
                .int(6, |e| e.uint(self.state_epoch))
                .int(7, |e| e.bytes(&self.state_root))
                .int(8, |e| e.uint(self.trust_store_sequence))
                .optional(9, self.decryption_key, |e, key| e.item(&CoseKey(key)));
        });
    }
}
