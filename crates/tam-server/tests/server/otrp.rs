//! OTrP at the same URI as TEEP, with the status of the TAM's certificates from a real responder.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;
use tamarack_crypto::KeyType;
use tamarack_model::codes;
use tamarack_pki::ocsp::{Responder, Server};
use tamarack_pki::{
    Authority, Reason, Revocations, Validity, certificates_from_pem, generate_key, list_to_pem, load_key,
};
use tamarack_tam_server::{Config, GradeName, InitOptions, OtrpInit, init, start};
use tamarack_x509::ocsp::{Freshness, check};
use tamarack_x509::{Anchor, Name, NameKind, PathOptions, Role, validate_any};
use tempfile::TempDir;

use crate::support::{Reply, TEEP, World, options};

const OTRP: &str = "application/otrp+json";
const OID: &str = "1.3.6.1.4.1.99999.1.7";

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// A CA of TAMs with its files and a responder that can be told what is revoked.
pub struct Ca {
    authority: Authority,
    pub prefix: PathBuf,
    revoked: Arc<Mutex<Revocations>>,
    server: Option<Server>,
    url: String,
}

impl Ca {
    pub fn new(folder: &TempDir) -> Self {
        let validity = Validity::days(now() - 10 * 86_400, 3650);
        let authority = Authority::create(Role::Tam, "TAM CA", KeyType::P256, validity).unwrap();
        let prefix = folder.path().join("ca");
        fs::write(prefix.with_extension("pem"), authority.cert_pem()).unwrap();
        fs::write(prefix.with_extension("key"), authority.key_pem()).unwrap();
        let responder = Responder::new(&authority).unwrap();
        let revoked = Arc::new(Mutex::new(Revocations::default()));
        let held = revoked.clone();
        let answer = move |request: &[u8]| responder.answer(request, &held.lock().unwrap(), now());
        let server = Server::start("127.0.0.1:0".parse().unwrap(), answer).unwrap();
        let url = format!("http://{}", server.address());
        Self { authority, prefix, revoked, server: Some(server), url }
    }

    pub fn options(&self, folder: &TempDir) -> InitOptions {
        InitOptions {
            ca: Some((self.prefix.clone(), "https://tam.example".into())),
            otrp: Some(OtrpInit {
                name: Name::RegisteredId(OID.into()),
                ocsp_url: self.url.clone(),
                firmware_cas: Vec::new(),
            }),
            now: now(),
            ..options(folder)
        }
    }
}

fn connect(world: &World) -> Reply {
    world.send("POST", "/tam", &[("accept", OTRP)], b"")
}

fn strings(value: &Value) -> Vec<Vec<u8>> {
    value.as_array().unwrap().iter().map(|text| STANDARD.decode(text.as_str().unwrap()).unwrap()).collect()
}

#[test]
fn requests_carry_a_chain_and_its_status() {
    let folder = TempDir::new().unwrap();
    let ca = Ca::new(&folder);
    let world = World::of(folder, &ca.options(&TempDir::new().unwrap()));
    for path in ["/tam", "/t/default/tam"] {
        let reply = world.send("POST", path, &[("accept", OTRP)], b"");
        assert_eq!((reply.status, reply.header("content-type")), (200, Some(OTRP)), "{reply:?}");
        let message = &reply.json()["GetDeviceStateRequest"];
        let chain = strings(&message["header"]["x5c"]);
        let payload = URL_SAFE_NO_PAD.decode(message["payload"].as_str().unwrap()).unwrap();
        let payload: Value = serde_json::from_slice(&payload).unwrap();
        let responses = strings(&payload["GetDeviceStateTBSRequest"]["ocspdat"]);
        let anchors = [Anchor::from_der(ca.authority.cert_der()).unwrap()];
        let crypto = tamarack_crypto_aws_lc::provider();
        let options = PathOptions::default();
        let valid = validate_any(&chain, &anchors, Role::OtrpTam, now(), &options, &crypto).unwrap();
        assert_eq!(valid.name(NameKind::RegisteredId), Ok(OID));
        assert_eq!(valid.path().len(), 2);
        check(&valid.path(), &responses, &Freshness::new(now(), 0), &crypto).unwrap();
    }
    // The other protocol at the same place.
    let reply = world.send("POST", "/tam", &[("accept", TEEP)], b"");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some(TEEP)));
}

