//! Who a TAM is in OTrP, what its certificate's status does to it, and what others see.

use tamarack_agent::{Agent, AgentConfig, AnchorState, Error, OtrpPrincipal, Principal, Seed, TamAnchor};
use tamarack_jose::jws::SignHeaders;
use tamarack_model::{OwnerId, Protocol, codes};
use tamarack_otrp::request::{Changes, Content, DeleteSd, DeleteTa, InstallTa, UpdateSd};
use tamarack_otrp::ta_information::TaQuery;
use tamarack_otrp::{ErrorCode, MessageId};
use tamarack_pki::{Authority, Validity, certificates_from_pem};
use tamarack_tee::Persona;
use tamarack_testkit::memory_platform::MemoryStorage;
use tamarack_testkit::otrp_pki::{OtrpPki, TestTam};
use tamarack_x509::{Name, NameKind, Role};

use crate::otrp_world::*;
use crate::world::*;

const DAY: u64 = 86_400;

/// A TAM under the root of the first one, but not it.
fn sibling(otrp: &Otrp, name: Name) -> TestTam {
    let authority = &otrp.pki.tams[0].authority;
    let authority = Authority::load(authority.cert_pem(), authority.key_pem()).unwrap();
    TestTam::under(&provider(), authority, name)
}

/// The TAM that speaks is replaced by another; nobody answers it.
#[track_caller]
fn check_tam(make: impl FnOnce(&Otrp) -> TestTam, code: tamarack_model::Code) {
    let mut otrp = Otrp::with_wallet(1);
    otrp.pki.tams[0] = make(&otrp);
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    otrp.silent(message, ErrorCode::TamNotTrusted, code);
    // Nor in the session of the real one.
    let content = otrp.delete_wallet();
    let common = otrp.common();
    let message = otrp.seal(&common, &content, None);
    otrp.silent(message, ErrorCode::TamNotTrusted, code);
    assert_eq!(otrp.count(), 1);
}

#[test]
fn k2_another_name_another_root_or_another_role_is_a_stranger() {
    let oid = |text: &str| Name::RegisteredId(text.into());
    check_tam(|o| sibling(o, oid("1.3.6.1.4.1.61999.2.9")), codes::TAM_NOT_TRUSTED);
    // The text matches, its type does not.
    let same_text = |o: &Otrp| Name::Uri(o.tam().name.text().into());
    check_tam(|o| sibling(o, same_text(o)), codes::X509_NAME);
    check_tam(
        |o| {
            let other = OtrpPki::new(&provider(), 1).tams.remove(0);
            assert_eq!(other.name, o.tam().name);
            other
        },
        codes::X509_PATH,
    );
    let with_chain = |role, validity: Validity| {
        move |o: &Otrp| {
            let mut tam = sibling(o, o.tam().name.clone());
            let key = tam.signer.public_key();
            let pem = tam.authority.issue_named(key, role, &tam.name, "test", validity).unwrap();
            tam.chain[0] = certificates_from_pem(&pem).unwrap().remove(0);
            tam
        }
    };
    let valid = Validity { not_before: NOW - DAY, not_after: NOW + DAY };
    check_tam(with_chain(Role::Tam, valid), codes::X509_USAGE);
    let past = Validity { not_before: NOW - DAY, not_after: NOW - 1 };
    check_tam(with_chain(Role::OtrpTam, past), codes::X509_EXPIRED);
    let future = Validity { not_before: NOW + 60, not_after: NOW + DAY };
    check_tam(with_chain(Role::OtrpTam, future), codes::X509_EXPIRED);
}

#[test]
fn k2_a_renewed_certificate_is_the_same_owner() {
    let mut otrp = Otrp::with_wallet(1);
    otrp.pki.tams[0] = otrp.pki.tams[0].renewed(&provider());
    // In the old session the new certificate is not known.
    let content = otrp.delete_wallet();
    let common = otrp.common();
    let message = otrp.seal(&common, &content, None);
    otrp.silent(message, ErrorCode::TamNotTrusted, codes::OTRP_TAM_NOT_TRUSTED);
    let dsi = otrp.state();
    assert_eq!(dsi.tee.sdlist[0].talist.len(), 1);
    otrp.update_ta(Some(wallet_envelope(2)), None).expect_pass();
}

