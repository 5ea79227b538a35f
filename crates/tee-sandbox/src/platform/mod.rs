//! [`SoftwarePlatform`]: the device as the Agent sees it, on a sealed [`Store`].
//!
//! The platform keeps its own pairs (device keys, certificate chain, configuration) under keys that begin with `p`; the
//! Agent can neither read nor write those.

mod attester;
mod otrp;

use tamarack_crypto::{KeyType, Provider, PublicKey, Secret, Sign};
use tamarack_tee::{
    BlobId, Change, Error, Evidence, EvidenceRequest, Identity, NOTES, OtrpIdentity, Pair, Platform, STATE,
    StateRoot, TaError, TaInstance, TaLimits,
};

use crate::Layers;
use crate::enrol::DeviceConfig;
use crate::sealed::Store;
use attester::{Attester, Standing};
use otrp::Otrp;

const CONFIG: &[u8] = b"p/config";
const TEEP_KEY: &[u8] = b"p/key/teep";
const REPORT_KEY: &[u8] = b"p/key/report";
const ATTESTATION_KEY: &[u8] = b"p/key/attestation";
const CHAIN: &[u8] = b"p/chain";

/// What the process measured and did before the platform was opened.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Layers of isolation that are present.
    pub layers: Layers,
    /// SHA-256 of the Agent's code.
    pub agent_digest: [u8; 32],
    /// SHA-256 of the TEE's launcher.
    pub firmware_digest: [u8; 32],
    /// Where the root secret came from: `file`, or `tpm` where one seals it.
    pub root_secret: &'static str,
}

/// The software TEE as a [`Platform`].
pub struct SoftwarePlatform {
    store: Store,
    measured: Measured,
    config: DeviceConfig,
    identity: Identity,
    teep_key: Box<dyn Sign>,
    report_key: Box<dyn Sign>,
    attester: Attester,
    otrp: Option<Otrp>,
}

/// Why a certificate chain was not installed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// There is none, or its first certificate cannot be read.
    Malformed,
    /// It certifies another key than the one of this device that it is for; which.
    OtherKey(&'static str),
    /// The device was made without an OTrP identity, so it has no key that such a certificate could be of.
    NoOtrp,
    /// It could not be stored.
    Platform(Error),
}

impl core::fmt::Display for CertificateError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Malformed => f.write_str("the certificate chain cannot be read"),
            Self::OtherKey(which) => write!(f, "the certificate is not of this device's {which}"),
            Self::NoOtrp => f.write_str("the device was made without an OTrP identity"),
            Self::Platform(e) => e.fmt(f),
        }
    }
}

impl core::error::Error for CertificateError {}

impl SoftwarePlatform {
    /// Makes the device `config` in an empty store: its keys are generated here and never leave. Refuses a store that
    /// already holds a device, for that would destroy it.
    pub fn create(
        mut store: Store,
        measured: Measured,
        config: &DeviceConfig,
        provider: Provider,
    ) -> Result<Self, Error> {
        if store.get(CONFIG).is_some() {
            return Err(Error::Storage("there is a device in this folder already".into()));
        }
        let mut changes = vec![Change::Put(CONFIG.to_vec(), tamarack_cbor::Encode::to_cbor(config))];
        for name in [TEEP_KEY, REPORT_KEY, ATTESTATION_KEY] {
            let key = provider.keys.generate_pkcs8(config.key_type).map_err(|_| Error::Crypto)?;
            changes.push(Change::Put(name.to_vec(), key.expose().clone()));
        }
        if config.otrp.is_some() {
            changes.extend(Otrp::make_keys(&provider)?);
        }
        store.commit(changes)?;
        Self::open(store, measured, provider)
    }

    /// Opens the device that [`SoftwarePlatform::create`] made.
    pub fn open(store: Store, measured: Measured, provider: Provider) -> Result<Self, Error> {
        let config = store.get(CONFIG).ok_or_else(|| missing("no device was made in this folder"))?;
        let config = DeviceConfig::read(config).map_err(|e| Error::Storage(e.to_string()))?;
        let identity = config.identity(measured.agent_digest, measured.firmware_digest);
        let attestation_key = load(&store, ATTESTATION_KEY, &provider)?;
        let chain = store.get(CHAIN).map(attester::read_chain).transpose()?.unwrap_or_default();
        let otrp = config.otrp.clone().map(|config| Otrp::open(&store, config, provider)).transpose()?;
        Ok(Self {
            otrp,
            teep_key: load(&store, TEEP_KEY, &provider)?,
            report_key: load(&store, REPORT_KEY, &provider)?,
            attester: Attester::new(attestation_key, chain),
            store,
            measured,
            config,
            identity,
        })
    }

    /// Whether `store` holds a device, or is still to be given one by [`SoftwarePlatform::create`].
    pub fn is_enrolled(store: &Store) -> bool {
        store.get(CONFIG).is_some()
    }

    /// What the device was made as.
    pub fn config(&self) -> &DeviceConfig {
        &self.config
    }

    /// The layers of isolation that were found at start.
    pub fn layers(&self) -> Layers {
        self.measured.layers
    }

