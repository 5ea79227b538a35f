//! PSA tokens of RFC 9783 and of Veraison: the claims of every profile, the signature under a key that a maker endorses, and
//! the MAC that nobody can endorse. Claims in JSON are read by turning them into the CBOR that they stand for.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use tamarack_attest::psa_token::{PsaClaims, PsaProfile, wrap};
use tamarack_attest::{
    Expectations, Grade, Policy, ProviderRole, ReferenceProvider, References, appraise, psa_token,
};
use tamarack_cbor::{Decode, Encoder, Limits};
use tamarack_corim::{AttestKeys, Class, ClassId, Comid, Corim, CryptoKey, Environment, Id, Signer};
use tamarack_cose::{Mac0, MacKey, Purpose, VerificationKey, thumbprint};
use tamarack_crypto::{KeyType, PublicKey, Secret};
use tamarack_crypto_rustcrypto::provider;
use tamarack_model::codes;

use crate::table::Table;

const NOW: u64 = 1_750_000_000;

pub fn run(table: &mut Table) {
    let folder = table.root().join("psa-token");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .expect("psa-token")
        .map(|entry| entry.expect("entry").file_name().into_string().expect("a name"))
        .filter(|name| name != "SOURCE.txt" && !name.ends_with(".diag"))
        .collect();
    names.sort();
    let read = |name: &str| std::fs::read(folder.join(name)).expect("listed file");
    let keys = Keys::read(&read);
    for name in names {
        let bytes = read(&name);
        let outcome = match name.as_str() {
            "cddl__example__tfm-es-iak.json" => Ok("the key that verifies psa-sign1".into()),
            "cddl__example__tfm-hs-iak.json" => Ok("the key that verifies psa-mac0".into()),
            "cddl__example__tfm-es-iak.pem" => keys.is_in_pem(&bytes),
            "cddl__example__psa-sign1.cbor" => signed(&bytes, &keys),
            "cddl__example__psa-sign1.hex" => signed(&unhex(&bytes), &keys),
            "cddl__example__psa-mac0.cbor" => authenticated(&bytes, &keys),
            "cddl__example__psa-mac0.hex" => authenticated(&unhex(&bytes), &keys),
            json if json.ends_with(".json") => check_json(json, &bytes),
            cbor => check(valid(cbor), &bytes),
        };
        table.record(&format!("psa-token/{name}"), outcome);
    }
}

/// Whether its publisher calls it valid, which the names say.
fn valid(name: &str) -> bool {
    if ["GOOD", "-valid"].iter().any(|word| name.contains(word)) {
        return true;
    }
    !["FAIL", "nvalid", "Missing", "missing", "empty"].iter().any(|word| name.contains(word))
}

fn check(valid: bool, bytes: &[u8]) -> Result<String, String> {
    match (PsaClaims::from_cbor(bytes, &Limits::default()), valid) {
        (Ok(claims), true) => Ok(format!("claims of {}", claims.profile.name())),
        (Err(e), false) => Ok(format!("refused: {e}")),
        (Ok(_), false) => Err("read although it is invalid".into()),
        (Err(e), true) => Err(format!("not read: {e}")),
    }
}

/// JSON names of claims, with their labels in the profile of 2019 and in the later ones.
const CLAIMS: &[(&str, Option<i64>, Option<i64>)] = &[
    ("psa-profile", Some(-75_000), None),
    ("eat-profile", None, Some(265)),
    ("psa-client-id", Some(-75_001), Some(2394)),
    ("psa-security-lifecycle", Some(-75_002), Some(2395)),
    ("psa-implementation-id", Some(-75_003), Some(2396)),
    ("psa-boot-seed", Some(-75_004), Some(2397)),
    ("psa-certification-reference", Some(-75_005), Some(2398)),
    ("psa-software-components", Some(-75_006), Some(2399)),
    ("psa-no-software-measurements", Some(-75_007), None),
    ("psa-nonce", Some(-75_008), Some(10)),
    ("psa-instance-id", Some(-75_009), Some(256)),
    ("psa-verification-service-indicator", Some(-75_010), Some(2400)),
];

const COMPONENT: &[(&str, i64)] = &[
    ("measurement-type", 1),
    ("measurement-value", 2),
    ("version", 4),
    ("signer-id", 5),
    ("measurement-desc", 6),
];