#[test]
fn k2_a_name_may_be_a_uri() {
    let pki = OtrpPki::new(&provider(), 2);
    let mut seed = otrp_seed(&pki);
    let uri = Name::Uri("https://tam.example".into());
    let authority =
        Authority::load(pki.tams[0].authority.cert_pem(), pki.tams[0].authority.key_pem()).unwrap();
    let tam = TestTam::under(&provider(), authority, uri);
    seed.tams[0].otrp = Some(principal(&tam));
    let mut otrp = Otrp::with(pki, &seed);
    otrp.pki.tams[0] = tam;
    otrp.state();
    otrp.create_sd(SD, SP).expect_pass();
    assert_eq!(otrp.tam().name.kind(), NameKind::Uri);
}

#[test]
fn k3_one_name_under_one_root_is_one_anchor() {
    let pki = OtrpPki::new(&provider(), 2);
    let check = |change: &dyn Fn(&mut Seed), good: bool| {
        let mut seed = otrp_seed(&pki);
        change(&mut seed);
        let mut platform = platform(1, MemoryStorage::default());
        let result = Agent::enrol(&mut platform, &provider(), &seed);
        assert_eq!(result.is_ok(), good, "{result:?}");
        assert!(good || matches!(result, Err(Error::Seed(_))));
    };
    let uri = || Name::Uri(TAM_URI.into());
    let certificate = |root: &[u8]| Principal::Certificate { anchor: root.to_vec(), uri: TAM_URI.into() };
    check(&|_| (), true);
    check(&|seed| seed.tams[1].otrp = seed.tams[0].otrp.clone(), false);
    check(&|seed| seed.tams[0].otrp = None, false);
    check(&|seed| (seed.tams[0].otrp, seed.tams[0].protocol) = (None, Protocol::Teep), true);
    check(&|seed| seed.tams[0].principal = Principal::Keys(Vec::new()), true);
    check(
        &|seed| {
            (seed.tams[0].otrp, seed.tams[0].protocol) = (None, Protocol::Teep);
            seed.tams[0].principal = Principal::Keys(Vec::new());
        },
        false,
    );
    // The binding of both protocols is one anchor with both, and two anchors cannot be the same principal.
    let bound = |seed: &mut Seed, teep: usize, otrp: usize| {
        seed.tams[teep].principal = certificate(pki.tams[0].root());
        let name = uri();
        seed.tams[otrp].otrp = Some(OtrpPrincipal { name, ..principal(&pki.tams[0]) });
    };
    check(&|seed| bound(seed, 0, 0), true);
    check(&|seed| bound(seed, 0, 1), false);
    check(
        &|seed| {
            let name = Name::Dns("tam.example".into());
            seed.tams[0].otrp = Some(OtrpPrincipal { name, ..principal(&pki.tams[0]) });
        },
        false,
    );
}

