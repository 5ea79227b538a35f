use tamarack_cbor::Value;

use super::Node;
use super::names::{self, Context};

/// Deepest nesting that is unfolded; what lies deeper is shown as bytes.
const MAX_DEPTH: usize = 64;

/// The tree of `value` as the member `label` of something.
pub fn node(label: &str, value: &Value, context: Context) -> Node {
    walk(label, value, context, 0)
}

/// What an untagged or tagged value seems to be.
pub fn guess(value: &Value) -> Context {
    let has = |map: &[(Value, Value)], key: i128| map.iter().any(|(k, _)| integer(k) == Some(key));
    match value {
        Value::Map(map)
            if has(map, 3) && (has(map, 2) || map.iter().any(|(_, v)| matches!(v, Value::Bytes(_)))) =>
        {
            Context::SuitEnvelope
        }
        Value::Map(map) if has(map, 99) => Context::SuitReport,
        Value::Map(map) if [10, 256, 258, 265, 272].iter().any(|key| has(map, *key)) => Context::EatClaims,
        Value::Map(map) if has(map, 1) && has(map, -1) => Context::CoseKey,
        Value::Array(items) => match items.as_slice() {
            [kind, Value::Map(_), ..] if integer(kind).and_then(names::teep_type).is_some() => {
                Context::TeepMessage
            }
            [Value::Bytes(_), Value::Map(_), _, Value::Bytes(_)] => Context::CoseSign1,
            [Value::Bytes(_), Value::Map(_), _, Value::Array(_)] => Context::CoseSign,
            _ => Context::Any,
        },
        _ => Context::Any,
    }
}

fn integer(value: &Value) -> Option<i128> {
    match value {
        Value::Uint(n) => Some(i128::from(*n)),
        Value::Nint(n) => Some(-1 - i128::from(*n)),
        _ => None,
    }
}

/// The number that the encoded float stands for.
fn float(raw: &[u8]) -> f64 {
    match raw {
        [_, a, b] => {
            let bits = u16::from_be_bytes([*a, *b]);
            let (exponent, mantissa) = (i32::from(bits >> 10 & 0x1f), f64::from(bits & 0x3ff));
            let magnitude = match exponent {
                0 => mantissa * 2f64.powi(-24),
                31 if mantissa == 0.0 => f64::INFINITY,
                31 => f64::NAN,
                _ => (mantissa + 1024.0) * 2f64.powi(exponent - 25),
            };
            if bits >> 15 == 1 { -magnitude } else { magnitude }
        }
        [_, rest @ ..] if rest.len() == 4 => f32::from_be_bytes([rest[0], rest[1], rest[2], rest[3]]).into(),
        [_, rest @ ..] => rest.try_into().map(f64::from_be_bytes).unwrap_or(f64::NAN),
        [] => f64::NAN,
    }
}

fn walk(label: &str, value: &Value, context: Context, depth: usize) -> Node {
    let context = if context == Context::Guess { guess(value) } else { context };
    if depth > MAX_DEPTH {
        return Node::leaf(label, "(nested too deeply to show)");
    }
    match value {
        Value::Tag(tag, inner) => {
            let (name, kind) = names::tagged(*tag).unwrap_or(("", guess(inner)));
            let mut node = walk(label, inner, kind, depth + 1);
            node.text = format!("{name} (tag {tag}) {}", node.text).trim().to_owned();
            node
        }
        Value::Map(pairs) => map(label, pairs, context, depth),
        Value::Array(items) => array(label, items, context, depth),
        Value::Bytes(bytes) => byte_string(label, bytes, context, depth),
        Value::Uint(_) | Value::Nint(_) => {
            let number = integer(value).unwrap_or_default();
            let name = names::number(context, number).map(|name| format!(" ({name})")).unwrap_or_default();
            let items = if context == Context::DataItems { data_items(number) } else { String::new() };
            Node::leaf(label, format!("{number}{name}{items}"))
        }
        Value::Text(text) => Node::leaf(label, format!("{text:?}")),
        Value::Bool(flag) => Node::leaf(label, flag.to_string()),
        Value::Null => Node::leaf(label, "null"),
        Value::Float(raw) => Node::leaf(label, float(raw).to_string()),
        Value::Simple(23) => Node::leaf(label, "undefined"),
        Value::Simple(number) => Node::leaf(label, format!("simple({number})")),
    }
}

fn data_items(bits: i128) -> String {
    let names = ["attestation", "trusted-components", "extensions", "suit-reports"];
    let asked: Vec<&str> =
        names.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| *name).collect();
    format!(" ({})", asked.join(", "))
}

