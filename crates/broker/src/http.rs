//! TEEP and OTrP over HTTP, the client's side (draft-ietf-teep-otrp-over-http-15 section 5), and payloads by URI.

use std::io::Read;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, fs};

use tamarack_channel::MAX_CHUNK;
use tamarack_model::{Code, Protocol, codes};
use tamarack_otrp::http::{JOSE_MEDIA_TYPE, MEDIA_TYPE as OTRP};
use tamarack_teep::http::{ACCEPT, CONTENT_TYPE, ERROR_HEADER, MEDIA_TYPE as TEEP};
use ureq::http::{Response, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider};
use ureq::{Agent, Body};

/// Where distributions keep the roots that they trust.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem"];

/// How the Broker speaks HTTP.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// PEM file of certificates to trust for HTTPS besides the system's.
    pub extra_root: Option<PathBuf>,
    /// Whether plain HTTP may go to any host; otherwise only to loopback addresses.
    pub allow_plain_http: bool,
    /// Most bytes of one TEEP message.
    pub max_message: u64,
    /// Most bytes of one payload, whatever the TEE says.
    pub max_payload: u64,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time for one TEEP request and its response.
    pub message_timeout: Duration,
    /// Longest time for one payload.
    pub payload_timeout: Duration,
}

impl Default for HttpOptions {
    /// HTTPS by the system's roots, messages up to 1 MiB, payloads up to 1 GiB; 10 s to connect, 60 s a message, 30
    /// minutes a payload.
    fn default() -> Self {
        Self {
            extra_root: None,
            allow_plain_http: false,
            max_message: 1 << 20,
            max_payload: 1 << 30,
            connect_timeout: Duration::from_secs(10),
            message_timeout: Duration::from_secs(60),
            payload_timeout: Duration::from_secs(1800),
        }
    }
}

/// Why an HTTP exchange gave nothing. Each but [`HttpError::Roots`] makes the Broker call ProcessError.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HttpError {
    /// Not an http or https URI with a host.
    Uri(String),
    /// Plain HTTP to a host that is not this machine.
    Insecure(String),
    /// No connection, TLS not verified, or the time ran out; why.
    Transport {
        /// The URI asked.
        uri: String,
        /// Why, in the words of the HTTP library.
        why: String,
    },
    /// A redirect; the draft forbids to follow one.
    Redirect {
        /// The URI asked.
        uri: String,
        /// The status.
        status: u16,
    },
    /// An error status.
    Status {
        /// The URI asked.
        uri: String,
        /// The status.
        status: u16,
        /// The stable code that the TAM gave, if it is one of ours.
        code: Option<Code>,
    },
    /// The body is of another type than was asked for.
    MediaType {
        /// The URI asked.
        uri: String,
        /// The type that was asked for.
        expected: &'static str,
        /// The type, if one was given.
        found: Option<String>,
    },
    /// The body is longer than the limit.
    TooLarge {
        /// The URI asked.
        uri: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file of extra roots cannot be used; which and why.
    Roots(PathBuf, String),
}

impl HttpError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::Insecure(_) => codes::HTTP_INSECURE,
            Self::TooLarge { .. } => codes::HTTP_TOO_LARGE,
            Self::Roots(..) => codes::FILE_UNREADABLE,
            Self::Uri(_)
            | Self::Transport { .. }
            | Self::Redirect { .. }
            | Self::Status { .. }
            | Self::MediaType { .. } => codes::HTTP_PEER,
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(uri) => write!(f, "{uri} is not an http or https URI"),
            Self::Insecure(uri) => write!(f, "{uri} is plain HTTP to another machine"),
            Self::Transport { uri, why } => write!(f, "no answer from {uri}: {why}"),
            Self::Redirect { uri, status } => {
                write!(f, "{uri} redirects (status {status}), which TEEP and OTrP forbid")
            }
            Self::Status { uri, status, code: Some(code) } => {
                write!(f, "{uri} answered with status {status} and {code}")
            }
            Self::Status { uri, status, code: None } => write!(f, "{uri} answered with status {status}"),
            Self::MediaType { uri, expected, found: Some(found) } => {
                write!(f, "{uri} answered with {found}, expected {expected}")
            }
            Self::MediaType { uri, expected, found: None } => {
                write!(f, "{uri} answered without a content type, expected {expected}")
            }
            Self::TooLarge { uri, limit } => write!(f, "{uri} answered with more than {limit} bytes"),
            Self::Roots(path, why) => write!(f, "{} cannot be used as trusted roots: {why}", path.display()),
        }
    }
}

