use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, Error, ErrorKind, Kind, Limits};
use tamarack_cose::CoseKey;
use tamarack_crypto::PublicKey;

use crate::measurement::Digest;
use crate::{read, tag};

/// A key, a certificate or the name of one (section "Crypto Keys").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CryptoKey {
    /// 554: SubjectPublicKeyInfo in PEM.
    PkixKey(String),
    /// 555: a certificate in PEM.
    PkixCert(String),
    /// 556: certificates in PEM.
    PkixCertPath(String),
    /// 557: digest of a key.
    KeyThumbprint(Digest),
    /// 558: one COSE_Key, as encoded.
    CoseKey(Vec<u8>),
    /// 559: digest of a certificate.
    CertThumbprint(Digest),
    /// 560: an identifier that only its maker understands.
    Bytes(Vec<u8>),
    /// 561: digest of a certification path.
    CertPathThumbprint(Digest),
    /// 562: a certificate in DER.
    CertDer(Vec<u8>),
}

impl CryptoKey {
    /// A public key.
    pub fn new(key: &PublicKey) -> Self {
        Self::CoseKey(CoseKey(*key).to_cbor())
    }

    /// The public key, if it is here as a COSE_Key or in PEM and of a type that Tamarack verifies with.
    pub fn public_key(&self) -> Option<PublicKey> {
        match self {
            Self::PkixKey(pem) => match pem_rfc7468::decode_vec(pem.as_bytes()) {
                Ok(("PUBLIC KEY", der)) => PublicKey::from_spki(&der).ok(),
                Ok(_) | Err(_) => None,
            },
            Self::CoseKey(encoded) => {
                CoseKey::from_cbor(encoded, &Limits::default()).ok().map(|CoseKey(key)| key)
            }
            Self::PkixCert(_)
            | Self::PkixCertPath(_)
            | Self::KeyThumbprint(_)
            | Self::CertThumbprint(_)
            | Self::Bytes(_)
            | Self::CertPathThumbprint(_)
            | Self::CertDer(_) => None,
        }
    }
}

impl<'b> Decode<'b> for CryptoKey {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, Error> {
        let at = d.position();
        Ok(match d.tag()? {
            tag::PKIX_KEY => Self::PkixKey(pem(d)?),
            tag::PKIX_CERT => Self::PkixCert(pem(d)?),
            tag::PKIX_CERT_PATH => Self::PkixCertPath(pem(d)?),
            tag::KEY_THUMBPRINT => Self::KeyThumbprint(Digest::decode(d)?),
            tag::COSE_KEY if d.peek() == Kind::Map => Self::CoseKey(d.raw()?.to_vec()),
            tag::COSE_KEY => return Err(d.expected("a COSE_Key")),
            tag::CERT_THUMBPRINT => Self::CertThumbprint(Digest::decode(d)?),
            tag::BYTES => Self::Bytes(read::bytes(d)?),
            tag::CERT_PATH_THUMBPRINT => Self::CertPathThumbprint(Digest::decode(d)?),
            tag::CERT_DER => Self::CertDer(sized(at, d.bytes()?)?.to_vec()),
            _ => return Err(Error::new(at, ErrorKind::Value("a key under one of the tags 554 to 562"))),
        })
    }
}

impl Encode for CryptoKey {
    fn encode(&self, e: &mut Encoder) {
        match self {
            Self::PkixKey(text) => e.tag(tag::PKIX_KEY).text(text),
            Self::PkixCert(text) => e.tag(tag::PKIX_CERT).text(text),
            Self::PkixCertPath(text) => e.tag(tag::PKIX_CERT_PATH).text(text),
            Self::KeyThumbprint(digest) => e.tag(tag::KEY_THUMBPRINT).item(digest),
            Self::CoseKey(encoded) => e.tag(tag::COSE_KEY).raw(encoded),
            Self::CertThumbprint(digest) => e.tag(tag::CERT_THUMBPRINT).item(digest),
            Self::Bytes(bytes) => e.tag(tag::BYTES).bytes(bytes),
            Self::CertPathThumbprint(digest) => e.tag(tag::CERT_PATH_THUMBPRINT).item(digest),
            Self::CertDer(der) => e.tag(tag::CERT_DER).bytes(der),
        };
    }
}

fn pem(d: &mut Decoder<'_>) -> Result<String, Error> {
    let at = d.position();
    let text = d.text()?;
    sized(at, text.as_bytes())?;
    Ok(text.into())
}

fn sized(at: usize, content: &[u8]) -> Result<&[u8], Error> {
    if (1..=read::KEY_MAX).contains(&content.len()) {
        Ok(content)
    } else {
        Err(Error::new(at, ErrorKind::Value("a key or certificate of 1 byte to 16 KiB")))
    }
}
