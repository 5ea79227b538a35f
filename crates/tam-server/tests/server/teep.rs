//! Every status of TEEP over HTTP.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tamarack_cbor::Limits;
use tamarack_teep::{Message, SignedMessage};

use crate::support::{TEEP, World};

#[track_caller]
fn check(
    world: &World,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
    expected: (u16, Option<&str>),
) {
    let before = world.digest();
    let reply = world.send(method, path, headers, body);
    assert_eq!((reply.status, reply.header("tamarack-error")), expected, "{method} {path} {headers:?}");
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("content-security-policy"), Some("default-src 'none'"));
    assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(reply.header("cache-control"), None);
    if reply.status != 200 {
        assert!(reply.body.is_empty(), "an error status has an empty body");
    }
    assert_eq!(world.digest(), before, "nothing changed");
}

const ACCEPT: (&str, &str) = ("accept", TEEP);
const TYPE: (&str, &str) = ("content-type", TEEP);

#[test]
fn each_situation_has_its_status() {
    let world = World::new();
    check(&world, "POST", "/tam", &[ACCEPT], b"", (200, None));
    check(&world, "POST", "/t/default/tam", &[ACCEPT], b"", (200, None));
    check(&world, "POST", "/tam", &[ACCEPT, TYPE], b"", (200, None));
    check(&world, "POST", "/tam", &[("accept", "*/*")], b"", (200, None));
    check(&world, "POST", "/t/nobody/tam", &[ACCEPT], b"", (404, Some("TMK-4004")));
    check(&world, "POST", "/t/NOBODY/tam", &[ACCEPT], b"", (404, Some("TMK-4004")));
    check(&world, "GET", "/tam", &[ACCEPT], b"", (405, Some("TMK-1401")));
    check(&world, "PUT", "/tam", &[ACCEPT, TYPE], b"x", (405, Some("TMK-1401")));
    check(&world, "POST", "/tam", &[("accept", "text/html")], b"", (406, Some("TMK-1401")));
    check(&world, "POST", "/tam", &[ACCEPT, ("content-type", "text/plain")], b"x", (415, Some("TMK-1401")));
    let large = vec![0; world.config.limits.body + 1];
    check(&world, "POST", "/tam", &[ACCEPT, TYPE], &large, (413, Some("TMK-1402")));
}

#[test]
fn what_is_no_message_is_refused_with_400() {
    let world = World::new();
    for body in [&b"not CBOR"[..], &[0xd2, 0x84], &[0x80], &[0xff; 300]] {
        let reply = world.send("POST", "/tam", &[ACCEPT, TYPE], body);
        assert_eq!(reply.status, 400, "{body:?}: {reply:?}");
        assert!(reply.header("tamarack-error").is_some_and(|code| code.starts_with("TMK-1")), "{reply:?}");
    }
}

#[test]
fn connect_gives_a_query_request_signed_for_each_suite() {
    let world = World::new();
    let reply = world.send("POST", "/tam", &[ACCEPT], b"");
    assert_eq!(reply.header("content-type"), Some(TEEP));
    let message = SignedMessage::parse(&reply.body, &Limits::default()).unwrap();
    let Message::QueryRequest(request) = message.unverified().unwrap() else { panic!("not a QueryRequest") };
    assert_eq!(request.challenge.map(|challenge| challenge.len()), Some(32));
    assert_eq!(request.supported_teep_cipher_suites.len(), 2);
}

#[test]
fn get_says_which_method_is_allowed() {
    let world = World::new();
    let reply = world.send("GET", "/tam", &[ACCEPT], b"");
    assert_eq!(reply.header("allow"), Some("POST"));
}

#[test]
fn c7_too_many_requests_are_shed_with_retry_after() {
    let world = World::with(|config| config.limits.requests_per_second = 1);
    let statuses: Vec<u16> = (0..5).map(|_| world.send("POST", "/tam", &[ACCEPT], b"").status).collect();
    assert_eq!(statuses[..2], [200, 200]);
    assert!(statuses[2..].contains(&429), "{statuses:?}");
    let shed = std::iter::repeat_with(|| world.send("POST", "/tam", &[ACCEPT], b""))
        .find(|r| r.status == 429)
        .unwrap();
    assert_eq!((shed.header("retry-after"), shed.header("tamarack-error")), (Some("1"), Some("TMK-4011")));
}

#[test]
fn c7_what_is_in_flight_is_bounded() {
    let world = World::with(|config| config.limits.in_flight = 1);
    let mut slow = TcpStream::connect(world.address()).unwrap();
    let head = format!(
        "POST /tam HTTP/1.1\r\nHost: x\r\nAccept: {TEEP}\r\nContent-Type: {TEEP}\r\nContent-Length: 9\r\n\r\n"
    );
    slow.write_all(head.as_bytes()).unwrap();
    let until = Instant::now() + Duration::from_secs(9);
    let shed = std::iter::repeat_with(|| world.send("POST", "/tam", &[ACCEPT], b"").status)
        .take_while(|_| Instant::now() < until)
        .any(|status| status == 429);
    assert!(shed, "the second request at the same time is shed");
}

#[test]
fn a_body_that_does_not_come_is_given_up() {
    let world = World::with(|config| config.limits.body_seconds = 1);
    let head = format!(
        "POST /tam HTTP/1.1\r\nHost: x\r\nAccept: {TEEP}\r\nContent-Type: {TEEP}\r\nContent-Length: 9\r\n\r\nabc"
    );
    let answer = world.raw(head.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("tamarack-error: TMK-1401"), "{answer}");
}

#[test]
fn a_chunked_body_is_bounded_too() {
    let world = World::with(|config| config.limits.body = 4096);
    let head = format!(
        "POST /tam HTTP/1.1\r\nHost: x\r\nAccept: {TEEP}\r\nContent-Type: {TEEP}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunk = [&b"2000\r\n"[..], &[0; 0x2000], b"\r\n0\r\n\r\n"].concat();
    let answer = world.raw(&[head.as_bytes(), &chunk].concat());
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    let empty = world.raw(&[head.as_bytes(), b"0\r\n\r\n"].concat());
    assert!(empty.starts_with("HTTP/1.1 200"), "{empty}");
}

#[test]
fn health_and_metrics_answer() {
    let world = World::new();
    for path in ["/livez", "/readyz"] {
        assert_eq!(world.send("GET", path, &[], b"").status, 200, "{path}");
    }
    world.send("POST", "/tam", &[ACCEPT], b"");
    let metrics = String::from_utf8(world.send("GET", "/metrics", &[], b"").body).unwrap();
    assert!(metrics.contains("tam_requests_total"), "{metrics}");
}
