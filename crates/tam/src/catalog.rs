//! Whether an envelope may be published: what the REST interface asks before it stores anything.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use tamarack_cose::{Purpose, VerificationKey, Verified};
use tamarack_crypto::Provider as Crypto;
use tamarack_model::{Code, ComponentId, Sha256Digest, TcEntry, codes};
use tamarack_store::{Domain, Provider, Read, StoreError, TenantId};
use tamarack_suit::command::{Argument, Instruction, Selection};
use tamarack_suit::parameter::{CONTENT, ENCRYPTION_INFO, IMAGE_DIGEST, IMAGE_SIZE, URI, Value};
use tamarack_suit::{
    AuthenticEnvelope, DigestAlgorithm, Envelope, Limits, Manifest, Member, SuitDigest, TrustedKeys,
};

/// An envelope that may be published, as the catalogue will have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// Manifest component id.
    pub manifest: ComponentId,
    /// Sequence number.
    pub sequence: u64,
    /// Digest of the manifest.
    pub digest: Sha256Digest,
    /// What it installs, with digests and sizes where the manifest gives them.
    pub components: Vec<TcEntry>,
}

/// An envelope that may not be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishError {
    /// The stable code.
    pub code: Code,
    /// Why, in a sentence.
    pub reason: String,
}

impl PublishError {
    pub(crate) fn new(code: Code, reason: impl Into<String>) -> Self {
        Self { code, reason: reason.into() }
    }
}

impl From<StoreError> for PublishError {
    fn from(e: StoreError) -> Self {
        Self::new(e.code(), e.to_string())
    }
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.code)
    }
}

impl core::error::Error for PublishError {}

/// The domain that segment 0 of an id names, deleted or not.
pub fn domain_of(read: &dyn Read, tenant: &TenantId, id: &ComponentId) -> Result<Option<Domain>, StoreError> {
    match core::str::from_utf8(id.domain()) {
        Ok(name) => read.domain(tenant, name),
        // No domain has such a name.
        Err(_) => Ok(None),
    }
}

/// Whether `provider` may publish under `id`: within its prefixes, or as a guest of the domain, and never in a deleted one.
pub fn may_publish(read: &dyn Read, provider: &Provider, id: &ComponentId) -> Result<bool, StoreError> {
    let domain = domain_of(read, &provider.tenant, id)?;
    let guest = |domain: &Domain| domain.signers.iter().any(|signer| signer.provider == provider.id);
    Ok(match domain {
        Some(domain) if domain.deleted.is_some() => false,
        Some(domain) => provider.owns(id) || guest(&domain),
        None => provider.owns(id),
    })
}

/// Whether `id` and `other` belong to one TA: segments 0 and 1 are the same.
fn same_ta(id: &ComponentId, other: &ComponentId) -> bool {
    id.segments().get(..2).is_some_and(|ta| other.starts_with(ta)) || id == other
}

/// Refuses what would touch a TA that another provider published: a guest brings TAs of its own ids.
fn check_others(
    read: &dyn Read,
    provider: &Provider,
    manifest: &ComponentId,
    components: &[ComponentId],
) -> Result<(), PublishError> {
    let ids = || core::iter::once(manifest).chain(components);
    let shared = |domain: &Domain| domain.signers.iter().any(|signer| signer.provider != provider.id);
    let alone = ids().all(|id| provider.owns(id))
        && !domain_of(read, &provider.tenant, manifest)?.is_some_and(|domain| shared(&domain));
    if alone {
        return Ok(());
    }
    for entry in read.catalogue(&provider.tenant)?.into_iter().filter(|e| e.provider != provider.id) {
        let theirs = || core::iter::once(&entry.manifest).chain(entry.components.iter().map(|c| &c.id));
        if let Some(id) = ids().find(|id| theirs().any(|their| same_ta(id, their))) {
            let reason = format!("{id} belongs to a TA that another provider published");
            return Err(PublishError::new(codes::PUBLISH_PREFIX, reason));
        }
    }
    Ok(())
}

