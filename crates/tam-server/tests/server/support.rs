use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};
use tamarack_cose::{SignOptions, thumbprint};
use tamarack_crypto::{KeyType, Sign};
use tamarack_model::ComponentId;
use tamarack_suit::author::{Builder, Component, Payload};
use tamarack_tam_server::{
    Config, GradeName, InitOptions, NewToken, Profile, Role, Running, TenantId, add_token, init, start,
};
use tempfile::TempDir;
use ureq::http::{Method, Request};

pub const TEEP: &str = "application/teep+cbor";

/// A TAM that serves on a free port, with its folder and the operator's token.
pub struct World {
    pub folder: TempDir,
    pub config: Config,
    pub operator: String,
    running: Option<Running>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Asserts a problem with this status and code, complete as RFC 9457 and our conventions want it.
    #[track_caller]
    pub fn assert_problem(&self, status: u16, code: &str) {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let json = self.json();
        assert_eq!((self.status, json["code"].as_str()), (status, Some(code)), "{json}");
        assert_eq!(json["status"], status);
        for member in ["type", "title", "detail", "instance", "request_id", "fix"] {
            assert!(json[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {json}");
        }
    }
}

pub fn options(folder: &TempDir) -> InitOptions {
    InitOptions {
        folder: folder.path().join("tam"),
        listen: "127.0.0.1:0".parse().unwrap(),
        profile: Profile::Development,
        ca: None,
        otrp: None,
        tee_cas: Vec::new(),
        minimum: Some(GradeName::Software),
        tls: None,
        now: 1_760_000_000,
    }
}

impl World {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = TempDir::new().unwrap();
        let made = init(&options(&folder)).unwrap();
        let mut config = Config::read(&made.config).unwrap();
        change(&mut config);
        let running = Some(start(&config).unwrap());
        Self { folder, config, operator: made.operator_token, running }
    }

    /// As `init` makes it with these options. `folder` is kept as long as the world.
    pub fn of(folder: TempDir, options: &InitOptions) -> Self {
        let made = init(options).unwrap();
        Self::made(folder, Config::read(&made.config).unwrap(), made.operator_token)
    }

    /// With this configuration.
    pub fn made(folder: TempDir, config: Config, operator: String) -> Self {
        let running = Some(start(&config).unwrap());
        Self { folder, config, operator, running }
    }

    /// Stops and starts it.
    pub fn restart_whole(&mut self) {
        self.stop();
        self.restart();
    }

    pub fn stop(&mut self) {
        self.running.take().unwrap().stop().unwrap();
    }

    pub fn restart(&mut self) {
        self.running = Some(start(&self.config).unwrap());
    }

    pub fn address(&self) -> std::net::SocketAddr {
        self.running.as_ref().unwrap().address()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)));
        let agent: ureq::Agent = config.build().into();
        let mut request =
            Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = if body.is_empty() && method != "POST" {
            agent.run(request.body(()).unwrap())
        } else {
            agent.run(request.body(body).unwrap())
        };
        let mut response = response.unwrap();
        let headers = response.headers().iter();
        Reply {
            status: response.status().as_u16(),
            headers: headers.map(|(k, v)| (k.to_string(), v.to_str().unwrap().to_string())).collect(),
            body: response.body_mut().read_to_vec().unwrap(),
        }
    }

    /// A request to the REST interface with a token.
    pub fn api(&self, token: &str, method: &str, path: &str, body: &[u8]) -> Reply {
        let bearer = format!("Bearer {token}");
        self.send(method, &format!("/api/v1{path}"), &[("authorization", &bearer)], body)
    }

    pub fn api_json(&self, token: &str, method: &str, path: &str, body: &Value) -> Reply {
        self.api(token, method, path, body.to_string().as_bytes())
    }

    pub fn token(&self, role: Role, provider: Option<&str>) -> String {
        let new = NewToken {
            tenant: TenantId::default(),
            role,
            provider: provider.map(Into::into),
            label: format!("{} of a test", role.as_str()),
        };
        add_token(&self.config, &new).unwrap()
    }

    pub fn provider(&self, id: &str, prefix: &str, signer: &dyn Sign) -> Reply {
        let pem = tamarack_pki::public_key_to_pem(&signer.public_key()).unwrap();
        let body = json!({ "id": id, "name": id, "prefixes": [prefix], "signers": [pem] });
        self.api_json(&self.operator, "POST", "/providers", &body)
    }

    pub fn digest(&self) -> String {
        let reply = self.api(&self.operator, "GET", "/registry-digest", b"");
        reply.json()["sha256"].as_str().unwrap().to_string()
    }

    pub fn audit(&self) -> Vec<Value> {
        let reply = self.api(&self.operator, "GET", "/audit?limit=500", b"");
        reply.json()["items"].as_array().unwrap().clone()
    }

    /// Writes bytes to a connection and reads what comes until it is closed or nothing comes for a while.
    pub fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        while let Ok(read @ 1..) = stream.read(&mut buffer) {
            answer.extend_from_slice(&buffer[..read]);
            if answer.windows(4).any(|window| window == b"\r\n\r\n") {
                break;
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

pub fn signer() -> Box<dyn Sign> {
    tamarack_pki::load_key(&tamarack_pki::generate_key(KeyType::Ed25519).unwrap()).unwrap()
}

pub fn id(text: &str) -> ComponentId {
    ComponentId::parse_text(text).unwrap()
}

/// A signed envelope of one component with an integrated payload.
pub fn envelope(prefix: &str, sequence: u64, signer: &dyn Sign) -> Vec<u8> {
    let crypto = tamarack_crypto_aws_lc::provider();
    let payload = Payload::integrated("#ta", b"the payload of a test".to_vec(), &crypto);
    let builder = Builder::new(id(&format!("{prefix}/wallet/suit")), sequence)
        .component(Component::new(id(&format!("{prefix}/wallet/ta")), payload));
    let kid = thumbprint(&signer.public_key(), &crypto);
    let options = SignOptions { kid: Some(&kid.0), ..SignOptions::default() };
    builder.build(&crypto).unwrap().sign(signer, &options).unwrap().envelope()
}
