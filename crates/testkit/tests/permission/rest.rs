//! The TAM over HTTP: tokens of every role that has one, and nothing for those that have none.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use tamarack_corim::{
    Class, ClassId, Comid, Corim, Digest, Environment, Id, MeasuredElement, Measurement, MeasurementValues,
    Triple,
};
use tamarack_cose::{Recipient, To};
use tamarack_crypto::{KeyType, Sign};
use tamarack_model::permission::{Action, Grant, Place, Role};
use tamarack_model::{ComponentId, DeviceId};
use tamarack_pki::{Authority, Subject, Validity};
use tamarack_store::{Device, Recorded, Session, Store, StoreOp};
use tamarack_store_sqlite::SqliteStore;
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tam_server::{
    Config, GradeName, InitOptions, NewToken, Profile, Role as TokenRole, Running, TenantId, add_token, init,
    start,
};
use tempfile::TempDir;

use crate::matrix::Observed;

const TEEP: &str = "application/teep+cbor";
/// Two providers: the token of role provider is the first one's.
pub const ACME: &str = "acme";
const GLOBEX: &str = "globex";
/// How many devices are in quarantine at first.
const QUARANTINED: u8 = 4;

/// A TAM with two providers, whose keys and tokens are at hand.
pub struct World {
    pub folder: TempDir,
    /// The root of the TEEs that the TAM lists.
    pub tee_ca: Authority,
    /// Files with the TAM's public keys.
    pub tam_keys: Vec<PathBuf>,
    running: Running,
    operator: String,
    provider: String,
    auditor: String,
    keys: [(&'static str, Box<dyn Sign>); 2],
    maker: Box<dyn Sign>,
    /// Makes names that nobody has used.
    number: Cell<u64>,
    http: ureq::Agent,
}

/// Seconds since 1970 of the machine that the test runs on.
pub fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

pub fn validity() -> Validity {
    Validity::days(now() - 3600, 30)
}

fn new_key(key_type: KeyType) -> Box<dyn Sign> {
    tamarack_pki::load_key(&tamarack_pki::generate_key(key_type).unwrap()).unwrap()
}

fn pem(key: &dyn Sign) -> String {
    tamarack_pki::public_key_to_pem(&key.public_key()).unwrap()
}

/// The environment of a class of devices that the maker may speak of.
fn class() -> Environment {
    Environment::of_class(Class { class_id: Some(ClassId::Uuid([2; 16])), ..Class::default() })
}

/// Reference values that differ by a number, signed by `key`.
pub fn corim(key: &dyn Sign, number: u64) -> Vec<u8> {
    let mut tag = Comid::new(Id::Text(format!("firmware {number}")), 1);
    let values = MeasurementValues { digests: vec![Digest::sha256([4; 32])], ..MeasurementValues::default() };
    let element = Some(MeasuredElement::Text("urn:x-tamarack:agent".into()));
    let measurement = Measurement { element, values, authorized_by: Vec::new() };
    tag.reference_values = vec![Triple { environment: class(), measurements: vec![measurement] }];
    let corim = Corim::new(Id::Text("maker".into()), tag);
    tamarack_corim::sign(&corim, &tamarack_corim::Signer::new("maker"), key, None).unwrap()
}

/// A signed manifest with one component.
pub fn envelope(
    manifest: &ComponentId,
    component: &ComponentId,
    module: Vec<u8>,
    signer: &dyn Sign,
) -> Vec<u8> {
    let crypto = tamarack_crypto_aws_lc::provider();
    let payload = Payload::integrated("#ta", module, &crypto);
    let mut component = Component::new(component.clone(), payload);
    component.invoke = Some(Vec::new());
    let builder = Builder::new(manifest.clone(), 1).component(component);
    let kid = tamarack_cose::thumbprint(&signer.public_key(), &crypto);
    let options = tamarack_cose::SignOptions { kid: Some(&kid.0), ..Default::default() };
    builder.build(&crypto).unwrap().sign(signer, &options).unwrap().envelope()
}

impl World {
    pub fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let tee_ca =
            Authority::create(tamarack_x509::Role::Tee, "TEE CA", KeyType::P256, validity()).unwrap();
        let tee_ca_file = folder.path().join("tee-ca.pem");
        fs::write(&tee_ca_file, tee_ca.cert_pem()).unwrap();
        let made = init(&InitOptions {
            folder: folder.path().join("tam"),
            listen: "127.0.0.1:0".parse().unwrap(),
            profile: Profile::Development,
            ca: None,
            otrp: None,
            tee_cas: vec![(tee_ca_file, GradeName::Software)],
            // The machine that tests run on may lack walls.
            minimum: Some(GradeName::None),
            tls: None,
            now: now(),
        })
        .unwrap();
        let maker = new_key(KeyType::P256);
        fs::write(made.config.with_file_name("maker.pub"), pem(&*maker)).unwrap();
        let more = "\n[[reference_provider]]\nname = \"Maker\"\nrole = \"maker\"\nkeys = [\"maker.pub\"]\n\
            [[reference_provider.scope]]\nclass_id = \"02020202-0202-0202-0202-020202020202\"\n";
        fs::write(&made.config, fs::read_to_string(&made.config).unwrap() + more).unwrap();
        prepare(&folder.path().join("tam/data"));
        let config = Config::read(&made.config).unwrap();
        let running = start(&config).unwrap();
        let http = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(60)));
        let mut world = Self {
            folder,
            tee_ca,
            tam_keys: made.public_keys,
            running,
            operator: made.operator_token,
            provider: String::new(),
            auditor: String::new(),
            keys: [(ACME, new_key(KeyType::Ed25519)), (GLOBEX, new_key(KeyType::Ed25519))],
            maker,
            number: Cell::new(0),
            http: http.build().into(),
        };
        for id in [ACME, GLOBEX] {
            let body = json!({ "id": id, "prefixes": [id], "signers": [pem(world.key(id))] });
            world.operate("POST", "/providers", &body.to_string());
            world.operate("POST", "/domains", &json!({ "name": id, "provider": id }).to_string());
            world.publish(id);
        }
        let token = |role, provider: Option<&str>| {
            let label = format!("{role:?}");
            let provider = provider.map(Into::into);
            add_token(&config, &NewToken { tenant: TenantId::default(), role, provider, label }).unwrap()
        };
        (world.provider, world.auditor) =
            (token(TokenRole::Provider, Some(ACME)), token(TokenRole::Auditor, None));
        world
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.address())
    }

    /// The key that signs a provider's manifests.
    pub fn key(&self, provider: &str) -> &dyn Sign {
        &*self.keys.iter().find(|(id, _)| *id == provider).unwrap().1
    }

    /// What a role shows to be let in.
    pub fn token(&self, role: Role) -> Option<&str> {
        match role {
            Role::Operator => Some(&self.operator),
            Role::Provider => Some(&self.provider),
            Role::Auditor => Some(&self.auditor),
            _ => None,
        }
    }

    fn send(&self, token: Option<&str>, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let method = ureq::http::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = ureq::http::Request::builder().method(method).uri(self.url(path));
        request = request.header("accept", if path == "/tam" { TEEP } else { "*/*" });
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = self.http.run(request.body(body).unwrap()).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_vec().unwrap())
    }

    fn api(&self, token: Option<&str>, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let (status, body) = self.send(token, method, &format!("/api/v1{path}"), body);
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    /// As operator, to prepare what is tried next.
    fn operate(&self, method: &str, path: &str, body: &str) -> Value {
        let (status, body) = self.api(Some(&self.operator), method, path, body.as_bytes());
        assert!((200..300).contains(&status), "{method} {path}: {status} {body}");
        body
    }

    fn fresh(&self) -> u64 {
        self.number.set(self.number.get() + 1);
        self.number.get()
    }

    fn envelope_of(&self, whose: &str) -> Vec<u8> {
        let mut uuid = [0x77; 16];
        uuid[8..].copy_from_slice(&self.fresh().to_be_bytes());
        let id = |kind| ComponentId::tamarack(whose, uuid, kind).unwrap();
        envelope(&id("suit"), &id("ta"), b"the payload of a test".to_vec(), self.key(whose))
    }

    /// Data for a TA of a provider on a device, encrypted to the key that the device has shown.
    fn sealed(&self, whose: &str) -> Vec<u8> {
        let crypto = tamarack_crypto_aws_lc::provider();
        let shown = self.operate("GET", &format!("/devices/{}/decryption-key", device(1)), "");
        let key = tamarack_pki::public_key_from_pem(shown["key"].as_str().unwrap()).unwrap();
        let kid = tamarack_cose::thumbprint(&key, &crypto);
        let to = [To::Key(Recipient { key: &key, kid: Some(&kid.0) })];
        let payload = Payload::sealed(b"card data", &to, &crypto).unwrap();
        let mut uuid = [0x66; 16];
        uuid[8..].copy_from_slice(&self.fresh().to_be_bytes());
        let id = |kind| ComponentId::tamarack(whose, uuid, kind).unwrap();
        let builder = Builder::new(id("suit"), 1).component(Component::new(id("data"), payload));
        let signer = self.key(whose);
        let kid = tamarack_cose::thumbprint(&signer.public_key(), &crypto);
        let options = tamarack_cose::SignOptions { kid: Some(&kid.0), ..Default::default() };
        builder.build(&crypto).unwrap().sign(signer, &options).unwrap().envelope()
    }

    /// Publishes a TA of a provider; gives the digest that names it.
    fn publish(&self, whose: &str) -> String {
        self.publish_envelope(whose, &self.envelope_of(whose))
    }

    pub fn publish_envelope(&self, whose: &str, envelope: &[u8]) -> String {
        let path = format!("/components?provider={whose}");
        let (status, entry) = self.api(Some(&self.operator), "POST", &path, envelope);
        assert_eq!(status, 201, "{entry}");
        entry["digest"].as_str().unwrap().to_string()
    }

    /// A domain of a provider that nobody has used.
    fn domain(&self, whose: &str, create: bool) -> String {
        let name = format!("{whose}-{}", self.fresh());
        let provider = self.operate("GET", &format!("/providers/{whose}"), "");
        let mut prefixes = provider["prefixes"].as_array().unwrap().clone();
        prefixes.push(json!(name));
        let body = json!({ "prefixes": prefixes, "signers": [pem(self.key(whose))] });
        self.operate("PUT", &format!("/providers/{whose}"), &body.to_string());
        if create {
            self.operate("POST", "/domains", &json!({ "name": name, "provider": whose }).to_string());
        }
        name
    }

    /// The body that lets a guest into a domain.
    fn guest(&self, whose: &str) -> String {
        let guest = if whose == ACME { GLOBEX } else { ACME };
        let ca = Authority::create(tamarack_x509::Role::Developer, "CA", KeyType::P256, validity()).unwrap();
        let subject = Subject { uri: "https://guest.example".into(), common_name: guest.into() };
        let Validity { not_before, not_after } = validity();
        let certificate = ca.issue(self.key(guest).public_key(), subject, not_before, not_after).unwrap();
        json!({ "provider": guest, "certificates": [certificate] }).to_string()
    }

    /// Tries one action of the REST interface with what is `whose`; whether it was done.
    fn attempt(&self, role: Role, action: Action, whose: &str) -> bool {
        let (call, n) = (
            |method: &str, path: &str, body: &str| self.try_it(role, method, path, body.as_bytes()),
            self.fresh(),
        );
        let done = |got: (u16, Value)| (200..300).contains(&got.0);
        let lists = |got: (u16, Value), member: &str, wanted: &str| {
            let items = got.1["items"].as_array().cloned().unwrap_or_default();
            got.0 == 200 && items.iter().any(|item| item[member] == wanted)
        };
        match action {
            Action::ProviderList => lists(call("GET", "/providers?limit=500", ""), "id", whose),
            Action::ProviderRegister => {
                let body = json!({ "id": format!("p{n}"), "prefixes": [format!("p{n}")], "signers": [] });
                done(call("POST", "/providers", &body.to_string()))
            }
            Action::ProviderShow => done(call("GET", &format!("/providers/{whose}"), "")),
            Action::ProviderReplace => {
                let mut body = self.operate("GET", &format!("/providers/{whose}"), "");
                body["name"] = json!(format!("{whose} {n}"));
                done(call("PUT", &format!("/providers/{whose}"), &body.to_string()))
            }
            Action::ComponentList => lists(call("GET", "/components?limit=500", ""), "provider", whose),
            Action::ComponentPublish => {
                let envelope = self.envelope_of(whose);
                done(self.try_it(role, "POST", &format!("/components?provider={whose}"), &envelope))
            }
            Action::ComponentShow => done(call("GET", &format!("/components/{}", self.publish(whose)), "")),
            Action::ComponentWithdraw => {
                done(call("DELETE", &format!("/components/{}", self.publish(whose)), ""))
            }
            Action::DomainList => lists(call("GET", "/domains?limit=500", ""), "name", whose),
            Action::DomainCreate => {
                let body = json!({ "name": self.domain(whose, false), "provider": whose });
                done(call("POST", "/domains", &body.to_string()))
            }
            Action::DomainShow => done(call("GET", &format!("/domains/{whose}"), "")),
            Action::DomainDelete => {
                done(call("DELETE", &format!("/domains/{}", self.domain(whose, true)), ""))
            }
            Action::DomainAllow => {
                let path = format!("/domains/{}/providers", self.domain(whose, true));
                done(call("POST", &path, &self.guest(whose)))
            }
            Action::DomainDisallow => {
                let path = format!("/domains/{}/providers", self.domain(whose, true));
                let guest = self.guest(whose);
                self.operate("POST", &path, &guest);
                let guest: Value = serde_json::from_str(&guest).unwrap();
                done(call("DELETE", &format!("{path}/{}", guest["provider"].as_str().unwrap()), ""))
            }
            Action::ArtifactUpload => done(call("POST", "/artifacts", &format!("payload {n}"))),
            Action::PolicyList => done(call("GET", "/policies", "")),
            Action::PolicySet => done(call("PUT", &format!("/policies/{whose}%2Fx{n}"), "")),
            Action::PolicyClear => {
                let path = format!("/policies/{whose}%2Fx{n}");
                self.operate("PUT", &path, "");
                done(call("DELETE", &path, ""))
            }
            Action::ReferenceList => done(call("GET", "/references", "")),
            Action::ReferenceAdd => done(self.try_it(role, "POST", "/references", &corim(&*self.maker, n))),
            Action::ReferenceShow | Action::ReferenceDeactivate => {
                let signed = corim(&*self.maker, n);
                let (_, added) = self.api(Some(&self.operator), "POST", "/references", &signed);
                let method = if action == Action::ReferenceShow { "GET" } else { "DELETE" };
                done(call(method, &format!("/references/{}", added["id"].as_str().unwrap()), ""))
            }
            Action::ReferenceProviderList => done(call("GET", "/reference-providers", "")),
            Action::ReferenceProviderSet => {
                done(call("PUT", &format!("/reference-providers/p{n}"), &reference_provider()))
            }
            Action::ReferenceProviderRemove => {
                let path = format!("/reference-providers/p{n}");
                self.operate("PUT", &path, &reference_provider());
                let removed = done(call("DELETE", &path, ""));
                if !removed {
                    self.operate("DELETE", &path, "");
                }
                removed
            }
            Action::ReleasePolicyShow => done(call("GET", "/release-policy", "")),
            Action::ReleasePolicySet => done(call("PUT", "/release-policy", r#"{"policy":"true"}"#)),
            Action::ReleasePolicyList => done(call("GET", "/release-policy/history", "")),
            Action::ReleaseAsk => done(call("POST", "/release-policy/test", r#"{"policy":"true"}"#)),
            Action::EvidenceShow => done(call("GET", &format!("/devices/{}/evidence", device(1)), "")),
            Action::DeviceList => done(call("GET", "/devices", "")),
            Action::DeviceShow => done(call("GET", &format!("/devices/{}", device(1)), "")),
            Action::DeviceRelease => {
                let items = self.operate("GET", "/devices", "")["items"].as_array().unwrap().clone();
                let quarantined = items.iter().find(|item| !item["quarantine"].is_null());
                let id = quarantined.expect("a device in quarantine")["id"].as_str().unwrap().to_string();
                done(call("POST", &format!("/devices/{id}/release"), ""))
            }
            Action::PersonalizationList => {
                done(call("GET", &format!("/devices/{}/personalization", device(1)), ""))
            }
            Action::PersonalizationSet => {
                done(call("PUT", &format!("/devices/{}/personalization/{whose}%2Fx", device(1)), "card"))
            }
            Action::DecryptionKeyShow => {
                done(call("GET", &format!("/devices/{}/decryption-key", device(1)), ""))
            }
            Action::PersonalizationSeal => {
                let path = format!("/devices/{}/personalization?provider={whose}", device(1));
                done(self.try_it(role, "POST", &path, &self.sealed(whose)))
            }
            Action::SessionList => done(call("GET", "/sessions", "")),
            Action::SessionShow => done(call("GET", &format!("/sessions/{}", "01".repeat(16)), "")),
            Action::AuditList => done(call("GET", "/audit", "")),
            Action::TokenList => done(call("GET", "/tokens", "")),
            Action::TokenCreate => done(call("POST", "/tokens", r#"{"role":"auditor","label":"new"}"#)),
            Action::TokenRevoke => {
                let made = self.operate("POST", "/tokens", r#"{"role":"auditor","label":"new"}"#);
                done(call("DELETE", &format!("/tokens/{}", made["hash"].as_str().unwrap()), ""))
            }
            Action::RegistryDigest => done(call("GET", "/registry-digest", "")),
            other => panic!("{} is not of the REST interface", other.id()),
        }
    }

    /// A call as `role`. A refusal must be one, and leave no trace in what the TAM decides by.
    fn try_it(&self, role: Role, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        let digest = || self.operate("GET", "/registry-digest", "")["sha256"].clone();
        let before = digest();
        let got = match self.token(role) {
            Some(token) => self.api(Some(token), method, path, body),
            None => {
                // Nothing, and something that is no token.
                let nothing = self.api(None, method, path, body);
                let key = new_key(KeyType::Ed25519);
                let invented = format!("tmk_{}", hex::encode(key.public_key().to_point()));
                let other = self.api(Some(&invented), method, path, body);
                assert_eq!((nothing.0, other.0), (401, 401), "{method} {path} as {}", role.name());
                nothing
            }
        };
        if !(200..300).contains(&got.0) {
            let refusals = if self.token(role).is_some() { &[403, 404][..] } else { &[401] };
            assert!(refusals.contains(&got.0), "{method} {path} as {}: {got:?}", role.name());
            assert_eq!(digest(), before, "{method} {path} as {}: a refusal changed something", role.name());
        }
        got
    }

    pub fn try_all(&self, observed: &mut Observed) {
        for action in Action::ALL.iter().copied() {
            for role in Role::ALL {
                match action.place() {
                    Place::Rest => {
                        let own = self.attempt(role, action, ACME);
                        // Who has no token has nothing of its own either.
                        let others = self.token(role).map_or(own, |_| self.attempt(role, action, GLOBEX));
                        observed.note(
                            action,
                            role,
                            match (own, others) {
                                (true, true) => Grant::Allowed,
                                (true, false) => Grant::Own,
                                (false, false) => Grant::Denied,
                                (false, true) => panic!("{} as {}: only others'", action.id(), role.name()),
                            },
                        );
                        if self.token(role).is_some() && !own {
                            self.assert_written_down(role, action);
                        }
                    }
                    Place::Endpoint => observed.note_whether(action, role, self.endpoint(role, action)),
                    _ => {}
                }
            }
        }
    }

    /// What a valid token was refused stands in the audit log.
    fn assert_written_down(&self, role: Role, action: Action) {
        let mut after = String::new();
        loop {
            let page = self.operate("GET", &format!("/audit?limit=500{after}"), "");
            let items = page["items"].as_array().unwrap().clone();
            let of_it = |item: &Value| {
                item["action"] == "refused"
                    && item["subject"] == action.id()
                    && item["actor"].as_str().is_some_and(|actor| actor.eq_ignore_ascii_case(role.name()))
            };
            if items.iter().any(of_it) {
                return;
            }
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        panic!("{} as {}: the refusal is not in the audit log", action.id(), role.name());
    }

    fn endpoint(&self, role: Role, action: Action) -> bool {
        let get = |path: &str| self.send(self.token(role), "GET", path, b"").0 == 200;
        match action {
            Action::TamAsk => self.send(self.token(role), "POST", "/tam", b"").0 == 200,
            Action::ArtifactFetch => {
                let (_, made) = self.api(Some(&self.operator), "POST", "/artifacts", b"open");
                get(made["path"].as_str().unwrap())
            }
            Action::HealthRead => get("/livez") && get("/readyz"),
            Action::MetricsRead => get("/metrics"),
            other => panic!("{} is no endpoint", other.id()),
        }
    }
}

/// The body that lets somebody new give reference values.
fn reference_provider() -> String {
    let key = pem(&*new_key(KeyType::P256));
    json!({ "role": "maker", "keys": [key], "scope": [{ "model": "m1" }] }).to_string()
}

fn device(number: u8) -> String {
    hex::encode([number; 32])
}

/// Devices in quarantine and a session, written before the TAM starts.
fn prepare(data: &std::path::Path) {
    let store = SqliteStore::open(data, tamarack_crypto_aws_lc::provider()).unwrap();
    // A key that payloads are encrypted to; nobody decrypts anything here.
    let decryption = new_key(KeyType::P256).public_key();
    let mut ops = Vec::new();
    for number in 1..=QUARANTINED {
        ops.push(StoreOp::PutDevice(Box::new(Device {
            tenant: TenantId::default(),
            id: DeviceId([number; 32]),
            revision: 0,
            teep: None,
            otrp: None,
            ueid: vec![number; 17],
            grade: "software".into(),
            claims: vec![(tamarack_tam::personal::DECRYPTION_KEY.into(), hex::encode(decryption.to_spki()))],
            state: None,
            quarantine: Some("a test".into()),
            held_back: Vec::new(),
            first_seen: 1,
            last_seen: 1,
            reported: None,
            attested: None,
        })));
    }
    ops.push(StoreOp::Record(Box::new(Recorded {
        tenant: TenantId::default(),
        device: DeviceId([1; 32]),
        at: 1,
        otrp: false,
        format: None,
        evidence: vec![1],
        shown: vec![1],
        policy: None,
        withheld: Vec::new(),
    })));
    ops.push(StoreOp::InsertSession(Session {
        tenant: TenantId::default(),
        id: [1; 16],
        device: DeviceId([1; 32]),
        started: 1,
        ended: None,
        outcome: None,
        code: None,
        reason: None,
    }));
    store.apply(ops).unwrap();
}
