use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Encoder, Limits};
use tamarack_cose::{Encrypted, thumbprint};
use tamarack_crypto::{KeyAgree, KeyType, Provider, PublicKey, Secret, Sign};
use tamarack_eat::TaIdentity;
use tamarack_model::{ComponentId, OwnerId, UnixTime};
use tamarack_tee::{Platform, TaLimits, TaReturn, TaServices};

use super::attest;
use super::peripheral::{self, Binding};
use crate::journal::Journal;
use crate::record::{self, BINDING, PERIPHERAL, SALT, TA_DATA};
use crate::teep::state::Rate;
use crate::{AgentConfig, Error};

/// Kinds of things that a TA keeps, the byte before the name in a key.
const OBJECT: u8 = b'o';
const KEY: u8 = b'k';
const AGREEMENT: u8 = b'a';

/// Name of the object that holds what the TAM personalized the TA with.
const PERSONALIZATION: &[u8] = b"personalization";

/// The use for which others encrypt to a TA, in COSE's key derivation.
const TA_ENCRYPTION: &str = "TA Encryption";

/// Most bytes of a name.
const MAX_NAME: usize = 64;
/// Most lines of log in one call, and most bytes of one.
const MAX_LINES: usize = 64;
const MAX_LINE: usize = 1024;
/// Most characters of a question to the person at the device.
const MAX_QUESTION: usize = 512;
/// Sizes of a nonce of Evidence (RFC 9711 section 4.1).
const NONCE_SIZES: core::ops::RangeInclusive<usize> = 8..=64;

/// Whose data a TA sees: the principal (Owner, provider, manifest id) of security rules K1 and L3.
pub(crate) struct Scope {
    pub owner: OwnerId,
    pub manifest: ComponentId,
    key: Secret<[u8; 32]>,
}

impl Scope {
    /// Derives the storage key of rule K6.
    pub fn open(
        journal: &Journal,
        platform: &dyn Platform,
        owner: OwnerId,
        service_provider: &str,
        manifest: ComponentId,
    ) -> Result<Self, Error> {
        let salt = journal.get(platform, &record::key_of(SALT, &owner, &manifest))?;
        let salt = salt.ok_or(Error::Corrupt("manifest without salt"))?;
        let mut context = Encoder::new();
        context.array(4).bytes(&owner.0).text(service_provider);
        record::encode_id(&mut context, &manifest).bytes(&salt);
        let key = platform.storage_key(&context.into_bytes())?;
        Ok(Self { owner, manifest, key })
    }

    fn key_of(&self, kind: u8, name: &[u8]) -> Vec<u8> {
        let mut key = record::key_of(TA_DATA, &self.owner, &self.manifest);
        key.push(kind);
        key.extend_from_slice(name);
        key
    }
}

/// Makes the salt of the storage key when a manifest is installed first; an update keeps it (rule K6).
pub(crate) fn prepare(
    journal: &mut Journal,
    platform: &dyn Platform,
    provider: &Provider,
    owner: &OwnerId,
    manifest: &ComponentId,
) -> Result<(), Error> {
    let name = record::key_of(SALT, owner, manifest);
    if journal.get(platform, &name)?.is_none() {
        let mut salt = [0; 16];
        provider.random.fill(&mut salt)?;
        journal.put(name, salt.to_vec());
    }
    Ok(())
}

/// Erases all that the TA of `manifest` kept, its salt first of all (rules K6 and R6).
pub(crate) fn erase(
    journal: &mut Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    manifest: &ComponentId,
) -> Result<(), Error> {
    let salt = record::key_of(SALT, owner, manifest);
    if journal.get(platform, &salt)?.is_some() {
        journal.delete(salt);
    }
    journal.delete_all(platform, &record::key_of(TA_DATA, owner, manifest))
}

/// The services of one TA during one call. What it writes lies in the journal until the driver of the call commits it.
pub(crate) struct Services<'a> {
    pub platform: &'a dyn Platform,
    pub provider: &'a Provider,
    pub scope: &'a Scope,
    pub limits: &'a TaLimits,
    pub now: UnixTime,
    pub journal: Journal,
    pub log: Vec<String>,
    /// Which TA it is, for its Evidence.
    identity: &'a TaIdentity,
    attested: &'a mut Rate,
    evidence_per_minute: u32,
}

