//! Certificates, keys and OCSP responses in a line or two each.

use der::Decode;
use tamarack_x509::ocsp::{Response, Status};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::Node;
use super::walk::{bytes_text, with_note};

const RSA: &str = "1.2.840.113549.1.1.1";
const EC: &str = "1.2.840.10045.2.1";
const ED25519: &str = "1.3.101.112";
/// Signature algorithms that are refused everywhere.
const WEAK: [(&str, &str); 2] = [("1.2.840.113549.1.1.5", "SHA-1"), ("1.2.840.113549.1.1.4", "MD5")];

/// A certificate: who, by whom, which key, until when.
pub fn certificate(label: &str, bytes: &[u8]) -> Node {
    let Ok(certificate) = Certificate::from_der(bytes) else {
        return with_note(Node::leaf(label, bytes_text(bytes)), "not a certificate in DER");
    };
    let body = certificate.tbs_certificate();
    let (key, weak_key) = spki(body.subject_public_key_info());
    let mut node = Node::leaf(label, format!("certificate, {} bytes, {key}", bytes.len()));
    node.notes.extend(weak_key);
    let algorithm = certificate.signature_algorithm().oid.to_string();
    if let Some((_, name)) = WEAK.iter().find(|(oid, _)| *oid == algorithm) {
        node.notes.push(format!("signed over {name}: refused"));
    }
    let mut fact = |name: &str, value: String| node.children.push(Node::leaf(name, value));
    fact("subject", body.subject().to_string());
    fact("issuer", body.issuer().to_string());
    fact("serial", hex::encode(body.serial_number().as_bytes()));
    fact("valid", format!("{} to {}", body.validity().not_before, body.validity().not_after));
    if let Ok(Some((_, names))) = body.get_extension::<SubjectAltName>() {
        for name in &names.0 {
            fact("name", general_name(name));
        }
    }
    fact("SHA-256", hex::encode(tamarack_crypto_aws_lc::provider().sha256(bytes)));
    node
}

fn general_name(name: &GeneralName) -> String {
    match name {
        GeneralName::RegisteredId(oid) => format!("registeredID {oid}"),
        GeneralName::UniformResourceIdentifier(uri) => format!("URI {}", uri.as_str()),
        GeneralName::DnsName(dns) => format!("DNS {}", dns.as_str()),
        other => format!("{other:?}"),
    }
}

/// Type and size of a key, and what is wrong with it.
fn spki(key: &x509_cert::spki::SubjectPublicKeyInfoOwned) -> (String, Option<String>) {
    let bits = key.subject_public_key.raw_bytes().len();
    match key.algorithm.oid.to_string().as_str() {
        // The key is a sequence of modulus and exponent: a few bytes more than the modulus.
        RSA => {
            let bits = (bits * 8 / 256) * 256;
            let weak = (bits < 2048).then(|| format!("RSA of {bits} bits: refused"));
            (format!("RSA of {bits} bits"), weak)
        }
        EC => match bits {
            65 | 33 => ("P-256".into(), None),
            97 | 49 => ("P-384".into(), None),
            _ => (format!("an elliptic curve, {bits} bytes"), None),
        },
        ED25519 => ("Ed25519".into(), None),
        other => (format!("key of algorithm {other}"), None),
    }
}

/// A public key in SubjectPublicKeyInfo, or whatever else a sample has.
pub fn public_key(label: &str, bytes: &[u8]) -> Node {
    match x509_cert::spki::SubjectPublicKeyInfoOwned::from_der(bytes) {
        Ok(key) => {
            let (text, weak) = spki(&key);
            let mut node = Node::leaf(label, format!("public key, {text}, {} bytes", bytes.len()));
            node.notes.extend(weak);
            node
        }
        Err(_) => with_note(Node::leaf(label, bytes_text(bytes)), "not a SubjectPublicKeyInfo"),
    }
}

/// An OCSP response: of which certificates, how they stand, until when.
pub fn ocsp(label: &str, bytes: &[u8]) -> Node {
    let response = match Response::parse(bytes) {
        Ok(response) => response,
        Err(e) => {
            return with_note(Node::leaf(label, bytes_text(bytes)), format!("not an OCSP response: {e}"));
        }
    };
    let basic = match response {
        Response::Basic(basic) => basic,
        Response::Failed(why) => {
            let failed = Node::leaf(label, format!("OCSP response, {} bytes: {why:?}", bytes.len()));
            return with_note(failed, "says nothing of any certificate");
        }
    };
    let mut node = Node::leaf(label, format!("OCSP response, {} bytes", bytes.len()));
    node.children.push(Node::leaf("produced", time(basic.data.produced_at)));
    for entry in &basic.data.entries {
        let until = entry.next_update.map_or("no end said".into(), |at| format!("until {}", time(at)));
        let status = match entry.status {
            Status::Good => "good".to_owned(),
            Status::Revoked { at, .. } => format!("REVOKED since {}", time(at)),
            Status::Unknown => "unknown".to_owned(),
        };
        let text = format!("{status}, from {} {until}", time(entry.this_update));
        node.children.push(Node::leaf(format!("certificate {}", hex::encode(&entry.id.serial)), text));
    }
    for certificate in &basic.certificates {
        node.children.push(self::certificate("responder", certificate));
    }
    node
}

/// A time as people read it.
fn time(at: tamarack_model::UnixTime) -> String {
    let at = std::time::Duration::from_secs(at);
    der::DateTime::from_unix_duration(at).map_or_else(|_| at.as_secs().to_string(), |time| time.to_string())
}
