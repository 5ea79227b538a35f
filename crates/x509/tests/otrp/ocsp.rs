use rcgen::{ExtendedKeyUsagePurpose, KeyUsagePurpose};
use tamarack_crypto::Sign;
use tamarack_model::codes;
use tamarack_x509::Role;
use tamarack_x509::ocsp::{
    BasicResponse, CertId, Checked, Entry, Failure, Freshness, IdHash, OcspError, Request, ResponderId,
    Response, ResponseData, Status, check,
};

use crate::support::*;

/// A path of three certificates, so that two need a status.
struct World {
    root: Ca,
    middle: Ca,
    leaf: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let root = Ca::role_root(Role::OtrpTam);
        let middle = root.below("middle");
        let leaf = middle.leaf(Role::OtrpTam);
        Self { root, middle, leaf }
    }

    fn path(&self) -> [&[u8]; 3] {
        [&self.leaf, &self.middle.der, &self.root.der]
    }

    fn leaf_entry(&self) -> Entry {
        entry(&self.leaf, &self.middle.der)
    }

    /// The good answers about leaf and intermediate.
    fn good(&self) -> Vec<Vec<u8>> {
        vec![sign(vec![self.leaf_entry()], &self.middle), self.middle_answer()]
    }

    fn middle_answer(&self) -> Vec<u8> {
        sign(vec![entry(&self.middle.der, &self.root.der)], &self.root)
    }

    /// An answer about the leaf beside the good one about the intermediate.
    fn with(&self, answer: Vec<u8>) -> Vec<Vec<u8>> {
        vec![answer, self.middle_answer()]
    }

    fn check(&self, responses: &[Vec<u8>]) -> Result<Checked, OcspError> {
        check_both(&self.path(), responses, &Freshness::new(NOW, 0))
    }
}

fn check_both(path: &[&[u8]], responses: &[Vec<u8>], freshness: &Freshness) -> Result<Checked, OcspError> {
    let [first, second] = providers().map(|provider| check(path, responses, freshness, &provider));
    assert_eq!(first, second);
    first
}

fn id(certificate: &[u8], issuer: &[u8]) -> CertId {
    CertId::new(certificate, issuer, IdHash::Sha256, &aws()).unwrap()
}

fn entry(certificate: &[u8], issuer: &[u8]) -> Entry {
    let id = id(certificate, issuer);
    Entry { id, status: Status::Good, this_update: NOW - 60, next_update: Some(NOW + 3600) }
}

fn sign(entries: Vec<Entry>, ca: &Ca) -> Vec<u8> {
    sign_as(entries, &ca.der, &*ca.signer, Vec::new())
}

fn sign_as(entries: Vec<Entry>, named: &[u8], signer: &dyn Sign, certificates: Vec<Vec<u8>>) -> Vec<u8> {
    let responder = ResponderId::key_of(named).unwrap();
    let data = ResponseData { responder, produced_at: NOW - 30, entries, nonce: None };
    Response::Basic(BasicResponse::sign(data, signer, certificates).unwrap()).to_der().unwrap()
}

/// A responder's certificate with its key.
fn delegate(ca: &Ca, edit: Edit) -> (Vec<u8>, Box<dyn Sign>) {
    let mut params = leaf_params(None);
    params.custom_extensions.clear();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    edit(&mut params);
    let (der, key) = ca.issue(&params);
    (der, load(&key))
}

#[test]
fn good_statuses_are_found_in_any_order_and_grouping() {
    let world = World::new();
    let expected = Ok(Checked { produced_at: NOW - 30, next_update: NOW + 3600 });
    let mut responses = world.good();
    assert_eq!(world.check(&responses), expected);
    responses.reverse();
    assert_eq!(world.check(&responses), expected);
    // The root speaks of itself, which nobody asked; another certificate comes along.
    responses.push(sign(vec![entry(&world.root.der, &world.root.der)], &world.root));
    responses.push(sign(vec![entry(&world.middle.leaf(Role::OtrpTam), &world.middle.der)], &world.middle));
    assert_eq!(world.check(&responses), expected);
    // Several statuses in one answer.
    let other = entry(&world.middle.leaf(Role::OtrpTam), &world.middle.der);
    let responses = world.with(sign(vec![other, world.leaf_entry()], &world.middle));
    assert_eq!(world.check(&responses), expected);
    // A root alone needs no status.
    assert!(check_both(&[&world.root.der], &[], &Freshness::new(NOW, 0)).is_ok());
}

#[test]
fn both_hashes_name_certificates() {
    let world = World::new();
    let mut one = world.leaf_entry();
    one.id = CertId::new(&world.leaf, &world.middle.der, IdHash::Sha1, &aws()).unwrap();
    assert_eq!(one.id.issuer_key_hash.len(), 20);
    assert!(world.check(&world.with(sign(vec![one], &world.middle))).is_ok());
}

