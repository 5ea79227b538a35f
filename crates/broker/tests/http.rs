//! TEEP over HTTP against a server that says exactly what each case needs.

mod support;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use support::{HttpServer, no_content, options, otrp, response, teep};
use tamarack_broker::{AppAnswer, HttpError, HttpOptions, TamClient};
use tamarack_channel::MAX_CHUNK;
use tamarack_model::{Protocol, codes};

fn client() -> TamClient {
    TamClient::new(options()).unwrap()
}

#[test]
fn connecting_sends_accept_alone() {
    let server = HttpServer::new([teep(b"question")]);
    assert_eq!(client().connect(&server.uri("/tam"), Protocol::Teep), Ok(Some(b"question".to_vec())));
    let seen = &server.seen()[0];
    assert_eq!(seen.lines[0], "POST /tam HTTP/1.1");
    assert_eq!(seen.header("accept"), Some("application/teep+cbor"));
    assert_eq!(seen.header("content-length"), Some("0"));
    for absent in ["content-type", "cookie", "cache-control", "authorization", "referer"] {
        assert_eq!(seen.header(absent), None, "{absent}");
    }
    assert!(seen.body.is_empty());
}

#[test]
fn a_message_is_sent_with_both_headers() {
    let server = HttpServer::new([no_content()]);
    assert_eq!(client().send(&server.uri("/t/acme/tam"), Protocol::Teep, b"answer"), Ok(None));
    let seen = &server.seen()[0];
    assert_eq!(seen.lines[0], "POST /t/acme/tam HTTP/1.1");
    assert_eq!(seen.header("accept"), Some("application/teep+cbor"));
    assert_eq!(seen.header("content-type"), Some("application/teep+cbor"));
    assert_eq!(seen.body, b"answer");
}

#[test]
fn an_app_asks_for_the_keys_as_well() {
    let keys = response("200 OK", &[("content-type", "application/jose+json")], b"{}");
    let server = HttpServer::new([otrp(b"question"), keys, no_content(), teep(b"m")]);
    let uri = server.uri("/tam");
    assert_eq!(client().app(&uri, None), Ok(AppAnswer::Message(b"question".to_vec())));
    assert_eq!(client().app(&uri, Some(b"answer")), Ok(AppAnswer::SignedAiks(b"{}".to_vec())));
    assert_eq!(client().app(&uri, Some(b"answer")), Ok(AppAnswer::Nothing));
    assert!(matches!(client().app(&uri, None), Err(HttpError::MediaType { .. })));
    let seen = server.seen();
    assert!(
        seen.iter().all(|post| post.header("accept") == Some("application/otrp+json, application/jose+json"))
    );
    assert_eq!(seen[0].header("content-type"), None);
    assert_eq!(seen[1].header("content-type"), Some("application/otrp+json"));
}

