//! The happy path: install, run, update, delete, install again.

use tamarack_agent::{Agent, Error, Input, Output, TaName};
use tamarack_crypto::PublicKey;
use tamarack_model::{Outcome, Protocol, codes};
use tamarack_suit::ReportResult;
use tamarack_suit::author::Payload;
use tamarack_tee::{Param, Params};
use tamarack_teep::{Message, UPDATE_BINDING_EXTENSION};

use crate::world::*;

#[test]
fn a_ta_is_requested_installed_run_updated_and_deleted() {
    let mut world = World::new();
    let request = Input::RequestTa { component: wallet("ta"), tam_uri: None };
    world.agent.handle(NOW, request).unwrap();
    assert_eq!(
        world.agent.poll_output(),
        Some(Output::Connect { tam_uri: TAM_URI.into(), protocol: Protocol::Teep })
    );

    let response = world.query();
    assert_eq!(response.requested_tc_list.len(), 1);
    assert_eq!(response.requested_tc_list[0].component_id, wallet("ta"));
    assert_eq!(response.tc_list.len(), 2, "agent and firmware");
    assert_eq!(response.ext_list, [UPDATE_BINDING_EXTENSION]);
    assert!(response.attestation_payload.is_some() && response.attestation_payload_format.is_some());

    let reply = world.update(Script::install(wallet_envelope(1)));
    reply.expect_success();
    assert_eq!(reply.outcome(), Some(&Outcome::Done));
    let reports = reply.reports(1);
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].result, ReportResult::Success);
    assert_eq!(reports[0].nonce.as_deref(), Some(&[1; 16][..]), "the token");

    assert_eq!((world.count(), world.count()), (1, 2));
    let status = world.agent.status().unwrap();
    assert_eq!(status.components.len(), 1);
    assert_eq!((status.components[0].sequence, &*status.components[0].provider), (1, "acme"));

    world.install_wallet(2);
    let mut params = vec![Param::None];
    world.call(MODULE, &mut params).unwrap();
    assert_eq!(params[0], Param::MemrefOutput { capacity: 64, data: b"wallet 2".to_vec() });
    assert_eq!(world.count(), 3, "data survives an update");
    assert_eq!(world.storage().blobs(), 1, "the old payload is gone");
    let response = world.query();
    assert_eq!(response.tc_list.len(), 4, "with component and manifest");
    assert!(response.requested_tc_list.is_empty(), "the request was fulfilled");

    world.agent.handle(NOW, Input::UnrequestTa { component: wallet("ta") }).unwrap();
    assert_eq!(
        world.agent.poll_output(),
        Some(Output::Connect { tam_uri: TAM_URI.into(), protocol: Protocol::Teep })
    );
    assert_eq!(world.query().unneeded_manifest_list, [wallet("suit")]);
    world.update(Script::remove(wallet("suit"))).expect_success();
    assert_eq!(world.call(COUNT, &mut vec![Param::None]), Err(Error::NoTa));
    assert_eq!(world.storage().blobs(), 0);
    assert!(world.query().unneeded_manifest_list.is_empty());

    world.install_wallet(3);
    assert_eq!(world.count(), 1, "a deleted TA's data does not come back");
}

#[test]
fn payloads_by_uri_are_fetched_in_chunks() {
    let mut world = World::new();
    let content = vec![0x5a; 1050];
    let payload = Payload::by_uri("https://files.example/wallet", &content, &provider());
    let envelope = sign_manifest(1, builder(&wallet("suit"), &wallet("ta"), 1, payload));

    let missing = world.refused(
        Script::install(envelope.clone()),
        tamarack_teep::ErrCode::ManifestProcessingFailed,
        codes::SUIT_DIRECTIVE,
    );
    assert!(matches!(missing.reports(1)[0].result, ReportResult::Failure { .. }));

    world.payloads.insert("https://files.example/wallet".into(), content);
    world.exchange(Script::install(envelope)).expect_success();
    assert_eq!(world.agent.status().unwrap().components[0].size, 1050);
}

#[test]
fn a_payload_that_differs_from_its_digest_is_refused() {
    let mut world = World::new();
    world.install_wallet(1);
    let content = vec![0x5a; 1050];
    let payload = Payload::by_uri("https://files.example/wallet", &content, &provider());
    let envelope = sign_manifest(1, builder(&wallet("suit"), &wallet("ta"), 2, payload));
    for changed in [vec![0x5b; 1050], vec![0x5a; 1049], vec![0x5a; 1051], Vec::from([0])] {
        world.payloads.insert("https://files.example/wallet".into(), changed.clone());
        let digest = world.digest();
        let reply = world.exchange(Script::install(envelope.clone()));
        assert_eq!(reply.error().err_code, tamarack_teep::ErrCode::ManifestProcessingFailed);
        assert_eq!(reply.reports(1).len(), 1);
        assert_eq!((world.digest(), world.storage().blobs()), (digest, 1), "{}", changed.len());
    }
    assert_eq!(world.count(), 1, "the old version still runs");
}

