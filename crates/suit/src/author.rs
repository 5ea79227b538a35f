//! The authoring side: writes envelopes that the machine reads, the same bytes for the same input.

use alloc::string::String;
use alloc::vec::Vec;

use tamarack_cbor::{Encode, Encoder, MapEncoder};
use tamarack_cose::{Mac0, MacKey, Sign1, SignOptions, To, encrypt_detached};
use tamarack_crypto::{Provider, Sign};
use tamarack_model::ComponentId;

use crate::manifest::{Section, TEXT};
use crate::parameter::{
    CLASS_IDENTIFIER, CONTENT, DEVICE_IDENTIFIER, ENCRYPTION_INFO, IMAGE_DIGEST, IMAGE_SIZE, INVOKE_ARGS,
    SOURCE_COMPONENT, URI, VENDOR_IDENTIFIER,
};
use crate::report::encode_component_id;
use crate::{Envelope, Error, PAYLOAD_ENCRYPTION, SuitDigest, TAG_ENVELOPE};

/// Reporting policy of the conditions that are written: records on failure, claims either way.
const POLICY: u64 = 15;

/// Where the content of a component comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// It travels in the envelope, outside the signature.
    Integrated {
        /// Key in the envelope, such as `#ta`.
        key: String,
        /// The content.
        content: Vec<u8>,
        /// The digest to demand of it.
        digest: SuitDigest,
        /// The size to demand of it, in bytes.
        size: u64,
    },
    /// It is fetched.
    Uri {
        /// From here.
        uri: String,
        /// The digest to demand of it.
        digest: SuitDigest,
        /// The size to demand of it, in bytes.
        size: u64,
    },
    /// It stands in the manifest itself: for a few bytes only.
    Inline(Vec<u8>),
    /// Its ciphertext stands in the manifest itself: for what one device gets. No digest tells what it may be.
    Sealed {
        /// SUIT_Encryption_Info.
        info: Vec<u8>,
        /// The ciphertext.
        ciphertext: Vec<u8>,
    },
    /// It is decrypted from what an earlier component of the manifest brings.
    Decrypted {
        /// SUIT_Encryption_Info.
        info: Vec<u8>,
        /// Index of the component with the ciphertext.
        source: usize,
        /// The digest to demand of the plaintext.
        digest: SuitDigest,
        /// The size to demand of the plaintext, in bytes.
        size: u64,
    },
}

impl Payload {
    /// An integrated payload with its true digest and size.
    pub fn integrated(key: &str, content: Vec<u8>, provider: &Provider) -> Self {
        let digest = SuitDigest::sha256(&content, provider);
        Self::Integrated { key: key.into(), size: content.len() as u64, digest, content }
    }

    /// A payload by URI with the true digest and size of `content`.
    pub fn by_uri(uri: &str, content: &[u8], provider: &Provider) -> Self {
        let digest = SuitDigest::sha256(content, provider);
        Self::Uri { uri: uri.into(), digest, size: content.len() as u64 }
    }

    /// `plaintext` encrypted to all of `to`, in the manifest itself.
    pub fn sealed(plaintext: &[u8], to: &[To<'_>], provider: &Provider) -> Result<Self, Error> {
        let (info, ciphertext) =
            encrypt_detached(plaintext, to, PAYLOAD_ENCRYPTION, provider).map_err(Error::Encryption)?;
        Ok(Self::Sealed { info, ciphertext })
    }
}

/// A component to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    /// Its id.
    pub id: ComponentId,
    /// Vendor that the device must be of.
    pub vendor: Option<[u8; 16]>,
    /// Class that the device must be of.
    pub class: Option<[u8; 16]>,
    /// The one device that this is for.
    pub device: Option<[u8; 16]>,
    /// Its content.
    pub payload: Payload,
    /// Whether to run it in the invocation procedure, and with which arguments.
    pub invoke: Option<Vec<u8>>,
    /// Whether the manifest unlinks it when it is uninstalled.
    pub unlink: bool,
    /// Whether it only passes through: nothing demands it once the manifest is installed.
    pub transient: bool,
}

impl Component {
    /// A component for any device, unlinked on uninstall, not invoked.
    pub fn new(id: ComponentId, payload: Payload) -> Self {
        Self {
            id,
            vendor: None,
            class: None,
            device: None,
            payload,
            invoke: None,
            unlink: true,
            transient: false,
        }
    }
}

/// Texts for people, in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Language tag, such as `en`.
    pub language: String,
    /// manifest-description (1).
    pub description: Option<String>,
    /// update-description (2).
    pub update: Option<String>,
    /// Per component, by its index: component-version (6).
    pub versions: Vec<(usize, String)>,
}

