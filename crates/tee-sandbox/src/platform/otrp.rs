use tamarack_crypto::{KeyAgree, KeyType, Provider, PublicKey, Sign};
use tamarack_tee::{Change, Error, FirmwareSignature, OtrpIdentity};

use super::{CertificateError, attester, load, missing};
use crate::enrol::OtrpConfig;
use crate::sealed::Store;

pub(super) const OTRP_KEY: &[u8] = b"p/key/otrp";
pub(super) const FIRMWARE_KEY: &[u8] = b"p/key/firmware";
const OTRP_CHAIN: &[u8] = b"p/otrp-chain";
const FIRMWARE_CHAIN: &[u8] = b"p/firmware-chain";

/// What the device is in OTrP: the TEE's one key, and the firmware that vouches for it.
pub(super) struct Otrp {
    config: OtrpConfig,
    signer: Box<dyn Sign>,
    agreement: Box<dyn KeyAgree>,
    chain: Vec<Vec<u8>>,
    firmware: Firmware,
}

/// The program that starts the TEE, in the role of the trusted firmware. Its key signs transaction ids and the one request
/// for its own certificate; like the attestation key it is apart from everything else (security rule K6).
struct Firmware {
    key: Box<dyn Sign>,
    chain: Vec<Vec<u8>>,
    provider: Provider,
}

impl Otrp {
    /// Makes the keys of a new device. P-256 whatever its other keys are: the one kind that OTrP both signs with and
    /// encrypts to, apart from RSA.
    pub fn make_keys(provider: &Provider) -> Result<Vec<Change>, Error> {
        let make = |name: &[u8]| {
            let key = provider.keys.generate_pkcs8(KeyType::P256).map_err(|_| Error::Crypto)?;
            Ok(Change::Put(name.to_vec(), key.expose().clone()))
        };
        [OTRP_KEY, FIRMWARE_KEY].into_iter().map(make).collect()
    }

    pub fn open(store: &Store, config: OtrpConfig, provider: Provider) -> Result<Self, Error> {
        let pkcs8 = store.get(OTRP_KEY).ok_or_else(|| missing("a device key is missing"))?;
        let chain =
            |name| store.get(name).map(attester::read_chain).transpose().map(Option::unwrap_or_default);
        Ok(Self {
            config,
            signer: load(store, OTRP_KEY, &provider)?,
            agreement: provider.agree.load_pkcs8(pkcs8).map_err(|_| Error::Crypto)?,
            chain: chain(OTRP_CHAIN)?,
            firmware: Firmware {
                key: load(store, FIRMWARE_KEY, &provider)?,
                chain: chain(FIRMWARE_CHAIN)?,
                provider,
            },
        })
    }

    pub fn public_key(&self) -> PublicKey {
        self.signer.public_key()
    }

    /// Certificate requests (PKCS #10, PEM) for the TEE's key and the firmware's key.
    pub fn certificate_requests(&self, common_name: &str) -> Result<(String, String), Error> {
        let tee = attester::certificate_request(&*self.signer, common_name)?;
        Ok((tee, attester::certificate_request(&*self.firmware.key, common_name)?))
    }

    /// Stores the chains in one commit, once each is seen to be of the key that it is for.
    pub fn install(
        &mut self,
        store: &mut Store,
        chain: Vec<Vec<u8>>,
        firmware_chain: Vec<Vec<u8>>,
    ) -> Result<(), CertificateError> {
        attester::check_leaf(&chain, self.public_key(), "OTrP key")?;
        if !firmware_chain.is_empty() {
            attester::check_leaf(&firmware_chain, self.firmware.key.public_key(), "firmware key")?;
        }
        let put = |name: &[u8], chain| Change::Put(name.to_vec(), attester::write_chain(chain));
        store
            .commit(vec![put(OTRP_CHAIN, &chain), put(FIRMWARE_CHAIN, &firmware_chain)])
            .map_err(CertificateError::Platform)?;
        (self.chain, self.firmware.chain) = (chain, firmware_chain);
        Ok(())
    }
}

impl OtrpIdentity for Otrp {
    fn name(&self) -> &str {
        &self.config.tee_name
    }

    fn version(&self) -> &str {
        &self.config.tee_version
    }

    fn chain(&self) -> &[Vec<u8>] {
        &self.chain
    }

    fn signer(&self) -> &dyn Sign {
        &*self.signer
    }

    fn agreement(&self) -> &dyn KeyAgree {
        &*self.agreement
    }

    fn firmware_signature(&self, tid: &[u8]) -> Result<Option<FirmwareSignature>, Error> {
        let Firmware { key, chain, provider } = &self.firmware;
        let Some(certificate) = chain.first() else { return Ok(None) };
        let signature = key.sign(tid).map_err(|_| Error::Crypto)?;
        // The TEE's part: what it passes on is of the firmware that the certificate names, and of no other.
        let certified = attester::certified_key(certificate).ok_or(Error::NotAuthentic)?;
        provider.verify.verify(&certified, tid, &signature).map_err(|_| Error::NotAuthentic)?;
        Ok(Some(FirmwareSignature { certificate: certificate.clone(), signature }))
    }
}
