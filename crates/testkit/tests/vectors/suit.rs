//! Envelopes of the SUIT drafts, of libcsuit and of the TEEP draft: those that need neither encryption nor dependencies
//! nor update management run to their end, the others are refused before anything is done, by name.

use std::collections::BTreeMap;

use tamarack_cose::{KeyId, MacKey, Purpose, VerificationKey};
use tamarack_crypto::{HashAlgorithm, PublicKey, Secret};
use tamarack_crypto_rustcrypto::provider;
use tamarack_model::ComponentId;
use tamarack_suit::command::{Argument, Selection, Sequence};
use tamarack_suit::parameter::{IMAGE_DIGEST, IMAGE_SIZE, Value};
use tamarack_suit::{
    EffectError, Effects, Envelope, Error, FetchRequest, IdentifierKind, Limits, Machine, Manifest, Measured,
    Member, MemoryDevice, Operation, Procedure, Step, TrustedKeys,
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
    /// Refused whole; the refusal contains this.
    Refused(&'static str),
}

use Expected::{Refused, Runs, RunsWithoutUpdate, Unsigned};

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
    ("suit-libcsuit/suit_manifest_expAF.suit", Refused("encryption-info")),
    ("suit-libcsuit/suit_manifest_expAW.suit", Refused("encryption-info")),
    ("suit-libcsuit/suit_manifest_expED.suit", Refused("dependencies")),
    ("suit-libcsuit/encryption_info_aes.cose", Refused("encryption-info")),
    ("suit-libcsuit/encryption_info_config_aes.cose", Refused("encryption-info")),
    ("suit-libcsuit/encryption_info_config_esdh.cose", Refused("encryption-info")),
    ("suit-libcsuit/encryption_info_esdh.cose", Refused("encryption-info")),
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
        table.record(name, check(&bytes, expected, &keys));
    }
}

struct Keys {
    strict: Vec<VerificationKey>,
    legacy: Vec<VerificationKey>,
    macs: Vec<MacKey>,
}

impl Keys {
    fn load(table: &Table) -> Self {
        let provider = provider();
        let spki = std::fs::read(table.root().join("suit-libcsuit/key/trust_anchor_secp256r1_pub.der"))
            .expect("the anchor of the vectors");
        let public = PublicKey::from_spki(&spki).expect("a P-256 key");
        let key = VerificationKey::new(public, Purpose::SuitManifest, &provider);
        let mac = MacKey::new(Secret::new(vec![b'a'; 32]), Purpose::SuitManifest, &provider);
        Self { legacy: vec![key.clone().accepting_legacy_ids()], strict: vec![key], macs: vec![mac] }
    }

    fn trusted(&self, legacy: bool) -> TrustedKeys<'_> {
        TrustedKeys { signatures: if legacy { &self.legacy } else { &self.strict }, macs: &self.macs }
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

    fn invoke(&mut self, component: &ComponentId, arguments: Option<&[u8]>) -> Result<(), EffectError> {
        self.device.components.entry(component.clone()).or_default();
        self.device.invoke(component, arguments)
    }

    fn unlink(&mut self, component: &ComponentId) -> Result<(), EffectError> {
        self.device.unlink(component)
    }
}
