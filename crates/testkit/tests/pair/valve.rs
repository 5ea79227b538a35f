//! A headless device with an actuator: what brings its TA, what takes it away, and who does not reach the valve.

use tamarack_agent::{AnchorChange, AnchorOrder, AnchorState, Error, SessionId, Subject, TaName};
use tamarack_cbor::Encode;
use tamarack_cose::{Sign1, SignOptions};
use tamarack_model::{ComponentId, codes};
use tamarack_store::{Policy, Store, StoreOp, TenantId};
use tamarack_tee::{Param, TaError, TaReturn};

use crate::world::{Pair, VALVE, authority, valve};

const OPEN: u32 = 1;
const CLOSE: u32 = 2;

/// A device that nobody asks anything of; its TAM wants the valve TA on every device.
fn headless() -> Pair {
    let pair = Pair::new();
    pair.publish_valve((valve("suit"), valve("ta")));
    let policy = Policy { tenant: TenantId::default(), component: valve("ta"), since: pair.now };
    pair.store.apply(vec![StoreOp::SetPolicy(policy)]).unwrap();
    pair
}

fn session(pair: &mut Pair, uuid: [u8; 16]) -> Result<SessionId, Error> {
    pair.agent.open_session(pair.now, &TaName::Uuid(uuid), None, &mut Vec::new())
}

fn command(pair: &mut Pair, session: SessionId, command: u32) -> Result<(), Error> {
    pair.agent.invoke(pair.now, session, command, &mut vec![Param::ValueOutput(0, 0)])
}

fn order(pair: &mut Pair, sequence: u64, state: AnchorState) {
    let (subject, change) = (Subject::Provider("acme".into()), AnchorChange::State(state));
    let order = AnchorOrder { sequence, subject, change };
    let key = authority(&tamarack_crypto_aws_lc::provider());
    let signed = Sign1::sign(&*key, &order.to_cbor(), &[], &SignOptions::default()).unwrap();
    pair.agent.change_anchor(&signed).unwrap();
}

#[test]
fn a_headless_device_gets_its_valve_by_policy_checks_alone() {
    let mut pair = headless();
    assert_eq!(session(&mut pair, VALVE), Err(Error::NoTa));
    pair.check_policy();
    let session = session(&mut pair, VALVE).unwrap();
    assert_eq!(pair.valve_position(), b"closed");
    command(&mut pair, session, OPEN).unwrap();
    assert_eq!(pair.valve_position(), b"open");
    command(&mut pair, session, CLOSE).unwrap();
    assert_eq!(pair.valve_position(), b"closed");
}

#[test]
fn l1_a_revoked_valve_loses_the_actuator_at_once() {
    let mut pair = headless();
    pair.check_policy();
    let open = session(&mut pair, VALVE).unwrap();
    command(&mut pair, open, OPEN).unwrap();
    order(&mut pair, 2, AnchorState::Revoked);
    // In the middle of a session, and in a new one.
    assert_eq!(command(&mut pair, open, CLOSE), Err(Error::NoSession));
    assert_eq!(session(&mut pair, VALVE).unwrap_err().code(), codes::TA_UNAUTHORISED);
    assert_eq!(pair.valve_position(), b"open", "it stays where it was");
    // The TAM cannot help it: what it still sends is not accepted, and nothing runs.
    pair.now += 60;
    pair.check_policy();
    assert_eq!(session(&mut pair, VALVE).unwrap_err().code(), codes::TA_UNAUTHORISED);
    // To be run, but no more: then all of it again.
    order(&mut pair, 3, AnchorState::LoadOnly);
    let open = session(&mut pair, VALVE).unwrap();
    command(&mut pair, open, CLOSE).unwrap();
    assert_eq!(pair.valve_position(), b"closed");
}

#[test]
fn a_valve_that_its_tam_removes_loses_the_actuator() {
    let mut pair = headless();
    pair.check_policy();
    let open = session(&mut pair, VALVE).unwrap();
    command(&mut pair, open, OPEN).unwrap();
    let component = valve("ta");
    pair.store.apply(vec![StoreOp::ClearPolicy { tenant: TenantId::default(), component }]).unwrap();
    pair.create_domain();
    pair.delete_domain();
    pair.now += 60;
    pair.check_policy();
    assert_eq!(command(&mut pair, open, CLOSE), Err(Error::NoSession));
    assert_eq!(session(&mut pair, VALVE), Err(Error::NoTa));
    assert_eq!(pair.valve_position(), b"open");
}

/// The same code by the same developer under another name is not the TA that the device has bound its valve to.
#[test]
fn an_unauthorised_copy_of_the_valve_ta_moves_nothing() {
    let mut pair = Pair::new();
    let other = [0x52; 16];
    let id = |kind| ComponentId::tamarack("com.acme", other, kind).unwrap();
    pair.publish_valve((id("suit"), id("ta")));
    pair.play(tamarack_agent::Input::RequestTa { component: id("ta"), tam_uri: None });
    let session = session(&mut pair, other).unwrap();
    let refused = command(&mut pair, session, OPEN);
    assert_eq!(refused, Err(Error::Ta(TaError::Returned(TaReturn::ACCESS_DENIED))));
    assert_eq!(pair.valve_position(), b"closed");
}
