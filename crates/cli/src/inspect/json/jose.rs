//! JWS, JWE and JWK: what is signed, what is encrypted, and what is neither.

use tamarack_jose::json::{self, Json};

use super::names::{JOSE_HEADER, JWK, Kind};
use super::walk::{self, bytes_text, with_note};
use super::{LIMITS, Node, guess, names};

/// Base64 in either alphabet, with or without padding.
pub fn base64(text: &str) -> Option<Vec<u8>> {
    tamarack_jose::base64::decode_any(text).ok()
}

/// The three or five parts of a compact serialization, if that is what these bytes are.
pub fn compact_parts(bytes: &[u8]) -> Option<Vec<&str>> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    let parts: Vec<&str> = text.split('.').collect();
    let url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let header = base64(parts[0]).is_some_and(|header| header.first() == Some(&b'{'));
    let is_compact = matches!(parts.len(), 3 | 5) && header && parts.iter().all(|p| p.bytes().all(url));
    is_compact.then_some(parts)
}

/// A compact JWS or JWE.
pub fn compact(label: &str, parts: &[&str], inner: &'static Kind, depth: usize) -> Node {
    let text = |part: &str| Json::String(part.into());
    let named = |names: &[&str]| -> Vec<(String, Json)> {
        names.iter().zip(parts).map(|(name, part)| ((*name).to_owned(), text(part))).collect()
    };
    let mut node = match parts.len() {
        3 => jws(label, &named(&["protected", "payload", "signature"]), inner, depth),
        _ => jwe(label, &named(&["protected", "encrypted_key", "iv", "ciphertext", "tag"]), inner, depth),
    };
    node.text = node.text.replacen("flattened", "compact", 1);
    node
}

fn find<'j>(members: &'j [(String, Json)], name: &str) -> Option<&'j Json> {
    members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn string(value: Option<&Json>) -> Option<&str> {
    match value {
        Some(Json::String(text)) => Some(text),
        _ => None,
    }
}

fn members(value: Option<&Json>) -> &[(String, Json)] {
    match value {
        Some(Json::Object(members)) => members,
        _ => &[],
    }
}

/// The protected header as JSON, if it is that.
fn protected_json(members: &[(String, Json)]) -> Option<Json> {
    let bytes = base64(string(find(members, "protected"))?)?;
    json::parse(&bytes, &LIMITS).ok()
}

/// The name of the only member of a JWS's payload.
pub fn payload_name(value: &Json) -> Option<String> {
    let bytes = base64(string(find(members(Some(value)), "payload"))?)?;
    match json::parse(&bytes, &LIMITS).ok()? {
        Json::Object(mut members) if members.len() == 1 => Some(members.swap_remove(0).0),
        _ => None,
    }
}

/// A protected header: Base64 of a JSON object.
pub fn protected(label: &str, text: &str, depth: usize) -> Node {
    let Some(bytes) = base64(text) else {
        return with_note(Node::leaf(label, format!("{text:?}")), "not base64");
    };
    match json::parse(&bytes, &LIMITS) {
        Ok(Json::Object(members)) => walk::object(label, &members, JOSE_HEADER, depth),
        Ok(_) => with_note(Node::leaf(label, bytes_text(&bytes)), "not a JSON object: refused"),
        Err(e) => {
            let shown = format!("{} bytes, {:?}", bytes.len(), String::from_utf8_lossy(&bytes));
            with_note(Node::leaf(label, shown), format!("not JSON: {e}: refused"))
        }
    }
}

/// A JWS, whose payload is expected to be of this kind.
pub fn jws(label: &str, all: &[(String, Json)], inner: &'static Kind, depth: usize) -> Node {
    let form = if find(all, "signatures").is_some() { "general" } else { "flattened" };
    let signers: Vec<&[(String, Json)]> = match find(all, "signatures") {
        Some(Json::Array(items)) => items.iter().map(|item| members(Some(item))).collect(),
        _ => vec![all],
    };
    let algorithms: Vec<String> = signers.iter().map(|one| algorithm(one, "alg")).collect();
    let mut node = Node::leaf(label, format!("JWS ({form}), {}", algorithms.join(" and ")));
    for name in &algorithms {
        match name.as_str() {
            "none" => node.notes.push("alg none: signed by nobody, refused".into()),
            mac if mac.starts_with("HS") => node.notes.push(format!("{mac} is no signature: refused")),
            _ => {}
        }
    }
    for (name, value) in all {
        node.children.push(match (name.as_str(), value) {
            ("payload", Json::String(text)) => payload(text, inner, depth),
            ("protected", value) => signed(walk::node(name, value, Kind::Protected, "", depth + 1)),
            ("header", value) => unsigned(walk::node(name, value, Kind::Members(JOSE_HEADER), "", depth + 1)),
            ("signature", value) => walk::node(
                name,
                value,
                Kind::Base64(names::Content::Bytes),
                "over protected and payload",
                depth + 1,
            ),
            ("signatures", value) => walk::node(name, value, Kind::Each(&SIGNATURE), "", depth + 1),
            (_, value) => with_note(walk::node(name, value, Kind::Any, "", depth + 1), "no member of a JWS"),
        });
    }
    node
}

const SIGNATURE: Kind = Kind::Members(&[
    ("protected", "signed", Kind::Protected),
    ("header", "NOT signed", Kind::Members(JOSE_HEADER)),
    ("signature", "over protected and payload", Kind::Base64(names::Content::Bytes)),
]);

fn signed(mut node: Node) -> Node {
    node.text = format!("{}, signed", node.text);
    node
}

fn unsigned(mut node: Node) -> Node {
    node.text = format!("{}, NOT signed", node.text);
    node
}

