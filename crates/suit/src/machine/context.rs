use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use tamarack_cose::{EncryptionInfo, KeyId};
use tamarack_model::{Code, ComponentId, codes};

use super::{FetchRequest, Frame};
use crate::command::{Alternatives, Selection, Sequence};
use crate::parameter::{ENCRYPTION_INFO, SOFT_FAILURE, STRICT_ORDER, Value};
use crate::{AuthenticEnvelope, EffectError, EffectErrorKind, Effects, Operation, Reason, SuitDigest};

/// What the procedure remembers of the components.
#[derive(Debug)]
pub(crate) struct Store {
    components: Vec<Component>,
}

#[derive(Debug, Default)]
struct Component {
    parameters: Vec<(i64, Value)>,
    content: Content,
}

/// What stands behind the content of a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Content {
    /// It was there before this procedure.
    #[default]
    Found,
    /// It was brought or copied, and not matched since.
    Unverified,
    /// The signed manifest.
    Verified,
}

impl Store {
    pub fn new(components: usize) -> Self {
        Self { components: (0..components).map(|_| Component::default()).collect() }
    }

    pub fn is_unverified(&self, index: usize) -> bool {
        self.components.get(index).is_some_and(|component| component.content == Content::Unverified)
    }

    fn mark(&mut self, index: usize, content: Content) {
        if let Some(component) = self.components.get_mut(index) {
            component.content = content;
        }
    }
}

/// How a machine goes on after a command.
pub(crate) enum Flow {
    /// To the next one.
    Next,
    /// To the next one, which applies to these components.
    Select(Selection),
    /// Into a sequence.
    Enter(Sequence),
    /// Into the first of several sequences that succeeds.
    Try(Arc<Alternatives>),
    /// Nowhere until this was brought, and decrypted if need be.
    Fetch(FetchRequest, Option<Box<Sealed>>),
}

/// How a payload that is being brought is encrypted.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub info: EncryptionInfo,
    /// Most bytes of the plaintext.
    pub max_size: Option<u64>,
}

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Fault {
    pub kind: FaultKind,
    pub message: Cow<'static, str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// What a condition asks for is not so.
    Condition,
    /// An effect could not be had.
    Effect(EffectErrorKind),
    /// The manifest makes no sense here.
    Malformed,
    /// The budget is used up.
    Limit,
}

impl FaultKind {
    pub fn code(self) -> Code {
        match self {
            Self::Condition => codes::SUIT_CONDITION,
            Self::Effect(EffectErrorKind::Unauthorised) => codes::SUIT_UNAUTHORISED,
            Self::Effect(EffectErrorKind::UnsupportedComponent) => codes::SUIT_UNSUPPORTED_COMPONENT,
            Self::Effect(EffectErrorKind::TooLarge) | Self::Limit => codes::SUIT_LIMIT,
            Self::Effect(EffectErrorKind::Decrypt) => codes::COSE_DECRYPT,
            Self::Effect(EffectErrorKind::NotFound | EffectErrorKind::Failed) => codes::SUIT_DIRECTIVE,
            Self::Malformed => codes::SUIT_MALFORMED,
        }
    }

    pub fn reason(self) -> Reason {
        match self {
            Self::Condition => Reason::ConditionFailed,
            Self::Effect(EffectErrorKind::Unauthorised) => Reason::ComponentUnauthorised,
            Self::Effect(EffectErrorKind::UnsupportedComponent) => Reason::ComponentUnsupported,
            Self::Effect(
                EffectErrorKind::NotFound
                | EffectErrorKind::TooLarge
                | EffectErrorKind::Decrypt
                | EffectErrorKind::Failed,
            )
            | Self::Malformed
            | Self::Limit => Reason::OperationFailed,
        }
    }
}

impl Fault {
    pub fn malformed(message: &'static str) -> Self {
        Self { kind: FaultKind::Malformed, message: message.into() }
    }

    pub fn limit(message: &'static str) -> Self {
        Self { kind: FaultKind::Limit, message: message.into() }
    }
}

impl From<EffectError> for Fault {
    fn from(e: EffectError) -> Self {
        Self { kind: FaultKind::Effect(e.kind), message: e.detail }
    }
}

/// What a command sees and can do.
pub(crate) struct Context<'a> {
    pub effects: &'a mut dyn Effects,
    pub index: usize,
    pub envelope: &'a AuthenticEnvelope,
    pub key: &'a KeyId,
    pub store: &'a mut Store,
    pub frame: &'a mut Frame,
    pub measured: Option<(SuitDigest, u64)>,
}

