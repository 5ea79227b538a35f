use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Limits};
use tamarack_cose::CoseKey;
use tamarack_crypto::{ConstantTimeEq, Provider, PublicKey};
use tamarack_model::ComponentId;

use crate::claims::{label, sized};
use crate::measured::{decode_id, encode_id};
use crate::{Claims, MeasuredComponent, Measurement, Profile, SOFTWARE_TEE_FORMAT, TA_FORMAT, TA_PROFILE};

/// What separates the nonce of TA Evidence from every other hash.
const NONCE_LABEL: &[u8] = b"Tamarack TA evidence";
/// Which TA it is, in the registry's range for private use.
const IDENTITY: i64 = -70_020;

/// What a TA proves of itself (security rule L4): a Claims-Set in the submodule "ta" of Evidence of the profile
/// [`TA_PROFILE`].
///
/// | label | field | type |
/// |---|---|---|
/// | 10 | `nonce` | bytes, 8 to 64: whatever the TA's peer asked for |
/// | 8 | `key` | `{1: COSE_Key}`: a key of the TA |
/// | -70020 | `identity` | [`TaIdentity`], put there by the Agent |
///
/// Only these; anything else is refused. The nonce and the key are the TA's choice and vouch for nothing outside of the
/// submodule: at the top level eat_nonce is made from the submodule by [`TaClaims::top_level_nonce`], and there is no cnf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaClaims {
    /// The TA's own nonce, 8 to 64 bytes.
    pub nonce: Vec<u8>,
    /// The TA's own key, if it named one.
    pub key: Option<PublicKey>,
    /// Which TA it is.
    pub identity: TaIdentity,
}

/// Which TA it is, as the Agent knows and not as the TA says.
///
/// | label | field | type |
/// |---|---|---|
/// | 1 | `manifest` | array of byte strings |
/// | 2 | `digest` | bytes, 32 |
/// | 3 | `sequence` | unsigned |
/// | 4 | `domain` | bytes |
/// | 5 | `component` | array of byte strings |
/// | 6 | `provider` | text |
///
/// All are required.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaIdentity {
    /// Manifest component id.
    pub manifest: ComponentId,
    /// SHA-256 of the one buffer that was instantiated (security rule L1).
    pub digest: [u8; 32],
    /// Sequence number of the manifest.
    pub sequence: u64,
    /// Label of the Security Domain that it is in.
    pub domain: Vec<u8>,
    /// Component id of its code.
    pub component: ComponentId,
    /// The provider that signed it.
    pub provider: String,
}

impl TaClaims {
    /// Name of the submodule that is a TA.
    pub const SUBMODULE: &str = "ta";

    /// eat_nonce that Evidence with the submodule `encoded` must have at its top level: SHA-256 over a label and the bytes
    /// of the submodule. It binds the whole submodule and cannot be chosen.
    pub fn top_level_nonce(encoded: &[u8], provider: &Provider) -> [u8; 32] {
        provider.sha256_parts(&[NONCE_LABEL, encoded])
    }

    /// Puts the encoded submodule `encoded` into the claims of a platform, with profile and nonce of TA Evidence and
    /// without cnf: what the platform had of these goes.
    pub fn embed(encoded: &[u8], platform: Claims, provider: &Provider) -> Claims {
        let nonce = Self::top_level_nonce(encoded, provider).to_vec();
        Claims { eat_nonce: alloc::vec![nonce], ..Self::frame(encoded, platform) }
    }

    /// The same with the nonce that the platform has, for one that was asked with the right one.
    fn frame(encoded: &[u8], mut platform: Claims) -> Claims {
        platform.submods.insert(Self::SUBMODULE.into(), encoded.to_vec());
        Claims { eat_profile: Some(Profile::Uri(TA_PROFILE.into())), cnf: None, ..platform }
    }

    /// Reads the submodule out of verified `claims`, and holds them to the profile: its name, the nonce of exactly this
    /// submodule, no cnf. Submodules of other names are the platform's and stay unread.
    pub fn extract(claims: &Claims, provider: &Provider) -> Result<Self, TaEvidenceError> {
        match &claims.eat_profile {
            Some(Profile::Uri(uri)) if uri == TA_PROFILE => {}
            Some(Profile::Uri(_) | Profile::Oid(_)) | None => return Err(TaEvidenceError::Profile),
        }
        if claims.cnf.is_some() {
            return Err(TaEvidenceError::Confirmation);
        }
        let encoded = claims.submods.get(Self::SUBMODULE).ok_or(TaEvidenceError::Submodule)?;
        let expected = Self::top_level_nonce(encoded, provider);
        match claims.eat_nonce.as_slice() {
            [nonce] if bool::from(nonce.ct_eq(&expected)) => {}
            _ => return Err(TaEvidenceError::Nonce),
        }
        Self::from_cbor(encoded, &Limits::default()).map_err(TaEvidenceError::Claims)
    }
}

