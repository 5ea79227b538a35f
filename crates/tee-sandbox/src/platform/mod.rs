//! [`SoftwarePlatform`]: the device as the Agent sees it, on a sealed [`Store`].
//!
//! What only the root of trust can do - Evidence, requests for certificates, the firmware's part in OTrP - it asks of the
//! [`Launcher`]; no key for any of it is in this process (security rule K6).
//!
//! The platform keeps its own pairs (device keys, certificate chain, configuration) under keys that begin with `p`; the
//! Agent can neither read nor write those.

mod certificates;
mod face;
mod otrp;

use tamarack_crypto::{KeyAgree, KeyType, Provider, PublicKey, Secret, Sign};
use tamarack_eat::{SOFTWARE_TEE_FORMAT, TA_FORMAT};
use tamarack_tee::{
    BlobId, Change, Error, Evidence, EvidenceRequest, Identity, NOTES, OtrpIdentity, Pair, Persona, Platform,
    STATE, StateRoot, TaError, TaInstance, TaLimits,
};

use crate::Layers;
use crate::enrol::DeviceConfig;
use crate::launcher::{Launcher, Statement};
use crate::panel::Panel;
use crate::sealed::Store;
use face::Face;
use otrp::Otrp;

const CONFIG: &[u8] = b"p/config";

/// The software TEE as a [`Platform`].
pub struct SoftwarePlatform {
    store: Store,
    launcher: Launcher,
    layers: Layers,
    config: DeviceConfig,
    faces: Vec<Face>,
    panel: Option<Panel>,
}

