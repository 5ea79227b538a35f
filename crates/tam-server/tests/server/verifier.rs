//! A TAM that asks a verifier, both as they are served.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tamarack_cbor::Limits;
use tamarack_corim::{Comid, Corim, Digest, Id, MeasuredElement, MeasurementValues, Signer, Triple};
use tamarack_cose::{SignOptions, thumbprint};
use tamarack_crypto::{KeyType, Sign};
use tamarack_eat::{Claims, MeasuredComponent, MeasuredTa, Measurement, SOFTWARE_TEE_FORMAT};
use tamarack_model::{Sha256Digest, TcEntry, codes};
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem, public_key_to_pem};
use tamarack_tam_server::{Config, GradeName, Profile};
use tamarack_teep::{Message, QueryResponse, RequestedTc, SignedMessage, UPDATE_BINDING_EXTENSION};
use tamarack_testkit::evidence::claims;
use tamarack_x509::Role;
use tempfile::TempDir;

use crate::support::{Reply, TEEP, World, id, options};

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

fn key() -> Box<dyn Sign> {
    tamarack_pki::load_key(&tamarack_pki::generate_key(KeyType::P256).unwrap()).unwrap()
}

/// A device under a TEE CA that the TAM does not know: only the verifier can say what it is.
struct Device {
    attestation: Box<dyn Sign>,
    chain: Vec<Vec<u8>>,
    teep: Box<dyn Sign>,
}

impl Device {
    fn new(authority: &Authority) -> Self {
        let (attestation, teep) = (key(), key());
        let subject = Subject { uri: "urn:x:1".into(), common_name: "1".into() };
        let leaf = authority.issue(attestation.public_key(), subject, now() - 60, now() + 3600).unwrap();
        Self { attestation, chain: certificates_from_pem(&leaf).unwrap(), teep }
    }

    /// The answer to a QueryRequest.
    fn answer(&self, request: &[u8], agent: [u8; 32]) -> Vec<u8> {
        self.answer_with(request, agent, None)
    }

    /// The same of one that holds [`PURSE`] with this digest and asks for the wallet.
    fn answer_with(&self, request: &[u8], agent: [u8; 32], purse: Option<[u8; 32]>) -> Vec<u8> {
        let request = SignedMessage::parse(request, &Limits::default()).unwrap();
        let Message::QueryRequest(request) = request.unverified().unwrap() else { panic!("no QueryRequest") };
        let challenge = request.challenge.unwrap();
        let claims = Claims {
            measurements: purse
                .map(|digest| Measurement::Component(self.purse(digest)))
                .into_iter()
                .collect(),
            ..claims(&challenge, self.teep.public_key(), agent)
        };
        let wallet =
            RequestedTc { component_id: id("acme/wallet/ta"), sequence_number: None, have_binary: None };
        let response = QueryResponse {
            attestation_payload_format: Some(SOFTWARE_TEE_FORMAT.into()),
            attestation_payload: Some(tamarack_eat::sign(&claims, &*self.attestation, &self.chain).unwrap()),
            tc_list: vec![TcEntry {
                id: id("tamarack/agent"),
                digest: Some(Sha256Digest(agent)),
                size: Some(1),
            }],
            requested_tc_list: vec![wallet],
            ext_list: vec![UPDATE_BINDING_EXTENSION],
            agent_nonce: Some([7; 16]),
            ..QueryResponse::default()
        };
        let kid = thumbprint(&self.teep.public_key(), &tamarack_crypto_aws_lc::provider());
        let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
        tamarack_teep::sign(&Message::QueryResponse(response), &*self.teep, &options).unwrap()
    }

    fn purse(&self, digest: [u8; 32]) -> MeasuredComponent {
        (&MeasuredTa {
            component: id(PURSE),
            manifest: id("acme/purse/suit"),
            provider: "acme".into(),
            sequence: 1,
            digest,
            loaded: true,
        })
            .into()
    }
}

const PURSE: &str = "acme/purse/ta";

/// What the signer of [`PURSE`] released.
fn release_purse(key: &dyn Sign, digest: [u8; 32]) -> Vec<u8> {
    let mut tag = Comid::new(Id::Text("purse".into()), 1);
    let values = MeasurementValues { digests: vec![Digest::sha256(digest)], ..MeasurementValues::default() };
    let element = Some(MeasuredElement::Text(PURSE.into()));
    let measurement = tamarack_corim::Measurement { element, values, authorized_by: Vec::new() };
    let environment = tamarack_attest::ta_environment(&id(PURSE));
    tag.reference_values = vec![Triple { environment, measurements: vec![measurement] }];
    let corim = Corim::new(Id::Text("tas".into()), tag);
    tamarack_corim::sign(&corim, &Signer::new("Signer"), key, None).unwrap()
}

