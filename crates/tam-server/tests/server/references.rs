//! Reference values over REST.

use std::fs;

use serde_json::json;
use tamarack_corim::{
    Class, ClassId, Comid, Corim, Digest, Environment, Id, MeasuredElement, Measurement, MeasurementValues,
    Signer, Svn, Triple,
};
use tamarack_crypto::{KeyType, Sign};
use tamarack_tam_server::Config;
use tempfile::TempDir;

use crate::support::{World, options, signer};

struct Maker {
    key: Box<dyn Sign>,
}

/// A release of this Agent, version 1 of its tag.
pub fn release(key: &dyn Sign, agent: [u8; 32]) -> Vec<u8> {
    corim(key, 1, agent)
}

impl Maker {
    fn corim(&self, version: u64, digest: u8) -> Vec<u8> {
        corim(&*self.key, version, [digest; 32])
    }
}

fn corim(key: &dyn Sign, version: u64, digest: [u8; 32]) -> Vec<u8> {
    let mut tag = Comid::new(Id::Text("firmware".into()), version);
    let values = MeasurementValues {
        digests: vec![Digest::sha256(digest)],
        svn: Some(Svn::Exact(version)),
        ..MeasurementValues::default()
    };
    let element = Some(MeasuredElement::Text("urn:x-tamarack:agent".into()));
    let measurement = Measurement { element, values, authorized_by: Vec::new() };
    let class = Class { class_id: Some(ClassId::Uuid([2; 16])), ..Class::default() };
    let environment = Environment::of_class(class);
    tag.reference_values = vec![Triple { environment, measurements: vec![measurement] }];
    let corim = Corim::new(Id::Text("acme".into()), tag);
    tamarack_corim::sign(&corim, &Signer::new("Acme"), key, None).unwrap()
}

/// A TAM that knows a maker.
fn world() -> (World, Maker) {
    let folder = TempDir::new().unwrap();
    let made = tamarack_tam_server::init(&options(&folder)).unwrap();
    let pem = tamarack_pki::generate_key(KeyType::P256).unwrap();
    let key = tamarack_pki::load_key(&pem).unwrap();
    let public = tamarack_pki::public_key_to_pem(&key.public_key()).unwrap();
    fs::write(made.config.with_file_name("acme.pub"), public).unwrap();
    let provider = "\n[[reference_provider]]\nname = \"Acme\"\nrole = \"maker\"\nkeys = [\"acme.pub\"]\n\
        [[reference_provider.scope]]\nclass_id = \"02020202-0202-0202-0202-020202020202\"\n";
    let text = fs::read_to_string(&made.config).unwrap() + provider;
    fs::write(&made.config, text).unwrap();
    let config = Config::read(&made.config).unwrap();
    (World::made(folder, config, made.operator_token), Maker { key })
}

