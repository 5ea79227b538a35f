//! Every check of a GetDeviceStateResponse, violated by exactly one fault.

use alloc::string::String;
use alloc::vec::Vec;

use rcgen::{KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd};
use tamarack_attest::Grade;
use tamarack_eat::Confirmation;
use tamarack_jose::jws;
use tamarack_model::{Code, codes};
use tamarack_otrp::response::{Reason, failure};
use tamarack_otrp::{Command, Dsi, ErrorCode, Limits, broker};
use tamarack_store::{Read, SessionOutcome, TenantId};
use tamarack_teep::DataItems;
use tamarack_x509::Role;

use super::tee::{Tee, TeeKey};
use super::world::{Ca, World, message};
use crate::Reply;
use crate::challenge::{Challenge, Question};
use crate::tests::world::NOW;
use crate::tests::{no_content, refused};

/// The answer is refused, and nothing was stored.
#[track_caller]
fn check(world: &World, answer: &[u8], status: u16, code: Code) {
    let before = world.digest();
    refused(&world.send(answer), status, code);
    assert_eq!(world.digest(), before);
    assert!(world.store.sessions(&TenantId::default(), None, 9).unwrap().is_empty());
}

/// The same with an honest answer but for one change of the state.
#[track_caller]
fn check_state(status: u16, code: Code, change: impl FnOnce(&World, &mut Dsi)) {
    let world = World::new();
    let mut tee = world.tee();
    tee.firmware = Some(world.firmware_ca.issue(Some(Role::Firmware), &PKCS_ECDSA_P256_SHA256));
    let request = world.begin();
    let answer = tee.answer_with(&request, |dsi| change(&world, dsi));
    check(&world, &answer, status, code);
    // And without it.
    let reply = world.exchange(&mut tee);
    assert!(!matches!(reply, Reply::Refuse { .. }), "{reply:?}");
}

/// The answer with a text replaced in the payload of the part, which nobody signs anew.
fn altered(answer: &[u8], from: &str, to: &str) -> Vec<u8> {
    let json = tamarack_jose::json::parse(answer, &tamarack_jose::json::Limits::default()).unwrap();
    let part = json.get("GetDeviceStateResponse").unwrap().as_array().unwrap()[0].clone();
    let jws = part.get("GetDeviceTEEStateResponse").unwrap();
    let payload = jws.get("payload").unwrap().as_str().unwrap();
    let text = String::from_utf8(tamarack_jose::base64::decode_url(payload).unwrap()).unwrap();
    assert!(text.contains(from), "{text}");
    let new = tamarack_jose::base64::encode_url(text.replacen(from, to, 1).as_bytes());
    String::from_utf8(answer.to_vec()).unwrap().replacen(payload, &new, 1).into_bytes()
}

#[test]
fn c1_a_tid_is_valid_only_at_its_endpoint_and_in_its_time() {
    let world = World::new();
    let mut tee = world.tee();
    let (config, tenant) = (&world.tam.config, TenantId::default());
    let other = TenantId::new("other").unwrap();
    let state = Question::DeviceState { again: false };
    let evidence = Question::Evidence(DataItems::ATTESTATION);
    let tids = [
        Challenge::issue(config, &other, state, NOW, [1; 10], &world.crypto),
        Challenge::issue(config, &tenant, state, NOW - 301, [1; 10], &world.crypto),
        // A challenge of TEEP answers nothing here.
        Challenge::issue(config, &tenant, evidence, NOW, [1; 10], &world.crypto),
        [7; 32],
    ];
    let (rid, _) = tee.ids(&world.begin());
    for tid in tids {
        let tid = tamarack_otrp::MessageId::new(&tamarack_jose::base64::encode_url(&tid)).unwrap();
        let dsi = tee.dsi(Some(tid.as_str()));
        let part = tee.state(&rid, &tid, &dsi);
        let answer = broker::assemble(&[part], &Limits::default()).unwrap();
        check(&world, &answer, 403, codes::EVIDENCE_STALE);
    }
    assert_eq!(world.agreements(), 0, "no private key was used (c7)");
}

