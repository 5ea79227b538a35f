//! Every TEEP message and all Evidence that we write validates against the specifications' CDDL.

use tamarack_cbor::{Decode, Encode, Encoder, Limits, Value};
use tamarack_crypto::{KeyType, PublicKey};
use tamarack_eat::{Claims, Confirmation, HardwareVersion, Manifest};
use tamarack_model::{ComponentId, Sha256Digest, TcEntry};
use tamarack_teep::{
    CipherSuite, DataItems, ErrCode, ErrorMessage, Message, QueryRequest, QueryResponse, RequestedTc,
    Success, SuitCoseProfile, Update, freshness, sign,
};
use tamarack_testkit::cddl::{Rules, teep_messages};
use tamarack_testkit::specs::specs_dir;

fn report() -> Vec<u8> {
    // {99: ["", [-16, digest]], 3: [], 4: true}
    let mut e = Encoder::new();
    e.map_with(|map| {
        map.int(99, |e| e.array(2).text("").array(2).int(-16).bytes(&[5; 32]))
            .int(3, |e| e.array(0))
            .int(4, |e| e.bool(true));
    });
    e.into_bytes()
}

fn envelope(specs: &std::path::Path) -> Vec<u8> {
    std::fs::read(specs.join("vectors/teep-draft/suit_uri.cbor")).expect("suit_uri.cbor")
}

fn id() -> ComponentId {
    ComponentId::tamarack("com.example", [9; 16], "ta").unwrap()
}

fn minimal() -> Vec<Message> {
    vec![
        Message::QueryRequest(QueryRequest {
            supported_teep_cipher_suites: vec![CipherSuite::Sign1Ed25519],
            supported_suit_cose_profiles: vec![SuitCoseProfile::Esp256EcdhA128Ctr],
            ..QueryRequest::default()
        }),
        Message::QueryResponse(QueryResponse::default()),
        Message::Update(Update::default()),
        Message::Success(Success::default()),
        Message::Error(ErrorMessage::new(ErrCode::TemporaryError)),
    ]
}

fn full(specs: &std::path::Path) -> Vec<Message> {
    let token = Some(vec![1; 64]);
    let digest = Some(Sha256Digest([3; 32]));
    let format = Some(tamarack_eat::SOFTWARE_TEE_FORMAT.to_string());
    vec![
        Message::QueryRequest(QueryRequest {
            token: token.clone(),
            supported_freshness_mechanisms: vec![freshness::NONCE, freshness::TIMESTAMP],
            challenge: Some(vec![2; 32]),
            versions: vec![0, u32::MAX],
            attestation_payload_format: format.clone(),
            attestation_payload: Some(vec![1]),
            suit_reports: vec![report()],
            // The draft's CDDL knows no labels but its own.
            evidence_key: None,
            supported_teep_cipher_suites: CipherSuite::MANDATORY.to_vec(),
            supported_suit_cose_profiles: SuitCoseProfile::LISTED.to_vec(),
            data_item_requested: DataItems::ALL,
        }),
        Message::QueryResponse(QueryResponse {
            token: token.clone(),
            selected_version: Some(0),
            attestation_payload_format: format.clone(),
            attestation_payload: Some(vec![1]),
            suit_reports: vec![report()],
            tc_list: vec![
                TcEntry { id: id(), digest, size: Some(7) },
                TcEntry { id: id(), digest, size: None },
                TcEntry { id: id(), digest: None, size: Some(7) },
            ],
            requested_tc_list: vec![
                RequestedTc { component_id: id(), sequence_number: Some(2), have_binary: Some(true) },
                RequestedTc { component_id: id(), sequence_number: None, have_binary: None },
            ],
            unneeded_manifest_list: vec![id()],
            ext_list: vec![tamarack_teep::UPDATE_BINDING_EXTENSION],
            agent_nonce: Some([4; 16]),
            // Nor this one.
            owner_policy: Vec::new(),
        }),
        Message::Update(Update {
            token: token.clone(),
            unneeded_manifest_list: vec![id()],
            manifest_list: vec![envelope(specs)],
            attestation_payload_format: format,
            attestation_payload: Some(vec![1]),
            err_code: Some(ErrCode::AttestationRequired),
            err_msg: Some("x".repeat(128)),
            err_lang: Some("en".into()),
            agent_nonce: Some([4; 16]),
        }),
        Message::Success(Success {
            token: token.clone(),
            msg: Some("done".into()),
            suit_reports: vec![report()],
        }),
        Message::Error(ErrorMessage {
            token,
            err_msg: Some("no".into()),
            err_lang: Some("en".into()),
            supported_teep_cipher_suites: CipherSuite::MANDATORY.to_vec(),
            supported_freshness_mechanisms: vec![freshness::NONCE],
            supported_suit_cose_profiles: SuitCoseProfile::LISTED.to_vec(),
            challenge: Some(vec![2; 8]),
            versions: vec![0],
            suit_reports: vec![report()],
            owner_policy: Vec::new(),
            err_code: ErrCode::UnsupportedCipherSuites,
        }),
    ]
}

