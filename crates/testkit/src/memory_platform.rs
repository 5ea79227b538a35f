//! A TEE in memory, for tests of the engine that runs on [`Platform`].
//!
//! Its keys follow from a seed, so a test names devices by numbers. What would be on disk is a [`MemoryStorage`] that
//! outlives the platform: a test cuts the power, opens another platform on the same storage and looks.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tamarack_crypto::{KeyAgree, KeyType, Provider, PublicKey, Secret, Sign};
use tamarack_eat::{
    Claims, Confirmation, DebugStatus, HardwareVersion, LAYERS, Manifest, OemId, PlatformClaims, Profile,
    SOFTWARE_TEE_PROFILE,
};
use tamarack_tee::{
    BlobId, Change, Error, Evidence, EvidenceRequest, FirmwareSignature, Identity, NOTES, OtrpIdentity, Pair,
    Persona, Platform, STATE, StateRoot, TaError, TaInstance, TaLimits, state_digest,
};

/// Number of personas that a [`MemoryPlatform`] has.
pub const PERSONAS: u32 = 6;

/// Loads a TA; tests choose what a module is.
pub type Loader = Arc<dyn Fn(&[u8], &TaLimits) -> Result<Box<dyn TaInstance>, TaError> + Send + Sync>;

/// What a device keeps while it has no power. Copies are handles of the same storage.
#[derive(Clone, Default)]
pub struct MemoryStorage(Arc<Mutex<Stored>>);

#[derive(Default)]
struct Stored {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    epoch: u64,
    blobs: BTreeMap<BlobId, Blob>,
    blobs_made: u64,
    commits: u64,
    power: Option<u64>,
}

struct Blob {
    data: Vec<u8>,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    Finished,
    Kept,
}

impl MemoryStorage {
    fn lock(&self) -> MutexGuard<'_, Stored> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `commits` more commits pass; every one after them fails and changes nothing.
    pub fn cut_power_after(&self, commits: u64) {
        self.lock().power = Some(commits);
    }

    /// Ends [`MemoryStorage::cut_power_after`].
    pub fn restore_power(&self) {
        self.lock().power = None;
    }

    /// Number of commits so far, to choose where to cut.
    pub fn commits(&self) -> u64 {
        self.lock().commits
    }

    /// Every pair, in ascending order of keys.
    pub fn pairs(&self) -> Vec<Pair> {
        self.lock().pairs.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// Number of payloads, kept or not.
    pub fn blobs(&self) -> usize {
        self.lock().blobs.len()
    }

    /// A copy of everything, as an attacker with the disk would make it.
    pub fn snapshot(&self) -> Self {
        let stored = self.lock();
        let blobs = stored.blobs.iter().map(|(id, b)| (*id, Blob { data: b.data.clone(), stage: b.stage }));
        Self(Arc::new(Mutex::new(Stored {
            pairs: stored.pairs.clone(),
            epoch: stored.epoch,
            blobs: blobs.collect(),
            blobs_made: stored.blobs_made,
            commits: stored.commits,
            power: None,
        })))
    }
}

/// A [`Platform`] that keeps everything in a [`MemoryStorage`].
pub struct MemoryPlatform {
    provider: Provider,
    storage: MemoryStorage,
    root: Secret<[u8; 32]>,
    seed: u8,
    keys: Vec<OnceCell<Keys>>,
    chains: Vec<Vec<Vec<u8>>>,
    identities: Vec<Identity>,
    otrp: Vec<MemoryOtrp>,
    loader: Loader,
    answer: Option<bool>,
}

/// The keys of a persona, made when they are first asked for.
struct Keys {
    teep: Box<dyn Sign>,
    report: Box<dyn Sign>,
    attestation: Box<dyn Sign>,
    decryption: Box<dyn KeyAgree>,
}

/// What a persona of a [`MemoryPlatform`] is in OTrP.
struct MemoryOtrp {
    name: String,
    signer: Box<dyn Sign>,
    agreement: Box<dyn KeyAgree>,
    chain: Vec<Vec<u8>>,
    firmware_key: Box<dyn Sign>,
    firmware_chain: Vec<Vec<u8>>,
}

impl MemoryPlatform {
    /// The device number `seed` with empty storage. It loads no TAs until it is given a [`Loader`].
    pub fn new(provider: Provider, seed: u8) -> Self {
        Self::open(provider, seed, MemoryStorage::default())
    }