fn map(label: &str, pairs: &[(Value, Value)], context: Context, depth: usize) -> Node {
    let mut node = Node::leaf(label, format!("map of {}", pairs.len()));
    for (key, value) in pairs {
        let (name, kind) = match integer(key) {
            Some(number) => match names::member(context, number) {
                Some((name, kind)) => (format!("{number} {name}"), kind),
                None => (number.to_string(), Context::Any),
            },
            None => match key {
                // A text key of an envelope is an integrated payload or an integrated dependency.
                Value::Text(text) => (format!("{text:?}"), Context::Wrapped(&Context::Guess)),
                other => (short(other), Context::Any),
            },
        };
        node.children.push(walk(&name, value, kind, depth + 1));
    }
    node
}

fn array(label: &str, items: &[Value], context: Context, depth: usize) -> Node {
    if context == Context::SuitSequence {
        return sequence(label, items, depth);
    }
    if context == Context::ComponentId {
        return component_id(label, items);
    }
    let teep = (context == Context::TeepMessage).then(|| items.first().and_then(integer)).flatten();
    let mut node = Node::leaf(label, format!("array of {}", items.len()));
    if let Some(name) = teep.and_then(names::teep_type) {
        node.text = format!("TEEP {name}");
    }
    for (index, item) in items.iter().enumerate() {
        let named =
            teep.and_then(|kind| names::teep_tail(kind, index)).or_else(|| names::element(context, index));
        let (name, kind) = named.unwrap_or(("", Context::Any));
        let name = if name.is_empty() { format!("[{index}]") } else { name.to_owned() };
        node.children.push(walk(&name, item, kind, depth + 1));
    }
    node
}

/// A SUIT command sequence: code and argument in turn.
fn sequence(label: &str, items: &[Value], depth: usize) -> Node {
    let mut node = Node::leaf(label, format!("sequence of {} commands", items.len() / 2));
    for pair in items.chunks(2) {
        let code = integer(&pair[0]);
        let (name, kind) = match code.and_then(names::command) {
            Some((name, kind)) => (format!("{} {name}", short(&pair[0])), kind),
            None => (format!("{} unknown command", short(&pair[0])), Context::Any),
        };
        match pair.get(1) {
            Some(argument) => node.children.push(walk(&name, argument, kind, depth + 1)),
            None => node.notes.push(format!("{name} has no argument")),
        }
    }
    node
}

fn component_id(label: &str, items: &[Value]) -> Node {
    let segments: Option<Vec<&Vec<u8>>> =
        items.iter().map(|item| if let Value::Bytes(bytes) = item { Some(bytes) } else { None }).collect();
    match segments.map(tamarack_model::ComponentId::new) {
        Some(Ok(id)) => Node::leaf(label, id.to_string()),
        Some(Err(e)) => {
            let mut node = Node::leaf(label, items.iter().map(short).collect::<Vec<_>>().join("/"));
            node.notes.push(e.to_string());
            node
        }
        None => walk(label, &Value::Array(items.to_vec()), Context::Any, 0),
    }
}

fn byte_string(label: &str, bytes: &[u8], context: Context, depth: usize) -> Node {
    let inner = match context {
        Context::Wrapped(kind) => *kind,
        Context::CosePayload => Context::Guess,
        _ => return Node::leaf(label, hex_text(bytes)),
    };
    match Value::decode_lenient(bytes) {
        Ok((value, length)) if length == bytes.len() && worth_unfolding(&value, inner) => {
            let mut node = walk(label, &value, inner, depth + 1);
            node.text = format!("<< {} >>", node.text);
            node
        }
        _ => Node::leaf(label, hex_text(bytes)),
    }
}

/// A guess on arbitrary bytes is only shown if it found a structure.
fn worth_unfolding(value: &Value, kind: Context) -> bool {
    kind != Context::Guess || matches!(value, Value::Map(_) | Value::Array(_) | Value::Tag(..))
}

fn hex_text(bytes: &[u8]) -> String {
    let printable = bytes.len() >= 2 && bytes.iter().all(|b| b.is_ascii_graphic() || *b == b' ');
    if printable {
        format!("h'{}' ({:?})", hex::encode(bytes), String::from_utf8_lossy(bytes))
    } else {
        format!("h'{}'", hex::encode(bytes))
    }
}

fn short(value: &Value) -> String {
    match value {
        Value::Uint(_) | Value::Nint(_) => integer(value).unwrap_or_default().to_string(),
        Value::Bytes(bytes) => hex_text(bytes),
        Value::Text(text) => format!("{text:?}"),
        other => format!("{other:?}"),
    }
}