#[test]
fn c7_the_private_key_is_used_once_for_each_part_whose_tid_is_good() {
    let world = World::new();
    let (mut tee, stranger) = (world.tee(), world.tee());
    let request = world.begin();
    let (rid, tid) = tee.ids(&request);
    let honest = tee.dsi(Some(tid.as_str()));
    // Many parts that do not decrypt, for the TAM is no oracle for others.
    let parts: Vec<Vec<u8>> = (0..40).map(|_| tee.state_to(&stranger.key, &rid, &tid, &honest)).collect();
    check(&world, &broker::assemble(&parts, &Limits::default()).unwrap(), 400, codes::JOSE_DECRYPTION);
    assert_eq!(world.agreements(), 4);
}

#[test]
fn c2_a_tid_is_answered_once() {
    let world = World::new();
    let (mut a, mut b) = (world.tee(), world.tee());
    let request = world.begin();
    let (first, second) = (a.answer(&request), b.answer(&request));
    assert!(!matches!(world.send(&first), Reply::Refuse { .. }));
    let before = world.digest();
    for replay in [first, second] {
        let reply = world.send(&replay);
        no_content(&reply);
        assert_eq!(reply.event().code, Some(codes::EVIDENCE_STALE));
    }
    assert_eq!(world.digest(), before);
    assert_eq!(world.store.devices(&TenantId::default(), None, 9).unwrap().len(), 1);
}

#[test]
fn k4_a_tee_certificate_counts_only_under_a_tee_ca() {
    /// Gives the TEE another certificate.
    type Swap = fn(&World) -> (Vec<u8>, rcgen::KeyPair, Vec<u8>);
    let rows: &[(&str, Code, Swap)] = &[
        ("another CA of the same name", codes::X509_PATH, |_| {
            let ca = Ca::new("TEE CA", &[Role::OtrpTee]);
            let (certificate, key) = ca.issue(Some(Role::OtrpTee), &PKCS_ECDSA_P256_SHA256);
            (certificate, key, ca.der)
        }),
        ("a firmware CA", codes::X509_PATH, |world| {
            let (c, k) = world.firmware_ca.issue(Some(Role::OtrpTee), &PKCS_ECDSA_P256_SHA256);
            (c, k, world.firmware_ca.der.clone())
        }),
        ("the role of a TAM", codes::X509_USAGE, |world| under(world, Some(Role::OtrpTam))),
        ("the role of an attestation key", codes::X509_USAGE, |world| under(world, Some(Role::Tee))),
        ("the role of firmware", codes::X509_USAGE, |world| under(world, Some(Role::Firmware))),
        ("no role", codes::X509_USAGE, |world| under(world, None)),
        ("expired", codes::X509_EXPIRED, |world| {
            edited(world, |params| params.not_after = date_time_ymd(2025, 5, 1))
        }),
        ("not valid yet", codes::X509_EXPIRED, |world| {
            edited(world, |params| params.not_before = date_time_ymd(2026, 5, 1))
        }),
        ("no digitalSignature", codes::X509_USAGE, |world| {
            edited(world, |params| params.key_usages = alloc::vec![KeyUsagePurpose::KeyAgreement])
        }),
        ("no keyAgreement", codes::X509_USAGE, |world| {
            edited(world, |params| params.key_usages = alloc::vec![KeyUsagePurpose::DigitalSignature])
        }),
    ];
    for (what, code, swap) in rows {
        let world = World::new();
        let mut tee = world.tee();
        let (certificate, key, above) = swap(&world);
        (tee.certificate, tee.key, tee.above) = (certificate, TeeKey::load(&key), alloc::vec![above]);
        let answer = tee.answer(&world.begin());
        let reply = world.send(&answer);
        assert_eq!(reply.event().code, Some(*code), "{what}: {reply:?}");
        check(&world, &answer, 403, *code);
    }
}

fn under(world: &World, role: Option<Role>) -> (Vec<u8>, rcgen::KeyPair, Vec<u8>) {
    let (certificate, key) = world.tee_ca.issue(role, &PKCS_ECDSA_P256_SHA256);
    (certificate, key, world.tee_ca.der.clone())
}

fn edited(world: &World, edit: fn(&mut rcgen::CertificateParams)) -> (Vec<u8>, rcgen::KeyPair, Vec<u8>) {
    let (certificate, key) = world.tee_ca.issue_with(Some(Role::OtrpTee), &PKCS_ECDSA_P256_SHA256, edit);
    (certificate, key, world.tee_ca.der.clone())
}

