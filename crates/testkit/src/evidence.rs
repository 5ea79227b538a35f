//! What a good device of the software TEE claims.

use tamarack_crypto::PublicKey;
use tamarack_eat::{
    Claims, Confirmation, DebugStatus, HardwareVersion, LAYERS, Manifest, OemId, PlatformClaims, Profile,
    SOFTWARE_TEE_PROFILE,
};

/// Claims with all layers of isolation, which answer `nonce`, vouch for `teep_key` and show an Agent of the digest `agent`.
pub fn claims(nonce: &[u8], teep_key: PublicKey, agent: [u8; 32]) -> Claims {
    Claims {
        eat_nonce: vec![nonce.to_vec()],
        ueid: Some(vec![1; 17]),
        oemid: Some(OemId::Random([2; 16])),
        hwmodel: Some(b"software-tee".to_vec()),
        hwversion: Some(HardwareVersion { version: "1".into(), scheme: None }),
        eat_profile: Some(Profile::Uri(SOFTWARE_TEE_PROFILE.into())),
        dbgstat: Some(DebugStatus::DisabledSinceBoot),
        cnf: Some(Confirmation::Key(teep_key)),
        manifests: vec![Manifest::sha256("urn:x-tamarack:agent", agent)],
        platform: Some(PlatformClaims {
            class: PlatformClaims::SOFTWARE_TEE.into(),
            layers: LAYERS.iter().fold(0, |layers, (bit, _)| layers | bit),
            root_secret: "file".into(),
            counter_quality: "file".into(),
            time_quality: "untrusted".into(),
            state_epoch: 5,
            state_root: [6; 32],
            trust_store_sequence: 1,
            decryption_key: None,
        }),
        ..Claims::default()
    }
}
