//! A TAM that is nothing but a socket and a script, and a TEE that is nothing but a thread and a script.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use tamarack_broker::{HttpOptions, TeeChannel};
use tamarack_channel::{Message, Reply, Request, receive};

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