    /// The device number `seed` as it starts on `storage`; payloads that no commit kept are gone.
    pub fn open(provider: Provider, seed: u8, storage: MemoryStorage) -> Self {
        storage.lock().blobs.retain(|_, blob| blob.stage == Stage::Kept);
        Self {
            provider,
            storage,
            root: Secret::new([seed; 32]),
            seed,
            keys: (0..PERSONAS).map(|_| OnceCell::new()).collect(),
            chains: vec![Vec::new(); PERSONAS as usize],
            identities: (0..PERSONAS).map(|number| identity(seed, Persona(number))).collect(),
            otrp: Vec::new(),
            loader: Arc::new(|_, _| Err(TaError::Invalid("this test loads no TAs".into()))),
            answer: None,
        }
    }

    /// Loads TAs with `loader`.
    pub fn with_loader(self, loader: Loader) -> Self {
        Self { loader, ..self }
    }

    /// Sends `chain`, leaf first, DER, with the Evidence of a persona.
    ///
    /// # Panics
    /// If there is no such persona.
    pub fn with_certificate_chain(mut self, persona: Persona, chain: Vec<Vec<u8>>) -> Self {
        self.chains[persona.0 as usize] = chain;
        self
    }

    /// Speaks OTrP too, as [`crate::otrp_pki::OtrpPki::device`] certified it.
    pub fn with_otrp(self, seed: u8, device: OtrpDevice) -> Self {
        let OtrpDevice { name, personas } = device;
        let provider = &self.provider;
        let otrp = personas.into_iter().zip(0..).map(|(chains, number)| {
            let pkcs8 = otrp_pkcs8(provider, seed, Persona(number));
            MemoryOtrp {
                name: name.clone(),
                signer: provider.keys.load_pkcs8(&pkcs8).expect("a P-256 key"),
                agreement: provider.agree.load_pkcs8(&pkcs8).expect("a P-256 key"),
                chain: chains.chain,
                firmware_key: firmware_key(provider, seed, Persona(number)),
                firmware_chain: chains.firmware_chain,
            }
        });
        Self { otrp: otrp.collect(), ..self }
    }

    /// Has somebody at its panel who answers everything so.
    pub fn with_answer(self, answer: bool) -> Self {
        Self { answer: Some(answer), ..self }
    }

    /// Is something else, but for the identifiers that its personas have.
    pub fn with_identity(mut self, identity: Identity) -> Self {
        for own in &mut self.identities {
            *own = Identity { device_id: own.device_id, ..identity.clone() };
        }
        self
    }

    /// The storage, to look at or to open again.
    pub fn storage(&self) -> MemoryStorage {
        self.storage.clone()
    }

    /// The key of a persona that a TEE CA certifies.
    ///
    /// # Panics
    /// If there is no such persona.
    pub fn attestation_public_key(&self, persona: Persona) -> PublicKey {
        self.keys(persona).expect("a persona").attestation.public_key()
    }

    fn keys(&self, persona: Persona) -> Result<&Keys, Error> {
        let keys = self.keys.get(persona.0 as usize).ok_or(Error::NoPersona)?;
        Ok(keys.get_or_init(|| {
            let key = |name: &[u8]| ed25519(&self.provider, self.seed, &label(name, persona));
            let decryption = p256_pkcs8(&self.provider, self.seed, &label(b"decryption", persona));
            Keys {
                teep: key(b"teep"),
                report: key(b"report"),
                attestation: key(b"attestation"),
                decryption: self.provider.agree.load_pkcs8(&decryption).expect("a P-256 key"),
            }
        }))
    }
}

impl Platform for MemoryPlatform {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.storage.lock().pairs.get(key).cloned())
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, Error> {
        let stored = self.storage.lock();
        let from = stored.pairs.range(prefix.to_vec()..);
        Ok(from.take_while(|(k, _)| k.starts_with(prefix)).map(|(k, v)| (k.clone(), v.clone())).collect())
    }