#[test]
fn keys_of_a_ta_stay_inside_and_survive_an_update() {
    let mut world = World::new();
    world.install_wallet(1);
    let sign = |world: &mut World| {
        let mut params = vec![Param::MemrefInput(b"pay".to_vec()), Param::None, Param::None];
        world.call(SIGN, &mut params).unwrap();
        match (&params[1], &params[2]) {
            (Param::MemrefOutput { data: signature, .. }, Param::MemrefOutput { data: point, .. }) => {
                let key = PublicKey::from_point(point).unwrap();
                provider().verify.verify(&key, b"pay", signature).unwrap();
                key
            }
            other => panic!("{other:?}"),
        }
    };
    let before = sign(&mut world);
    world.install_wallet(2);
    assert_eq!(sign(&mut world), before);
    world.exchange(Script::remove(wallet("suit"))).expect_success();
    world.install_wallet(3);
    assert_ne!(sign(&mut world), before);
}

#[test]
fn the_valve_obeys_only_the_ta_bound_to_it() {
    let mut world = World::new();
    let valve = |kind| id("com.acme", VALVE, kind);
    world.exchange(Script::install(envelope(1, &valve("suit"), &valve("ta"), 1, b"valve"))).expect_success();
    world.install_wallet(1);
    let actuate = || vec![Param::MemrefInput(b"open".to_vec()), Param::None];
    let before = world.digest();
    let error = world.call_ta(WALLET, ACTUATE, &mut actuate()).unwrap_err();
    assert_eq!(error.code(), codes::TA_ERROR);
    assert_eq!(world.digest(), before);

    let mut params = actuate();
    world.call_ta(VALVE, ACTUATE, &mut params).unwrap();
    assert_eq!(params[1], Param::MemrefOutput { capacity: 16, data: b"open".to_vec() });
    assert_eq!(world.agent.status().unwrap().peripherals, [("valve".to_string(), b"open".to_vec())]);
    world.restart();
    assert_eq!(world.agent.status().unwrap().peripherals, [("valve".to_string(), b"open".to_vec())]);
}

#[test]
fn an_installed_ta_is_not_requested_again() {
    let mut world = World::new();
    world.install_wallet(1);
    let reply = world.drive(Input::RequestTa { component: wallet("ta"), tam_uri: None });
    assert_eq!(reply.outcome(), Some(&Outcome::Unchanged));
}

#[test]
fn policy_checks_go_to_each_tam_in_turn() {
    let mut world = World::new();
    let mut next = || {
        world.agent.handle(NOW, Input::RequestPolicyCheck).unwrap();
        world.agent.poll_output()
    };
    let connect = |uri: &str| Some(Output::Connect { tam_uri: uri.into(), protocol: Protocol::Teep });
    assert_eq!((next(), next(), next()), (connect(TAM_URI), connect(OTHER_URI), connect(TAM_URI)));
}

#[test]
fn an_update_that_only_says_no_is_heard() {
    let mut world = World::new();
    let before = world.digest();
    let err_code = Some(tamarack_teep::ErrCode::AttestationRequired);
    let reply = world.exchange(Script { err_code, ..Script::default() });
    assert!(matches!(reply.message, Some(Message::Success(_))));
    assert_eq!(reply.outcome(), Some(&Outcome::Refused(codes::EVIDENCE_POLICY)));
    assert_eq!(world.digest(), before);
}

#[test]
fn a_device_is_enrolled_once() {
    let mut platform = World::new().agent.into_platform();
    let again = Agent::enrol(&mut platform, &provider(), &seed());
    assert_eq!(again, Err(Error::AlreadyEnrolled));
}

#[test]
fn one_update_installs_and_removes_several() {
    let mut world = World::new();
    world.install_wallet(1);
    let other = |kind| id("com.acme", [0x33; 16], kind);
    let script = Script {
        install: vec![
            envelope(1, &other("suit"), &other("ta"), 1, b"other"),
            envelope(2, &id("com.globex", [9; 16], "suit"), &id("com.globex", [9; 16], "ta"), 4, b"x"),
        ],
        remove: vec![wallet("suit")],
        ..Script::default()
    };
    let reply = world.exchange(script);
    reply.expect_success();
    assert_eq!(reply.reports(1).len(), 3, "uninstall and two installs");
    let names: Vec<_> = world.agent.status().unwrap().components.into_iter().map(|c| c.component).collect();
    assert_eq!(names, [other("ta"), id("com.globex", [9; 16], "ta")]);
    let session = world.agent.open_session(NOW, &TaName::Uuid(WALLET), None, &mut Params::new());
    assert_eq!(session, Err(Error::NoTa));
}
