//! Every member of every request: missing, mistyped, and one too many (section 9.1.6).

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use tamarack_jose::{Json, json, jws};

use super::{Party, authentic, common, provider, signed};
use crate::member::Context;
use crate::request::{
    self, Changes, Content, CreateSd, DeleteSd, DeleteTa, GetDeviceState, InstallTa, UpdateSd,
};
use crate::ta_package::{Protection, TaPackage};
use crate::{Command, Error, ErrorCode, Limits, Mode, Request, SignedRequest, Tolerance};

/// One of each content, with every optional member.
fn contents() -> [Content; 6] {
    let install = InstallTa {
        tamid: "tam".into(),
        spid: "sp".into(),
        sdname: "sd".into(),
        spcert: Some(Vec::from([1])),
        taid: "ta".into(),
    };
    let changes = Changes {
        newsdname: Some("sd2".into()),
        newspid: Some("sp2".into()),
        spcert: Vec::from([Vec::from([1])]),
        deloldspcert: Vec::from([[2; 32]]),
        renewteespaik: true,
    };
    [
        Content::CreateSd(CreateSd {
            spid: "sp".into(),
            sdname: "sd".into(),
            spcert: Vec::from([1]),
            tamid: "tam".into(),
            did: [3; 32],
        }),
        Content::UpdateSd(UpdateSd {
            tamid: "tam".into(),
            spid: Some("sp".into()),
            sdname: "sd".into(),
            changes,
        }),
        Content::DeleteSd(DeleteSd { tamid: "tam".into(), sdname: "sd".into(), deleteta: true }),
        Content::InstallTa(install.clone()),
        Content::UpdateTa(install),
        Content::DeleteTa(DeleteTa { tamid: "tam".into(), sdname: "sd".into(), taid: "ta".into() }),
    ]
}

/// The clear members of a message of each command, with every optional one.
fn clear(tam: &Party, command: Command) -> Json {
    let provider = provider();
    let message = match contents().into_iter().find(|content| content.command() == command) {
        None => GetDeviceState {
            rid: common().rid,
            tid: common().tid,
            ocspdat: Vec::from([Vec::from([1])]),
            supportedsigalgs: Some(Vec::from(["ES256".to_owned()])),
        }
        .sign(tam.signer(), &jws::SignHeaders::default())
        .unwrap(),
        Some(content) => {
            let package = TaPackage { ta: Some(Vec::from([1])), pdata: Some(Vec::from([2])) };
            let ta =
                crate::ta_package::seal(&package, &tam.recipient, Protection::A256Gcm, &provider).unwrap();
            let ta = command.carries_ta().then_some(&ta);
            let sealing = tam.seals_to(tam, false, &provider);
            request::seal(&common(), &content, Some(&[Vec::from([1])]), ta, &sealing).unwrap()
        }
    };
    payload(&message)
}

/// The object inside the payload of a message.
fn payload(message: &[u8]) -> Json {
    let json = json::parse(message, &json::Limits::default()).unwrap();
    let jws = jws::Unverified::parse(&json.as_object().unwrap()[0].1, Mode::Strict).unwrap();
    let json = json::parse(jws.payload_unverified(), &json::Limits::default()).unwrap();
    json.as_object().unwrap()[0].1.clone()
}

fn paths(json: &Json, parent: &str, into: &mut Vec<String>) {
    for (name, value) in json.as_object().unwrap_or_default() {
        let path = if parent.is_empty() { name.clone() } else { format!("{parent}.{name}") };
        // What is inside a JWE is tamarack-jose's.
        if name != "content" && name != "edsi" {
            paths(value, &path, into);
        }
        into.push(path);
    }
}

/// Changes the member at `path`; None removes it.
fn with(json: &Json, path: &str, value: Option<Json>) -> Json {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let mut members = json.as_object().unwrap_or_default().to_vec();
    let at = members.iter().position(|(n, _)| n == name);
    match (at, rest, value) {
        (Some(at), Some(rest), value) => members[at].1 = with(&members[at].1, rest, value),
        (Some(at), None, Some(value)) => members[at].1 = value,
        (Some(at), None, None) => drop(members.remove(at)),
        (None, None, Some(value)) => members.push((name.to_owned(), value)),
        (None, _, _) => panic!("no member {path}"),
    }
    Json::Object(members)
}