/// A manifest to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Builder {
    /// Sequence number.
    pub sequence_number: u64,
    /// Where the manifest is kept, its name.
    pub manifest_component_id: Option<ComponentId>,
    /// Where the manifest can be had.
    pub reference_uri: Option<String>,
    /// What it installs, in order.
    pub components: Vec<Component>,
    /// Texts.
    pub text: Option<Text>,
    /// Members to sever, which then travel beside the manifest and can be left out later: only install and texts.
    pub sever: Vec<Severable>,
}

/// What can be severed from a manifest that is written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severable {
    /// The install section.
    Install,
    /// The texts.
    Text,
}

impl Builder {
    /// A manifest without components yet.
    pub fn new(manifest_component_id: ComponentId, sequence_number: u64) -> Self {
        Self {
            sequence_number,
            manifest_component_id: Some(manifest_component_id),
            reference_uri: None,
            components: Vec::new(),
            text: None,
            sever: Vec::new(),
        }
    }

    /// Adds a component.
    pub fn component(mut self, component: Component) -> Self {
        self.components.push(component);
        self
    }

    /// Adds a component whose integrated payload travels encrypted to all of `to`: as the component `carrier`, from which
    /// it is decrypted. Digests are demanded of both.
    pub fn encrypted(
        self,
        component: Component,
        carrier: ComponentId,
        to: &[To<'_>],
        provider: &Provider,
    ) -> Result<Self, Error> {
        let Payload::Integrated { key, content, digest, size } = &component.payload else {
            return Err(Error::Author("only an integrated payload can be encrypted here"));
        };
        let (info, ciphertext) =
            encrypt_detached(content, to, PAYLOAD_ENCRYPTION, provider).map_err(Error::Encryption)?;
        let carrier = Component {
            id: carrier,
            payload: Payload::integrated(key, ciphertext, provider),
            invoke: None,
            unlink: false,
            transient: true,
            ..component.clone()
        };
        let source = self.components.len();
        let payload = Payload::Decrypted { info, source, digest: *digest, size: *size };
        Ok(self.component(carrier).component(Component { payload, ..component }))
    }

    /// Adds texts.
    pub fn text(mut self, text: Text) -> Self {
        self.text = Some(text);
        self
    }

    /// Severs a member.
    pub fn sever(mut self, member: Severable) -> Self {
        self.sever.push(member);
        self
    }

    /// Writes the manifest; sign it next.
    pub fn build(&self, provider: &Provider) -> Result<Unsigned, Error> {
        if self.components.is_empty() {
            return Err(Error::Author("a manifest needs at least one component"));
        }
        let mut severed = Vec::new();
        let mut e = Encoder::new();
        e.map_with(|map| {
            map.int(1, |e| e.uint(1))
                .int(2, |e| e.uint(self.sequence_number))
                .int(3, |e| e.bytes(&self.common()))
                .optional(4, self.reference_uri.as_deref(), |e, uri| e.text(uri))
                .optional(5, self.manifest_component_id.as_ref(), encode_component_id);
            let mut member = |map: &mut MapEncoder, key, severable, content: Vec<u8>| {
                if severable && content.len() > 2 {
                    map.int(key, |e| e.item(&SuitDigest::sha256_of_wrapped(&content, provider)));
                    severed.push((key, content));
                } else {
                    map.int(key, |e| e.bytes(&content));
                }
            };
            let (install, texts) =
                (self.sever.contains(&Severable::Install), self.sever.contains(&Severable::Text));
            let sections = [
                (Section::Validate, false, self.section(|_, c, s| s.validate(c))),
                (Section::Invoke, false, self.section(|_, c, s| s.invoke(c))),
                (Section::Install, install, self.section(|_, c, s| s.install(c))),
                (Section::Uninstall, false, self.section(|_, c, s| s.uninstall(c))),
            ];
            for (section, severable, commands) in sections {
                if commands.count > 0 {
                    member(map, section.key(), severable, commands.into_bytes());
                }
            }
            if let Some(text) = &self.text {
                member(map, TEXT, texts, self.encode_text(text));
            }
        });
        let mut payloads: Vec<(String, Vec<u8>)> = Vec::new();
        for component in &self.components {
            if let Payload::Integrated { key, content, .. } = &component.payload {
                match payloads.iter().find(|(k, _)| k == key) {
                    None => payloads.push((key.clone(), content.clone())),
                    Some((_, same)) if same == content => {}
                    Some(_) => return Err(Error::Author("two integrated payloads have the same key")),
                }
            }
        }
        let manifest = e.into_bytes();
        let digest = SuitDigest::sha256_of_wrapped(&manifest, provider);
        Ok(Unsigned { manifest, digest, severed, payloads, blocks: Vec::new() })
    }

    fn common(&self) -> Vec<u8> {
        let shared = self.section(|_, component, commands| commands.shared(component));
        let mut e = Encoder::new();
        e.map_with(|map| {
            map.int(2, |e| {
                e.array(self.components.len());
                self.components.iter().fold(e, |e, component| encode_component_id(e, &component.id))
            });
            if shared.count > 0 {
                map.int(4, |e| e.bytes(&shared.into_bytes()));
            }
        });
        e.into_bytes()
    }

    /// Writes a section: for each component what `write` adds, after choosing it if there are several.
    fn section(&self, write: impl Fn(usize, &Component, &mut Commands)) -> Commands {
        let mut all = Commands::default();
        for (index, component) in self.components.iter().enumerate() {
            let mut own = Commands::default();
            write(index, component, &mut own);
            if own.count > 0 && self.components.len() > 1 {
                all.add(12, |e| e.uint(index as u64));
            }
            all.count += own.count;
            all.encoder.raw(&own.encoder.into_bytes());
        }
        all
    }

    fn encode_text(&self, text: &Text) -> Vec<u8> {
        let mut e = Encoder::new();
        e.map_with(|map| {
            map.text(&text.language, |e| {
                e.map_with(|map| {
                    map.optional(1, text.description.as_deref(), |e, t| e.text(t)).optional(
                        2,
                        text.update.as_deref(),
                        |e, t| e.text(t),
                    );
                    for (index, version) in &text.versions {
                        if let Some(component) = self.components.get(*index) {
                            let mut key = Encoder::new();
                            encode_component_id(&mut key, &component.id);
                            map.raw(&key.into_bytes(), |e| {
                                e.map_with(|map| {
                                    map.int(6, |e| e.text(version));
                                })
                            });
                        }
                    }
                })
            });
        });
        e.into_bytes()
    }
}

/// The commands of a sequence, without the head of its array.
#[derive(Default)]
struct Commands {
    encoder: Encoder,
    count: usize,
}

impl Commands {
    fn add(&mut self, code: i64, argument: impl FnOnce(&mut Encoder) -> &mut Encoder) {
        argument(self.encoder.int(code));
        self.count += 1;
    }