#[test]
fn k4_a_certificate_must_be_named_in_the_protected_header() {
    let mut otrp = Otrp::new();
    let request = otrp.state_request();
    let tam = &otrp.pki.tams[0];
    let signed = |headers: &SignHeaders<'_>| {
        request.sign(tamarack_jose::jws::Signer::Es256(&*tam.signer), headers).unwrap()
    };
    let plain = signed(&SignHeaders { x5c: &tam.chain, ..SignHeaders::default() });
    let other =
        signed(&SignHeaders { x5t_s256: Some([1; 32]), ..SignHeaders::chain(&tam.chain, &provider()) });
    // Another certificate of the same key, with another name: it is not the one that was signed for.
    let pem = tam.authority.issue_named(
        tam.signer.public_key(),
        Role::OtrpTam,
        &Name::RegisteredId("1.3.6.1.4.1.61999.2.7".into()),
        "test",
        Validity { not_before: NOW - DAY, not_after: NOW + DAY },
    );
    let swapped = [certificates_from_pem(&pem.unwrap()).unwrap().remove(0), tam.chain[1].clone()];
    let swapped = signed(&SignHeaders {
        x5t_s256: Some(provider().sha256(&tam.chain[0])),
        ..SignHeaders::chain(&swapped, &provider())
    });
    let nothing = signed(&SignHeaders::default());
    otrp.silent(plain.clone(), ErrorCode::TamNotTrusted, codes::JOSE_HEADER);
    otrp.silent(other.clone(), ErrorCode::TamNotTrusted, codes::JOSE_HEADER);
    otrp.silent(swapped, ErrorCode::TamNotTrusted, codes::TAM_NOT_TRUSTED);
    otrp.silent(nothing, ErrorCode::TamNotTrusted, codes::OTRP_TAM_NOT_TRUSTED);

    // The draft's plain form is for anchors that allow it; what is there must be right even so.
    let tid = otrp.tid.clone();
    let mut seed = otrp_seed(&otrp.pki);
    seed.tams[0].otrp.as_mut().unwrap().draft = true;
    let mut draft = Otrp::with(otrp.pki, &seed);
    draft.tid = tid;
    draft.silent(other, ErrorCode::TamNotTrusted, codes::JOSE_HEADER);
    let reply = draft.send_otrp(plain);
    draft.read_state(&reply.bytes);
    draft.create_sd(SD, SP).expect_pass();
}

#[test]
fn a_draft_anchor_reads_the_draft_s_looser_forms_and_a_hardened_one_does_not() {
    use tamarack_jose::json::Json;
    let loosened = |otrp: &mut Otrp| {
        let request = otrp.state_request();
        let message = otrp.sign_state(&request);
        otrp.resigned(&message, |tbs| {
            let Json::Array(staple) = member(tbs, "ocspdat").clone() else { panic!() };
            set(tbs, "ocspdat", Some(staple[0].clone()));
        })
    };
    let pki = OtrpPki::new(&provider(), 2);
    let mut seed = otrp_seed(&pki);
    seed.tams[0].otrp.as_mut().unwrap().draft = true;
    let mut otrp = Otrp::with(pki, &seed);
    let message = loosened(&mut otrp);
    let reply = otrp.send_otrp(message);
    otrp.read_state(&reply.bytes);
    // The other anchor of the same device is hardened.
    otrp.tam = 1;
    let message = loosened(&mut otrp);
    let reply = otrp.send_otrp(message);
    let part = otrp.read_part(&reply.bytes);
    assert!(matches!(part.body_unverified(), tamarack_otrp::ResponseBody::Failed { .. }));
}

#[test]
fn step_7_the_status_of_the_certificate() {
    let check = |staple: &dyn Fn(&Otrp) -> Vec<Vec<u8>>, code| {
        let mut otrp = Otrp::with_wallet(1);
        otrp.staple = Some(staple(&otrp));
        let request = otrp.state_request();
        let message = otrp.sign_state(&request);
        otrp.silent(message, ErrorCode::TamNotTrusted, code);
    };
    check(&|_| Vec::new(), codes::OCSP_MISSING);
    check(&|o| o.pki.tams[1].staple(NOW), codes::OCSP_MISSING);
    check(&|o| o.tam().revoked_staple(NOW), codes::X509_REVOKED);
    check(&|o| [o.tam().staple(NOW), o.tam().revoked_staple(NOW)].concat(), codes::X509_REVOKED);
    check(&|o| o.tam().staple(NOW - 2 * DAY), codes::OCSP_STALE);
    check(&|o| o.tam().staple(NOW + DAY), codes::OCSP_STALE);
    check(&|_| vec![vec![1, 2, 3]], codes::OCSP_MALFORMED);
    check(
        &|o| {
            // Somebody else's root of the same name says so.
            let tam = OtrpPki::new(&provider(), 1).tams.remove(0);
            let mut tam = TestTam { chain: o.tam().chain.clone(), ..tam };
            tam.name = o.tam().name.clone();
            let responder = tamarack_pki::ocsp::Responder::new(&tam.authority).unwrap();
            responder
                .status(&tam.chain[0], &tamarack_pki::Revocations::default(), NOW)
                .map(|status| vec![status])
                .unwrap_or_default()
        },
        codes::OCSP_MISSING,
    );
}