impl<'a> Services<'a> {
    pub fn new(
        platform: &'a dyn Platform,
        provider: &'a Provider,
        scope: &'a Scope,
        config: &'a AgentConfig,
        now: UnixTime,
        identity: &'a TaIdentity,
        attested: &'a mut Rate,
    ) -> Self {
        Self {
            platform,
            provider,
            scope,
            limits: &config.ta,
            now,
            journal: Journal::default(),
            log: Vec::new(),
            identity,
            attested,
            evidence_per_minute: config.evidence_per_minute,
        }
    }

    fn read(&self, kind: u8, name: &[u8]) -> Result<Secret<Vec<u8>>, TaReturn> {
        let key = self.scope.key_of(kind, check_name(name)?);
        let sealed = self.journal.get(self.platform, &key).map_err(|_| TaReturn::GENERIC)?;
        let sealed = sealed.ok_or(TaReturn::ITEM_NOT_FOUND)?;
        let (nonce, ciphertext) = sealed.split_first_chunk::<12>().ok_or(TaReturn::GENERIC)?;
        let plain = self.provider.aead.open(self.scope.key.expose(), nonce, &key, ciphertext);
        plain.map(Secret::new).map_err(|_| TaReturn::GENERIC)
    }

    fn write(&mut self, kind: u8, name: &[u8], data: &[u8]) -> Result<(), TaReturn> {
        let Self { platform, provider, scope, limits, journal, .. } = self;
        write(journal, *platform, provider, scope, limits, kind, check_name(name)?, data)
    }

    fn remove(&mut self, kind: u8, name: &[u8]) -> Result<(), TaReturn> {
        let key = self.scope.key_of(kind, check_name(name)?);
        match self.journal.get(self.platform, &key) {
            Ok(Some(_)) => {
                self.journal.delete(key);
                Ok(())
            }
            Ok(None) => Err(TaReturn::ITEM_NOT_FOUND),
            Err(_) => Err(TaReturn::GENERIC),
        }
    }

    fn load(&self, name: &[u8]) -> Result<Box<dyn Sign>, TaReturn> {
        let pkcs8 = self.read(KEY, name)?;
        self.provider.keys.load_pkcs8(pkcs8.expose()).map_err(|_| TaReturn::GENERIC)
    }

    fn load_agreement(&self, name: &[u8]) -> Result<Box<dyn KeyAgree>, TaReturn> {
        let pkcs8 = self.read(AGREEMENT, name)?;
        self.provider.agree.load_pkcs8(pkcs8.expose()).map_err(|_| TaReturn::GENERIC)
    }

    /// Makes a key of a kind; one name has one key, whatever its kind.
    fn generate(&mut self, kind: u8, name: &[u8], key_type: KeyType) -> Result<(), TaReturn> {
        for kind in [KEY, AGREEMENT] {
            match self.read(kind, name) {
                Ok(_) => return Err(TaReturn::ACCESS_CONFLICT),
                Err(TaReturn::ITEM_NOT_FOUND) => {}
                Err(e) => return Err(e),
            }
        }
        let pkcs8 = self.provider.keys.generate_pkcs8(key_type).map_err(|_| TaReturn::GENERIC)?;
        self.write(kind, name, pkcs8.expose())
    }

    /// The key of [`TaServices::seal`]: an object of 32 bytes.
    fn object_key(&self, name: &[u8]) -> Result<Secret<[u8; 32]>, TaReturn> {
        let key = self.read(OBJECT, name)?;
        key.expose().as_slice().try_into().map(Secret::new).map_err(|_| TaReturn::BAD_PARAMETERS)
    }
}