    fn count(&mut self) -> Result<(), Error> {
        // It counts with the commit.
        Ok(())
    }

    fn commit(&mut self, changes: Vec<Change>) -> Result<(), Error> {
        let mut stored = self.storage.lock();
        if stored.power == Some(0) {
            return Err(Error::Storage("the power is off".into()));
        }
        // Everything is checked before anything is changed.
        for change in &changes {
            let (id, stage) = match change {
                Change::KeepBlob(id) => (id, Stage::Finished),
                Change::DropBlob(id) => (id, Stage::Kept),
                Change::Put(key, _) | Change::Delete(key)
                    if matches!(key.first(), Some(&(STATE | NOTES))) =>
                {
                    continue;
                }
                Change::Put(..) | Change::Delete(_) => {
                    return Err(Error::Storage("keys begin with 's' or 'n'".into()));
                }
            };
            if stored.blobs.get(id).is_none_or(|blob| blob.stage != stage) {
                return Err(Error::Blob);
            }
        }
        let mut touches_state = false;
        for change in changes {
            match change {
                Change::Put(key, value) => {
                    touches_state |= key.first() == Some(&STATE);
                    stored.pairs.insert(key, value);
                }
                Change::Delete(key) => {
                    touches_state |= key.first() == Some(&STATE);
                    stored.pairs.remove(&key);
                }
                Change::KeepBlob(id) => {
                    stored.blobs.entry(id).and_modify(|blob| blob.stage = Stage::Kept);
                }
                Change::DropBlob(id) => {
                    stored.blobs.remove(&id);
                }
            }
        }
        stored.epoch += u64::from(touches_state);
        stored.commits += 1;
        stored.power = stored.power.map(|left| left - 1);
        Ok(())
    }

    fn state_root(&self) -> StateRoot {
        let stored = self.storage.lock();
        let pairs = stored.pairs.iter().map(|(k, v)| (&k[..], &v[..]));
        StateRoot { epoch: stored.epoch, digest: state_digest(&self.provider, pairs) }
    }

    fn stage(&mut self) -> Result<BlobId, Error> {
        let mut stored = self.storage.lock();
        stored.blobs_made += 1;
        let mut id = [0; 16];
        id[..8].copy_from_slice(&stored.blobs_made.to_be_bytes());
        stored.blobs.insert(BlobId(id), Blob { data: Vec::new(), stage: Stage::Open });
        Ok(BlobId(id))
    }

    fn stage_write(&mut self, blob: BlobId, chunk: &[u8]) -> Result<(), Error> {
        match self.storage.lock().blobs.get_mut(&blob) {
            Some(blob) if blob.stage == Stage::Open => {
                blob.data.extend_from_slice(chunk);
                Ok(())
            }
            _ => Err(Error::Blob),
        }
    }

    fn stage_finish(&mut self, blob: BlobId) -> Result<u64, Error> {
        match self.storage.lock().blobs.get_mut(&blob) {
            Some(blob) if blob.stage == Stage::Open => {
                blob.stage = Stage::Finished;
                Ok(blob.data.len() as u64)
            }
            _ => Err(Error::Blob),
        }
    }

    fn discard(&mut self, blob: BlobId) {
        let mut stored = self.storage.lock();
        if stored.blobs.get(&blob).is_some_and(|blob| blob.stage != Stage::Kept) {
            stored.blobs.remove(&blob);
        }
    }

    fn read_blob(&self, blob: BlobId, sink: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        let stored = self.storage.lock();
        match stored.blobs.get(&blob) {
            Some(blob) if blob.stage != Stage::Open => {
                blob.data.chunks(1000).for_each(sink);
                Ok(())
            }
            _ => Err(Error::Blob),
        }
    }