#[test]
fn a_certificate_without_a_role_passes_only_under_a_ca_that_says_so() {
    for (rules, passes) in [([false, true], true), ([true, false], false)] {
        let mut world = World::new();
        for (rule, draft) in world.otrp().tee_rules.iter_mut().zip(rules) {
            rule.draft = draft;
        }
        let mut tee = world.tee();
        let (certificate, key, _) = under(&world, None);
        (tee.certificate, tee.key) = (certificate, TeeKey::load(&key));
        let reply = world.exchange(&mut tee);
        assert_eq!(!matches!(reply, Reply::Refuse { .. }), passes, "{reply:?}");
    }
}

#[test]
fn other_spellings_pass_only_under_a_ca_that_says_so() {
    for (rules, passes) in [([false, true], true), ([true, false], false), ([false, false], false)] {
        let mut world = World::new();
        for (rule, draft) in world.otrp().tee_rules.iter_mut().zip(rules) {
            rule.draft = draft;
        }
        let mut tee = world.tee();
        let answer = tee.answer_resigned(&world.begin(), "\"signerreq\":false", "\"signerreq\":\"false\"");
        let before = world.digest();
        let reply = world.send(&answer);
        match passes {
            true => assert!(!matches!(reply, Reply::Refuse { .. }), "{reply:?}"),
            false => {
                refused(&reply, 400, codes::OTRP_MALFORMED);
                assert_eq!(world.digest(), before);
            }
        }
    }
}

#[test]
fn a_revoked_tee_is_refused_and_so_is_one_of_unknown_status() {
    let mut world = World::new();
    let (mut tee, mut revoked) = (world.tee(), world.tee());
    let list = world.tee_ca.list(&[&revoked.certificate]);
    world.otrp().tee_rules[1].crls = alloc::vec![list];
    let answer = revoked.answer(&world.begin());
    check(&world, &answer, 403, codes::X509_REVOKED);
    assert!(!matches!(world.exchange(&mut tee), Reply::Refuse { .. }));

    let mut world = World::new();
    let mut tee = world.tee();
    let list = Ca::new("other", &[Role::OtrpTee]).list(&[]);
    world.otrp().tee_rules[1].crls = alloc::vec![list];
    let answer = tee.answer(&world.begin());
    check(&world, &answer, 403, codes::OCSP_MISSING);
}

#[test]
fn revoked_firmware_is_refused_and_so_is_that_of_unknown_status() {
    let code = codes::OTRP_TFW_NOT_TRUSTED;
    for (revoke, other, good) in [(false, false, true), (true, false, false), (false, true, false)] {
        let mut world = World::new();
        let mut tee = world.tee();
        let (certificate, key) = world.firmware_ca.issue(Some(Role::Firmware), &PKCS_ECDSA_P256_SHA256);
        let revoked: &[&[u8]] = if revoke { &[&certificate] } else { &[] };
        let list = match other {
            true => Ca::new("other", &[Role::Firmware]).list(revoked),
            false => world.firmware_ca.list(revoked),
        };
        world.otrp().firmware_crls = alloc::vec![alloc::vec![list]];
        tee.firmware = Some((certificate, key));
        let answer = tee.answer(&world.begin());
        match good {
            true => assert!(!matches!(world.exchange(&mut tee), Reply::Refuse { .. })),
            false => check(&world, &answer, 403, code),
        }
    }
}

#[test]
fn the_signature_must_be_that_of_the_certificate_within() {
    let world = World::new();
    let mut tee = world.tee();
    let request = world.begin();
    let honest = tee.answer(&request);
    // The parts that are signed: a changed rid, and another status.
    check(
        &world,
        &altered(&honest, "\"signerreq\":false", "\"signerreq\":true "),
        400,
        codes::JOSE_SIGNATURE,
    );
    let certificate = world.tee().certificate;
    let answer = tee.answer_with(&request, |dsi| dsi.tee.cert = certificate);
    check(&world, &answer, 400, codes::JOSE_SIGNATURE);
    // A whole message of another kind and version.
    check(&world, &altered(&honest, "\"ver\":\"1.0\"", "\"ver\":\"2.0\""), 400, codes::OTRP_VERSION);
    let other_name = altered(&honest, "GetDeviceTEEStateTBSResponse", "CreateSDTBSResponse");
    check(&world, &other_name, 400, codes::OTRP_MALFORMED);
    // What is encrypted to another TAM.
    let (rid, tid) = tee.ids(&request);
    let dsi = tee.dsi(Some(tid.as_str()));
    let part = tee.state_to(&TeeKey::generate(), &rid, &tid, &dsi);
    let answer = broker::assemble(&[part], &Limits::default()).unwrap();
    check(&world, &answer, 400, codes::JOSE_DECRYPTION);
}

