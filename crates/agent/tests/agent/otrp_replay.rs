//! Repeats, old states, and what one protocol does to the other's.

use tamarack_agent::Input;
use tamarack_model::{Outcome, codes};
use tamarack_otrp::ErrorCode;
use tamarack_otrp::request::{Changes, Content};

use crate::otrp_world::*;
use crate::world::*;

/// A command that was carried out is repeated: the same bytes come back, and nothing is done. After another command it is
/// stale.
#[track_caller]
fn check_repeat(otrp: &mut Otrp, answer: Answer) {
    let answer = answer.expect_pass();
    let before = (otrp.digest(), otrp.storage().blobs());
    for _ in 0..2 {
        let again = otrp.send_otrp(answer.request.clone());
        assert_eq!(again.bytes, answer.reply.bytes);
        assert_eq!(again.outcome(), Some(&Outcome::Unchanged));
        // A restart makes no difference.
        otrp.restart();
    }
    assert_eq!((otrp.digest(), otrp.storage().blobs()), before);
    let dsi = otrp.dsi.clone();
    otrp.state();
    otrp.dsi = dsi;
}

#[test]
fn r10_every_command_is_answered_again_and_done_once() {
    let mut otrp = Otrp::new();
    otrp.state();
    let mut sent = Vec::new();
    let mut step = |otrp: &mut Otrp, command: &dyn Fn(&mut Otrp) -> Answer| {
        otrp.state();
        let answer = command(otrp);
        sent.push(answer.request.clone());
        check_repeat(otrp, answer);
    };
    step(&mut otrp, &|o| o.create_sd(SD, SP));
    step(&mut otrp, &|o| o.update_sd(Changes { spcert: vec![spcert(2)], ..Changes::default() }));
    step(&mut otrp, &|o| o.install_ta(wallet_envelope(1)));
    step(&mut otrp, &|o| o.update_ta(Some(wallet_envelope(2)), Some(b"data")));
    step(&mut otrp, &|o| o.delete_ta());
    step(&mut otrp, &|o| o.install_ta(wallet_envelope(3)));
    step(&mut otrp, &|o| o.delete_sd(SD, true));
    step(&mut otrp, &|o| o.create_sd(SD, SP));
    // All but the last one are stale, in whatever session.
    otrp.state();
    let before = otrp.digest();
    let last = sent.pop().unwrap();
    for request in sent {
        let reply = otrp.send_otrp(request);
        assert!(reply.bytes.is_empty(), "its transaction is not known any more");
        assert_eq!(otrp.digest(), before);
    }
    assert_eq!(otrp.send_otrp(last).outcome(), Some(&Outcome::Unchanged));
}

#[test]
fn r10_commands_of_one_session_are_stale_once_another_was_carried_out() {
    let mut otrp = Otrp::with_wallet(1);
    let second = otrp.update_ta(Some(wallet_envelope(2)), None).expect_pass();
    let third = otrp.update_ta(Some(wallet_envelope(3)), None).expect_pass();
    otrp.refused_command(second.request, ErrorCode::DevStateMismatch);
    assert_eq!(otrp.send_otrp(third.request).bytes, third.reply.bytes);
}

#[test]
fn r10_a_state_that_comes_back_is_not_the_old_state() {
    // From A to B and back to A: the device holds the same, but the hash is another.
    let mut otrp = Otrp::with_domain();
    let at_a = otrp.dsi.clone().unwrap();
    let common = otrp.common();
    let changes = || Changes { spcert: vec![spcert(2)], ..Changes::default() };
    let held = otrp.seal(&common, &otrp.update_of(changes()), None);
    otrp.install_ta(wallet_envelope(1)).expect_pass();
    otrp.delete_ta().expect_pass();
    let at_a_again = otrp.dsi.clone().unwrap();
    assert_eq!(at_a.dsi().tee.sdlist, at_a_again.dsi().tee.sdlist);
    assert_ne!(at_a.hash(&provider()), at_a_again.hash(&provider()));
    otrp.refused_command(held, ErrorCode::DevStateMismatch);
}

#[test]
fn r10_one_dsi_authorises_one_command() {
    let mut otrp = Otrp::with_domain();
    let dsi = otrp.dsi.clone();
    otrp.update_sd(Changes { spcert: vec![spcert(2)], ..Changes::default() }).expect_pass();
    // What changed is not even in the DSI of the draft.
    otrp.dsi = dsi;
    let content = otrp.update_of(Changes { spcert: vec![spcert(3)], ..Changes::default() });
    otrp.refused(content, None, ErrorCode::DevStateMismatch);
}

