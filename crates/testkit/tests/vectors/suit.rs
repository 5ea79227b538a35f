//! Envelopes of the SUIT drafts, of libcsuit and of the TEEP draft: those that need neither dependencies nor update
//! management run to their end, the others are refused before anything is done, by name.

use std::collections::BTreeMap;

use tamarack_cose::{EncryptionInfo, KeyId, MacKey, Opener, Purpose, VerificationKey};
use tamarack_crypto::{HashAlgorithm, PublicKey, Secret};
use tamarack_crypto_rustcrypto::provider;
use tamarack_model::ComponentId;
use tamarack_suit::command::{Argument, Selection, Sequence};
use tamarack_suit::parameter::{IMAGE_DIGEST, IMAGE_SIZE, Value};
use tamarack_suit::{
    Ciphertext, EffectError, Effects, Envelope, Error, FetchRequest, IdentifierKind, Limits, Machine,
    Manifest, Measured, Member, MemoryDevice, Operation, PAYLOAD_ENCRYPTION, PayloadKey, Procedure, Step,
    TrustedKeys,
};

use crate::table::Table;

/// What a vector is expected to do.
enum Expected {
    /// Runs its procedures to the end on a device that holds what the manifest describes, and not on an empty one.
    Runs(&'static [Procedure]),
    /// As `Runs` for invocation; the section that an update needs is severed and absent.
    RunsWithoutUpdate,
    /// Carries no signature: readable, never authentic.
    Unsigned,
    /// Runs an update and leaves the plaintext of the drafts' examples; what is fetched is the ciphertext in this file.
    Decrypts(&'static str),
    /// Not an envelope but an encryption-info: opens the ciphertext in this file to the plaintext in that one.
    Opens(&'static str, &'static str),
    /// Refused whole; the refusal contains this.
    Refused(&'static str),
}

use Expected::{Decrypts, Opens, Refused, Runs, RunsWithoutUpdate, Unsigned};

const AES_KW: &str = "suit-firmware-encryption/encrypted-payload-aes-kw-aes-gcm.bin";
const IMAGE: &str = "suit-libcsuit/raw_image.bin";
const CONFIG: &str = "suit-libcsuit/config.json";

const UPDATE: &[Procedure] = &[Procedure::Update];
const BOTH: &[Procedure] = &[Procedure::Update, Procedure::Invocation];
const LIFE: &[Procedure] = &[Procedure::Update, Procedure::Uninstall];

const VECTORS: &[(&str, Expected)] = &[
    ("suit-manifest/example0.0.no-auth.cbor", Unsigned),
    ("suit-manifest/example0.1.with-auth.cbor", Runs(BOTH)),
    ("suit-manifest/example1.0.no-auth.cbor", Unsigned),
    ("suit-manifest/example1.1.with-auth.cbor", Runs(UPDATE)),
    ("suit-manifest/example2.0.severed-no-auth.cbor", Unsigned),
    ("suit-manifest/example2.1.severed-with-auth.cbor", RunsWithoutUpdate),
    ("suit-manifest/example2.2.severed-with-auth.cbor", Runs(BOTH)),
    ("suit-manifest/example3.0.no-auth.cbor", Unsigned),
    ("suit-manifest/example3.1.with-auth.cbor", Runs(UPDATE)),
    ("suit-manifest/example4.0.no-auth.cbor", Unsigned),
    ("suit-manifest/example4.1.with-auth.cbor", Runs(BOTH)),
    ("suit-manifest/example5.0.no-auth.cbor", Unsigned),
    ("suit-manifest/example5.1.with-auth.cbor", Runs(BOTH)),
    ("suit-libcsuit/suit_manifest_exp0.suit", Runs(BOTH)),
    ("suit-libcsuit/suit_manifest_exp1.suit", Runs(UPDATE)),
    ("suit-libcsuit/suit_manifest_exp2A.suit", RunsWithoutUpdate),
    ("suit-libcsuit/suit_manifest_exp2B.suit", Runs(BOTH)),
    ("suit-libcsuit/suit_manifest_exp4.suit", Runs(BOTH)),
    ("suit-libcsuit/suit_manifest_expI.suit", Runs(LIFE)),
    ("suit-libcsuit/suit_manifest_expU.suit", Runs(LIFE)),
    ("suit-libcsuit/suit_manifest_expS0.suit", Runs(BOTH)),
    ("suit-libcsuit/suit_manifest_expS2.suit", Refused("dependencies")),
    ("suit-libcsuit/suit_manifest_expAF.suit", Decrypts(AES_KW)),
    ("suit-libcsuit/suit_manifest_expAW.suit", Decrypts("")),
    ("suit-libcsuit/suit_manifest_expED.suit", Refused("dependencies")),
    ("suit-libcsuit/encryption_info_aes.cose", Opens("suit-libcsuit/encrypted_image_aes.bin", IMAGE)),
    (
        "suit-libcsuit/encryption_info_config_aes.cose",
        Opens("suit-libcsuit/encrypted_config_aes.bin", CONFIG),
    ),
    (
        "suit-libcsuit/encryption_info_config_esdh.cose",
        Opens("suit-libcsuit/encrypted_config_esdh.bin", CONFIG),
    ),
    ("suit-libcsuit/encryption_info_esdh.cose", Opens("suit-libcsuit/encrypted_image_esdh.bin", IMAGE)),
    (
        "suit-firmware-encryption/suit-encryption-info-aes-kw-aes-ctr.cbor",
        Opens("suit-firmware-encryption/encrypted-payload-aes-kw-aes-ctr.bin", IMAGE),
    ),
    ("suit-firmware-encryption/suit-encryption-info-aes-kw-aes-gcm.cbor", Opens(AES_KW, IMAGE)),
    (
        "suit-firmware-encryption/suit-encryption-info-es-ecdh-aes-ctr.cbor",
        Opens("suit-firmware-encryption/encrypted-payload-es-ecdh-aes-ctr.bin", IMAGE),
    ),
    (
        "suit-firmware-encryption/suit-encryption-info-es-ecdh-aes-gcm.cbor",
        Opens("suit-firmware-encryption/encrypted-payload-es-ecdh-aes-gcm.bin", IMAGE),
    ),
    ("suit-firmware-encryption/suit-manifest-aes-kw-content.cbor", Decrypts("")),
    ("suit-firmware-encryption/suit-manifest-aes-kw-slot.cbor", Decrypts(AES_KW)),
    ("suit-firmware-encryption/suit-manifest-aes-kw.cbor", Decrypts(AES_KW)),
    ("suit-firmware-encryption/suit-manifest-es-ecdh-content.cbor", Decrypts("")),
    ("suit-firmware-encryption/suit-manifest-es-ecdh-dependency.cbor", Refused("dependencies")),
    ("suit-libcsuit/suit_manifest_expU0.suit", Refused("use-before")),
    ("suit-libcsuit/suit_manifest_expU2.suit", Refused("set-version")),
    ("teep-draft/suit_uri.cbor", Runs(LIFE)),
    ("teep-draft/suit_integrated.cbor", Runs(LIFE)),
    ("teep-draft/suit_personalization.cbor", Refused("dependencies")),
];

pub fn run(table: &mut Table) {
    let keys = Keys::load(table);
    for (name, expected) in VECTORS {
        let bytes = std::fs::read(table.root().join(name)).expect("listed file");
        let read = |file: &str| std::fs::read(table.root().join(file)).expect("a file of the vectors");
        let outcome = match expected {
            Opens(ciphertext, plaintext) => opens(&bytes, &read(ciphertext), &read(plaintext), &keys),
            Decrypts("") => decrypts(&bytes, Vec::new(), &read(IMAGE), &keys),
            Decrypts(fetched) => decrypts(&bytes, read(fetched), &read(IMAGE), &keys),
            _ => check(&bytes, expected, &keys),
        };
        table.record(name, outcome);
    }
}

struct Keys {
    strict: Vec<VerificationKey>,
    legacy: Vec<VerificationKey>,
    macs: Vec<MacKey>,
    /// DER PKCS#8 of the key that payloads are encrypted to, kid-2.
    decryption: Vec<u8>,
}

/// The key that payloads are encrypted to with AES-KW, kid-1.
const KEK: [u8; 16] = [b'a'; 16];

impl Keys {
    fn load(table: &Table) -> Self {
        let provider = provider();
        let spki = std::fs::read(table.root().join("suit-libcsuit/key/trust_anchor_secp256r1_pub.der"))
            .expect("the anchor of the vectors");
        let public = PublicKey::from_spki(&spki).expect("a P-256 key");
        let key = VerificationKey::new(public, Purpose::SuitManifest, &provider);
        // One of the encrypted examples is signed by it, whatever its document says.
        let tam = std::fs::read(table.root().join("teep-libteep/key/tam_prime256v1_pub.der")).expect("a key");
        let tam = PublicKey::from_spki(&tam).expect("a P-256 key");
        let tam = VerificationKey::new(tam, Purpose::SuitManifest, &provider);
        let mac = MacKey::new(Secret::new(vec![b'a'; 32]), Purpose::SuitManifest, &provider);
        let json =
            std::fs::read(table.root().join("suit-firmware-encryption/key/kid-2.json")).expect("a key");
        let json: serde_json::Value = serde_json::from_slice(&json).expect("JSON");
        let private = hex::decode(json["d_hex"].as_str().expect("a private key")).expect("hexadecimal");
        let decryption =
            tamarack_testkit::crypto_suite::p256_pkcs8(&private.try_into().expect("a P-256 scalar"));
        Self {
            legacy: vec![key.clone().accepting_legacy_ids(), tam],
            strict: vec![key],
            macs: vec![mac],
            decryption,
        }
    }

    fn trusted(&self, legacy: bool) -> TrustedKeys<'_> {
        TrustedKeys { signatures: if legacy { &self.legacy } else { &self.strict }, macs: &self.macs }
    }
}

/// With both providers; a changed byte, another key or another use opens nothing.
fn opens(info: &[u8], ciphertext: &[u8], plaintext: &[u8], keys: &Keys) -> Result<String, String> {
    let info = EncryptionInfo::parse(info, &tamarack_cbor::Limits::default()).map_err(|e| e.to_string())?;
    for provider in [provider(), tamarack_crypto_aws_lc::provider()] {
        let private = provider.agree.load_pkcs8(&keys.decryption).map_err(|e| e.to_string())?;
        let other = provider.agree.ephemeral().map_err(|e| e.to_string())?;
        let open = |ciphertext: &[u8], opener: Opener<'_>, context: &str| {
            info.decrypt(ciphertext, opener, None, context, &provider)
        };
        let opened = open(ciphertext, Opener::Key(&*private), PAYLOAD_ENCRYPTION)
            .or_else(|_| open(ciphertext, Opener::Kek(&KEK), PAYLOAD_ENCRYPTION))
            .map_err(|e| e.to_string())?;
        if opened.expose() != plaintext {
            return Err("opens to something else".into());
        }
        let mut changed = ciphertext.to_vec();
        changed[0] ^= 1;
        let agreed = info.recipients().any(|(_, algorithm)| algorithm == Some(-29));
        let closed = [
            open(&changed, Opener::Key(&*private), PAYLOAD_ENCRYPTION),
            open(&changed, Opener::Kek(&KEK), PAYLOAD_ENCRYPTION),
            open(ciphertext, Opener::Key(&*other), PAYLOAD_ENCRYPTION),
            open(ciphertext, Opener::Kek(&[0; 16]), PAYLOAD_ENCRYPTION),
            // A shared key is not derived and so not bound to a use.
            open(ciphertext, Opener::Key(&*private), "EAT Encryption"),
            open(&ciphertext[..ciphertext.len().min(15)], Opener::Kek(&KEK), PAYLOAD_ENCRYPTION),
        ];
        if closed.iter().any(|result| result.as_ref().err() != Some(&tamarack_cose::Error::Decrypt)) {
            return Err(format!("opens what it must not, or says why (key agreement: {agreed})"));
        }
    }
    Ok(format!("opens to {} bytes with both providers, changed or with other keys to none", plaintext.len()))
}

/// Carries the manifest out on a device with the keys of the vectors, and on one without.
fn decrypts(bytes: &[u8], fetched: Vec<u8>, plaintext: &[u8], keys: &Keys) -> Result<String, String> {
    let (provider, limits) = (provider(), Limits::default());
    let envelope = Envelope::parse(bytes, &limits).map_err(|e| e.to_string())?;
    let authentic = envelope.authenticate(&keys.trusted(false), &provider).map_err(|e| e.to_string())?;
    let mut device = MemoryDevice::new(provider);
    device.payloads.insert("coaps://example.com/encrypted-firmware".into(), fetched);
    let run = |device: &mut MemoryDevice| {
        let mut machine = Machine::new(authentic.clone(), Procedure::Update, limits).expect("makes ready");
        device.drive(&mut machine).map_err(|failure| failure.code)
    };
    if run(&mut device) != Err(tamarack_model::codes::COSE_DECRYPT) {
        return Err("carried out without a key".into());
    }
    let private = provider.agree.load_pkcs8(&keys.decryption).map_err(|e| e.to_string())?;
    device.keys = vec![PayloadKey::Private(private), PayloadKey::Shared(KEK)];
    run(&mut device).map_err(|code| code.to_string())?;
    let component = &authentic.value().manifest.components[0];
    match device.components.get(component) {
        Some(content) if content == plaintext => {
            Ok(format!("{component} decrypted, without the key refused"))
        }
        other => Err(format!("{component} is {other:?}")),
    }
}

fn check(bytes: &[u8], expected: &Expected, keys: &Keys) -> Result<String, String> {
    let (provider, limits) = (provider(), Limits::default());
    let envelope = Envelope::parse(bytes, &limits).map_err(|e| e.to_string())?;
    // Whatever vouches for it, it can be read and shown.
    envelope.unauthenticated_manifest().map_err(|e| e.to_string())?;
    let strict = envelope.clone().authenticate(&keys.trusted(false), &provider);
    let lenient = envelope.clone().authenticate(&keys.trusted(true), &provider);
    let switch = if strict.is_err() && lenient.is_ok() { " with the legacy switch only" } else { "" };
    match (expected, lenient) {
        (Unsigned, Err(Error::NotSigned)) => Ok("read, and refused as unsigned".into()),
        (Refused(why), Err(e @ Error::Unsupported(_))) if e.to_string().contains(why) => {
            Ok(format!("refused before anything is done: {e}"))
        }
        (Runs(procedures), Ok(authentic)) => {
            let mut device = Believing::new();
            let mut commands = 0;
            // A device that has nothing and believes nobody does not get through.
            let mut machine =
                Machine::new(authentic.clone(), procedures[0], limits).map_err(|e| e.to_string())?;
            let honest = MemoryDevice::new(provider).drive(&mut machine);
            let self_contained =
                envelope.integrated("#tc").is_some() || has_no_digest(&authentic.value().manifest);
            if honest.is_ok() != self_contained {
                return Err(format!("an empty device: {honest:?}"));
            }
            for procedure in *procedures {
                let mut machine =
                    Machine::new(authentic.clone(), *procedure, limits).map_err(|e| e.to_string())?;
                device.drive(&mut machine)?;
                commands += machine.log().len();
            }
            Ok(format!("{commands} commands of {procedures:?} carried out{switch}"))
        }
        (Decrypts(_) | Opens(..), _) => Err("not checked here".into()),
        (RunsWithoutUpdate, Ok(authentic)) => {
            match Machine::new(authentic.clone(), Procedure::Update, limits) {
                Err(Error::Severed(_)) => {}
                other => return Err(format!("an update without its section: {other:?}")),
            }
            let mut machine =
                Machine::new(authentic, Procedure::Invocation, limits).map_err(|e| e.to_string())?;
            Believing::new().drive(&mut machine)?;
            Ok(format!("invoked; an update is refused as its section is severed{switch}"))
        }
        (_, Ok(_)) => Err("authentic and supported, against expectation".into()),
        (_, Err(e)) => Err(e.to_string()),
    }
}

/// Only example S0 writes what stands in the manifest itself.
fn has_no_digest(manifest: &Manifest) -> bool {
    manifest.shared.is_none()
}

/// The digests in most vectors are patterns that no content has. A device that measures them runs the vector to its end.
const PATTERNS: [&str; 2] = ["0011223344556677", "0123456789abcdef"];

/// A device whose components measure as the manifest says where it gives a pattern for a digest, and as they are
/// otherwise.
struct Believing {
    device: MemoryDevice,
    pretend: BTreeMap<ComponentId, Measured>,
}

impl Believing {
    fn new() -> Self {
        let mut device = MemoryDevice::new(provider());
        device.payloads.insert(
            "https://example.org/8d82573a-926d-4754-9353-32dc29997f74.ta".into(),
            b"Hello, Secure World!".to_vec(),
        );
        Self { device, pretend: BTreeMap::new() }
    }

