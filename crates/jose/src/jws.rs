//! JSON Web Signature (RFC 7515) in its JSON serializations with one signature.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_crypto::{Error as CryptoError, Provider, PublicKey, RsaKey, Sign, SignatureAlgorithm};

use crate::header::{Header, text, url_bytes};
use crate::json::{self, Json, Members};
use crate::{Error, Jwk, Mode, base64};

/// Most certificates in `x5c`.
pub const MAX_CERTIFICATES: usize = 6;

/// What a key may sign: exactly one thing (security rule K5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Requests of a TAM.
    OtrpRequest,
    /// Responses of a TEE.
    OtrpResponse,
    /// What a TEE tells a normal application about a TA, signed with an Anonymous Attestation Key.
    TaInformation,
    /// The Anonymous Attestation Keys of a TEE, vouched for by a TAM.
    AttestationKeys,
}

/// A public key that is trusted for one purpose, with the algorithms that it may be used with.
#[derive(Clone, Debug)]
pub struct VerificationKey {
    spki: Vec<u8>,
    algorithms: &'static [SignatureAlgorithm],
    purpose: Purpose,
}

impl VerificationKey {
    /// Trusts the key of a DER SubjectPublicKeyInfo for `purpose`. Its type pins the algorithm: ES256 for P-256, ES384 for
    /// P-384, RS256 or PS256 for RSA of at least 2,048 bits; everything else is [`Error::Key`].
    pub fn new(spki: &[u8], purpose: Purpose) -> Result<Self, Error> {
        let algorithms = Jwk::from_spki(spki)?.signature_algorithms();
        Ok(Self { spki: spki.to_vec(), algorithms, purpose })
    }

    /// Trusts a P-256 key for `purpose`.
    pub fn of(key: &PublicKey, purpose: Purpose) -> Result<Self, Error> {
        Self::new(&key.to_spki(), purpose)
    }

    /// The DER SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }
}

/// What a trusted key vouches for: authentic, which is not yet authorised. It can only come out of a verification here.
///
/// ```compile_fail
/// let forged = tamarack_jose::jws::Verified { value: b"payload".to_vec(), spki: Vec::new() };
/// ```
#[derive(Clone, Debug)]
pub struct Verified<T> {
    value: T,
    spki: Vec<u8>,
}

impl<T> Verified<T> {
    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// The value, giving up the proof.
    pub fn into_value(self) -> T {
        self.value
    }

    /// DER SubjectPublicKeyInfo of the key that vouches for it.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Reads the verified bytes as something else, such as a parsed message; the proof goes with the result.
    pub fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Verified<U>, E> {
        Ok(Verified { value: read(self.value)?, spki: self.spki })
    }
}