impl<'a> Context<'a> {
    /// The component that the command applies to.
    pub fn component(&self) -> Result<&'a ComponentId, Fault> {
        self.component_at(self.index as u64)
    }

    /// The component of this index.
    pub fn component_at(&self, index: u64) -> Result<&'a ComponentId, Fault> {
        let found = usize::try_from(index).ok().and_then(|i| self.envelope.manifest.components.get(i));
        found.ok_or(Fault::malformed("the manifest has no component of this index"))
    }

    /// The payload that the envelope carries under this URI.
    pub fn integrated(&self, uri: &str) -> Option<&'a [u8]> {
        self.envelope.envelope.integrated(uri)
    }

    /// A parameter of the component, if it is set.
    pub fn parameter(&self, label: i64) -> Option<&Value> {
        let component = self.store.components.get(self.index)?;
        component.parameters.iter().find(|(l, _)| *l == label).map(|(_, value)| value)
    }

    /// A parameter that the command cannot do without. That it is missing is a mistake of the manifest, which no
    /// soft-failure excuses.
    pub fn required(&self, label: i64) -> Result<&Value, Fault> {
        self.parameter(label).ok_or(Fault::malformed("a parameter that the command needs is not set"))
    }

    /// How the content of the component is encrypted, if it is.
    pub fn encryption_info(&self) -> Result<Option<EncryptionInfo>, Fault> {
        match self.parameter(ENCRYPTION_INFO) {
            // The static scan has read it before; the limits that it was read with were stricter than these.
            Some(Value::Bytes(info)) => EncryptionInfo::parse(info, &tamarack_cbor::Limits::default())
                .map(Some)
                .map_err(|_| Fault::malformed("an encryption-info that cannot be read")),
            Some(_) => Err(self.mistyped()),
            None => Ok(None),
        }
    }

    /// Sets a parameter, unless it is set and shall not be replaced.
    pub fn set_parameter(&mut self, label: i64, value: &Value, replace: bool) -> Result<(), Fault> {
        match (label, value) {
            (SOFT_FAILURE, Value::Bool(soft)) => {
                if !self.frame.is_nested() {
                    return Err(Fault::malformed("soft-failure outside try-each and run-sequence"));
                }
                self.frame.soft_failure = *soft;
                return Ok(());
            }
            // Commands run strictly in order here, which is allowed whatever this says.
            (STRICT_ORDER, _) => return Ok(()),
            _ => {}
        }
        let component = self.store.components.get_mut(self.index);
        let component = component.ok_or(Fault::malformed("parameters without a component"))?;
        match component.parameters.iter_mut().find(|(l, _)| *l == label) {
            Some((_, old)) if replace => *old = value.clone(),
            Some(_) => {}
            None => component.parameters.push((label, value.clone())),
        }
        Ok(())
    }

    /// Success of a condition, or its failure with this message.
    pub fn condition(&self, holds: bool, otherwise: &'static str) -> Result<Flow, Fault> {
        if holds {
            Ok(Flow::Next)
        } else {
            Err(Fault { kind: FaultKind::Condition, message: otherwise.into() })
        }
    }

    /// Notes what a component holds, for the log and the report.
    pub fn measured(&mut self, digest: SuitDigest, size: u64) {
        self.measured = Some((digest, size));
    }

    /// Asks whether the signer may do this.
    pub fn authorise(&self, operation: Operation, component: &ComponentId) -> Result<(), Fault> {
        Ok(self.effects.authorise(operation, component, self.key)?)
    }

    /// The component now holds what nothing has vouched for yet.
    pub fn mark_unverified(&mut self) {
        self.store.mark(self.index, Content::Unverified);
    }

    /// The component holds what the signed manifest says.
    pub fn mark_verified(&mut self) {
        self.store.mark(self.index, Content::Verified);
    }

    /// What the component of this index holds needs no digest any more: it was the ciphertext of what another holds.
    pub fn mark_source_verified(&mut self, index: u64) {
        if let Ok(index) = usize::try_from(index) {
            self.store.mark(index, Content::Verified);
        }
    }

    /// Whether the signed manifest has vouched, in this procedure, for what the component of this index holds.
    pub fn is_source_verified(&self, index: u64) -> bool {
        let component = usize::try_from(index).ok().and_then(|index| self.store.components.get(index));
        component.is_some_and(|component| component.content == Content::Verified)
    }

    /// Fails if the component holds what nothing has vouched for yet.
    pub fn refuse_unverified(&self) -> Result<(), Fault> {
        if self.store.is_unverified(self.index) {
            let message = "the component was not matched against a digest since it was brought";
            return Err(Fault { kind: FaultKind::Condition, message: message.into() });
        }
        Ok(())
    }

    /// A value of another type than the parameter's, which reading has excluded.
    pub fn mistyped(&self) -> Fault {
        Fault::malformed("a parameter of an impossible type")
    }
}
