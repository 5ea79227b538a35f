//! The TEEP and EAT rows of the specifications' table of objects: the CDDL checker gives the verdict that the table
//! expects, and so do our own decoders, or `vectors/exceptions.toml` names the object and the reason under `[objects]`.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use tamarack_cbor::{Decode, Kind, Limits};
use tamarack_eat::{Claims, TeepClaims, Token};
use tamarack_teep::{Message, SignedMessage};
use tamarack_testkit::cddl::Rules;
use tamarack_testkit::specs::{specs_dir, workspace_root};

/// A row of `cddl-sets/objects.tsv`.
struct Object {
    name: String,
    set: String,
    root: Option<String>,
    expected: Option<bool>,
    bytes: Vec<u8>,
}

fn objects(specs: &Path) -> Vec<Object> {
    let table = std::fs::read_to_string(specs.join("cddl-sets/objects.tsv")).expect("objects.tsv");
    table
        .lines()
        .skip(1)
        .map(|line| {
            let columns: Vec<&str> = line.split('\t').collect();
            let bytes = match columns[4].strip_prefix("hex:") {
                Some(digits) => hex::decode(digits).expect("hex"),
                None => std::fs::read(specs.join(columns[4])).expect("listed file"),
            };
            Object {
                name: columns[0].into(),
                set: columns[1].into(),
                root: Some(columns[2]).filter(|root| *root != "-").map(Into::into),
                expected: match columns[3] {
                    "accept" => Some(true),
                    "reject" => Some(false),
                    _ => None,
                },
                bytes,
            }
        })
        .filter(|object| matches!(object.set.as_str(), "teep-message" | "eat"))
        .collect()
}

/// Whether our decoder takes the object.
fn decode(object: &Object) -> Result<(), String> {
    let limits = Limits::default();
    let text = |e: &dyn std::fmt::Display| e.to_string();
    match (object.set.as_str(), object.root.as_deref()) {
        ("teep-message", None) => Message::from_cbor(&object.bytes, &limits).map(drop).map_err(|e| text(&e)),
        ("teep-message", Some("teep-message-signed")) => {
            let signed = SignedMessage::parse(&object.bytes, &limits).map_err(|e| text(&e))?;
            signed.unverified().map(drop).map_err(|e| text(&e))
        }
        ("eat", Some("TEEP-Claims-Set")) => {
            let claims = Claims::from_cbor(&object.bytes, &limits).map_err(|e| text(&e))?;
            TeepClaims::try_from(&claims).map(drop).map_err(|e| text(&e))
        }
        ("eat", None | Some("Claims-Set")) => {
            let d = tamarack_cbor::Decoder::new(&object.bytes, &limits).map_err(|e| text(&e))?;
            if d.peek() == Kind::Map {
                Claims::from_cbor(&object.bytes, &limits).map(drop).map_err(|e| text(&e))
            } else {
                let token = Token::parse(&object.bytes, &limits).map_err(|e| text(&e))?;
                token.unverified().map(drop).map_err(|e| text(&e))
            }
        }
        (_, root) => Err(format!("no decoder for {root:?}")),
    }
}

#[test]
fn decoders_agree_with_every_verdict_or_say_why() {
    let Some(specs) = specs_dir() else { return };
    let file = workspace_root().join("vectors/exceptions.toml");
    let text = std::fs::read_to_string(file).expect("exceptions.toml");
    let tables: BTreeMap<String, BTreeMap<String, String>> = toml::from_str(&text).expect("TOML");
    let mut exceptions = tables.get("objects").cloned().unwrap_or_default();
    let mut wrong = Vec::new();
    let (mut agree, mut excepted) = (0, 0);
    for object in objects(&specs) {
        let Some(expected) = object.expected else { continue };
        let verdict = decode(&object);
        match (verdict.is_ok() == expected, exceptions.remove(&key(&object))) {
            (true, None) => agree += 1,
            (false, Some(reason)) => {
                excepted += 1;
                println!("except  {}: {reason} ({verdict:?})", key(&object));
            }
            (true, Some(_)) => wrong.push(format!("{} is an exception, but agrees", key(&object))),
            (false, None) => wrong.push(format!("{}: expected {expected}, {verdict:?}", key(&object))),
        }
    }
    println!("objects: {agree} agree, {excepted} named exceptions");
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(exceptions.is_empty(), "exceptions for no object: {exceptions:?}");
    assert!(agree > 60, "the table has shrunk: {agree}");
}

/// A file can be listed with several roots.
fn key(object: &Object) -> String {
    match &object.root {
        Some(root) if root == "TEEP-Claims-Set" && object.name.contains('/') => {
            format!("{} as {root}", object.name)
        }
        _ => object.name.clone(),
    }
}

#[test]
fn the_checker_gives_every_expected_verdict() {
    let Some(specs) = specs_dir() else { return };
    let mut rules: HashMap<(String, Option<String>), Rules> = HashMap::new();
    let mut wrong = Vec::new();
    for object in objects(&specs) {
        let Some(expected) = object.expected else { continue };
        let rules = rules
            .entry((object.set.clone(), object.root.clone()))
            .or_insert_with(|| Rules::load(&specs, &object.set, object.root.as_deref()));
        let verdict = rules.check(&object.bytes);
        if verdict.is_ok() != expected {
            wrong.push(format!("{}: expected {expected}, {verdict:?}", object.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