#[test]
fn reference_values_are_added_listed_and_deactivated() {
    let (mut world, maker) = world();
    let operator = world.operator.clone();
    let list = |world: &World| world.api(&operator, "GET", "/references", b"").json()["items"].clone();
    assert_eq!(list(&world), json!([]));
    let signed = maker.corim(1, 4);
    let first = world.api(&operator, "POST", "/references", &signed);
    assert_eq!((first.status, &first.json()["state"]), (201, &json!("in force")), "{first:?}");
    let added = first.json();
    let tag = json!({
        "id": "firmware", "version": 1,
        "components": [{ "component": "urn:x-tamarack:agent", "digests": ["04".repeat(32)], "svn": 1, "min_svn": null }],
    });
    assert_eq!((&added["provider"], &added["tags"]), (&json!("Acme"), &json!([tag])));
    // Adding it again gives the same and changes nothing.
    let before = world.digest();
    assert_eq!(world.api(&operator, "POST", "/references", &signed).json(), added);
    assert_eq!(world.digest(), before);

    assert_eq!(world.api(&operator, "POST", "/references", &maker.corim(2, 5)).status, 201);
    let states = |world: &World| {
        let items = list(world);
        items
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["state"].as_str().unwrap().to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(states(&world), ["superseded", "in force"]);
    world.restart_whole();
    assert_eq!(states(&world), ["superseded", "in force"]);

    let id = list(&world)[1]["id"].as_str().unwrap().to_string();
    let path = format!("/references/{id}");
    assert_eq!(world.api(&operator, "GET", &path, b"").json()["state"], "in force");
    assert_eq!(world.api(&operator, "DELETE", &path, b"").status, 204);
    assert_eq!(states(&world), ["superseded", "deactivated"]);
    world.api(&operator, "DELETE", &path, b"").assert_problem(409, "TMK-4005");
    let actions: Vec<_> =
        world.audit().iter().map(|row| row["action"].as_str().unwrap().to_string()).collect();
    let actions: Vec<_> = actions.iter().filter(|action| action.starts_with("reference.")).collect();
    assert_eq!(actions, ["reference.add", "reference.add", "reference.deactivate"]);
}

#[test]
fn refused_reference_values_change_nothing() {
    let (world, maker) = world();
    let operator = world.operator.clone();
    assert_eq!(world.api(&operator, "POST", "/references", &maker.corim(2, 4)).status, 201);
    let before = world.digest();
    let stranger = Maker { key: signer() };
    for (body, status, code) in [
        (maker.corim(1, 4), 409, "TMK-3107"),
        (maker.corim(2, 5), 409, "TMK-3108"),
        (stranger.corim(3, 4), 403, "TMK-3103"),
        (b"not CBOR".to_vec(), 422, "TMK-3101"),
        (vec![0xd9, 1, 0xf5, 0xa0], 422, "TMK-3102"),
    ] {
        world.api(&operator, "POST", "/references", &body).assert_problem(status, code);
    }
    assert_eq!(world.digest(), before);
    for path in ["/references/zz", "/references/00"] {
        assert_eq!(world.api(&operator, "GET", path, b"").status, 400, "{path}");
    }
}

#[test]
fn providers_of_reference_values_are_read_strictly() {
    let folder = TempDir::new().unwrap();
    let made = tamarack_tam_server::init(&options(&folder)).unwrap();
    let good = fs::read_to_string(&made.config).unwrap();
    let pem = tamarack_pki::generate_key(KeyType::Ed25519).unwrap();
    let public = tamarack_pki::load_key(&pem).unwrap().public_key();
    fs::write(made.config.with_file_name("a.pub"), tamarack_pki::public_key_to_pem(&public).unwrap())
        .unwrap();
    let provider = |name: &str, keys: &str, rest: &str| {
        format!("\n[[reference_provider]]\nname = \"{name}\"\nrole = \"maker\"\nkeys = [{keys}]\n{rest}\n")
    };
    for (text, says) in [
        (provider("A", "\"missing\"", ""), "missing"),
        (provider("A", "", ""), "at least one key"),
        (provider("", "\"a.pub\"", ""), "give a name"),
        (provider("A", "\"tam.toml\"", ""), "PUBLIC KEY"),
        (provider("A", "\"a.pub\"", "") + &provider("A", "\"a.pub\"", ""), "this name"),
        (provider("A", "\"a.pub\"", "") + &provider("B", "\"a.pub\"", ""), "one of these keys"),
        (provider("A", "\"a.pub\"", "[[reference_provider.scope]]\nclass_id = \"xyz\""), "hexadecimal"),
        (provider("A", "\"a.pub\"", "[[reference_provider.scope]]"), "says nothing"),
        (provider("A", "\"a.pub\"", "color = 1"), "color"),
    ] {
        fs::write(&made.config, good.clone() + &text).unwrap();
        let outcome = Config::read(&made.config).and_then(|config| tamarack_tam_server::start(&config));
        let error = outcome.map(|_| ()).expect_err(says).to_string();
        assert!(error.contains(says), "{error}");
    }
}
