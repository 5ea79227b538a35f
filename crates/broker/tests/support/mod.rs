//! A TAM that is nothing but a socket and a script, and a TEE that is nothing but a thread and a script.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, thread};

use tamarack_broker::{Broker, HttpOptions, Server, Status, TeeChannel};
use tamarack_channel::{Action, Failure, Message, Reply, Request, Value, receive};
use tamarack_jose::base64::encode_url;
use tamarack_jose::json::{Json, object, to_vec};
use tamarack_model::{Protocol, codes};

/// One HTTP request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Request line and headers, names in lower case.
    pub lines: Vec<String>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.lines[1..].iter().find_map(|line| line.strip_prefix(&format!("{name}: ")))
    }
}

/// Answers requests in the order of its script, each on a connection of its own, and remembers what was asked.
pub struct HttpServer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl HttpServer {
    pub fn new(script: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self::with(script, |stream| stream)
    }

    /// The same with something between the connection and HTTP, such as TLS.
    pub fn with<S: Read + Write + 'static>(
        script: impl IntoIterator<Item = Vec<u8>>,
        wrap: impl Fn(TcpStream) -> S + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, script): (_, Vec<_>) = (Arc::clone(&seen), script.into_iter().collect());
        thread::spawn(move || {
            for answer in script {
                let (stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
                let mut stream = wrap(stream);
                let Some(request) = read_request(&mut stream) else { continue };
                log.lock().unwrap().push(request);
                // A client that has seen enough may hang up.
                let _ = stream.write_all(&answer).and_then(|()| stream.flush());
            }
        });
        Self { address, seen }
    }

    pub fn uri(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

fn read_request(stream: &mut impl Read) -> Option<Seen> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let lines: Vec<String> = head
        .trim_end()
        .lines()
        .enumerate()
        .map(|(i, line)| match line.split_once(": ") {
            Some((name, value)) if i > 0 => format!("{}: {value}", name.to_ascii_lowercase()),
            _ => line.to_owned(),
        })
        .collect();
    let mut seen = Seen { lines, body: Vec::new() };
    let length = seen.header("content-length").map_or(0, |n| n.parse().unwrap());
    seen.body.resize(length, 0);
    stream.read_exact(&mut seen.body).ok()?;
    Some(seen)
}

pub fn response(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    if !status.starts_with("204") {
        head += &format!("content-length: {}\r\n", body.len());
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

pub fn teep(body: &[u8]) -> Vec<u8> {
    response("200 OK", &[("content-type", "application/teep+cbor")], body)
}

pub fn otrp(body: &[u8]) -> Vec<u8> {
    response("200 OK", &[("content-type", "application/otrp+json")], body)
}

pub fn no_content() -> Vec<u8> {
    response("204 No Content", &[], b"")
}

pub fn options() -> HttpOptions {
    HttpOptions {
        connect_timeout: Duration::from_secs(5),
        message_timeout: Duration::from_secs(5),
        max_message: 1000,
        ..HttpOptions::default()
    }
}

/// A TEE that answers by `script` and remembers what it was asked.
pub fn fake_tee(
    mut script: impl FnMut(&Request) -> Reply + Send + 'static,
) -> (TeeChannel, Arc<Mutex<Vec<Request>>>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    thread::spawn(move || {
        while let Ok(Ok(message)) = receive::<Request, std::io::Error>(|buffer| theirs.read_exact(buffer)) {
            log.lock().unwrap().push(message.body.clone());
            let reply = Message { id: message.id, body: script(&message.body) };
            theirs.write_all(&reply.to_frames().unwrap()).unwrap();
        }
    });
    (TeeChannel::new(ours), asked)
}

/// How a TEE says it is.
pub fn status(otrp_name: Option<&str>) -> Status {
    Status {
        state_digest: [7; 32],
        state_epoch: 3,
        layers: 0xff,
        missing_layers: Vec::new(),
        pid: 1,
        launcher_pid: 3,
        uid: 2,
        measured: [[9; 32]; 3],
        device_id: Some([8; 32]),
        report_key: None,
        enrolled: true,
        trust_store_sequence: 1,
        installed: Vec::new(),
        otrp_name: otrp_name.map(String::from),
        otrp_ready: otrp_name.is_some(),
        domains: Vec::new(),
        peripherals: Vec::new(),
    }
}

/// Serves apps for the rest of the test.
pub fn serve(broker: Broker) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let server = Server::bind(folder.path(), Arc::new(broker)).unwrap();
    thread::spawn(move || server.run(None));
    folder
}

/// An app that says what it likes on the socket.
pub struct Raw(UnixStream);

impl Raw {
    pub fn connect(socket: &std::path::Path) -> Self {
        Self(UnixStream::connect(socket).unwrap())
    }

    /// The first answer.
    pub fn ask(&mut self, request: Request) -> Reply {
        self.0.write_all(&Message { id: 1, body: request }.to_frames().unwrap()).unwrap();
        receive::<Reply, _>(|buffer| self.0.read_exact(buffer)).unwrap().unwrap().body
    }
}

/// A message that looks signed, as far as a Broker looks.
pub fn signed(outer: &str, inner: &str, members: Json) -> Vec<u8> {
    let payload = to_vec(&object([(inner, members)]));
    let jws = object([
        ("payload", encode_url(&payload).into()),
        ("protected", encode_url(br#"{"alg":"ES256"}"#).into()),
        ("signature", encode_url(&[1; 64]).into()),
    ]);
    to_vec(&object([(outer, jws)]))
}

pub fn get_device_state() -> Vec<u8> {
    let members = object([("rid", "r1".into()), ("tid", "t1".into())]);
    signed("GetDeviceStateRequest", "GetDeviceStateTBSRequest", members)
}

pub fn create_sd(tee: &str) -> Vec<u8> {
    let members = object([("rid", "r2".into()), ("tid", "t1".into()), ("tee", tee.into())]);
    signed("CreateSDRequest", "CreateSDTBSRequest", members)
}

/// What a TEE answers to GetDeviceState: its part of the array.
pub fn part(by: &str) -> Vec<u8> {
    signed("GetDeviceTEEStateResponse", "GetDeviceTEEStateTBSResponse", object([("by", by.into())]))
}

/// What a TEE of this name answers, if all goes well.
pub fn answers(name: &str, request: &Request) -> Reply {
    let send = |message| Action::Send { tam_uri: "unused".into(), protocol: Protocol::Otrp, message };
    let done = Action::Finished { failure: None };
    match request {
        Request::Status => Reply::value(Value::Status(Box::new(status(Some(name))))),
        Request::ProcessOtrpMessage(message) if *message == get_device_state() => {
            Reply::done().with(vec![send(part(name)), done])
        }
        Request::ProcessOtrpMessage(message) if *message == create_sd(name) => {
            let response = signed("CreateSDResponse", "CreateSDTBSResponse", object([("by", name.into())]));
            Reply::done().with(vec![send(response), done])
        }
        Request::ProcessError => Reply::done(),
        other => Reply::failed(Failure::new(codes::OTRP_REQUEST_INVALID, format!("{other:?}"))),
    }
}