const SCOPE: &str = "[[verifier_key.scope]]\nmodel = \"software-tee\"\n";

/// Makes a TAM whose tam.toml says `more`.
fn tam(folder: TempDir, more: &str) -> World {
    let made = tamarack_tam_server::init(&options(&folder)).unwrap();
    let text = fs::read_to_string(&made.config).unwrap();
    fs::write(&made.config, format!("{text}\n{more}")).unwrap();
    let config = Config::read(&made.config).unwrap();
    World::made(folder, config, made.operator_token)
}

fn verifier_key(file: &Path) -> String {
    format!("[[verifier_key]]\nname = \"Verity\"\nkey = \"{}\"\ncap = \"software\"\n{SCOPE}", file.display())
}

fn post(world: &World, body: &[u8]) -> Reply {
    let headers = [("accept", TEEP), ("content-type", TEEP)];
    world.send("POST", "/tam", if body.is_empty() { &headers[..1] } else { &headers }, body)
}

/// Code that the err-msg of an Update names.
fn refusal(reply: &Reply) -> String {
    let message = SignedMessage::parse(&reply.body, &Limits::default()).unwrap();
    let Message::Update(update) = message.unverified().unwrap() else { panic!("no Update") };
    update.err_msg.unwrap()[..8].into()
}

fn devices(world: &World) -> Vec<Value> {
    let reply = world.api(&world.operator, "GET", "/devices", b"");
    reply.json()["items"].as_array().unwrap().clone()
}

#[test]
fn devices_are_believed_on_the_word_of_a_verifier() {
    let folder = TempDir::new().unwrap();
    let authority =
        Authority::create(Role::Tee, "Maker", KeyType::P256, Validity::days(now() - 86_400, 365)).unwrap();
    let ca = folder.path().join("tee.pem");
    fs::write(&ca, authority.cert_pem()).unwrap();
    let home = folder.path().join("verifier");
    let made = tamarack_verifier::init(&tamarack_verifier::InitOptions {
        folder: home.clone(),
        listen: "127.0.0.1:0".parse().unwrap(),
        profile: Profile::Development,
        tee_cas: vec![(ca, GradeName::Software)],
        minimum: None,
    })
    .unwrap();
    let maker = key();
    fs::write(home.join("maker.pub"), public_key_to_pem(&maker.public_key()).unwrap()).unwrap();
    let provider = "\n[[reference_provider]]\nname = \"Acme\"\nrole = \"maker\"\nkeys = [\"maker.pub\"]\n\
        [[reference_provider.scope]]\nclass_id = \"02020202020202020202020202020202\"\n";
    let text = fs::read_to_string(&made.config).unwrap() + provider;
    fs::write(&made.config, text).unwrap();
    fs::write(home.join("references/firmware.corim"), crate::references::release(&*maker, [4; 32])).unwrap();
    let verifier = tamarack_verifier::start(&tamarack_verifier::Config::read(&made.config).unwrap()).unwrap();
    let asked =
        format!("[verifier]\nurl = \"http://{}\"\n{}", verifier.address(), verifier_key(&made.public_key));
    let world = tam(folder, &asked);

    let device = Device::new(&authority);
    let body = device.answer(&post(&world, b"").body, [4; 32]);
    assert_eq!(post(&world, &body).status, 204, "nothing to do");
    let rows = devices(&world);
    assert_eq!((rows.len(), rows[0]["grade"].as_str()), (1, Some("software")));
    // One whose Agent differs in a byte, and one of another maker.
    let changed = device.answer(&post(&world, b"").body, [5; 32]);
    assert_eq!(refusal(&post(&world, &changed)), codes::RESULT_STATUS.to_string());
    let other =
        Authority::create(Role::Tee, "Other", KeyType::P256, Validity::days(now() - 86_400, 365)).unwrap();
    let foreign = Device::new(&other).answer(&post(&world, b"").body, [4; 32]);
    assert_eq!(refusal(&post(&world, &foreign)), codes::EVIDENCE_UNTRUSTED.to_string());
    // Nobody answers any more.
    drop(verifier);
    let late = device.answer(&post(&world, b"").body, [4; 32]);
    assert_eq!(refusal(&post(&world, &late)), codes::VERIFIER_UNAVAILABLE.to_string());
    assert_eq!(devices(&world).len(), 1);
}

