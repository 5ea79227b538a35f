use alloc::vec::Vec;

use super::{Party, common, id, provider};
use crate::broker::{BrokerError, Target, assemble, target_of};
use crate::request::{self, Content, DeleteTa, GetDeviceState};
use crate::response::{self, Incoming};
use crate::{Command, Error, ErrorCode, Limits, Mode};
use tamarack_jose::jws;

#[test]
fn a_broker_routes_by_the_name_of_the_tee() {
    let (provider, tam, tee) = (provider(), Party::new(), Party::new());
    let content = Content::DeleteTa(DeleteTa { tamid: "a".into(), sdname: "b".into(), taid: "c".into() });
    let message =
        request::seal(&common(), &content, None, None, &tam.seals_to(&tee, true, &provider)).unwrap();
    let target = |command, tee: Option<&str>, rid: &str, tid: &str| Target {
        command,
        tee: tee.map(Into::into),
        rid: Some(rid.into()),
        tid: Some(tid.into()),
    };
    let expected = target(Command::DeleteTa, Some("tee"), "r-1", "t-1");
    assert_eq!(target_of(&message, &Limits::default()), Ok(expected));
    let message = GetDeviceState { rid: id("r"), tid: id("t"), ocspdat: Vec::new(), supportedsigalgs: None }
        .sign(tam.signer(), &jws::SignHeaders::default())
        .unwrap();
    let expected = target(Command::GetDeviceState, None, "r", "t");
    assert_eq!(target_of(&message, &Limits::default()), Ok(expected));
    assert!(target_of(b"{}", &Limits::default()).is_err());
}

#[test]
fn errors_of_a_broker_are_read_in_both_shapes() {
    let error =
        BrokerError { code: ErrorCode::AgentTeeBusy, rid: "r".into(), tid: "t".into(), message: None };
    assert_eq!(BrokerError::parse(&error.to_vec(), &Limits::default()), Ok(error));
    let general = BrokerError::new(ErrorCode::AgentTeeFail);
    assert_eq!(
        general.to_vec(),
        br#"{"OTrPBrokerError":{"ver":"1.0","rid":"","tid":"","errcode":"ERR_AGENT_TEE_FAIL"}}"#
    );
    let cases: [(&[u8], ErrorCode); 4] = [
        (br#"{"OTrPBrokerError":{"errcode":"ERR_AGENT_TEE_UNKNOWN"}}"#, ErrorCode::AgentTeeUnknown),
        (br#"{"status":{"result":"fail","error-code":"ERR_AGENT_TEE_FAIL"}}"#, ErrorCode::AgentTeeFail),
        // Nobody signed it: it cannot say what only a TEE can.
        (br#"{"OTrPBrokerError":{"errcode":"ERR_TAM_NOT_TRUSTED"}}"#, ErrorCode::AgentTeeFail),
        (br#"{"OTrPBrokerError":{"errcode":"?"}}"#, ErrorCode::AgentTeeFail),
    ];
    for (text, code) in cases {
        assert_eq!(BrokerError::parse(text, &Limits::default()).unwrap().code, code);
        let incoming = response::parse(text, &Mode::Strict, &Limits::default());
        assert!(matches!(incoming, Ok(Incoming::BrokerError(error)) if error.code == code));
    }
    assert_eq!(
        BrokerError::parse(br#"{"OTrPBrokerError":{}}"#, &Limits::default()),
        Err(Error::Missing("errcode".into()))
    );
}

#[test]
fn only_device_states_are_assembled() {
    let limits = Limits::default();
    assert_eq!(assemble::<&[u8]>(&[], &limits).unwrap(), br#"{"GetDeviceStateResponse":[]}"#);
    let part = br#"{"GetDeviceTEEStateResponse":{}}"#;
    let whole =
        br#"{"GetDeviceStateResponse":[{"GetDeviceTEEStateResponse":{}},{"GetDeviceTEEStateResponse":{}}]}"#;
    assert_eq!(assemble(&[part, part], &limits).unwrap(), whole);
    let other = br#"{"CreateSDResponse":{}}"#;
    assert_eq!(assemble(&[other], &limits), Err(Error::UnknownMessage("CreateSDResponse".into())));
}
