//! Annotated trees of CBOR and JSON objects: what `tamarack inspect` prints.
//!
//! This is a viewer, not a verifier: it shows any well-formed object, also one that every receiver would refuse, and
//! says in its notes why they would.

mod json;
mod names;
mod node;
mod walk;

pub use node::Node;

use names::Context;
use tamarack_cbor::Value;
use tamarack_model::codes;

/// What an object can be shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Shape {
    /// Plain CBOR
    Cbor,
    /// TEEP message
    Teep,
    /// SUIT_Envelope
    SuitEnvelope,
    /// SUIT_Manifest
    SuitManifest,
    /// SUIT_Report
    SuitReport,
    /// COSE_Sign1
    CoseSign1,
    /// COSE_Sign
    CoseSign,
    /// COSE_Mac0
    CoseMac0,
    /// COSE_Key
    CoseKey,
    /// EAT or CWT claims
    Eat,
    /// Plain JSON
    Json,
    /// OTrP message
    Otrp,
    /// JWS, in JSON or compact
    Jws,
    /// JWE, in JSON or compact
    Jwe,
    /// JWK
    Jwk,
    /// Device state information of OTrP
    Dsi,
}

impl Shape {
    /// What it is in CBOR; [`json`] knows the others.
    fn context(self) -> Context {
        match self {
            Self::Cbor | Self::Json | Self::Otrp | Self::Jws | Self::Jwe | Self::Jwk | Self::Dsi => {
                Context::Any
            }
            Self::Teep => Context::TeepMessage,
            Self::SuitEnvelope => Context::SuitEnvelope,
            Self::SuitManifest => Context::SuitManifest,
            Self::SuitReport => Context::SuitReport,
            Self::CoseSign1 => Context::CoseSign1,
            Self::CoseSign => Context::CoseSign,
            Self::CoseMac0 => Context::CoseMac0,
            Self::CoseKey => Context::CoseKey,
            Self::Eat => Context::EatClaims,
        }
    }
}

/// The tree of `bytes`, guessing what it is unless told. A sequence of several items becomes several children.
pub fn tree(bytes: &[u8], shape: Option<Shape>) -> Result<Node, Refusal> {
    if json::is_text(bytes, shape) {
        return json::tree(bytes, shape).map_err(Refusal::Json);
    }
    cbor(bytes, shape).map_err(Refusal::Cbor)
}

/// Why there is no tree: the sentence says where the bytes go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Read as CBOR.
    Cbor(String),
    /// Read as JSON, which it looks like.
    Json(String),
}

impl Refusal {
    /// The stable code.
    pub fn code(&self) -> tamarack_model::Code {
        match self {
            Self::Cbor(_) => codes::CBOR_MALFORMED,
            Self::Json(_) => codes::JSON_MALFORMED,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cbor(why) => write!(f, "not well-formed CBOR: {why}"),
            Self::Json(why) => write!(f, "not well-formed JSON: {why}"),
        }
    }
}

fn cbor(bytes: &[u8], shape: Option<Shape>) -> Result<Node, String> {
    let mut rest = bytes;
    let mut items = Vec::new();
    while !rest.is_empty() {
        let at = bytes.len() - rest.len();
        let (item, length) = Value::decode_lenient(rest).map_err(|e| e.within(at).to_string())?;
        items.push(item);
        rest = &rest[length..];
    }
    let mut root = match items.as_slice() {
        [] => return Err("the input is empty".into()),
        [item] => walk::node("", item, shape.map_or_else(|| walk::guess(item), Shape::context)),
        several => {
            let mut root = Node::leaf("CBOR sequence", format!("{} items", several.len()));
            root.children = several.iter().map(|item| walk::node("", item, walk::guess(item))).collect();
            root
        }
    };
    if let Err(e) = tamarack_cbor::check(bytes, &tamarack_cbor::Limits::default()) {
        root.notes.push(format!("a Tamarack receiver refuses these bytes: {e}"));
    }
    Ok(root)
}

/// Bytes as they are, or decoded if all of it is hexadecimal digits and white space.
pub fn unhex(bytes: Vec<u8>) -> Vec<u8> {
    let digits: Vec<u8> = bytes.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let is_hex = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    if is_hex { hex::decode(&digits).unwrap_or(bytes) } else { bytes }
}

#[cfg(test)]
mod tests;
