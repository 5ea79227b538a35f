//! Annotated trees of JSON objects: OTrP messages, JWS, JWE and JWK, in JSON or compact serialization.

mod der;
mod jose;
mod names;
mod walk;

use super::{Node, Shape};
use names::Kind;
use tamarack_jose::json::{self, Json, Limits};

/// As deep, wide and long as a viewer is willing to go; receivers go less far.
const LIMITS: Limits = Limits { bytes: 128 << 20, depth: 64, members: 1 << 16, string: 96 << 20 };

/// Whether these bytes are to be read as JSON or as a compact serialization rather than as CBOR.
pub fn is_text(bytes: &[u8], shape: Option<Shape>) -> bool {
    match shape {
        Some(shape) => kind(shape).is_some(),
        None => {
            let first = bytes.iter().find(|b| !b.is_ascii_whitespace());
            matches!(first, Some(b'{' | b'[')) || jose::compact_parts(bytes).is_some()
        }
    }
}

fn kind(shape: Shape) -> Option<Kind> {
    match shape {
        Shape::Json => Some(Kind::Any),
        Shape::Otrp => Some(names::UNKNOWN),
        Shape::Jws => Some(Kind::Jws(&names::UNKNOWN)),
        Shape::Jwe => Some(Kind::Jwe(&names::UNKNOWN)),
        Shape::Jwk => Some(Kind::Jwk),
        Shape::Dsi => Some(names::DSI_ITSELF),
        Shape::Cbor
        | Shape::Teep
        | Shape::SuitEnvelope
        | Shape::SuitManifest
        | Shape::SuitReport
        | Shape::CoseSign1
        | Shape::CoseSign
        | Shape::CoseMac0
        | Shape::CoseKey
        | Shape::Eat => None,
    }
}

/// The tree of `bytes`, guessing what it is unless told.
pub fn tree(bytes: &[u8], shape: Option<Shape>) -> Result<Node, String> {
    if let Some(parts) = jose::compact_parts(bytes) {
        return Ok(jose::compact("", &parts, &names::UNKNOWN, 0));
    }
    let value = json::parse(bytes, &LIMITS).map_err(|e| format!("{e}{}", place(bytes, e.at)))?;
    let kind = shape.and_then(kind).filter(|kind| *kind != names::UNKNOWN).unwrap_or_else(|| guess(&value));
    let mut root = walk::node("", &value, kind, "", 0);
    if let Err(e) = json::parse(bytes, &Limits::default()) {
        root.notes.push(format!("a Tamarack receiver refuses these bytes: {e}"));
    }
    Ok(root)
}

/// Line and column of a byte, as editors count them.
fn place(bytes: &[u8], at: usize) -> String {
    let before = &bytes[..at.min(bytes.len())];
    let line = before.iter().filter(|b| **b == b'\n').count() + 1;
    let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |newline| newline + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    format!(" (line {line}, column {column})")
}

/// What an object seems to be.
fn guess(value: &Json) -> Kind {
    let Json::Object(members) = value else { return Kind::Any };
    let has = |name: &str| members.iter().any(|(known, _)| known == name);
    if has("ciphertext") {
        Kind::Jwe(&names::UNKNOWN)
    } else if has("payload") && (has("signature") || has("signatures")) {
        Kind::Jws(&names::UNKNOWN)
    } else if has("kty") {
        Kind::Jwk
    } else if has("tee") && !has("ver") {
        names::DSI_ITSELF
    } else {
        names::UNKNOWN
    }
}

#[cfg(test)]
mod tests;