/// What the draft marks optional, or says "if it is present" about.
const OPTIONAL: &[(Command, &str)] = &[
    (Command::GetDeviceState, "supportedsigalgs"),
    (Command::UpdateSd, "content.changes.newsdname"),
    (Command::UpdateSd, "content.changes.newspid"),
    (Command::UpdateSd, "content.changes.spcert"),
    (Command::UpdateSd, "content.changes.deloldspcert"),
    (Command::UpdateSd, "content.changes.renewteespaik"),
    (Command::DeleteSd, "content.deleteta"),
    (Command::InstallTa, "content.spcert"),
    (Command::InstallTa, "encrypted_ta.cipherpdata"),
    (Command::UpdateTa, "content.spcert"),
    (Command::UpdateTa, "encrypted_ta.ciphernewtadata"),
    (Command::UpdateTa, "encrypted_ta.ciphernewpdata"),
];

fn is_optional(command: Command, path: &str) -> bool {
    // A-16: in every request but the first, where the draft has it.
    (path == "ocspdat" && command != Command::GetDeviceState) || OPTIONAL.contains(&(command, path))
}

/// Walks an object: each member away, each of a wrong type, one too many in each object.
fn walk(command: Command, good: &Json, parent: &str, read: impl Fn(&Json) -> Result<(), Error>) -> usize {
    assert_eq!(read(good), Ok(()), "{command:?}");
    let mut all = Vec::new();
    paths(good, "", &mut all);
    for path in &all {
        let full = if parent.is_empty() { path.clone() } else { format!("{parent}.{path}") };
        let missing = read(&with(good, path, None));
        match is_optional(command, &full) {
            true => assert_eq!(missing, Ok(()), "{command:?} without {full}"),
            false => assert_eq!(missing, Err(Error::Missing(full.clone())), "{command:?}"),
        }
        // Null has no place anywhere; a JWE says for itself what is wrong with it.
        match read(&with(good, path, Some(Json::Null))) {
            Err(Error::Mistyped(wrong)) => assert_eq!(wrong, full, "{command:?}"),
            wrong => assert!(path == "content" && wrong.is_err(), "{command:?} {full}: {wrong:?}"),
        }
    }
    let objects = all.iter().filter(|path| *path != "content" && at(good, path).as_object().is_some());
    for object in objects.map(String::as_str).chain([""]) {
        let path = if object.is_empty() { "extra".to_owned() } else { format!("{object}.extra") };
        let full = if parent.is_empty() { path.clone() } else { format!("{parent}.{path}") };
        let extra = read(&with(good, &path, Some("".into())));
        assert_eq!(extra, Err(Error::Undefined(full)), "{command:?}");
    }
    all.len()
}

fn at<'j>(json: &'j Json, path: &str) -> &'j Json {
    path.split('.').fold(json, |json, name| json.get(name).unwrap())
}

#[test]
fn clear_members_are_all_required_and_no_others_allowed() {
    let tam = Party::new();
    let mut members = 0;
    for command in Command::ALL {
        let read = |tbs: &Json| {
            let message = signed(&tam, command, tbs.clone());
            authentic(&message, &tam, Mode::Strict)?.read().map(drop)
        };
        members += walk(command, &clear(&tam, command), "", read);
    }
    // Five of GetDeviceState; eight of each other; encrypted_ta with three more, twice.
    assert_eq!(members, 5 + 6 * 8 + 2 * 4);
}

#[test]
fn content_members_are_all_required_and_no_others_allowed() {
    let mut members = 0;
    for content in contents() {
        let command = content.command();
        let good = json::parse(&content.to_octets(), &json::Limits::default()).unwrap();
        let read = |json: &Json| {
            let mut cx = Context::new(&Mode::Strict, &Limits::default(), true);
            Content::read(&mut cx, command, json).map(drop)
        };
        members += walk(command, &good, "content", read);
    }
    assert_eq!(members, 5 + 9 + 3 + 5 + 5 + 3);
}

