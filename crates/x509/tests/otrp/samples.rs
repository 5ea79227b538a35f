//! The exchange that accompanies the OTrP draft in the folder of specifications, which is not part of this repository.

use std::path::PathBuf;

use base64ct::{Base64, Base64UrlUnpadded, Encoding};
use serde_json::Value;
use tamarack_x509::ocsp::{Freshness, OcspError, Response, check};
use tamarack_x509::{Anchor, NameKind, PathOptions, Role, validate, validate_any};

use crate::support::providers;

/// 2026-06-01.
const NOW: u64 = 1_780_272_000;

fn folder() -> Option<PathBuf> {
    let shared = std::env::var_os("TAMARACK_SPECS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/specs")),
        PathBuf::from,
    );
    let folder = shared.join("../otrp/samples/fresh/ec");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "no samples in {}", folder.display());
    println!("skipped: no samples in {}", folder.display());
    None
}

fn strings(value: &Value) -> Vec<Vec<u8>> {
    value.as_array().unwrap().iter().map(|text| Base64::decode_vec(text.as_str().unwrap()).unwrap()).collect()
}

#[test]
fn the_sample_tam_is_good_and_its_revocation_counts() {
    let Some(folder) = folder() else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).unwrap();
    let json = |name: &str| serde_json::from_slice::<Value>(&read(name)).unwrap();
    let message = &json("01-GetDeviceStateRequest.json")["GetDeviceStateRequest"];
    let chain = strings(&message["header"]["x5c"]);
    let payload = Base64UrlUnpadded::decode_vec(message["payload"].as_str().unwrap()).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    let responses = strings(&payload["GetDeviceStateTBSRequest"]["ocspdat"]);
    let transcript = json("transcript.json");
    let revoked = Base64::decode_vec(transcript["revoked_ocsp_for_tam"].as_str().unwrap()).unwrap();
    let anchor = |name| Anchor::from_der(&read(name)).unwrap();
    let anchors = [anchor("fw_root.cert.der"), anchor("tam_root.cert.der"), anchor("tee_root.cert.der")];
    let draft = PathOptions { require_role: false };
    let freshness = Freshness::new(NOW, 0);
    for provider in providers() {
        let valid = validate_any(&chain, &anchors, Role::OtrpTam, NOW, &draft, &provider).unwrap();
        assert_eq!(valid.anchor_index(), 1);
        assert_eq!(valid.name(NameKind::RegisteredId).ok(), transcript["tamid"].as_str());
        assert!(valid.may_agree());
        let path = valid.path();
        assert_eq!(path.len(), 3);
        let checked = check(&path, &responses, &freshness, &provider).unwrap();
        assert!(checked.next_update > NOW);
        let ca = responses[1].clone();
        let error = check(&path, &[revoked.clone(), ca], &freshness, &provider).unwrap_err();
        assert_eq!(error, OcspError::Revoked { index: 0 });
        let error = check(&path, &responses[..1], &freshness, &provider).unwrap_err();
        assert_eq!(error, OcspError::Missing { index: 1 });
        // It has no extended key usages, so the hardened profile and TEEP refuse it.
        let hardened = validate_any(&chain, &anchors, Role::OtrpTam, NOW, &PathOptions::default(), &provider);
        assert!(hardened.is_err());
        assert!(validate(&chain, &anchors, Role::Tam, NOW, &provider).is_err());
    }
    for der in responses.iter().chain([&revoked]) {
        assert_eq!(Response::parse(der).unwrap().to_der().as_ref(), Ok(der), "written as it was read");
    }
    for (role, root, certificates) in [
        (Role::OtrpTee, 2, ["tee.cert.der", "tee_ca.cert.der"].as_slice()),
        (Role::Firmware, 0, &["tfw.cert.der"]),
    ] {
        let chain: Vec<_> = certificates.iter().map(|name| read(name)).collect();
        for provider in providers() {
            let valid = validate_any(&chain, &anchors, role, NOW, &draft, &provider).unwrap();
            assert_eq!(valid.anchor_index(), root);
        }
    }
}
