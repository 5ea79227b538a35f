use std::sync::{Mutex, PoisonError};

use tamarack_cbor::{Decode, Limits};
use tamarack_crypto::{Provider, PublicKey, Sign};
use tamarack_eat::{
    Claims, Confirmation, DebugStatus, HardwareVersion, Manifest, OemId, PlatformClaims, Profile,
    SOFTWARE_TEE_PROFILE, TaClaims, TpmQuote, as_requested, layer,
};
use tamarack_tee::{Error, Persona, Quote, RootOfTrust};

use super::message::Statement;
use super::service::Measured;
use crate::Layers;

/// What the manifests claim calls the Agent's code.
const AGENT_URI: &str = "urn:x-tamarack:agent";
/// What it calls the program that starts the TEE.
const LAUNCHER_URI: &str = "urn:x-tamarack:launcher";
/// What it calls the configuration that the launcher starts the Agent with.
const CONFIGURATION_URI: &str = "urn:x-tamarack:configuration";

/// Evidence with the claims of security rule E2: code and configuration as they were measured, the rest as the Agent says.
pub(super) fn make(
    root: &mut dyn RootOfTrust,
    persona: Persona,
    measured: &Measured,
    statement: &Statement,
    layers: Layers,
    chain: &[Vec<u8>],
    provider: &Provider,
) -> Result<Vec<u8>, Error> {
    let refused = |what: &str| Error::Launcher(format!("the Agent's statement is refused: {what}"));
    // What is signed for a TA is bound to exactly the TA's claims, whatever nonce the Agent would have.
    let nonce = match &statement.ta {
        Some(ta) => {
            TaClaims::from_cbor(ta, &Limits::default()).map_err(|error| refused(&error.to_string()))?;
            TaClaims::top_level_nonce(ta, provider).to_vec()
        }
        None => statement.nonce.clone(),
    };
    let claims = Claims {
        eat_nonce: vec![nonce],
        ueid: Some(statement.ueid.clone()),
        oemid: Some(OemId::Random(statement.oemid)),
        hwmodel: Some(statement.hwmodel.clone()),
        hwversion: Some(HardwareVersion { version: statement.hwversion.clone(), scheme: None }),
        eat_profile: Some(Profile::Uri(SOFTWARE_TEE_PROFILE.into())),
        // The process cannot be traced by its own user; root can always do it, which is what the class says.
        dbgstat: Some(match layers.contains(Layers::NO_DUMP) {
            true => DebugStatus::DisabledSinceBoot,
            false => DebugStatus::Enabled,
        }),
        cnf: Some(Confirmation::Key(statement.confirm)),
        manifests: vec![
            Manifest::sha256(AGENT_URI, measured.agent),
            Manifest::sha256(LAUNCHER_URI, measured.launcher),
            Manifest::sha256(CONFIGURATION_URI, measured.configuration),
        ],
        platform: Some(PlatformClaims {
            class: PlatformClaims::SOFTWARE_TEE.into(),
            layers: claimed(layers),
            root_secret: root.protection().into(),
            counter_quality: root.counter_quality().into(),
            time_quality: "untrusted".into(),
            state_epoch: statement.state.epoch,
            state_root: statement.state.digest,
            trust_store_sequence: statement.trust_store_sequence,
            decryption_key: Some(statement.decryption),
        }),
        ..Claims::default()
    };
    let (mut claims, _) = as_requested(claims, &statement.components, statement.ta.as_deref())
        .map_err(|error| refused(&error.to_string()))?;
    // The root's own word, bound to the nonce and the key that these very claims have.
    let confirmed = claims.cnf.as_ref().map(|_| &statement.confirm);
    let qualifying = TpmQuote::qualifying_data(claims.eat_nonce.concat().as_slice(), confirmed, provider);
    if let Some(Quote { attest, signature, pcrs }) = root.quote(persona, &qualifying)? {
        claims.submods.extend(TpmQuote { attest, signature, pcrs }.into_submods());
    }
    sign(root, persona, &claims, chain)
}

/// The root signs bytes, and the token is put together by who knows its form: so it is put together twice, first to learn
/// what is to be signed, then with the signature over exactly that.
fn sign(
    root: &mut dyn RootOfTrust,
    persona: Persona,
    claims: &Claims,
    chain: &[Vec<u8>],
) -> Result<Vec<u8>, Error> {
    let mut key = Signature { key: root.attestation_key(persona)?, of: Mutex::default(), signature: [0; 64] };
    let put_together = |key: &Signature| {
        tamarack_eat::sign(claims, key, chain)
            .map_err(|error| Error::Launcher(format!("the Agent's statement is refused: {error}")))
    };
    put_together(&key)?;
    let message = key.of.get_mut().unwrap_or_else(PoisonError::into_inner).clone();
    key.signature = root.sign(persona, &message)?;
    put_together(&key)
}

/// A signature that is made, or still to be made, of one message.
struct Signature {
    key: PublicKey,
    of: Mutex<Vec<u8>>,
    signature: [u8; 64],
}

impl Sign for Signature {
    fn public_key(&self) -> PublicKey {
        self.key
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], tamarack_crypto::Error> {
        let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if of.is_empty() {
            *of = message.to_vec();
        }
        if *of == message { Ok(self.signature) } else { Err(tamarack_crypto::Error::Unavailable) }
    }
}

/// The layers as the claim names them. Namespaces count only together: an own user namespace hides no file.
fn claimed(layers: Layers) -> u64 {
    let mut namespaces = Layers::USER_NS;
    namespaces.insert(Layers::MOUNT_NS);
    [
        (Layers::OWN_UID, layer::OWN_UID),
        (Layers::NO_DUMP, layer::NOT_DUMPABLE),
        (namespaces, layer::NAMESPACES),
        (Layers::NET_NS, layer::NO_NETWORK),
        (Layers::LANDLOCK, layer::LANDLOCK),
        (Layers::SECCOMP, layer::SECCOMP),
        (Layers::MEMFD_SECRET, layer::SECRET_MEMORY),
    ]
    .into_iter()
    .filter(|(needed, _)| layers.contains(*needed))
    .fold(0, |claimed, (_, bit)| claimed | bit)
}
