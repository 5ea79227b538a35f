//! What JOSE needs: key agreement, key wrap, AES-CBC, and P-256 keys of certificates.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use aes::{Aes128, Aes256};
use aes_kw::KeyInit;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use p256::ecdh::diffie_hellman;
use p256::pkcs8::PrivateKeyInfoRef;
use tamarack_crypto::{
    AesCbc, AesKeyWrap, Agreement, Error, KeyAgree, PublicKey, Secret, SignatureAlgorithm, Verify,
    VerifySpki, is_wrappable,
};

use crate::keys;

/// Implements the traits of JOSE.
pub(crate) struct RustCrypto;

impl VerifySpki for RustCrypto {
    fn verify_spki(
        &self,
        algorithm: SignatureAlgorithm,
        spki_der: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Error> {
        match algorithm {
            SignatureAlgorithm::Es256 => match PublicKey::from_spki(spki_der)? {
                key @ PublicKey::P256 { .. } => keys::RustCrypto.verify(&key, message, signature),
                PublicKey::Ed25519(_) => Err(Error::InvalidKey),
            },
            SignatureAlgorithm::Es384 | SignatureAlgorithm::Rs256 | SignatureAlgorithm::Ps256 => {
                Err(Error::Unsupported)
            }
        }
    }
}

impl AesCbc for RustCrypto {
    fn encrypt(&self, key: &[u8], iv: &[u8; 16], data: &[u8]) -> Result<Vec<u8>, Error> {
        if let Ok(key) = <&[u8; 16]>::try_from(key) {
            return Ok(cbc::Encryptor::<Aes128>::new(key.into(), iv.into()).encrypt_padded_vec::<Pkcs7>(data));
        }
        let key = <&[u8; 32]>::try_from(key).map_err(|_| Error::InvalidKey)?;
        Ok(cbc::Encryptor::<Aes256>::new(key.into(), iv.into()).encrypt_padded_vec::<Pkcs7>(data))
    }

    fn decrypt(&self, key: &[u8], iv: &[u8; 16], data: &[u8]) -> Result<Vec<u8>, Error> {
        let decrypted = if let Ok(key) = <&[u8; 16]>::try_from(key) {
            cbc::Decryptor::<Aes128>::new(key.into(), iv.into()).decrypt_padded_vec::<Pkcs7>(data)
        } else {
            let key = <&[u8; 32]>::try_from(key).map_err(|_| Error::InvalidKey)?;
            cbc::Decryptor::<Aes256>::new(key.into(), iv.into()).decrypt_padded_vec::<Pkcs7>(data)
        };
        decrypted.map_err(|_| Error::NotAuthentic)
    }
}

impl AesKeyWrap for RustCrypto {
    fn wrap(&self, kek: &[u8], key: &[u8]) -> Result<Vec<u8>, Error> {
        if !is_wrappable(key.len()) {
            return Err(Error::InvalidKey);
        }
        let mut out = vec![0; key.len() + 8];
        if let Ok(kek) = <&[u8; 16]>::try_from(kek) {
            aes_kw::KwAes128::new(kek.into()).wrap_key(key, &mut out).map_err(|_| Error::InvalidKey)?;
        } else {
            let kek = <&[u8; 32]>::try_from(kek).map_err(|_| Error::InvalidKey)?;
            aes_kw::KwAes256::new(kek.into()).wrap_key(key, &mut out).map_err(|_| Error::InvalidKey)?;
        }
        Ok(out)
    }

    fn unwrap(&self, kek: &[u8], wrapped: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let length = wrapped.len().checked_sub(8).filter(|n| is_wrappable(*n)).ok_or(Error::NotAuthentic)?;
        let mut out = Secret::new(vec![0; length]);
        if let Ok(kek) = <&[u8; 16]>::try_from(kek) {
            aes_kw::KwAes128::new(kek.into())
                .unwrap_key(wrapped, out.expose_mut())
                .map_err(|_| Error::NotAuthentic)?;
        } else {
            let kek = <&[u8; 32]>::try_from(kek).map_err(|_| Error::InvalidKey)?;
            aes_kw::KwAes256::new(kek.into())
                .unwrap_key(wrapped, out.expose_mut())
                .map_err(|_| Error::NotAuthentic)?;
        }
        Ok(out)
    }
}

impl Agreement for RustCrypto {
    fn ephemeral(&self) -> Result<Box<dyn KeyAgree>, Error> {
        Ok(Box::new(P256Agreement(keys::random_p256(&keys::RustCrypto)?)))
    }

    fn load_pkcs8(&self, der: &[u8]) -> Result<Box<dyn KeyAgree>, Error> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| Error::InvalidKey)?;
        Ok(Box::new(P256Agreement(keys::p256_from_pkcs8(info)?)))
    }
}

struct P256Agreement(p256::SecretKey);

impl KeyAgree for P256Agreement {
    fn public_key(&self) -> PublicKey {
        keys::to_public(&self.0.public_key())
    }

    fn agree(&self, peer: &PublicKey) -> Result<Secret<[u8; 32]>, Error> {
        let PublicKey::P256 { .. } = peer else {
            return Err(Error::InvalidKey);
        };
        let peer = p256::PublicKey::from_sec1_bytes(&peer.to_point()).map_err(|_| Error::InvalidKey)?;
        let shared = diffie_hellman(self.0.to_nonzero_scalar(), peer.as_affine());
        Ok(Secret::new((*shared.raw_secret_bytes()).into()))
    }
}