impl std::error::Error for HttpError {}

/// What a TAM answers to an app that speaks OTrP with it itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppAnswer {
    /// A message for the TEE.
    Message(Vec<u8>),
    /// The end, with the providers' keys signed by the TAM: JOSE, not verified.
    SignedAiks(Vec<u8>),
    /// The end.
    Nothing,
}

/// Speaks TEEP and OTrP over HTTP to TAMs, and fetches payloads.
#[derive(Debug)]
pub struct TamClient {
    agent: Agent,
    options: HttpOptions,
}

impl TamClient {
    /// A client with these options; reads the trusted roots.
    pub fn new(options: HttpOptions) -> Result<Self, HttpError> {
        let tls = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::from(roots(&options)?))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy from the environment would see what goes to loopback addresses.
            .proxy(None)
            .timeout_connect(Some(options.connect_timeout))
            .user_agent(concat!("tamarack/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.into(), options })
    }

    /// Begins an exchange: POST with Accept and an empty body (section 5.1.1). None if the TAM has nothing to say.
    pub fn connect(&self, uri: &str, protocol: Protocol) -> Result<Option<Vec<u8>>, HttpError> {
        let media_type = media_type(protocol);
        self.message(uri, self.post(uri, media_type, media_type, None)?, media_type)
    }

    /// Sends a message (section 5.3). None if the TAM has nothing more to say.
    pub fn send(&self, uri: &str, protocol: Protocol, message: &[u8]) -> Result<Option<Vec<u8>>, HttpError> {
        let media_type = media_type(protocol);
        self.message(uri, self.post(uri, media_type, media_type, Some(message))?, media_type)
    }

    /// OTrP as an app speaks it that carries the messages itself: like [`Self::connect`] without a message and like
    /// [`Self::send`] with one, and at the end the TAM may give the providers' signed keys.
    pub fn app(&self, uri: &str, message: Option<&[u8]>) -> Result<AppAnswer, HttpError> {
        let accept = format!("{OTRP}, {JOSE_MEDIA_TYPE}");
        let response = self.post(uri, &accept, OTRP, message)?;
        if content_type(&response).as_deref().is_some_and(|found| is_type(found, JOSE_MEDIA_TYPE)) {
            let signed = self.message(uri, response, JOSE_MEDIA_TYPE)?;
            return Ok(signed.map_or(AppAnswer::Nothing, AppAnswer::SignedAiks));
        }
        Ok(self.message(uri, response, OTRP)?.map_or(AppAnswer::Nothing, AppAnswer::Message))
    }

    fn post(
        &self,
        uri: &str,
        accept: &str,
        content_type: &str,
        message: Option<&[u8]>,
    ) -> Result<Response<Body>, HttpError> {
        self.check(uri)?;
        let request = self.agent.post(uri).header(ACCEPT, accept);
        let request = request.config().timeout_global(Some(self.options.message_timeout)).build();
        checked(
            uri,
            match message {
                None => request.send_empty(),
                Some(message) => request.header(CONTENT_TYPE, content_type).send(message),
            },
        )
    }

    /// Gets a payload and gives it to `sink` in pieces of at most [`MAX_CHUNK`] bytes; the flag says that it is the last
    /// one. The sink stops the transfer by answering false.
    pub fn fetch(
        &self,
        uri: &str,
        max_size: Option<u64>,
        mut sink: impl FnMut(Vec<u8>, bool) -> bool,
    ) -> Result<(), HttpError> {
        self.check(uri)?;
        let request = self.agent.get(uri).config().timeout_global(Some(self.options.payload_timeout)).build();
        let mut response = checked(uri, request.call())?;
        let limit = max_size.unwrap_or(u64::MAX).min(self.options.max_payload);
        let mut reader = response.body_mut().with_config().limit(u64::MAX).reader();
        let mut total = 0u64;
        let mut held: Option<Vec<u8>> = None;
        loop {
            let piece = read_piece(&mut reader).map_err(|why| transport(uri, why))?;
            total += piece.len() as u64;
            if total > limit {
                return Err(HttpError::TooLarge { uri: uri.into(), limit });
            }
            // Only the next read tells whether a piece was the last, so one is held back.
            let last = piece.is_empty();
            if let Some(ready) = held.replace(piece)
                && (!sink(ready, last) || last)
            {
                return Ok(());
            }
            if last {
                sink(Vec::new(), true);
                return Ok(());
            }
        }
    }

    /// Only what may be asked at all: HTTPS, or plain HTTP to this machine or where it was allowed.
    fn check(&self, uri: &str) -> Result<(), HttpError> {
        let parsed: Uri = uri.parse().map_err(|_| HttpError::Uri(uri.into()))?;
        match (parsed.scheme_str(), parsed.host()) {
            (Some("https"), Some(_)) => Ok(()),
            (Some("http"), Some(host)) if self.options.allow_plain_http || is_loopback(host) => Ok(()),
            (Some("http"), Some(_)) => Err(HttpError::Insecure(uri.into())),
            _ => Err(HttpError::Uri(uri.into())),
        }
    }

    /// Reads a TAM's response (section 5.4), which must be of this type.
    fn message(
        &self,
        uri: &str,
        mut response: Response<Body>,
        expected: &'static str,
    ) -> Result<Option<Vec<u8>>, HttpError> {
        let limit = self.options.max_message;
        let body = response.body_mut().with_config().limit(limit + 1).read_to_vec();
        let body = match body {
            Err(ureq::Error::BodyExceedsLimit(_)) => None,
            other => Some(other.map_err(|why| transport(uri, why))?),
        };
        let body = body.filter(|body| body.len() as u64 <= limit);
        let body = body.ok_or_else(|| HttpError::TooLarge { uri: uri.into(), limit })?;
        if body.is_empty() {
            return Ok(None);
        }
        let found = content_type(&response);
        if found.as_deref().is_some_and(|found| is_type(found, expected)) {
            Ok(Some(body))
        } else {
            Err(HttpError::MediaType { uri: uri.into(), expected, found })
        }
    }
}

fn media_type(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Teep => TEEP,
        Protocol::Otrp => OTRP,
    }
}