#[test]
fn s3_a_status_that_was_seen_is_a_floor_for_the_clock() {
    let mut otrp = Otrp::new();
    let old = otrp.tam().staple(NOW);
    otrp.now = NOW + 3 * DAY;
    otrp.state();
    // The host sets the clock back to when an old status, or a certificate that has expired, was good.
    otrp.now = NOW;
    otrp.restart();
    otrp.staple = Some(old);
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    otrp.silent(message, ErrorCode::TamNotTrusted, codes::OCSP_STALE);
    otrp.staple = Some(otrp.tam().staple(NOW + 3 * DAY));
    otrp.state();
    // The floor is this Owner's own.
    (otrp.tam, otrp.staple) = (1, None);
    otrp.state();
}

#[test]
fn a21_a_session_ends() {
    let mut otrp = Otrp::with_domain();
    let content = Content::CreateSd(otrp.create("second", SP));
    let late = |otrp: &mut Otrp, error: ErrorCode| {
        let common = otrp.common();
        let message = otrp.seal(&common, &content, None);
        otrp.silent(message, error, error.code());
    };
    otrp.now = NOW + 3601;
    late(&mut otrp, ErrorCode::TamNotTrusted);
    otrp.x5c = false;
    late(&mut otrp, ErrorCode::TamNotTrusted);
    otrp.now = NOW;
    otrp.tid = MessageId::new("another transaction").unwrap();
    late(&mut otrp, ErrorCode::TamNotTrusted);
    otrp.x5c = true;
    late(&mut otrp, ErrorCode::TamNotTrusted);

    // Unless the command brings the status itself.
    let common = otrp.common();
    let revoked = otrp.tam().revoked_staple(NOW);
    let message = otrp.seal_to(&otrp.tee_key(), &common, &content, None, Some(&revoked));
    otrp.silent(message, ErrorCode::TamNotTrusted, codes::X509_REVOKED);
    let good = otrp.tam().staple(NOW);
    let message = otrp.seal_to(&otrp.tee_key(), &common, &content, None, Some(&good));
    otrp.send_command(message).expect_pass();
}

#[test]
fn a21_sessions_have_a_bound() {
    let mut otrp = Otrp::new();
    otrp.state();
    let first = otrp.tid.clone();
    for _ in 0..16 {
        otrp.state();
    }
    otrp.tid = first;
    let content = Content::CreateSd(otrp.create(SD, SP));
    let common = otrp.common();
    let message = otrp.seal(&common, &content, None);
    otrp.silent(message, ErrorCode::TamNotTrusted, codes::OTRP_TAM_NOT_TRUSTED);
}

#[test]
fn k1_another_tam_sees_and_touches_nothing() {
    another_tam(Otrp::new());
    // Nor one of the same CA.
    let mut pki = OtrpPki::new(&provider(), 2);
    let authority = &pki.tams[0].authority;
    let authority = Authority::load(authority.cert_pem(), authority.key_pem()).unwrap();
    let name = Name::RegisteredId("1.3.6.1.4.1.61999.2.2".into());
    pki.tams[1] = TestTam::under(&provider(), authority, name);
    let seed = otrp_seed(&pki);
    assert_eq!(pki.tams[0].root(), pki.tams[1].root());
    another_tam(Otrp::with(pki, &seed));
}

