//! The way between Broker and TAM: an HTTP relay on loopback that records every message, and does to it what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use tamarack_model::Protocol;
use tamarack_teep::http::{ACCEPT, CONTENT_TYPE, ERROR_HEADER};

/// Largest body that is carried.
const LIMIT: usize = 4 << 20;

/// One message as it went over the wire.
#[derive(Clone)]
pub struct Record {
    /// The step of the demo that was running.
    pub step: &'static str,
    /// The device at the other end: `a`, `b`, or `x` for none.
    pub device: char,
    /// In which protocol.
    pub protocol: Protocol,
    /// Number of the exchange: counts the empty POSTs.
    pub exchange: usize,
    /// Whether it went to the TAM, or to the device.
    pub to_tam: bool,
    /// Who made it: `device`, `tam`, `stolen-tam-key`, `rogue-tam`, `other-tam`, `fake-device`.
    pub author: &'static str,
    /// Whether it was altered on the way, or is an old one repeated.
    pub fate: Fate,
    /// The HTTP status that came with it, 0 for a request.
    pub status: u16,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What became of a message on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrived as it was sent.
    Genuine,
    /// A bit was flipped.
    Altered,
    /// It was sent before.
    Replayed,
}

/// What comes back to a POST.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The code of our own error header.
    pub code: Option<String>,
    /// The body, empty without a message.
    pub body: Vec<u8>,
    /// Its type, if it is not that of the protocol's messages.
    pub content_type: Option<String>,
    /// Who made the body.
    pub author: &'static str,
    /// What was done to it.
    pub fate: Option<Fate>,
}

impl Answer {
    /// 200 with a message of this author.
    pub fn message(body: Vec<u8>, author: &'static str) -> Self {
        Self { status: 200, body, author, ..Self::default() }
    }

    /// 204.
    pub fn nothing() -> Self {
        Self { status: 204, ..Self::default() }
    }

    /// The same, said to be altered or repeated.
    pub fn with(self, fate: Fate) -> Self {
        Self { fate: Some(fate), ..self }
    }
}

/// Decides what happens to a POST of a device.
pub type Handler = Box<dyn FnMut(char, &[u8], &Tam) -> Result<Answer> + Send>;

/// The TAM behind the relay.
pub struct Tam {
    shared: Arc<Shared>,
    device: char,
    exchange: usize,
    /// What the request accepts, by which the TAM tells the protocols apart.
    accept: String,
}

/// Media type of the messages of a protocol.
fn media_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Teep => tamarack_teep::http::MEDIA_TYPE,
        Protocol::Otrp => tamarack_otrp::http::MEDIA_TYPE,
    }
}

impl Tam {
    /// Posts a message that is not what the device sent.
    pub fn post(&self, body: &[u8], author: &'static str, fate: Fate) -> Result<Answer> {
        self.shared.record(self, true, author, fate, 0, body);
        self.forward(body)
    }

    /// Posts what the device sent.
    pub fn forward(&self, body: &[u8]) -> Result<Answer> {
        let base = lock(&self.shared.upstream).clone();
        post(&self.shared.http, &format!("{base}/tam"), &self.accept, media_type(self.protocol()), body)
    }

    /// The protocol that is spoken.
    pub fn protocol(&self) -> Protocol {
        match tamarack_otrp::http::names_otrp(&self.accept) {
            true => Protocol::Otrp,
            false => Protocol::Teep,
        }
    }
}

struct Shared {
    http: ureq::Agent,
    upstream: Mutex<String>,
    handler: Mutex<Option<Handler>>,
    records: Mutex<Vec<Record>>,
    step: Mutex<&'static str>,
    exchanges: Mutex<usize>,
}

impl Shared {
    fn record(&self, tam: &Tam, to_tam: bool, author: &'static str, fate: Fate, status: u16, bytes: &[u8]) {
        if bytes.is_empty() && status < 300 {
            return;
        }
        lock(&self.records).push(Record {
            step: *lock(&self.step),
            device: tam.device,
            protocol: tam.protocol(),
            exchange: tam.exchange,
            to_tam,
            author,
            fate,
            status,
            bytes: bytes.to_vec(),
        });
    }
}

