//! Rows as JSON. Digests are hexadecimal, times seconds since 1970, component ids in their text form.

use base64::Engine;
use serde_json::{Value, json};
use tamarack_crypto::{Provider as Crypto, PublicKey};
use tamarack_model::{HeldBack, Hex, Sha256Digest, TcEntry};
use tamarack_store::{
    ApiToken, AuditRecord, CatalogueEntry, Device, Domain, Held, OtrpDevice, Personalization, Policy,
    Provider, Recorded, Session,
};

use super::Problem;

pub(super) fn provider(row: &Provider) -> Value {
    let signers: Vec<Value> = row
        .signers
        .iter()
        .map(|key| tamarack_pki::public_key_to_pem(key).map_or(Value::Null, Value::String))
        .collect();
    json!({
        "id": row.id,
        "name": row.name,
        "prefixes": row.prefixes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "signers": signers,
        "enabled": row.enabled,
    })
}

pub(super) fn component(row: &CatalogueEntry) -> Value {
    json!({
        "digest": Hex(&row.digest.0).to_string(),
        "manifest": row.manifest.to_string(),
        "sequence": row.sequence,
        "provider": row.provider,
        "components": entries(&row.components),
        "artifact": Hex(&row.artifact.0).to_string(),
        "size": row.size,
        "published": row.published,
        "withdrawn": row.withdrawn,
    })
}

fn entries(rows: &[TcEntry]) -> Value {
    let row = |row: &TcEntry| {
        json!({
            "id": row.id.to_string(),
            "digest": row.digest.map(|digest| Hex(&digest.0).to_string()),
            "size": row.size,
        })
    };
    rows.iter().map(row).collect()
}

pub(super) fn policy(row: &Policy) -> Value {
    json!({ "component": row.component.to_string(), "since": row.since })
}

pub(super) fn device(row: &Device) -> Value {
    let held = |held: &Held| json!({ "components": entries(&held.entries), "at": held.at, "proof": held.proof.as_str() });
    let claims: serde_json::Map<String, Value> =
        row.claims.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    json!({
        "id": Hex(&row.id.0).to_string(),
        "protocols": protocols(row),
        "teep_key": row.teep.map(|teep| Hex(&teep.id).to_string()),
        "otrp": row.otrp.as_ref().map(otrp),
        "ueid": hex::encode(&row.ueid),
        "grade": row.grade,
        "claims": claims,
        "state": row.state.map(|mark| json!({ "epoch": mark.epoch, "root": Hex(&mark.root).to_string() })),
        "quarantine": row.quarantine,
        "first_seen": row.first_seen,
        "last_seen": row.last_seen,
        "reported": row.reported.as_ref().map(held),
        "attested": row.attested.as_ref().map(held),
        "by_owner": row.held_back.iter().map(by_owner).collect::<Vec<_>>(),
    })
}

/// What was decided about a device when it was appraised last.
pub(super) fn release(row: &Recorded) -> Value {
    let withheld: Vec<Value> = row
        .withheld
        .iter()
        .map(|row| {
            json!({
                "manifest": row.manifest.to_string(),
                "sequence": row.sequence,
                "code": row.code.to_string(),
                "reason": row.reason,
            })
        })
        .collect();
    json!({ "appraised": row.at, "policy": row.policy, "withheld": withheld })
}

/// Evidence as it came, in base64, for whoever appraises it elsewhere.
pub(super) fn evidence(device: &Device, row: &Recorded) -> Value {
    json!({
        "device": Hex(&row.device.0).to_string(),
        "protocol": if row.otrp { "otrp" } else { "teep" },
        "first_seen": device.first_seen,
        "at": row.at,
        "format": row.format,
        "evidence": base64::engine::general_purpose::STANDARD.encode(&row.evidence),
        "found": base64::engine::general_purpose::STANDARD.encode(&row.shown),
    })
}

/// What the device's owner says of something of this tenant's.
fn by_owner(row: &HeldBack) -> Value {
    json!({ "component": row.id.to_string(), "state": row.why.as_str(), "sequence": row.sequence })
}

/// The protocols that it has proved itself by.
fn protocols(row: &Device) -> Vec<&'static str> {
    let teep = row.teep.map(|_| "teep");
    teep.into_iter().chain(row.otrp.as_ref().map(|_| "otrp")).collect()
}

