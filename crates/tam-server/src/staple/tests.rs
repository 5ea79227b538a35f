use std::io::{Read, Write};
use std::net::TcpListener;

use tamarack_crypto::KeyType;
use tamarack_pki::ocsp::{Responder, Server};
use tamarack_pki::{Authority, Reason, Revocations, Validity, certificates_from_pem, generate_key, load_key};
use tamarack_x509::{Name, Role};

use super::*;

const NOW: UnixTime = 1_800_000_000;

struct World {
    authority: Authority,
    path: Vec<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let validity = Validity::days(NOW - 60, 30);
        let authority = Authority::create(Role::Tam, "TAM CA", KeyType::P256, validity).unwrap();
        let key = load_key(&generate_key(KeyType::P256).unwrap()).unwrap().public_key();
        let name = Name::RegisteredId("1.2.3".into());
        let leaf = authority.issue_named(key, Role::OtrpTam, &name, "TAM", validity).unwrap();
        let leaf = certificates_from_pem(&leaf).unwrap().remove(0);
        Self { path: vec![leaf, authority.cert_der().to_vec()], authority }
    }

    fn staples(&self, source: Source) -> Staples {
        let crypto = tamarack_crypto_aws_lc::provider();
        let not_after = NOW + 2 * 86_400;
        Staples { source, path: self.path.clone(), not_after, crypto, due: Mutex::new(0) }
    }

    fn at(&self, url: &str) -> Staples {
        self.staples(Source::Url { agent: agent(), url: url.into() })
    }

    /// A responder whose answers are made at `NOW` and hold so long.
    fn server(&self, lifetime: u64, revoked: Revocations) -> Server {
        let responder = Responder::new(&self.authority).unwrap().with_lifetime(lifetime);
        Server::start("127.0.0.1:0".parse().unwrap(), move |request| responder.answer(request, &revoked, NOW))
            .unwrap()
    }
}

#[test]
fn renewal_is_due_at_half_life() {
    let world = World::new();
    let server = world.server(1000, Revocations::default());
    let staples = world.at(&format!("http://{}/ocsp", server.address()));
    assert!(staples.is_due(NOW));
    let staple = staples.renew(NOW).unwrap();
    assert_eq!((staple.responses.len(), staple.until), (1, NOW + 1000));
    assert!(!staples.is_due(NOW + 499));
    assert!(staples.is_due(NOW + 500));
    // A failure leaves it due, and what was fetched before stays what it is.
    drop(server);
    assert_eq!(staples.renew(NOW + 600).unwrap_err().code(), codes::OCSP_UNAVAILABLE);
    assert!(staples.is_due(NOW + 600));
}

#[test]
fn a_status_does_not_outlive_the_certificate() {
    let world = World::new();
    let server = world.server(9 * 86_400, Revocations::default());
    let staples = world.at(&format!("http://{}", server.address()));
    assert_eq!(staples.renew(NOW).unwrap().until, staples.not_after);
    assert_eq!(staples.renew(staples.not_after + 1).unwrap_err().code(), codes::X509_EXPIRED);
}

#[test]
fn a_revocation_is_told_apart() {
    let world = World::new();
    let mut revoked = Revocations::default();
    world.authority.revoke(&world.path[0], &mut revoked, Reason::Unspecified, NOW).unwrap();
    let server = world.server(1000, revoked);
    let error = world.at(&format!("http://{}", server.address())).renew(NOW).unwrap_err();
    assert_eq!(error.code(), codes::X509_REVOKED);
}

#[test]
fn what_a_device_would_refuse_is_not_taken() {
    let world = World::new();
    let server = world.server(1000, Revocations::default());
    let url = format!("http://{}", server.address());
    for (now, code) in [(NOW + 1001, codes::OCSP_STALE), (NOW - 301, codes::OCSP_STALE)] {
        assert_eq!(world.at(&url).renew(now).unwrap_err().code(), code);
    }
    let stranger = World::new().server(1000, Revocations::default());
    let error = world.at(&format!("http://{}", stranger.address())).renew(NOW).unwrap_err();
    assert_eq!(error.code(), codes::OCSP_UNTRUSTED, "the stranger says unknown, signed by itself");
}

/// Each answer of an HTTP server that is no OCSP response.
#[test]
fn answers_of_other_servers_are_refused() {
    let world = World::new();
    let ocsp = "Content-Type: application/ocsp-response\r\n";
    let huge = format!("HTTP/1.1 200 OK\r\n{ocsp}Content-Length: 20000\r\n\r\n{}", "x".repeat(20_000));
    for (answer, code) in [
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(), codes::OCSP_UNAVAILABLE),
        (
            "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n".to_owned(),
            codes::OCSP_UNAVAILABLE,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 1\r\n\r\nx".to_owned(),
            codes::OCSP_UNAVAILABLE,
        ),
        (format!("HTTP/1.1 200 OK\r\n{ocsp}Content-Length: 1\r\n\r\nx"), codes::OCSP_MALFORMED),
        (huge, codes::OCSP_UNAVAILABLE),
        ("nonsense".to_owned(), codes::OCSP_UNAVAILABLE),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let sent = answer.clone();
        let thread = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(sent.as_bytes());
        });
        let error = world.at(&url).renew(NOW).unwrap_err();
        thread.join().unwrap();
        assert_eq!(error.code(), code, "{:.60}: {error}", answer);
    }
}

#[test]
fn files_are_read_anew() {
    let world = World::new();
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("status.der");
    let staples = world.staples(Source::Files(vec![file.clone()]));
    assert_eq!(staples.renew(NOW).unwrap_err().code(), codes::FILE_UNREADABLE);
    let responder = Responder::new(&world.authority).unwrap();
    for at in [NOW, NOW + 86_400] {
        fs::write(&file, responder.status(&world.path[0], &Revocations::default(), at).unwrap()).unwrap();
        assert_eq!(staples.renew(at).unwrap().until, at + 86_400);
        assert!(!staples.is_due(at));
    }
}
