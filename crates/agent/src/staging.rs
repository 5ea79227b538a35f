use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use tamarack_cose::{EncryptionInfo, KeyId, Opener, thumbprint};
use tamarack_crypto::{HashAlgorithm, Provider, Secret};
use tamarack_model::{ComponentId, OwnerId};
use tamarack_suit::{
    Ciphertext, EffectError, EffectErrorKind, Effects, IdentifierKind, Measured, Operation,
    PAYLOAD_ENCRYPTION,
};
use tamarack_tee::{BlobId, Persona, Platform};

use crate::journal::Journal;
use crate::{measure, slots};

/// New content of the components of one manifest, not committed: dropping it needs [`Staging::discard`], and what a power
/// cut leaves behind the platform forgets by itself.
#[derive(Default)]
pub(crate) struct Staging {
    components: BTreeMap<ComponentId, Staged>,
    receiving: Option<(ComponentId, Staged)>,
    /// Most bytes that may still be staged: quota and size limit of the device.
    pub room: u64,
}

#[derive(Clone, Copy)]
pub(crate) struct Staged {
    pub blob: BlobId,
    pub size: u64,
    /// It was the ciphertext of what another component holds now, and of no further use.
    spent: bool,
}

fn too_large() -> EffectError {
    EffectError::new(EffectErrorKind::TooLarge, "the payload is larger than allowed")
}

impl Staging {
    /// Begins to receive new content of `id`.
    pub fn begin(&mut self, platform: &mut dyn Platform, id: &ComponentId) -> Result<(), EffectError> {
        self.abandon(platform);
        let blob = platform.stage().map_err(measure::effect_error)?;
        self.receiving = Some((id.clone(), Staged { blob, size: 0, spent: false }));
        Ok(())
    }

    /// Adds a chunk. `max_size` is what the manifest allows.
    pub fn receive(
        &mut self,
        platform: &mut dyn Platform,
        chunk: &[u8],
        max_size: Option<u64>,
    ) -> Result<(), EffectError> {
        let (_, staged) = self.receiving.as_mut().ok_or_else(too_large)?;
        staged.size += chunk.len() as u64;
        if staged.size > self.room || max_size.is_some_and(|max| staged.size > max) {
            return Err(too_large());
        }
        platform.stage_write(staged.blob, chunk).map_err(measure::effect_error)
    }

    /// Ends what is being received: it is what the component holds from here on in this transaction.
    pub fn end(&mut self, platform: &mut dyn Platform) -> Result<(), EffectError> {
        let Some((id, staged)) = self.receiving.take() else { return Ok(()) };
        if let Err(e) = platform.stage_finish(staged.blob) {
            platform.discard(staged.blob);
            return Err(measure::effect_error(e));
        }
        self.room = self.room.saturating_sub(staged.size);
        if let Some(old) = self.components.insert(id, staged) {
            self.room = self.room.saturating_add(old.size);
            platform.discard(old.blob);
        }
        Ok(())
    }

    /// Lets go of what was being received.
    pub fn abandon(&mut self, platform: &mut dyn Platform) {
        if let Some((_, staged)) = self.receiving.take() {
            platform.discard(staged.blob);
        }
    }

    /// Lets go of everything.
    pub fn discard(&mut self, platform: &mut dyn Platform) {
        self.abandon(platform);
        for (_, staged) in core::mem::take(&mut self.components) {
            platform.discard(staged.blob);
        }
    }

    /// What was staged, to be kept. Ciphertexts that served are let go of.
    pub fn take(&mut self, platform: &mut dyn Platform) -> BTreeMap<ComponentId, Staged> {
        let mut components = core::mem::take(&mut self.components);
        components.retain(|_, staged| {
            if staged.spent {
                platform.discard(staged.blob);
            }
            !staged.spent
        });
        components
    }
}

/// What a manifest can do to the device while it is installed or removed. Nothing of it reaches a committed slot.
pub(crate) struct StagingEffects<'a> {
    pub platform: &'a mut dyn Platform,
    pub provider: &'a Provider,
    pub journal: &'a Journal,
    pub staging: &'a mut Staging,
    pub owner: &'a OwnerId,
    /// The face that this Owner sees: it alone knows the device identifier.
    pub persona: Persona,
    /// The manifest that acts, and the components that its signer and its TAM let it name.
    pub manifest: &'a ComponentId,
    pub may_name: &'a dyn Fn(&ComponentId) -> bool,
    /// Whether this is an uninstallation: it unlinks and writes nothing.
    pub uninstalling: bool,
    /// Most bytes that are copied in memory.
    pub max_in_memory: u64,
    /// The component whose content is at hand although it may not be in the envelope.
    pub bundled: Option<&'a ComponentId>,
}

fn refused(detail: &'static str) -> EffectError {
    EffectError::new(EffectErrorKind::Unauthorised, detail)
}

