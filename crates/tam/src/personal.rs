//! What one device is given for itself alone over TEEP: manifests that its providers signed, with data encrypted to that
//! device. The TAM carries them and reads nothing.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cose::{EncryptionInfo, thumbprint};
use tamarack_crypto::{Provider as Crypto, PublicKey};
use tamarack_model::{ComponentId, Sha256Digest, UnixTime, View, codes};
use tamarack_store::{Device, Provider, Read, StoreError, StoreOp, TenantId};
use tamarack_suit::command::{Argument, Instruction};
use tamarack_suit::parameter::{CONTENT, ENCRYPTION_INFO, Value};
use tamarack_suit::{Envelope, Limits, Manifest, Member};

use crate::catalog::{PublishError, authenticate, check_names, may_publish, sha256_of};
use crate::planner::Plan;

/// A manifest for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Personal {
    /// Manifest component id.
    pub manifest: ComponentId,
    /// Sequence number.
    pub sequence: u64,
    /// Digest of the manifest.
    pub digest: Sha256Digest,
    /// What it writes.
    pub components: Vec<ComponentId>,
    /// The provider that gives it.
    pub provider: String,
    /// The envelope.
    pub envelope: Vec<u8>,
}

impl Personal {
    fn read(envelope: &[u8]) -> Option<(Self, Manifest)> {
        let parsed = Envelope::parse(envelope, &Limits::default()).ok()?;
        let manifest = parsed.unauthenticated_manifest().ok()?;
        let personal = Self {
            manifest: manifest.manifest_component_id.clone()?,
            sequence: manifest.sequence_number,
            digest: sha256_of(parsed.digest())?,
            components: manifest.components.clone(),
            provider: String::new(),
            envelope: envelope.to_vec(),
        };
        Some((personal, manifest))
    }
}

/// Name of the claim, in the row of a device, under which the key stands that payloads for it are encrypted to: DER
/// SubjectPublicKeyInfo in hexadecimal.
pub const DECRYPTION_KEY: &str = "decryption-key";

