//! What the fuzz targets share: fixed keys, examples to start from, and the seeds of the corpora.
//!
//! Seeds are made by the code that they exercise, when a target starts: with `TAMARACK_FUZZ_SEEDS=DIR` in the
//! environment a target writes its own into DIR before the fuzzer reads it.
#![forbid(unsafe_code)]

use tamarack_cbor::{Encode, Limits};
use tamarack_cose::{MacKey, Purpose, SignOptions, VerificationKey, thumbprint};
use tamarack_crypto::{Provider, Secret, Sign};
use tamarack_eat::{
    Claims, Confirmation, DebugStatus, HardwareVersion, LAYERS, Manifest, OemId, PlatformClaims, Profile,
    SOFTWARE_TEE_PROFILE,
};
use tamarack_model::{ComponentId, UnixTime};
use tamarack_suit::author::{Builder, Component, Payload, Text, Unsigned};
use tamarack_suit::{SuitDigest, TrustedKeys};
use tamarack_teep::{CipherSuite, DataItems, Message, QueryRequest, SuitCoseProfile};
use tamarack_testkit::memory_platform::ed25519;

/// The time in every target.
pub const NOW: UnixTime = 1_800_000_000;

/// Writes the seeds of a target if the environment asks for them.
///
/// # Panics
/// If the folder cannot be written.
pub fn seeds(make: impl FnOnce() -> Vec<Vec<u8>>) {
    let Some(folder) = std::env::var_os("TAMARACK_FUZZ_SEEDS").map(std::path::PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).expect("the folder of the seeds");
    for (number, seed) in make().iter().enumerate() {
        std::fs::write(folder.join(format!("seed-{number}")), seed).expect("a seed");
    }
}

/// The provider of the Agent.
pub fn provider() -> Provider {
    tamarack_crypto_rustcrypto::provider()
}

/// The one key pair for `label`.
pub fn key(label: &str) -> Box<dyn Sign> {
    ed25519(&provider(), 1, label.as_bytes())
}

/// The public half of [`key`], pinned to a purpose.
pub fn verification_key(label: &str, purpose: Purpose) -> VerificationKey {
    VerificationKey::new(key(label).public_key(), purpose, &provider())
}

/// The one MAC key.
pub fn mac_key() -> MacKey {
    MacKey::new(Secret::new(vec![0x61; 32]), Purpose::SuitManifest, &provider())
}