/// What a device was given, and the code of what it was not.
fn outcome(reply: &Reply) -> (usize, Option<String>) {
    let message = SignedMessage::parse(&reply.body, &Limits::default()).unwrap();
    let Message::Update(update) = message.unverified().unwrap() else { panic!("no Update") };
    (update.manifest_list.len(), update.err_msg.map(|text| text[..8].into()))
}

/// A policy on what a TA comes to, and on all else that appraisal finds, decides the same whoever appraises.
#[test]
fn a_release_policy_sees_the_same_through_a_verifier() {
    let policy = format!(
        "appraisal.submods['{PURSE}'].status == 'affirming' && appraisal.submods['{PURSE}'].vector.executables == 3 \
         && appraisal.components.exists_one(c, c.name == 'urn:x-tamarack:agent' && c.finding == 'released' && c.svn == 1) \
         && appraisal.status == 'affirming' && appraisal.proof == 'evidence' && claims.debug == 'disabled-since-boot' \
         && claims.class == 'software-tee' && claims.hwversion == '1'"
    );
    let folder = TempDir::new().unwrap();
    let authority =
        Authority::create(Role::Tee, "Maker", KeyType::P256, Validity::days(now() - 86_400, 365)).unwrap();
    let ca = folder.path().join("tee.pem");
    fs::write(&ca, authority.cert_pem()).unwrap();
    let (maker, signer) = (key(), key());
    for (name, key) in [("maker.pub", &maker), ("signer.pub", &signer)] {
        fs::write(folder.path().join(name), public_key_to_pem(&key.public_key()).unwrap()).unwrap();
    }
    let at = folder.path().display();
    let providers = format!(
        "[[reference_provider]]\nname = \"Maker\"\nrole = \"maker\"\nkeys = [\"{at}/maker.pub\"]\n\
         [[reference_provider.scope]]\nmodel = \"software-tee\"\n\
         [[reference_provider.scope]]\nclass_id = \"02020202020202020202020202020202\"\n\
         [[reference_provider]]\nname = \"Signer\"\nrole = \"ta-signer\"\nkeys = [\"{at}/signer.pub\"]\n\
         [[reference_provider.scope]]\nvendor = \"acme\"\nmodel = \"trusted-application\"\n"
    );
    let references = [crate::references::release(&*maker, [4; 32]), release_purse(&*signer, [5; 32])];

    let made = tamarack_verifier::init(&tamarack_verifier::InitOptions {
        folder: folder.path().join("verifier"),
        listen: "127.0.0.1:0".parse().unwrap(),
        profile: Profile::Development,
        tee_cas: vec![(ca.clone(), GradeName::Software)],
        minimum: None,
    })
    .unwrap();
    fs::write(&made.config, format!("{}\n{providers}", fs::read_to_string(&made.config).unwrap())).unwrap();
    for (index, signed) in references.iter().enumerate() {
        fs::write(folder.path().join(format!("verifier/references/{index}.corim")), signed).unwrap();
    }
    let verifier = tamarack_verifier::start(&tamarack_verifier::Config::read(&made.config).unwrap()).unwrap();
    let asked =
        format!("[verifier]\nurl = \"http://{}\"\n{}", verifier.address(), verifier_key(&made.public_key));
    let remote = tam(TempDir::new().unwrap(), &asked);
    let appraises = format!("[[tee_ca]]\nfile = \"{}\"\ncap = \"software\"\n{providers}", ca.display());
    let own = tam(TempDir::new().unwrap(), &appraises);
    for signed in &references {
        let added = own.api(&own.operator, "POST", "/references", signed);
        assert_eq!(added.status, 201, "{added:?}");
    }
    for world in [&own, &remote] {
        let developer = crate::support::signer();
        world.provider("acme", "acme", &*developer);
        let envelope = crate::support::envelope("acme", 1, &*developer);
        assert_eq!(world.api(&world.operator, "POST", "/components?provider=acme", &envelope).status, 201);
        let put = json!({ "policy": policy });
        assert_eq!(world.api_json(&world.operator, "PUT", "/release-policy", &put).status, 200);
    }
    for (what, purse, expected) in [
        ("released", Some([5; 32]), (1, None)),
        ("changed", Some([6; 32]), (0, Some(codes::RELEASE_DENIED.to_string()))),
        ("not there", None, (0, Some(codes::RELEASE_POLICY_FAILED.to_string()))),
    ] {
        for (who, world) in [("own", &own), ("remote", &remote)] {
            let device = Device::new(&authority);
            let answer = device.answer_with(&post(world, b"").body, [4; 32], purse);
            assert_eq!(outcome(&post(world, &answer)), expected, "{what}, {who} verifier");
        }
    }
}

