//! A client of the TAM's REST interface, and of services that ask nobody who calls.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tamarack_model::{Code, codes};
use tamarack_service::client;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body};

use crate::fail::{self, Fail, Outcome};
use crate::keys;

/// Where the TAM is and who calls.
#[derive(clap::Args, Clone, Debug)]
pub struct Connection {
    /// URL of the TAM, such as `https://tam.example`
    #[arg(long, env = "TAMARACK_URL")]
    pub url: Option<String>,
    /// API token
    #[arg(long, env = "TAMARACK_TOKEN", hide_env_values = true, conflicts_with = "token_file")]
    pub token: Option<String>,
    /// File that holds the API token
    #[arg(long)]
    pub token_file: Option<PathBuf>,
    /// Certificates to trust for HTTPS besides the system's, PEM
    #[arg(long, env = "TAMARACK_TLS_ROOT")]
    pub root: Option<PathBuf>,
    /// Send the token over plain HTTP to another machine
    #[arg(long)]
    pub allow_plain_http: bool,
}

/// Largest answer that is read, in bytes.
const ANSWER: u64 = 64 << 20;

/// A connection in use.
pub struct Rest {
    agent: Agent,
    base: String,
    token: String,
}

/// Where a service is that asks nobody who calls.
#[derive(clap::Args, Clone, Debug)]
pub struct Open {
    /// URL of the service, such as `https://verifier.example`
    #[arg(long)]
    pub url: Option<String>,
    /// Certificates to trust for HTTPS besides the system's, PEM
    #[arg(long, env = "TAMARACK_TLS_ROOT")]
    pub root: Option<PathBuf>,
    /// Use plain HTTP to another machine
    #[arg(long)]
    pub allow_plain_http: bool,
}

impl Open {
    /// Asks, and gives the body of a success as it is.
    pub fn ask(&self, path: &str, body: Option<(&str, Vec<u8>)>) -> Outcome<Vec<u8>> {
        let missing = || Fail::input(codes::USAGE, "say with --url where the service is");
        let base = self.url.as_deref().ok_or_else(missing)?;
        let url = format!("{}{path}", base.trim_end_matches('/'));
        let agent = agent(base, self.root.as_deref(), self.allow_plain_http)?;
        let failed = |e: ureq::Error| Fail::new(codes::HTTP_PEER, format_args!("no answer from {url}: {e}"));
        let mut response = match body {
            None => agent.get(&url).call(),
            Some((media_type, body)) => agent.post(&url).header("content-type", media_type).send(body),
        }
        .map_err(failed)?;
        if !response.status().is_success() {
            return Err(refused(response, &url));
        }
        response.body_mut().with_config().limit(ANSWER).read_to_vec().map_err(failed)
    }
}

fn agent(url: &str, root: Option<&Path>, allow_plain_http: bool) -> Outcome<Agent> {
    let wrong = |e: tamarack_tam_server::Error| Fail::input(e.code(), format_args!("--url: {e}"));
    client::check_url(url, allow_plain_http).map_err(wrong)?;
    let own = root.map(fail::read).transpose()?;
    client::agent(own.as_deref(), Duration::from_secs(120)).map_err(|e| {
        let path = root.unwrap_or(Path::new("")).display();
        Fail::input(e.code(), format_args!("{path}: {e}"))
    })
}

impl Rest {
    /// Reads the token and the roots; nothing is sent yet.
    pub fn new(connection: &Connection) -> Outcome<Self> {
        let missing = || Fail::input(codes::USAGE, "give the TAM with --url or TAMARACK_URL");
        let url = connection.url.as_deref().ok_or_else(missing)?.trim_end_matches('/');
        let agent = agent(url, connection.root.as_deref(), connection.allow_plain_http)?;
        let token = match (&connection.token, &connection.token_file) {
            (Some(token), _) => token.clone(),
            (None, Some(path)) => keys::read_text(path)?,
            (None, None) => {
                return Err(Fail::input(
                    codes::USAGE,
                    "give an API token with --token, --token-file or TAMARACK_TOKEN",
                ));
            }
        };
        Ok(Self { agent, base: format!("{url}/api/v1"), token: token.trim().to_string() })
    }