/// Why claims are no Evidence of a TA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaEvidenceError {
    /// eat_profile is another one.
    Profile,
    /// There is a cnf at the top level.
    Confirmation,
    /// There is no submodule "ta".
    Submodule,
    /// eat_nonce is not made from the submodule.
    Nonce,
    /// The submodule cannot be read.
    Claims(Error),
}

impl core::fmt::Display for TaEvidenceError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Profile => f.write_str("the profile is not that of TA Evidence"),
            Self::Confirmation => f.write_str("TA Evidence has no cnf at its top level"),
            Self::Submodule => f.write_str("TA Evidence has a submodule \"ta\""),
            Self::Nonce => f.write_str("eat_nonce is not made from the submodule"),
            Self::Claims(e) => write!(f, "the submodule of the TA: {e}"),
        }
    }
}

impl core::error::Error for TaEvidenceError {}

/// Adds to the claims of a platform what was asked of it: the measured `components`, each as the bytes of
/// application/measured-component+cbor, and the Claims-Set of a TA that makes this Evidence its own. Gives the claims to sign and
/// the format that they then have. For a TA the nonce of `claims` must be [`TaClaims::top_level_nonce`].
pub fn as_requested(
    mut claims: Claims,
    components: &[Vec<u8>],
    ta: Option<&[u8]>,
) -> Result<(Claims, &'static str), Error> {
    for component in components {
        let component = MeasuredComponent::from_cbor(component, &Limits::default())?;
        claims.measurements.push(Measurement::Component(component));
    }
    Ok(match ta {
        Some(encoded) => (TaClaims::frame(encoded, claims), TA_FORMAT),
        None => (claims, SOFTWARE_TEE_FORMAT),
    })
}

impl<'b> Decode<'b> for TaClaims {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let (mut nonce, mut key, mut identity) = (None, None, None);
        for _ in 0..d.map()? {
            let label_at = d.position();
            match d.int()? {
                label::EAT_NONCE => nonce = Some(sized(d, 8..=64, "a nonce of 8 to 64 bytes")?),
                label::CNF => key = Some(decode_key(d)?),
                IDENTITY => identity = Some(TaIdentity::decode(d)?),
                _ => return Err(Error::new(label_at, ErrorKind::Value("a claim of a TA"))),
            }
        }
        let missing = |name| Error::new(at, ErrorKind::Missing(name));
        Ok(Self {
            nonce: nonce.ok_or(missing("nonce"))?,
            key,
            identity: identity.ok_or(missing("identity"))?,
        })
    }
}

/// cnf of a TA: the key itself and nothing else.
fn decode_key(d: &mut Decoder<'_>) -> Result<PublicKey, Error> {
    let at = d.position();
    match (d.map()?, d.int()?) {
        (1, 1) => Ok(CoseKey::decode(d)?.0),
        _ => Err(Error::new(at, ErrorKind::Value("cnf with a COSE_Key"))),
    }
}

impl Encode for TaClaims {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(label::EAT_NONCE, |e| e.bytes(&self.nonce)).int(IDENTITY, |e| e.item(&self.identity));
            map.optional(label::CNF, self.key, |e, key| {
                e.map_with(|cnf| {
                    cnf.int(1, |e| e.item(&CoseKey(key)));
                })
            });
        });
    }
}

impl<'b> Decode<'b> for TaIdentity {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        let (mut manifest, mut digest, mut sequence) = (None, None, None);
        let (mut domain, mut component, mut provider) = (None, None, None);
        for _ in 0..d.map()? {
            let label_at = d.position();
            match d.int()? {
                1 => manifest = Some(decode_id(d)?),
                2 => digest = Some(d.byte_array("a digest of 32 bytes")?),
                3 => sequence = Some(d.uint()?),
                4 => domain = Some(d.bytes()?.to_vec()),
                5 => component = Some(decode_id(d)?),
                6 => provider = Some(d.text()?.into()),
                _ => return Err(Error::new(label_at, ErrorKind::Value("a member of a TA's identity"))),
            }
        }
        let missing = |name| Error::new(at, ErrorKind::Missing(name));
        Ok(Self {
            manifest: manifest.ok_or(missing("manifest"))?,
            digest: digest.ok_or(missing("digest"))?,
            sequence: sequence.ok_or(missing("sequence"))?,
            domain: domain.ok_or(missing("domain"))?,
            component: component.ok_or(missing("component"))?,
            provider: provider.ok_or(missing("provider"))?,
        })
    }
}

impl Encode for TaIdentity {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| {
            map.int(1, |e| encode_id(e, &self.manifest))
                .int(2, |e| e.bytes(&self.digest))
                .int(3, |e| e.uint(self.sequence))
                .int(4, |e| e.bytes(&self.domain))
                .int(5, |e| encode_id(e, &self.component))
                .int(6, |e| e.text(&self.provider));
        });
    }
}