fn another_tam(mut otrp: Otrp) {
    otrp.state();
    otrp.create_sd(SD, SP).expect_pass();
    otrp.install_ta(wallet_envelope(1)).expect_pass();
    otrp.count();
    otrp.tam = 1;
    let dsi = otrp.state();
    assert!(dsi.tee.sdlist.is_empty() && dsi.tee.teeaiklist.is_empty());
    assert_eq!(dsi.tee.epoch, Some(1), "a counter of its own");
    let (tamid, sdname, taid) = (otrp.tamid(), SD.to_string(), WALLET_TAID.to_string());
    let (spid, spcert) = (SP.to_string(), None);
    // What it cannot see is told in the same words as what there is not.
    let not_found = ErrorCode::SdNotFound;
    let update = UpdateSd {
        tamid: tamid.clone(),
        spid: Some(spid.clone()),
        sdname: sdname.clone(),
        changes: Changes { renewteespaik: true, ..Changes::default() },
    };
    otrp.refused(Content::UpdateSd(update), None, not_found);
    let delete = DeleteSd { tamid: tamid.clone(), sdname: sdname.clone(), deleteta: true };
    otrp.refused(Content::DeleteSd(delete), None, not_found);
    let delete = DeleteTa { tamid: tamid.clone(), sdname: sdname.clone(), taid: taid.clone() };
    otrp.refused(Content::DeleteTa(delete), None, not_found);
    let dsi = otrp.dsi.take();
    otrp.tam = 0;
    otrp.state();
    let package = otrp.package(Some(wallet_envelope(2)), None);
    (otrp.tam, otrp.dsi) = (1, dsi);
    otrp.state();
    let install = InstallTa { tamid, spid, sdname, spcert, taid };
    otrp.refused(Content::InstallTa(install.clone()), Some(&package), not_found);
    otrp.refused(Content::UpdateTa(install.clone()), Some(&package), not_found);

    // A domain, a provider and a TA of the same names are other ones, with other keys and data.
    otrp.create_sd(SD, SP).expect_pass();
    let code = otrp.refused(Content::InstallTa(install), Some(&package), ErrorCode::TaInvalid);
    assert_eq!(code, codes::OTRP_TA_INVALID, "encrypted to the other Owner's key");
    otrp.install_ta(wallet_envelope(1)).expect_pass();
    otrp.delete_sd(SD, true).expect_pass();
    assert_eq!(otrp.count(), 2, "the first Owner's TA has its data");
    otrp.tam = 0;
    assert_eq!(otrp.state().tee.sdlist.len(), 1);
}

#[test]
fn k1_the_session_of_one_tam_is_not_anothers() {
    let mut otrp = Otrp::with_wallet(1);
    let (tid, dsi) = (otrp.tid.clone(), otrp.dsi.clone());
    otrp.tam = 1;
    otrp.state();
    (otrp.tid, otrp.dsi) = (tid, dsi);
    let content = otrp.delete_wallet();
    let common = otrp.common();
    let message = otrp.seal(&common, &content, None);
    otrp.silent(message, ErrorCode::TamNotTrusted, codes::OTRP_TAM_NOT_TRUSTED);
    // Its own session with the other's hash.
    let dsi = otrp.dsi.clone();
    otrp.state();
    otrp.dsi = dsi;
    let content = otrp.delete_wallet();
    otrp.refused(content, None, ErrorCode::DevStateMismatch);
}

#[test]
fn both_protocols_are_one_owner_only_by_their_anchor() {
    // Bound: what TEEP installed is in the DSI, and what OTrP installed in the tc-list.
    let pki = OtrpPki::new(&provider(), 2);
    let mut seed = otrp_seed(&pki);
    seed.signers = crate::world::seed().signers;
    let mut otrp = Otrp::with(pki, &seed);
    otrp.install_wallet(1);
    let dsi = otrp.state();
    assert_eq!((dsi.tee.sdlist[0].name.as_str(), dsi.tee.sdlist[0].spid.as_str()), (SD, SP));
    otrp.delete_ta().expect_pass();
    assert_eq!(otrp.query().tc_list.len(), 2);

    // Apart: the same TAM under two anchors is two Owners.
    let pki = OtrpPki::new(&provider(), 2);
    let mut seed = otrp_seed(&pki);
    seed.signers = crate::world::seed().signers;
    let only_otrp = TamAnchor {
        owner: OwnerId([3; 16]),
        principal: Principal::Keys(Vec::new()),
        persona: Persona(2),
        ..seed.tams[0].clone()
    };
    (seed.tams[0].otrp, seed.tams[0].protocol) = (None, Protocol::Teep);
    seed.tams.push(only_otrp);
    let mut otrp = Otrp::with(pki, &seed);
    otrp.persona = Some(2);
    otrp.install_wallet(1);
    assert!(otrp.state().tee.sdlist.is_empty());
    otrp.create_sd(SD, SP).expect_pass();
    otrp.install_ta(wallet_envelope(1)).expect_pass();
    assert_eq!(otrp.agent.status().unwrap().components.len(), 2);
    otrp.delete_sd(SD, true).expect_pass();
    assert_eq!(otrp.query().tc_list.len(), 4);
}