/// Checks an envelope that `provider` wants to publish: signed by one of its signers, names itself, writes only within its
/// prefixes and the domains that it is a guest of, is newer than what was published, touches no other provider's TA, and carries the payloads that its manifest asks for.
///
/// The sequence number is checked again in the transaction that publishes ([`tamarack_store::StoreOp::Publish`]).
pub fn check_publication(
    envelope: &[u8],
    provider: &Provider,
    read: &dyn Read,
    crypto: &Crypto,
) -> Result<Publication, PublishError> {
    let authentic = authenticate(envelope, provider, crypto)?;
    let (envelope, manifest) = (&authentic.value().envelope, &authentic.value().manifest);
    let id = check_names(manifest, provider, read)?;
    let highest = read.highest_sequence(&provider.tenant, &id)?;
    if let Some(highest) = highest.filter(|highest| manifest.sequence_number <= *highest) {
        let reason = format!("sequence number {} is not higher than {highest}", manifest.sequence_number);
        return Err(PublishError::new(codes::PUBLISH_ROLLBACK, reason));
    }
    let digest = sha256_of(envelope.digest()).ok_or_else(|| {
        PublishError::new(codes::SUIT_UNSUPPORTED_COMMAND, "the catalogue takes manifests with SHA-256 only")
    })?;
    let components = payloads(envelope, manifest, crypto)?;
    Ok(Publication { manifest: id, sequence: manifest.sequence_number, digest, components })
}

/// The envelope, if one of the provider's signers signed it.
pub(crate) fn authenticate(
    envelope: &[u8],
    provider: &Provider,
    crypto: &Crypto,
) -> Result<Verified<AuthenticEnvelope>, PublishError> {
    let parsed = Envelope::parse(envelope, &Limits::default())
        .map_err(|e| PublishError::new(e.code(), e.to_string()))?;
    let keys: Vec<VerificationKey> = provider
        .signers
        .iter()
        .map(|key| VerificationKey::new(*key, Purpose::SuitManifest, crypto))
        .collect();
    let trusted = TrustedKeys { signatures: &keys, macs: &[] };
    parsed.authenticate(&trusted, crypto).map_err(|e| match e {
        tamarack_suit::Error::Cose(_) | tamarack_suit::Error::NotSigned => {
            let reason = format!("no registered signer of {} verifies the envelope: {e}", provider.id);
            PublishError::new(codes::PUBLISH_UNSIGNED, reason)
        }
        e => PublishError::new(e.code(), e.to_string()),
    })
}

/// The manifest's name, if it and all that it writes are the provider's to publish.
pub(crate) fn check_names(
    manifest: &Manifest,
    provider: &Provider,
    read: &dyn Read,
) -> Result<ComponentId, PublishError> {
    let id = manifest.manifest_component_id.clone().ok_or_else(|| {
        PublishError::new(codes::SUIT_NO_MANIFEST_ID, "the manifest has no manifest-component-id (5)")
    })?;
    for id in core::iter::once(&id).chain(&manifest.components) {
        if !may_publish(read, provider, id)? {
            let reason = format!(
                "{id} lies outside the prefixes of {} and is in no domain that it may publish into",
                provider.id
            );
            return Err(PublishError::new(codes::PUBLISH_PREFIX, reason));
        }
    }
    check_others(read, provider, &id, &manifest.components)?;
    Ok(id)
}

/// The bytes of a SHA-256 digest.
pub(crate) fn sha256_of(digest: &SuitDigest) -> Option<Sha256Digest> {
    let bytes = (digest.algorithm() == DigestAlgorithm::Sha256).then(|| digest.bytes())?;
    bytes.try_into().ok().map(Sha256Digest)
}

/// What the sequences set for one component, at the point that the walk has reached.
#[derive(Clone, Default)]
struct Settings {
    digest: Option<SuitDigest>,
    size: Option<u64>,
    uri: Option<String>,
    content: Option<Vec<u8>>,
    /// The content is a ciphertext, which says nothing of what the component holds.
    encrypted: bool,
}

struct Walk<'a> {
    envelope: &'a Envelope,
    crypto: &'a Crypto,
    settings: Vec<Settings>,
    current: Vec<usize>,
}

