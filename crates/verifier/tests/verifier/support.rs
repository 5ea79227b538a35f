use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tamarack_attest::{ResultExpectations, ResultPolicy};
use tamarack_corim::{
    Class, ClassId, Comid, Corim, Digest, Environment, Id, MeasuredElement, Measurement, MeasurementValues,
    Signer, Svn, Triple,
};
use tamarack_cose::{Purpose, VerificationKey, thumbprint};
use tamarack_crypto::{KeyType, Provider, Sign};
use tamarack_eat::Claims;
use tamarack_eat::ear::Ear;
use tamarack_pki::{Authority, Subject, Validity, certificates_from_pem};
use tamarack_verifier::{Config, GradeName, InitOptions, Initialised, Running};
use tamarack_x509::Role;
use tempfile::TempDir;

pub const AGENT: &str = "urn:x-tamarack:agent";

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub fn provider() -> Provider {
    tamarack_crypto_aws_lc::provider()
}

pub fn make() -> Box<dyn Sign> {
    let keys = provider().keys;
    keys.load_pkcs8(keys.generate_pkcs8(KeyType::P256).unwrap().expose()).unwrap()
}

/// A device under a TEE CA of its own, and its maker.
pub struct Device {
    pub authority: Authority,
    attestation: Box<dyn Sign>,
    chain: Vec<Vec<u8>>,
    pub teep: Box<dyn Sign>,
    pub maker: Box<dyn Sign>,
}

impl Device {
    pub fn new() -> Self {
        let authority =
            Authority::create(Role::Tee, "Maker", KeyType::P256, Validity::days(now() - 86_400, 365))
                .unwrap();
        let attestation = make();
        let subject = Subject { uri: "urn:x:1".into(), common_name: "1".into() };
        let leaf = authority.issue(attestation.public_key(), subject, now() - 3600, now() + 3600).unwrap();
        let chain = certificates_from_pem(&leaf).unwrap();
        Self { authority, attestation, chain, teep: make(), maker: make() }
    }

    pub fn claims(&self, nonce: &[u8], agent: [u8; 32]) -> Claims {
        tamarack_testkit::evidence::claims(nonce, self.teep.public_key(), agent)
    }

    pub fn sign(&self, claims: &Claims) -> Vec<u8> {
        tamarack_eat::sign(claims, &*self.attestation, &self.chain).unwrap()
    }

    /// Evidence of a device whose Agent has this digest.
    pub fn evidence(&self, nonce: &[u8], agent: [u8; 32]) -> Vec<u8> {
        self.sign(&self.claims(nonce, agent))
    }

    /// What the maker released, in one version of one tag.
    pub fn release(&self, version: u64, agent: [u8; 32]) -> Vec<u8> {
        tamarack_corim::sign(&corim("software-tee", version, agent), &Signer::new("Acme"), &*self.maker, None)
            .unwrap()
    }
}

pub fn corim(model: &str, version: u64, agent: [u8; 32]) -> Corim {
    let class = Class {
        class_id: Some(ClassId::Uuid([2; 16])),
        vendor: Some("02".repeat(16)),
        model: Some(model.into()),
        ..Class::default()
    };
    let values = MeasurementValues {
        digests: vec![Digest::sha256(agent)],
        svn: Some(Svn::Exact(version)),
        ..MeasurementValues::default()
    };
    let element = Some(MeasuredElement::Text(AGENT.into()));
    let measurement = Measurement { element, values, authorized_by: Vec::new() };
    let mut tag = Comid::new(Id::Text("firmware".into()), version);
    tag.reference_values =
        vec![Triple { environment: Environment::of_class(class), measurements: vec![measurement] }];
    Corim::new(Id::Text(format!("acme/{version}")), tag)
}

/// A verifier in a folder of its own that knows the maker.
pub struct World {
    _folder: TempDir,
    pub device: Device,
    pub made: Initialised,
    pub running: Option<Running>,
}

