use tamarack_jose::json::Json;
use tamarack_otrp::ErrorCode;

use super::names::{self, Content, Kind, Row};
use super::{Node, der, jose};

/// Deepest nesting that is unfolded.
const MAX_DEPTH: usize = 64;
/// Longest text and most bytes that are shown whole.
const SHOWN: usize = 200;

/// The tree of `value` as the member `label` of something, with what is known of that member.
pub fn node(label: &str, value: &Json, kind: Kind, remark: &str, depth: usize) -> Node {
    if depth > MAX_DEPTH {
        return Node::leaf(label, "(nested too deeply to show)");
    }
    let mut node = match (kind, value) {
        (Kind::Jws(inner), Json::Object(members)) => jose::jws(label, members, inner, depth),
        (Kind::Jwe(inner), Json::Object(members)) => jose::jwe(label, members, inner, depth),
        (Kind::Jws(inner) | Kind::Jwe(inner), Json::String(text)) => {
            match jose::compact_parts(text.as_bytes()) {
                Some(parts) => jose::compact(label, &parts, inner, depth),
                None => binary(label, text, Content::Bytes, depth),
            }
        }
        (Kind::Jwk, Json::Object(members)) => jose::jwk(label, members, depth),
        (Kind::Members(rows), Json::Object(members)) => object(label, members, rows, depth),
        (Kind::Message, Json::Object(members)) => object(label, members, names::MESSAGES, depth),
        (_, Json::Object(members)) => object(label, members, &[], depth),
        (Kind::Each(inner), Json::Array(items)) => array(label, items, *inner, depth),
        (Kind::Each(inner), other @ Json::String(_)) => {
            let mut one = self::node(label, other, *inner, "", depth + 1);
            one.notes.push("one value where OTrP has an array".into());
            one
        }
        (_, Json::Array(items)) => array(label, items, Kind::Any, depth),
        (Kind::Base64(content), Json::String(text)) => match jose::compact_parts(text.as_bytes()) {
            Some(parts) => jose::compact(label, &parts, &Kind::Any, depth),
            None => binary(label, text, content, depth),
        },
        (Kind::Hex(content), Json::String(text)) => match hex::decode(text.trim()) {
            Ok(bytes) => self::content(label, &bytes, content, depth),
            Err(_) => with_note(binary(label, text, content, depth), "not hexadecimal"),
        },
        (Kind::Protected, Json::String(text)) => jose::protected(label, text, depth),
        (Kind::ErrorCode, Json::String(text)) => error_code(label, text),
        (_, Json::String(text)) => Node::leaf(label, shortened(text)),
        (_, Json::Number(number)) => Node::leaf(label, number.as_str()),
        (_, Json::Bool(flag)) => Node::leaf(label, flag.to_string()),
        (_, Json::Null) => Node::leaf(label, "null"),
    };
    if !remark.is_empty() {
        node.text = format!("{}  ({remark})", node.text).trim().to_owned();
    }
    node
}

pub fn with_note(mut node: Node, note: impl Into<String>) -> Node {
    node.notes.push(note.into());
    node
}

/// An object whose members are called as in `rows`.
pub fn object(label: &str, members: &[(String, Json)], rows: &'static [Row], depth: usize) -> Node {
    let text = match members.len() {
        1 => "object of 1 member".into(),
        several => format!("object of {several} members"),
    };
    let mut node = Node::leaf(label, text);
    node.children = members.iter().map(|(name, value)| member(name, value, rows, depth)).collect();
    node
}

/// One member of an object.
pub fn member(name: &str, value: &Json, rows: &'static [Row], depth: usize) -> Node {
    let Some((_, remark, kind)) = names::member(rows, name) else {
        let unfamiliar = node(name, value, Kind::Any, "", depth + 1);
        // An object that is none of the messages may be anything.
        let anything = rows.is_empty() || std::ptr::eq(rows, names::MESSAGES);
        return if anything { unfamiliar } else { with_note(unfamiliar, "no member that is known here") };
    };
    let mut shown = node(name, value, *kind, remark, depth + 1);
    // The name outside is not signed; the one inside is.
    if let Some(inner) = jose::payload_name(value)
        && names::member(names::MESSAGES, name).is_some()
        && inner != inside(name)
    {
        shown.notes.push(format!("named {name} outside, and {inner} inside, where it is signed: refused"));
    }
    shown
}

/// The name that the payload of a signed message must have.
fn inside(outside: &str) -> String {
    match (outside.strip_suffix("Request"), outside.strip_suffix("Response")) {
        (Some(name), _) => format!("{name}TBSRequest"),
        (_, Some(name)) => format!("{name}TBSResponse"),
        _ => format!("{outside}TBS"),
    }
}

fn array(label: &str, items: &[Json], kind: Kind, depth: usize) -> Node {
    let mut node = Node::leaf(label, format!("array of {}", items.len()));
    let numbered = items.iter().enumerate();
    node.children =
        numbered.map(|(i, item)| self::node(&format!("[{i}]"), item, kind, "", depth + 1)).collect();
    node
}

fn binary(label: &str, text: &str, content: Content, depth: usize) -> Node {
    match jose::base64(text) {
        Some(bytes) => self::content(label, &bytes, content, depth),
        None => with_note(Node::leaf(label, shortened(text)), "not base64"),
    }
}

/// What decoded bytes are.
fn content(label: &str, bytes: &[u8], content: Content, depth: usize) -> Node {
    match content {
        Content::Bytes => Node::leaf(label, bytes_text(bytes)),
        Content::Text => {
            Node::leaf(label, format!("{} bytes, {:?}", bytes.len(), String::from_utf8_lossy(bytes)))
        }
        Content::Sha256 if bytes.len() == 32 => Node::leaf(label, format!("SHA-256 {}", hex::encode(bytes))),
        Content::Sha256 => with_note(
            Node::leaf(label, bytes_text(bytes)),
            format!("{} bytes; a SHA-256 digest has 32", bytes.len()),
        ),
        Content::Certificate => der::certificate(label, bytes),
        Content::PublicKey => der::public_key(label, bytes),
        Content::Ocsp => der::ocsp(label, bytes),
        Content::Evidence => {
            let mut node = Node::leaf(label, bytes_text(bytes));
            match super::super::tree(bytes, None) {
                Ok(mut tree) if depth < MAX_DEPTH => {
                    tree.label = "CBOR".into();
                    node.children.push(tree);
                }
                Ok(_) => {}
                Err(e) => node.notes.push(format!("not CBOR: {e}")),
            }
            node
        }
    }
}

/// Length and beginning of bytes.
pub fn bytes_text(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(24)];
    let more = if shown.len() < bytes.len() { ".." } else { "" };
    match bytes.len() {
        0 => "empty".into(),
        1 => format!("1 byte, {}", hex::encode(bytes)),
        length => format!("{length} bytes, {}{more}", hex::encode(shown)),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}.. ({} bytes)", &text[..end], text.len()),
        None => format!("{text:?}"),
    }
}

/// An error of OTrP, and what it is called here.
fn error_code(label: &str, text: &str) -> Node {
    let shown = shortened(text);
    match ErrorCode::parse(text) {
        Some(error) => {
            let code = error.code();
            Node::leaf(label, format!("{shown}: {code} {}", code.info().map_or("", |info| info.title)))
        }
        None => with_note(Node::leaf(label, shown), "no error of OTrP"),
    }
}