#[test]
fn every_answer_is_told_apart() {
    let teep_type = ("content-type", "application/teep+cbor");
    type Expected = dyn Fn(&Result<Option<Vec<u8>>, HttpError>) -> bool;
    let check = |answer: Vec<u8>, expected: &Expected| {
        let shown = String::from_utf8_lossy(&answer[..answer.len().min(120)]).into_owned();
        let server = HttpServer::new([answer]);
        let result = client().connect(&server.uri("/tam"), Protocol::Teep);
        assert!(expected(&result), "{shown}: {result:?}");
    };
    check(no_content(), &|r| *r == Ok(None));
    check(response("200 OK", &[], b""), &|r| *r == Ok(None));
    check(response("200 OK", &[("content-type", "Application/TEEP+cbor; x=1")], b"m"), &|r| {
        *r == Ok(Some(b"m".to_vec()))
    });
    check(
        response("200 OK", &[("content-type", "text/html")], b"<html>"),
        &|r| matches!(r, Err(HttpError::MediaType { found: Some(found), .. }) if found == "text/html"),
    );
    check(response("200 OK", &[], b"m"), &|r| matches!(r, Err(HttpError::MediaType { found: None, .. })));
    check(response("200 OK", &[teep_type], &[0; 1000]), &|r| {
        r.as_ref().is_ok_and(|m| m.as_ref().unwrap().len() == 1000)
    });
    check(
        response("200 OK", &[teep_type], &[0; 1001]),
        &|r| matches!(r, Err(error @ HttpError::TooLarge { limit: 1000, .. }) if error.code() == codes::HTTP_TOO_LARGE),
    );
    check(response("400 Bad Request", &[("Tamarack-Error", "TMK-1301")], b""), &|r| {
        matches!(r, Err(HttpError::Status { status: 400, code: Some(codes::TEEP_MALFORMED), .. }))
    });
    check(response("503 Service Unavailable", &[("Tamarack-Error", "nonsense")], b"x"), &|r| {
        matches!(r, Err(HttpError::Status { status: 503, code: None, .. }))
    });
    check(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/teep+cbor\r\ncontent-length: 10\r\n\r\nabc".to_vec(),
        &|r| matches!(r, Err(HttpError::Transport { .. })),
    );
    check(b"this is not HTTP\r\n\r\n".to_vec(), &|r| matches!(r, Err(HttpError::Transport { .. })));
}

#[test]
fn redirects_are_not_followed() {
    let target = HttpServer::new([teep(b"lured")]);
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let server = HttpServer::new([response(status, &[("location", &target.uri("/tam"))], b"")]);
        let result = client().send(&server.uri("/tam"), Protocol::Teep, b"secret");
        assert!(matches!(result, Err(HttpError::Redirect { .. })), "{status}: {result:?}");
    }
    assert!(target.seen().is_empty());
}

#[test]
fn cookies_are_not_kept() {
    let cookie = [("content-type", "application/teep+cbor"), ("set-cookie", "id=1")];
    let server = HttpServer::new([response("200 OK", &cookie, b"m"), no_content()]);
    let client = client();
    client.connect(&server.uri("/tam"), Protocol::Teep).unwrap();
    client.send(&server.uri("/tam"), Protocol::Teep, b"m").unwrap();
    assert_eq!(server.seen()[1].header("cookie"), None);
}

#[test]
fn plain_http_goes_only_to_this_machine() {
    let check = |uri: &str, expected: &dyn Fn(&HttpError) -> bool| {
        let error = client().connect(uri, Protocol::Teep).unwrap_err();
        assert!(expected(&error), "{uri}: {error:?}");
    };
    for uri in [
        "http://tam.example/tam",
        "http://10.0.0.1/tam",
        "http://localhost.example/",
        "http://[2001:db8::1]/",
    ] {
        check(uri, &|e| matches!(e, HttpError::Insecure(_)) && e.code() == codes::HTTP_INSECURE);
    }
    for uri in ["ftp://127.0.0.1/", "file:///etc/passwd", "/tam", "", "http://", "unix:/run/x"] {
        check(uri, &|e| matches!(e, HttpError::Uri(_)));
    }
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "[::1]", "127.8.9.10"] {
        check(&format!("http://{host}:{port}/tam"), &|e| {
            matches!(e, HttpError::Transport { .. }) && e.code() == codes::HTTP_PEER
        });
    }
    let allowed = TamClient::new(HttpOptions {
        allow_plain_http: true,
        connect_timeout: Duration::from_millis(50),
        message_timeout: Duration::from_millis(200),
        ..options()
    });
    // 192.0.2.0/24 is for documentation and leads nowhere.
    let error = allowed.unwrap().connect("http://192.0.2.1:9/tam", Protocol::Teep).unwrap_err();
    assert!(matches!(error, HttpError::Transport { .. }), "{error:?}");
}