#[test]
fn responders_name_themselves_by_subject_too() {
    let world = World::new();
    let subject = {
        // The subject of the intermediate is the issuer of the leaf.
        let mut reader = world.leaf.clone();
        let name = b"\x0c\x06middle";
        let at = reader.windows(name.len()).position(|window| window == name).unwrap();
        // SEQUENCE, SET and SEQUENCE with the identifier of the common name stand before it.
        reader.drain(..at - 11);
        reader.truncate(11 + name.len());
        reader
    };
    let data = ResponseData {
        responder: ResponderId::Name(subject),
        produced_at: NOW,
        entries: vec![world.leaf_entry()],
        nonce: None,
    };
    let basic = BasicResponse::sign(data, &*world.middle.signer, Vec::new()).unwrap();
    let responses = world.with(Response::Basic(basic).to_der().unwrap());
    assert!(world.check(&responses).is_ok(), "{:?}", world.check(&responses));
}

/// One fault each in the answer about the leaf.
#[test]
fn faults_of_an_answer_are_told_apart() {
    let world = World::new();
    let stranger = Ca::role_root(Role::OtrpTam);
    let index = 0;
    let edited = |edit: &dyn Fn(&mut Entry)| {
        let mut one = world.leaf_entry();
        edit(&mut one);
        sign(vec![one], &world.middle)
    };
    let mut forged = edited(&|_| ());
    let last = forged.len() - 1;
    forged[last] ^= 1;
    let mut cut = edited(&|_| ());
    cut.pop();
    let other_serial = world.middle.leaf(Role::OtrpTam);
    let revoked = Status::Revoked { at: NOW - 5, reason: Some(1) };
    let cases: Vec<(&str, Vec<u8>, OcspError, tamarack_model::Code)> = vec![
        ("revoked", edited(&|e| e.status = revoked), OcspError::Revoked { index }, codes::X509_REVOKED),
        (
            "revoked long ago",
            edited(&|e| {
                e.status = revoked;
                e.next_update = Some(NOW - DAY);
            }),
            OcspError::Revoked { index },
            codes::X509_REVOKED,
        ),
        (
            "revoked without reason",
            edited(&|e| e.status = Status::Revoked { at: NOW - 5, reason: None }),
            OcspError::Revoked { index },
            codes::X509_REVOKED,
        ),
        (
            "unknown",
            edited(&|e| e.status = Status::Unknown),
            OcspError::Unknown { index },
            codes::OCSP_MISSING,
        ),
        ("stale", edited(&|e| e.next_update = Some(NOW - 1)), OcspError::Stale { index }, codes::OCSP_STALE),
        (
            "a day old without next update",
            edited(&|e| {
                e.next_update = None;
                e.this_update = NOW - DAY - 1;
            }),
            OcspError::Stale { index },
            codes::OCSP_STALE,
        ),
        ("future", edited(&|e| e.this_update = NOW + 301), OcspError::Future { index }, codes::OCSP_STALE),
        (
            "signed by the root instead of the issuer",
            sign(vec![world.leaf_entry()], &world.root),
            OcspError::Signature { index },
            codes::OCSP_UNTRUSTED,
        ),
        (
            "signed by a stranger",
            sign(vec![world.leaf_entry()], &stranger),
            OcspError::Signature { index },
            codes::OCSP_UNTRUSTED,
        ),
        (
            "signed by a stranger in the issuer's name",
            sign_as(vec![world.leaf_entry()], &world.middle.der, &*stranger.signer, Vec::new()),
            OcspError::Signature { index },
            codes::OCSP_UNTRUSTED,
        ),
        (
            "signed by the issuer in a stranger's name",
            sign_as(vec![world.leaf_entry()], &stranger.der, &*world.middle.signer, Vec::new()),
            OcspError::Signature { index },
            codes::OCSP_UNTRUSTED,
        ),
        ("a changed signature", forged, OcspError::Signature { index }, codes::OCSP_UNTRUSTED),
        (
            "about another certificate",
            sign(vec![entry(&other_serial, &world.middle.der)], &world.middle),
            OcspError::Missing { index },
            codes::OCSP_MISSING,
        ),
        (
            "about this serial number under another issuer",
            sign(vec![entry(&world.leaf, &stranger.der)], &world.middle),
            OcspError::Missing { index },
            codes::OCSP_MISSING,
        ),
        ("no status", sign(vec![], &world.middle), OcspError::Missing { index }, codes::OCSP_MISSING),
        ("garbage", b"garbage".to_vec(), OcspError::Malformed, codes::OCSP_MALFORMED),
        ("empty", vec![], OcspError::Malformed, codes::OCSP_MALFORMED),
        ("cut off", cut, OcspError::Malformed, codes::OCSP_MALFORMED),
        (
            "try later",
            Failure::TryLater.to_der(),
            OcspError::Failed(Failure::TryLater),
            codes::OCSP_UNAVAILABLE,
        ),
    ];
    for (name, answer, expected, code) in cases {
        let error = world.check(&world.with(answer)).expect_err(name);
        assert_eq!(error, expected, "{name}");
        assert_eq!(error.code(), code, "{name}");
        assert!(!error.to_string().is_empty() && error.code().info().is_some());
    }
}

