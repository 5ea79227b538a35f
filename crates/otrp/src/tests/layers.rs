//! The outer layers: names, versions, signatures, sizes.

use alloc::vec::Vec;

use tamarack_jose::{self as jose, Json, json, jws};

use super::{Party, authentic, common, id, provider, signed};
use crate::member::single;
use crate::request::{self, Content, DeleteTa, GetDeviceState};
use crate::response::{self, Incoming};
use crate::{Command, Error, ErrorCode, Limits, Mode, SignedRequest};

fn request(tam: &Party) -> Vec<u8> {
    GetDeviceState { rid: id("r"), tid: id("t"), ocspdat: Vec::new(), supportedsigalgs: None }
        .sign(tam.signer(), &jws::SignHeaders::default())
        .unwrap()
}

fn delete_ta(tam: &Party, tee: &Party) -> Vec<u8> {
    let provider = provider();
    let content = Content::DeleteTa(DeleteTa { tamid: "a".into(), sdname: "b".into(), taid: "c".into() });
    request::seal(&common(), &content, None, None, &tam.seals_to(tee, true, &provider)).unwrap()
}

fn parse(message: &[u8]) -> Result<SignedRequest, Error> {
    SignedRequest::parse(message, &Mode::Strict, &Limits::default())
}

#[test]
fn the_outer_object_has_one_known_name() {
    let unknown = |name: &str| Some(Error::UnknownMessage(name.into()));
    let cases = [
        ("[]", unknown("")),
        ("{}", unknown("")),
        ("\"GetDeviceStateRequest\"", unknown("")),
        (r#"{"CreateSDResponse":{}}"#, unknown("CreateSDResponse")),
        (r#"{"CreateSDTBSRequest":{}}"#, unknown("CreateSDTBSRequest")),
        (r#"{"createsdrequest":{}}"#, unknown("createsdrequest")),
        (r#"{"CreateSDRequest":{},"DeleteSDRequest":{}}"#, unknown("CreateSDRequest")),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text.as_bytes()).err(), expected, "{text}");
    }
    assert!(matches!(parse(b"{\"a\":1").err(), Some(Error::Json(_))));
    assert!(matches!(parse(br#"{"CreateSDRequest":{},"CreateSDRequest":{}}"#).err(), Some(Error::Json(_))));
}

#[test]
fn the_inner_name_must_belong_to_the_outer_one() {
    let (tam, tee) = (Party::new(), Party::new());
    let renamed = |from: &str, to: &str| {
        let text = alloc::string::String::from_utf8(delete_ta(&tam, &tee)).unwrap();
        text.replacen(from, to, 1).into_bytes()
    };
    assert_eq!(
        parse(&renamed("DeleteTARequest", "DeleteSDRequest")).err(),
        Some(Error::NameMismatch { outer: "DeleteSDRequest", inner: "DeleteTATBSRequest".into() })
    );
    assert_eq!(parse(&renamed("DeleteTARequest", "DeleteTARequest")).err(), None);
    let provider = provider();
    let failed = response::Content::new([0; 32]);
    let response =
        response::seal(Command::CreateSd, &id("r"), &id("t"), &failed, &tee.seals_to(&tam, false, &provider))
            .unwrap();
    let text = alloc::string::String::from_utf8(response).unwrap().replacen("CreateSD", "DeleteSD", 1);
    assert_eq!(
        response::parse(text.as_bytes(), &Mode::Strict, &Limits::default()).err(),
        Some(Error::NameMismatch { outer: "DeleteSDResponse", inner: "CreateSDTBSResponse".into() })
    );
}

#[test]
fn another_version_has_its_own_error() {
    let tam = Party::new();
    let tbs = json::object([("ver", "2.0".into())]);
    let error = authentic(&signed(&tam, Command::CreateSd, tbs), &tam, Mode::Compat).unwrap().read().err();
    assert_eq!(error, Some(Error::Version("2.0".into())));
    assert_eq!(error.unwrap().wire(), ErrorCode::UnsupportedMsgVersion);
}

#[test]
fn another_key_or_purpose_does_not_verify() {
    let (provider, tam, other) = (provider(), Party::new(), Party::new());
    let error = authentic(&request(&tam), &other, Mode::Strict).err();
    assert_eq!(error, Some(Error::Jose(jose::Error::NotAuthentic)));
    assert_eq!(error.unwrap().wire(), ErrorCode::RequestInvalid);
    let verified = parse(&request(&tam)).unwrap().verify(&tam.key(jws::Purpose::OtrpResponse), &provider);
    assert_eq!(verified.err(), Some(Error::Jose(jose::Error::Purpose)));
}

#[test]
fn an_algorithm_that_is_not_there_has_its_own_error() {
    for alg in ["none", "HS256", "RS512", "ES256K"] {
        let protected = jose::base64::encode_url(&json::to_vec(&json::object([("alg", alg.into())])));
        let jws = json::object([
            ("payload", "e30".into()),
            ("protected", protected.into()),
            ("signature", "AAAA".into()),
        ]);
        let error = parse(&json::to_vec(&single("CreateSDRequest", jws))).err().unwrap();
        assert_eq!(error, Error::Jose(jose::Error::Algorithm(alg.into())));
        assert_eq!(error.wire(), ErrorCode::UnsupportedCryptoAlg);
    }
}

#[test]
fn rsa1_5_is_refused_by_name() {
    let (tam, tee) = (Party::new(), Party::new());
    let json = json::parse(&delete_ta(&tam, &tee), &json::Limits::default()).unwrap();
    let jws = jws::Unverified::parse(json.get("DeleteTARequest").unwrap(), Mode::Strict).unwrap();
    let text = core::str::from_utf8(jws.payload_unverified()).unwrap().replace("ECDH-ES+A128KW", "RSA1_5");
    let payload = json::parse(text.as_bytes(), &json::Limits::default()).unwrap();
    let message = signed(&tam, Command::DeleteTa, payload.get("DeleteTATBSRequest").unwrap().clone());
    for mode in [Mode::Strict, Mode::Compat] {
        let error = authentic(&message, &tam, mode).unwrap().read().err().unwrap();
        assert_eq!(error, Error::Jose(jose::Error::Rsa1_5Refused));
        assert_eq!(error.wire(), ErrorCode::UnsupportedCryptoAlg);
        assert_eq!(error.code(), tamarack_model::codes::JOSE_RSA1_5);
    }
}

#[test]
fn x5t_that_names_another_certificate_is_seen() {
    let (provider, tam) = (provider(), Party::new());
    let chain = tam.chain.clone();
    let headers = |x5t_s256| jws::SignHeaders { x5c: &chain, x5t_s256, signer: None };
    let message = |headers: &jws::SignHeaders<'_>| {
        GetDeviceState { rid: id("r"), tid: id("t"), ocspdat: Vec::new(), supportedsigalgs: None }
            .sign(tam.signer(), headers)
            .unwrap()
    };
    let names = |message: &[u8]| parse(message).unwrap().names_leaf(&provider);
    assert_eq!(names(&message(&headers(None))), None);
    assert_eq!(names(&message(&headers(Some(provider.sha256(b"leaf"))))), Some(true));
    assert_eq!(names(&message(&headers(Some(provider.sha256(b"ca"))))), Some(false));
    let no_chain = jws::SignHeaders { x5c: &[], x5t_s256: Some(provider.sha256(b"leaf")), signer: None };
    assert_eq!(names(&message(&no_chain)), Some(false));
}

#[test]
fn sizes_have_limits() {
    let (provider, tam, tee) = (provider(), Party::new(), Party::new());
    let limits = Limits { message: 3000, ta_message: 20_000, ..Limits::default() };
    let parse = |message: &[u8]| SignedRequest::parse(message, &Mode::Strict, &limits).map(drop);
    let padded = |size: usize| {
        let ocspdat = Vec::from([alloc::vec![0; size]]);
        GetDeviceState { rid: id("r"), tid: id("t"), ocspdat, supportedsigalgs: None }
            .sign(tam.signer(), &jws::SignHeaders::default())
            .unwrap()
    };
    assert_eq!(parse(&padded(100)), Ok(()));
    assert_eq!(parse(&padded(3000)), Err(Error::TooLarge(3000)));
    assert_eq!(parse(&padded(20_000)), Err(Error::TooLarge(20_000)));
    let install = |size: usize| {
        let package = crate::ta_package::TaPackage { ta: Some(alloc::vec![0; size]), pdata: None };
        let protection = crate::ta_package::Protection::A256Gcm;
        let ta = crate::ta_package::seal(&package, &tee.recipient, protection, &provider).unwrap();
        let content = Content::InstallTa(request::InstallTa {
            tamid: "a".into(),
            spid: "b".into(),
            sdname: "c".into(),
            spcert: None,
            taid: "d".into(),
        });
        request::seal(&common(), &content, None, Some(&ta), &tam.seals_to(&tee, true, &provider)).unwrap()
    };
    assert_eq!(parse(&install(5000)), Ok(()));
    assert_eq!(parse(&install(20_000)), Err(Error::TooLarge(20_000)));
    // What is not the TA has no more room than in another message.
    let text = alloc::string::String::from_utf8(install(100)).unwrap();
    let json = json::parse(text.as_bytes(), &json::Limits::default()).unwrap();
    let jws = jws::Unverified::parse(json.get("InstallTARequest").unwrap(), Mode::Strict).unwrap();
    let payload = json::parse(jws.payload_unverified(), &json::Limits::default()).unwrap();
    let Json::Object(mut members) = payload.get("InstallTATBSRequest").unwrap().clone() else {
        panic!("an object")
    };
    let certificate = jose::base64::encode(&[0; 4000]);
    members.push(("ocspdat".into(), json::array([certificate])));
    let message = signed(&tam, Command::InstallTa, Json::Object(members));
    let parsed = SignedRequest::parse(&message, &Mode::Strict, &limits).unwrap();
    let parsed = parsed.verify(&tam.key(jws::Purpose::OtrpRequest), &provider).unwrap();
    assert_eq!(parsed.read().map(drop), Err(Error::TooLarge(3000)));
    // Only what says at its front that it carries a TA may be longer.
    let text = alloc::string::String::from_utf8(install(5000)).unwrap();
    let renamed = text.replacen("InstallTARequest", "DeleteTARequest", 1);
    assert_eq!(parse(renamed.as_bytes()), Err(Error::TooLarge(3000)));
    assert_eq!(response::parse(&padded(3000), &Mode::Strict, &limits).err(), Some(Error::TooLarge(3000)));
}

#[test]
fn nesting_has_a_limit() {
    let deep = [alloc::vec![b'['; 17], alloc::vec![b']'; 17]].concat();
    let message = [&br#"{"CreateSDRequest":"#[..], &deep, b"}"].concat();
    assert!(matches!(parse(&message).err(), Some(Error::Json(error)) if error.is_limit()));
}

#[test]
fn r10_repeats_are_known_by_the_signing_input() {
    let (provider, tam) = (provider(), Party::new());
    let message = request(&tam);
    let hash = |message: &[u8]| parse(message).unwrap().signing_input_hash(&provider);
    // Neither another unprotected header nor another signature makes it another request.
    let text = alloc::string::String::from_utf8(message.clone()).unwrap();
    let headed = text.replacen("\"signature\"", "\"header\":{\"kid\":\"x\"},\"signature\"", 1);
    assert_eq!(hash(headed.as_bytes()), hash(&message));
    let at = text.rfind(':').unwrap() + 2;
    let signed_anew = alloc::format!("{}AAAA{}", &text[..at], &text[at + 4..]);
    assert_eq!(hash(signed_anew.as_bytes()), hash(&message));
    let other = GetDeviceState { rid: id("r2"), tid: id("t"), ocspdat: Vec::new(), supportedsigalgs: None }
        .sign(tam.signer(), &jws::SignHeaders::default())
        .unwrap();
    assert_ne!(hash(&other), hash(&message));
}

#[test]
fn responses_may_say_more_than_the_draft_knows() {
    let (provider, tee) = (provider(), Party::new());
    let reason = json::object([("error-code", "ERR_TEE_FAIL".into()), ("more", true.into())]);
    let tbs = json::object([
        ("ver", "1.0".into()),
        ("status", "fail".into()),
        ("rid", "r".into()),
        ("tid", "t".into()),
        ("reason", reason),
        ("undefined", Json::Array(Vec::new())),
    ]);
    let command = Command::DeleteSd;
    let headers = jws::SignHeaders::default();
    let message =
        crate::seal::sign_named(command.response(), command.tbs_response(), tbs, tee.signer(), &headers)
            .unwrap();
    let Incoming::Response(parsed) = response::parse(&message, &Mode::Strict, &Limits::default()).unwrap()
    else {
        panic!("a response");
    };
    assert!(parsed.verify(&tee.key(jws::Purpose::OtrpResponse), &provider).is_ok());
}

#[test]
fn one_bad_part_of_a_device_does_not_spoil_the_others() {
    let (provider, tam, tee) = (provider(), Party::new(), Party::new());
    let dsi = super::full_dsi(tee.jwk()).serialize();
    let good = response::device_state(&id("r"), &id("t"), false, &dsi, &tee.seals_to(&tam, false, &provider))
        .unwrap();
    let good = json::parse(&good, &json::Limits::default()).unwrap();
    let parts = json::array([Json::Null, good, single("CreateSDResponse", Json::Null)]);
    let message = json::to_vec(&single("GetDeviceStateResponse", parts));
    let Incoming::DeviceStates(states) =
        response::parse(&message, &Mode::Strict, &Limits::default()).unwrap()
    else {
        panic!("states")
    };
    assert_eq!(states.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true, false]);
}

#[test]
fn reasons_are_read_in_either_form() {
    use crate::Reason;
    let (provider, tam, tee) = (provider(), Party::new(), Party::new());
    let object = json::object([("error-code", "ERR_SD_ALREADY_EXIST".into())]);
    let cases: [(Json, ErrorCode, Option<&str>); 6] = [
        (object, ErrorCode::SdAlreadyExists, None),
        ("ERR_TA_NOT_FOUND".into(), ErrorCode::TaNotFound, Some("ERR_TA_NOT_FOUND")),
        (
            "failed: ERR_TA_INVALID (digest)".into(),
            ErrorCode::TaInvalid,
            Some("failed: ERR_TA_INVALID (digest)"),
        ),
        ("out of luck".into(), ErrorCode::TeeFail, Some("out of luck")),
        (json::object([("error-code", "ERR_NEW".into())]), ErrorCode::TeeFail, Some("ERR_NEW")),
        // A TEE cannot speak as a Broker.
        (
            json::object([("error-code", "ERR_AGENT_TEE_BUSY".into())]),
            ErrorCode::TeeFail,
            Some("ERR_AGENT_TEE_BUSY"),
        ),
    ];
    for (json, code, message) in cases {
        let content =
            json::object([("did", jose::base64::encode(&[1; 32]).into()), ("reason", json.clone())]);
        let sealing = tee.seals_to(&tam, false, &provider);
        let tbs = json::object([
            ("ver", "1.0".into()),
            ("status", "fail".into()),
            ("rid", "r".into()),
            ("tid", "t".into()),
            ("content", sealing.encrypt(&json::to_vec(&content)).unwrap()),
        ]);
        let command = Command::InstallTa;
        let message_text = sealing.sign(command.response(), command.tbs_response(), tbs).unwrap();
        let Incoming::Response(parsed) =
            response::parse(&message_text, &Mode::Strict, &Limits::default()).unwrap()
        else {
            panic!("a response")
        };
        let mut parsed = parsed.verify(&tee.key(jws::Purpose::OtrpResponse), &provider).unwrap();
        let content = parsed.open(tam.decrypt(), &provider).unwrap().unwrap();
        assert_eq!(content.reason, Some(Reason { code, message: message.map(Into::into) }), "{json}");
    }
}