/// Names whose values are bytes in Base64.
const BYTES: &[&str] = &[
    "psa-implementation-id",
    "psa-boot-seed",
    "psa-nonce",
    "psa-instance-id",
    "measurement-value",
    "signer-id",
];

/// A document that names both profiles is read as either, and both must find the same.
fn check_json(name: &str, bytes: &[u8]) -> Result<String, String> {
    let json: serde_json::Value = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let has = |claim: &str| json.get(claim).is_some();
    // What is wrong with these two is wrong in one profile only.
    let only = [("boot-seed-invalid-missing", true), ("profile-invalid-missing", false)];
    let only = only.iter().find(|(part, _)| name.contains(part)).map(|(_, old)| *old);
    let old = only.unwrap_or(has("psa-profile") || !has("eat-profile"));
    let new = !only.unwrap_or(!has("eat-profile"));
    let mut shown = Vec::new();
    for (wanted, old) in [(old, true), (new, false)] {
        if wanted {
            shown.push(check(valid(name), &to_cbor(&json, old))?);
        }
    }
    Ok(format!("as CBOR: {}", shown.join(" / ")))
}

fn to_cbor(json: &serde_json::Value, old: bool) -> Vec<u8> {
    let mut e = Encoder::new();
    e.map_with(|map| {
        for (name, before, since) in CLAIMS {
            let Some(label) = (if old { before } else { since }) else { continue };
            let Some(value) = json.get(name) else { continue };
            map.int(*label, |e| match value.as_array() {
                Some(components) => components.iter().fold(e.array(components.len()), |e, component| {
                    e.map_with(|map| {
                        for (name, label) in COMPONENT {
                            map.optional(*label, component.get(name), |e, value| item(e, name, value));
                        }
                    })
                }),
                None => item(e, name, value),
            });
        }
    });
    e.into_bytes()
}

fn item<'e>(e: &'e mut Encoder, name: &str, value: &serde_json::Value) -> &'e mut Encoder {
    match (value.as_i64(), value.as_str()) {
        (Some(number), _) => e.int(number),
        (_, Some(text)) if BYTES.contains(&name) => {
            let lenient = text.trim_end_matches('=');
            e.bytes(&base64::prelude::BASE64_STANDARD_NO_PAD.decode(lenient).expect("Base64"))
        }
        (_, Some(text)) => e.text(text),
        (None, None) => panic!("{name}: {value}"),
    }
}

fn unhex(text: &[u8]) -> Vec<u8> {
    let digits: Vec<u8> = text.iter().filter(|b| b.is_ascii_hexdigit()).copied().collect();
    hex::decode(digits).expect("hexadecimal digits")
}

struct Keys {
    signing: PublicKey,
    mac: Vec<u8>,
}

impl Keys {
    fn read(read: &dyn Fn(&str) -> Vec<u8>) -> Self {
        // The lines are folded as RFC 8792 says, after a note.
        let json = |name: &str| -> serde_json::Value {
            let text = String::from_utf8(read(name)).expect("text");
            let text = &text[text.find('{').expect("an object")..];
            let unfolded: Vec<&str> = text.split("\\\n").collect();
            let unfolded: Vec<&str> = unfolded
                .iter()
                .enumerate()
                .map(|(i, part)| if i == 0 { *part } else { part.trim_start() })
                .collect();
            let text = unfolded.concat().replace('\\', "");
            serde_json::from_str(&text).expect("JSON")
        };
        let member = |key: &serde_json::Value, name: &str| {
            BASE64_URL_SAFE_NO_PAD.decode(key[name].as_str().expect("a member")).expect("Base64")
        };
        let key = json("cddl__example__tfm-es-iak.json");
        let point = [vec![4], member(&key, "x"), member(&key, "y")].concat();
        let mac = member(&json("cddl__example__tfm-hs-iak.json"), "k");
        Self { signing: PublicKey::from_point(&point).expect("a P-256 point"), mac }
    }

    fn is_in_pem(&self, pem: &[u8]) -> Result<String, String> {
        let lines = core::str::from_utf8(pem).map_err(|e| e.to_string())?.lines();
        let body: String = lines.filter(|line| !line.starts_with("-----")).collect();
        let der = BASE64_STANDARD.decode(body).map_err(|e| e.to_string())?;
        let point = self.signing.to_point();
        let found = der.windows(point.len()).any(|window| window == point);
        found.then(|| "the same key as in JSON".into()).ok_or("another key than in JSON".into())
    }