fn payload(text: &str, inner: &'static Kind, depth: usize) -> Node {
    let Some(bytes) = base64(text) else {
        return with_note(Node::leaf("payload", format!("{} characters", text.len())), "not base64");
    };
    match json::parse(&bytes, &LIMITS) {
        Ok(value) => {
            let kind = match (inner, guess(&value)) {
                (Kind::Any, guessed) => guessed,
                (kind, _) => *kind,
            };
            let mut node = walk::node("payload", &value, kind, "", depth + 1);
            node.text = format!("{} bytes of JSON, signed: {}", bytes.len(), node.text);
            node
        }
        Err(e) => {
            with_note(signed(Node::leaf("payload", bytes_text(&bytes))), format!("not JSON: {e}: refused"))
        }
    }
}

/// `alg` or `enc` of a signature or recipient, wherever it stands.
fn algorithm(one: &[(String, Json)], name: &str) -> String {
    let protected = protected_json(one);
    let protected = string(find(members(protected.as_ref()), name)).map(String::from);
    let header = ["header", "unprotected"].iter().find_map(|at| string(find(members(find(one, at)), name)));
    protected.or(header.map(String::from)).unwrap_or_else(|| format!("no {name}"))
}

/// A JWE, or in its place the content in clear, as a printed sample has it.
pub fn jwe(label: &str, all: &[(String, Json)], inner: &'static Kind, depth: usize) -> Node {
    if find(all, "ciphertext").is_none() {
        let clear = walk::node(label, &Json::Object(all.to_vec()), *inner, "", depth);
        return with_note(clear, "in clear; on the wire it is encrypted (JWE)");
    }
    let (form, recipients): (_, Vec<&[(String, Json)]>) = match find(all, "recipients") {
        Some(Json::Array(items)) => ("general", items.iter().map(|item| members(Some(item))).collect()),
        _ => ("flattened", vec![all]),
    };
    let enc = algorithm(all, "enc");
    let mut managements: Vec<String> = Vec::new();
    for one in recipients {
        let own = algorithm(one, "alg");
        managements.push(if own.starts_with("no ") { algorithm(all, "alg") } else { own });
    }
    let length = base64(string(find(all, "ciphertext")).unwrap_or_default()).map_or(0, |bytes| bytes.len());
    let managed = managements.join(" and ");
    let mut node =
        Node::leaf(label, format!("JWE ({form}), {managed}, {enc}: {length} bytes encrypted, not shown"));
    if managements.iter().any(|alg| alg == "RSA1_5") {
        node.notes.push("RSA1_5 cannot be decrypted safely before the sender is known: refused".into());
    }
    node.notes.extend(tag_note(all, &enc));
    for (name, value) in all {
        let bytes = Kind::Base64(names::Content::Bytes);
        let (kind, remark) = match name.as_str() {
            "protected" => (Kind::Protected, "authenticated"),
            "unprotected" | "header" => (Kind::Members(JOSE_HEADER), "NOT authenticated"),
            "recipients" => (Kind::Each(&RECIPIENT), ""),
            "encrypted_key" => (bytes, "the content key, for the recipient"),
            "iv" => (bytes, "initialization vector"),
            "ciphertext" => (bytes, "encrypted"),
            "tag" => (bytes, "authentication tag"),
            "aad" => (bytes, "authenticated, not encrypted"),
            _ => {
                let stranger = walk::node(name, value, Kind::Any, "", depth + 1);
                node.children.push(with_note(stranger, "no member of a JWE"));
                continue;
            }
        };
        let mut child = walk::node(name, value, kind, remark, depth + 1);
        if name == "protected" && !matches!(value, Json::String(_)) {
            child.notes.push("must be a string: refused".into());
        }
        node.children.push(child);
    }
    node
}

const RECIPIENT: Kind = Kind::Members(&[
    ("header", "NOT authenticated", Kind::Members(JOSE_HEADER)),
    ("encrypted_key", "the content key, for this recipient", Kind::Base64(names::Content::Bytes)),
]);

/// A tag of another length than the algorithm has.
fn tag_note(all: &[(String, Json)], enc: &str) -> Option<String> {
    let expected = match enc {
        "A128CBC-HS256" | "A128GCM" | "A192GCM" | "A256GCM" => 16,
        "A192CBC-HS384" => 24,
        "A256CBC-HS512" => 32,
        _ => return Some(format!("{enc}: not an encryption that is known")),
    };
    let found = base64(string(find(all, "tag")).unwrap_or_default()).map_or(0, |tag| tag.len());
    (found != expected).then(|| format!("a tag of {found} bytes; {enc} has {expected}: refused"))
}

/// A key.
pub fn jwk(label: &str, all: &[(String, Json)], depth: usize) -> Node {
    let part = |name| string(find(all, name)).unwrap_or_default();
    let length = |name| base64(part(name)).map_or(0, |bytes| bytes.len());
    let what = match part("kty") {
        "EC" | "OKP" => format!("{} {}", part("kty"), part("crv")),
        "RSA" => format!("RSA of {} bits", length("n") * 8),
        "oct" => "symmetric".into(),
        other => format!("of type {other:?}"),
    };
    let private = find(all, "d").is_some() || find(all, "k").is_some();
    let mut node = walk::object(label, all, JWK, depth);
    node.text = format!("JWK, {}{what}", if private { "SECRET, " } else { "public, " });
    if private {
        node.notes.push("holds a secret".into());
        for child in &mut node.children {
            if ["d", "k", "p", "q", "dp", "dq", "qi"].contains(&child.label.as_str()) {
                child.text = "(secret, not shown)".into();
            }
        }
    }
    node
}
