//! AIKs, the anonymous keys of service providers: for each provider of an Owner a pair to sign with and one to decrypt
//! with. They exist as long as the provider has a domain, and say nothing about the device (draft section 5.2).

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Decoder, Encode, Encoder, ErrorKind};
use tamarack_crypto::{KeyAgree, KeyType, Provider, PublicKey, Secret, Sign};
use tamarack_model::{ComponentId, OwnerId};
use tamarack_tee::Platform;

use crate::Error;
use crate::journal::Journal;
use crate::record::{self, AIK};

/// The keys of one provider with one Owner, both P-256. Stored under Owner and provider, so that another Owner's provider
/// of the same name has other keys, as `[sig, enc, public sig, public enc]`: two PKCS#8 and two points, for the public
/// halves are told far more often than the private ones are used.
pub(crate) struct Aik {
    sig: Secret<Vec<u8>>,
    enc: Secret<Vec<u8>>,
    /// Public half of the key that signs.
    pub sig_public: PublicKey,
    /// Public half of the key that decrypts.
    pub enc_public: PublicKey,
}

impl Aik {
    /// The key that signs TAInformation.
    pub fn signer(&self, provider: &Provider) -> Result<Box<dyn Sign>, Error> {
        Ok(provider.keys.load_pkcs8(self.sig.expose())?)
    }

    /// The key that TA packages are encrypted to.
    pub fn agreement(&self, provider: &Provider) -> Result<Box<dyn KeyAgree>, Error> {
        Ok(provider.agree.load_pkcs8(self.enc.expose())?)
    }
}

impl Encode for Aik {
    fn encode(&self, e: &mut Encoder) {
        e.array(4).bytes(self.sig.expose()).bytes(self.enc.expose());
        e.bytes(&self.sig_public.to_point()).bytes(&self.enc_public.to_point());
    }
}

impl<'b> Decode<'b> for Aik {
    fn decode(d: &mut Decoder<'b>) -> Result<Self, tamarack_cbor::Error> {
        d.array_of(4, "the keys of a provider")?;
        let (sig, enc) = (Secret::new(d.bytes()?.to_vec()), Secret::new(d.bytes()?.to_vec()));
        let mut point = || {
            let at = d.position();
            let wrong = |_| tamarack_cbor::Error::new(at, ErrorKind::Value("a point on P-256"));
            PublicKey::from_point(d.bytes()?).map_err(wrong)
        };
        Ok(Self { sig, enc, sig_public: point()?, enc_public: point()? })
    }
}

fn key_of(owner: &OwnerId, provider: &str) -> Result<Vec<u8>, Error> {
    let id = ComponentId::new([provider]).map_err(|_| Error::Corrupt("provider"))?;
    Ok(record::key_of(AIK, owner, &id))
}

/// The keys of `provider` with `owner`.
pub(crate) fn get(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    provider: &str,
) -> Result<Option<Aik>, Error> {
    let value = journal.get(platform, &key_of(owner, provider)?)?;
    value.map(|value| record::read(&value, "key of a provider")).transpose()
}

/// The providers that have keys with `owner`, in the order of their names.
pub(crate) fn providers(
    journal: &Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
) -> Result<Vec<String>, Error> {
    let pairs = journal.scan(platform, &record::owned(AIK, owner))?;
    pairs
        .iter()
        .map(|(key, _)| {
            let (_, id) = record::split_key(AIK, key)?;
            String::from_utf8(id.domain().to_vec()).map_err(|_| Error::Corrupt("provider"))
        })
        .collect()
}

/// Makes new keys for `provider`; those that it had are gone.
pub(crate) fn renew(
    journal: &mut Journal,
    crypto: &Provider,
    owner: &OwnerId,
    provider: &str,
) -> Result<(), Error> {
    let make = || -> Result<_, Error> {
        let pkcs8 = crypto.keys.generate_pkcs8(KeyType::P256)?;
        let public = crypto.keys.load_pkcs8(pkcs8.expose())?.public_key();
        Ok((pkcs8, public))
    };
    let ((sig, sig_public), (enc, enc_public)) = (make()?, make()?);
    let aik = Aik { sig, enc, sig_public, enc_public };
    journal.put(key_of(owner, provider)?, aik.to_cbor());
    Ok(())
}

/// Makes keys for `provider` if it has none.
pub(crate) fn ensure(
    journal: &mut Journal,
    platform: &dyn Platform,
    crypto: &Provider,
    owner: &OwnerId,
    provider: &str,
) -> Result<(), Error> {
    match journal.get(platform, &key_of(owner, provider)?)? {
        Some(_) => Ok(()),
        None => renew(journal, crypto, owner, provider),
    }
}

/// Removes the keys of `provider`.
pub(crate) fn drop(journal: &mut Journal, owner: &OwnerId, provider: &str) -> Result<(), Error> {
    journal.delete(key_of(owner, provider)?);
    Ok(())
}
