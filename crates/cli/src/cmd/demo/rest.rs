//! What the demo asks of the TAM's REST interface.

use anyhow::{Context, Result, bail};
use serde_json::{Value as Json, json};

use super::relay::http_client;

/// The REST interface of the TAM.
#[derive(Clone)]
pub struct Rest {
    http: ureq::Agent,
    base: String,
    operator: String,
}

impl Rest {
    /// At `base`, with the operator's token.
    pub fn new(base: &str, operator: &str) -> Self {
        Self { http: http_client(), base: base.into(), operator: operator.into() }
    }

    /// Where it is.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The TAM has moved.
    pub fn set_base(&mut self, base: &str) {
        self.base = base.into();
    }

    fn send(&self, token: &str, method: &str, path: &str, kind: &str, body: &[u8]) -> Result<(u16, Json)> {
        let uri = format!("{}/api/v1{path}", self.base);
        let bearer = format!("Bearer {token}");
        let response = match method {
            "GET" => self.http.get(&uri).header("authorization", &bearer).call(),
            _ => {
                self.http.post(&uri).header("authorization", &bearer).header("content-type", kind).send(body)
            }
        };
        let mut response = response.with_context(|| format!("{method} {uri}"))?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string()?;
        Ok((status, serde_json::from_str(&text).unwrap_or(Json::Null)))
    }

    fn expect(&self, status: u16, got: (u16, Json), what: &str) -> Result<Json> {
        match got {
            (found, body) if found == status => Ok(body),
            (found, body) => bail!("{what}: the TAM answered {found}: {body}"),
        }
    }

    /// GET as operator.
    pub fn get(&self, path: &str) -> Result<Json> {
        self.expect(200, self.send(&self.operator, "GET", path, "", &[])?, path)
    }

    /// Registers a service provider with its signer's public key or certificate and gives it a token.
    pub fn register(&self, id: &str, prefix: &str, signer_pem: &str) -> Result<String> {
        let provider = json!({ "id": id, "prefixes": [prefix], "signers": [signer_pem] });
        self.expect(201, self.post_json("/providers", &provider)?, "register a provider")?;
        let token = json!({ "role": "provider", "provider": id, "label": id });
        let made = self.expect(201, self.post_json("/tokens", &token)?, "make a token")?;
        made["token"].as_str().map(String::from).context("the TAM made no token")
    }

    fn post_json(&self, path: &str, body: &Json) -> Result<(u16, Json)> {
        self.send(&self.operator, "POST", path, "application/json", body.to_string().as_bytes())
    }

    /// Publishes an envelope as a provider.
    pub fn publish(&self, token: &str, envelope: &[u8]) -> Result<Json> {
        self.expect(201, self.try_publish(token, envelope)?, "publish")
    }

    /// Publishes, and gives status and body whatever comes of it.
    pub fn try_publish(&self, token: &str, envelope: &[u8]) -> Result<(u16, Json)> {
        self.send(token, "POST", "/components", "application/suit-envelope+cose", envelope)
    }

    /// Gives a device an envelope for itself alone, as a provider; status and body whatever comes of it.
    pub fn personalize(&self, token: &str, device: &str, envelope: &[u8]) -> Result<(u16, Json)> {
        let path = format!("/devices/{device}/personalization");
        self.send(token, "POST", &path, "application/suit-envelope+cose", envelope)
    }

    /// Digest over all that the TAM decides by, in hexadecimal.
    pub fn registry_digest(&self) -> Result<String> {
        let body = self.get("/registry-digest")?;
        let digest = body["sha256"].as_str();
        digest.map(String::from).with_context(|| format!("no registry digest in {body}"))
    }

    /// The device as the TAM knows it.
    pub fn device(&self, id: &str) -> Result<Json> {
        self.get(&format!("/devices/{id}"))
    }
}
