//! Each check of section 9 is broken alone, and answered with the draft's code for it.

use tamarack_agent::{AgentConfig, Seed};
use tamarack_crypto::SignatureAlgorithm;
use tamarack_jose::json::{self, Json};
use tamarack_jose::jws::SignHeaders;
use tamarack_model::{Code, codes};
use tamarack_otrp::request::{Changes, Content, DeleteTa, InstallTa};
use tamarack_otrp::response::ResponseBody;
use tamarack_otrp::{ErrorCode, MessageId, hash_text};
use tamarack_suit::author::Payload;
use tamarack_testkit::otrp_pki::OtrpPki;

use crate::otrp_world::*;
use crate::world::*;

/// Something that is no message of a known TAM, made of a good GetDeviceStateRequest: nobody answers.
#[track_caller]
fn check_form(change: impl Fn(&Otrp, Vec<u8>) -> Vec<u8>, error: ErrorCode, code: Code) {
    let mut otrp = Otrp::new();
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    let changed = change(&otrp, message.clone());
    otrp.silent(changed, error, code);
    // It was the change.
    let reply = otrp.send_otrp(message);
    otrp.read_state(&reply.bytes);
}

fn json_text(text: &str) -> Json {
    Json::String(text.into())
}

/// Replaces the protected header.
fn protected(otrp: &Otrp, message: &[u8], header: &str) -> Vec<u8> {
    let header = tamarack_jose::base64::encode_url(header.as_bytes());
    otrp.tampered(message, |jws| set(jws, "protected", Some(json_text(&header))))
}

