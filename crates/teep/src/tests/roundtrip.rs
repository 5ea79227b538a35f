use alloc::string::String;
use alloc::vec::Vec;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use tamarack_cbor::Limits;
use tamarack_model::{ComponentId, HeldBack, OwnerSays, Sha256Digest, TcEntry};

use crate::{
    CipherSuite, DataItems, ErrCode, ErrorMessage, Message, QueryRequest, QueryResponse, RequestedTc,
    SignedMessage, Success, SuitCoseProfile, Update,
};

fn bytes(longest: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..longest)
}

fn token() -> impl Strategy<Value = Option<Vec<u8>>> {
    of(vec(any::<u8>(), 8..=64))
}

fn challenge() -> impl Strategy<Value = Option<Vec<u8>>> {
    of(vec(any::<u8>(), 8..=512))
}

fn text(longest: usize) -> impl Strategy<Value = Option<String>> {
    of("[ -~ä€]{1,40}".prop_filter("within the size", move |text| text.len() <= longest))
}

fn payload() -> impl Strategy<Value = (Option<String>, Option<Vec<u8>>)> {
    (of("[ -~]{0,40}"), of(bytes(40)))
}

fn items() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(bytes(40), 0..3)
}

fn component_id() -> impl Strategy<Value = ComponentId> {
    vec(vec(any::<u8>(), 1..=64), 1..=8).prop_map(|segments| ComponentId::new(segments).unwrap())
}

fn suites() -> impl Strategy<Value = Vec<CipherSuite>> {
    // 19 is no COSE type, so this is never one of the two suites.
    let other = vec(any::<i64>(), 1..3)
        .prop_map(|algorithms| CipherSuite::Other(algorithms.into_iter().map(|a| [19, a]).collect()));
    vec(prop_oneof![Just(CipherSuite::Sign1Ed25519), Just(CipherSuite::Sign1Esp256), other], 1..4)
}

fn profiles() -> impl Strategy<Value = Vec<SuitCoseProfile>> {
    let other = any::<[i64; 3]>().prop_map(|[a, b, c]| SuitCoseProfile::Other([-44, a, b, c]));
    vec(prop_oneof![proptest::sample::select(&SuitCoseProfile::LISTED[..]), other], 1..4)
}

fn err_code() -> impl Strategy<Value = ErrCode> {
    proptest::sample::select(&ErrCode::ALL[..])
}

fn tc_entry() -> impl Strategy<Value = TcEntry> {
    (component_id(), of(any::<[u8; 32]>()), any::<u64>(), any::<bool>()).prop_map(
        |(id, digest, size, both)| {
            let digest = digest.map(Sha256Digest);
            TcEntry { id, digest, size: (both || digest.is_none()).then_some(size) }
        },
    )
}

fn requested() -> impl Strategy<Value = RequestedTc> {
    (component_id(), of(any::<u64>()), of(any::<bool>())).prop_map(|(component_id, sequence_number, have)| {
        RequestedTc { component_id, sequence_number, have_binary: have.filter(|_| sequence_number.is_some()) }
    })
}

prop_compose! {
    fn query_request()(
        (token, challenge, versions) in (token(), challenge(), vec(any::<u32>(), 0..3)),
        freshness in vec(any::<u64>(), 0..3),
        (format, attestation) in payload(),
        suit_reports in items(),
        (suites, profiles, bits) in (suites(), profiles(), 0u64..16),
        evidence_key in of(any::<([u8; 32], [u8; 32])>()),
    ) -> QueryRequest {
        let attested = bits & 1 == 1;
        QueryRequest {
            token,
            supported_freshness_mechanisms: if attested { freshness } else { Vec::new() },
            challenge: challenge.filter(|_| attested),
            versions,
            attestation_payload_format: format,
            attestation_payload: attestation,
            suit_reports,
            evidence_key: evidence_key.map(|(x, y)| tamarack_crypto::PublicKey::P256 { x, y }),
            supported_teep_cipher_suites: suites,
            supported_suit_cose_profiles: profiles,
            data_item_requested: DataItems::from_bits(bits).unwrap(),
        }
    }
}

