use alloc::string::ToString;
use alloc::vec::Vec;

use tamarack_cbor::{Decode, Encode, Limits, Value};
use tamarack_model::codes;

use crate::{DataItems, ErrCode, ErrorMessage, Message, QueryRequest, QueryResponse, Success, Update, label};

/// `[kind, {label: value}, ..rest]`.
fn message(kind: u64, options: &[(u64, Value)], rest: &[Value]) -> Vec<u8> {
    let pairs = options.iter().map(|(label, value)| (Value::Uint(*label), value.clone())).collect();
    let mut elements = alloc::vec![Value::Uint(kind), Value::Map(pairs)];
    elements.extend_from_slice(rest);
    Value::Array(elements).to_cbor()
}

fn bytes(length: usize) -> Value {
    Value::Bytes(alloc::vec![7; length])
}

fn text(length: usize) -> Value {
    Value::Text("x".repeat(length))
}

/// The elements behind the options that a message of this type must have.
fn rest(kind: u64) -> Vec<Value> {
    let item = |hex: &[u8]| Value::from_cbor(hex, &Limits::default()).unwrap();
    match kind {
        1 => alloc::vec![
            item(&[0x81, 0x81, 0x82, 0x12, 0x28]),
            item(&[0x81, 0x84, 0x2f, 0x28, 0x38, 0x1c, 0x01]),
            Value::Uint(1),
        ],
        6 => alloc::vec![Value::Uint(1)],
        _ => Vec::new(),
    }
}

/// Whether a message of type `kind` with this one option is read.
fn reads(kind: u64, label: u64, value: Value) -> bool {
    Message::from_cbor(&message(kind, &[(label, value)], &rest(kind)), &Limits::default()).is_ok()
}

#[test]
fn sizes_are_kept() {
    type Make = fn(usize) -> Value;
    // Type, label, shortest, longest, how to make one.
    let cases: [(u64, u64, usize, usize, Make); 12] = [
        (1, label::TOKEN, 8, 64, bytes),
        (2, label::TOKEN, 8, 64, bytes),
        (3, label::TOKEN, 8, 64, bytes),
        (5, label::TOKEN, 8, 64, bytes),
        (6, label::TOKEN, 8, 64, bytes),
        (1, label::CHALLENGE, 8, 512, bytes),
        (6, label::CHALLENGE, 8, 512, bytes),
        (5, label::MSG, 1, 128, text),
        (6, label::ERR_MSG, 1, 128, text),
        (3, label::ERR_LANG, 1, 35, text),
        (2, label::AGENT_NONCE, 16, 16, bytes),
        (3, label::AGENT_NONCE, 16, 16, bytes),
    ];
    for (kind, label, shortest, longest, make) in cases {
        for (length, expected) in
            [(shortest - 1, false), (shortest, true), (longest, true), (longest + 1, false)]
        {
            assert_eq!(reads(kind, label, make(length)), expected, "type {kind}, {label}, {length} bytes");
        }
    }
}

#[test]
fn lists_are_not_empty_when_present() {
    let cases = [
        (1, label::SUPPORTED_FRESHNESS_MECHANISMS),
        (1, label::VERSIONS),
        (1, label::SUIT_REPORTS),
        (2, label::TC_LIST),
        (2, label::REQUESTED_TC_LIST),
        (2, label::UNNEEDED_MANIFEST_LIST),
        (2, label::EXT_LIST),
        (3, label::MANIFEST_LIST),
        (6, label::SUPPORTED_TEEP_CIPHER_SUITES),
        (6, label::SUPPORTED_SUIT_COSE_PROFILES),
    ];
    for (kind, label) in cases {
        assert!(!reads(kind, label, Value::Array(Vec::new())), "type {kind}, label {label}");
    }
}

#[test]
fn wrong_types_are_refused_with_name_and_position() {
    let error = Message::from_cbor(&message(5, &[(label::TOKEN, text(8))], &[]), &Limits::default());
    let error = error.unwrap_err();
    assert_eq!(error.to_string(), "TEEP token: expected a byte string, found a text string (at byte 4)");
    assert_eq!(error.code(), codes::TEEP_MALFORMED);
}

#[test]
fn unknown_labels_are_ignored_and_other_keys_refused() {
    assert!(reads(5, 99, Value::Null));
    // Known in other messages only.
    assert!(reads(5, label::CHALLENGE, bytes(1)));
    for key in [Value::Nint(3), Value::Text("token".into()), Value::Bytes(alloc::vec![20])] {
        let options = Value::Map(alloc::vec![(key, bytes(8))]);
        let encoded = Value::Array(alloc::vec![Value::Uint(5), options]).to_cbor();
        let error = Message::from_cbor(&encoded, &Limits::default()).unwrap_err();
        assert_eq!(error.code(), codes::TEEP_MALFORMED);
    }
}

