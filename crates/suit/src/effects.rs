use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use tamarack_cose::{EncryptionInfo, KeyId};
use tamarack_crypto::HashAlgorithm;
use tamarack_model::ComponentId;

/// Which identifier a condition asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdentifierKind {
    /// Vendor, a UUID of 16 bytes or an encoded `#6.112` private enterprise number.
    Vendor,
    /// Class, a UUID of 16 bytes.
    Class,
    /// Device, a UUID of 16 bytes.
    Device,
}

/// What a manifest is about to do to a component; each is authorised against the key that signed the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Replace the content by a payload, integrated or fetched.
    Fetch,
    /// Replace the content by bytes of the manifest.
    Write,
    /// Read the content for a copy to another component.
    CopyFrom,
    /// Replace the content by that of another component.
    CopyTo,
    /// Run the component.
    Invoke,
    /// Give up this manifest's reference to the component.
    Unlink,
}

/// What a component holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// Digest of the content.
    pub digest: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
}

/// Why an effect could not be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EffectError {
    /// What kind of failure.
    pub kind: EffectErrorKind,
    /// What happened, for logs.
    pub detail: Cow<'static, str>,
}

/// Kinds of [`EffectError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EffectErrorKind {
    /// The signer has no right to this operation on this component.
    Unauthorised,
    /// The device has no place for a component of this id.
    UnsupportedComponent,
    /// The component or resource holds nothing.
    NotFound,
    /// The content is larger than allowed or than there is room for.
    TooLarge,
    /// The content cannot be decrypted, for whatever reason.
    Decrypt,
    /// Anything else: storage, network, execution.
    Failed,
}

impl EffectError {
    /// An error of `kind` with its story.
    pub fn new(kind: EffectErrorKind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl fmt::Display for EffectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl core::error::Error for EffectError {}

/// Where a ciphertext comes from.
#[derive(Clone, Copy, Debug)]
pub enum Ciphertext<'a> {
    /// It stands in the manifest.
    Content(&'a [u8]),
    /// A component holds it.
    Component(&'a ComponentId),
}

/// What a manifest can do to a device. Component ids come from the authentic manifest; that its signer may touch them is
/// asked through [`Effects::authorise`] before every effect.
pub trait Effects {
    /// Whether `id` is one of the device's identifiers of this kind for the component.
    fn matches(&self, kind: IdentifierKind, component: &ComponentId, id: &[u8]) -> bool;
    /// Whether the driver has the content of `component` at hand, so that an integrated payload that is not in the envelope
    /// is fetched from it rather than missed. It is trusted as little as any other.
    fn brings(&self, component: &ComponentId) -> bool {
        let _ = component;
        false
    }
    /// The slot that the component stands in, if it has several.
    fn slot(&self, component: &ComponentId) -> Option<u64>;
    /// Whether the holder of `key` may do this.
    fn authorise(
        &self,
        operation: Operation,
        component: &ComponentId,
        key: &KeyId,
    ) -> Result<(), EffectError>;
    /// Digest and size of what the component holds now.
    fn measure(&mut self, component: &ComponentId, algorithm: HashAlgorithm)
    -> Result<Measured, EffectError>;
    /// Whether the component holds exactly `content`, compared in constant time.
    fn content_is(&mut self, component: &ComponentId, content: &[u8]) -> Result<bool, EffectError>;
    /// Makes `content` what the component holds.
    fn write(&mut self, component: &ComponentId, content: &[u8]) -> Result<(), EffectError>;
    /// Makes the content of `from` what `to` holds.
    fn copy(&mut self, from: &ComponentId, to: &ComponentId) -> Result<(), EffectError>;
    /// Decrypts `ciphertext` by `info` for the use [`PAYLOAD_ENCRYPTION`](crate::PAYLOAD_ENCRYPTION) with a key of this
    /// device and makes the plaintext, of at most `max_size` bytes, what `to` holds. Whatever keeps it from being decrypted
    /// is [`EffectErrorKind::Decrypt`]. Both are in memory at once, so a device bounds them.
    fn decrypt(
        &mut self,
        info: &EncryptionInfo,
        ciphertext: Ciphertext<'_>,
        to: &ComponentId,
        max_size: Option<u64>,
    ) -> Result<(), EffectError>;
    /// Runs the component.
    fn invoke(&mut self, component: &ComponentId, arguments: Option<&[u8]>) -> Result<(), EffectError>;
    /// Gives up the manifest's reference to the component, which goes when nothing refers to it any more.
    fn unlink(&mut self, component: &ComponentId) -> Result<(), EffectError>;
}
