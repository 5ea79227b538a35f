//! EARs of the draft and of Veraison. Those in JSON are read by turning them into the CBOR that they stand for.

use std::path::Path;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use tamarack_cbor::{Decode, Encode, Encoder};
use tamarack_crypto::{PublicKey, Sign};
use tamarack_eat::ear::{Ear, LIMITS, Tier, TrustVector};

use crate::table::Table;

pub fn run(table: &mut Table) {
    let root = table.root().to_owned();
    for folder in ["ear", "ear/veraison-ear", "ear/veraison-rust-ear"] {
        let entries = std::fs::read_dir(root.join(folder)).expect(folder);
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("entry").file_name().into_string().expect("a name")).collect();
        names.retain(|name| name != "SOURCE.txt" && !name.ends_with(".diag") && name.contains('.'));
        names.sort();
        for name in names {
            let path = root.join(folder).join(&name);
            let bytes = std::fs::read(&path).expect("listed file");
            let outcome = match name.as_str() {
                "pkey.json" | "ec_key_pub.jwk" => public_jwk(&bytes).map(|_| "a P-256 public key".into()),
                "skey.json" => private_jwk(&path, &bytes),
                "ec_key_pub.pem" => public_pem(&path, &bytes),
                "skey.pem" => private_pem(&path, &bytes),
                "ec_key.pem" => refused_key(&bytes),
                "ec_key.jwk" => encrypted_jwk(&bytes),
                json if json.ends_with(".json") => check(json, &from_json(&parse(&bytes))),
                json if json.contains("-json-") => {
                    let value: Value = ciborium::from_reader(&bytes[..]).expect("CBOR of JSON");
                    assert!(Ear::from_cbor(&bytes, &LIMITS).is_err(), "the JSON names are none in a CWT");
                    check(json, &from_json(&value))
                }
                cbor => check(cbor, &bytes),
            };
            table.record(&format!("{folder}/{name}"), outcome);
        }
    }
}

/// What is read is written with the same members, and what its publisher calls wrong is refused.
fn check(name: &str, bytes: &[u8]) -> Result<String, String> {
    match (Ear::from_cbor(bytes, &LIMITS), name.contains("-ko")) {
        (Err(e), true) => Ok(format!("refused: {e}")),
        (Err(e), false) => Err(e.to_string()),
        (Ok(_), true) => Err("read although it is invalid".into()),
        (Ok(ear), false) => {
            let again = Ear::from_cbor(&ear.to_cbor(), &LIMITS).map_err(|e| e.to_string())?;
            let statuses: Vec<String> =
                ear.submods.iter().map(|(name, appraisal)| format!("{name} {}", appraisal.status)).collect();
            (again == ear).then(|| statuses.join(", ")).ok_or("what was written is read otherwise".into())
        }
    }
}