#[test]
fn every_certificate_but_the_root_needs_a_status() {
    let world = World::new();
    let [leaf, middle] = <[Vec<u8>; 2]>::try_from(world.good()).unwrap();
    assert_eq!(world.check(&[]), Err(OcspError::Missing { index: 0 }));
    assert_eq!(world.check(&[middle]), Err(OcspError::Missing { index: 0 }));
    assert_eq!(world.check(std::slice::from_ref(&leaf)), Err(OcspError::Missing { index: 1 }));
    let mut revoked = entry(&world.middle.der, &world.root.der);
    revoked.status = Status::Revoked { at: NOW, reason: None };
    let responses = [leaf, sign(vec![revoked], &world.root)];
    assert_eq!(world.check(&responses), Err(OcspError::Revoked { index: 1 }));
}

#[test]
fn a_revocation_outweighs_what_is_good() {
    let world = World::new();
    let mut revoked = world.leaf_entry();
    revoked.status = Status::Revoked { at: NOW, reason: None };
    for first in [true, false] {
        let mut responses = world.good();
        responses.insert(if first { 0 } else { 2 }, sign(vec![revoked.clone()], &world.middle));
        assert_eq!(world.check(&responses), Err(OcspError::Revoked { index: 0 }));
    }
    // A forged one does not.
    let mut responses = world.good();
    responses.insert(0, sign(vec![revoked], &Ca::role_root(Role::OtrpTam)));
    assert!(world.check(&responses).is_ok());
}

/// The clock may have been set back: what certainly has passed counts.
#[test]
fn the_floor_is_a_time_that_has_passed() {
    let world = World::new();
    let responses = world.good();
    let at = |now, floor| check_both(&world.path(), &responses, &Freshness::new(now, floor));
    assert!(at(NOW, NOW + 3600).is_ok());
    assert_eq!(at(NOW, NOW + 3601), Err(OcspError::Stale { index: 0 }));
    assert_eq!(at(0, 0), Err(OcspError::Future { index: 0 }));
    assert!(at(0, NOW - 200).is_ok());
    assert_eq!(at(NOW + 3601, 0), Err(OcspError::Stale { index: 0 }));
    assert!(at(NOW - 360, 0).is_ok());
    assert_eq!(at(NOW - 361, 0), Err(OcspError::Future { index: 0 }));
}

#[test]
fn a_status_without_end_holds_a_day() {
    let world = World::new();
    let mut one = world.leaf_entry();
    one.next_update = None;
    one.this_update = NOW - DAY;
    let checked = world.check(&world.with(sign(vec![one], &world.middle))).unwrap();
    assert_eq!(checked.next_update, NOW);
}

#[test]
fn no_status_moves_the_floor_beyond_its_own_end() {
    let world = World::new();
    let responder = ResponderId::key_of(&world.middle.der).unwrap();
    let data = ResponseData {
        responder,
        produced_at: u64::from(u32::MAX),
        entries: vec![world.leaf_entry()],
        nonce: None,
    };
    let basic = BasicResponse::sign(data, &*world.middle.signer, Vec::new()).unwrap();
    let checked = world.check(&world.with(Response::Basic(basic).to_der().unwrap())).unwrap();
    assert_eq!(checked.produced_at, NOW + 3600);
}

#[test]
fn responders_are_certified_by_the_issuer_for_this() {
    let world = World::new();
    let stranger = Ca::role_root(Role::OtrpTam);
    let answer = |ca: &Ca, edit: Edit| {
        let (der, key) = delegate(ca, edit);
        world.with(sign_as(vec![world.leaf_entry()], &der, &*key, vec![stranger.der.clone(), der.clone()]))
    };
    assert!(world.check(&answer(&world.middle, keep)).is_ok());
    let faults: [(&str, Edit); 8] = [
        ("no extended key usage", |p| p.extended_key_usages.clear()),
        ("for TLS", |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]),
        ("for anything", |p| p.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any]),
        ("also a role", |p| p.extended_key_usages.push(purpose(Role::OtrpTam))),
        ("expired", |p| p.not_after = at(NOW - 1)),
        ("not yet", |p| p.not_before = at(NOW + 1)),
        ("no signatures", |p| p.key_usages = vec![KeyUsagePurpose::KeyAgreement]),
        ("a CA", |p| p.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained)),
    ];
    for (name, edit) in faults {
        let error = world.check(&answer(&world.middle, edit)).expect_err(name);
        assert_eq!(error, OcspError::Signature { index: 0 }, "{name}");
    }
    for (name, ca) in [("the root", &world.root), ("a stranger", &stranger)] {
        let error = world.check(&answer(ca, keep)).expect_err(name);
        assert_eq!(error, OcspError::Signature { index: 0 }, "certified by {name}");
    }
    // The certificate does not come along, or another key signs in its name.
    let (der, key) = delegate(&world.middle, keep);
    let alone = world.with(sign_as(vec![world.leaf_entry()], &der, &*key, vec![]));
    assert_eq!(world.check(&alone), Err(OcspError::Signature { index: 0 }));
    let stolen = world.with(sign_as(vec![world.leaf_entry()], &der, &*stranger.signer, vec![der.clone()]));
    assert_eq!(world.check(&stolen), Err(OcspError::Signature { index: 0 }));
}