    /// Quality of the rollback counter: `file` or `none`.
    pub fn counter_quality(&self) -> &'static str {
        self.store.counter_quality()
    }

    /// A certificate request (PKCS #10, PEM) for the attestation key, for a TEE CA.
    pub fn certificate_request(&self, common_name: &str) -> Result<String, Error> {
        self.attester.certificate_request(common_name)
    }

    /// The key that Evidence is signed with; its thumbprint is the DeviceId.
    pub fn attestation_public_key(&self) -> PublicKey {
        self.attester.public_key()
    }

    /// Whether a TEE CA has certified the attestation key.
    pub fn is_certified(&self) -> bool {
        !self.attester.chain().is_empty()
    }

    /// Installs the certificates (DER, leaf first) that a TEE CA issued for the attestation key. Who the CA is matters to
    /// those who verify Evidence, not here.
    pub fn install_certificates(&mut self, chain: Vec<Vec<u8>>) -> Result<(), CertificateError> {
        attester::check_leaf(&chain, self.attester.public_key(), "attestation key")?;
        let stored = Change::Put(CHAIN.to_vec(), attester::write_chain(&chain));
        self.store.commit(vec![stored]).map_err(CertificateError::Platform)?;
        self.attester.set_chain(chain);
        Ok(())
    }

    /// Certificate requests (PKCS #10, PEM) for the keys of OTrP, the TEE's and the firmware's; None on a device that was
    /// made without.
    pub fn otrp_certificate_requests(&self, common_name: &str) -> Result<Option<(String, String)>, Error> {
        self.otrp.as_ref().map(|otrp| otrp.certificate_requests(common_name)).transpose()
    }

    /// Installs the certificates (DER, leaf first, the root last) that CAs issued for the TEE's key and the firmware's key,
    /// both or neither. `firmware_chain` may be empty: then the device's firmware does not vouch for it.
    pub fn install_otrp_certificates(
        &mut self,
        chain: Vec<Vec<u8>>,
        firmware_chain: Vec<Vec<u8>>,
    ) -> Result<(), CertificateError> {
        let otrp = self.otrp.as_mut().ok_or(CertificateError::NoOtrp)?;
        otrp.install(&mut self.store, chain, firmware_chain)
    }
}

impl Platform for SoftwarePlatform {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.store.get(key).filter(|_| is_the_agents(key)).map(<[u8]>::to_vec))
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, Error> {
        let mut pairs = self.store.scan(prefix);
        pairs.retain(|(key, _)| is_the_agents(key));
        Ok(pairs)
    }

    fn commit(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        let foreign = changes.iter().any(|change| match change {
            Change::Put(key, _) | Change::Delete(key) => !is_the_agents(key),
            Change::KeepBlob(_) | Change::DropBlob(_) => false,
        });
        if foreign {
            return Err(Error::Storage("keys of the Agent begin with 's' or 'n'".into()));
        }
        self.store.commit(changes)
    }

    fn state_root(&self) -> StateRoot {
        self.store.state_root()
    }

    fn stage(&mut self) -> Result<BlobId, Error> {
        self.store.stage()
    }

    fn stage_write(&mut self, blob: BlobId, chunk: &[u8]) -> Result<(), Error> {
        self.store.stage_write(blob, chunk)
    }

    fn stage_finish(&mut self, blob: BlobId) -> Result<u64, Error> {
        self.store.stage_finish(blob)
    }

    fn discard(&mut self, blob: BlobId) {
        self.store.discard(blob);
    }

    fn read_blob(&self, blob: BlobId, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        self.store.read_blob(blob, sink)
    }

    fn storage_key(&self, context: &[u8]) -> Result<Secret<[u8; 32]>, Error> {
        let generation = self.config.key_generation.to_be_bytes();
        self.store.derive_key(&[b"tamarack storage key", &generation, context])
    }

    fn teep_key(&self) -> &dyn Sign {
        &*self.teep_key
    }

    fn report_key(&self) -> &dyn Sign {
        &*self.report_key
    }

    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn evidence(&self, request: &EvidenceRequest<'_>) -> Result<Evidence, Error> {
        let teep_key = self.teep_key.public_key();
        let confirm = request.confirm.unwrap_or(teep_key);
        if confirm != teep_key && self.otrp.as_ref().map(Otrp::public_key) != Some(confirm) {
            return Err(Error::NotOwnKey);
        }
        let standing = Standing {
            identity: &self.identity,
            confirm,
            measured: &self.measured,
            counter_quality: self.store.counter_quality(),
            root: self.store.state_root(),
        };
        self.attester.evidence(request, &standing)
    }

    fn otrp(&self) -> Option<&dyn OtrpIdentity> {
        self.otrp.as_ref().map(|otrp| otrp as &dyn OtrpIdentity)
    }

    fn load_ta(&self, module: &[u8], limits: &TaLimits) -> Result<Box<dyn TaInstance>, TaError> {
        crate::wasm::load(module, limits)
    }
}

fn is_the_agents(key: &[u8]) -> bool {
    matches!(key.first(), Some(&(STATE | NOTES)))
}

fn load(store: &Store, name: &[u8], provider: &Provider) -> Result<Box<dyn Sign>, Error> {
    let pkcs8 = store.get(name).ok_or_else(|| missing("a device key is missing"))?;
    provider.keys.load_pkcs8(pkcs8).map_err(|_| Error::Crypto)
}

fn missing(what: &str) -> Error {
    Error::Storage(what.into())
}

/// The kind of key that a device makes unless it is told otherwise.
pub const DEFAULT_KEY_TYPE: KeyType = KeyType::Ed25519;

#[cfg(test)]
mod tests;
