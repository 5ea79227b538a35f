//! Revocation, the OCSP responder and its server.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use tamarack_x509::crl::{self, CrlError};
use tamarack_x509::ocsp::{
    CertId, Failure, Freshness, IdHash, MAX_RESPONSE, OcspError, REQUEST_TYPE, Request, Response, Status,
    check,
};

use super::*;
use crate::ocsp::{Responder, Server};

struct World {
    root: Authority,
    leaf: Vec<u8>,
    revoked: Revocations,
}

impl World {
    fn new(key_type: KeyType) -> Self {
        let root = authority(Role::Tam, key_type);
        let key = key(&providers()[0], KeyType::P256).public_key();
        let name = Name::RegisteredId("1.2.3".into());
        let leaf = der(&root.issue_named(key, Role::OtrpTam, &name, "TAM", validity()).unwrap());
        Self { root, leaf, revoked: Revocations::default() }
    }

    fn revoke(&mut self) -> bool {
        self.root.revoke(&self.leaf, &mut self.revoked, Reason::KeyCompromise, NOW - 3).unwrap()
    }

    fn check(&self, response: Vec<u8>) -> Result<(), OcspError> {
        let path = [&self.leaf[..], self.root.cert_der()];
        let [first, second] = providers().map(|provider| {
            check(&path, std::slice::from_ref(&response), &Freshness::new(NOW, 0), &provider)
        });
        assert_eq!(first, second);
        first.map(drop)
    }

    fn request(&self, hash: IdHash) -> Request {
        let id = CertId::new(&self.leaf, self.root.cert_der(), hash, &providers()[0]).unwrap();
        Request { ids: vec![id], nonce: None }
    }
}

fn delegated(world: &World) -> Responder {
    let key_pem = generate_key(KeyType::P256).unwrap();
    let public = load_key(&key_pem).unwrap().public_key();
    let certificate = world.root.issue_responder(public, "OCSP", validity()).unwrap();
    Responder::delegated(world.root.cert_der(), &certificate, &key_pem).unwrap()
}

#[test]
fn responders_tell_good_from_revoked() {
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let mut world = World::new(key_type);
        let responders = [Responder::new(&world.root).unwrap(), delegated(&world)];
        for responder in &responders {
            let status = responder.status(&world.leaf, &world.revoked, NOW).unwrap();
            assert_eq!(world.check(status), Ok(()));
            for hash in [IdHash::Sha1, IdHash::Sha256] {
                let request = world.request(hash).to_der().unwrap();
                assert_eq!(world.check(responder.answer(&request, &world.revoked, NOW)), Ok(()));
            }
        }
        assert!(world.revoke());
        assert!(!world.revoke());
        for responder in &responders {
            let status = responder.status(&world.leaf, &world.revoked, NOW).unwrap();
            assert_eq!(world.check(status), Err(OcspError::Revoked { index: 0 }));
            let request = world.request(IdHash::Sha1).to_der().unwrap();
            let answer = responder.answer(&request, &world.revoked, NOW);
            assert_eq!(world.check(answer), Err(OcspError::Revoked { index: 0 }));
        }
    }
}

#[test]
fn responders_speak_of_their_own_authority_only() {
    let (world, other) = (World::new(KeyType::P256), World::new(KeyType::P256));
    let responder = Responder::new(&world.root).unwrap();
    assert!(matches!(responder.status(&other.leaf, &world.revoked, NOW), Err(Error::OtherIssuer)));
    let request = other.request(IdHash::Sha256).to_der().unwrap();
    let answer = Response::parse(&responder.answer(&request, &world.revoked, NOW)).unwrap();
    let Response::Basic(basic) = answer else { panic!("{answer:?}") };
    assert_eq!(basic.data.entries[0].status, Status::Unknown);
    let mut revoked = Revocations::default();
    let foreign = world.root.revoke(&other.leaf, &mut revoked, Reason::Unspecified, NOW);
    assert!(matches!(foreign, Err(Error::OtherIssuer)));
    let itself = world.root.revoke(world.root.cert_der(), &mut revoked, Reason::Unspecified, NOW);
    assert!(matches!(itself, Err(Error::WrongKind)));
    assert!(revoked.entries().is_empty());
}

#[test]
fn responders_answer_whatever_comes() {
    let world = World::new(KeyType::P256);
    let responder = Responder::new(&world.root).unwrap().with_lifetime(60);
    let garbage = responder.answer(b"garbage", &world.revoked, NOW);
    assert_eq!(Response::parse(&garbage), Ok(Response::Failed(Failure::MalformedRequest)));
    let mut request = world.request(IdHash::Sha256);
    request.nonce = Some(vec![5; 32]);
    let answer = responder.answer(&request.to_der().unwrap(), &world.revoked, NOW);
    let Ok(Response::Basic(basic)) = Response::parse(&answer) else { panic!("{answer:?}") };
    assert_eq!(basic.data.nonce, request.nonce);
    assert_eq!(basic.data.entries[0].next_update, Some(NOW + 60));
    let other = generate_key(KeyType::P256).unwrap();
    let certificate = world.root.issue_responder(load_key(&other).unwrap().public_key(), "x", validity());
    let stolen = generate_key(KeyType::P256).unwrap();
    let result = Responder::delegated(world.root.cert_der(), &certificate.unwrap(), &stolen);
    assert!(matches!(result, Err(Error::KeyMismatch)));
}