fn parse(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

/// Names since the revision of 2026-03, and those before.
fn label(name: &str) -> Option<i64> {
    Some(match name {
        "exp" => 4,
        "iat" => 6,
        "eat_nonce" => 10,
        "ueid" => 256,
        "oemid" => 258,
        "hwmodel" => 259,
        "hwversion" => 260,
        "eat_profile" => 265,
        "submods" => 266,
        "ear_status" | "ear.status" => 1000,
        "ear_trustworthiness_vector" | "ear.trustworthiness-vector" => 1001,
        "ear_raw_evidence" | "ear.raw-evidence" => 1002,
        "ear_appraisal_policy_ids" | "ear.appraisal-policy-id" => 1003,
        "ear_verifier_id" | "ear.verifier-id" => 1004,
        "ear_teep_claims" => 65_000,
        _ => return None,
    })
}

fn from_json(claims: &Value) -> Vec<u8> {
    let mut e = Encoder::new();
    e.map_with(|map| {
        for (name, value) in claims.as_object().expect("an object") {
            match label(name) {
                Some(label) => drop(map.int(label, |e| e.raw(&claim(label, value)))),
                None => drop(map.text(name, |e| e.text(&value.to_string()))),
            }
        }
    });
    e.into_bytes()
}

fn claim(label: i64, value: &Value) -> Vec<u8> {
    let mut e = Encoder::new();
    match (label, value) {
        (266, Value::Object(submods)) => drop(e.map_with(|map| {
            for (name, appraisal) in submods {
                map.text(name, |e| e.raw(&from_json(appraisal)));
            }
        })),
        (65_000, claims) => drop(e.raw(&from_json(claims))),
        (1000, Value::String(name)) => drop(e.item(&tier(name))),
        (1001, Value::Object(claims)) => drop(e.map_with(|map| {
            for (label, name, _) in TrustVector::default().claims() {
                map.optional(label, claims.get(name).and_then(Value::as_i64), |e, claim| e.int(claim));
            }
        })),
        (1003, Value::String(policy)) => drop(e.array(1).text(policy)),
        (1004, Value::Object(id)) => drop(e.map_with(|map| {
            for (label, name) in [(0, "developer"), (1, "build")] {
                map.optional(label, id.get(name).and_then(Value::as_str), |e, text| e.text(text));
            }
        })),
        (10 | 256 | 258 | 259 | 1002, Value::String(text)) => drop(e.bytes(&base64url(text))),
        (_, Value::Array(items)) => {
            e.array(items.len());
            for item in items {
                e.raw(&claim(0, item));
            }
        }
        (_, Value::String(text)) => drop(e.text(text)),
        (_, Value::Number(number)) => drop(e.int(number.as_i64().expect("an integer"))),
        (label, value) => panic!("{label}: {value}"),
    }
    e.into_bytes()
}

fn tier(name: &str) -> Tier {
    [Tier::Affirming, Tier::None, Tier::Warning, Tier::Contraindicated]
        .into_iter()
        .find(|tier| tier.to_string() == name)
        .expect("a tier")
}

/// The draft's examples are shortened, and end in bits that belong to no byte.
fn base64url(text: &str) -> Vec<u8> {
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&URL_SAFE, config).decode(text).expect("Base64")
}

fn public_jwk(bytes: &[u8]) -> Result<PublicKey, String> {
    let key = parse(bytes);
    let member = |name: &str| base64url(key[name].as_str().unwrap_or_default());
    let point = [vec![4], member("x"), member("y")].concat();
    PublicKey::from_point(&point).map_err(|e| e.to_string())
}

fn private_jwk(path: &Path, bytes: &[u8]) -> Result<String, String> {
    let public = public_jwk(&std::fs::read(path.with_file_name("pkey.json")).expect("pkey.json"))?;
    let same = public_jwk(bytes)? == public;
    same.then(|| "the private half of pkey.json".into()).ok_or("another key than pkey.json".into())
}

fn rust_ear_key(path: &Path) -> Result<PublicKey, String> {
    public_jwk(&std::fs::read(path.with_file_name("ec_key_pub.jwk")).expect("ec_key_pub.jwk"))
}

fn public_pem(path: &Path, pem: &[u8]) -> Result<String, String> {
    let pem = core::str::from_utf8(pem).map_err(|e| e.to_string())?;
    let key = tamarack_pki::public_key_from_pem(pem).map_err(|e| e.to_string())?;
    (key == rust_ear_key(path)?).then(|| "the key of ec_key_pub.jwk".into()).ok_or("another key".into())
}

/// The key signs an EAR of ours, which its public half verifies.
fn private_pem(path: &Path, pem: &[u8]) -> Result<String, String> {
    let pem = core::str::from_utf8(pem).map_err(|e| e.to_string())?;
    let key: Box<dyn Sign> = tamarack_pki::load_key(pem).map_err(|e| e.to_string())?;
    let same = key.public_key() == rust_ear_key(path)?;
    same.then(|| "the private half of ec_key_pub.jwk".into()).ok_or("another key".into())
}

/// SEC1 is not PKCS#8.
fn refused_key(pem: &[u8]) -> Result<String, String> {
    let pem = core::str::from_utf8(pem).map_err(|e| e.to_string())?;
    match tamarack_pki::load_key(pem) {
        Err(e) => Ok(format!("the key of skey.pem in a form that is not read: {e}")),
        Ok(_) => Err("read although it is no PKCS#8".into()),
    }
}

fn encrypted_jwk(bytes: &[u8]) -> Result<String, String> {
    let key = parse(bytes);
    let encrypted = key.get("ciphertext").is_some() && key.get("kty").is_none();
    encrypted.then(|| "a key under a password that is not published".into()).ok_or("a key".into())
}