pub struct Reply {
    pub status: u16,
    pub media_type: String,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Status and code of a refusal.
    pub fn problem(&self) -> (u16, String) {
        if self.status >= 400 {
            assert_eq!(self.media_type, "application/problem+json");
            assert!(!self.json()["detail"].as_str().unwrap().is_empty());
        }
        (self.status, self.json()["code"].as_str().unwrap_or_default().into())
    }
}

impl World {
    pub fn new() -> Self {
        Self::with("")
    }

    /// With more text in verifier.toml.
    pub fn with(more: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let device = Device::new();
        let ca = folder.path().join("tee.pem");
        fs::write(&ca, device.authority.cert_pem()).unwrap();
        let maker = tamarack_pki::public_key_to_pem(&device.maker.public_key()).unwrap();
        let home = folder.path().join("verifier");
        let made = tamarack_verifier::init(&InitOptions {
            folder: home.clone(),
            listen: "127.0.0.1:0".parse().unwrap(),
            profile: tamarack_verifier::Profile::Development,
            tee_cas: vec![(ca, GradeName::Software)],
            minimum: None,
        })
        .unwrap();
        fs::write(home.join("maker.pub"), maker).unwrap();
        let text = fs::read_to_string(&made.config).unwrap();
        let provider = "\n[[reference_provider]]\nname = \"Acme\"\nrole = \"maker\"\nkeys = [\"maker.pub\"]\n\
                        [[reference_provider.scope]]\nmodel = \"software-tee\"\n";
        fs::write(&made.config, format!("{text}{provider}{more}")).unwrap();
        let mut world = Self { _folder: folder, device, made, running: None };
        world.start();
        world
    }

    pub fn start(&mut self) {
        self.running = None;
        self.running = Some(tamarack_verifier::start(&Config::read(&self.made.config).unwrap()).unwrap());
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.running.as_ref().unwrap().address())
    }

    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = agent.run(request.body(body).unwrap()).unwrap();
        let media_type = response.headers().get("content-type");
        let media_type = media_type.map(|value| value.to_str().unwrap().into()).unwrap_or_default();
        let status = response.status().as_u16();
        Reply { status, media_type, body: response.body_mut().read_to_vec().unwrap() }
    }

    pub fn appraise(&self, format: &str, nonce: Option<&[u8]>, evidence: &[u8]) -> Reply {
        let query = nonce.map(|nonce| format!("?nonce={}", hex::encode(nonce))).unwrap_or_default();
        self.request("POST", &format!("/appraise{query}"), &[("content-type", format)], evidence)
    }

    pub fn challenge(&self) -> Vec<u8> {
        let reply = self.request("GET", "/challenge", &[], &[]);
        hex::decode(reply.json()["challenge"].as_str().unwrap()).unwrap()
    }

    pub fn references(&self, method: &str, path: &str, body: &[u8]) -> Reply {
        let token = format!("Bearer {}", self.made.operator_token);
        self.request(method, &format!("/api/v1/references{path}"), &[("authorization", &token)], body)
    }

    /// What a relying party with nothing but the public key makes of a result.
    pub fn check(&self, ear: &[u8], nonce: &[u8]) -> Result<Ear, tamarack_attest::Refusal> {
        let key = fs::read_to_string(&self.made.public_key).unwrap();
        let key = tamarack_pki::public_key_from_pem(&key).unwrap();
        let policy = ResultPolicy::new(vec![tamarack_attest::Verifier {
            name: "verifier".into(),
            keys: vec![VerificationKey::new(key, Purpose::AttestationResult, &provider())],
            scope: None,
            cap: tamarack_attest::Grade::Hardware,
        }]);
        let key = Some(thumbprint(&self.device.teep.public_key(), &provider()));
        let expected = ResultExpectations { nonce: Some(nonce), key, now: now() };
        policy.accept(ear, &expected, &provider()).map(|accepted| accepted.ear)
    }
}