#[test]
fn r10_every_dsi_is_unique() {
    let mut otrp = Otrp::new();
    let mut hashes = Vec::new();
    for _ in 0..3 {
        let epoch = otrp.state().tee.epoch.unwrap();
        hashes.push((epoch, otrp.dsi.as_ref().unwrap().hash(&provider())));
        otrp.restart();
    }
    hashes.dedup_by_key(|(_, hash)| *hash);
    assert_eq!(hashes.iter().map(|(epoch, _)| *epoch).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn r10_a_repeat_is_known_by_its_signature_not_by_its_ids() {
    let mut otrp = Otrp::with_domain();
    let answer = otrp.install_ta(wallet_envelope(1)).expect_pass();
    // The same rid and tid around another command.
    let common = otrp.common();
    let content = otrp.delete_wallet();
    let request = otrp.seal(&common, &content, None);
    let rid = {
        let outer = parse_json(&answer.request);
        let jws = outer.get("InstallTARequest").unwrap();
        let payload = jws.get("payload").unwrap().as_str().unwrap();
        let payload = parse_json(&tamarack_jose::base64::decode_url(payload).unwrap());
        payload.get("InstallTATBSRequest").unwrap().get("rid").unwrap().clone()
    };
    let request = otrp.resigned(&request, |tbs| set(tbs, "rid", Some(rid)));
    let deleted = otrp.send_command(request).expect_pass();
    assert_ne!(deleted.reply.bytes, answer.reply.bytes);
}

#[test]
fn a_lost_session_answers_only_the_very_same_request() {
    let mut otrp = Otrp::with_domain();
    let answer = otrp.install_ta(wallet_envelope(1)).expect_pass();
    otrp.restart();
    // The same command with another rid is another request.
    let again = otrp.resigned(&answer.request, |tbs| set(tbs, "rid", Some("another".into())));
    assert!(otrp.send_otrp(again).bytes.is_empty());
    let flip = otrp.tampered(&answer.request, |jws| {
        let tamarack_jose::json::Json::String(text) = member(jws, "signature") else { panic!() };
        let flipped = if text.starts_with('A') { "B" } else { "A" };
        text.replace_range(0..1, flipped);
    });
    let reply = otrp.send_otrp(flip);
    assert!(reply.bytes.is_empty());
    assert_eq!(otrp.send_otrp(answer.request).bytes, answer.reply.bytes);
}

/// A device whose TAM speaks both protocols, with a signer that TEEP knows.
fn both() -> Otrp {
    let pki = tamarack_testkit::otrp_pki::OtrpPki::new(&provider(), 2);
    let mut seed = otrp_seed(&pki);
    seed.signers = crate::world::seed().signers;
    Otrp::with(pki, &seed)
}

#[test]
fn r10_a_change_by_teep_makes_the_hash_stale() {
    let mut otrp = both();
    otrp.state();
    otrp.create_sd(SD, SP).expect_pass();
    let answer = otrp.install_ta(wallet_envelope(1)).expect_pass();
    otrp.exchange(Script::install(wallet_envelope(2))).expect_success();
    let content = otrp.delete_wallet();
    otrp.refused(content, None, ErrorCode::DevStateMismatch);
    // The stored answer tells of a state that is no more.
    otrp.refused_command(answer.request, ErrorCode::DevStateMismatch);
    let dsi = otrp.state();
    assert_eq!(dsi.tee.sdlist[0].talist[0].seq, Some(2));
    // An Update that changes nothing leaves it.
    otrp.exchange(Script::install(wallet_envelope(2))).expect_success();
    otrp.delete_ta().expect_pass();
}

#[test]
fn a_change_by_otrp_makes_the_stored_answer_of_teep_stale() {
    let mut otrp = both();
    otrp.state();
    otrp.create_sd(SD, SP).expect_pass();
    otrp.query();
    let update = otrp.update_bytes(Script::install(wallet_envelope(1)));
    let first = otrp.drive(Input::ProcessTeepMessage(update.clone()));
    first.expect_success();
    assert_eq!(otrp.drive(Input::ProcessTeepMessage(update.clone())).bytes, first.bytes);
    otrp.state();
    otrp.update_ta(Some(wallet_envelope(2)), None).expect_pass();
    let reply = otrp.drive(Input::ProcessTeepMessage(update));
    assert_eq!(reply.outcome(), Some(&Outcome::Refused(codes::TEEP_UNEXPECTED)));
    assert_eq!(otrp.query().tc_list.len(), 4);
}

#[test]
fn r2_a_lower_sequence_is_refused_in_either_protocol() {
    let mut otrp = both();
    otrp.state();
    otrp.create_sd(SD, SP).expect_pass();
    otrp.install_ta(wallet_envelope(5)).expect_pass();
    let older = |otrp: &mut Otrp, content: Content| {
        let package = otrp.package(Some(wallet_envelope(4)), None);
        let code = otrp.refused(content, Some(&package), ErrorCode::TaInvalid);
        assert_eq!(code, codes::SUIT_ROLLBACK);
    };
    let update = Content::UpdateTa(otrp.wallet_of());
    older(&mut otrp, update);
    let failed = tamarack_teep::ErrCode::ManifestProcessingFailed;
    otrp.world.refused(Script::install(wallet_envelope(4)), failed, codes::SUIT_ROLLBACK);
    // The counter outlives the TA and its domain.
    otrp.state();
    otrp.delete_sd(SD, true).expect_pass();
    otrp.create_sd(SD, SP).expect_pass();
    let install = Content::InstallTa(otrp.wallet_of());
    older(&mut otrp, install);
    // Rule R3: the same one may come back, for a dsihash binds as a nonce does.
    otrp.install_ta(wallet_envelope(5)).expect_pass();
}