fn otrp(row: &OtrpDevice) -> Value {
    let hexes = |digests: &[[u8; 32]]| digests.iter().map(hex::encode).collect::<Vec<_>>();
    let domains: Vec<Value> = row
        .domains
        .iter()
        .map(|d| json!({ "name": d.name, "provider": d.provider, "signers": hexes(&d.signers) }))
        .collect();
    let aiks: Vec<Value> = row
        .aiks
        .iter()
        .map(|aik| json!({ "provider": aik.provider, "purpose": aik.purpose, "key": hex::encode(&aik.key) }))
        .collect();
    json!({
        "did": hex::encode(row.did),
        "tee": row.name,
        "version": row.version,
        "extended": row.extended,
        "wants_status": row.wants_status,
        "provider_keys": aiks,
        "domains": domains,
    })
}

pub(super) fn domain(row: &Domain) -> Value {
    let signers: Vec<Value> = row
        .signers
        .iter()
        .map(|signer| {
            let pem = tamarack_pki::certificate_to_pem(&signer.certificate).ok();
            json!({ "provider": signer.provider, "certificate": pem })
        })
        .collect();
    json!({
        "name": row.name,
        "provider": row.provider,
        "signers": signers,
        "quota": row.quota,
        "created": row.created,
        "deleted": row.deleted,
    })
}

pub(super) fn personalization(row: &Personalization) -> Value {
    json!({
        "manifest": row.manifest.to_string(),
        "size": row.data.len(),
        "set": row.set,
        "delivered": row.delivered,
    })
}

/// What a provider gave one device, with the manifest's number and digest.
pub(super) fn sealed(row: &Personalization, sequence: u64, digest: &Sha256Digest) -> Value {
    let mut value = personalization(row);
    value["sequence"] = sequence.into();
    value["digest"] = Hex(&digest.0).to_string().into();
    value
}

/// The key that a device decrypts with, as PEM and by its RFC 9679 thumbprint.
pub(super) fn decryption_key(
    row: &Device,
    key: &PublicKey,
    recorded: Option<&Recorded>,
    crypto: &Crypto,
) -> Result<Value, Problem> {
    let evidence = recorded.filter(|recorded| !recorded.evidence.is_empty()).map(|recorded| {
        json!({
            "format": recorded.format,
            "payload": hex::encode(&recorded.evidence),
            "at": recorded.at,
        })
    });
    let pem = tamarack_pki::public_key_to_pem(key)
        .map_err(|e| Problem::new(tamarack_model::codes::INTERNAL, e.to_string()))?;
    Ok(json!({
        "device": Hex(&row.id.0).to_string(),
        "key": pem,
        "kid": tamarack_cose::thumbprint(key, crypto).to_string(),
        "grade": row.grade,
        "last_seen": row.last_seen,
        "evidence": evidence,
    }))
}

pub(super) fn session(row: &Session) -> Value {
    json!({
        "id": Hex(&row.id).to_string(),
        "device": Hex(&row.device.0).to_string(),
        "started": row.started,
        "ended": row.ended,
        "outcome": row.outcome.map(|outcome| outcome.as_str()),
        "code": row.code.map(|code| code.to_string()),
        "reason": row.reason,
    })
}

pub(super) fn audit(row: &AuditRecord) -> Value {
    json!({
        "number": row.number,
        "at": row.entry.at,
        "actor": row.entry.actor,
        "action": row.entry.action,
        "subject": row.entry.subject,
        "detail": row.entry.detail,
        "digest": Hex(&row.digest).to_string(),
    })
}

pub(super) fn token(row: &ApiToken) -> Value {
    json!({
        "hash": Hex(&row.hash).to_string(),
        "role": row.role.as_str(),
        "provider": row.provider,
        "label": row.label,
        "created": row.created,
        "revoked": row.revoked,
    })
}

/// Reads `N` bytes from hexadecimal digits of a path or query.
pub(super) fn bytes<const N: usize>(text: &str, what: &str) -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| Problem::invalid(format_args!("{what}: {} hexadecimal digits", 2 * N)))?;
    Ok(bytes)
}