#[test]
fn a_revoked_anchor_is_a_stranger() {
    let pki = OtrpPki::new(&provider(), 2);
    let mut seed = otrp_seed(&pki);
    seed.tams[0].state = AnchorState::Revoked;
    let mut otrp = Otrp::with(pki, &seed);
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    otrp.silent(message, ErrorCode::TamNotTrusted, codes::X509_PATH);
}

#[test]
fn e5_a_stranger_learns_nothing_and_nothing_is_written() {
    let mut otrp = Otrp::with_wallet(1);
    let foreign = OtrpPki::new(&provider(), 1).tams.remove(0);
    otrp.pki.tams[0] = foreign;
    otrp.drive(tamarack_agent::Input::RequestPolicyCheck);
    let commits = otrp.storage().commits();
    for _ in 0..3 {
        let request = otrp.state_request();
        let message = otrp.sign_state(&request);
        otrp.silent(message, ErrorCode::TamNotTrusted, codes::X509_PATH);
    }
    assert_eq!(otrp.storage().commits(), commits);
}

#[test]
fn e5_what_apps_ask_of_one_tam_is_not_told_to_another_in_its_place() {
    let mut otrp = Otrp::new();
    let request = tamarack_agent::Input::RequestTa { component: wallet("ta"), tam_uri: None };
    let now = otrp.now;
    otrp.agent.handle(now, request).unwrap();
    assert!(matches!(otrp.agent.poll_output(), Some(tamarack_agent::Output::Connect { .. })));
    // The Broker carries the exchange to another TAM of the device.
    otrp.tam = 1;
    assert_eq!(otrp.state().tee.requestedtalist, []);
    otrp.tam = 0;
    assert_eq!(otrp.state().tee.requestedtalist.len(), 1);
}

#[test]
fn e5_two_tams_see_different_devices_in_otrp_too() {
    let mut otrp = Otrp::new();
    let ueid = |otrp: &mut Otrp| {
        let eat = otrp.state().tee.eat.unwrap();
        let sign1 = tamarack_cose::Sign1::parse(&eat, &tamarack_cbor::Limits::default()).unwrap();
        let claims = sign1.unverified_payload().unwrap().to_vec();
        let claims = <tamarack_eat::Claims as tamarack_cbor::Decode>::from_cbor(
            &claims,
            &tamarack_cbor::Limits::default(),
        );
        let claims = claims.unwrap();
        assert_eq!(claims.eat_nonce, [otrp.tid.as_str().as_bytes().to_vec()]);
        assert_eq!(claims.cnf, Some(tamarack_eat::Confirmation::Key(otrp.tee_public_key())));
        (claims.ueid.unwrap(), otrp.did(), claims.platform.unwrap().state_root)
    };
    let first = ueid(&mut otrp);
    let again = ueid(&mut otrp);
    assert_eq!((&again.0, again.1), (&first.0, first.1));
    otrp.tam = 1;
    let other = ueid(&mut otrp);
    assert!(other.0 != first.0 && other.1 != first.1 && other.2 != again.2);
}