#[test]
fn who_waits_for_a_slow_verifier_holds_up_nobody() {
    let folder = TempDir::new().unwrap();
    let authority =
        Authority::create(Role::Tee, "Maker", KeyType::P256, Validity::days(now() - 86_400, 365)).unwrap();
    let public = folder.path().join("verifier.pub");
    fs::write(&public, public_key_to_pem(&key().public_key()).unwrap()).unwrap();
    // It accepts and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let asked = format!(
        "[limits]\nin_flight = 1\n[verifier]\nurl = \"http://{}\"\nseconds = 2\nin_flight = 1\n{}",
        silent.local_addr().unwrap(),
        verifier_key(&public)
    );
    let world = tam(folder, &asked);
    let body = Device::new(&authority).answer(&post(&world, b"").body, [4; 32]);
    let more = Device::new(&authority).answer(&post(&world, b"").body, [4; 32]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| post(&world, &body));
        let (stream, _) = silent.accept().unwrap();
        let begin = Instant::now();
        for _ in 0..3 {
            assert_eq!(post(&world, b"").status, 200, "an empty POST is answered meanwhile");
        }
        assert_eq!(post(&world, &more).status, 429, "the one place before the verifier is taken");
        assert!(begin.elapsed() < Duration::from_millis(1500), "{:?}", begin.elapsed());
        let reply = waiting.join().unwrap();
        assert_eq!(refusal(&reply), codes::VERIFIER_UNAVAILABLE.to_string());
        drop(stream);
    });
}

#[test]
fn e3_a_verifiers_key_serves_nothing_else() {
    let folder = TempDir::new().unwrap();
    let authority =
        Authority::create(Role::Tee, "Maker", KeyType::P256, Validity::days(now() - 86_400, 365)).unwrap();
    let ca = folder.path().join("tee.pem");
    fs::write(&ca, authority.cert_pem()).unwrap();
    let own = folder.path().join("own.pub");
    fs::write(&own, public_key_to_pem(&key().public_key()).unwrap()).unwrap();
    let made = tamarack_tam_server::init(&options(&folder)).unwrap();
    let text = fs::read_to_string(&made.config).unwrap();
    let good = verifier_key(&own);
    let tee_ca = format!("[[tee_ca]]\nfile = \"{}\"\ncap = \"software\"\n", ca.display());
    let provider = format!(
        "[[reference_provider]]\nname = \"Acme\"\nrole = \"maker\"\nkeys = [\"{}\"]\n\
         [[reference_provider.scope]]\nmodel = \"x\"\n",
        own.display()
    );
    let invalid = codes::CONFIG_INVALID;
    for (what, more, code) in [
        ("good", good.clone(), None),
        ("the TEE CA's", format!("{tee_ca}{}", verifier_key(&ca)), Some(codes::VERIFIER_KEY)),
        ("a provider's", format!("{provider}{good}"), Some(codes::VERIFIER_KEY)),
        ("the TAM's", verifier_key(Path::new("keys/tam-p256.pub")), Some(codes::VERIFIER_KEY)),
        ("another verifier's", format!("{good}{good}"), Some(codes::VERIFIER_KEY)),
        ("no scope", good.replace(SCOPE, "scope = []\n"), Some(invalid)),
        ("a scope that says nothing", good.replace("model = \"software-tee\"\n", ""), Some(invalid)),
        ("no key", good.replace("own.pub", "none.pub"), Some(invalid)),
        ("asked and not believed", "[verifier]\nurl = \"https://v.example\"\n".into(), Some(invalid)),
        ("plain HTTP", format!("[verifier]\nurl = \"http://v.example\"\n{good}"), Some(invalid)),
        ("no URL", format!("[verifier]\nurl = \"v.example\"\n{good}"), Some(invalid)),
        ("no time", format!("[verifier]\nurl = \"https://v.example\"\nseconds = 0\n{good}"), Some(invalid)),
    ] {
        fs::write(&made.config, format!("{text}\n{more}")).unwrap();
        let started = Config::read(&made.config).and_then(|config| tamarack_tam_server::start(&config));
        assert_eq!(started.err().map(|e| e.code()), code, "{what}");
    }
}
