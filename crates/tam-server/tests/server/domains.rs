//! Security Domains over REST: they come with what is published, take guests, and go.

use serde_json::{Value, json};
use tamarack_crypto::Sign;
use tamarack_tam_server::{Config, Role, init};
use tempfile::TempDir;

use crate::otrp::Ca;
use crate::support::{Reply, World, envelope, signer};

/// A TAM that speaks OTrP, with providers `acme` and `isv`.
struct Shop {
    world: World,
    acme: Box<dyn Sign>,
    isv: Box<dyn Sign>,
    _ca: Ca,
}

impl Shop {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let ca = Ca::new(&folder);
        let options = ca.options(&folder);
        let world = World::of(folder, &options);
        let shop = Self { world, acme: signer(), isv: signer(), _ca: ca };
        assert_eq!(shop.world.provider("acme", "acme", &*shop.acme).status, 201);
        assert_eq!(shop.world.provider("isv", "isv", &*shop.isv).status, 201);
        shop
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.world.api_json(&self.world.operator, method, path, body)
    }

    fn publish(&self, provider: &str, prefix: &str, sequence: u64, signer: &dyn Sign) -> Reply {
        let path = format!("/components?provider={provider}");
        self.world.api(&self.world.operator, "POST", &path, &envelope(prefix, sequence, signer))
    }

    fn domain(&self, name: &str) -> Value {
        self.world.api(&self.world.operator, "GET", &format!("/domains/{name}"), b"").json()
    }
}

/// The providers of a domain's certificates, and the keys in them.
fn signers(domain: &Value) -> Vec<(String, tamarack_crypto::PublicKey)> {
    let rows = domain["signers"].as_array().unwrap().iter();
    rows.map(|row| {
        let pem = row["certificate"].as_str().unwrap();
        let der = tamarack_pki::certificates_from_pem(pem).unwrap().remove(0);
        (row["provider"].as_str().unwrap().into(), tamarack_x509::unvalidated_key(&der).unwrap())
    })
    .collect()
}

#[test]
fn a_domain_comes_with_the_first_publication_and_certifies_the_providers_key() {
    let shop = Shop::new();
    assert_eq!(shop.publish("acme", "acme", 1, &*shop.acme).status, 201);
    let domain = shop.domain("acme");
    assert_eq!((domain["provider"].as_str(), &domain["deleted"]), (Some("acme"), &Value::Null));
    assert_eq!(signers(&domain), [("acme".into(), shop.acme.public_key())]);
    let before = domain.clone();
    assert_eq!(shop.publish("acme", "acme", 2, &*shop.acme).status, 201);
    assert_eq!(shop.domain("acme"), before, "the certificate stays, for devices pin it");
    assert!(
        shop.world.audit().iter().any(|row| row["action"] == "domain.create" && row["subject"] == "acme")
    );

    // Its certificates follow the provider's keys.
    let new = signer();
    let pem = tamarack_pki::public_key_to_pem(&new.public_key()).unwrap();
    let body = json!({ "prefixes": ["acme"], "signers": [pem] });
    assert_eq!(shop.call("PUT", "/providers/acme", &body).status, 200);
    assert_eq!(signers(&shop.domain("acme")), [("acme".into(), new.public_key())]);
}

/// F44, F45: what an independent vendor sells runs in the domains of others, under its own id and signature.
#[test]
fn f44_a_guest_publishes_its_own_tas_into_a_domain_and_no_others() {
    let shop = Shop::new();
    assert_eq!(shop.publish("acme", "acme", 1, &*shop.acme).status, 201);
    let publish = |prefix, sequence| shop.publish("isv", prefix, sequence, &*shop.isv);
    publish("acme/meter", 1).assert_problem(403, "TMK-4007");
    assert_eq!(shop.call("POST", "/domains/acme/providers", &json!({ "provider": "isv" })).status, 200);
    let domain = shop.domain("acme");
    assert_eq!(
        signers(&domain),
        [("acme".into(), shop.acme.public_key()), ("isv".into(), shop.isv.public_key())]
    );
    assert_eq!(publish("acme/meter", 1).status, 201);
    // Not the owner's TA, whatever the sequence number, and the owner not the guest's.
    publish("acme", 9).assert_problem(403, "TMK-4007");
    shop.publish("acme", "acme/meter", 9, &*shop.acme).assert_problem(403, "TMK-4007");
    // A guest sees the domain; a stranger does not.
    let guest = shop.world.token(Role::Provider, Some("isv"));
    assert_eq!(shop.world.api(&guest, "GET", "/domains/acme", b"").status, 200);
    shop.world.provider("other", "other", &*signer());
    let stranger = shop.world.token(Role::Provider, Some("other"));
    shop.world.api(&stranger, "GET", "/domains/acme", b"").assert_problem(404, "TMK-4004");
    assert!(shop.world.api(&stranger, "GET", "/domains", b"").json()["items"].as_array().unwrap().is_empty());

    assert_eq!(shop.call("DELETE", "/domains/acme/providers/isv", &Value::Null).status, 200);
    publish("acme/meter", 2).assert_problem(403, "TMK-4007");
    shop.call("DELETE", "/domains/acme/providers/isv", &Value::Null).assert_problem(404, "TMK-4004");
    shop.call("DELETE", "/domains/acme/providers/acme", &Value::Null).assert_problem(409, "TMK-4005");
}