#[test]
fn firmware_must_have_signed_this_tid_under_a_firmware_ca() {
    let code = codes::OTRP_TFW_NOT_TRUSTED;
    check_state(403, code, |_, dsi| dsi.tfwdata.as_mut().unwrap().tbs[0] ^= 1);
    check_state(403, code, |_, dsi| dsi.tfwdata.as_mut().unwrap().sig[9] ^= 1);
    check_state(403, code, |_, dsi| dsi.tfwdata.as_mut().unwrap().sigalg = "HS256".into());
    check_state(403, code, |_, dsi| dsi.tfwdata.as_mut().unwrap().sigalg = "RS256".into());
    // Genuine, and over another tid.
    let world = World::new();
    let mut tee = world.tee();
    tee.firmware = Some(world.firmware_ca.issue(Some(Role::Firmware), &PKCS_ECDSA_P256_SHA256));
    let old = tee.dsi(Some("another tid")).tfwdata;
    let answer = tee.answer_with(&world.begin(), |dsi| dsi.tfwdata = old);
    check(&world, &answer, 403, code);
    // Certificates that are good for something else.
    check_state(403, code, |world, dsi| {
        let (cert, _) = world.tee_ca.issue(Some(Role::Firmware), &PKCS_ECDSA_P256_SHA256);
        dsi.tfwdata.as_mut().unwrap().cert = cert;
    });
    check_state(403, code, |world, dsi| {
        let (cert, _) = world.firmware_ca.issue(Some(Role::OtrpTee), &PKCS_ECDSA_P256_SHA256);
        dsi.tfwdata.as_mut().unwrap().cert = cert;
    });
    check_state(403, code, |world, dsi| {
        let (cert, _) = world.firmware_ca.issue(Some(Role::Firmware), &PKCS_ECDSA_P256_SHA256);
        dsi.tfwdata.as_mut().unwrap().cert = cert;
    });
}

#[test]
fn e2_evidence_must_be_fresh_and_vouch_for_the_tee_key() {
    let device = |world: &World| world.device();
    check_state(403, codes::EVIDENCE_STALE, |world, dsi| {
        let device = device(world);
        let mut claims = device.claims(b"another tid");
        claims.cnf = Some(Confirmation::Key(tamarack_x509::unvalidated_key(&dsi.tee.cert).unwrap()));
        dsi.tee.eat = Some(device.evidence(&claims));
    });
    check_state(403, codes::EVIDENCE_KEY_BINDING, |world, dsi| {
        // Its cnf is a TEEP key.
        let tid = String::from_utf8(dsi.tfwdata.as_ref().unwrap().tbs.clone()).unwrap();
        let device = device(world);
        dsi.tee.eat = Some(device.evidence(&device.claims(tid.as_bytes())));
    });
    check_state(403, codes::EVIDENCE_UNTRUSTED, |world, dsi| {
        let tid = dsi.tfwdata.as_ref().unwrap().tbs.clone();
        let mut device = device(world);
        device.chain = Vec::from([world.tee_ca.der.clone()]);
        dsi.tee.eat = Some(device.evidence(&device.claims(&tid)));
    });
    check_state(403, codes::EAT_MALFORMED, |_, dsi| dsi.tee.eat = Some(b"no token".to_vec()));
    // Evidence that was taken away leaves a device of unknown grade, even if its firmware is known: the CA's cap decides.
    let mut world = World::new();
    world.policy().tee_cas[1].cap = Grade::Software;
    let mut tee = world.tee();
    tee.firmware = Some(world.firmware_ca.issue(Some(Role::Firmware), &PKCS_ECDSA_P256_SHA256));
    let answer = tee.answer_with(&world.begin(), |dsi| dsi.tee.eat = None);
    check(&world, &answer, 403, codes::EVIDENCE_POLICY);
}