/// Trust in the one developer, by signature and by MAC.
pub fn with_trusted_keys<R>(f: impl FnOnce(&TrustedKeys<'_>) -> R) -> R {
    f(&TrustedKeys { signatures: &[verification_key("signer", Purpose::SuitManifest)], macs: &[mac_key()] })
}

/// Limits small enough that the fuzzer meets them.
pub fn limits() -> Limits {
    Limits { bytes: 8192, depth: 12, items: 2048 }
}

/// The same for manifests.
pub fn suit_limits() -> tamarack_suit::Limits {
    tamarack_suit::Limits { cbor: limits(), steps: 256, ..tamarack_suit::Limits::default() }
}

/// The component id of the one TA, of kind "ta" or "suit".
pub fn wallet(kind: &str) -> ComponentId {
    ComponentId::tamarack("com.acme", [0x11; 16], kind).expect("a valid component id")
}

/// A manifest as `ta pack` writes it.
pub fn manifest(payload: Payload) -> Unsigned {
    let mut component = Component::new(wallet("ta"), payload);
    component.vendor = Some([0xa0; 16]);
    component.unlink = true;
    let text = Text {
        language: "en".into(),
        description: Some("a wallet".into()),
        update: None,
        versions: vec![(0, "1.0".into())],
    };
    Builder::new(wallet("suit"), 1)
        .component(component)
        .text(text)
        .build(&provider())
        .expect("the manifest is complete")
}

/// Two envelopes of the one developer: with the payload inside, and by URI.
pub fn envelopes() -> Vec<Vec<u8>> {
    let signer = key("signer");
    let kid = thumbprint(&signer.public_key(), &provider());
    let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
    let payloads = [
        Payload::integrated("#ta", b"a TA".to_vec(), &provider()),
        Payload::by_uri("https://tam.example/ta", b"a TA", &provider()),
    ];
    let signed = |payload| manifest(payload).sign(&*signer, &options).expect("the key signs").envelope();
    payloads.into_iter().map(signed).collect()
}

/// An envelope around any bytes as manifest, properly digested and signed: what a hostile developer can send.
pub fn envelope_around(manifest: &[u8]) -> Vec<u8> {
    let digest = SuitDigest::sha256_of_wrapped(manifest, &provider()).to_cbor();
    let options = SignOptions { detached: true, ..SignOptions::default() };
    let block = tamarack_cose::Sign1::sign(&*key("signer"), &digest, &[], &options).expect("the key signs");
    let mut wrapper = tamarack_cbor::Encoder::new();
    wrapper.array(2).bytes(&digest).bytes(&block);
    let mut e = tamarack_cbor::Encoder::new();
    e.tag(tamarack_suit::TAG_ENVELOPE).map_with(|map| {
        map.int(2, |e| e.bytes(&wrapper.into_bytes())).int(3, |e| e.bytes(manifest));
    });
    e.into_bytes()
}

/// The nonce that [`evidence_claims`] answer.
pub const NONCE: [u8; 32] = [7; 32];

/// The claims of a good device.
pub fn evidence_claims() -> Claims {
    Claims {
        eat_nonce: vec![NONCE.to_vec()],
        ueid: Some([&[1], &[9; 16][..]].concat()),
        oemid: Some(OemId::Random([2; 16])),
        hwmodel: Some(b"software-tee".to_vec()),
        hwversion: Some(HardwareVersion { version: "1".into(), scheme: None }),
        eat_profile: Some(Profile::Uri(SOFTWARE_TEE_PROFILE.into())),
        dbgstat: Some(DebugStatus::DisabledSinceBoot),
        cnf: Some(Confirmation::Key(key("teep").public_key())),
        manifests: vec![Manifest::sha256("urn:x-tamarack:agent", [4; 32])],
        iat: None,
        exp: None,
        platform: Some(PlatformClaims {
            class: PlatformClaims::SOFTWARE_TEE.into(),
            layers: LAYERS.iter().fold(0, |layers, (bit, _)| layers | bit),
            root_secret: "file".into(),
            counter_quality: "file".into(),
            time_quality: "untrusted".into(),
            state_epoch: 5,
            state_root: [6; 32],
            trust_store_sequence: 1,
        }),
    }
}

/// A QueryRequest that asks for everything.
pub fn query_request() -> QueryRequest {
    QueryRequest {
        challenge: Some(vec![7; 32]),
        versions: vec![0],
        supported_teep_cipher_suites: CipherSuite::MANDATORY.to_vec(),
        supported_suit_cose_profiles: SuitCoseProfile::LISTED.to_vec(),
        data_item_requested: DataItems::ALL,
        ..QueryRequest::default()
    }
}

/// One message of each type.
pub fn messages() -> Vec<Message> {
    use tamarack_teep::{ErrCode, ErrorMessage, QueryResponse, RequestedTc, Success, Update};
    let response = QueryResponse {
        token: Some(vec![1; 16]),
        selected_version: Some(0),
        attestation_payload_format: Some("application/eat+cwt".into()),
        attestation_payload: Some(vec![2; 8]),
        requested_tc_list: vec![RequestedTc {
            component_id: wallet("suit"),
            sequence_number: Some(1),
            have_binary: Some(false),
        }],
        unneeded_manifest_list: vec![wallet("suit")],
        ext_list: vec![1],
        agent_nonce: Some([3; 16]),
        ..QueryResponse::default()
    };
    let update = Update {
        token: Some(vec![1; 16]),
        manifest_list: envelopes(),
        agent_nonce: Some([3; 16]),
        ..Update::default()
    };
    let success = Success { token: Some(vec![1; 16]), msg: Some("done".into()), suit_reports: vec![] };
    vec![
        Message::QueryRequest(query_request()),
        Message::QueryResponse(response),
        Message::Update(update),
        Message::Success(success),
        Message::Error(ErrorMessage::new(ErrCode::ManifestProcessingFailed)),
    ]
}
