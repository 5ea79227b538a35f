use alloc::vec::Vec;
use core::fmt;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind, Limits, Value};
use tamarack_crypto::{Provider, PublicKey, Secret};

use crate::{Algorithm, Error};

/// SHA-256 COSE Key Thumbprint of RFC 9679, 32 bytes: what Tamarack uses as kid.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 32]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tamarack_model::Hex(&self.0).fmt(f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// What a key may be used for: exactly one thing (security rule K5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Signing TEEP messages, as TAM or as Agent.
    TeepMessage,
    /// Authenticating SUIT manifests.
    SuitManifest,
    /// Signing SUIT reports.
    SuitReport,
    /// Signing Evidence.
    Evidence,
    /// Signing Attestation Results.
    AttestationResult,
    /// Signing on behalf of a TA, such as receipts.
    TrustedApplication,
    /// Changing the trust anchors of a device.
    DeviceAuthority,
    /// Signing reference values and endorsements (CoRIM).
    ReferenceValues,
    /// Ordering a device as its owner.
    DeviceOwner,
    /// Telling a device's owner what is in force there, as the device.
    OwnerStatement,
}

/// A public key that is trusted for one purpose. Its type pins the algorithm.
#[derive(Clone, Debug)]
pub struct VerificationKey {
    public: PublicKey,
    purpose: Purpose,
    id: KeyId,
    alias: Option<Vec<u8>>,
    legacy: bool,
}

impl VerificationKey {
    /// Trusts `public` for `purpose`.
    pub fn new(public: PublicKey, purpose: Purpose, provider: &Provider) -> Self {
        Self { public, purpose, id: thumbprint(&public, provider), alias: None, legacy: false }
    }

    /// Also accepts the deprecated ids -7 and -8 for this key. For vectors and old signers only.
    pub fn accepting_legacy_ids(self) -> Self {
        Self { legacy: true, ..self }
    }

    /// Also answers to `kid`, for signers that do not name keys by their thumbprint.
    pub fn known_as(self, kid: &[u8]) -> Self {
        Self { alias: Some(kid.to_vec()), ..self }
    }

    /// The key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// What it is trusted for.
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }

    /// Its thumbprint.
    pub fn id(&self) -> &KeyId {
        &self.id
    }

    /// Whether a signature that names `kid` may be by this key.
    fn answers_to(&self, kid: Option<&[u8]>) -> bool {
        kid.is_none_or(|kid| kid == self.id.0 || self.alias.as_deref() == Some(kid))
    }

    /// Whether a header with this algorithm can be checked with this key.
    pub(crate) fn accepts(&self, algorithm: Algorithm) -> bool {
        algorithm.key_type() == Some(self.public.key_type()) && (self.legacy || !algorithm.is_legacy())
    }
}

/// A symmetric key that is trusted for one purpose, for COSE_Mac0.
pub struct MacKey {
    pub(crate) key: Secret<Vec<u8>>,
    pub(crate) purpose: Purpose,
    pub(crate) id: KeyId,
}

impl MacKey {
    /// Trusts the HMAC-SHA-256 `key` for `purpose`.
    pub fn new(key: Secret<Vec<u8>>, purpose: Purpose, provider: &Provider) -> Self {
        let mut e = Encoder::new();
        e.map_with(|map| {
            map.int(1, |e| e.uint(4)).int(-1, |e| e.bytes(key.expose()));
        });
        let id = KeyId(provider.sha256(&e.into_bytes()));
        Self { key, purpose, id }
    }
}

/// A public COSE_Key (RFC 9052 section 7, RFC 9053 section 7) of P-256 or Ed25519.
///
/// | label | EC2 | OKP |
/// |---|---|---|
/// | 1 kty | 2 | 1 |
/// | -1 crv | 1 (P-256) | 6 (Ed25519) |
/// | -2 | x, 32 bytes | x, 32 bytes |
/// | -3 | y, 32 bytes (compressed points are refused) | - |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoseKey(pub PublicKey);

impl Encode for CoseKey {
    fn encode(&self, e: &mut Encoder) {
        e.map_with(|map| match &self.0 {
            PublicKey::P256 { x, y } => {
                map.int(1, |e| e.uint(2))
                    .int(-1, |e| e.uint(1))
                    .int(-2, |e| e.bytes(x))
                    .int(-3, |e| e.bytes(y));
            }
            PublicKey::Ed25519(x) => {
                map.int(1, |e| e.uint(1)).int(-1, |e| e.uint(6)).int(-2, |e| e.bytes(x));
            }
        });
    }
}