#[test]
fn c7_the_state_is_told_only_so_often() {
    let mut otrp = Otrp::new();
    otrp.restart_with(AgentConfig { evidence_per_minute: 2, ..AgentConfig::default() });
    otrp.state();
    otrp.state();
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    let before = otrp.digest();
    let reply = otrp.send_otrp(message);
    assert_eq!(refusal(&reply), codes::OVERLOADED);
    let part = otrp.read_part(&reply.bytes);
    assert!(matches!(part.body_unverified(), tamarack_otrp::ResponseBody::Failed { .. }));
    assert_eq!(otrp.digest(), before);
    (otrp.tam, otrp.now) = (1, NOW);
    otrp.state();
    (otrp.tam, otrp.now) = (0, NOW + 60);
    otrp.state();
}

#[test]
fn a_device_without_certificate_says_so_to_its_driver() {
    let mut otrp = Otrp::new();
    let request = otrp.state_request();
    let message = otrp.sign_state(&request);
    otrp.world.otrp.as_mut().unwrap().personas.iter_mut().for_each(|persona| persona.chain.clear());
    otrp.restart();
    let now = otrp.now;
    let input = tamarack_agent::Input::ProcessOtrpMessage(message);
    assert_eq!(otrp.agent.handle(now, input.clone()), Err(Error::NoOtrp));
    otrp.world.otrp = None;
    otrp.restart();
    assert_eq!(otrp.agent.handle(now, input), Err(Error::NoOtrp));
}

#[test]
fn ta_information_is_signed_by_the_provider_s_key() {
    use tamarack_jose::jwk::KeyUse;
    use tamarack_jose::jws::{Purpose, VerificationKey};
    use tamarack_otrp::ta_information::TaInformation;
    let mut otrp = Otrp::with_wallet(7);
    let query = |spid: &str, taid: &str| {
        TaQuery { spid: spid.into(), taid: taid.into(), nonce: Some("fresh".into()) }.to_vec()
    };
    let message = otrp.agent.ta_information(&query(SP, WALLET_TAID), Some(TAM_URI)).unwrap();
    let read = |message: &[u8], key: &tamarack_jose::jwk::Jwk| {
        let key = VerificationKey::new(&key.to_spki(), Purpose::TaInformation).unwrap();
        TaInformation::verify(message, &key, &tamarack_otrp::Limits::default(), &provider())
    };
    let information = read(&message, &otrp.aik(SP, KeyUse::Signature)).unwrap();
    assert_eq!((information.taid.as_str(), information.spid.as_str()), (WALLET_TAID, SP));
    assert_eq!(information.tamid, otrp.tamid());
    assert_eq!(information.signercert, Some(spcert(1)));
    assert_eq!(information.tamcert.as_ref(), Some(&otrp.tam().chain[0]));
    assert_eq!((information.version, information.nonce.as_deref()), (Some(7), Some("fresh")));
    assert!(read(&message, &otrp.aik(SP, KeyUse::Encryption)).is_err(), "K5: one key, one purpose");

    for (spid, taid, uri) in [
        ("globex", WALLET_TAID, TAM_URI),
        (SP, "unknown", TAM_URI),
        (SP, WALLET_TAID, OTHER_URI),
        (SP, "", TAM_URI),
    ] {
        let result = otrp.agent.ta_information(&query(spid, taid), Some(uri));
        assert!(matches!(result, Err(Error::NoTa | Error::Query(_))), "{spid} {taid} {uri}");
    }
    assert!(matches!(otrp.agent.ta_information(b"{}", None), Err(Error::Query(_))));
    // A renewed key signs from then on.
    otrp.update_sd(Changes { renewteespaik: true, ..Changes::default() }).expect_pass();
    let message = otrp.agent.ta_information(&query(SP, WALLET_TAID), None).unwrap();
    assert!(read(&message, &otrp.aik(SP, KeyUse::Signature)).is_ok());
    otrp.delete_ta().expect_pass();
    assert_eq!(otrp.agent.ta_information(&query(SP, WALLET_TAID), None), Err(Error::NoTa));
}
