use alloc::vec::Vec;

use tamarack_cose::{EncryptionInfo, KeyId};
use tamarack_crypto::{ConstantTimeEq, HashAlgorithm, Provider};
use tamarack_eat::TaIdentity;
use tamarack_model::{ComponentId, OwnerId};
use tamarack_owner::Effect;
use tamarack_suit::{
    Ciphertext, EffectError, EffectErrorKind, Effects, IdentifierKind, Machine, Measured, Operation,
    Procedure, Step,
};
use tamarack_tee::{Persona, Platform};

use super::objects::Scope;
use super::sessions::Instance;
use crate::authority::{self, Use};
use crate::journal::Journal;
use crate::teep::state::Rate;
use crate::trust::{AnchorState, TrustStore};
use crate::{AgentConfig, Error, domains, measure, slots};

/// Loads a TA. Walks security rule L1: committed record, digest of the one buffer that is instantiated, anchors that
/// still stand, and the manifest's own invocation procedure over the stored envelope.
pub(crate) fn load(
    platform: &dyn Platform,
    provider: &Provider,
    config: &AgentConfig,
    owner: OwnerId,
    id: &ComponentId,
) -> Result<Instance, Error> {
    let journal = Journal::default();
    let component = slots::component(&journal, platform, &owner, id)?.ok_or(Error::NoTa)?;
    let manifest = slots::manifest(&journal, platform, &owner, &component.manifest)?;
    let manifest = manifest.ok_or(Error::Corrupt("component without manifest"))?;

    let module = measure::buffer(platform, component.blob, component.size, config.max_in_memory)?;
    if !bool::from(provider.sha256(&module).ct_eq(&component.digest.0)) {
        return Err(Error::Unauthorised("its content is not what was installed".into()));
    }

    let store = TrustStore::load(platform)?;
    if let Some(tam) = store.tams.iter().find(|tam| tam.owner == owner) {
        let policy = crate::owner::Policy::load(&journal, platform)?;
        let ids = [id, &component.manifest];
        if policy.effect(tam, Some(&manifest.provider), ids) == Effect::Deny {
            return Err(Error::DeniedByOwner(alloc::format!("{id}")));
        }
    }
    let store = domains::with_signers(&journal, platform, &store, &owner)?;
    let tam = store.tams.iter().find(|tam| tam.owner == owner);
    let tam = tam.filter(|tam| tam.state != AnchorState::Revoked);
    let tam = tam.ok_or_else(|| Error::Unauthorised("its TAM is not trusted any more".into()))?;
    let authorised = authority::authenticate(
        &manifest.envelope,
        &store,
        Use::Load,
        manifest.accepted,
        &config.manifest,
        provider,
    )
    .map_err(|refusal| Error::Unauthorised(refusal.detail))?;
    if authorised.id != component.manifest
        || authorised.digest != manifest.digest
        || authorised.anchor.provider != manifest.provider
    {
        return Err(Error::Unauthorised("its manifest is not the one that was installed".into()));
    }

    let persona = tam.persona;
    let mut effects =
        Invocation { platform, provider, owner, persona, id, module: &module, invoked: Vec::new() };
    let mut machine = Machine::new(authorised.envelope, Procedure::Invocation, config.manifest)
        .map_err(|e| Error::Unauthorised(alloc::format!("{e}")))?;
    match machine.run(&mut effects, provider) {
        Step::Done(Ok(())) => {}
        Step::Done(Err(failure)) => return Err(Error::Unauthorised(alloc::format!("{failure}"))),
        Step::Fetch(_) => return Err(Error::Unauthorised("its manifest fetches when it starts".into())),
    }
    if !effects.invoked.is_empty() && !effects.invoked.contains(id) {
        return Err(Error::Unauthorised("its manifest starts another component".into()));
    }

    let identity = TaIdentity {
        manifest: component.manifest.clone(),
        digest: component.digest.0,
        sequence: manifest.sequence,
        domain: component.manifest.domain().to_vec(),
        component: id.clone(),
        provider: manifest.provider.clone(),
    };
    let scope = Scope::open(&journal, platform, owner, &manifest.provider, component.manifest)?;
    let ta = platform.load_ta(&module, &config.ta)?;
    Ok(Instance { ta, scope, identity, attested: Rate::default() })
}

