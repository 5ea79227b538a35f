//! What JOSE needs: key agreement, key wrap, AES-CBC, and the keys of certificates.

use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::cipher::{
    AES_128, AES_256, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap};
use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_FIXED, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PSS_2048_8192_SHA256,
    VerificationAlgorithm,
};
use pkcs8::spki::SubjectPublicKeyInfoRef;
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use tamarack_crypto::{
    AesCbc, AesKeyWrap, Agreement, Error, KeyAgree, Keys, PublicKey, Secret, SignatureAlgorithm, Verify,
    VerifySpki, is_wrappable,
};

use crate::keys;

/// Implements the traits of JOSE but RSA.
pub(crate) struct AwsLc;

/// id-ecPublicKey (RFC 5480).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// rsaEncryption (RFC 8017).
pub(crate) const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

impl VerifySpki for AwsLc {
    fn verify_spki(
        &self,
        algorithm: SignatureAlgorithm,
        spki_der: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        let (oid, verification): (_, &'static dyn VerificationAlgorithm) = match algorithm {
            SignatureAlgorithm::Es256 => {
                return match PublicKey::from_spki(spki_der)? {
                    key @ PublicKey::P256 { .. } => keys::AwsLc.verify(&key, message, signature),
                    PublicKey::Ed25519(_) => Err(Error::InvalidKey),
                };
            }
            SignatureAlgorithm::Es384 => (EC_PUBLIC_KEY, &ECDSA_P384_SHA384_FIXED),
            SignatureAlgorithm::Rs256 => (RSA_ENCRYPTION, &RSA_PKCS1_2048_8192_SHA256),
            SignatureAlgorithm::Ps256 => (RSA_ENCRYPTION, &RSA_PSS_2048_8192_SHA256),
        };
        check_spki(spki_der, oid)?;
        // The size of an RSA key is only asked while verifying, where it would look like a wrong signature.
        if oid == RSA_ENCRYPTION {
            crate::rsa::public_key(spki_der)?;
        }
        ParsedPublicKey::new(verification, spki_der)
            .map_err(|_| Error::InvalidKey)?
            .verify_sig(message, signature)
            .map_err(|_| Error::NotAuthentic)
    }
}

/// AWS-LC reads several encodings of a key and other key types than were meant; only a whole SubjectPublicKeyInfo of the
/// type gets there.
pub(crate) fn check_spki(der: &[u8], oid: ObjectIdentifier) -> Result<(), Error> {
    match SubjectPublicKeyInfoRef::try_from(der) {
        Ok(spki) if spki.algorithm.oid == oid => Ok(()),
        _ => Err(Error::InvalidKey),
    }
}

impl AesCbc for AwsLc {
    fn encrypt(&self, key: &[u8], iv: &[u8; 16], data: &[u8]) -> Result<Vec<u8>, Error> {
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(cipher_key(key)?).map_err(|_| Error::InvalidKey)?;
        let mut buffer = Vec::with_capacity(data.len() + 16);
        buffer.extend_from_slice(data);
        key.less_safe_encrypt(&mut buffer, EncryptionContext::Iv128(FixedLength::from(*iv)))
            .map_err(|_| Error::Unavailable)?;
        Ok(buffer)
    }

    fn decrypt(&self, key: &[u8], iv: &[u8; 16], data: &[u8]) -> Result<Vec<u8>, Error> {
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(cipher_key(key)?).map_err(|_| Error::InvalidKey)?;
        if data.is_empty() || !data.len().is_multiple_of(16) {
            return Err(Error::NotAuthentic);
        }
        let mut buffer = data.to_vec();
        let length = key
            .decrypt(&mut buffer, DecryptionContext::Iv128(FixedLength::from(*iv)))
            .map_err(|_| Error::NotAuthentic)?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

fn cipher_key(key: &[u8]) -> Result<UnboundCipherKey, Error> {
    let algorithm = match key.len() {
        16 => &AES_128,
        32 => &AES_256,
        _ => return Err(Error::InvalidKey),
    };
    UnboundCipherKey::new(algorithm, key).map_err(|_| Error::InvalidKey)
}

impl AesKeyWrap for AwsLc {
    fn wrap(&self, kek: &[u8], key: &[u8]) -> Result<Vec<u8>, Error> {
        let kek = wrapping_key(kek)?;
        if !is_wrappable(key.len()) {
            return Err(Error::InvalidKey);
        }
        let mut out = vec![0; key.len() + 8];
        kek.wrap(key, &mut out).map_err(|_| Error::Unavailable)?;
        Ok(out)
    }

    fn unwrap(&self, kek: &[u8], wrapped: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let kek = wrapping_key(kek)?;
        let length = wrapped.len().checked_sub(8).filter(|n| is_wrappable(*n)).ok_or(Error::NotAuthentic)?;
        let mut out = Secret::new(vec![0; length]);
        kek.unwrap(wrapped, out.expose_mut()).map_err(|_| Error::NotAuthentic)?;
        Ok(out)
    }
}

fn wrapping_key(kek: &[u8]) -> Result<AesKek, Error> {
    let algorithm = match kek.len() {
        16 => &key_wrap::AES_128,
        32 => &key_wrap::AES_256,
        _ => return Err(Error::InvalidKey),
    };
    AesKek::new(algorithm, kek).map_err(|_| Error::InvalidKey)
}

impl Agreement for AwsLc {
    fn ephemeral(&self) -> Result<Box<dyn KeyAgree>, Error> {
        let key = PrivateKey::generate(&ECDH_P256).map_err(|_| Error::Unavailable)?;
        let public = key.compute_public_key().map_err(|_| Error::Unavailable)?;
        let public = PublicKey::from_point(public.as_ref())?;
        Ok(Box::new(P256Agreement { key, public }))
    }

    fn load_pkcs8(&self, der: &[u8]) -> Result<Box<dyn KeyAgree>, Error> {
        // Loading it as a signature key checks the encoding and the public key beside it.
        let public = keys::AwsLc.load_pkcs8(der)?.public_key();
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| Error::InvalidKey)?;
        let key = PrivateKey::from_private_key_der(&ECDH_P256, keys::version_1(&info)?.as_bytes())
            .map_err(|_| Error::InvalidKey)?;
        Ok(Box::new(P256Agreement { key, public }))
    }
}

struct P256Agreement {
    key: PrivateKey,
    public: PublicKey,
}

impl KeyAgree for P256Agreement {
    fn public_key(&self) -> PublicKey {
        self.public
    }

    fn agree(&self, peer: &PublicKey) -> Result<Secret<[u8; 32]>, Error> {
        let PublicKey::P256 { .. } = peer else {
            return Err(Error::InvalidKey);
        };
        let peer = UnparsedPublicKey::new(&ECDH_P256, peer.to_point());
        agree(&self.key, peer, Error::InvalidKey, |shared| {
            shared.try_into().map(Secret::new).map_err(|_| Error::Unavailable)
        })
    }
}