    fn storage_key(&self, context: &[u8]) -> Result<Secret<[u8; 32]>, Error> {
        let mut key = Secret::new([0; 32]);
        self.provider
            .hkdf
            .derive(b"storage", self.root.expose(), context, key.expose_mut())
            .map_err(|_| Error::Crypto)?;
        Ok(key)
    }

    fn personas(&self) -> u32 {
        PERSONAS
    }

    fn key_type(&self) -> KeyType {
        KeyType::Ed25519
    }

    fn teep_key(&self, persona: Persona) -> Result<&dyn Sign, Error> {
        Ok(&*self.keys(persona)?.teep)
    }

    fn report_key(&self, persona: Persona) -> Result<&dyn Sign, Error> {
        Ok(&*self.keys(persona)?.report)
    }

    fn decryption_key(&self, persona: Persona) -> Result<&dyn KeyAgree, Error> {
        Ok(&*self.keys(persona)?.decryption)
    }

    fn identity(&self, persona: Persona) -> Result<&Identity, Error> {
        self.identities.get(persona.0 as usize).ok_or(Error::NoPersona)
    }

    fn evidence(&self, persona: Persona, request: &EvidenceRequest<'_>) -> Result<Evidence, Error> {
        let (keys, identity) = (self.keys(persona)?, self.identity(persona)?);
        let teep_key = keys.teep.public_key();
        let confirm = request.confirm.unwrap_or(teep_key);
        let otrp = self.otrp.get(persona.0 as usize);
        if confirm != teep_key && otrp.map(|otrp| otrp.signer.public_key()) != Some(confirm) {
            return Err(Error::NotOwnKey);
        }
        let claims = Claims {
            eat_nonce: vec![request.nonce.to_vec()],
            ueid: Some(request.ueid.to_vec()),
            oemid: Some(OemId::Random(identity.oemid)),
            hwmodel: Some(identity.hwmodel.clone()),
            hwversion: Some(HardwareVersion { version: identity.hwversion.clone(), scheme: None }),
            eat_profile: Some(Profile::Uri(SOFTWARE_TEE_PROFILE.into())),
            dbgstat: Some(DebugStatus::DisabledSinceBoot),
            cnf: Some(Confirmation::Key(confirm)),
            manifests: vec![Manifest::sha256("urn:x-tamarack:agent", identity.agent_digest)],
            platform: Some(PlatformClaims {
                class: PlatformClaims::SOFTWARE_TEE.into(),
                layers: LAYERS.iter().fold(0, |layers, (bit, _)| layers | bit),
                root_secret: "file".into(),
                counter_quality: "none".into(),
                time_quality: "untrusted".into(),
                state_epoch: request.state.epoch,
                state_root: request.state.digest,
                trust_store_sequence: request.trust_store_sequence,
                decryption_key: Some(self.decryption_key(persona)?.public_key()),
            }),
            ..Claims::default()
        };
        let (claims, format) =
            tamarack_eat::as_requested(claims, request.components, request.ta).map_err(|_| Error::Crypto)?;
        let chain = &self.chains[persona.0 as usize];
        let payload = tamarack_eat::sign(&claims, &*keys.attestation, chain).map_err(|_| Error::Crypto)?;
        Ok(Evidence { format: format.into(), payload })
    }

    fn otrp(&self, persona: Persona) -> Option<&dyn OtrpIdentity> {
        self.otrp.get(persona.0 as usize).map(|otrp| otrp as &dyn OtrpIdentity)
    }

    fn confirm(&self, _text: &str) -> Result<bool, Error> {
        self.answer.ok_or(Error::NoPanel)
    }

    fn load_ta(&self, module: &[u8], limits: &TaLimits) -> Result<Box<dyn TaInstance>, TaError> {
        (self.loader)(module, limits)
    }
}

impl OtrpIdentity for MemoryOtrp {
    fn name(&self) -> &str {
        &self.name
    }