#[test]
fn the_type_of_the_body_decides_then_what_is_named() {
    let folder = TempDir::new().unwrap();
    let ca = Ca::new(&folder);
    let world = World::of(folder, &ca.options(&TempDir::new().unwrap()));
    let both = format!("{TEEP}, {OTRP}");
    for (accept, content_type, body, status, answer) in [
        (OTRP, None, "", 200, Some(OTRP)),
        (OTRP, Some(OTRP), "", 200, Some(OTRP)),
        (both.as_str(), None, "", 200, Some(OTRP)),
        (both.as_str(), Some(TEEP), "", 200, Some(TEEP)),
        ("*/*", None, "", 200, Some(TEEP)),
        ("*/*", Some(OTRP), "", 200, Some(OTRP)),
        (OTRP, Some(OTRP), "no JSON", 400, None),
        (TEEP, Some(OTRP), "{}", 406, None),
        (OTRP, Some("text/plain"), "{}", 406, None),
        (OTRP, None, "{}", 415, None),
        ("text/html", None, "", 406, None),
    ] {
        let mut headers = vec![("accept", accept)];
        headers.extend(content_type.map(|kind| ("content-type", kind)));
        let reply = world.send("POST", "/tam", &headers, body.as_bytes());
        let name = format!("{accept} {content_type:?} {body:?}");
        assert_eq!((reply.status, reply.header("content-type")), (status, answer), "{name}: {reply:?}");
        assert_eq!(reply.header("tamarack-error").is_some(), status >= 400, "{name}");
    }
    assert_eq!(world.send("GET", "/tam", &[("accept", OTRP)], b"").status, 405);
    assert_eq!(world.send("POST", "/t/nobody/tam", &[("accept", OTRP)], b"").status, 404);
    assert_eq!(connect(&World::new()).status, 406, "a TAM without [otrp] does not speak it");
}

#[test]
fn without_a_good_status_only_teep_goes_on() {
    let folder = TempDir::new().unwrap();
    let mut ca = Ca::new(&folder);
    let options = ca.options(&TempDir::new().unwrap());
    let mut world = World::of(folder, &options);
    assert_eq!(connect(&world).status, 200);
    let refused = |world: &World| {
        let reply = connect(world);
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("60")), "{reply:?}");
        assert!(reply.header("tamarack-error").is_some() && reply.body.is_empty());
        assert_eq!(world.send("POST", "/tam", &[("accept", TEEP)], b"").status, 200);
    };
    // Revoked.
    let chain = fs::read_to_string(options.folder.join("keys/otrp.pem")).unwrap();
    let leaf = certificates_from_pem(&chain).unwrap().remove(0);
    ca.authority.revoke(&leaf, &mut ca.revoked.lock().unwrap(), Reason::KeyCompromise, now()).unwrap();
    world.restart_whole();
    refused(&world);
    // The responder is gone.
    *ca.revoked.lock().unwrap() = Revocations::default();
    drop(ca.server.take());
    world.restart_whole();
    refused(&world);
}

#[test]
fn responses_may_come_from_files() {
    let folder = TempDir::new().unwrap();
    let ca = Ca::new(&folder);
    let options = ca.options(&TempDir::new().unwrap());
    let made = init(&options).unwrap();
    let chain = fs::read_to_string(options.folder.join("keys/otrp.pem")).unwrap();
    let leaf = certificates_from_pem(&chain).unwrap().remove(0);
    let responder = Responder::new(&ca.authority).unwrap();
    let status = |at| responder.status(&leaf, &Revocations::default(), at).unwrap();
    let file = options.folder.join("status.der");
    fs::write(&file, status(now())).unwrap();
    let text = fs::read_to_string(&made.config).unwrap();
    let url = format!("ocsp_url = \"{}\"", ca.url);
    assert!(text.contains(&url), "{text}");
    fs::write(&made.config, text.replace(&url, "ocsp_files = [\"status.der\"]")).unwrap();
    let mut world = World::made(folder, Config::read(&made.config).unwrap(), made.operator_token);
    assert_eq!(connect(&world).status, 200);
    for (name, bytes) in
        [("old", status(now() - 2 * 86_400)), ("early", status(now() + 3600)), ("garbage", b"x".to_vec())]
    {
        fs::write(&file, bytes).unwrap();
        world.restart_whole();
        assert_eq!(connect(&world).status, 503, "{name}");
    }
    fs::remove_file(&file).unwrap();
    world.restart_whole();
    assert_eq!(connect(&world).status, 503, "missing");
}