#[test]
fn lists_say_what_is_revoked() {
    for key_type in [KeyType::P256, KeyType::Ed25519] {
        let mut world = World::new(key_type);
        let check = |world: &World| {
            let list = world.root.revocation_list(&world.revoked, NOW, 60).unwrap();
            let pem = list_to_pem(&list).unwrap();
            assert_eq!(lists_from_pem(&pem).unwrap(), std::slice::from_ref(&list));
            crl::check(&[&world.leaf, world.root.cert_der()], &[list], NOW, &providers()[0])
        };
        assert_eq!(check(&world), Ok(()));
        world.revoke();
        assert_eq!(check(&world), Err(CrlError::Revoked { index: 0 }));
    }
    assert!(matches!(lists_from_pem("x"), Err(Error::Pem { label: "X509 CRL" })));
}

#[test]
fn revocations_are_kept_as_text() {
    let folder = std::env::temp_dir().join(format!("tamarack-pki-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("ca.revoked");
    assert_eq!(Revocations::read(&file).unwrap(), Revocations::default());
    let mut world = World::new(KeyType::P256);
    world.revoke();
    world.revoked.write(&file).unwrap();
    assert_eq!(Revocations::read(&file).unwrap(), world.revoked);
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with('#') && text.contains(" 2027-01-15T07:59:57Z key-compromise\n"), "{text}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left behind");
    std::fs::remove_dir_all(&folder).unwrap();

    for reason in Reason::ALL {
        assert_eq!(Reason::parse(reason.name()), Some(reason));
        let text = format!("\n# by hand\n  0a1b 2026-01-31T00:00:00Z {}  \n", reason.name());
        let read = Revocations::parse(&text).unwrap();
        assert_eq!(read.entries(), [Revoked { serial: vec![0x0a, 0x1b], at: 1_769_817_600, reason }]);
    }
    for bad in [
        "0a1",
        "0a1b 2026-01-31T00:00:00Z",
        "0g 2026-01-31T00:00:00Z superseded",
        "\u{e9} 2026-01-31T00:00:00Z superseded",
        "0a 2026-01-31 superseded",
        "0a 2026-01-31T00:00:00Z because",
        "0a 2026-01-31T00:00:00Z superseded too",
    ] {
        let result = Revocations::parse(&format!("# x\n{bad}\n"));
        assert!(matches!(result, Err(Error::Revocations { line: 2 })), "{bad}");
    }
}

/// Sends bytes, gives all that comes back.
fn talk(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.write_all(bytes).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

fn post(server: &Server, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /ocsp HTTP/1.1\r\nHost: x\r\ncontent-type: {REQUEST_TYPE}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    talk(server, &[head.as_bytes(), body].concat())
}

#[test]
fn the_server_answers_over_http() {
    let world = World::new(KeyType::P256);
    let request = world.request(IdHash::Sha1).to_der().unwrap();
    let responder = Responder::new(&world.root).unwrap();
    let revoked = Arc::new(Mutex::new(world.revoked.clone()));
    let held = revoked.clone();
    let server = Server::start("127.0.0.1:0".parse().unwrap(), move |request| {
        responder.answer(request, &held.lock().unwrap(), NOW)
    })
    .unwrap();
    let body = |answer: Vec<u8>| {
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("\r\nContent-Type: application/ocsp-response\r\n"), "{text}");
        let at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        assert!(answer.len() < MAX_RESPONSE);
        answer[at + 4..].to_vec()
    };
    assert_eq!(world.check(body(post(&server, &request))), Ok(()));
    world.root.revoke(&world.leaf, &mut revoked.lock().unwrap(), Reason::Superseded, NOW).unwrap();
    assert_eq!(world.check(body(post(&server, &request))), Err(OcspError::Revoked { index: 0 }));

    let typed = format!("POST / HTTP/1.1\r\nContent-Type: {REQUEST_TYPE}\r\n");
    for (bytes, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "405"),
        ("nonsense\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/2\r\n\r\n".to_owned(), "400"),
        ("POST / HTTP/1.1\r\nno colon\r\n\r\n".to_owned(), "400"),
        (format!("{typed}\r\n"), "411"),
        (format!("{typed}Content-Length: x\r\n\r\n"), "411"),
        (format!("{typed}Content-Length: 8193\r\n\r\n"), "413"),
        (format!("{typed}Content-Length: 1\r\nContent-Length: 1\r\n\r\n"), "400"),
        (format!("{typed}Transfer-Encoding: chunked\r\n\r\n"), "400"),
        ("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n".to_owned(), "415"),
    ] {
        let answer = String::from_utf8(talk(&server, bytes.as_bytes())).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes:?}: {answer}");
    }
    // A head without end is cut off, and the server goes on.
    assert!(talk(&server, &vec![b'A'; 20_000]).len() < 200);
    assert!(post(&server, &request).starts_with(b"HTTP/1.1 200"));
    let taken = Server::start(server.address(), |_| Vec::new());
    assert_eq!(taken.err().unwrap().code(), tamarack_model::codes::PORT_IN_USE);
    let address = server.address();
    drop(server);
    assert!(TcpStream::connect(address).is_err(), "it stopped");
}