#[test]
fn steps_1_to_4_form_and_algorithm() {
    use ErrorCode::{RequestInvalid, UnsupportedCryptoAlg};
    let malformed = codes::OTRP_MALFORMED;
    check_form(|_, _| vec![b' '; (1 << 20) + 1], RequestInvalid, codes::HTTP_TOO_LARGE);
    check_form(|_, _| Vec::new(), RequestInvalid, malformed);
    check_form(|_, m| m[..m.len() - 1].to_vec(), RequestInvalid, malformed);
    check_form(|_, m| [&m[..], b"x"].concat(), RequestInvalid, malformed);
    check_form(|_, _| b"\xff{}".to_vec(), RequestInvalid, malformed);
    check_form(|_, _| [vec![b'['; 100], vec![b']'; 100]].concat(), RequestInvalid, malformed);
    check_form(
        |_, m| {
            let text = String::from_utf8(m).unwrap();
            let one = &text[1..text.len() - 1];
            format!("{{{one},{one}}}").into_bytes()
        },
        RequestInvalid,
        malformed,
    );
    let renamed = |name: &'static str| {
        move |_: &Otrp, m: Vec<u8>| {
            String::from_utf8(m).unwrap().replace("GetDeviceStateRequest", name).into_bytes()
        }
    };
    check_form(renamed("Unknown"), RequestInvalid, malformed);
    // The name inside is another one.
    check_form(renamed("DeleteSDRequest"), RequestInvalid, malformed);
    check_form(
        |o, m| o.tampered(&m, |jws| set(jws, "signature", None)),
        RequestInvalid,
        codes::JOSE_MALFORMED,
    );
    check_form(|o, m| protected(o, &m, r#"{"alg":"none"}"#), UnsupportedCryptoAlg, codes::JOSE_ALGORITHM);
    check_form(|o, m| protected(o, &m, r#"{"alg":"HS256"}"#), UnsupportedCryptoAlg, codes::JOSE_ALGORITHM);
    check_form(
        |o, m| protected(o, &m, r#"{"alg":"ES256","crit":["b64"],"b64":false}"#),
        RequestInvalid,
        codes::JOSE_HEADER,
    );
}

#[test]
fn step_4_an_algorithm_of_others_is_answered_by_nobody_in_particular() {
    let mut otrp = Otrp::new();
    otrp.drive(tamarack_agent::Input::RequestPolicyCheck);
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    let before = otrp.storage().pairs();
    let mut signatures = Vec::new();
    for alg in ["RS256", "PS256", "ES384", "RS256"] {
        let message = protected(&otrp, &message, &format!(r#"{{"alg":"{alg}"}}"#));
        let reply = otrp.send_otrp(message);
        assert_eq!(refusal(&reply), codes::OTRP_UNSUPPORTED_CRYPTO_ALG);
        let part = otrp.read_part(&reply.bytes);
        assert_eq!((part.rid(), part.tid()), (&request.rid, &request.tid));
        let ResponseBody::Failed { reason, supportedsigalgs } = part.body_unverified() else { panic!() };
        assert_eq!((reason.code, &reason.message), (ErrorCode::UnsupportedCryptoAlg, &None));
        assert_eq!(supportedsigalgs.as_deref(), Some(&["ES256".to_string()][..]));
        let tee =
            tamarack_x509::unvalidated_key(&otrp.world.otrp.as_ref().unwrap().personas[0].chain[0]).unwrap();
        let purpose = tamarack_jose::jws::Purpose::OtrpResponse;
        let tee = tamarack_jose::jws::VerificationKey::of(&tee, purpose).unwrap();
        assert!(part.verify(&tee, &provider()).is_err(), "not by the TEE's key");
        signatures.push(reply.bytes);
    }
    assert_ne!(signatures[0], signatures[3]);
    assert_eq!(otrp.storage().pairs(), before);
    // Not without end.
    otrp.restart_with(AgentConfig { refusals_per_minute: 1, ..AgentConfig::default() });
    otrp.drive(tamarack_agent::Input::RequestPolicyCheck);
    let message = protected(&otrp, &message, r#"{"alg":"RS256"}"#);
    assert!(!otrp.send_otrp(message.clone()).bytes.is_empty());
    assert!(otrp.send_otrp(message).bytes.is_empty());
}

#[test]
fn step_8_a_changed_byte_anywhere() {
    let mut otrp = Otrp::new();
    // Without the root, which the device has itself and does not look at.
    otrp.pki.tams[0].chain.truncate(1);
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    let before = otrp.storage().pairs();
    for at in (0..message.len()).step_by(31) {
        let mut altered = message.clone();
        altered[at] ^= 1;
        let reply = otrp.send_otrp(altered);
        assert!(reply.bytes.is_empty(), "byte {at}");
        assert_eq!(otrp.storage().pairs(), before, "byte {at}");
    }
    check_form(
        |o, m| {
            o.tampered(&m, |jws| {
                let Json::String(text) = member(jws, "signature") else { panic!() };
                let flipped = if text.starts_with('A') { "B" } else { "A" };
                text.replace_range(0..1, flipped);
            })
        },
        ErrorCode::RequestInvalid,
        codes::JOSE_SIGNATURE,
    );
}

/// A GetDeviceStateRequest of a good TAM, changed before it was signed: it is told why, by nobody in particular.
#[track_caller]
fn check_state(change: impl FnOnce(&mut Json), error: ErrorCode) {
    let mut otrp = Otrp::new();
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    let changed = otrp.resigned(&message, change);
    let before = otrp.storage().pairs();
    let reply = otrp.send_otrp(changed);
    let part = otrp.read_part(&reply.bytes);
    let ResponseBody::Failed { reason, .. } = part.body_unverified() else { panic!("{part:?}") };
    assert_eq!(reason.code, error, "{reply:?}");
    assert!(matches!(reply.outcome(), Some(tamarack_model::Outcome::Refused(_))));
    assert_eq!(otrp.storage().pairs(), before);
}

#[test]
fn step_9_members_of_get_device_state() {
    use ErrorCode::{RequestInvalid, UnsupportedMsgVersion};
    check_state(|tbs| set(tbs, "ver", Some(json_text("2.0"))), UnsupportedMsgVersion);
    check_state(|tbs| set(tbs, "ver", None), RequestInvalid);
    check_state(|tbs| set(tbs, "ocspdat", None), RequestInvalid);
    check_state(|tbs| set(tbs, "ocspdat", Some(json_text("x"))), RequestInvalid);
    check_state(|tbs| set(tbs, "more", Some(Json::Bool(true))), RequestInvalid);
    // Without an id to repeat there is no answer.
    for name in ["rid", "tid"] {
        check_form(|o, m| o.resigned(&m, |tbs| set(tbs, name, None)), RequestInvalid, codes::OTRP_MALFORMED);
    }
}

#[test]
fn a_tam_that_reads_no_es256_is_told_so() {
    let mut otrp = Otrp::new();
    let mut request = otrp.state_request();
    request.supportedsigalgs = Some(vec!["RS256".into()]);
    let message = otrp.sign_state(&request);
    let before = otrp.digest();
    let reply = otrp.send_otrp(message);
    let part = otrp.read_part(&reply.bytes);
    let ResponseBody::Failed { reason, supportedsigalgs } = part.body_unverified() else { panic!() };
    assert_eq!(reason.code, ErrorCode::UnsupportedCryptoAlg);
    assert_eq!(supportedsigalgs.as_deref(), Some(&[SignatureAlgorithm::Es256.name().to_string()][..]));
    assert_eq!(otrp.digest(), before);
}

#[test]
fn step_3_a_tee_that_distrusts_its_firmware_says_so() {
    let mut otrp = Otrp::new();
    let inner = platform(1, otrp.storage()).with_otrp(1, otrp.world.otrp.clone().unwrap());
    let left = std::rc::Rc::new(std::cell::Cell::new(u32::MAX));
    let failing = crate::power::Failing { inner, left, untrusted: true };
    let mut agent = tamarack_agent::Agent::new(failing, provider(), AgentConfig::default());
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    let before = agent.state_root();
    agent.handle(NOW, tamarack_agent::Input::ProcessOtrpMessage(message)).unwrap();
    let Some(tamarack_agent::Output::Transmit { message, .. }) = agent.poll_output() else { panic!() };
    let part = otrp.read_part(&message);
    let ResponseBody::Failed { reason, .. } = part.body_unverified() else { panic!("{part:?}") };
    assert_eq!(reason.code, ErrorCode::TfwNotTrusted);
    assert_eq!(agent.state_root(), before);
}

/// A CreateSDRequest of a good TAM, changed before it was signed.
#[track_caller]
fn check_command(change: impl FnOnce(&Otrp, &mut Json), error: ErrorCode) -> Code {
    let mut otrp = Otrp::new();
    otrp.state();
    let common = otrp.common();
    let content = Content::CreateSd(otrp.create(SD, SP));
    let request = otrp.seal(&common, &content, None);
    let changed = otrp.resigned(&request, |tbs| change(&otrp, tbs));
    let code = otrp.refused_command(changed, error);
    // It was the change.
    otrp.send_command(request).expect_pass();
    code
}

#[test]
fn steps_9_to_12_clear_members_of_a_command() {
    use ErrorCode::{DevStateMismatch, RequestInvalid, UnsupportedMsgVersion};
    check_command(|_, tbs| set(tbs, "ver", Some(json_text("1.1"))), UnsupportedMsgVersion);
    for name in ["tee", "nextdsi", "dsihash", "content"] {
        let code = check_command(|_, tbs| set(tbs, name, None), RequestInvalid);
        assert_eq!(code, codes::OTRP_MALFORMED, "{name}");
    }
    check_command(|_, tbs| set(tbs, "more", Some(Json::Null)), RequestInvalid);
    check_command(|_, tbs| set(tbs, "encrypted_ta", Some(json::object([]))), RequestInvalid);
    check_command(|_, tbs| set(tbs, "nextdsi", Some(json_text("true"))), RequestInvalid);
    check_command(|_, tbs| set(tbs, "tee", Some(json_text("another TEE"))), RequestInvalid);
    check_command(|_, tbs| set(tbs, "dsihash", Some(json_text("AAAA"))), RequestInvalid);
    let zeros = hash_text(&[0; 32]);
    let code = check_command(|_, tbs| set(tbs, "dsihash", Some(json_text(&zeros))), DevStateMismatch);
    assert_eq!(code, codes::OTRP_DEV_STATE_MISMATCH);
}

#[test]
fn the_hash_may_be_of_the_bare_dsi_and_in_three_texts() {
    for (wrapped, text) in [(true, 0), (false, 0), (true, 1), (false, 2)] {
        let mut otrp = Otrp::new();
        otrp.state();
        let dsi = otrp.dsi.clone().unwrap();
        let hashes = dsi.hashes(&provider());
        let hash = if wrapped { hashes.wrapped } else { hashes.bare };
        let text = match text {
            0 => hash_text(&hash),
            1 => tamarack_jose::base64::encode_url(&hash),
            _ => tamarack_model::Hex(&hash).to_string(),
        };
        let common = otrp.common();
        let content = Content::CreateSd(otrp.create(SD, SP));
        let request = otrp.seal(&common, &content, None);
        let request = otrp.resigned(&request, |tbs| set(tbs, "dsihash", Some(json_text(&text))));
        otrp.send_command(request).expect_pass();
    }
}

#[test]
fn step_13_every_failure_to_decrypt_is_the_same() {
    let mut seen = Vec::new();
    let mut check = |change: &dyn Fn(&Otrp, &mut Json)| {
        let mut otrp = Otrp::new();
        otrp.state();
        let common = otrp.common();
        let content = Content::CreateSd(otrp.create(SD, SP));
        let request = otrp.seal(&common, &content, None);
        let changed = otrp.resigned(&request, |tbs| change(&otrp, member(tbs, "content")));
        let answer = otrp.send_command(changed);
        assert_eq!(answer.error(), ErrorCode::RequestInvalid);
        seen.push((answer.content.unwrap().reason, answer.reply.finished));
    };
    let flip = |json: &mut Json, at: usize| {
        let Json::String(text) = json else { panic!() };
        let flipped = if text.as_bytes()[at] == b'A' { "B" } else { "A" };
        text.replace_range(at..=at, flipped);
    };
    check(&|_, jwe| flip(member(jwe, "tag"), 0));
    check(&|_, jwe| flip(member(jwe, "iv"), 0));
    check(&|_, jwe| flip(member(jwe, "ciphertext"), 5));
    check(&|_, jwe| {
        let Json::Array(recipients) = member(jwe, "recipients") else { panic!() };
        flip(member(&mut recipients[0], "encrypted_key"), 3);
    });
    check(&|otrp, jwe| {
        // To another key.
        let recipient = tamarack_jose::jwe::Recipient::from_spki(&otrp.tam().signer.public_key().to_spki());
        let enc = tamarack_jose::jwe::Enc::A128CbcHs256;
        *jwe = tamarack_jose::jwe::encrypt(b"{}", &recipient.unwrap(), enc, &provider()).unwrap();
    });
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

/// The content of a CreateSDRequest, changed before it was encrypted.
#[track_caller]
fn check_content(change: impl FnOnce(&mut Json), error: ErrorCode) -> Code {
    check_command(
        |otrp, tbs| {
            let create = otrp.create(SD, SP);
            let text = |text: &str| Json::String(text.into());
            let mut content = json::object([
                ("spid", text(&create.spid)),
                ("sdname", text(&create.sdname)),
                ("spcert", text(&tamarack_jose::base64::encode(&create.spcert))),
                ("tamid", text(&create.tamid)),
                ("did", text(&hash_text(&create.did))),
            ]);
            change(&mut content);
            let content = otrp.content(&json::to_vec(&content));
            set(tbs, "content", Some(content));
        },
        error,
    )
}

#[test]
fn steps_14_and_15_content_of_create_sd() {
    use ErrorCode::{RequestInvalid, SpcertInvalid, TamNotAuthorized};
    for name in ["spid", "sdname", "spcert", "tamid", "did"] {
        check_content(|content| set(content, name, None), RequestInvalid);
    }
    check_content(|content| set(content, "more", Some(Json::Null)), RequestInvalid);
    check_content(|content| set(content, "tamid", Some(json_text("1.2.3"))), TamNotAuthorized);
    let other = OtrpPki::new(&provider(), 2).tams[1].name.text().to_owned();
    check_content(|content| set(content, "tamid", Some(json_text(&other))), TamNotAuthorized);
    let zeros = hash_text(&[0; 32]);
    check_content(|content| set(content, "did", Some(json_text(&zeros))), RequestInvalid);
    check_content(|content| set(content, "spcert", Some(json_text("AAAA"))), SpcertInvalid);
    check_content(|content| set(content, "spcert", Some(json_text(""))), SpcertInvalid);
    let long = "x".repeat(65);
    check_content(|content| set(content, "sdname", Some(json_text(&long))), RequestInvalid);
    check_content(|content| set(content, "spid", Some(json_text(&long))), RequestInvalid);
    let reserved = tamarack_agent::DEVICE_DOMAIN;
    check_content(|content| set(content, "sdname", Some(json_text(reserved))), TamNotAuthorized);
    check_command(|otrp, tbs| set(tbs, "content", Some(otrp.content(b"[]"))), RequestInvalid);
    check_command(|otrp, tbs| set(tbs, "content", Some(otrp.content(b"{"))), RequestInvalid);
}

#[test]
fn k5_a_signers_key_has_no_other_purpose() {
    let mut otrp = Otrp::new();
    otrp.state();
    let device = tamarack_testkit::memory_platform::otrp_pkcs8(&provider(), 1, tamarack_tee::Persona(0));
    let device = provider().keys.load_pkcs8(&device).unwrap();
    let certificates = [
        certificate_of(&*otrp.tam().signer),
        certificate_of(&*device),
        certificate_of(&*key(1, "tam")),
        certificate_of(&*key(1, "authority")),
    ];
    for spcert in certificates {
        let content = Content::CreateSd(tamarack_otrp::request::CreateSd { spcert, ..otrp.create(SD, SP) });
        otrp.refused(content, None, ErrorCode::SpcertInvalid);
    }
}

#[test]
fn create_sd_beyond_what_the_anchor_allows() {
    let refused = |change: fn(&mut Seed), error| {
        let pki = OtrpPki::new(&provider(), 2);
        let mut seed = otrp_seed(&pki);
        change(&mut seed);
        let mut otrp = Otrp::with(pki, &seed);
        otrp.state();
        let content = Content::CreateSd(otrp.create(SD, SP));
        otrp.refused(content, None, error);
    };
    refused(|seed| seed.tams[0].domains = 0, ErrorCode::TamNotAuthorized);
    refused(|seed| seed.tams[0].scopes = vec![vec![b"com.globex".to_vec()]], ErrorCode::TamNotAuthorized);
    refused(|seed| seed.tams[0].scopes = vec![wallet("ta").segments().to_vec()], ErrorCode::TamNotAuthorized);
    let mut otrp = Otrp::with_domain();
    let again = Content::CreateSd(otrp.create(SD, SP));
    otrp.refused(again, None, ErrorCode::SdAlreadyExists);
    let other = Content::CreateSd(otrp.create(SD, "other"));
    otrp.refused(other, None, ErrorCode::SdAlreadyExists);
    for number in 2..=4 {
        otrp.create_sd(&format!("domain {number}"), SP).expect_pass();
    }
    let fifth = Content::CreateSd(otrp.create("domain 5", SP));
    otrp.refused(fifth, None, ErrorCode::TeeResourceFull);
}

#[test]
fn update_sd_and_delete_sd() {
    let mut otrp = Otrp::with_domain();
    otrp.create_sd("second", SP).expect_pass();
    let changes = |change: fn(&mut Changes)| {
        let mut changes = Changes::default();
        change(&mut changes);
        changes
    };
    let mut check = |changes: Changes, error| {
        let content = otrp.update_of(changes);
        otrp.refused(content, None, error);
    };
    check(changes(|c| c.newsdname = Some("second".into())), ErrorCode::SdnameAlreadyUsed);
    check(changes(|c| c.newsdname = Some("x".repeat(65))), ErrorCode::RequestInvalid);
    check(changes(|c| c.spcert = vec![vec![1, 2, 3]]), ErrorCode::SpcertInvalid);
    check(changes(|c| c.deloldspcert = vec![[0; 32]]), ErrorCode::SpcertInvalid);
    check(changes(|c| c.newspid = Some("globex".into())), ErrorCode::RequestInvalid);
    // All or nothing: what could be done is not done either.
    check(
        changes(|c| {
            c.newsdname = Some("third".into());
            c.deloldspcert = vec![[0; 32]];
        }),
        ErrorCode::SpcertInvalid,
    );
    let nowhere = |content: Content| match content {
        Content::UpdateSd(mut content) => {
            content.sdname = "nowhere".into();
            Content::UpdateSd(content)
        }
        _ => unreachable!(),
    };
    let content = nowhere(otrp.update_of(Changes::default()));
    otrp.refused(content, None, ErrorCode::SdNotFound);
    let content = match otrp.update_of(Changes::default()) {
        Content::UpdateSd(mut content) => {
            content.spid = Some("globex".into());
            Content::UpdateSd(content)
        }
        _ => unreachable!(),
    };
    otrp.refused(content, None, ErrorCode::SdNotFound);
    let content = otrp.delete_of("nowhere", true);
    otrp.refused(content, None, ErrorCode::SdNotFound);
    otrp.install_ta(wallet_envelope(1)).expect_pass();
    let content = otrp.delete_of(SD, false);
    otrp.refused(content, None, ErrorCode::SdNotEmpty);
}

#[test]
fn install_ta_update_ta_and_delete_ta() {
    use ErrorCode::{RequestInvalid, SdNotFound, TaAlreadyInstalled, TaInvalid, TaNotFound, TeeResourceFull};
    let mut otrp = Otrp::with_domain();
    let other = |kind| id(SD, [0x33; 16], kind);
    let mut check = |content: InstallTa, ta: Vec<u8>, pdata: Option<&[u8]>, error| {
        let package = otrp.package(Some(ta), pdata);
        otrp.refused(Content::InstallTa(content), Some(&package), error)
    };
    let good = Otrp::with_domain().wallet_of();
    let with = |change: fn(&mut InstallTa)| {
        let mut content = good.clone();
        change(&mut content);
        content
    };
    check(with(|c| c.sdname = "nowhere".into()), wallet_envelope(1), None, SdNotFound);
    check(with(|c| c.spid = "globex".into()), wallet_envelope(1), None, TaInvalid);
    check(with(|c| c.taid = "x".repeat(65)), wallet_envelope(1), None, RequestInvalid);
    check(with(|c| c.taid = "sixteen bytes xx".into()), wallet_envelope(1), None, RequestInvalid);
    check(with(|c| c.tamid = "1.2.3".into()), wallet_envelope(1), None, ErrorCode::TamNotAuthorized);
    check(with(|c| c.spcert = Some(vec![1])), wallet_envelope(1), None, ErrorCode::SpcertInvalid);
    // What is inside is no TA, or another one, or more than one.
    check(good.clone(), b"not a TA".to_vec(), None, TaInvalid);
    check(good.clone(), envelope(1, &other("suit"), &other("ta"), 1, b"x"), None, TaInvalid);
    check(good.clone(), envelope(1, &wallet("suit"), &other("ta"), 1, b"x"), None, TaInvalid);
    // Somebody else signed it, or it was changed afterwards.
    let code = check(good.clone(), envelope(2, &wallet("suit"), &wallet("ta"), 1, b"x"), None, TaInvalid);
    assert_eq!(code, codes::SUIT_UNAUTHENTICATED);
    let mut altered = wallet_envelope(1);
    let end = altered.len() - 1;
    altered[end] ^= 1;
    check(good.clone(), altered, None, TaInvalid);
    // Too large for the domain, or for one object.
    let large = envelope(1, &wallet("suit"), &wallet("ta"), 1, &[1; (1 << 16) + 1]);
    check(good.clone(), large, None, TeeResourceFull);
    check(good.clone(), wallet_envelope(1), Some(&[1; (64 << 10) + 1]), TeeResourceFull);
    let package = otrp.package(Some(wallet_envelope(1)), None);
    otrp.refused(Content::UpdateTa(good.clone()), Some(&package), TaNotFound);
    let content = otrp.delete_wallet();
    otrp.refused(content, None, TaNotFound);

    otrp.install_ta(wallet_envelope(5)).expect_pass();
    let package = otrp.package(Some(wallet_envelope(6)), None);
    otrp.refused(Content::InstallTa(good.clone()), Some(&package), TaAlreadyInstalled);
    let content = DeleteTa { tamid: good.tamid.clone(), sdname: "nowhere".into(), taid: good.taid.clone() };
    otrp.refused(Content::DeleteTa(content), None, SdNotFound);
    let content = DeleteTa { tamid: good.tamid, sdname: SD.into(), taid: "unknown".into() };
    otrp.refused(Content::DeleteTa(content), None, TaNotFound);
}

#[test]
fn every_failure_to_decrypt_a_package_is_the_same() {
    let mut otrp = Otrp::with_domain();
    let package = otrp.package(Some(wallet_envelope(1)), None);
    let content = Content::InstallTa(otrp.wallet_of());
    let common = otrp.common();
    let request = otrp.seal(&common, &content, Some(&package));
    let mut seen = Vec::new();
    // To a key that was renewed since, and with each part changed.
    for part in 0..5 {
        let changed = otrp.resigned(&request, |tbs| {
            let Json::String(jwe) = member(member(tbs, "encrypted_ta"), "ciphertadata") else { panic!() };
            let mut parts: Vec<String> = jwe.split('.').map(Into::into).collect();
            let text = &mut parts[part];
            if part == 0 {
                // The ephemeral key of another message.
                let other = otrp.package(Some(wallet_envelope(1)), None);
                let other = otrp.seal(&common, &content, Some(&other));
                let mut header = String::new();
                otrp.resigned(&other, |tbs| {
                    let Json::String(jwe) = member(member(tbs, "encrypted_ta"), "ciphertadata") else {
                        panic!()
                    };
                    header = jwe.split('.').next().unwrap().into();
                });
                *text = header;
            } else {
                let flipped = if text.starts_with('A') { "B" } else { "A" };
                text.replace_range(0..1, flipped);
            }
            *jwe = parts.join(".");
        });
        let answer = otrp.send_command(changed);
        assert_eq!(answer.error(), ErrorCode::TaInvalid, "part {part}");
        seen.push(answer.content.unwrap().reason);
    }
    let package = otrp.package(Some(wallet_envelope(1)), None);
    otrp.update_sd(Changes { renewteespaik: true, ..Changes::default() }).expect_pass();
    let common = otrp.common();
    let request = otrp.seal(&common, &content, Some(&package));
    let answer = otrp.send_command(request);
    assert_eq!(answer.error(), ErrorCode::TaInvalid);
    seen.push(answer.content.unwrap().reason);
    assert!(seen.windows(2).all(|pair| pair[0] == pair[1]), "{seen:?}");
}

#[test]
fn a_draft_package_installs_too() {
    use tamarack_jose::jwk::KeyUse;
    use tamarack_otrp::ta_package::{self, Protection, TaPackage};
    let mut otrp = Otrp::with_domain();
    let key = otrp.aik(SP, KeyUse::Encryption);
    let recipient = tamarack_jose::jwe::Recipient::from_jwk(&key).unwrap();
    let package = TaPackage { ta: Some(wallet_envelope(1)), pdata: None };
    let package = ta_package::seal(&package, &recipient, Protection::AesCbc, &provider()).unwrap();
    let content = Content::InstallTa(otrp.wallet_of());
    otrp.command(content, Some(&package)).expect_pass();
    assert_eq!(otrp.count(), 1);
}

#[test]
fn a_refused_command_leaves_the_session_as_it_was() {
    let mut otrp = Otrp::with_domain();
    let payload = Payload::integrated("#ta", b"x".to_vec(), &provider());
    let foreign = sign_manifest(2, builder(&wallet("suit"), &wallet("ta"), 1, payload));
    for _ in 0..3 {
        let package = otrp.package(Some(foreign.clone()), None);
        let content = Content::InstallTa(otrp.wallet_of());
        otrp.refused(content, Some(&package), ErrorCode::TaInvalid);
    }
    otrp.install_ta(wallet_envelope(1)).expect_pass();
}

#[test]
fn hostile_sizes() {
    let limits = tamarack_otrp::Limits { message: 1 << 14, ta_message: 1 << 16, ..Default::default() };
    let mut otrp = Otrp::with_domain();
    otrp.restart_with(AgentConfig { otrp: limits, ..AgentConfig::default() });
    otrp.state();
    let package = otrp.package(Some(vec![7; 1 << 16]), None);
    let common = otrp.common();
    let request = otrp.seal(&common, &Content::InstallTa(otrp.wallet_of()), Some(&package));
    otrp.silent(request, ErrorCode::RequestInvalid, codes::HTTP_TOO_LARGE);
    // A command without a TA has less room.
    let long = [b"{\"CreateSDRequest\":\"", &[b'x'; 1 << 15][..], b"\"}"].concat();
    otrp.silent(long, ErrorCode::RequestInvalid, codes::HTTP_TOO_LARGE);
    let certificates = vec![otrp.tam().chain[0].clone(); 9];
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    let headers = SignHeaders { x5c: &certificates, ..SignHeaders::chain(&certificates, &provider()) };
    let message = otrp.resigned_with(&message, &headers, |_| ());
    let reply = otrp.send_otrp(message);
    assert!(reply.bytes.is_empty());
    let mut request = otrp.state_request();
    request.ocspdat = vec![vec![1; 10]; 65];
    let message = otrp.sign_state(&request);
    let reply = otrp.send_otrp(message);
    assert!(matches!(otrp.read_part(&reply.bytes).body_unverified(), ResponseBody::Failed { .. }));
    let long = MessageId::new(&"x".repeat(128)).unwrap();
    let mut request = otrp.state_request();
    (request.tid, otrp.tid) = (long.clone(), long);
    let message = otrp.sign_state(&request);
    let reply = otrp.send_otrp(message);
    let dsi = otrp.read_state(&reply.bytes);
    assert!(dsi.tfwdata.is_none() && dsi.tee.eat.is_none(), "neither fits so long a tid");
    otrp.install_ta(wallet_envelope(1)).expect_pass();
}