/// One fault each in `tam.toml` or a file that it names.
#[test]
fn faults_of_the_configuration_are_told() {
    let folder = TempDir::new().unwrap();
    let ca = Ca::new(&folder);
    let options = ca.options(&TempDir::new().unwrap());
    let made = init(&options).unwrap();
    let text = fs::read_to_string(&made.config).unwrap();
    let keys = options.folder.join("keys");
    let write = |name: &str, pem: &str| fs::write(keys.join(name), pem).unwrap();
    let key = load_key(&fs::read_to_string(keys.join("otrp.key")).unwrap()).unwrap().public_key();
    let validity = Validity::days(now() - 3600, 30);
    let name = Name::RegisteredId(OID.into());
    let issue = |role, key, validity| {
        let leaf = ca.authority.issue_named(key, role, &name, "x", validity).unwrap();
        leaf + ca.authority.cert_pem()
    };
    let other_key = load_key(&generate_key(KeyType::P256).unwrap()).unwrap().public_key();
    write("other.pem", &issue(Role::OtrpTam, other_key, validity));
    write("expired.pem", &issue(Role::OtrpTam, key, Validity::days(now() - 3 * 86_400, 1)));
    // Not a fault of the configuration: the TAM starts, and serves TEEP.
    fs::write(&made.config, text.replace("keys/otrp.pem", "keys/expired.pem")).unwrap();
    let config = Config::read(&made.config).unwrap();
    let world = World::made(TempDir::new().unwrap(), config, made.operator_token);
    assert_eq!(connect(&world).status, 503);
    assert_eq!(world.send("POST", "/tam", &[("accept", TEEP)], b"").status, 200);
    drop(world);
    write("teep.pem", &issue(Role::Tam, key, validity));
    let leaf = ca.authority.issue_named(key, Role::OtrpTam, &name, "x", validity).unwrap();
    write("leaf.pem", &leaf);
    write("order.pem", &[ca.authority.cert_pem(), &leaf].concat());
    let dns = Name::Dns("tam.example".into());
    let dns = ca.authority.issue_named(key, Role::OtrpTam, &dns, "x", validity).unwrap();
    write("dns.pem", &(dns + ca.authority.cert_pem()));
    write("ed25519.key", &generate_key(KeyType::Ed25519).unwrap());
    let list = ca.authority.revocation_list(&Revocations::default(), now(), 60).unwrap();
    write("list.pem", &list_to_pem(&list).unwrap());
    write("bad.pem", &list_to_pem(&list[..list.len() - 1]).unwrap());

    let url = format!("ocsp_url = \"{}\"", ca.url);
    let (chain, own) = ("chain = \"keys/otrp.pem\"", "key = \"keys/otrp.key\"");
    let with_tee_ca = |more: &str| {
        format!(
            "{text}\n[[tee_ca]]\nfile = \"{}\"\ncap = \"software\"\n{more}\n",
            ca.prefix.with_extension("pem").display()
        )
    };
    let section = &text[text.find("\n[otrp]").unwrap()..text.find("\n[evidence]").unwrap()];
    let cases = [
        (text.replace(&url, ""), "either ocsp_url or ocsp_files"),
        (text.replace(&url, &format!("{url}\nocsp_files = [\"x\"]")), "either ocsp_url or ocsp_files"),
        (text.replace(&url, "ocsp_url = \"https://x\""), "otrp.ocsp_url: give the http://"),
        (text.replace(&url, "ocsp_files = []"), "otrp.ocsp_files: name a file"),
        (text.replace(own, "key = \"keys/none.key\""), "otrp.key: cannot read"),
        (text.replace(own, "key = \"keys/ed25519.key\""), "otrp.key: OTrP needs a P-256 key"),
        (text.replace(own, "key = \"keys/tam-p256.key\""), "otrp.key: this key signs TEEP messages"),
        (
            text.replace(chain, "chain = \"keys/other.pem\""),
            "otrp.chain: the first certificate is for another key",
        ),
        (
            text.replace(chain, "chain = \"keys/teep.pem\""),
            "otrp.chain: a certificate is not one for the role OTrP TAM",
        ),
        (
            text.replace(chain, "chain = \"keys/leaf.pem\""),
            "otrp.chain: give the leaf first and the root last",
        ),
        (text.replace(chain, "chain = \"keys/order.pem\""), "otrp.chain: the last certificate is no root"),
        (text.replace(chain, "chain = \"keys/dns.pem\""), "one object identifier or one URI"),
        (text.replace(chain, "chain = \"keys/otrp.key\""), "otrp.chain: no readable PEM section"),
        (
            text.replace("\"development\"", "\"production\"")
                .replace("minimum = \"software\"", "minimum = \"hardware\"")
                .replace("chain = \"keys/tam-ed25519.pem\"", "")
                .replace("chain = \"keys/tam-p256.pem\"", ""),
            "otrp.chain: is a development certificate",
        ),
        (
            format!("{text}\n[[firmware_ca]]\nfile = \"keys/leaf.pem\"\n"),
            "firmware_ca.file: a certificate was issued",
        ),
        (with_tee_ca("crl = \"keys/otrp.pem\""), "tee_ca.crl: no readable PEM section \"X509 CRL\""),
        (with_tee_ca("crl = \"keys/bad.pem\""), "tee_ca.crl: it holds what is no complete revocation list"),
        (
            format!("{text}\n[[firmware_ca]]\nfile = \"x\"\n").replace(section, ""),
            "firmware_ca.file: only OTrP looks at it",
        ),
    ];
    for (text, expected) in cases {
        fs::write(&made.config, &text).unwrap();
        let error = Config::read(&made.config).and_then(|config| start(&config)).err().expect(expected);
        assert_eq!(error.code(), codes::CONFIG_INVALID, "{error}");
        assert!(error.to_string().contains(expected), "{expected:?} is not in {error}");
    }
    let firmware = format!(
        "{text}\n[[firmware_ca]]\nfile = \"{}\"\ncrl = \"keys/bad.pem\"\n",
        ca.prefix.with_extension("pem").display()
    );
    fs::write(&made.config, &firmware).unwrap();
    let error = start(&Config::read(&made.config).unwrap()).err().unwrap();
    assert!(error.to_string().contains("firmware_ca.crl: it holds what is no complete"), "{error}");
    fs::write(&made.config, firmware.replace("bad.pem", "list.pem")).unwrap();
    start(&Config::read(&made.config).unwrap()).unwrap().stop().unwrap();
    fs::write(&made.config, with_tee_ca("draft = true\ncrl = \"keys/list.pem\"")).unwrap();
    start(&Config::read(&made.config).unwrap()).unwrap().stop().unwrap();
}

#[test]
fn init_needs_an_authority_for_otrp() {
    let folder = TempDir::new().unwrap();
    let ca = Ca::new(&folder);
    let without = InitOptions { ca: None, ..ca.options(&folder) };
    assert_eq!(init(&without).unwrap_err().code(), codes::USAGE);
    let folder = TempDir::new().unwrap();
    let mut wrong = ca.options(&folder);
    wrong.otrp.as_mut().unwrap().name = Name::RegisteredId("no identifier".into());
    assert_eq!(init(&wrong).unwrap_err().code(), codes::X509_NAME);
    let folder = TempDir::new().unwrap();
    let mut options = ca.options(&folder);
    options.otrp.as_mut().unwrap().firmware_cas = vec![ca.prefix.with_extension("pem")];
    options.tee_cas = vec![(ca.prefix.with_extension("pem"), GradeName::Software)];
    start(&Config::read(&init(&options).unwrap().config).unwrap()).unwrap().stop().unwrap();
}
