//! One persona: its keys, each loaded when it is first needed, its names and its certificates.

use std::cell::OnceCell;

use tamarack_crypto::{KeyAgree, KeyType, Provider, Secret, Sign};
use tamarack_tee::{Change, Error, Identity, Persona};

use super::otrp::{OTRP_KEY, Otrp};
use super::{certificates, missing};
use crate::enrol::DeviceConfig;
use crate::launcher::Launcher;
use crate::sealed::Store;

pub(super) const TEEP_KEY: &str = "key/teep";
pub(super) const REPORT_KEY: &str = "key/report";
pub(super) const DECRYPTION_KEY: &str = "key/decryption";
pub(super) const CHAIN: &str = "chain";

/// Where the platform keeps what belongs to a persona.
pub(super) fn name(what: &str, persona: Persona) -> Vec<u8> {
    format!("p/{}/{what}", persona.0).into_bytes()
}

/// What one Owner sees.
pub(super) struct Face {
    teep: SignatureKey,
    report: SignatureKey,
    decryption: AgreementKey,
    pub identity: Identity,
    /// Certificates of the attestation key, DER, leaf first; empty until they are installed.
    pub chain: Vec<Vec<u8>>,
    pub otrp: Option<Otrp>,
}

impl Face {
    /// Makes the keys of a new persona.
    pub fn make_keys(
        persona: Persona,
        config: &DeviceConfig,
        provider: &Provider,
    ) -> Result<Vec<Change>, Error> {
        let mut kinds =
            vec![(TEEP_KEY, config.key_type), (REPORT_KEY, config.key_type), (DECRYPTION_KEY, KeyType::P256)];
        // P-256 whatever the others are: the one kind that OTrP both signs with and encrypts to, apart from RSA.
        kinds.extend(config.otrp.is_some().then_some((OTRP_KEY, KeyType::P256)));
        let mut changes = Vec::new();
        for (what, key_type) in kinds {
            let key = provider.keys.generate_pkcs8(key_type).map_err(|_| Error::Crypto)?;
            changes.push(Change::Put(name(what, persona), key.expose().clone()));
        }
        Ok(changes)
    }

    pub fn open(
        persona: Persona,
        store: &Store,
        config: &DeviceConfig,
        launcher: &Launcher,
        provider: Provider,
    ) -> Result<Self, Error> {
        let signature = |what| SignatureKey::new(store, &name(what, persona), provider);
        let chain = store.get(&name(CHAIN, persona)).map(certificates::read_chain).transpose()?;
        let otrp = config
            .otrp
            .clone()
            .map(|otrp| Otrp::open(persona, store, otrp, launcher, provider))
            .transpose()?;
        Ok(Self {
            teep: signature(TEEP_KEY)?,
            report: signature(REPORT_KEY)?,
            decryption: AgreementKey::new(store, &name(DECRYPTION_KEY, persona), provider)?,
            identity: Identity {
                vendor_id: config.vendor_id,
                class_id: config.class_id,
                device_id: device_id(persona, store)?,
                oemid: config.oemid,
                hwmodel: config.hwmodel.clone(),
                hwversion: config.hwversion.clone(),
                agent_digest: launcher.hello().agent_digest,
                firmware_digest: launcher.hello().launcher_digest,
                configuration_digest: launcher.hello().configuration_digest,
            },
            chain: chain.unwrap_or_default(),
            otrp,
        })
    }

    pub fn teep_key(&self) -> Result<&dyn Sign, Error> {
        self.teep.get()
    }

    pub fn report_key(&self) -> Result<&dyn Sign, Error> {
        self.report.get()
    }

    pub fn decryption_key(&self) -> Result<&dyn KeyAgree, Error> {
        self.decryption.get()
    }
}

/// The identifier of a persona: random to everybody without the root secret, and the same at every start.
fn device_id(persona: Persona, store: &Store) -> Result<[u8; 16], Error> {
    let key = store.derive_key(&[b"tamarack device identifier", &persona.0.to_be_bytes()])?;
    let mut id = [0; 16];
    id.copy_from_slice(&key.expose()[..16]);
    // A UUID of version 8, variant 1: made in a way of our own (RFC 9562 section 5.8).
    id[6] = id[6] & 0x0f | 0x80;
    id[8] = id[8] & 0x3f | 0x80;
    Ok(id)
}

/// A sealed key, loaded when it is first used: most personas of a device are never seen.
pub(super) struct Sealed<K: ?Sized> {
    pkcs8: Secret<Vec<u8>>,
    provider: Provider,
    loaded: OnceCell<Box<K>>,
}

pub(super) type SignatureKey = Sealed<dyn Sign>;
pub(super) type AgreementKey = Sealed<dyn KeyAgree>;

impl<K: ?Sized> Sealed<K> {
    pub fn new(store: &Store, name: &[u8], provider: Provider) -> Result<Self, Error> {
        let pkcs8 = store.get(name).ok_or_else(|| missing("a device key is missing"))?;
        Ok(Self { pkcs8: Secret::new(pkcs8.to_vec()), provider, loaded: OnceCell::new() })
    }

    fn loaded(
        &self,
        load: impl FnOnce(&Provider, &[u8]) -> Result<Box<K>, tamarack_crypto::Error>,
    ) -> Result<&K, Error> {
        if self.loaded.get().is_none() {
            let key = load(&self.provider, self.pkcs8.expose()).map_err(|_| Error::Crypto)?;
            let _ = self.loaded.set(key);
        }
        self.loaded.get().map(|key| &**key).ok_or(Error::Crypto)
    }
}

impl SignatureKey {
    pub fn get(&self) -> Result<&dyn Sign, Error> {
        self.loaded(|provider, pkcs8| provider.keys.load_pkcs8(pkcs8))
    }
}

impl AgreementKey {
    pub fn get(&self) -> Result<&dyn KeyAgree, Error> {
        self.loaded(|provider, pkcs8| provider.agree.load_pkcs8(pkcs8))
    }
}