    /// A maker who endorses `key` for all devices of the example's implementation.
    fn endorsed(key: &PublicKey) -> References {
        let provider = provider();
        let pkcs8 = provider.keys.generate_pkcs8(KeyType::P256).expect("a key");
        let maker = provider.keys.load_pkcs8(pkcs8.expose()).expect("a key");
        let class = Class { class_id: Some(ClassId::Bytes(vec![0; 32])), ..Class::default() };
        let environment = Environment::of_class(class);
        let mut references = References::new(vec![ReferenceProvider {
            name: "Acme".into(),
            role: ProviderRole::Maker,
            keys: vec![VerificationKey::new(maker.public_key(), Purpose::ReferenceValues, &provider)],
            scope: vec![environment.clone()],
            elements: None,
            cap: Grade::Hardware,
        }]);
        let mut tag = Comid::new(Id::Text("keys".into()), 1);
        tag.attest_keys = vec![AttestKeys {
            environment,
            keys: vec![CryptoKey::new(key)],
            element: None,
            authorized_by: Vec::new(),
        }];
        let corim = Corim::new(Id::Text("acme".into()), tag);
        let signed = tamarack_corim::sign(&corim, &Signer::new("Acme"), &*maker, None).expect("a CoRIM");
        references.add(&signed, NOW, &provider).expect("a good CoRIM");
        references
    }
}

/// What appraisal says of the token: the example's nonce can be bound to no TEEP key of ours, so that a good signature is
/// shown by being refused for that and not before.
fn refusal(token: &[u8], endorsed: &PublicKey) -> tamarack_attest::Refusal {
    let provider = provider();
    let pkcs8 = provider.keys.generate_pkcs8(KeyType::Ed25519).expect("a key");
    let teep_key = provider.keys.load_pkcs8(pkcs8.expose()).expect("a key").public_key();
    let challenge = [9; 32];
    let evidence = wrap(&challenge, &teep_key, token);
    let teep_key = Some(thumbprint(&teep_key, &provider));
    let expected = Expectations { nonce: &challenge, teep_key, now: NOW };
    let references = Some(Keys::endorsed(endorsed).into());
    let policy = Policy { references, ..Policy::new(Vec::new(), Grade::Hardware) };
    appraise(Some(psa_token::FORMAT), &evidence, &expected, &policy, &provider).expect_err("not bound")
}

fn signed(bytes: &[u8], keys: &Keys) -> Result<String, String> {
    let good = refusal(bytes, &keys.signing);
    if good.code != codes::EVIDENCE_STALE {
        return Err(format!("{good}"));
    }
    let mut changed = bytes.to_vec();
    *changed.last_mut().expect("not empty") ^= 1;
    let other = PublicKey::Ed25519([3; 32]);
    for (token, key) in [(&changed[..], &keys.signing), (bytes, &other)] {
        let refused = refusal(token, key);
        if refused.code != codes::EVIDENCE_UNTRUSTED {
            return Err(format!("another key or signature: {refused}"));
        }
    }
    Ok("verified under the key that a maker endorses".into())
}

fn authenticated(bytes: &[u8], keys: &Keys) -> Result<String, String> {
    let provider = provider();
    let key = MacKey::new(Secret::new(keys.mac.clone()), Purpose::Evidence, &provider);
    let object = Mac0::parse(bytes, &Limits::default()).map_err(|e| e.to_string())?;
    let payload =
        object.verify(&[key], Purpose::Evidence, None, &[], &provider).map_err(|e| e.to_string())?;
    let claims = PsaClaims::from_cbor(payload.value(), &Limits::default()).map_err(|e| e.to_string())?;
    if claims.profile != PsaProfile::Tfm {
        return Err("another profile".into());
    }
    // Security rule K5: no MAC where public keys are trusted.
    let refused = refusal(bytes, &keys.signing);
    match refused.code {
        codes::EVIDENCE_UNTRUSTED => Ok("the MAC verifies; as Evidence it is refused".into()),
        _ => Err(format!("{refused}")),
    }
}