/// Seals under a fresh random nonce; the name is bound as additional data, so that entries cannot be exchanged.
#[expect(clippy::too_many_arguments, reason = "what a call has in one place, an installation has in several")]
fn write(
    journal: &mut Journal,
    platform: &dyn Platform,
    provider: &Provider,
    scope: &Scope,
    limits: &TaLimits,
    kind: u8,
    name: &[u8],
    data: &[u8],
) -> Result<(), TaReturn> {
    let key = scope.key_of(kind, name);
    let prefix = record::key_of(TA_DATA, &scope.owner, &scope.manifest);
    let held = journal.scan(platform, &prefix).map_err(|_| TaReturn::GENERIC)?;
    let known = held.iter().any(|(held, _)| *held == key);
    if data.len() > limits.object_size || (!known && held.len() >= limits.objects) {
        return Err(TaReturn::STORAGE_NO_SPACE);
    }
    let mut nonce = [0; 12];
    provider.random.fill(&mut nonce).map_err(|_| TaReturn::GENERIC)?;
    let sealed = provider.aead.seal(scope.key.expose(), &nonce, &key, data);
    let sealed = sealed.map_err(|_| TaReturn::GENERIC)?;
    journal.put(key, [&nonce[..], &sealed].concat());
    Ok(())
}

/// Gives the TA in `scope` its personalization data, as the persistent object [`PERSONALIZATION`].
pub(crate) fn personalize(
    journal: &mut Journal,
    platform: &dyn Platform,
    provider: &Provider,
    scope: &Scope,
    limits: &TaLimits,
    data: &[u8],
) -> Result<(), TaReturn> {
    write(journal, platform, provider, scope, limits, OBJECT, PERSONALIZATION, data)
}

/// Takes the personalization data of the TA of `manifest` away.
pub(crate) fn forget_personalization(
    journal: &mut Journal,
    platform: &dyn Platform,
    owner: &OwnerId,
    manifest: &ComponentId,
) -> Result<(), Error> {
    let mut key = record::key_of(TA_DATA, owner, manifest);
    key.push(OBJECT);
    key.extend_from_slice(PERSONALIZATION);
    if journal.get(platform, &key)?.is_some() {
        journal.delete(key);
    }
    Ok(())
}

fn check_name(name: &[u8]) -> Result<&[u8], TaReturn> {
    if name.is_empty() || name.len() > MAX_NAME { Err(TaReturn::BAD_PARAMETERS) } else { Ok(name) }
}

