mod claims;
mod ear;
mod measured;
mod roundtrip;
mod ta;
mod token;

use alloc::vec::Vec;

use tamarack_crypto::PublicKey;

use crate::{
    Claims, Confirmation, DebugStatus, HardwareVersion, Manifest, OemId, PlatformClaims, Profile,
    SOFTWARE_TEE_PROFILE, layer,
};

/// Claims as the software TEE makes them.
fn evidence() -> Claims {
    Claims {
        eat_nonce: alloc::vec![alloc::vec![7; 32]],
        ueid: Some(alloc::vec![1; 17]),
        oemid: Some(OemId::Random([2; 16])),
        hwmodel: Some(b"software-tee".to_vec()),
        hwversion: Some(HardwareVersion { version: "1.0".into(), scheme: Some(1) }),
        eat_profile: Some(Profile::Uri(SOFTWARE_TEE_PROFILE.into())),
        dbgstat: Some(DebugStatus::DisabledSinceBoot),
        cnf: Some(Confirmation::Key(PublicKey::Ed25519([3; 32]))),
        manifests: alloc::vec![Manifest::sha256("urn:x-tamarack:agent", [4; 32])],
        iat: Some(1_700_000_000),
        platform: Some(PlatformClaims {
            class: PlatformClaims::SOFTWARE_TEE.into(),
            layers: layer::SECCOMP | layer::LANDLOCK,
            root_secret: "file".into(),
            counter_quality: "file".into(),
            time_quality: "untrusted".into(),
            state_epoch: 5,
            state_root: [6; 32],
            trust_store_sequence: 1,
            decryption_key: Some(PublicKey::P256 { x: [7; 32], y: [8; 32] }),
        }),
        ..Claims::default()
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let digit = |b: u8| char::from(b).to_digit(16).unwrap() as u8;
    digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
