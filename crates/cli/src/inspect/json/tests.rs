use std::path::{Path, PathBuf};

use super::super::{Refusal, tree};

/// The folder with the published and the repaired samples of OTrP.
fn samples() -> Option<PathBuf> {
    let folder = tamarack_testkit::specs::specs_dir()?.parent()?.join("otrp/samples");
    if folder.is_dir() {
        return Some(folder);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is needed", folder.display());
    println!("skipped: {} is missing", folder.display());
    None
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|p| p.is_file())
        .collect();
    files.sort();
    files
}

fn shown(json: &str) -> String {
    tree(json.as_bytes(), None).unwrap().to_string()
}

#[test]
fn every_sample_is_shown_or_refused_with_its_position() {
    let Some(folder) = samples() else { return };
    let (mut trees, mut errors) = (0, 0);
    for file in files(&folder).into_iter().chain(files(&folder.join("fresh/ec"))) {
        let bytes = std::fs::read(&file).unwrap();
        let text = file.extension().is_some_and(|e| e == "json" || e == "txt");
        match tree(&bytes, None) {
            Ok(node) => {
                assert!(!node.to_string().is_empty() && node.to_json().is_object(), "{}", file.display());
                trees += usize::from(text);
            }
            Err(Refusal::Json(why)) => {
                assert!(why.contains(" at byte ") && why.contains("(line "), "{}: {why}", file.display());
                errors += 1;
            }
            // The texts of content that was decrypted, certificates and keys are not JSON.
            Err(Refusal::Cbor(why)) => {
                assert!(file.extension().is_none_or(|e| e != "json"), "{}: {why}", file.display())
            }
        }
    }
    assert!(trees > 45 && errors > 15, "{trees} trees and {errors} errors");
}

#[test]
fn every_repaired_and_every_fresh_message_is_named() {
    let Some(folder) = samples() else { return };
    for file in files(&folder).into_iter().chain(files(&folder.join("fresh/ec"))) {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".json") || name.starts_with("vectors") || name.starts_with("transcript") {
            continue;
        }
        let text = shown(&std::fs::read_to_string(&file).unwrap());
        assert!(text.contains("(OTrP ") || text.contains("state information"), "{name}: {text}");
    }
}

#[test]
fn a_request_says_what_is_signed_encrypted_and_neither() {
    let Some(folder) = samples() else { return };
    let read = |name: &str| shown(&std::fs::read_to_string(folder.join("fresh/ec").join(name)).unwrap());
    let request = read("01-GetDeviceStateRequest.json");
    for part in [
        "GetDeviceStateRequest: JWS (flattened), ES256  (OTrP 9.1.1, signed by the TAM)",
        "bytes of JSON, signed",
        "tid: \"",
        "OCSP response, ",
        "NOT signed",
        "certificate, ",
        "P-256",
        "name: registeredID 1.3.6.1.4.1.99999.1.7",
    ] {
        assert!(request.contains(part), "{part:?} is not in {request}");
    }
    let install = read("05-InstallTARequest.json");
    for part in [
        "content: JWE (general), ECDH-ES+A128KW, A128CBC-HS256: ",
        "bytes encrypted, not shown",
        "key: JWE (compact), ECDH-ES+A128KW",
        "epk: JWK, public, EC P-256",
        "dsihash: SHA-256 ",
    ] {
        assert!(install.contains(part), "{part:?} is not in {install}");
    }
    let response = read("02-GetDeviceStateResponse.json");
    assert!(response.contains("[0]: object of 1 member"), "{response}");
    assert!(response.contains("GetDeviceTEEStateResponse: JWS (flattened), ES256"), "{response}");
    let information = read("10-TAInformation.json");
    assert!(information.contains("signer: JWK, public, EC P-256"), "{information}");
    let error = read("19-OTrPBrokerError.json");
    assert!(error.contains("not signed, a hint and no proof"), "{error}");
}

#[test]
fn what_a_receiver_would_refuse_is_said() {
    let Some(folder) = samples() else { return };
    let check = |name: &str, says: &str| {
        let text = shown(&std::fs::read_to_string(folder.join(name)).unwrap());
        assert!(text.contains(says), "{name}: {says:?} is not in {text}");
    };
    check("01-GetDeviceStateTBSRequest.json", "one value where OTrP has an array");
    check("02-GetDeviceStateRequest.json", "not JSON: expected");
    check("07-CreateSDRequest.json", "refused");
    check("21-UpdateTARequest.json", "a tag of 32 bytes; A128CBC-HS256 has 16");
    check("21-UpdateTARequest.json", "RSA1_5");
    check("25-DeleteTARequest.json", "must be a string: refused");
}