impl<'b> Decode<'b> for CoseKey {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        let at = d.position();
        let (mut kty, mut crv, mut x, mut y, mut private) = (None, None, None, None, false);
        for _ in 0..d.map()? {
            match d.int()? {
                1 => kty = Some(d.int()?),
                -1 => crv = Some(d.int()?),
                -2 => x = Some(d.byte_array("a coordinate of 32 bytes")?),
                -3 => y = Some(d.byte_array("a coordinate of 32 bytes")?),
                -4 => {
                    d.raw()?;
                    private = true;
                }
                _ => drop(d.raw()?),
            }
        }
        match (kty, crv, x, y) {
            _ if private => {
                Err(tamarack_cbor::Error::new(at, ErrorKind::Value("a key without its private part")))
            }
            (Some(2), Some(1), Some(x), Some(y)) => Ok(Self(PublicKey::P256 { x, y })),
            (Some(1), Some(6), Some(x), None) => Ok(Self(PublicKey::Ed25519(x))),
            _ => Err(tamarack_cbor::Error::new(at, ErrorKind::Value("a P-256 or Ed25519 public key"))),
        }
    }
}

/// The RFC 9679 thumbprint: SHA-256 over the deterministic COSE_Key with the required members only.
pub fn thumbprint(key: &PublicKey, provider: &Provider) -> KeyId {
    KeyId(provider.sha256(&CoseKey(*key).to_cbor()))
}

/// The RFC 9679 thumbprint of an encoded COSE_Key of any type of section 4 there: EC2 with an uncompressed point, OKP, RSA,
/// symmetric or HSS-LMS.
pub fn thumbprint_of_encoded(key: &[u8], provider: &Provider) -> Result<KeyId, tamarack_cbor::Error> {
    let malformed = |what| tamarack_cbor::Error::new(0, ErrorKind::Value(what));
    let Value::Map(pairs) = Value::from_cbor(key, &Limits::default())? else {
        return Err(malformed("a COSE_Key map"));
    };
    let member = |label: i64| {
        let key = if label < 0 { Value::Nint((-1 - label) as u64) } else { Value::Uint(label as u64) };
        pairs.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    };
    let required: &[i64] = match member(1) {
        Some(Value::Uint(1)) => &[1, -1, -2],
        Some(Value::Uint(2)) if matches!(member(-3), Some(Value::Bytes(_))) => &[1, -1, -2, -3],
        Some(Value::Uint(3)) => &[1, -1, -2],
        Some(Value::Uint(4 | 5)) => &[1, -1],
        _ => return Err(malformed("a key type with a thumbprint, points uncompressed")),
    };
    let mut e = Encoder::new();
    let mut missing = false;
    e.map_with(|map| {
        for &label in required {
            match member(label) {
                Some(value) => {
                    map.int(label, |e| e.item(value));
                }
                None => missing = true,
            }
        }
    });
    if missing {
        Err(malformed("all required members of the key"))
    } else {
        Ok(KeyId(provider.sha256(&e.into_bytes())))
    }
}

/// Finds the key that verifies, as rule K5 asks: only keys of this purpose, of the named kid if there is one, and at most
/// [`crate::MAX_KEYS_TRIED`] if there is none.
pub(crate) fn verify_with<'k>(
    keys: &'k [VerificationKey],
    purpose: Purpose,
    kid: Option<&[u8]>,
    alg: Option<i64>,
    tbs: &[u8],
    signature: &[u8],
    provider: &Provider,
) -> Result<&'k VerificationKey, Error> {
    let label = alg.ok_or(Error::AlgorithmMissing)?;
    let algorithm =
        Algorithm::from_label(label).filter(|a| a.key_type().is_some()).ok_or(Error::Algorithm(label))?;
    let candidates = keys.iter().filter(|key| key.purpose == purpose && key.answers_to(kid));
    let mut error = Error::KeyUnknown;
    for key in candidates.take(crate::MAX_KEYS_TRIED) {
        if !key.accepts(algorithm) {
            let wrong_type = algorithm.key_type() != Some(key.public.key_type());
            error = most_specific(
                error,
                if wrong_type { Error::AlgorithmForKey } else { Error::Algorithm(label) },
            );
            continue;
        }
        match provider.verify.verify(&key.public, tbs, signature) {
            Ok(()) => return Ok(key),
            Err(_) => error = most_specific(error, Error::NotAuthentic),
        }
    }
    Err(error)
}

/// Of two failures the one that came closest to success.
fn most_specific(a: Error, b: Error) -> Error {
    let rank = |e: &Error| match e {
        Error::NotAuthentic => 3,
        Error::Algorithm(_) => 2,
        Error::AlgorithmForKey => 1,
        _ => 0,
    };
    if rank(&b) >= rank(&a) { b } else { a }
}