    fn policy(&mut self, code: i64) {
        self.add(code, |e| e.uint(POLICY));
    }

    /// override-parameters
    fn parameters(&mut self, fill: impl FnOnce(&mut MapEncoder)) {
        self.add(20, |e| e.map_with(fill));
    }

    fn into_bytes(self) -> Vec<u8> {
        let mut e = Encoder::new();
        e.array(self.count * 2).raw(&self.encoder.into_bytes());
        e.into_bytes()
    }

    /// What every section needs: the parameters of the component, and that this is the right device.
    fn shared(&mut self, component: &Component) {
        let identifiers = [
            (VENDOR_IDENTIFIER, component.vendor, 1),
            (CLASS_IDENTIFIER, component.class, 2),
            (DEVICE_IDENTIFIER, component.device, 24),
        ];
        let digest = match &component.payload {
            Payload::Integrated { digest, size, .. }
            | Payload::Uri { digest, size, .. }
            | Payload::Decrypted { digest, size, .. } => Some((digest, *size)),
            Payload::Inline(_) | Payload::Sealed { .. } => None,
        };
        let any = digest.is_some() || identifiers.iter().any(|(_, id, _)| id.is_some());
        if any {
            self.parameters(|map| {
                for (label, id, _) in identifiers {
                    map.optional(label, id, |e, id| e.bytes(&id));
                }
                if let Some((digest, size)) = digest {
                    map.int(IMAGE_DIGEST, |e| e.wrapped(digest)).int(IMAGE_SIZE, |e| e.uint(size));
                }
            });
        }
        for (_, id, condition) in identifiers {
            if id.is_some() {
                self.policy(condition);
            }
        }
    }