const FETCH: i64 = 21;

/// Walks the shared and the installing sequences, every alternative of them, and checks each integrated payload where it
/// is fetched. Gives each component with what was last demanded of it.
fn payloads(envelope: &Envelope, manifest: &Manifest, crypto: &Crypto) -> Result<Vec<TcEntry>, PublishError> {
    let count = manifest.components.len();
    let mut walk =
        Walk { envelope, crypto, settings: alloc::vec![Settings::default(); count], current: alloc::vec![0] };
    if let Some(shared) = &manifest.shared {
        walk.sequence(shared)?;
    }
    for (_, member) in manifest.sections() {
        walk.current = alloc::vec![0];
        if let Member::Present(sequence) = member {
            walk.sequence(sequence)?;
        }
    }
    let entries = manifest.components.iter().zip(walk.settings).map(|(id, settings)| {
        let inline = settings.content.filter(|_| settings.uri.is_none() && !settings.encrypted);
        let digest = settings.digest.as_ref().and_then(sha256_of);
        TcEntry {
            id: id.clone(),
            digest: digest.or(inline.as_ref().map(|content| Sha256Digest(crypto.sha256(content)))),
            size: settings.size.or(inline.map(|content| content.len() as u64)),
        }
    });
    Ok(entries.collect())
}

impl Walk<'_> {
    fn sequence(&mut self, sequence: &[Instruction]) -> Result<(), PublishError> {
        for instruction in sequence {
            match &instruction.argument {
                Argument::Index(Selection::One(index)) => self.current = alloc::vec![*index],
                Argument::Index(Selection::Several(indices)) => self.current = indices.to_vec(),
                Argument::Index(Selection::All) => self.current = (0..self.settings.len()).collect(),
                Argument::Parameters(settings) => {
                    for (parameter, value) in settings.iter() {
                        self.set(parameter.label, value);
                    }
                }
                Argument::Sequence(inner) => self.sequence(inner)?,
                Argument::Alternatives(alternatives) => {
                    for inner in &alternatives.sequences {
                        self.sequence(inner)?;
                    }
                }
                Argument::Policy(_) if instruction.command.code == FETCH => self.check_fetch()?,
                Argument::Policy(_) | Argument::NotCarriedOut => {}
            }
        }
        Ok(())
    }

    fn set(&mut self, label: i64, value: &Value) {
        for index in &self.current {
            let Some(settings) = self.settings.get_mut(*index) else { continue };
            match (label, value) {
                (IMAGE_DIGEST, Value::Digest(digest)) => settings.digest = Some(*digest),
                (IMAGE_SIZE, Value::Uint(size)) => settings.size = Some(*size),
                (URI, Value::Text(uri)) => settings.uri = Some(uri.as_ref().into()),
                (CONTENT, Value::Bytes(content)) => settings.content = Some(content.to_vec()),
                (ENCRYPTION_INFO, _) => settings.encrypted = true,
                _ => {}
            }
        }
    }

    fn check_fetch(&self) -> Result<(), PublishError> {
        for index in &self.current {
            let Some(settings) = self.settings.get(*index) else { continue };
            let Some(uri) = &settings.uri else { continue };
            let wrong = |what: &str| {
                Err(PublishError::new(codes::PUBLISH_PAYLOAD, format!("integrated payload {uri:?}: {what}")))
            };
            let Some(payload) = self.envelope.integrated(uri) else {
                // A fragment can be nowhere else.
                if uri.starts_with('#') {
                    return wrong("is not in the envelope");
                }
                continue;
            };
            let Some(digest) = &settings.digest else { return wrong("the manifest demands no digest of it") };
            let Some(algorithm) = digest.algorithm().hash() else {
                return wrong("its digest algorithm is not supported");
            };
            let mut hasher = self.crypto.sha2.start(algorithm);
            hasher.update(payload);
            if !digest.is(&hasher.finish()) {
                return wrong("has another digest than the manifest demands");
            }
            if settings.size.is_some_and(|size| size != payload.len() as u64) {
                return wrong("has another size than the manifest demands");
            }
        }
        Ok(())
    }
}
