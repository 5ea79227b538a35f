//! The life of a TA in OTrP, from the first question to the last command.

use tamarack_agent::{Input, Output};
use tamarack_model::{Outcome, Protocol};
use tamarack_otrp::ErrorCode;
use tamarack_otrp::request::{Changes, Content};
use tamarack_suit::author::Payload;
use tamarack_tee::Param;

use crate::otrp_world::*;
use crate::world::*;

#[test]
fn a_ta_lives_from_create_sd_to_delete_sd() {
    let mut otrp = Otrp::new();
    let dsi = otrp.state();
    assert!(dsi.tee.sdlist.is_empty() && dsi.tee.teeaiklist.is_empty());
    assert_eq!((dsi.tee.name.as_str(), dsi.tee.ext.len()), ("test TEE", 1));
    assert_eq!(dsi.tfwdata.unwrap().tbs, otrp.tid.as_str().as_bytes());
    assert!(dsi.tee.eat.is_some());

    let answer = otrp.create_sd(SD, SP).expect_pass();
    let content = answer.content.as_ref().unwrap();
    assert_eq!(content.sdname.as_deref(), Some(SD));
    let dsi = content.dsi.clone().unwrap().into_dsi();
    assert_eq!((dsi.tee.sdlist.len(), dsi.tee.teeaiklist.len()), (1, 2));
    assert_eq!(dsi.tee.sdlist[0].spcert, [provider().sha256(&spcert(1))]);

    let answer = otrp.install_ta(wallet_envelope(1)).expect_pass();
    assert_eq!(answer.outcome(), Some(&Outcome::Done));
    let dsi = answer.content.unwrap().dsi.unwrap().into_dsi();
    let [ta] = &dsi.tee.sdlist[0].talist[..] else { panic!("{dsi:?}") };
    assert_eq!((ta.taid.as_str(), ta.seq), (WALLET_TAID, Some(1)));
    assert_eq!(otrp.count(), 1);

    let package = otrp.package(Some(wallet_envelope(2)), Some(b"for you"));
    let content = Content::UpdateTa(otrp.wallet_of());
    otrp.command(content, Some(&package)).expect_pass();
    assert_eq!(otrp.count(), 2, "its data stays");
    let mut params = vec![Param::MemrefOutput { capacity: 64, data: Vec::new() }];
    otrp.call(PERSONALIZATION, &mut params).unwrap();
    assert_eq!(params, [Param::MemrefOutput { capacity: 64, data: b"for you".to_vec() }]);
    otrp.update_ta(None, Some(b"for others")).expect_pass();
    otrp.call(PERSONALIZATION, &mut params).unwrap();
    assert_eq!(params, [Param::MemrefOutput { capacity: 64, data: b"for others".to_vec() }]);

    let dsi = otrp.delete_ta().expect_pass().content.unwrap().dsi.unwrap().into_dsi();
    assert!(dsi.tee.sdlist[0].talist.is_empty());
    let dsi = otrp.delete_sd(SD, false).expect_pass().content.unwrap().dsi.unwrap().into_dsi();
    assert!(dsi.tee.sdlist.is_empty() && dsi.tee.teeaiklist.is_empty());
    assert!(otrp.agent.status().unwrap().domains.is_empty());
    assert_eq!(otrp.storage().blobs(), 0);
}