    fn drive(&mut self, machine: &mut Machine) -> Result<(), String> {
        let manifest = machine.manifest().clone();
        for component in &manifest.components {
            // Example 3 asks for slot 0 or 1.
            self.device.slots.insert(component.clone(), 1);
        }
        let sections = manifest.sections().filter_map(|(_, member)| match member {
            Member::Present(sequence) => Some(sequence),
            Member::Severed(_) => None,
        });
        for sequence in manifest.shared.iter().chain(sections) {
            self.learn(sequence, 0, &manifest);
        }
        let provider = provider();
        loop {
            match machine.run(self, &provider) {
                Step::Done(result) => return result.map_err(|failure| failure.to_string()),
                Step::Fetch(request) => {
                    let result = self.bring(&request);
                    machine.fetched(result);
                }
            }
        }
    }

    /// Notes the digest that the manifest gives last for each component.
    fn learn(&mut self, sequence: &Sequence, mut index: usize, manifest: &Manifest) {
        for instruction in sequence.iter() {
            match &instruction.argument {
                Argument::Index(Selection::One(chosen)) => index = *chosen,
                Argument::Sequence(inner) => self.learn(inner, index, manifest),
                Argument::Alternatives(alternatives) => {
                    alternatives.sequences.iter().for_each(|inner| self.learn(inner, index, manifest));
                }
                Argument::Parameters(settings) => {
                    let Some(component) = manifest.components.get(index) else { continue };
                    let mut measured = None;
                    for (parameter, value) in settings.iter() {
                        match (parameter.label, value) {
                            (IMAGE_DIGEST, Value::Digest(digest)) => {
                                let hex = hex::encode(digest.bytes());
                                if PATTERNS.iter().any(|pattern| hex.starts_with(pattern)) {
                                    measured = Some(Measured { digest: digest.bytes().to_vec(), size: 0 });
                                }
                            }
                            (IMAGE_SIZE, Value::Uint(size)) => {
                                if let Some(measured) = &mut measured {
                                    measured.size = *size;
                                }
                            }
                            _ => {}
                        }
                    }
                    if let Some(measured) = measured {
                        self.pretend.insert(component.clone(), measured);
                    }
                }
                Argument::Policy(_) | Argument::Index(_) | Argument::NotCarriedOut => {}
            }
        }
    }