#[test]
fn e1_without_evidence_the_grade_is_what_firmware_and_ca_vouch_for() {
    for (cap, firmware, grade) in [
        (Grade::Hardware, true, "hardware"),
        (Grade::Hardware, false, "none"),
        (Grade::Software, true, "none"),
    ] {
        let mut world = World::new();
        world.policy().tee_cas[1].cap = cap;
        world.policy().minimum = Grade::None;
        let mut tee = world.foreign_tee();
        if !firmware {
            tee.firmware = None;
        }
        world.exchange(&mut tee);
        let record = world.record(&tee).unwrap();
        assert_eq!((record.grade.as_str(), record.attested), (grade, None), "{cap} {firmware}");
    }
}

#[test]
fn r9_a_state_that_falls_puts_the_device_into_quarantine() {
    let world = World::new();
    world.publish(1);
    world.want("acme/wallet/ta");
    let mut tee = world.tee();
    world.exchange(&mut tee);
    tee.attested.as_mut().unwrap().epoch -= 1;
    let request = world.begin();
    refused(&world.send(&tee.answer(&request)), 403, codes::EVIDENCE_ROLLED_BACK);
    assert_eq!(world.last_session().outcome, Some(SessionOutcome::Refused));
    assert!(world.record(&tee).unwrap().quarantine.is_some());
    tee.attested.as_mut().unwrap().epoch += 1;
    let request = world.begin();
    refused(&world.send(&tee.answer(&request)), 403, codes::DEVICE_QUARANTINED);
}

#[test]
fn an_unsigned_failure_is_a_hint_and_no_more() {
    let world = World::new();
    let tee = world.tee();
    let before = world.digest();
    let (rid, tid) = tee.ids(&world.begin());
    for code in [ErrorCode::TamNotTrusted, ErrorCode::UnsupportedCryptoAlg, ErrorCode::TfwNotTrusted] {
        let TeeKey::Ec(sign, _) = &tee.key else { panic!("an EC key") };
        let signer = jws::Signer::Es256(sign.as_ref());
        let part = failure(Command::GetDeviceState, &rid, &tid, &Reason::new(code), None, signer).unwrap();
        let reply = world.send(&broker::assemble(&[part], &Limits::default()).unwrap());
        no_content(&reply);
        assert_eq!(reply.event().code, Some(code.code()));
    }
    for code in [ErrorCode::AgentTeeUnknown, ErrorCode::AgentTeeBusy, ErrorCode::AgentTeeFail] {
        let reply = world.send(&broker::BrokerError::new(code).to_vec());
        no_content(&reply);
        assert_eq!((reply.event().code, reply.event().device), (Some(code.code()), None));
    }
    assert_eq!(world.digest(), before);
    assert_eq!(world.agreements(), 0);
}

#[test]
fn parts_of_a_response_stand_each_for_itself() {
    let world = World::new();
    world.publish(1);
    world.want("acme/wallet/ta");
    let (mut a, mut b, mut forger) = (world.tee(), world.tee(), world.tee());
    let request = world.begin();
    let (rid, tid) = a.ids(&request);
    let part = |tee: &mut Tee| {
        let dsi = tee.dsi(Some(tid.as_str()));
        tee.state(&rid, &tid, &dsi)
    };
    forger.key = TeeKey::generate();
    let parts = [part(&mut forger), part(&mut a), part(&mut a), part(&mut b)];
    let reply = world.send(&broker::assemble(&parts, &Limits::default()).unwrap());
    // The first gets its command, the other is known and has its turn when it comes again.
    let again = a.answer(&message(&reply));
    let _ = world.send(&again);
    assert_eq!(a.done, [Command::CreateSd]);
    assert!(world.record(&a).is_some() && world.record(&b).is_some() && world.record(&forger).is_none());
    let open = world.store.sessions(&TenantId::default(), None, 9).unwrap();
    assert_eq!(open.len(), 1, "{open:?}");
    world.exchange(&mut b);
    assert!(b.ta("acme", "wallet").is_some());

    // Two that need nothing are both recorded in one transaction.
    let request = world.begin();
    let (rid, tid) = a.ids(&request);
    let (mut c, mut d) = (world.tee(), world.tee());
    let tenant = TenantId::default();
    let policy = crate::tests::world::id("acme/wallet/ta");
    world.apply([tamarack_store::StoreOp::ClearPolicy { tenant, component: policy }]);
    let parts: Vec<Vec<u8>> = [&mut c, &mut d]
        .into_iter()
        .map(|tee| {
            let dsi = tee.dsi(Some(tid.as_str()));
            tee.state(&rid, &tid, &dsi)
        })
        .collect();
    no_content(&world.send(&broker::assemble(&parts, &Limits::default()).unwrap()));
    assert!(world.record(&c).is_some() && world.record(&d).is_some());

    // Of two requests only one is answered at a time.
    let (one, two) = (world.begin(), world.begin());
    let part_of = |tee: &mut Tee, request: &[u8]| {
        let (rid, tid) = tee.ids(request);
        let dsi = tee.dsi(Some(tid.as_str()));
        tee.state(&rid, &tid, &dsi)
    };
    let (mut e, mut f) = (world.tee(), world.tee());
    let mixed = [part_of(&mut e, &one), part_of(&mut f, &two)];
    no_content(&world.send(&broker::assemble(&mixed, &Limits::default()).unwrap()));
    assert!(world.record(&e).is_some() && world.record(&f).is_none());

    // None at all, and far too many.
    check_fresh(&broker::assemble::<Vec<u8>>(&[], &Limits::default()).unwrap());
    check_fresh(&broker::assemble(&alloc::vec![parts[0].clone(); 65], &Limits::default()).unwrap());
}