#[test]
fn every_error_about_a_member_is_request_invalid_and_names_it() {
    let errors = [
        (Error::Missing("content.spid".into()), "the member content.spid is missing"),
        (Error::Undefined("content.x".into()), "the member content.x is not defined"),
        (Error::Mistyped("nextdsi".into()), "the member nextdsi has the wrong type, encoding or size"),
    ];
    for (error, text) in errors {
        assert_eq!(error.wire(), ErrorCode::RequestInvalid);
        assert_eq!(format!("{error}"), text);
    }
}

#[test]
fn values_are_checked_for_more_than_their_type() {
    let tam = Party::new();
    let long = "x".repeat(129);
    let cases: [(&str, Json); 12] = [
        ("rid", "".into()),
        ("tid", long.into()),
        ("rid", "a\u{7}b".into()),
        ("rid", 7u64.into()),
        ("tee", "".into()),
        ("tee", "x".repeat(257).into()),
        ("nextdsi", "true".into()),
        ("nextdsi", 1u64.into()),
        ("dsihash", "AAAA".into()),
        // A hash encoded twice, as in samples of the draft.
        ("dsihash", tamarack_jose::base64::encode(&[0xc3; 54]).into()),
        ("ocspdat", "AAAA".into()),
        ("ver", 1u64.into()),
    ];
    let good = clear(&tam, Command::CreateSd);
    for (member, value) in cases {
        let message = signed(&tam, Command::CreateSd, with(&good, member, Some(value)));
        let read = authentic(&message, &tam, Mode::Strict).unwrap().read();
        assert_eq!(read.map(drop), Err(Error::Mistyped(member.into())), "{member}");
    }
    let array = Json::Array(alloc::vec!["AAAA".into(); 65]);
    let message = signed(&tam, Command::CreateSd, with(&good, "ocspdat", Some(array)));
    let read = authentic(&message, &tam, Mode::Strict).unwrap().read();
    assert_eq!(read.map(drop), Err(Error::Mistyped("ocspdat".into())));
}

#[test]
fn what_compat_tolerates_is_recorded_and_refused_in_strict_mode() {
    let tam = Party::new();
    let number: Json = 12u64.into();
    let cases: [(Command, &str, Json, Tolerance); 9] = [
        (Command::CreateSd, "rid", number, Tolerance::NumberAsId),
        (Command::CreateSd, "nextdsi", " false".into(), Tolerance::BooleanAsText),
        (Command::CreateSd, "nextdsi", "1".into(), Tolerance::BooleanAsText),
        (Command::GetDeviceState, "ocspdat", "AAAA".into(), Tolerance::StringAsArray),
        (Command::GetDeviceState, "supportedsigalgs", "RS256".into(), Tolerance::StringAsArray),
        (Command::GetDeviceState, "ocspdat", json::array(["-_8"]), Tolerance::Base64Variant),
        (Command::GetDeviceState, "ocspdat", json::array(["+/8"]), Tolerance::Base64Variant),
        (Command::GetDeviceState, "ocspdat", json::array(["-_8="]), Tolerance::Base64Variant),
        (Command::DeleteTa, "content", flattened(&clear(&tam, Command::DeleteTa)), Tolerance::FlattenedJwe),
    ];
    for (command, member, value, tolerance) in cases {
        let message = signed(&tam, command, with(&clear(&tam, command), member, Some(value)));
        let strict = authentic(&message, &tam, Mode::Strict).unwrap().read().map(drop);
        assert!(matches!(&strict, Err(Error::Mistyped(path)) if path.starts_with(member)), "{strict:?}");
        let used = match authentic(&message, &tam, Mode::Compat).unwrap().read().unwrap() {
            Request::GetDeviceState { tolerances, .. } => tolerances,
            Request::Sealed(sealed) => sealed.tolerances().to_vec(),
        };
        assert_eq!(used, [tolerance]);
    }
}