/// The relay.
#[derive(Clone)]
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Relay {
    /// Listens on a free port of loopback.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("the relay cannot listen on 127.0.0.1")?;
        let shared = Arc::new(Shared {
            http: http_client(),
            upstream: Mutex::default(),
            handler: Mutex::default(),
            records: Mutex::default(),
            step: Mutex::new("pki"),
            exchanges: Mutex::default(),
        });
        let relay = Self { address: listener.local_addr()?, shared };
        let serving = relay.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let relay = serving.clone();
                // What goes wrong here the Broker sees as a connection that broke.
                std::thread::spawn(move || relay.serve(stream));
            }
        });
        Ok(relay)
    }

    /// The TAM as this device reaches it.
    pub fn uri(&self, device: char) -> String {
        format!("http://{}/{device}/tam", self.address)
    }

    /// Where the real TAM is, without a path.
    pub fn set_upstream(&self, base: &str) {
        *lock(&self.shared.upstream) = base.to_owned();
    }

    /// What is recorded from now on belongs to this step.
    pub fn set_step(&self, step: &'static str) {
        *lock(&self.shared.step) = step;
    }

    /// All messages so far.
    pub fn records(&self) -> Vec<Record> {
        lock(&self.shared.records).clone()
    }

    /// Runs `action` while `handler` decides what happens to messages; without one they go through.
    pub fn with<T>(&self, handler: Handler, action: impl FnOnce() -> T) -> T {
        *lock(&self.shared.handler) = Some(handler);
        let result = action();
        *lock(&self.shared.handler) = None;
        result
    }

    /// Posts to the TAM directly, as no device of ours; both directions are recorded.
    pub fn direct(&self, body: &[u8], author: &'static str, fate: Fate) -> Result<Answer> {
        self.direct_in(Protocol::Teep, body, author, fate)
    }

    /// The same in this protocol.
    pub fn direct_in(
        &self,
        protocol: Protocol,
        body: &[u8],
        author: &'static str,
        fate: Fate,
    ) -> Result<Answer> {
        let tam = self.tam('x', media_type(protocol).into(), body.is_empty());
        let answer = tam.post(body, author, fate)?;
        self.shared.record(&tam, false, "tam", Fate::Genuine, answer.status, &answer.body);
        Ok(answer)
    }

    fn tam(&self, device: char, accept: String, begins: bool) -> Tam {
        let mut exchanges = lock(&self.shared.exchanges);
        *exchanges += usize::from(begins);
        Tam { shared: self.shared.clone(), device, exchange: *exchanges, accept }
    }

    fn serve(&self, mut stream: TcpStream) -> Result<()> {
        let (device, accept, body) = read_request(&mut stream)?;
        let tam = self.tam(device, accept, body.is_empty());
        self.shared.record(&tam, true, "device", Fate::Genuine, 0, &body);
        let answer = match lock(&self.shared.handler).as_mut() {
            Some(handler) => handler(device, &body, &tam),
            None => tam.forward(&body),
        };
        let answer = answer.unwrap_or_else(|_| Answer { status: 502, ..Answer::default() });
        let fate = answer.fate.unwrap_or(Fate::Genuine);
        let author = if answer.author.is_empty() { "tam" } else { answer.author };
        self.shared.record(&tam, false, author, fate, answer.status, &answer.body);
        write_answer(&mut stream, &answer, media_type(tam.protocol()))
    }
}

/// A client that takes any status for an answer.
pub fn http_client() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .proxy(None)
        .timeout_global(Some(std::time::Duration::from_secs(20)))
        .build()
        .into()
}

/// TEEP or OTrP over HTTP, with nothing checked: the demo attacks with it, too.
fn post(http: &ureq::Agent, uri: &str, accept: &str, media_type: &str, body: &[u8]) -> Result<Answer> {
    let request = http.post(uri).header(ACCEPT, accept);
    let mut response = match body {
        [] => request.send_empty(),
        _ => request.header(CONTENT_TYPE, media_type).send(body),
    }
    .with_context(|| format!("POST {uri}"))?;
    let header = |name| response.headers().get(name).and_then(|v| v.to_str().ok()).map(String::from);
    let (code, content_type) = (header(ERROR_HEADER), header(CONTENT_TYPE));
    let status = response.status().as_u16();
    let body = response.body_mut().with_config().limit(LIMIT as u64).read_to_vec()?;
    Ok(Answer { status, code, body, content_type, author: "tam", fate: None })
}

/// Reads a POST of the Broker: `/a/tam` is device a's. Gives also what it accepts.
fn read_request(stream: &mut TcpStream) -> Result<(char, String, Vec<u8>)> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length, mut accept) = (String::new(), 0, String::new());
    reader.read_line(&mut first)?;
    let device = first.strip_prefix("POST /").and_then(|rest| rest.chars().next());
    let Some(device) = device else { bail!("not a POST: {first}") };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            None => break,
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse()?;
            }
            Some((name, value)) if name.eq_ignore_ascii_case(ACCEPT) => accept = value.trim().to_owned(),
            Some(_) => {}
        }
    }
    if length > LIMIT {
        bail!("too large");
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok((device, accept, body))
}

fn write_answer(stream: &mut TcpStream, answer: &Answer, media_type: &str) -> Result<()> {
    let mut head = format!("HTTP/1.1 {} -\r\nconnection: close\r\n", answer.status);
    if answer.status != 204 {
        head += &format!("content-length: {}\r\n", answer.body.len());
    }
    if !answer.body.is_empty() {
        let media_type = answer.content_type.as_deref().unwrap_or(media_type);
        head += &format!("content-type: {media_type}\r\n");
    }
    if let Some(code) = &answer.code {
        head += &format!("{ERROR_HEADER}: {code}\r\n");
    }
    stream.write_all(format!("{head}\r\n").as_bytes())?;
    stream.write_all(&answer.body)?;
    Ok(())
}