#[test]
fn delegates_expire_by_the_floor_too() {
    let world = World::new();
    let (der, key) = delegate(&world.middle, |params| params.not_after = at(NOW + 10));
    let responses = world.with(sign_as(vec![world.leaf_entry()], &der, &*key, vec![der.clone()]));
    let at = |floor| check_both(&world.path(), &responses, &Freshness::new(NOW, floor));
    assert!(at(NOW + 10).is_ok());
    assert_eq!(at(NOW + 11), Err(OcspError::Signature { index: 0 }));
}

#[test]
fn there_are_limits() {
    let world = World::new();
    let many = vec![world.leaf_entry(); tamarack_x509::ocsp::MAX_ENTRIES];
    assert!(world.check(&world.with(sign(many.clone(), &world.middle))).is_ok());
    let more = [many, vec![world.leaf_entry()]].concat();
    assert_eq!(world.check(&world.with(sign(more, &world.middle))), Err(OcspError::Malformed));
    let responses = vec![world.good().remove(0); tamarack_x509::ocsp::MAX_RESPONSES + 1];
    assert_eq!(world.check(&responses), Err(OcspError::Malformed));
    assert_eq!(world.check(&[vec![0x30; 1 << 20]]), Err(OcspError::Malformed));
    let (der, key) = delegate(&world.middle, keep);
    let certificates = vec![der.clone(); 5];
    let crowded = world.with(sign_as(vec![world.leaf_entry()], &der, &*key, certificates));
    assert_eq!(world.check(&crowded), Err(OcspError::Malformed));
}

#[test]
fn messages_read_back() {
    let world = World::new();
    let ids = vec![id(&world.leaf, &world.middle.der), id(&world.middle.der, &world.root.der)];
    for nonce in [None, Some(vec![7; 16])] {
        let request = Request { ids: ids.clone(), nonce: nonce.clone() };
        assert_eq!(Request::parse(&request.to_der().unwrap()), Ok(request));
        let data = ResponseData {
            responder: ResponderId::Key([9; 20]),
            produced_at: NOW,
            entries: vec![world.leaf_entry()],
            nonce,
        };
        let response = Response::Basic(
            BasicResponse::sign(data, &*world.root.signer, vec![world.leaf.clone()]).unwrap(),
        );
        let der = response.to_der().unwrap();
        assert_eq!(Response::parse(&der).as_ref(), Ok(&response));
        // Every truncation and every byte behind the end.
        for cut in 0..der.len() {
            assert_eq!(Response::parse(&der[..cut]), Err(OcspError::Malformed));
        }
        assert_eq!(Response::parse(&[&der[..], &[0]].concat()), Err(OcspError::Malformed));
    }
    assert_eq!(
        Request::parse(&Request { ids: vec![], nonce: None }.to_der().unwrap()),
        Err(OcspError::Malformed)
    );
    for failure in [
        Failure::MalformedRequest,
        Failure::InternalError,
        Failure::TryLater,
        Failure::SignatureRequired,
        Failure::Unauthorized,
    ] {
        assert_eq!(Response::parse(&failure.to_der()), Ok(Response::Failed(failure)));
    }
    // 0 needs an answer, 4 is not used.
    for number in [0, 4, 7] {
        assert_eq!(Response::parse(&[0x30, 3, 0x0a, 1, number]), Err(OcspError::Malformed));
    }
}

/// Every byte counts: whichever is changed, the status is not good any more.
#[test]
fn a_changed_byte_anywhere_is_noticed() {
    let world = World::new();
    let good = world.good().remove(0);
    let path = world.path();
    for at in 0..good.len() {
        for bit in [0x01, 0x80] {
            let mut changed = good.clone();
            changed[at] ^= bit;
            let responses = world.with(changed);
            let result = check(&path, &responses, &Freshness::new(NOW, 0), &aws());
            assert!(result.is_err(), "byte {at} of {}", good.len());
        }
    }
}