    fn install(&mut self, component: &Component) {
        match &component.payload {
            Payload::Integrated { key: uri, .. } | Payload::Uri { uri, .. } => {
                self.parameters(|map| {
                    map.int(URI, |e| e.text(uri));
                });
                self.policy(21);
                self.policy(3);
            }
            Payload::Inline(content) => {
                self.parameters(|map| {
                    map.int(CONTENT, |e| e.bytes(content));
                });
                self.policy(18);
            }
            Payload::Sealed { info, ciphertext } => {
                self.parameters(|map| {
                    map.int(CONTENT, |e| e.bytes(ciphertext)).int(ENCRYPTION_INFO, |e| e.bytes(info));
                });
                self.policy(18);
            }
            Payload::Decrypted { info, source, .. } => {
                self.parameters(|map| {
                    map.int(ENCRYPTION_INFO, |e| e.bytes(info))
                        .int(SOURCE_COMPONENT, |e| e.uint(*source as u64));
                });
                self.policy(22);
                self.policy(3);
            }
        }
    }

    fn validate(&mut self, component: &Component) {
        match &component.payload {
            _ if component.transient => {}
            Payload::Integrated { .. } | Payload::Uri { .. } | Payload::Decrypted { .. } => self.policy(3),
            // What a digest would tell of a secret could be guessed from it.
            Payload::Sealed { .. } => {}
            Payload::Inline(content) => {
                self.parameters(|map| {
                    map.int(CONTENT, |e| e.bytes(content));
                });
                self.policy(6);
            }
        }
    }

    fn invoke(&mut self, component: &Component) {
        if let Some(arguments) = &component.invoke {
            if !arguments.is_empty() {
                self.parameters(|map| {
                    map.int(INVOKE_ARGS, |e| e.bytes(arguments));
                });
            }
            self.policy(23);
        }
    }

    fn uninstall(&mut self, component: &Component) {
        if component.unlink {
            self.policy(33);
        }
    }
}

/// A manifest that was written and not signed by everybody yet.
#[derive(Clone, Debug)]
pub struct Unsigned {
    manifest: Vec<u8>,
    digest: SuitDigest,
    severed: Vec<(i64, Vec<u8>)>,
    payloads: Vec<(String, Vec<u8>)>,
    blocks: Vec<Vec<u8>>,
}

impl Unsigned {
    /// An envelope that exists, to be signed again: everything in it as it is, but without its authentication blocks. Its
    /// digest must be that of its manifest, so that nobody signs a manifest by another's digest.
    pub fn from_envelope(envelope: &Envelope, provider: &Provider) -> Result<Self, Error> {
        if envelope.digest().covers_wrapped(envelope.manifest_bytes(), provider) != Some(true) {
            return Err(Error::ManifestDigest);
        }
        Ok(Self {
            manifest: envelope.manifest_bytes().to_vec(),
            digest: *envelope.digest(),
            severed: envelope
                .severed_keys()
                .filter_map(|key| Some((key, envelope.severed(key)?.0.to_vec())))
                .collect(),
            payloads: envelope
                .integrated_payloads()
                .map(|(key, payload)| (key.into(), payload.to_vec()))
                .collect(),
            blocks: Vec::new(),
        })
    }

    /// The digest of the manifest: what its name in reports and lists is.
    pub fn digest(&self) -> &SuitDigest {
        &self.digest
    }

    /// The encoded manifest.
    pub fn manifest(&self) -> &[u8] {
        &self.manifest
    }

    /// Adds a signature over the digest.
    pub fn sign(mut self, signer: &dyn Sign, options: &SignOptions<'_>) -> Result<Self, Error> {
        let options = SignOptions { detached: true, ..options.clone() };
        let block = Sign1::sign(signer, &self.digest.to_cbor(), &[], &options).map_err(|_| Error::Signer)?;
        self.blocks.push(block);
        Ok(self)
    }

    /// Adds a MAC over the digest.
    pub fn mac(mut self, key: &MacKey, provider: &Provider) -> Self {
        self.blocks.push(Mac0::authenticate(key, &self.digest.to_cbor(), &[], true, provider));
        self
    }

    /// The tagged envelope with everything in it.
    pub fn envelope(&self) -> Vec<u8> {
        let mut wrapper = Encoder::new();
        wrapper.array(1 + self.blocks.len()).wrapped(&self.digest);
        self.blocks.iter().fold(&mut wrapper, |e, block| e.bytes(block));
        let mut e = Encoder::new();
        e.tag(TAG_ENVELOPE).map_with(|map| {
            map.int(2, |e| e.bytes(&wrapper.into_bytes())).int(3, |e| e.bytes(&self.manifest));
            for (key, content) in &self.severed {
                map.int(*key, |e| e.bytes(content));
            }
            for (key, payload) in &self.payloads {
                map.text(key, |e| e.bytes(payload));
            }
        });
        e.into_bytes()
    }
}