/// What a manifest can do when one of its TAs starts: look, and say what to run.
struct Invocation<'a> {
    platform: &'a dyn Platform,
    provider: &'a Provider,
    owner: OwnerId,
    persona: Persona,
    /// The TA, and the buffer that will be instantiated.
    id: &'a ComponentId,
    module: &'a [u8],
    invoked: Vec<ComponentId>,
}

impl Invocation<'_> {
    fn blob(&self, id: &ComponentId) -> Result<tamarack_tee::BlobId, EffectError> {
        let component = slots::component(&Journal::default(), self.platform, &self.owner, id);
        match component {
            Ok(Some(component)) => Ok(component.blob),
            Ok(None) => Err(EffectError::new(EffectErrorKind::NotFound, "the component is not installed")),
            Err(e) => Err(EffectError::new(EffectErrorKind::Failed, alloc::format!("{e}"))),
        }
    }
}

fn read_only() -> EffectError {
    EffectError::new(EffectErrorKind::Unauthorised, "nothing is written when a TA starts")
}

impl Effects for Invocation<'_> {
    fn matches(&self, kind: IdentifierKind, _component: &ComponentId, id: &[u8]) -> bool {
        self.platform.identity(self.persona).is_ok_and(|identity| measure::identifies(identity, kind, id))
    }

    fn slot(&self, _component: &ComponentId) -> Option<u64> {
        None
    }

    fn authorise(
        &self,
        operation: Operation,
        _component: &ComponentId,
        _key: &KeyId,
    ) -> Result<(), EffectError> {
        match operation {
            Operation::Invoke => Ok(()),
            Operation::Fetch
            | Operation::Write
            | Operation::CopyFrom
            | Operation::CopyTo
            | Operation::Unlink => Err(read_only()),
        }
    }

    fn measure(
        &mut self,
        component: &ComponentId,
        algorithm: HashAlgorithm,
    ) -> Result<Measured, EffectError> {
        if component == self.id {
            let mut hasher = self.provider.sha2.start(algorithm);
            hasher.update(self.module);
            return Ok(Measured { digest: hasher.finish(), size: self.module.len() as u64 });
        }
        let blob = self.blob(component)?;
        measure::measure(self.platform, self.provider, blob, algorithm).map_err(measure::effect_error)
    }

    fn content_is(&mut self, component: &ComponentId, content: &[u8]) -> Result<bool, EffectError> {
        if component == self.id {
            return Ok(self.module.ct_eq(content).into());
        }
        let blob = self.blob(component)?;
        measure::content_is(self.platform, blob, content).map_err(measure::effect_error)
    }

    fn write(&mut self, _component: &ComponentId, _content: &[u8]) -> Result<(), EffectError> {
        Err(read_only())
    }

    fn copy(&mut self, _from: &ComponentId, _to: &ComponentId) -> Result<(), EffectError> {
        Err(read_only())
    }

    fn decrypt(
        &mut self,
        _info: &EncryptionInfo,
        _ciphertext: Ciphertext<'_>,
        _to: &ComponentId,
        _max_size: Option<u64>,
    ) -> Result<(), EffectError> {
        Err(read_only())
    }

    fn invoke(&mut self, component: &ComponentId, _arguments: Option<&[u8]>) -> Result<(), EffectError> {
        self.invoked.push(component.clone());
        Ok(())
    }

    fn unlink(&mut self, _component: &ComponentId) -> Result<(), EffectError> {
        Err(read_only())
    }
}