impl StagingEffects<'_> {
    /// Where the component's content lies: as staged, else as installed by this very manifest (rule R6).
    fn content(&self, id: &ComponentId) -> Result<(BlobId, u64), EffectError> {
        if let Some(staged) = self.staging.components.get(id) {
            return Ok((staged.blob, staged.size));
        }
        match slots::component(self.journal, self.platform, self.owner, id) {
            Ok(Some(installed)) if installed.manifest == *self.manifest => {
                Ok((installed.blob, installed.size))
            }
            Ok(_) => Err(EffectError::new(EffectErrorKind::NotFound, "the component holds nothing")),
            Err(e) => Err(EffectError::new(EffectErrorKind::Failed, alloc::format!("{e}"))),
        }
    }

    fn put(&mut self, id: &ComponentId, content: &[u8]) -> Result<(), EffectError> {
        self.staging.begin(self.platform, id)?;
        self.staging.receive(self.platform, content, None)?;
        self.staging.end(self.platform)
    }
}

impl Effects for StagingEffects<'_> {
    fn matches(&self, kind: IdentifierKind, _component: &ComponentId, id: &[u8]) -> bool {
        self.platform.identity(self.persona).is_ok_and(|identity| measure::identifies(identity, kind, id))
    }

    fn slot(&self, _component: &ComponentId) -> Option<u64> {
        None
    }

    fn brings(&self, component: &ComponentId) -> bool {
        self.bundled == Some(component)
    }

    fn authorise(
        &self,
        operation: Operation,
        component: &ComponentId,
        _key: &KeyId,
    ) -> Result<(), EffectError> {
        if !(self.may_name)(component) {
            return Err(refused("the component lies outside the scope of signer or TAM"));
        }
        // Rule R1: one manifest owns each component, also one that an earlier manifest of this Update installs.
        match slots::owning_manifest(self.journal, self.platform, self.owner, component) {
            Ok(Some(manifest)) if manifest != *self.manifest => {
                return Err(refused("another manifest owns the component"));
            }
            Ok(_) => {}
            Err(e) => return Err(EffectError::new(EffectErrorKind::Failed, alloc::format!("{e}"))),
        }
        match operation {
            Operation::Fetch | Operation::Write | Operation::CopyTo if self.uninstalling => {
                Err(refused("an uninstallation writes nothing"))
            }
            Operation::Fetch | Operation::Write | Operation::CopyFrom | Operation::CopyTo => Ok(()),
            Operation::Invoke => Err(refused("a component is started when a session is opened, not before")),
            Operation::Unlink if self.uninstalling => Ok(()),
            // What a newer manifest does not list any more goes at commit.
            Operation::Unlink => Err(refused("an installation unlinks nothing")),
        }
    }

    fn measure(
        &mut self,
        component: &ComponentId,
        algorithm: HashAlgorithm,
    ) -> Result<Measured, EffectError> {
        let (blob, _) = self.content(component)?;
        measure::measure(self.platform, self.provider, blob, algorithm).map_err(measure::effect_error)
    }

    fn content_is(&mut self, component: &ComponentId, content: &[u8]) -> Result<bool, EffectError> {
        let (blob, _) = self.content(component)?;
        measure::content_is(self.platform, blob, content).map_err(measure::effect_error)
    }

    fn write(&mut self, component: &ComponentId, content: &[u8]) -> Result<(), EffectError> {
        self.put(component, content)
    }

    fn copy(&mut self, from: &ComponentId, to: &ComponentId) -> Result<(), EffectError> {
        let (blob, size) = self.content(from)?;
        let content: Vec<u8> =
            measure::buffer(self.platform, blob, size, self.max_in_memory).map_err(measure::effect_error)?;
        self.put(to, &content)
    }

    fn decrypt(
        &mut self,
        info: &EncryptionInfo,
        ciphertext: Ciphertext<'_>,
        to: &ComponentId,
        max_size: Option<u64>,
    ) -> Result<(), EffectError> {
        let buffer;
        let content = match ciphertext {
            Ciphertext::Content(content) => content,
            Ciphertext::Component(from) => {
                let (blob, size) = self.content(from)?;
                buffer = measure::buffer(self.platform, blob, size, self.max_in_memory)
                    .map_err(measure::effect_error)?;
                &buffer
            }
        };
        let key = self.platform.decryption_key(self.persona).map_err(measure::effect_error)?;
        let kid = thumbprint(&key.public_key(), self.provider);
        let plaintext: Secret<Vec<u8>> = info
            .decrypt(content, Opener::Key(key), Some(&kid.0), PAYLOAD_ENCRYPTION, self.provider)
            .map_err(|_| EffectError::new(EffectErrorKind::Decrypt, "the payload is not for this device"))?;
        if max_size.is_some_and(|max| plaintext.expose().len() as u64 > max) {
            return Err(too_large());
        }
        if let Ciphertext::Component(from) = ciphertext
            && let Some(staged) = self.staging.components.get_mut(from)
        {
            staged.spent = true;
        }
        self.put(to, plaintext.expose())
    }

    fn invoke(&mut self, _component: &ComponentId, _arguments: Option<&[u8]>) -> Result<(), EffectError> {
        Err(refused("a component is started when a session is opened, not before"))
    }

    fn unlink(&mut self, _component: &ComponentId) -> Result<(), EffectError> {
        // The engine takes away all that the manifest owns, its TA data too, when the manifest is gone.
        Ok(())
    }
}