    fn version(&self) -> &str {
        "1"
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
        let Some(certificate) = self.firmware_chain.first() else { return Ok(None) };
        let signature = self.firmware_key.sign(tid).map_err(|_| Error::Crypto)?;
        let certified = tamarack_x509::unvalidated_key(certificate).map_err(|_| Error::NotAuthentic)?;
        if certified != self.firmware_key.public_key() {
            return Err(Error::NotAuthentic);
        }
        Ok(Some(FirmwareSignature { certificate: certificate.clone(), signature }))
    }
}

/// What a device that speaks OTrP was given at its making.
#[derive(Clone, Debug)]
pub struct OtrpDevice {
    /// Name of its TEE.
    pub name: String,
    /// The certificates of each persona.
    pub personas: Vec<OtrpChains>,
}

/// The certificates of one persona in OTrP.
#[derive(Clone, Debug)]
pub struct OtrpChains {
    /// Of its TEE, leaf first, the root last, DER.
    pub chain: Vec<Vec<u8>>,
    /// Of its firmware in the same form; empty for none.
    pub firmware_chain: Vec<Vec<u8>>,
}

/// What a key of a persona is for. That of the first persona is what it was before there were others.
fn label(name: &[u8], persona: Persona) -> Vec<u8> {
    match persona.0 {
        0 => name.to_vec(),
        number => [name, &number.to_be_bytes()].concat(),
    }
}

/// DER PKCS#8 of a P-256 key up to and after the 32 bytes of the private key (RFC 5915), without the public key.
const PKCS8_P256: [u8; 35] = [
    0x30, 0x41, 0x02, 0x01, 0x00, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06,
    0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x04, 0x27, 0x30, 0x25, 0x02, 0x01, 0x01, 0x04,
    0x20,
];

/// DER PKCS#8 of the P-256 key that follows from a seed and what it is for.
fn p256_pkcs8(provider: &Provider, seed: u8, label: &[u8]) -> Vec<u8> {
    [&PKCS8_P256[..], &provider.sha256_parts(&[b"P-256", &[seed], label])].concat()
}

/// DER PKCS#8 of the OTrP key of a persona of the device number `seed`.
pub fn otrp_pkcs8(provider: &Provider, seed: u8, persona: Persona) -> Vec<u8> {
    p256_pkcs8(provider, seed, &label(b"otrp", persona))
}

/// The P-256 key by which the firmware of the device number `seed` vouches for a persona of it.
///
/// # Panics
/// If the provider does not load such a key.
pub fn firmware_key(provider: &Provider, seed: u8, persona: Persona) -> Box<dyn Sign> {
    provider
        .keys
        .load_pkcs8(&p256_pkcs8(provider, seed, &label(b"firmware", persona)))
        .expect("every provider loads a P-256 key")
}

/// PKCS#8 of an Ed25519 key up to the 32 bytes of the private key (RFC 8410 section 7).
const PKCS8_ED25519: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];

/// The Ed25519 key that follows from a seed and what it is for.
///
/// # Panics
/// If the provider does not load Ed25519 keys, which the provider suite excludes.
pub fn ed25519(provider: &Provider, seed: u8, label: &[u8]) -> Box<dyn Sign> {
    let private = provider.sha256_parts(&[&[seed], label]);
    provider
        .keys
        .load_pkcs8(&[&PKCS8_ED25519[..], &private].concat())
        .expect("every provider loads an Ed25519 key")
}

fn identity(seed: u8, persona: Persona) -> Identity {
    let mut device_id = [seed; 16];
    device_id[..4].iter_mut().zip(persona.0.to_be_bytes()).for_each(|(byte, number)| *byte ^= number);
    Identity {
        vendor_id: [0xa0; 16],
        class_id: [0xb0; 16],
        device_id,
        oemid: [0xc0; 16],
        hwmodel: b"memory".to_vec(),
        hwversion: "1".into(),
        agent_digest: [0xd0; 32],
        firmware_digest: [0xe0; 32],
        configuration_digest: [0xf0; 32],
    }
}