#[track_caller]
fn check_fresh(answer: &[u8]) {
    check(&World::new(), answer, 400, codes::OTRP_MALFORMED);
}

#[test]
fn garbage_is_refused_with_a_status_and_leaves_no_trace() {
    for (body, code) in [
        (&b"{"[..], codes::OTRP_MALFORMED),
        (b"[]", codes::OTRP_MALFORMED),
        (b"{}", codes::OTRP_MALFORMED),
        (b"{\"CreateSDRequest\":{}}", codes::OTRP_MALFORMED),
        (b"{\"GetDeviceStateResponse\":{}}", codes::OTRP_MALFORMED),
        (b"{\"GetDeviceStateResponse\":[{}]}", codes::OTRP_MALFORMED),
        (b"{\"CreateSDResponse\":{\"payload\":\"\"}}", codes::JOSE_MALFORMED),
    ] {
        let world = World::new();
        let reply = world.send(body);
        let got = reply.event().code;
        assert!(matches!(reply, Reply::Refuse { status: 400, .. }), "{reply:?}");
        assert_eq!(got, Some(code), "{}", String::from_utf8_lossy(body));
    }
    let world = World::new();
    let large = alloc::vec![b' '; (1 << 20) + 1];
    refused(&world.send(&large), 413, codes::HTTP_TOO_LARGE);
}

#[test]
fn every_flipped_byte_of_an_answer_is_refused() {
    let world = World::new();
    let mut tee = world.tee();
    let before = world.digest();
    let answer = tee.answer(&world.begin());
    for at in (0..answer.len()).step_by(97) {
        let mut flipped = answer.clone();
        flipped[at] ^= 1;
        let reply = world.send(&flipped);
        assert!(matches!(reply, Reply::Refuse { .. }), "byte {at}: {reply:?}");
        assert_eq!(world.digest(), before, "byte {at}");
    }
    assert!(!matches!(world.send(&answer), Reply::Refuse { .. }), "and as it was it is fine");
}

#[test]
fn without_a_status_in_force_no_request_goes_out() {
    let mut world = World::new();
    world.publish(1);
    world.want("acme/wallet/ta");
    let mut tee = world.tee();
    let request = world.begin();
    world.clock.set(NOW + 200);
    world.otrp().staple.as_mut().unwrap().until = NOW + 100;
    refused(&world.send(&[]), 503, codes::OCSP_UNAVAILABLE);
    refused(&world.send(&tee.answer(&request)), 503, codes::OCSP_UNAVAILABLE);
    world.base.tam.set_staple(None);
    refused(&world.send(&[]), 503, codes::OCSP_UNAVAILABLE);
    // TEEP goes on.
    world.query_request();
}

#[test]
fn a_tam_without_otrp_says_so() {
    let mut world = World::new();
    world.base.tam.config.otrp = None;
    refused(&world.send(&[]), 406, codes::HTTP_BAD_REQUEST);
}