    /// Gets JSON.
    pub fn get(&self, path: &str) -> Outcome<Value> {
        self.call(Method::GET, path, None, None)
    }

    /// Gets every item of a list, page by page.
    pub fn all(&self, path: &str) -> Outcome<Vec<Value>> {
        let mut items = Vec::new();
        let mut after = None::<String>;
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let cursor = after.as_ref().map(|after| format!("&after={}", encode(after))).unwrap_or_default();
            let mut page = self.get(&format!("{path}{separator}limit=500{cursor}"))?;
            if let Some(list) = page["items"].as_array_mut() {
                items.append(list);
            }
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_string()),
                None => return Ok(items),
            }
        }
    }

    /// Posts JSON.
    pub fn post(&self, path: &str, body: &Value) -> Outcome<Value> {
        self.call(Method::POST, path, Some(("application/json", body.to_string().into_bytes())), None)
    }

    /// Posts bytes of another type.
    pub fn post_bytes(&self, path: &str, media_type: &'static str, body: Vec<u8>) -> Outcome<Value> {
        self.call(Method::POST, path, Some((media_type, body)), None)
    }

    /// Puts JSON.
    pub fn put(&self, path: &str, body: &Value) -> Outcome<Value> {
        self.call(Method::PUT, path, Some(("application/json", body.to_string().into_bytes())), None)
    }

    /// Puts JSON in place of what has this ETag.
    pub fn put_matching(&self, path: &str, etag: &str, body: &Value) -> Outcome<Value> {
        let body = ("application/json", body.to_string().into_bytes());
        self.call(Method::PUT, path, Some(body), Some(etag))
    }

    /// Deletes.
    pub fn delete(&self, path: &str) -> Outcome<Value> {
        self.call(Method::DELETE, path, None, None)
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<(&str, Vec<u8>)>,
        if_match: Option<&str>,
    ) -> Outcome<Value> {
        let url = format!("{}{path}", self.base);
        let failed = |why: &dyn std::fmt::Display| {
            Fail::new(codes::HTTP_PEER, format_args!("no answer from {url}: {why}"))
        };
        let mut request = Request::builder()
            .method(method)
            .uri(&url)
            .header("authorization", format!("Bearer {}", self.token))
            .header("accept", "application/json");
        if let Some(etag) = if_match {
            request = request.header("if-match", etag);
        }
        let sent = match body {
            None => request.body(()).map_err(|e| failed(&e)).map(|request| self.agent.run(request))?,
            Some((media_type, body)) => request
                .header("content-type", media_type)
                .body(body)
                .map_err(|e| failed(&e))
                .map(|request| self.agent.run(request))?,
        };
        answer(sent.map_err(|e| failed(&e))?, &url)
    }
}

/// The JSON of a success, or what the problem details say.
fn answer(mut response: Response<Body>, url: &str) -> Outcome<Value> {
    if !response.status().is_success() {
        return Err(refused(response, url));
    }
    let body = response
        .body_mut()
        .with_config()
        .limit(ANSWER)
        .read_to_vec()
        .map_err(|e| Fail::new(codes::HTTP_PEER, format_args!("{url}: {e}")))?;
    if body.is_empty() {
        return Ok(Value::Null);
    }
    Ok(serde_json::from_slice(&body).unwrap_or_default())
}

/// What problem details say.
fn refused(mut response: Response<Body>, url: &str) -> Fail {
    let status = response.status();
    let body = response.body_mut().with_config().limit(ANSWER).read_to_vec().unwrap_or_default();
    let json: Value = serde_json::from_slice(&body).unwrap_or_default();
    match (json["code"].as_str().and_then(Code::parse), json["detail"].as_str()) {
        (Some(code), Some(detail)) => Fail::new(code, format_args!("refused: {detail}")),
        _ => Fail::new(codes::HTTP_PEER, format_args!("{url} answered with status {status}")),
    }
}

/// Percent-encodes one segment of a path, or a value of a query.
pub fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