#[test]
fn messages_validate() {
    let Some(specs) = specs_dir() else { return };
    let rules = teep_messages(&specs, None);
    for message in minimal().into_iter().chain(full(&specs)) {
        let bytes = message.to_cbor();
        let verdict = rules.check(&bytes);
        assert!(verdict.is_ok(), "{}: {verdict:?}\n{}", message.message_type().name(), hex::encode(&bytes));
        assert_eq!(Message::from_cbor(&bytes, &Limits::default()), Ok(message));
    }
    let bad_nonce = [&[0x82, 2, 0xa1, 0x19, 0x01, 0x00, 0x41][..], &[0]].concat();
    assert!(rules.check(&bad_nonce).is_err(), "the rule of the extension is not in force");
}

#[test]
fn signed_messages_validate() {
    let Some(specs) = specs_dir() else { return };
    let rules = teep_messages(&specs, Some("teep-message-signed"));
    let provider = tamarack_crypto_rustcrypto::provider();
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let pkcs8 = provider.keys.generate_pkcs8(key_type).unwrap();
        let signer = provider.keys.load_pkcs8(pkcs8.expose()).unwrap();
        for message in full(&specs) {
            let kid = tamarack_cose::thumbprint(&signer.public_key(), &provider);
            let chain = [vec![0x30, 0], vec![0x30, 0]];
            let options =
                tamarack_cose::SignOptions { kid: Some(&kid.0), x5chain: &chain, ..Default::default() };
            let bytes = sign(&message, signer.as_ref(), &options).unwrap();
            assert_eq!(rules.check(&bytes), Ok(()), "{}", message.message_type().name());
        }
    }
}

fn evidence(cnf: Confirmation) -> Claims {
    let claims = tamarack_testkit::evidence::claims(&[7; 32], PublicKey::Ed25519([3; 32]), [4; 32]);
    let mut manifests = claims.manifests.clone();
    manifests.push(Manifest::sha256("urn:x-tamarack:launcher", [5; 32]));
    Claims {
        hwversion: Some(HardwareVersion { version: "1.0".into(), scheme: Some(1) }),
        cnf: Some(cnf),
        manifests,
        iat: Some(1_700_000_000),
        exp: Some(1_800_000_000),
        ..claims
    }
}

#[test]
fn evidence_validates_as_eat_and_as_the_teep_profile() {
    let Some(specs) = specs_dir() else { return };
    let forms = [
        Confirmation::Key(PublicKey::Ed25519([3; 32])),
        Confirmation::Key(PublicKey::P256 { x: [3; 32], y: [4; 32] }),
        Confirmation::Kid(vec![3; 32]),
        Confirmation::Thumbprint([3; 32]),
    ];
    let rules = Rules::load(&specs, "eat", Some("TEEP-Claims-Set"));
    for cnf in forms.clone() {
        assert_eq!(rules.check(&evidence(cnf.clone()).to_cbor()), Ok(()), "{cnf:?}");
    }
    let token_rules = Rules::load(&specs, "eat", None);
    let provider = tamarack_crypto_rustcrypto::provider();
    let pkcs8 = provider.keys.generate_pkcs8(KeyType::P256).unwrap();
    let signer = provider.keys.load_pkcs8(pkcs8.expose()).unwrap();
    let token = tamarack_eat::sign(&evidence(forms[0].clone()), signer.as_ref(), &[vec![0x30, 0]]).unwrap();
    assert_eq!(token_rules.check(&token), Ok(()));
}

#[test]
fn bodies_of_the_draft_are_written_back_byte_for_byte() {
    let Some(specs) = specs_dir() else { return };
    for name in ["query_request", "query_response", "update", "teep_success", "teep_error"] {
        let bytes =
            std::fs::read(specs.join(format!("vectors/teep-draft/{name}.cbor"))).expect("listed file");
        let message =
            Message::from_cbor(&bytes, &Limits::default()).unwrap_or_else(|e| panic!("{name}: {e}"));
        // Where the draft's own keys are not in order, the sorted form is what must come back.
        let sorted = Value::from_cbor(&bytes, &Limits::default()).unwrap().to_cbor();
        assert_eq!(message.to_cbor(), sorted, "{name}");
    }
}
