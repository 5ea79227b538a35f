use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cose::{EncryptionInfo, KeyId, Opener};
use tamarack_crypto::{ConstantTimeEq, HashAlgorithm, KeyAgree, Provider};
use tamarack_model::ComponentId;

use crate::{
    Ciphertext, EffectError, EffectErrorKind, Effects, FetchRequest, IdentifierKind, Machine, Measured,
    Operation, PAYLOAD_ENCRYPTION, Step,
};

/// A device that lives in memory, for tests and for trying a manifest out.
#[derive(Debug)]
pub struct MemoryDevice {
    provider: Provider,
    /// What the components hold.
    pub components: BTreeMap<ComponentId, Vec<u8>>,
    /// The slots that components stand in.
    pub slots: BTreeMap<ComponentId, u64>,
    /// Payloads by URI.
    pub payloads: BTreeMap<String, Vec<u8>>,
    /// Identifiers of the device; all match if this is none.
    pub identifiers: Option<Vec<Vec<u8>>>,
    /// Components that the signer may touch; all if this is none.
    pub allowed: Option<Vec<ComponentId>>,
    /// Keys to decrypt payloads with.
    pub keys: Vec<PayloadKey>,
    /// What was invoked, with its arguments, in order.
    pub invoked: Vec<(ComponentId, Option<Vec<u8>>)>,
    /// What was unlinked, in order.
    pub unlinked: Vec<ComponentId>,
}

/// A key of a [`MemoryDevice`].
pub enum PayloadKey {
    /// A private key, for ECDH-ES+A128KW.
    Private(Box<dyn KeyAgree>),
    /// A shared key, for A128KW.
    Shared([u8; 16]),
}

impl core::fmt::Debug for PayloadKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PayloadKey(..)")
    }
}

impl MemoryDevice {
    /// An empty device that any identifier fits and any signer may use.
    pub fn new(provider: Provider) -> Self {
        Self {
            provider,
            components: BTreeMap::new(),
            slots: BTreeMap::new(),
            payloads: BTreeMap::new(),
            identifiers: None,
            allowed: None,
            keys: Vec::new(),
            invoked: Vec::new(),
            unlinked: Vec::new(),
        }
    }

    /// Runs a machine to its end, bringing payloads from [`MemoryDevice::payloads`].
    pub fn drive(&mut self, machine: &mut Machine) -> Result<(), crate::Failure> {
        let provider = self.provider;
        loop {
            match machine.run(self, &provider) {
                Step::Done(result) => return result,
                Step::Fetch(request) => {
                    let result = self.fetch(&request);
                    machine.fetched(result);
                }
            }
        }
    }

    /// Brings one payload.
    pub fn fetch(&mut self, request: &FetchRequest) -> Result<(), EffectError> {
        let payload = self.payloads.get(&request.uri);
        let payload = payload.ok_or(EffectError::new(EffectErrorKind::NotFound, "no such payload"))?.clone();
        if request.max_size.is_some_and(|max| payload.len() as u64 > max) {
            return Err(EffectError::new(EffectErrorKind::TooLarge, "the payload is larger than allowed"));
        }
        self.components.insert(request.component.clone(), payload);
        Ok(())
    }

    fn content(&self, component: &ComponentId) -> Result<&[u8], EffectError> {
        let content = self.components.get(component).map(Vec::as_slice);
        content.ok_or(EffectError::new(EffectErrorKind::NotFound, "the component holds nothing"))
    }
}

impl Effects for MemoryDevice {
    fn matches(&self, _: IdentifierKind, _: &ComponentId, id: &[u8]) -> bool {
        self.identifiers.as_ref().is_none_or(|ids| ids.iter().any(|known| known == id))
    }

    fn slot(&self, component: &ComponentId) -> Option<u64> {
        self.slots.get(component).copied()
    }

    fn authorise(&self, _: Operation, component: &ComponentId, _: &KeyId) -> Result<(), EffectError> {
        match &self.allowed {
            Some(allowed) if !allowed.contains(component) => Err(EffectError::new(
                EffectErrorKind::Unauthorised,
                "the signer may not touch this component",
            )),
            _ => Ok(()),
        }
    }

    fn measure(
        &mut self,
        component: &ComponentId,
        algorithm: HashAlgorithm,
    ) -> Result<Measured, EffectError> {
        let content = self.content(component)?;
        let mut hasher = self.provider.sha2.start(algorithm);
        hasher.update(content);
        Ok(Measured { digest: hasher.finish(), size: content.len() as u64 })
    }

    fn content_is(&mut self, component: &ComponentId, content: &[u8]) -> Result<bool, EffectError> {
        Ok(self.content(component)?.ct_eq(content).into())
    }

    fn write(&mut self, component: &ComponentId, content: &[u8]) -> Result<(), EffectError> {
        self.components.insert(component.clone(), content.to_vec());
        Ok(())
    }

    fn copy(&mut self, from: &ComponentId, to: &ComponentId) -> Result<(), EffectError> {
        let content = self.content(from)?.to_vec();
        self.components.insert(to.clone(), content);
        Ok(())
    }

    fn decrypt(
        &mut self,
        info: &EncryptionInfo,
        ciphertext: Ciphertext<'_>,
        to: &ComponentId,
        max_size: Option<u64>,
    ) -> Result<(), EffectError> {
        let ciphertext = match ciphertext {
            Ciphertext::Content(content) => content,
            Ciphertext::Component(from) => self.content(from)?,
        };
        let plaintext = self.keys.iter().find_map(|key| {
            let key = match key {
                PayloadKey::Private(key) => Opener::Key(&**key),
                PayloadKey::Shared(key) => Opener::Kek(key),
            };
            info.decrypt(ciphertext, key, None, PAYLOAD_ENCRYPTION, &self.provider).ok()
        });
        let plaintext = plaintext
            .ok_or(EffectError::new(EffectErrorKind::Decrypt, "the payload cannot be decrypted here"))?;
        if max_size.is_some_and(|max| plaintext.expose().len() as u64 > max) {
            return Err(EffectError::new(EffectErrorKind::TooLarge, "the payload is larger than allowed"));
        }
        self.components.insert(to.clone(), plaintext.expose().clone());
        Ok(())
    }

    fn invoke(&mut self, component: &ComponentId, arguments: Option<&[u8]>) -> Result<(), EffectError> {
        self.content(component)?;
        self.invoked.push((component.clone(), arguments.map(<[u8]>::to_vec)));
        Ok(())
    }

    fn unlink(&mut self, component: &ComponentId) -> Result<(), EffectError> {
        self.components.remove(component);
        self.unlinked.push(component.clone());
        Ok(())
    }
}
