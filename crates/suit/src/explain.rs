//! An annotated tree of any envelope that can be read, authentic or not, for tools that show it.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use tamarack_cose::EncryptionInfo;
use tamarack_model::Hex;

use crate::command::{Argument, Instruction, Selection};
use crate::manifest::{Manifest, Member, Section};
use crate::parameter::{ENCRYPTION_INFO, Value};
use crate::{Envelope, Error};

/// A line of the tree with what stands below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub label: String,
    /// Its value in one line, empty if only what is below matters.
    pub value: String,
    /// What is below.
    pub children: Vec<Node>,
}

impl Node {
    fn leaf(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { label: label.into(), value: value.into(), children: Vec::new() }
    }

    fn tree(label: impl Into<String>, children: Vec<Node>) -> Self {
        Self { label: label.into(), value: String::new(), children }
    }
}

/// The tree of an envelope. Nothing in it is vouched for.
pub fn explain(envelope: &Envelope) -> Result<Node, Error> {
    let manifest = envelope.unauthenticated_manifest()?;
    let blocks = envelope.authentication_blocks().map(explain_block).collect();
    let mut children = Vec::from([
        Node::leaf("digest", digest(envelope.digest())),
        Node::tree("authentication blocks", blocks),
        explain_manifest(&manifest),
    ]);
    for (key, payload) in envelope.integrated_payloads() {
        children.push(Node::leaf(format!("integrated payload {key:?}"), format!("{} bytes", payload.len())));
    }
    Ok(Node::tree("SUIT envelope", children))
}

fn explain_block(block: &[u8]) -> Node {
    let limits = tamarack_cbor::Limits::default();
    let tag = tamarack_cbor::Decoder::new(block, &limits).and_then(|mut d| d.tag());
    let (name, alg) = match tag {
        Ok(tamarack_cose::TAG_SIGN1) => (
            "COSE_Sign1",
            tamarack_cose::Sign1::parse(block, &limits).ok().and_then(|b| b.protected.header().alg),
        ),
        Ok(tamarack_cose::TAG_MAC0) => (
            "COSE_Mac0",
            tamarack_cose::Mac0::parse(block, &limits).ok().and_then(|b| b.protected.header().alg),
        ),
        Ok(tamarack_cose::TAG_SIGN) => ("COSE_Sign", None),
        _ => ("COSE_Mac", None),
    };
    Node::leaf(name, alg.map(|alg| format!("algorithm {alg}")).unwrap_or_default())
}

fn explain_manifest(manifest: &Manifest) -> Node {
    let mut children = Vec::from([Node::leaf("sequence number (2)", manifest.sequence_number.to_string())]);
    if let Some(uri) = &manifest.reference_uri {
        children.push(Node::leaf("reference-uri (4)", uri.clone()));
    }
    if let Some(id) = &manifest.manifest_component_id {
        children.push(Node::leaf("manifest-component-id (5)", id.to_string()));
    }
    let components = manifest.components.iter().enumerate();
    children.push(Node::tree(
        "components",
        components.map(|(index, id)| Node::leaf(index.to_string(), id.to_string())).collect(),
    ));
    if let Some(shared) = &manifest.shared {
        children.push(Node::tree(Section::Shared.name(), explain_sequence(shared)));
    }
    for (section, member) in manifest.sections() {
        let label = format!("{} ({})", section.name(), section.key());
        children.push(match member {
            Member::Present(sequence) => Node::tree(label, explain_sequence(sequence)),
            Member::Severed(severed) => Node::leaf(label, format!("severed, {}", digest(severed))),
        });
    }
    if let Some(text) = manifest.text() {
        children.push(Node::leaf("text (23)", format!("{} bytes", text.len())));
    }
    for what in manifest.unsupported() {
        children.push(Node::leaf("not supported", what.to_string()));
    }
    Node::tree("manifest", children)
}

fn explain_sequence(sequence: &[Instruction]) -> Vec<Node> {
    sequence.iter().map(explain_instruction).collect()
}

fn explain_instruction(instruction: &Instruction) -> Node {
    let label = format!("{} ({})", instruction.command.name, instruction.command.code);
    match &instruction.argument {
        Argument::Policy(policy) => Node::leaf(label, format!("reporting policy {policy}")),
        Argument::Index(Selection::One(index)) => Node::leaf(label, index.to_string()),
        Argument::Index(Selection::Several(indices)) => Node::leaf(label, format!("{indices:?}")),
        Argument::Index(Selection::All) => Node::leaf(label, "every component"),
        Argument::Parameters(settings) => Node::tree(
            label,
            settings
                .iter()
                .map(|(parameter, v)| {
                    let label = format!("{} ({})", parameter.name, parameter.label);
                    match v {
                        Value::Bytes(info) if parameter.label == ENCRYPTION_INFO => encryption(label, info),
                        v => Node::leaf(label, value(v)),
                    }
                })
                .collect(),
        ),
        Argument::Alternatives(alternatives) => {
            let sequences = alternatives.sequences.iter().enumerate();
            let mut children: Vec<Node> = sequences
                .map(|(i, sequence)| Node::tree(format!("alternative {}", i + 1), explain_sequence(sequence)))
                .collect();
            if alternatives.or_nothing {
                children.push(Node::leaf("or nothing", ""));
            }
            Node::tree(label, children)
        }
        Argument::Sequence(sequence) => Node::tree(label, explain_sequence(sequence)),
        Argument::NotCarriedOut => Node::leaf(label, "not carried out"),
    }
}

/// How a payload is encrypted, and to whom.
fn encryption(label: String, info: &[u8]) -> Node {
    let info = match EncryptionInfo::parse(info, &tamarack_cbor::Limits::default()) {
        Ok(info) => info,
        Err(e) => return Node::leaf(label, format!("{} bytes: {e}", info.len())),
    };
    let recipients = info.recipients().map(|(kid, algorithm)| {
        let method = match algorithm {
            Some(-29) => "ECDH-ES+A128KW (-29)",
            Some(-3) => "A128KW (-3)",
            _ => "a method that is not carried out",
        };
        let kid = kid.map_or(String::from("no kid"), |kid| format!("kid {}", Hex(kid)));
        Node::leaf(format!("recipient, {method}"), kid)
    });
    Node { label, value: "A128GCM (1)".into(), children: recipients.collect() }
}

fn digest(digest: &crate::SuitDigest) -> String {
    let name = match digest.algorithm() {
        crate::DigestAlgorithm::Sha256 => "SHA-256",
        crate::DigestAlgorithm::Shake128 => "SHAKE128",
        crate::DigestAlgorithm::Sha384 => "SHA-384",
        crate::DigestAlgorithm::Sha512 => "SHA-512",
        crate::DigestAlgorithm::Shake256 => "SHAKE256",
    };
    format!("{name} {}", Hex(digest.bytes()))
}

fn value(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) | Value::Pen(bytes) if bytes.len() > 64 => format!("{} bytes", bytes.len()),
        Value::Bytes(bytes) | Value::Pen(bytes) => Hex(bytes).to_string(),
        Value::Digest(d) => digest(d),
        Value::Uint(n) => n.to_string(),
        Value::Int(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Text(text) => text.to_string(),
    }
}
