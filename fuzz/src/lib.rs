//! What the fuzz targets share: fixed keys, examples to start from, and the seeds of the corpora.
//!
//! Seeds are made by the code that they exercise, when a target starts: with `TAMARACK_FUZZ_SEEDS=DIR` in the
//! environment a target writes its own into DIR before the fuzzer reads it.
#![forbid(unsafe_code)]

use std::io::{self, Read, Write};

use tamarack_cbor::{Encode, Limits};
use tamarack_cose::{MacKey, Purpose, SignOptions, VerificationKey, thumbprint};
use tamarack_crypto::{KeyAgree, Provider, Secret, Sign};
use tamarack_eat::Claims;
use tamarack_jose::{Jwk, jwe, jws};
use tamarack_model::{ComponentId, UnixTime};
use tamarack_otrp::ta_package::{self, Protection, TaPackage};
use tamarack_otrp::{Aik, Command, ErrorCode, MessageId, Sealing, SecurityDomain, Ta, TeeState};
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

/// A stream whose other end said all that it has to say, and takes what it is answered.
pub struct Said<'d> {
    rest: &'d [u8],
    /// What it was answered.
    pub answered: Vec<u8>,
}

impl<'d> Said<'d> {
    /// One whose other end says `all`.
    pub fn new(all: &'d [u8]) -> Self {
        Self { rest: all, answered: Vec::new() }
    }
}

impl Read for Said<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.rest.read(buffer)
    }
}

impl Write for Said<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answered.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A frame of the launcher's socket or the panel's: 4 bytes of length, big-endian, and that many.
pub fn frame(item: &[u8]) -> Vec<u8> {
    [&(item.len() as u32).to_be_bytes()[..], item].concat()
}

/// The frames that `bytes` are; None if they are anything else.
pub fn frames(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = bytes;
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk()?;
        let (frame, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        frames.push(frame.to_vec());
        rest = after;
    }
    Some(frames)
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
    tamarack_testkit::evidence::claims(&NONCE, key("teep").public_key(), [4; 32])
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
        owner_policy: vec![tamarack_model::HeldBack {
            id: wallet("suit"),
            why: tamarack_model::OwnerSays::Deferred,
            sequence: Some(3),
        }],
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

/// The one key that content is encrypted to.
pub fn agreement_key() -> Box<dyn KeyAgree> {
    provider().agree.load_pkcs8(&tamarack_testkit::crypto_suite::p256_pkcs8(&[9; 32])).expect("a key")
}

/// The one P-256 key, which signs and agrees for both sides of OTrP.
pub struct P256 {
    signer: Box<dyn Sign>,
    agree: Box<dyn KeyAgree>,
    recipient: jwe::Recipient,
    provider: Provider,
}

impl P256 {
    /// The key.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let (provider, pkcs8) = (provider(), tamarack_testkit::crypto_suite::p256_pkcs8(&[7; 32]));
        let signer = provider.keys.load_pkcs8(&pkcs8).expect("a key");
        let recipient = jwe::Recipient::from_spki(&signer.public_key().to_spki()).expect("a P-256 key");
        Self { signer, agree: provider.agree.load_pkcs8(&pkcs8).expect("a key"), recipient, provider }
    }

    /// To sign with.
    pub fn signer(&self) -> jws::Signer<'_> {
        jws::Signer::Es256(&*self.signer)
    }

    /// To verify with.
    pub fn trusted_for(&self, purpose: jws::Purpose) -> jws::VerificationKey {
        jws::VerificationKey::of(&self.signer.public_key(), purpose).expect("a P-256 key")
    }

    /// To decrypt with.
    pub fn decrypt(&self) -> jwe::DecryptionKey<'_> {
        jwe::DecryptionKey::Agree(&*self.agree)
    }

    /// To seal messages to itself.
    pub fn sealing(&self) -> Sealing<'_> {
        Sealing {
            signer: self.signer(),
            headers: Default::default(),
            recipient: &self.recipient,
            enc: jwe::Enc::A128CbcHs256,
            provider: &self.provider,
        }
    }

    /// A message around any text that stands for the object of members.
    pub fn sign_members(&self, outer: &str, inner: &str, members: &[u8]) -> Vec<u8> {
        let payload = [format!("{{\"{inner}\":").as_bytes(), members, b"}"].concat();
        let jws = jws::sign(&payload, self.signer(), &Default::default()).expect("the key signs");
        format!("{{\"{outer}\":{jws}}}").into_bytes()
    }

    /// A response around any plaintext.
    pub fn sign_content(&self, outer: &str, inner: &str, plaintext: &[u8]) -> Vec<u8> {
        let enc = jwe::Enc::A128CbcHs256;
        let content = jwe::encrypt(plaintext, &self.recipient, enc, &self.provider).expect("it encrypts");
        let head = r#"{"ver":"1.0","status":"pass","rid":"r","tid":"t","signerreq":true"#;
        let members = format!("{head},\"content\":{content},\"edsi\":{content}}}");
        self.sign_members(outer, inner, members.as_bytes())
    }
}