    fn bring(&mut self, request: &FetchRequest) -> Result<(), EffectError> {
        if self.device.payloads.contains_key(&request.uri) {
            return self.device.fetch(request);
        }
        self.device.write(&request.component, b"something")
    }
}

impl Effects for Believing {
    fn matches(&self, kind: IdentifierKind, component: &ComponentId, id: &[u8]) -> bool {
        self.device.matches(kind, component, id)
    }

    fn slot(&self, component: &ComponentId) -> Option<u64> {
        self.device.slot(component)
    }

    fn authorise(
        &self,
        operation: Operation,
        component: &ComponentId,
        key: &KeyId,
    ) -> Result<(), EffectError> {
        self.device.authorise(operation, component, key)
    }

    fn measure(
        &mut self,
        component: &ComponentId,
        algorithm: HashAlgorithm,
    ) -> Result<Measured, EffectError> {
        match self.pretend.get(component) {
            Some(measured) => Ok(measured.clone()),
            None => self.device.measure(component, algorithm),
        }
    }

    fn content_is(&mut self, component: &ComponentId, content: &[u8]) -> Result<bool, EffectError> {
        self.device.content_is(component, content)
    }

    fn write(&mut self, component: &ComponentId, content: &[u8]) -> Result<(), EffectError> {
        self.device.write(component, content)
    }

    fn copy(&mut self, from: &ComponentId, to: &ComponentId) -> Result<(), EffectError> {
        // What was there before this manifest: example 0 starts from an installed image.
        self.device.components.entry(from.clone()).or_default();
        self.device.copy(from, to)
    }

    fn decrypt(
        &mut self,
        info: &EncryptionInfo,
        ciphertext: Ciphertext<'_>,
        to: &ComponentId,
        max_size: Option<u64>,
    ) -> Result<(), EffectError> {
        self.device.decrypt(info, ciphertext, to, max_size)
    }

    fn invoke(&mut self, component: &ComponentId, arguments: Option<&[u8]>) -> Result<(), EffectError> {
        self.device.components.entry(component.clone()).or_default();
        self.device.invoke(component, arguments)
    }

    fn unlink(&mut self, component: &ComponentId) -> Result<(), EffectError> {
        self.device.unlink(component)
    }
}