fn held_back() -> impl Strategy<Value = HeldBack> {
    let says = prop_oneof![Just(OwnerSays::Refused), Just(OwnerSays::Deferred)];
    (component_id(), says, of(any::<u64>())).prop_map(|(id, why, sequence)| HeldBack { id, why, sequence })
}

prop_compose! {
    fn query_response()(
        (token, selected_version) in (token(), of(any::<u32>())),
        (format, attestation) in payload(),
        suit_reports in items(),
        tc_list in vec(tc_entry(), 0..4),
        requested_tc_list in vec(requested(), 0..4),
        unneeded_manifest_list in vec(component_id(), 0..3),
        (ext_list, agent_nonce) in (vec(any::<u32>(), 0..3), any::<Option<[u8; 16]>>()),
        owner_policy in vec(held_back(), 0..3),
    ) -> QueryResponse {
        QueryResponse {
            token,
            selected_version,
            attestation_payload_format: format,
            attestation_payload: attestation,
            suit_reports,
            tc_list,
            requested_tc_list,
            unneeded_manifest_list,
            ext_list,
            agent_nonce,
            owner_policy,
        }
    }
}

prop_compose! {
    fn update()(
        token in token(),
        unneeded_manifest_list in vec(component_id(), 0..3),
        manifest_list in items(),
        (format, attestation) in payload(),
        (err_code, err_msg, err_lang) in (of(err_code()), text(128), text(35)),
        agent_nonce in any::<Option<[u8; 16]>>(),
    ) -> Update {
        Update {
            token,
            unneeded_manifest_list,
            manifest_list,
            attestation_payload_format: format,
            attestation_payload: attestation,
            err_code,
            err_msg,
            err_lang,
            agent_nonce,
        }
    }
}

prop_compose! {
    fn error()(
        (token, err_msg, err_lang) in (token(), text(128), text(35)),
        suites in of(suites()),
        freshness in vec(any::<u64>(), 0..3),
        profiles in of(profiles()),
        (challenge, versions) in (challenge(), vec(any::<u32>(), 0..3)),
        (suit_reports, err_code) in (items(), err_code()),
        owner_policy in vec(held_back(), 0..3),
    ) -> ErrorMessage {
        ErrorMessage {
            token,
            err_msg,
            err_lang,
            supported_teep_cipher_suites: suites.unwrap_or_default(),
            supported_freshness_mechanisms: freshness,
            supported_suit_cose_profiles: profiles.unwrap_or_default(),
            challenge,
            versions,
            suit_reports,
            owner_policy,
            err_code,
        }
    }
}

fn message() -> impl Strategy<Value = Message> {
    let success = (token(), text(128), items())
        .prop_map(|(token, msg, suit_reports)| Message::Success(Success { token, msg, suit_reports }));
    prop_oneof![
        query_request().prop_map(Message::QueryRequest),
        query_response().prop_map(Message::QueryResponse),
        update().prop_map(Message::Update),
        success,
        error().prop_map(Message::Error),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_written_the_same(message in message()) {
        let encoded = message.to_cbor();
        let read = Message::from_cbor(&encoded, &Limits::default());
        prop_assert_eq!(read.as_ref(), Ok(&message));
        prop_assert_eq!(read.unwrap().to_cbor(), encoded);
    }

    #[test]
    fn changed_bytes_never_panic(message in message(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut encoded = message.to_cbor();
        let at = at.index(encoded.len());
        encoded[at] = byte;
        if let Ok(other) = Message::from_cbor(&encoded, &Limits::default()) {
            other.to_cbor();
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = Message::from_cbor(&bytes, &Limits::default());
        for tag in [&[][..], &[0xd2, 0x84], &[0xd8, 0x62, 0x84]] {
            let _ = SignedMessage::parse(&[tag, &bytes].concat(), &Limits::default());
        }
    }
}