/// Limits of OTrP small enough that the fuzzer meets them.
pub fn limits_otrp() -> tamarack_otrp::Limits {
    tamarack_otrp::Limits {
        message: 16_384,
        ta_message: 32_768,
        members: 1024,
        array: 8,
        dsi_array: 16,
        ..Default::default()
    }
}

/// A DSI with one of most things.
pub fn otrp_dsi() -> tamarack_otrp::Dsi {
    let key = Jwk::from_public_key(&P256::new().signer.public_key()).expect("a P-256 key");
    let ta = Ta { taid: "11111111-1111-1111-1111-111111111111".into(), seq: Some(1), ..Ta::default() };
    let sd = SecurityDomain {
        name: "com.acme".into(),
        spid: "acme".into(),
        talist: vec![ta],
        spcert: vec![[1; 32]],
    };
    let tee = TeeState {
        name: "tee".into(),
        ver: "1".into(),
        cert: vec![1],
        sdlist: vec![sd],
        teeaiklist: vec![Aik { key, spid: "acme".into() }],
        epoch: Some(1),
        ext: vec![tamarack_otrp::EXTENSION_H1.into()],
        ..TeeState::default()
    };
    tamarack_otrp::Dsi { tfwdata: None, tee }
}

fn otrp_id(text: &str) -> MessageId {
    MessageId::new(text).expect("a valid id")
}

/// One request of each command.
pub fn otrp_requests() -> Vec<Vec<u8>> {
    use tamarack_otrp::request::*;
    let key = P256::new();
    let [tamid, spid, sdname, taid] = ["1.2.3", "acme", "com.acme", "ta"].map(String::from);
    let install = InstallTa {
        tamid: tamid.clone(),
        spid: spid.clone(),
        sdname: sdname.clone(),
        spcert: None,
        taid: taid.clone(),
    };
    let contents = [
        Content::CreateSd(CreateSd {
            spid: spid.clone(),
            sdname: sdname.clone(),
            spcert: vec![1],
            tamid: tamid.clone(),
            did: [1; 32],
        }),
        Content::UpdateSd(UpdateSd {
            tamid: tamid.clone(),
            spid: Some(spid),
            sdname: sdname.clone(),
            changes: Changes {
                newsdname: Some("b".into()),
                spcert: vec![vec![1]],
                deloldspcert: vec![[1; 32]],
                ..Changes::default()
            },
        }),
        Content::DeleteSd(DeleteSd { tamid: tamid.clone(), sdname: sdname.clone(), deleteta: true }),
        Content::InstallTa(install.clone()),
        Content::UpdateTa(install),
        Content::DeleteTa(DeleteTa { tamid, sdname, taid }),
    ];
    let package = TaPackage { ta: Some(vec![1; 20]), pdata: None };
    let ta =
        ta_package::seal(&package, &key.recipient, Protection::AesCbc, &key.provider).expect("it encrypts");
    let common =
        Common { rid: otrp_id("r"), tid: otrp_id("t"), tee: "tee".into(), nextdsi: true, dsihash: [1; 32] };
    let sealed = |content: &Content| {
        let ta = content.command().carries_ta().then_some(&ta);
        seal(&common, content, None, ta, &key.sealing()).expect("the key signs")
    };
    let mut requests: Vec<_> = contents.iter().map(sealed).collect();
    let first = GetDeviceState {
        rid: otrp_id("r"),
        tid: otrp_id("t"),
        ocspdat: vec![vec![1]],
        supportedsigalgs: None,
    };
    requests.push(first.sign(key.signer(), &Default::default()).expect("the key signs"));
    requests
        .push(br#"0{"ver":"1.0","rid":"r","tid":"t","ocspdat":[],"supportedsigalgs":["ES256"]}"#.to_vec());
    requests
}

/// Responses of each kind.
pub fn otrp_responses() -> Vec<Vec<u8>> {
    use tamarack_otrp::response::*;
    let key = P256::new();
    let (rid, tid) = (otrp_id("r"), otrp_id("t"));
    let state =
        device_state(&rid, &tid, false, &otrp_dsi().serialize(), &key.sealing()).expect("the key signs");
    let content = Content { dsi: Some(otrp_dsi().serialize()), ..Content::new([1; 32]) };
    let reason = Reason::new(ErrorCode::SdNotFound);
    vec![
        tamarack_otrp::broker::assemble(&[&state], &limits_otrp()).expect("a state"),
        state,
        seal(Command::CreateSd, &rid, &tid, &content, &key.sealing()).expect("the key signs"),
        failure(Command::GetDeviceState, &rid, &tid, &reason, None, key.signer()).expect("the key signs"),
        tamarack_otrp::broker::BrokerError::new(ErrorCode::AgentTeeBusy).to_vec(),
        br#"1{"did":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=","reason":{"error-code":"ERR_TEE_FAIL"}}"#
            .to_vec(),
    ]
}
