//! The COSE working group's examples: COSE_Sign1 and COSE_Sign. All of them use algorithm ids that are deprecated, so
//! the keys accept those ids here; without that switch every one is refused, which is checked too.

use serde_json::Value;
use tamarack_cbor::Limits;
use tamarack_cose::{Error, Purpose, Sign, Sign1, VerificationKey};
use tamarack_crypto::{Provider, PublicKey};

use crate::table::Table;

pub fn run(table: &mut Table) {
    let provider = tamarack_crypto_rustcrypto::provider();
    let index = std::fs::read_to_string(table.root().join("INDEX.tsv")).expect("INDEX.tsv");
    for line in index.lines().skip(1) {
        let mut columns = line.split('\t');
        let (Some(name), Some("cose-wg-examples")) = (columns.next(), columns.next()) else { continue };
        let json = table.root().join(name).with_extension("json");
        let case: Value = serde_json::from_slice(&std::fs::read(json).expect("listed file")).expect("JSON");
        let structure = ["sign", "sign0"].iter().find(|kind| !case["input"][**kind].is_null());
        let outcome = match structure {
            Some(kind) => check(&case, kind, &provider),
            None => {
                Ok("neither Sign nor Sign1: only encryption for a named use is read, which none of these is"
                    .into())
            }
        };
        table.record(name, outcome);
    }
}

fn check(case: &Value, kind: &str, provider: &Provider) -> Result<String, String> {
    let input = &case["input"];
    let object =
        hex::decode(case["output"]["cbor"].as_str().ok_or("no output")?).map_err(|e| e.to_string())?;
    let signers = match input[kind]["signers"].as_array() {
        Some(signers) => signers.clone(),
        None => vec![input[kind].clone()],
    };
    let strict: Vec<VerificationKey> =
        signers.iter().filter_map(|signer| key(&signer["key"], provider)).collect();
    let legacy: Vec<VerificationKey> = strict.iter().cloned().map(|key| key.accepting_legacy_ids()).collect();
    let aad =
        signers[0]["external"].as_str().map(|text| hex::decode(text).unwrap_or_default()).unwrap_or_default();
    let must_fail = [&case["fail"], &input["fail"]].iter().any(|flag| flag.as_bool() == Some(true));
    let plaintext = match input["plaintext_hex"].as_str() {
        Some(text) => hex::decode(text).map_err(|e| e.to_string())?,
        None => input["plaintext"].as_str().unwrap_or_default().as_bytes().to_vec(),
    };

    if let Ok(payload) = verify(&object, kind, &strict, &aad, provider) {
        return Err(format!("verified without the legacy switch: {} bytes", payload.len()));
    }
    match verify(&object, kind, &legacy, &aad, provider) {
        Ok(_) if must_fail => Err("must be refused, but verifies".into()),
        Ok(payload) if payload == plaintext => Ok(format!("{kind} verifies with the legacy switch only")),
        Ok(_) => Err("verifies over another payload".into()),
        Err(e) if must_fail => Ok(format!("refused as it must be: {e}")),
        Err(e) => Err(e.to_string()),
    }
}

fn verify(
    object: &[u8],
    kind: &str,
    keys: &[VerificationKey],
    aad: &[u8],
    provider: &Provider,
) -> Result<Vec<u8>, Error> {
    let (limits, purpose) = (Limits::default(), Purpose::TeepMessage);
    let verified = match kind {
        "sign0" => Sign1::parse(object, &limits)?.verify(keys, purpose, None, aad, provider),
        _ => Sign::parse(object, &limits)?.verify(keys, purpose, None, aad, provider),
    };
    verified.map(|v| v.into_value())
}

/// The case's key, if it is of a type that we use; without one the object must be refused.
fn key(key: &Value, provider: &Provider) -> Option<VerificationKey> {
    use base64::Engine;
    let coordinate = |name: &str| -> Option<[u8; 32]> {
        let bytes = match key[format!("{name}_hex")].as_str() {
            Some(text) => hex::decode(text).ok()?,
            None => base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(key[name].as_str()?).ok()?,
        };
        bytes.try_into().ok()
    };
    let public = match key["crv"].as_str()? {
        "P-256" => PublicKey::P256 { x: coordinate("x")?, y: coordinate("y")? },
        "Ed25519" => PublicKey::Ed25519(coordinate("x")?),
        _ => return None,
    };
    let record = VerificationKey::new(public, Purpose::TeepMessage, provider);
    Some(match key["kid"].as_str() {
        Some(kid) => record.known_as(kid.as_bytes()),
        None => record,
    })
}