/// The key that payloads for a device are encrypted to, as its latest Evidence showed it.
pub fn decryption_key(device: &Device) -> Option<PublicKey> {
    let (_, text) = device.claims.iter().find(|(name, _)| name == DECRYPTION_KEY)?;
    PublicKey::from_spki(&unhex(text)?).ok()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

/// Checks an envelope that `provider` wants one device to have: signed by one of its signers, within its prefixes, newer
/// than what the device was given before, of one component that is the personalization of a TA, and encrypted, in the
/// manifest itself, to the key that the device showed. A TAM takes no data that it could read.
pub fn check_personalization(
    envelope: &[u8],
    provider: &Provider,
    device: &Device,
    read: &dyn Read,
    crypto: &Crypto,
) -> Result<Personal, PublishError> {
    let authentic = authenticate(envelope, provider, crypto)?;
    let manifest = &authentic.value().manifest;
    let id = check_names(manifest, provider, read)?;
    let wrong = |what: &str| Err(PublishError::new(codes::PUBLISH_PAYLOAD, what));
    let [component] = manifest.components.as_slice() else {
        return wrong("a personalization has exactly one component");
    };
    if component.personalized_ta().is_none() {
        return wrong(&format!("{component} is not the personalization data of a TA"));
    }
    let Some(info) = sealed(manifest) else {
        return wrong("the content is not encrypted in the manifest itself");
    };
    let Some(key) = decryption_key(device) else {
        return wrong("the device has shown no key to encrypt to");
    };
    let ours = thumbprint(&key, crypto).0;
    if !info.kids().any(|kid| kid.is_none_or(|kid| kid == ours)) {
        return wrong("the content is encrypted to another key than the device's");
    }
    if authentic.value().envelope.integrated_payloads().next().is_some() {
        return wrong("the envelope has payloads besides");
    }
    for row in read.personalizations(&provider.tenant, &device.id)? {
        if let Some((before, _)) = Personal::read(&row.data).filter(|_| row.manifest == id)
            && before.sequence >= manifest.sequence_number
        {
            let reason = format!(
                "sequence number {} is not higher than {}",
                manifest.sequence_number, before.sequence
            );
            return Err(PublishError::new(codes::PUBLISH_ROLLBACK, reason));
        }
    }
    match Personal::read(envelope) {
        Some((personal, _)) => Ok(Personal { provider: provider.id.clone(), ..personal }),
        None => Err(PublishError::new(
            codes::SUIT_UNSUPPORTED_COMMAND,
            "a TAM takes manifests with SHA-256 only".to_string(),
        )),
    }
}

/// The encryption of the one content that the manifest writes; none if there is any that is not encrypted.
fn sealed(manifest: &Manifest) -> Option<EncryptionInfo> {
    let mut found = None;
    let sections = manifest.sections().filter_map(|(_, member)| match member {
        Member::Present(sequence) => Some(sequence),
        Member::Severed(_) => None,
    });
    for sequence in manifest.shared.iter().chain(sections) {
        for instruction in sequence.iter() {
            match settings(instruction) {
                Some((true, None)) => return None,
                Some((_, Some(info))) => found = Some(info),
                // Sequences inside are how a plain content could be hidden.
                None => return None,
                Some((false, None)) => {}
            }
        }
    }
    found
}

/// Whether a command sets a content, and with which encryption; none if it holds commands of its own.
fn settings(instruction: &Instruction) -> Option<(bool, Option<EncryptionInfo>)> {
    match &instruction.argument {
        Argument::Parameters(settings) => {
            let value = |label: i64| {
                settings.iter().find(|(parameter, _)| parameter.label == label).map(|(_, value)| value)
            };
            let info = match value(ENCRYPTION_INFO) {
                Some(Value::Bytes(info)) => {
                    EncryptionInfo::parse(info, &tamarack_cbor::Limits::default()).ok()
                }
                _ => None,
            };
            Some((value(CONTENT).is_some(), info))
        }
        Argument::Sequence(_) | Argument::Alternatives(_) | Argument::NotCarriedOut => None,
        Argument::Policy(_) | Argument::Index(_) => Some((false, None)),
    }
}

/// What `device` is to get besides `plan`: each of its manifests that it does not hold, once the TA is there or on its way.
pub(crate) fn planned(
    read: &dyn Read,
    tenant: &TenantId,
    device: &Device,
    view: &View,
    plan: &Plan,
) -> Result<Vec<Personal>, StoreError> {
    let mut personal = Vec::new();
    for row in read.personalizations(tenant, &device.id)? {
        // What only OTrP delivers is not an envelope.
        let Some((given, manifest)) = Personal::read(&row.data) else { continue };
        let Some(ta) = manifest.components.first().and_then(ComponentId::personalized_ta) else { continue };
        let brings = |entry: &tamarack_store::CatalogueEntry| entry.components.iter().any(|c| c.id == ta);
        let held = |id: &ComponentId| view.held.iter().find(|held| held.id == *id);
        // A TA that goes is a TA that is not there, whichever manifest it goes with.
        let goes = plan.remove.iter().any(|id| id.segments().get(..2) == ta.segments().get(..2));
        let there = held(&ta).is_some() && !goes || plan.install.iter().any(brings);
        let current = held(&given.manifest).is_some_and(|held| held.digest == Some(given.digest)) && !goes;
        // What the device's owner does not want is not sent before he says otherwise.
        let held_back = view.held_back.iter().any(|held_back| {
            (held_back.id == given.manifest || given.components.contains(&held_back.id))
                && held_back.sequence.is_none_or(|sequence| given.sequence <= sequence)
        });
        if there
            && !current
            && !held_back
            && let Some(provider) = publisher(read, tenant, &given.manifest)?
        {
            personal.push(Personal { provider, ..given });
        }
    }
    Ok(personal)
}

/// The enabled provider that may publish under this id.
fn publisher(
    read: &dyn Read,
    tenant: &TenantId,
    manifest: &ComponentId,
) -> Result<Option<String>, StoreError> {
    for provider in read.providers(tenant)? {
        if provider.enabled && may_publish(read, &provider, manifest)? {
            return Ok(Some(provider.id));
        }
    }
    Ok(None)
}

/// Notes that a device has what an Update brought it.
pub(crate) fn delivered(
    read: &dyn Read,
    device: &Device,
    manifests: &[tamarack_model::TcEntry],
    at: UnixTime,
) -> Result<Vec<StoreOp>, StoreError> {
    let rows = read.personalizations(&device.tenant, &device.id)?;
    let has = |row: &tamarack_store::Personalization| {
        Personal::read(&row.data).is_some_and(|(given, _)| {
            manifests.iter().any(|m| m.id == given.manifest && m.digest == Some(given.digest))
        })
    };
    let delivered = rows.into_iter().filter(has).map(|row| StoreOp::DeliverPersonalization {
        tenant: row.tenant,
        device: row.device,
        manifest: row.manifest,
        set: row.set,
        at,
    });
    Ok(delivered.collect())
}