#[test]
fn names_and_algorithms_are_compared() {
    use super::jose::base64;
    assert_eq!(base64("_-8="), Some(vec![0xff, 0xef]));
    let jws = |outer: &str, protected: &str, payload: &str| {
        let encode = |text: &str| {
            let json = tamarack_jose::json::object([("x", text.into())]);
            assert!(json.get("x").is_some());
            encoded(text.as_bytes())
        };
        format!(
            r#"{{"{outer}":{{"protected":"{}","payload":"{}","signature":"AA"}}}}"#,
            encode(protected),
            encode(payload)
        )
    };
    let text = shown(&jws("CreateSDRequest", r#"{"alg":"ES256"}"#, r#"{"DeleteSDTBSRequest":{}}"#));
    assert!(text.contains("named CreateSDRequest outside, and DeleteSDTBSRequest inside"), "{text}");
    let text = shown(&jws("CreateSDRequest", r#"{"alg":"ES256"}"#, r#"{"CreateSDTBSRequest":{}}"#));
    assert!(!text.contains("outside"), "{text}");
    for (alg, note) in [("none", "signed by nobody"), ("HS256", "is no signature")] {
        let header = format!(r#"{{"alg":"{alg}"}}"#);
        let text = shown(&jws("TAInformation", &header, r#"{"TAInformationTBS":{"taid":"x"}}"#));
        assert!(text.contains(note), "{text}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let text = shown(r#"{"kty":"EC","crv":"P-256","x":"AQ","y":"Ag","d":"c2VjcmV0"}"#);
    assert!(text.contains("JWK, SECRET, EC P-256") && !text.contains("736563726574"), "{text}");
}

#[test]
fn compact_serializations_are_known() {
    let header = encoded(br#"{"alg":"ES256"}"#);
    let payload = encoded(br#"{"TEESPAIKS":{"tamid":"1.2.3","iat":1,"exp":2,"aiks":[]}}"#);
    let text = tree(format!("{header}.{payload}.AAAA\n").as_bytes(), None).unwrap().to_string();
    assert!(text.starts_with("JWS (compact), ES256"), "{text}");
    assert!(text.contains("tamid: \"1.2.3\""), "{text}");
    let header = encoded(br#"{"alg":"RSA1_5","enc":"A256GCM"}"#);
    let text = tree(format!("{header}.AA.AA.AAAA.AA").as_bytes(), None).unwrap().to_string();
    assert!(text.starts_with("JWE (compact), RSA1_5, A256GCM: 3 bytes encrypted"), "{text}");
    assert!(text.contains("refused") && text.contains("a tag of 1 bytes"), "{text}");
}

#[test]
fn garbage_is_an_error_with_a_position_and_never_a_panic() {
    for text in [
        "{",
        "[",
        "{\"a\":}",
        "[1,]",
        "{\"a\":1,\"a\":2}",
        "{\"GetDeviceStateRequest\":",
        "[\u{1}]",
        "{\"\\ud800\":1}",
    ] {
        match tree(text.as_bytes(), None) {
            Err(Refusal::Json(why)) => {
                assert!(why.contains(" at byte ") && why.contains("column"), "{text}: {why}")
            }
            other => panic!("{text}: {other:?}"),
        }
    }
    let deep = "[".repeat(2000);
    assert!(matches!(tree(deep.as_bytes(), None), Err(Refusal::Json(_))));
    // Any single byte of a message changed.
    let message =
        r#"{"CreateSDRequest":{"protected":"eyJhbGciOiJFUzI1NiJ9","payload":"e30","signature":"AA"}}"#;
    for at in 0..message.len() {
        for byte in [0, b'"', b'{', 0xff] {
            let mut changed = message.as_bytes().to_vec();
            changed[at] = byte;
            if let Ok(node) = tree(&changed, None) {
                let _ = node.to_string();
            }
        }
    }
}

/// Base64 for URLs, without padding.
fn encoded(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0u32, |word, b| word << 8 | u32::from(*b)) << (8 * (3 - chunk.len()));
        for i in 0..=chunk.len() {
            text.push(char::from(ALPHABET[(word >> (18 - 6 * i) & 63) as usize]));
        }
    }
    text
}