#[test]
fn shapes_are_kept() {
    let reads = |bytes: &[u8]| Message::from_cbor(bytes, &Limits::default()).is_ok();
    assert!(reads(&[0x82, 5, 0xa0]));
    assert!(!reads(&[0x83, 5, 0xa0, 1]), "an element too many");
    assert!(!reads(&[0x82, 6, 0xa0]), "no err-code");
    for code in [0, 11, 16, 18, 23] {
        assert!(!reads(&[0x83, 6, 0xa0, code]), "err-code {code}");
    }
    for kind in [0, 4, 7] {
        let error = Message::from_cbor(&[0x82, kind, 0xa0], &Limits::default()).unwrap_err();
        assert_eq!(error, crate::Error::MessageType(kind.into()));
    }
    let twice = Message::from_cbor(&[0x82, 5, 0xa2, 0x0b, 0x61, b'a', 0x0b, 0x61, b'b'], &Limits::default());
    assert_eq!(twice.unwrap_err().code(), codes::CBOR_NOT_DETERMINISTIC);
    let long = Message::from_cbor(&[0; 9], &Limits { bytes: 8, ..Limits::default() });
    assert_eq!(long.unwrap_err().code(), codes::CBOR_LIMIT);
}

#[test]
fn challenge_needs_the_attestation_bit() {
    let mut request = QueryRequest {
        challenge: Some(alloc::vec![1; 32]),
        supported_teep_cipher_suites: crate::CipherSuite::MANDATORY.to_vec(),
        supported_suit_cose_profiles: crate::SuitCoseProfile::LISTED.to_vec(),
        data_item_requested: DataItems::TRUSTED_COMPONENTS,
        ..QueryRequest::default()
    };
    let read = |request: &QueryRequest| {
        Message::from_cbor(&Message::QueryRequest(request.clone()).to_cbor(), &Limits::default())
    };
    assert!(read(&request).is_err());
    request.data_item_requested = DataItems::ATTESTATION.and(DataItems::TRUSTED_COMPONENTS);
    assert!(read(&request).is_ok());
}

#[test]
fn e5_evidence_is_encrypted_to_keys_of_p256_only() {
    use tamarack_crypto::PublicKey;
    for (key, fits) in
        [(PublicKey::P256 { x: [1; 32], y: [2; 32] }, true), (PublicKey::Ed25519([3; 32]), false)]
    {
        let request = QueryRequest {
            supported_teep_cipher_suites: crate::CipherSuite::MANDATORY.to_vec(),
            supported_suit_cose_profiles: crate::SuitCoseProfile::LISTED.to_vec(),
            evidence_key: Some(key),
            ..QueryRequest::default()
        };
        let message = Message::QueryRequest(request);
        // Label 257 above all others of the draft.
        assert!(message.to_cbor().windows(3).any(|label| label == [0x19, 0x01, 0x01]));
        assert_eq!(Message::from_cbor(&message.to_cbor(), &Limits::default()) == Ok(message), fits);
    }
}

#[test]
fn have_binary_needs_a_sequence_number() {
    let id = tamarack_model::ComponentId::new(["d"]).unwrap();
    let response = |sequence_number| {
        let one = crate::RequestedTc { component_id: id.clone(), sequence_number, have_binary: Some(true) };
        let message = QueryResponse { requested_tc_list: alloc::vec![one], ..QueryResponse::default() };
        Message::from_cbor(&Message::QueryResponse(message).to_cbor(), &Limits::default())
    };
    assert!(response(None).is_err());
    assert!(response(Some(2)).is_ok());
}

#[test]
fn c6_agent_nonce_travels_both_ways_under_the_private_label() {
    let nonce = Some([9; 16]);
    let messages = [
        Message::QueryResponse(QueryResponse { agent_nonce: nonce, ..QueryResponse::default() }),
        Message::Update(Update { agent_nonce: nonce, ..Update::default() }),
    ];
    for message in messages {
        let encoded = message.to_cbor();
        // {256: h'0909..'}
        assert_eq!(encoded[2..7], [0xa1, 0x19, 0x01, 0x00, 0x50]);
        assert_eq!(Message::from_cbor(&encoded, &Limits::default()), Ok(message));
    }
}

#[test]
fn errors_that_need_alternatives_say_so() {
    let lacking: Vec<_> =
        ErrCode::ALL.into_iter().filter(|code| ErrorMessage::new(*code).lacks_alternatives()).collect();
    assert_eq!(
        lacking,
        [
            ErrCode::UnsupportedFreshnessMechanisms,
            ErrCode::UnsupportedMsgVersion,
            ErrCode::UnsupportedCipherSuites,
            ErrCode::UnsupportedSuitReport,
        ]
    );
    let listed =
        ErrorMessage { versions: alloc::vec![0], ..ErrorMessage::new(ErrCode::UnsupportedMsgVersion) };
    assert!(!listed.lacks_alternatives());
}

#[test]
fn registries_read_back() {
    for code in ErrCode::ALL {
        assert_eq!(ErrCode::from_number(code.number()), Some(code));
        assert!(code.name().starts_with("ERR_"));
    }
    assert!(DataItems::from_bits(16).is_none());
    assert_eq!(DataItems::from_bits(15), Some(DataItems::ALL));
    assert!(crate::LABELS.windows(2).all(|w| w[0].0 < w[1].0));
    assert_eq!(Message::Success(Success::default()).to_cbor(), [0x82, 5, 0xa0]);
}