/// A JWS whose signature nobody has checked yet.
///
/// | member | content |
/// |---|---|
/// | `payload` | base64url |
/// | `protected` | base64url of a JSON object: `alg`, often `x5t#S256` |
/// | `header` | object, optional: `x5c`, `signer`, `kid` |
/// | `signature` | base64url |
#[derive(Clone, Debug)]
pub struct Unverified {
    algorithm: SignatureAlgorithm,
    x5c: Vec<Vec<u8>>,
    x5t_s256: Option<[u8; 32]>,
    signer: Option<Jwk>,
    /// The protected header, a dot, the payload: as they arrived.
    signing_input: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Unverified {
    /// Reads the flattened serialization (RFC 7515 section 7.2.2).
    pub fn parse(jws: &Json, mode: Mode) -> Result<Self, Error> {
        if jws.get("signatures").is_some() {
            return Err(Error::Member("signatures"));
        }
        Self::read(jws, jws, mode)
    }

    /// Reads the general serialization (RFC 7515 section 7.2.1) with exactly one signature.
    pub fn parse_general(jws: &Json, mode: Mode) -> Result<Self, Error> {
        if jws.get("signature").is_some() {
            return Err(Error::Member("signature"));
        }
        match jws.get("signatures").and_then(Json::as_array) {
            Some([signature]) => Self::read(jws, signature, mode),
            _ => Err(Error::Member("signatures")),
        }
    }

    fn read(jws: &Json, signature: &Json, mode: Mode) -> Result<Self, Error> {
        let payload = text(jws, "payload")?;
        let protected = text(signature, "protected")?;
        let header = Header::read(protected, &[signature.get("header")])?;
        let name = header.protected("alg").ok_or(Error::Unprotected("alg"))?;
        let name = name.as_str().ok_or(Error::Member("alg"))?;
        Ok(Self {
            algorithm: SignatureAlgorithm::from_name(name).ok_or_else(|| Error::algorithm(name))?,
            x5c: header.any("x5c").map(|x5c| certificates(x5c, mode)).transpose()?.unwrap_or_default(),
            x5t_s256: header.protected("x5t#S256").map(digest).transpose()?,
            // The draft's text has a JWK there, its samples a certificate, which nobody needs.
            signer: header
                .any("signer")
                .filter(|signer| signer.as_str().is_none())
                .map(Jwk::from_json)
                .transpose()?,
            signing_input: [protected, payload].join(".").into_bytes(),
            payload: url_bytes(payload, "payload")?,
            signature: url_bytes(text(signature, "signature")?, "signature")?,
        })
    }

    /// The algorithm that the protected header names.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The certificates of `x5c`, leaf first, DER; empty if there are none. Nothing vouches for them yet.
    pub fn x5c(&self) -> &[Vec<u8>] {
        &self.x5c
    }

    /// `x5t#S256` of the protected header: SHA-256 of the signer's certificate.
    pub fn x5t_s256(&self) -> Option<&[u8; 32]> {
        self.x5t_s256.as_ref()
    }

    /// The draft's `signer` header parameter: the key that the signer says is its own. Never trust it for that.
    pub fn signer_jwk(&self) -> Option<&Jwk> {
        self.signer.as_ref()
    }

    /// What the signature covers, as it arrived.
    pub fn signing_input(&self) -> &[u8] {
        &self.signing_input
    }

    /// The payload that nobody vouches for yet: for correlation only.
    pub fn payload_unverified(&self) -> &[u8] {
        &self.payload
    }

    /// Checks the signature with a key that is trusted for `purpose`.
    pub fn verify(
        &self,
        key: &VerificationKey,
        purpose: Purpose,
        provider: &Provider,
    ) -> Result<Verified<Vec<u8>>, Error> {
        if key.purpose != purpose {
            return Err(Error::Purpose);
        }
        if !key.algorithms.contains(&self.algorithm) {
            return Err(Error::AlgorithmForKey);
        }
        match provider.certified.verify_spki(self.algorithm, &key.spki, &self.signing_input, &self.signature)
        {
            Ok(()) => Ok(Verified { value: self.payload.clone(), spki: key.spki.clone() }),
            Err(CryptoError::Unsupported) => Err(Error::algorithm(self.algorithm.name())),
            Err(CryptoError::InvalidKey) => Err(Error::Key),
            Err(_) => Err(Error::NotAuthentic),
        }
    }
}

/// `x5c` (RFC 7515 section 4.1.6): certificates as strings of standard base64, leaf first.
fn certificates(x5c: &Json, mode: Mode) -> Result<Vec<Vec<u8>>, Error> {
    let malformed = Error::Member("x5c");
    let texts = match (x5c, mode) {
        (Json::Array(texts), _) => texts,
        (Json::String(_), Mode::Compat) => core::slice::from_ref(x5c),
        _ => return Err(malformed),
    };
    if texts.is_empty() || texts.len() > MAX_CERTIFICATES {
        return Err(malformed);
    }
    let decode = match mode {
        Mode::Strict => base64::decode,
        Mode::Compat => base64::decode_any,
    };
    let certificates = texts.iter().map(|text| decode(text.as_str()?).ok());
    certificates.collect::<Option<_>>().ok_or(malformed)
}

fn digest(value: &Json) -> Result<[u8; 32], Error> {
    let bytes = value.as_str().and_then(|text| base64::decode_url(text).ok());
    bytes.and_then(|bytes| bytes.try_into().ok()).ok_or(Error::Member("x5t#S256"))
}

/// A private key with the algorithm that it signs with.
#[derive(Clone, Copy)]
pub enum Signer<'k> {
    /// ES256 with a P-256 key.
    Es256(&'k dyn Sign),
    /// RS256 or PS256 with an RSA key.
    Rsa(&'k dyn RsaKey, SignatureAlgorithm),
}

/// What [`sign`] says about the signer.
#[derive(Clone, Copy, Debug, Default)]
pub struct SignHeaders<'h> {
    /// The signer's certificate and those above it, DER: `x5c` of the unprotected header, if there are any.
    pub x5c: &'h [Vec<u8>],
    /// SHA-256 of the signer's certificate: `x5t#S256` of the protected header.
    pub x5t_s256: Option<[u8; 32]>,
    /// The draft's `signer` of the unprotected header.
    pub signer: Option<&'h Jwk>,
}

impl<'h> SignHeaders<'h> {
    /// Names the signer by its chain, leaf first, and binds the leaf to the signature by its digest.
    pub fn chain(x5c: &'h [Vec<u8>], provider: &Provider) -> Self {
        Self { x5c, x5t_s256: x5c.first().map(|leaf| provider.sha256(leaf)), signer: None }
    }
}

/// Signs `payload` and gives the flattened serialization.
pub fn sign(payload: &[u8], signer: Signer<'_>, headers: &SignHeaders<'_>) -> Result<Json, Error> {
    let algorithm = match signer {
        Signer::Es256(_) => SignatureAlgorithm::Es256,
        Signer::Rsa(_, algorithm) => algorithm,
    };
    let protected = Members::new()
        .member("alg", algorithm.name())
        .optional("x5t#S256", headers.x5t_s256.map(|digest| base64::encode_url(&digest)))
        .build();
    let protected = base64::encode_url(&json::to_vec(&protected));
    let payload = base64::encode_url(payload);
    let signing_input: String = [&*protected, &*payload].join(".");
    let signature = match signer {
        Signer::Es256(key) => match key.public_key() {
            PublicKey::P256 { .. } => key.sign(signing_input.as_bytes()).map(Vec::from),
            PublicKey::Ed25519(_) => return Err(Error::Key),
        },
        Signer::Rsa(key, algorithm) => key.sign(algorithm, signing_input.as_bytes()),
    };
    let signature = signature.map_err(|error| match error {
        CryptoError::Unsupported => Error::AlgorithmForKey,
        _ => Error::Provider,
    })?;
    let chain = headers.x5c.iter().map(|certificate| base64::encode(certificate));
    let header = Members::new()
        .optional("x5c", (!headers.x5c.is_empty()).then(|| json::array(chain)))
        .optional("signer", headers.signer.map(Jwk::to_json))
        .build();
    Ok(Members::new()
        .member("payload", payload)
        .member("protected", protected)
        .optional("header", header.as_object().is_some_and(|members| !members.is_empty()).then_some(header))
        .member("signature", base64::encode_url(&signature))
        .build())
}

#[cfg(test)]
mod tests;
