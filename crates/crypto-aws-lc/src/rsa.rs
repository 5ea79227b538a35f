//! RSA signatures and RSA-OAEP.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{
    KeyPair, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey, PrivateDecryptingKey,
    PublicEncryptingKey,
};
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256};
use pkcs8::PrivateKeyInfoRef;
use tamarack_crypto::{Error, Rsa, RsaKey, Secret, SignatureAlgorithm};

use crate::jose::{RSA_ENCRYPTION, check_spki};
use crate::keys;

/// Implements [`Rsa`].
pub(crate) struct AwsLc;

/// Reads a SubjectPublicKeyInfo of an RSA key of 2048 to 8192 bits.
pub(crate) fn public_key(spki_der: &[u8]) -> Result<PublicEncryptingKey, Error> {
    check_spki(spki_der, RSA_ENCRYPTION)?;
    PublicEncryptingKey::from_der(spki_der).map_err(|_| Error::InvalidKey)
}

impl Rsa for AwsLc {
    fn oaep_encrypt(&self, spki_der: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let key = OaepPublicEncryptingKey::new(public_key(spki_der)?).map_err(|_| Error::InvalidKey)?;
        if plaintext.len() > key.max_plaintext_size(&OAEP_SHA256_MGF1SHA256) {
            return Err(Error::OutputLength);
        }
        let mut out = vec![0; key.ciphertext_size()];
        key.encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut out, None).map_err(|_| Error::Unavailable)?;
        Ok(out)
    }

    fn load_pkcs8(&self, der: &[u8]) -> Result<Box<dyn RsaKey>, Error> {
        let info = PrivateKeyInfoRef::try_from(der).map_err(|_| Error::InvalidKey)?;
        let v1 = keys::version_1(&info)?;
        let pair = KeyPair::from_pkcs8(v1.as_bytes()).map_err(|_| Error::InvalidKey)?;
        let spki = pair.public_key().as_der().map_err(|_| Error::InvalidKey)?.as_ref().to_vec();
        let decrypting = PrivateDecryptingKey::from_pkcs8(v1.as_bytes()).map_err(|_| Error::InvalidKey)?;
        let decrypting = OaepPrivateDecryptingKey::new(decrypting).map_err(|_| Error::InvalidKey)?;
        Ok(Box::new(Key { pair, decrypting, spki }))
    }
}

struct Key {
    pair: KeyPair,
    decrypting: OaepPrivateDecryptingKey,
    spki: Vec<u8>,
}

impl RsaKey for Key {
    fn spki(&self) -> &[u8] {
        &self.spki
    }

    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, Error> {
        let encoding = match algorithm {
            SignatureAlgorithm::Rs256 => &RSA_PKCS1_SHA256,
            SignatureAlgorithm::Ps256 => &RSA_PSS_SHA256,
            SignatureAlgorithm::Es256 | SignatureAlgorithm::Es384 => return Err(Error::Unsupported),
        };
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(encoding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| Error::Unavailable)?;
        Ok(signature)
    }

    fn oaep_decrypt(&self, ciphertext: &[u8]) -> Result<Secret<Vec<u8>>, Error> {
        let mut out = Secret::new(vec![0; self.decrypting.min_output_size()]);
        let length = self
            .decrypting
            .decrypt(&OAEP_SHA256_MGF1SHA256, ciphertext, out.expose_mut(), None)
            .map_err(|_| Error::NotAuthentic)?
            .len();
        out.expose_mut().truncate(length);
        Ok(out)
    }
}