#[test]
fn delete_sd_takes_its_tas_along_if_told_so() {
    let mut otrp = Otrp::with_wallet(1);
    otrp.count();
    let refused = otrp.delete_of(SD, false);
    otrp.refused(refused, None, ErrorCode::SdNotEmpty);
    otrp.delete_sd(SD, true).expect_pass();
    assert_eq!(otrp.storage().blobs(), 0);
    let pairs = otrp.storage().pairs();
    let left = pairs.iter().filter(|(key, _)| {
        [&b"s/ta/"[..], b"s/salt/", b"s/aik/", b"s/domain/"].iter().any(|prefix| key.starts_with(prefix))
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn a_payload_by_uri_is_fetched() {
    let mut otrp = Otrp::with_domain();
    let uri = "https://files.example/w";
    let payload = Payload::by_uri(uri, b"fetched", &provider());
    let envelope = sign_manifest(1, builder(&wallet("suit"), &wallet("ta"), 1, payload));
    otrp.payloads.insert(uri.into(), b"fetched".to_vec());
    otrp.install_ta(envelope.clone()).expect_pass();
    assert_eq!(otrp.fetched, [uri]);
    assert_eq!(otrp.count(), 1);

    // One that cannot be had leaves nothing behind, and what was told still holds.
    otrp.delete_ta().expect_pass();
    otrp.payloads.clear();
    let package = otrp.package(
        Some(sign_manifest(
            1,
            builder(&wallet("suit"), &wallet("ta"), 2, Payload::by_uri(uri, b"fetched", &provider())),
        )),
        None,
    );
    let content = Content::InstallTa(otrp.wallet_of());
    otrp.refused(content, Some(&package), ErrorCode::TaInvalid);
    otrp.payloads.insert(uri.into(), b"fetched".to_vec());
    let content = Content::InstallTa(otrp.wallet_of());
    otrp.command(content, Some(&package)).expect_pass();
}

#[test]
fn a_busy_agent_says_so_to_its_driver() {
    let mut otrp = Otrp::with_domain();
    let payload = Payload::by_uri("https://files.example/w", b"fetched", &provider());
    let envelope = sign_manifest(1, builder(&wallet("suit"), &wallet("ta"), 1, payload));
    let package = otrp.package(Some(envelope), None);
    let common = otrp.common();
    let request = otrp.seal(&common, &Content::InstallTa(otrp.wallet_of()), Some(&package));
    let now = otrp.now;
    otrp.agent.handle(now, Input::ProcessOtrpMessage(request.clone())).unwrap();
    let Some(Output::Fetch { fetch, .. }) = otrp.agent.poll_output() else { panic!("no fetch") };
    let busy = otrp.agent.handle(now, Input::ProcessOtrpMessage(request)).unwrap_err();
    assert_eq!(busy, tamarack_agent::Error::Busy);
    let reply = otrp.drive(Input::Chunk { fetch, data: b"fetched".to_vec(), last: true });
    assert_eq!(otrp.read_answer(&reply.bytes).reason, None);
}

#[test]
fn without_nextdsi_the_key_is_told_alone() {
    let mut otrp = Otrp::new();
    otrp.state();
    otrp.nextdsi = false;
    let content = otrp.create_sd(SD, SP).expect_pass().content.unwrap();
    assert!(content.dsi.is_none() && content.teespaik.is_some());
    // Nothing is told, so nothing can be commanded before the state is asked for.
    let update = otrp.update_of(Changes { renewteespaik: true, ..Changes::default() });
    otrp.refused(update.clone(), None, ErrorCode::DevStateMismatch);
    otrp.state();
    let renewed = otrp.command(update, None).expect_pass().content.unwrap().teespaik;
    assert!(renewed.is_some() && renewed != content.teespaik);
    // A second domain of the same provider has no new key to tell.
    otrp.state();
    let second = otrp.create_sd("com.acme.second", SP).expect_pass().content.unwrap();
    assert_eq!(second.teespaik, None);
}

#[test]
fn a_command_needs_no_certificate_in_its_session() {
    let mut otrp = Otrp::new();
    otrp.state();
    otrp.x5c = false;
    otrp.create_sd(SD, SP).expect_pass();
    otrp.install_ta(wallet_envelope(1)).expect_pass();
}

#[test]
fn requests_and_policy_checks_connect_in_the_tams_protocol() {
    let mut otrp = Otrp::new();
    let uri = |uri: &str| Output::Connect { tam_uri: uri.into(), protocol: Protocol::Otrp };
    let now = otrp.now;
    otrp.agent.handle(now, Input::RequestPolicyCheck).unwrap();
    assert_eq!(otrp.agent.poll_output(), Some(uri(TAM_URI)));
    otrp.agent.handle(now, Input::RequestTa { component: wallet("ta"), tam_uri: None }).unwrap();
    assert_eq!(otrp.agent.poll_output(), Some(uri(TAM_URI)));
    let dsi = otrp.state();
    let [wanted] = &dsi.tee.requestedtalist[..] else { panic!("{dsi:?}") };
    assert_eq!((wanted.taid.as_str(), wanted.sdname.as_str()), (WALLET_TAID, SD));
    otrp.create_sd(SD, SP).expect_pass();
    otrp.install_ta(wallet_envelope(1)).expect_pass();
    otrp.agent.handle(now, Input::UnrequestTa { component: wallet("ta") }).unwrap();
    assert_eq!(otrp.agent.poll_output(), Some(uri(TAM_URI)));
    let dsi = otrp.state();
    assert!(dsi.tee.requestedtalist.is_empty());
    assert_eq!(dsi.tee.unneededtalist[0].taid, WALLET_TAID);
    otrp.delete_ta().expect_pass();
    assert!(otrp.state().tee.unneededtalist.is_empty());
}