#[test]
fn f45_a_guest_that_was_shown_the_door_stays_out_when_the_tam_starts_again() {
    let mut shop = Shop::new();
    assert_eq!(shop.publish("acme", "acme", 1, &*shop.acme).status, 201);
    assert_eq!(shop.call("POST", "/domains/acme/providers", &json!({ "provider": "isv" })).status, 200);
    assert_eq!(shop.publish("isv", "acme/meter", 1, &*shop.isv).status, 201);
    assert_eq!(shop.call("DELETE", "/domains/acme/providers/isv", &Value::Null).status, 200);
    let (domain, digest) = (shop.domain("acme"), shop.world.digest());
    assert_eq!(signers(&domain), [("acme".into(), shop.acme.public_key())]);
    // What it published before is still in the catalogue.
    shop.world.restart_whole();
    assert_eq!(shop.domain("acme"), domain);
    assert_eq!(shop.world.digest(), digest);
    shop.publish("isv", "acme/meter", 2, &*shop.isv).assert_problem(403, "TMK-4007");
}

#[test]
fn a_domain_is_created_shared_with_a_foreign_certificate_and_deleted() {
    let shop = Shop::new();
    let create = |name: &str, provider: &str| {
        shop.call("POST", "/domains", &json!({ "name": name, "provider": provider, "quota": 4096 }))
    };
    create("isv", "acme").assert_problem(403, "TMK-4007");
    create("isv", "nobody").assert_problem(404, "TMK-4004");
    create("a/b", "acme").assert_problem(400, "TMK-4003");
    let made = create("acme", "acme");
    assert_eq!((made.status, made.json()["quota"].as_u64()), (201, Some(4096)));
    create("acme", "acme").assert_problem(409, "TMK-4005");

    // Self-signed by the guest: devices pin it as it is.
    let folder = TempDir::new().unwrap();
    let ca = Ca::new(&folder);
    let pem = std::fs::read_to_string(ca.prefix.with_extension("pem")).unwrap();
    let body = json!({ "provider": "isv", "certificates": [pem] });
    assert_eq!(shop.call("POST", "/domains/acme/providers", &body).status, 200);
    assert_eq!(signers(&shop.domain("acme")).len(), 3);
    let before = shop.world.digest();
    assert_eq!(shop.call("POST", "/domains/acme/providers", &body).status, 200);
    assert_eq!(shop.world.digest(), before, "allowing it again changes nothing");
    let body = json!({ "provider": "isv", "certificates": ["no PEM"] });
    shop.call("POST", "/domains/acme/providers", &body).assert_problem(400, "TMK-4003");

    assert_eq!(shop.call("DELETE", "/domains/acme", &Value::Null).status, 204);
    assert!(shop.domain("acme")["deleted"].is_u64());
    shop.call("DELETE", "/domains/acme", &Value::Null).assert_problem(409, "TMK-4005");
    shop.publish("acme", "acme", 1, &*shop.acme).assert_problem(403, "TMK-4007");
    assert_eq!(create("acme", "acme").status, 201);
    assert_eq!(shop.publish("acme", "acme", 1, &*shop.acme).status, 201);
}

#[test]
fn what_was_published_before_gets_its_certificates_once_the_tam_speaks_otrp() {
    let folder = TempDir::new().unwrap();
    let ca = Ca::new(&folder);
    let options = ca.options(&TempDir::new().unwrap());
    let made = init(&options).unwrap();
    let text = std::fs::read_to_string(&made.config).unwrap();
    let section = &text[text.find("\n[otrp]").unwrap()..text.find("\n[evidence]").unwrap()];
    std::fs::write(&made.config, text.replace(section, "")).unwrap();
    let mut world = World::made(folder, Config::read(&made.config).unwrap(), made.operator_token);
    let acme = signer();
    world.provider("acme", "acme", &*acme);
    let operator = world.operator.clone();
    let body = envelope("acme", 1, &*acme);
    assert_eq!(world.api(&operator, "POST", "/components?provider=acme", &body).status, 201);
    let domain = |world: &World| world.api(&operator, "GET", "/domains/acme", b"").json();
    assert!(signers(&domain(&world)).is_empty());
    let problem =
        world.api_json(&operator, "POST", "/domains/acme/providers", &json!({ "provider": "acme" }));
    problem.assert_problem(400, "TMK-4003");
    world.stop();
    std::fs::write(&made.config, &text).unwrap();
    world.config = Config::read(&made.config).unwrap();
    world.restart();
    assert_eq!(signers(&domain(&world)), [("acme".into(), acme.public_key())]);
}