/// Why a certificate chain was not installed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// There is none, or its first certificate cannot be read.
    Malformed,
    /// It certifies another key than those of this device that it is for; which.
    OtherKey(&'static str),
    /// Not every persona has exactly one.
    Count(&'static str),
    /// The device was made without an OTrP identity, so it has no key that such a certificate could be of.
    NoOtrp,
    /// It could not be stored.
    Platform(Error),
}

impl core::fmt::Display for CertificateError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Malformed => f.write_str("the certificate chain cannot be read"),
            Self::OtherKey(which) => write!(f, "a certificate is not of this device's {which}"),
            Self::Count(which) => write!(f, "each {which} of the device needs one certificate"),
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
        launcher: Launcher,
        layers: Layers,
        config: &DeviceConfig,
        provider: Provider,
    ) -> Result<Self, Error> {
        if store.get(CONFIG).is_some() {
            return Err(Error::Storage("there is a device in this folder already".into()));
        }
        let mut changes = vec![Change::Put(CONFIG.to_vec(), tamarack_cbor::Encode::to_cbor(config))];
        for persona in (0..config.personas).map(Persona) {
            changes.extend(Face::make_keys(persona, config, &provider)?);
        }
        store.commit(changes)?;
        Self::open(store, launcher, layers, provider)
    }

    /// Opens the device that [`SoftwarePlatform::create`] made. `layers` are those around this process; `launcher` knows its
    /// own.
    pub fn open(store: Store, launcher: Launcher, layers: Layers, provider: Provider) -> Result<Self, Error> {
        let config = store.get(CONFIG).ok_or_else(|| missing("no device was made in this folder"))?;
        let config = DeviceConfig::read(config).map_err(|e| Error::Storage(e.to_string()))?;
        let personas = (0..config.personas).map(Persona);
        let faces = personas
            .map(|persona| Face::open(persona, &store, &config, &launcher, provider))
            .collect::<Result<_, _>>()?;
        Ok(Self { store, launcher, layers, config, faces, panel: None })
    }

    /// Asks the person at the device here.
    pub fn with_panel(self, panel: Option<Panel>) -> Self {
        Self { panel, ..self }
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
        self.layers
    }

    /// Quality of the rollback counter: `file` or `none`.
    pub fn counter_quality(&self) -> &'static str {
        self.store.counter_quality()
    }

    /// Certificate requests (PKCS #10, PEM) for the attestation keys of all personas, for a TEE CA. They say the same but
    /// for the key, so that no certificate tells of another.
    pub fn certificate_requests(&self, common_name: &str) -> Result<Vec<String>, Error> {
        let personas = (0..self.config.personas).map(Persona);
        let request = |persona| self.launcher.attestation_request(persona, common_name);
        personas.map(|persona| certificates::request_pem(&request(persona)?)).collect()
    }

    /// The key that a persona's Evidence is signed with; its thumbprint is the DeviceId that the Owner knows.
    pub fn attestation_public_key(&self, persona: Persona) -> Result<PublicKey, Error> {
        self.face(persona)?;
        self.launcher.attestation_key(persona)
    }

    /// Whether a TEE CA has certified the attestation keys.
    pub fn is_certified(&self) -> bool {
        self.faces.iter().all(|face| !face.chain.is_empty())
    }

    /// Installs the certificates (DER, each chain leaf first) that a TEE CA issued for the attestation keys, one chain for
    /// each persona in any order. Who the CA is matters to those who verify Evidence, not here.
    pub fn install_certificates(&mut self, chains: Vec<Vec<Vec<u8>>>) -> Result<(), CertificateError> {
        const WHICH: &str = "attestation key";
        let mut keys = Vec::new();
        for persona in (0..self.config.personas).map(Persona) {
            keys.push(self.launcher.attestation_key(persona).map_err(CertificateError::Platform)?);
        }
        let chains = certificates::by_key(chains, &keys, WHICH)?;
        let stored = (0..).map(Persona).zip(&chains).map(|(persona, chain)| {
            Change::Put(face::name(face::CHAIN, persona), certificates::write_chain(chain))
        });
        self.store.commit(stored.collect()).map_err(CertificateError::Platform)?;
        self.faces.iter_mut().zip(chains).for_each(|(face, chain)| face.chain = chain);
        Ok(())
    }

    /// Certificate requests (PKCS #10, PEM) for the keys of OTrP, the TEE's and the firmware's, of each persona; empty on a
    /// device that was made without.
    pub fn otrp_certificate_requests(&self, common_name: &str) -> Result<Vec<(String, String)>, Error> {
        let identities = self.faces.iter().filter_map(|face| face.otrp.as_ref());
        identities.map(|otrp| otrp.certificate_requests(common_name)).collect()
    }

    /// Installs the certificates (DER, each chain leaf first, the root last) that CAs issued for the keys of the TEE and of
    /// the firmware, one chain for each persona in any order, all or nothing. `firmware_chains` may be empty: then the
    /// device's firmware does not vouch for it.
    pub fn install_otrp_certificates(
        &mut self,
        chains: Vec<Vec<Vec<u8>>>,
        firmware_chains: Vec<Vec<Vec<u8>>>,
    ) -> Result<(), CertificateError> {
        let mut identities: Vec<&mut Otrp> =
            self.faces.iter_mut().filter_map(|face| face.otrp.as_mut()).collect();
        if identities.is_empty() {
            return Err(CertificateError::NoOtrp);
        }
        let mut keys = (Vec::new(), Vec::new());
        for otrp in &identities {
            keys.0.push(otrp.public_key().map_err(CertificateError::Platform)?);
            keys.1.push(otrp.firmware_public_key().map_err(CertificateError::Platform)?);
        }
        let chains = certificates::by_key(chains, &keys.0, "OTrP key")?;
        let firmware_chains = match firmware_chains.is_empty() {
            true => vec![Vec::new(); chains.len()],
            false => certificates::by_key(firmware_chains, &keys.1, "firmware key")?,
        };
        let both = chains.into_iter().zip(firmware_chains);
        let stored = (0..).map(Persona).zip(both.clone());
        let stored = stored.flat_map(|(persona, (chain, firmware))| otrp::stored(persona, &chain, &firmware));
        self.store.commit(stored.collect()).map_err(CertificateError::Platform)?;
        for (otrp, (chain, firmware)) in identities.iter_mut().zip(both) {
            otrp.set_chains(chain, firmware);
        }
        Ok(())
    }

    fn face(&self, persona: Persona) -> Result<&Face, Error> {
        self.faces.get(persona.0 as usize).ok_or(Error::NoPersona)
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

    fn count(&mut self) -> Result<(), Error> {
        self.store.count()
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

    fn personas(&self) -> u32 {
        self.config.personas
    }

    fn key_type(&self) -> KeyType {
        self.config.key_type
    }

    fn teep_key(&self, persona: Persona) -> Result<&dyn Sign, Error> {
        self.face(persona)?.teep_key()
    }

    fn report_key(&self, persona: Persona) -> Result<&dyn Sign, Error> {
        self.face(persona)?.report_key()
    }

    fn decryption_key(&self, persona: Persona) -> Result<&dyn KeyAgree, Error> {
        self.face(persona)?.decryption_key()
    }

    fn identity(&self, persona: Persona) -> Result<&Identity, Error> {
        Ok(&self.face(persona)?.identity)
    }

    fn evidence(&self, persona: Persona, request: &EvidenceRequest<'_>) -> Result<Evidence, Error> {
        let face = self.face(persona)?;
        let teep_key = face.teep_key()?.public_key();
        let confirm = request.confirm.unwrap_or(teep_key);
        let otrp_key = face.otrp.as_ref().map(Otrp::public_key).transpose()?;
        if confirm != teep_key && otrp_key != Some(confirm) {
            return Err(Error::NotOwnKey);
        }
        let Identity { oemid, hwmodel, hwversion, .. } = face.identity.clone();
        let statement = Statement {
            nonce: request.nonce.to_vec(),
            ueid: request.ueid.to_vec(),
            trust_store_sequence: request.trust_store_sequence,
            state: request.state,
            components: request.components.to_vec(),
            ta: request.ta.map(<[u8]>::to_vec),
            confirm,
            decryption: face.decryption_key()?.public_key(),
            oemid,
            hwmodel,
            hwversion,
            layers: self.layers,
        };
        let format = if request.ta.is_some() { TA_FORMAT } else { SOFTWARE_TEE_FORMAT };
        let payload = self.launcher.evidence(persona, statement, face.chain.clone())?;
        Ok(Evidence { format: format.into(), payload })
    }

    fn confirm(&self, text: &str) -> Result<bool, Error> {
        self.panel.as_ref().ok_or(Error::NoPanel)?.ask(text)
    }

    fn otrp(&self, persona: Persona) -> Option<&dyn OtrpIdentity> {
        let otrp = self.face(persona).ok()?.otrp.as_ref()?;
        // One whose keys do not load is none: everything else of the device goes on.
        otrp.is_usable().then_some(otrp as &dyn OtrpIdentity)
    }

    fn load_ta(&self, module: &[u8], limits: &TaLimits) -> Result<Box<dyn TaInstance>, TaError> {
        crate::wasm::load(module, limits)
    }
}

fn is_the_agents(key: &[u8]) -> bool {
    matches!(key.first(), Some(&(STATE | NOTES)))
}

fn missing(what: &str) -> Error {
    Error::Storage(what.into())
}

/// The kind of key that a device makes unless it is told otherwise.
pub const DEFAULT_KEY_TYPE: KeyType = KeyType::Ed25519;

#[cfg(test)]
mod tests;
