use tamarack_crypto::{PublicKey, Sign};
use tamarack_eat::{
    Claims, Confirmation, DebugStatus, HardwareVersion, Manifest, OemId, PlatformClaims, Profile,
    SOFTWARE_TEE_PROFILE, layer,
};
use tamarack_tee::{Error, Persona, RootOfTrust};

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
) -> Result<Vec<u8>, Error> {
    let claims = Claims {
        eat_nonce: vec![statement.nonce.clone()],
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
        }),
        iat: None,
        exp: None,
    };
    let key = AttestationKey { public: root.attestation_key(persona)?, root: Asked::new(root, persona) };
    tamarack_eat::sign(&claims, &key, chain).map_err(|_| Error::Crypto)
}
