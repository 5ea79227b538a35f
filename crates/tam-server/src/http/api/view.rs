//! Rows as JSON. Digests are hexadecimal, times seconds since 1970, component ids in their text form.

use serde_json::{Value, json};
use tamarack_model::{Hex, TcEntry};
use tamarack_store::{ApiToken, AuditRecord, CatalogueEntry, Device, Held, Policy, Provider, Session};

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
        "teep_key": Hex(&row.teep_key_id).to_string(),
        "ueid": hex::encode(&row.ueid),
        "grade": row.grade,
        "claims": claims,
        "state": row.state.map(|mark| json!({ "epoch": mark.epoch, "root": Hex(&mark.root).to_string() })),
        "quarantine": row.quarantine,
        "first_seen": row.first_seen,
        "last_seen": row.last_seen,
        "reported": row.reported.as_ref().map(held),
        "attested": row.attested.as_ref().map(held),
    })
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
