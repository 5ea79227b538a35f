//! The verifier over HTTP: what is open to all, and what its operator's token is for.

use std::cell::Cell;
use std::fs;

use tamarack_model::permission::{Action, Place, Role};
use tamarack_verifier::{Config, GradeName, InitOptions, Profile, Running, init, start};
use tempfile::TempDir;

use crate::device::key;
use crate::matrix::Observed;
use crate::rest::{self, corim};

struct World<'a> {
    _folder: TempDir,
    running: Running,
    operator: String,
    tam: &'a rest::World,
    http: ureq::Agent,
    number: Cell<u64>,
}

pub fn try_all(tam: &rest::World, observed: &mut Observed) {
    let world = World::new(tam);
    for action in Action::ALL.iter().copied().filter(|action| action.place() == Place::Verifier) {
        for role in Role::ALL {
            observed.note_whether(action, role, world.attempt(role, action));
        }
    }
}

impl<'a> World<'a> {
    fn new(tam: &'a rest::World) -> Self {
        let folder = TempDir::new().unwrap();
        let ca = folder.path().join("tee-ca.pem");
        fs::write(&ca, tam.tee_ca.cert_pem()).unwrap();
        let made = init(&InitOptions {
            folder: folder.path().join("verifier"),
            listen: "127.0.0.1:0".parse().unwrap(),
            profile: Profile::Development,
            tee_cas: vec![(ca, GradeName::Software)],
            minimum: None,
        })
        .unwrap();
        let maker = tamarack_pki::public_key_to_pem(&key(Role::Maker).public_key()).unwrap();
        fs::write(made.config.with_file_name("maker.pub"), maker).unwrap();
        let more = "\n[[reference_provider]]\nname = \"Maker\"\nrole = \"maker\"\nkeys = [\"maker.pub\"]\n\
            [[reference_provider.scope]]\nclass_id = \"02020202-0202-0202-0202-020202020202\"\n";
        fs::write(&made.config, fs::read_to_string(&made.config).unwrap() + more).unwrap();
        let running = start(&Config::read(&made.config).unwrap()).unwrap();
        let http = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().into();
        let (operator, number) = (made.operator_token, Cell::new(0));
        Self { _folder: folder, running, operator, tam, http, number }
    }

    fn send(&self, token: Option<&str>, method: &str, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        let uri = format!("http://{}{path}", self.running.address());
        let method = ureq::http::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = ureq::http::Request::builder().method(method).uri(uri);
        if path == "/appraise" {
            request = request.header("content-type", tamarack_eat::SOFTWARE_TEE_FORMAT);
        }
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = self.http.run(request.body(body).unwrap()).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_vec().unwrap())
    }

    /// What a role shows here: the verifier's operator its token, others the one that they have at the TAM, if any.
    fn attempt(&self, role: Role, action: Action) -> bool {
        let token = if role == Role::Verifier { Some(&*self.operator) } else { self.tam.token(role) };
        let values = || {
            self.number.set(self.number.get() + 1);
            corim(&*key(Role::Maker), self.number.get())
        };
        let references = "/api/v1/references";
        let status = match action {
            Action::VerifierAsk => {
                assert_eq!(self.send(token, "GET", "/key", b"").0, 200);
                self.send(token, "GET", "/challenge", b"").0
            }
            // It is looked at, whoever sends it; that it is no Evidence is another matter.
            Action::VerifierAppraise => match self.send(token, "POST", "/appraise", b"no Evidence").0 {
                422 => 200,
                status => status,
            },
            Action::VerifierReferenceList => self.send(token, "GET", references, b"").0,
            Action::VerifierReferenceAdd => self.send(token, "POST", references, &values()).0,
            Action::VerifierReferenceDeactivate => {
                let (status, added) = self.send(Some(&self.operator), "POST", references, &values());
                assert!((200..300).contains(&status), "{status}");
                let added: serde_json::Value = serde_json::from_slice(&added).unwrap();
                let path = format!("{references}/{}", added["id"].as_str().unwrap());
                self.send(token, "DELETE", &path, b"").0
            }
            other => panic!("{} is not the verifier's", other.id()),
        };
        assert!((200..300).contains(&status) || [401, 403].contains(&status), "{}: {status}", action.id());
        (200..300).contains(&status)
    }
}