impl TaServices for Services<'_> {
    fn read_object(&mut self, name: &[u8]) -> Result<Vec<u8>, TaReturn> {
        self.read(OBJECT, name).map(|data| data.expose().clone())
    }

    fn write_object(&mut self, name: &[u8], data: &[u8]) -> Result<(), TaReturn> {
        self.write(OBJECT, name, data)
    }

    fn delete_object(&mut self, name: &[u8]) -> Result<(), TaReturn> {
        self.remove(OBJECT, name)
    }

    fn generate_key(&mut self, name: &[u8], key_type: KeyType) -> Result<(), TaReturn> {
        self.generate(KEY, name, key_type)
    }

    fn public_key(&mut self, name: &[u8]) -> Result<PublicKey, TaReturn> {
        match self.load(name) {
            Err(TaReturn::ITEM_NOT_FOUND) => self.load_agreement(name).map(|key| key.public_key()),
            key => key.map(|key| key.public_key()),
        }
    }

    fn sign(&mut self, name: &[u8], message: &[u8]) -> Result<[u8; 64], TaReturn> {
        self.load(name)?.sign(message).map_err(|_| TaReturn::GENERIC)
    }

    fn generate_agreement_key(&mut self, name: &[u8]) -> Result<(), TaReturn> {
        self.generate(AGREEMENT, name, KeyType::P256)
    }

    fn decrypt(&mut self, name: &[u8], message: &[u8]) -> Result<Vec<u8>, TaReturn> {
        let key = self.load_agreement(name)?;
        let encrypted =
            Encrypted::parse(message, &Limits::default()).map_err(|_| TaReturn::BAD_PARAMETERS)?;
        let kid = thumbprint(&key.public_key(), self.provider);
        let plain = encrypted.decrypt(&*key, Some(&kid.0), TA_ENCRYPTION, self.provider);
        plain.map(|plain| plain.expose().clone()).map_err(|_| TaReturn::MAC_INVALID)
    }

    fn seal(&mut self, name: &[u8], context: &[u8], data: &[u8]) -> Result<Vec<u8>, TaReturn> {
        let key = self.object_key(name)?;
        let mut nonce = [0; 12];
        self.random(&mut nonce)?;
        let sealed = self.provider.aead.seal(key.expose(), &nonce, context, data);
        Ok([&nonce[..], &sealed.map_err(|_| TaReturn::GENERIC)?].concat())
    }

    fn unseal(&mut self, name: &[u8], context: &[u8], data: &[u8]) -> Result<Vec<u8>, TaReturn> {
        let key = self.object_key(name)?;
        let (nonce, ciphertext) = data.split_first_chunk::<12>().ok_or(TaReturn::MAC_INVALID)?;
        let plain = self.provider.aead.open(key.expose(), nonce, context, ciphertext);
        plain.map_err(|_| TaReturn::MAC_INVALID)
    }

    fn attest(&mut self, nonce: &[u8], key: Option<&[u8]>) -> Result<Vec<u8>, TaReturn> {
        let key = key.map(|name| self.public_key(name)).transpose()?;
        if !NONCE_SIZES.contains(&nonce.len()) {
            return Err(TaReturn::BAD_PARAMETERS);
        }
        if !self.attested.allows(self.now, self.evidence_per_minute) {
            return Err(TaReturn::BUSY);
        }
        let Self { platform, provider, scope, identity, .. } = self;
        attest::evidence(*platform, provider, &scope.owner, identity, nonce, key)
            .map_err(|_| TaReturn::GENERIC)
    }

    fn confirm(&mut self, text: &str) -> Result<bool, TaReturn> {
        // Who asks is not the TA's to say.
        let TaIdentity { provider, manifest, .. } = self.identity;
        let text = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let text: String = text.take(MAX_QUESTION).collect();
        match self.platform.confirm(&alloc::format!("{provider} ({manifest}) asks: {text}")) {
            Ok(answer) => Ok(answer),
            Err(tamarack_tee::Error::NoPanel) => Err(TaReturn::NOT_SUPPORTED),
            Err(_) => Err(TaReturn::GENERIC),
        }
    }

    fn delete_key(&mut self, name: &[u8]) -> Result<(), TaReturn> {
        match self.remove(KEY, name) {
            Err(TaReturn::ITEM_NOT_FOUND) => self.remove(AGREEMENT, name),
            removed => removed,
        }
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), TaReturn> {
        self.provider.random.fill(out).map_err(|_| TaReturn::GENERIC)
    }

    fn time(&mut self) -> UnixTime {
        self.now
    }

    fn log(&mut self, line: &str) {
        if self.log.len() < MAX_LINES {
            self.log.push(line.chars().take(MAX_LINE).collect());
        }
    }

    fn peripheral(&mut self, name: &[u8], command: &[u8]) -> Result<Vec<u8>, TaReturn> {
        let name = check_name(name)?;
        let binding = self.platform.get(&[BINDING, name].concat()).map_err(|_| TaReturn::GENERIC)?;
        // Whether there is such a peripheral is no business of another TA.
        let binding = binding.ok_or(TaReturn::ACCESS_DENIED)?;
        let binding: Binding = record::read(&binding, "binding").map_err(|_| TaReturn::GENERIC)?;
        if binding.owner != self.scope.owner || binding.manifest != self.scope.manifest {
            return Err(TaReturn::ACCESS_DENIED);
        }
        let key = [PERIPHERAL, name].concat();
        let position = self.journal.get(self.platform, &key).map_err(|_| TaReturn::GENERIC)?;
        let position = position.ok_or(TaReturn::GENERIC)?;
        let moved = peripheral::command(&position, command)?.to_vec();
        if moved != position {
            self.journal.put(key, moved.clone());
        }
        Ok(moved)
    }

    fn manifest_id(&self) -> &ComponentId {
        &self.scope.manifest
    }
}