/// The same JWE in the other serialization.
fn flattened(tbs: &Json) -> Json {
    let jwe = tbs.get("content").unwrap();
    let recipient = &jwe.get("recipients").unwrap().as_array().unwrap()[0];
    let mut members = jwe.as_object().unwrap().to_vec();
    members.retain(|(name, _)| name != "recipients");
    members.extend_from_slice(recipient.as_object().unwrap());
    Json::Object(members)
}

#[test]
fn certificates_in_other_forms_are_read_in_compat_mode_and_told() {
    let tam = Party::new();
    let message = signed(&tam, Command::GetDeviceState, clear(&tam, Command::GetDeviceState));
    let text = String::from_utf8(message).unwrap();
    for x5c in [r#""AQI=""#, r#"["-_8="]"#, r#"["AQI"]"#] {
        let header = format!(r#""header":{{"x5c":{x5c}}},"signature""#);
        let message = text.replacen("\"signature\"", &header, 1).into_bytes();
        let strict = SignedRequest::parse(&message, &Mode::Strict, &Limits::default());
        assert_eq!(strict.err(), Some(Error::Jose(tamarack_jose::Error::Member("x5c"))), "{x5c}");
        let read = authentic(&message, &tam, Mode::Compat).unwrap().read().unwrap();
        assert!(
            matches!(read, Request::GetDeviceState { tolerances, .. } if tolerances == [Tolerance::CertificateForm])
        );
    }
}

#[test]
fn a_numeric_rid_is_repeated_as_a_number() {
    let tam = Party::new();
    let message =
        signed(&tam, Command::CreateSd, with(&clear(&tam, Command::CreateSd), "rid", Some(12u64.into())));
    let request = authentic(&message, &tam, Mode::Compat).unwrap();
    assert_eq!(request.rid().unwrap().to_json(), 12u64.into());
    assert_eq!(request.rid().unwrap().as_str(), "12");
}

#[test]
fn a_hash_is_read_in_three_encodings_in_any_mode() {
    let tam = Party::new();
    let hash = [0xfb; 32];
    let hex: String = hash.iter().map(|b| format!("{b:02x}")).collect();
    let url = tamarack_jose::base64::encode_url(&hash);
    for (text, used) in [
        (tamarack_jose::base64::encode(&hash), &[][..]),
        (url, &[Tolerance::HashVariant]),
        (hex.to_uppercase(), &[Tolerance::HashVariant]),
    ] {
        let tbs = with(&clear(&tam, Command::CreateSd), "dsihash", Some(text.into()));
        let message = signed(&tam, Command::CreateSd, tbs);
        let Request::Sealed(sealed) = authentic(&message, &tam, Mode::Strict).unwrap().read().unwrap() else {
            panic!("a sealed request");
        };
        assert_eq!(sealed.common().dsihash, hash);
        assert_eq!(sealed.tolerances(), used);
    }
}

#[test]
fn update_sd_without_spid_is_read_in_compat_mode_only() {
    let content = json::object([
        ("tamid", "tam".into()),
        ("sdname", "sd".into()),
        ("changes", json::object([("newsdname", "sd2".into())])),
    ]);
    let read = |mode| {
        let mut cx = Context::new(&mode, &Limits::default(), true);
        Content::read(&mut cx, Command::UpdateSd, &content).map(|content| (content, cx.tolerances))
    };
    assert_eq!(read(Mode::Strict), Err(Error::Missing("content.spid".into())));
    let (content, tolerances) = read(Mode::Compat).unwrap();
    assert!(matches!(content, Content::UpdateSd(UpdateSd { spid: None, .. })));
    assert_eq!(tolerances, [Tolerance::SpidMissing]);
}

#[test]
fn what_cannot_be_repeated_is_not_offered_for_it() {
    let tam = Party::new();
    let message =
        signed(&tam, Command::CreateSd, with(&clear(&tam, Command::CreateSd), "rid", Some("".into())));
    let request = SignedRequest::parse(&message, &Mode::Strict, &Limits::default()).unwrap();
    assert_eq!(request.rid_unverified(), None);
    assert!(request.tid_unverified().is_some());
}

/// What a response may do without.
fn is_optional_in_response(path: &str) -> bool {
    !["ver", "status", "rid", "tid", "signerreq", "edsi", "content", "reason", "reason.error-code", "did"]
        .contains(&path)
}

/// As [`walk`] does, but a member that is not known is skipped, as a TAM does.
fn walk_response(good: &Json, parent: &str, read: impl Fn(&Json) -> Result<(), Error>) -> usize {
    assert_eq!(read(good), Ok(()));
    let mut all = Vec::new();
    paths(good, "", &mut all);
    for path in &all {
        let full = if parent.is_empty() { path.clone() } else { format!("{parent}.{path}") };
        let missing = read(&with(good, path, None));
        match is_optional_in_response(path) {
            true => assert_eq!(missing, Ok(()), "without {full}"),
            false => assert_eq!(missing, Err(Error::Missing(full.clone()))),
        }
        match read(&with(good, path, Some(Json::Null))) {
            Err(Error::Mistyped(wrong)) => assert_eq!(wrong, full),
            wrong => assert!(["edsi", "content"].contains(&&**path) && wrong.is_err(), "{full}: {wrong:?}"),
        }
    }
    assert_eq!(read(&with(good, "extra", Some(Json::Null))), Ok(()));
    all.len()
}

#[test]
fn response_members_are_checked_and_unknown_ones_ignored() {
    use crate::response::{self, Content, Incoming};
    use crate::{MessageId, Reason};
    let (provider, tam, tee) = (provider(), Party::new(), Party::new());
    let sealing = tee.seals_to(&tam, false, &provider);
    let (rid, tid) = (MessageId::new("r").unwrap(), MessageId::new("t").unwrap());
    let dsi = super::full_dsi(tee.jwk()).serialize();
    let algorithms = [tamarack_crypto::SignatureAlgorithm::Es256];
    let reason = Reason { code: ErrorCode::TeeFail, message: Some("why".into()) };
    let failure =
        |command| response::failure(command, &rid, &tid, &reason, Some(&algorithms), tee.signer()).unwrap();
    let mut members = 0;
    for (command, message) in [
        (Command::GetDeviceState, response::device_state(&rid, &tid, true, &dsi, &sealing).unwrap()),
        (Command::GetDeviceState, failure(Command::GetDeviceState)),
        (Command::CreateSd, failure(Command::CreateSd)),
        (
            Command::DeleteTa,
            response::seal(Command::DeleteTa, &rid, &tid, &Content::new([1; 32]), &sealing).unwrap(),
        ),
    ] {
        members += walk_response(&payload(&message), "", |tbs| {
            let headers = jws::SignHeaders::default();
            let (outer, inner) = (command.response(), command.tbs_response());
            let message = crate::seal::sign_named(outer, inner, tbs.clone(), tee.signer(), &headers).unwrap();
            match response::parse(&message, &Mode::Strict, &Limits::default())? {
                Incoming::DeviceStates(mut states) => states.remove(0).map(drop),
                _ => Ok(()),
            }
        });
    }
    assert_eq!(members, 6 + 2 * 8 + 5);

    let content = json::object([
        ("did", tamarack_jose::base64::encode(&[1; 32]).into()),
        ("sdname", "sd".into()),
        ("cert", "AAAA".into()),
        ("teespaik", tamarack_jose::base64::encode(&tee.jwk().to_spki()).into()),
    ]);
    let command = Command::UpdateSd;
    let members = walk_response(&content, "content", |content| {
        let content = sealing.encrypt(&json::to_vec(content)).unwrap();
        let tbs = json::object([
            ("ver", "1.0".into()),
            ("status", "pass".into()),
            ("rid", "r".into()),
            ("tid", "t".into()),
            ("content", content),
        ]);
        let message = sealing.sign(command.response(), command.tbs_response(), tbs).unwrap();
        let Incoming::Response(parsed) = response::parse(&message, &Mode::Strict, &Limits::default())? else {
            panic!("a response")
        };
        let mut parsed = parsed.verify(&tee.key(jws::Purpose::OtrpResponse), &provider)?;
        parsed.open(tam.decrypt(), &provider).map(drop)
    });
    assert_eq!(members, 4);
}