#[test]
fn a_server_that_never_answers_times_out() {
    let silent = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let uri = format!("http://{}/tam", silent.local_addr().unwrap());
    let client =
        TamClient::new(HttpOptions { message_timeout: Duration::from_millis(100), ..options() }).unwrap();
    assert!(matches!(client.connect(&uri, Protocol::Teep), Err(HttpError::Transport { .. })));
}

#[test]
fn payloads_come_in_chunks_and_within_their_size() {
    let check = |length: usize, max_size: Option<u64>, expected: &[usize]| {
        let payload: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
        let server = HttpServer::new([response("200 OK", &[], &payload)]);
        let (mut pieces, mut lasts, mut whole) = (Vec::new(), 0, Vec::new());
        let result = client().fetch(&server.uri("/payload"), max_size, |data, last| {
            pieces.push(data.len());
            whole.extend(data);
            lasts += usize::from(last);
            true
        });
        if max_size.is_some_and(|max| max < length as u64) {
            assert!(matches!(result, Err(HttpError::TooLarge { .. })), "{length}: {result:?}");
            assert_eq!(lasts, 0, "the TEE is not told that it was all");
        } else {
            assert_eq!(result, Ok(()), "{length}");
            assert_eq!((lasts, whole), (1, payload), "{length}");
        }
        assert_eq!(pieces, expected, "{length}");
    };
    check(0, None, &[0]);
    check(10, Some(10), &[10]);
    check(MAX_CHUNK, None, &[MAX_CHUNK]);
    check(MAX_CHUNK + 1, None, &[MAX_CHUNK, 1]);
    check(3 * MAX_CHUNK, Some(3 * MAX_CHUNK as u64), &[MAX_CHUNK, MAX_CHUNK, MAX_CHUNK]);
    check(11, Some(10), &[]);
    check(2 * MAX_CHUNK, Some(10), &[]);
}

#[test]
fn a_cancelled_payload_stops() {
    let server = HttpServer::new([response("200 OK", &[], &vec![0; 5 * MAX_CHUNK])]);
    let mut calls = 0;
    let result = client().fetch(&server.uri("/payload"), None, |_, _| {
        calls += 1;
        calls < 2
    });
    assert_eq!((result, calls), (Ok(()), 2));
}

/// A certificate authority, a server key under it for `name`, as a TLS server configuration and the root's PEM.
fn tls(name: &str) -> (Arc<rustls::ServerConfig>, String) {
    let root_key = rcgen::KeyPair::generate().unwrap();
    let mut root = rcgen::CertificateParams::new(Vec::new()).unwrap();
    root.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root_cert = root.self_signed(&root_key).unwrap();
    let issuer = rcgen::Issuer::new(root, root_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let cert =
        rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), root_cert.pem())
}

#[test]
fn https_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let check = |name: &str, trusted: bool, expected: bool| {
        let (config, root) = tls(name);
        let server = HttpServer::with([teep(b"m")], move |stream| {
            rustls::StreamOwned::new(rustls::ServerConnection::new(Arc::clone(&config)).unwrap(), stream)
        });
        let path = folder.path().join("root.pem");
        std::fs::write(&path, root).unwrap();
        let extra_root = trusted.then_some(path);
        let client = TamClient::new(HttpOptions { extra_root, ..options() }).unwrap();
        let result =
            client.connect(&format!("https://localhost:{}/tam", server.address.port()), Protocol::Teep);
        assert_eq!(result.is_ok(), expected, "{name}, trusted {trusted}: {result:?}");
        assert!(expected || matches!(result, Err(HttpError::Transport { .. })));
        assert_eq!(server.seen().len(), usize::from(expected), "nothing was asked before it was verified");
    };
    check("localhost", true, true);
    check("localhost", false, false);
    check("tam.example", true, false);
}

#[test]
fn a_bad_file_of_roots_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for path in [empty, folder.path().join("missing.pem")] {
        let error = TamClient::new(HttpOptions { extra_root: Some(path.clone()), ..options() }).unwrap_err();
        assert_eq!(error.code(), codes::FILE_UNREADABLE);
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    }
}
