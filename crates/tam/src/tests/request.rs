use tamarack_teep::{DataItems, Message, freshness};

use super::*;

#[test]
fn a_query_request_has_a_challenge_and_no_token() {
    let world = World::new();
    let Message::QueryRequest(request) = world.query_request().unverified().unwrap() else {
        panic!("an empty POST is answered by a QueryRequest")
    };
    assert!(request.data_item_requested.contains(DataItems::ATTESTATION));
    assert_eq!((request.token, request.challenge.map(|challenge| challenge.len())), (None, Some(32)));
    assert!(request.supported_freshness_mechanisms.contains(&freshness::NONCE));
    assert!(request.attestation_payload.is_none() && request.suit_reports.is_empty());
}