fn content_type(response: &Response<Body>) -> Option<String> {
    response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(String::from)
}

/// Whether a Content-Type is this one, whatever its case and parameters.
fn is_type(content_type: &str, expected: &str) -> bool {
    content_type.split(';').next().is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected))
}

fn transport(uri: &str, why: impl fmt::Display) -> HttpError {
    HttpError::Transport { uri: uri.into(), why: why.to_string() }
}

/// Passes a success on and names anything else.
fn checked(uri: &str, response: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, HttpError> {
    let response = response.map_err(|why| transport(uri, why))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let (uri, status_number) = (uri.into(), status.as_u16());
    if status.is_redirection() {
        return Err(HttpError::Redirect { uri, status: status_number });
    }
    let code =
        response.headers().get(ERROR_HEADER).and_then(|value| value.to_str().ok()).and_then(Code::parse);
    Err(HttpError::Status { uri, status: status_number, code })
}

/// Fills one piece as far as there is anything.
fn read_piece(reader: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut piece = Vec::with_capacity(MAX_CHUNK);
    reader.take(MAX_CHUNK as u64).read_to_end(&mut piece)?;
    Ok(piece)
}

/// Whether a URI's host is this machine. A name other than `localhost` may lead anywhere.
fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// The system's roots, if there are any, and those of the extra file.
fn roots(options: &HttpOptions) -> Result<Vec<Certificate<'static>>, HttpError> {
    let system = SYSTEM_ROOTS.iter().find_map(|path| fs::read(path).ok()).unwrap_or_default();
    let mut roots: Vec<_> = certificates(&system).collect();
    if let Some(path) = &options.extra_root {
        let pem = fs::read(path).map_err(|e| HttpError::Roots(path.clone(), e.to_string()))?;
        let before = roots.len();
        roots.extend(certificates(&pem));
        if roots.len() == before {
            return Err(HttpError::Roots(path.clone(), "it has no certificate in PEM".into()));
        }
    }
    Ok(roots)
}

fn certificates(pem: &[u8]) -> impl Iterator<Item = Certificate<'static>> {
    ureq::tls::parse_pem(pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    })
}
