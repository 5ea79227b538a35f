//! The power fails at every write of a command.

use std::cell::Cell;
use std::rc::Rc;

use tamarack_agent::{Agent, AgentConfig, Input, Output};

use crate::otrp_world::*;
use crate::power::Failing;
use crate::world::*;

/// What the device is before, and the command that is cut.
pub fn check(before: impl Fn() -> Otrp, command: impl Fn(&mut Otrp) -> Vec<u8>, fetched: Option<&[u8]>) {
    let mut finished = false;
    for cut in 0..20 {
        let mut otrp = before();
        if let Some(payload) = fetched {
            otrp.payloads.insert("https://files.example/w".into(), payload.to_vec());
        }
        // The session is opened and the command given to a device whose storage fails.
        let left = Rc::new(Cell::new(u32::MAX));
        let inner = platform(1, otrp.storage()).with_otrp(1, otrp.world.otrp.clone().unwrap());
        let failing = Failing { inner, left: left.clone(), untrusted: false };
        let mut agent = Agent::new(failing, provider(), AgentConfig::default());
        let request = otrp.state_request();
        let message = otrp.sign_state(&request);
        agent.handle(NOW, Input::ProcessOtrpMessage(message)).unwrap();
        while let Some(output) = agent.poll_output() {
            if let Output::Transmit { message, .. } = output {
                otrp.read_state(&message);
            }
        }
        let old = (otrp.digest(), otrp.storage().blobs());
        let request = command(&mut otrp);
        left.set(cut);
        let mut told = Vec::new();
        let _ = agent.handle(NOW, Input::ProcessOtrpMessage(request.clone()));
        while let Some(output) = agent.poll_output() {
            match output {
                Output::Fetch { fetch, .. } => {
                    let data = fetched.unwrap().to_vec();
                    let _ = agent.handle(NOW, Input::Chunk { fetch, data, last: true });
                }
                Output::Transmit { message, .. } => told = message,
                _ => {}
            }
        }
        drop(agent);
        let passed = !told.is_empty() && otrp.read_answer(&told).reason.is_none();

        // The power is back.
        otrp.restart();
        let now = (otrp.digest(), otrp.storage().blobs());
        if passed {
            assert_ne!(now.0, old.0, "cut {cut}: pass without a change");
            assert_eq!(otrp.send_otrp(request).bytes, told, "cut {cut}: the stored answer");
            finished = true;
        } else {
            assert_eq!(now, old, "cut {cut}: neither old nor new");
            otrp.state();
            let request = command(&mut otrp);
            otrp.send_command(request).expect_pass();
        }
    }
    assert!(finished, "the command never came to its end");
}

fn create(otrp: &mut Otrp) -> Vec<u8> {
    let common = otrp.common();
    let content = tamarack_otrp::request::Content::CreateSd(otrp.create(SD, SP));
    otrp.seal(&common, &content, None)
}

fn install(otrp: &mut Otrp, envelope: Vec<u8>, pdata: Option<&[u8]>) -> Vec<u8> {
    let package = otrp.package(Some(envelope), pdata);
    let common = otrp.common();
    let content = tamarack_otrp::request::Content::InstallTa(otrp.wallet_of());
    otrp.seal(&common, &content, Some(&package))
}

#[test]
fn power_cut_during_create_sd() {
    check(
        || {
            let mut otrp = Otrp::new();
            otrp.state();
            otrp
        },
        create,
        None,
    );
}

#[test]
fn power_cut_during_install_ta() {
    check(Otrp::with_domain, |otrp| install(otrp, wallet_envelope(1), Some(b"data")), None);
}

#[test]
fn power_cut_during_a_fetched_install_ta() {
    let by_uri = |otrp: &mut Otrp| {
        let uri = "https://files.example/w";
        let payload = tamarack_suit::author::Payload::by_uri(uri, b"fetched", &provider());
        install(otrp, sign_manifest(1, builder(&wallet("suit"), &wallet("ta"), 1, payload)), None)
    };
    check(Otrp::with_domain, by_uri, Some(b"fetched"));
}

#[test]
fn power_cut_during_delete_sd() {
    let delete = |otrp: &mut Otrp| {
        let common = otrp.common();
        otrp.seal(&common, &otrp.delete_of(SD, true), None)
    };
    check(|| Otrp::with_wallet(1), delete, None);
}
