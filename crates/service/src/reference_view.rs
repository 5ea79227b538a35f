//! Reference values as REST interfaces show them.

use serde_json::{Value, json};
use tamarack_attest::{ReferenceEntry, References};
use tamarack_model::Hex;

/// What is kept of reference values besides what they say.
pub struct Row<'r> {
    /// SHA-256 of the signed CoRIM.
    pub id: &'r [u8; 32],
    /// Who gave them.
    pub provider: &'r str,
    /// What the CoRIM is called.
    pub name: &'r str,
    /// When they were added.
    pub added: u64,
    /// When they were taken out of force.
    pub deactivated: Option<u64>,
}

/// One of them. `state` says why it does not count, if it does not.
pub fn show(row: &Row<'_>, references: &References, now: u64) -> Value {
    let entry = references.entries().iter().find(|entry| entry.id == *row.id);
    let tags = entry.map(|entry| entry.comids().map(tag).collect::<Vec<_>>());
    let validity = entry.map(ReferenceEntry::validity);
    let superseded = |entry: &ReferenceEntry| {
        let below = |tag: &tamarack_corim::Comid| {
            references.floors().any(|(provider, id, version)| {
                provider == entry.provider && id == tag.tag_id && tag.tag_version < version
            })
        };
        entry.comids().all(below)
    };
    let state = match (entry, validity) {
        _ if row.deactivated.is_some() => "deactivated",
        (Some(entry), _) if superseded(entry) => "superseded",
        (Some(_), Some((begin, _))) if now < begin => "not yet valid",
        (Some(_), Some((_, end))) if now > end => "expired",
        (Some(_), _) => "in force",
        (None, _) => "not vouched for",
    };
    json!({
        "id": Hex(row.id).to_string(),
        "name": row.name,
        "provider": row.provider,
        "state": state,
        "tags": tags,
        "not_before": validity.map(|(begin, _)| begin).filter(|begin| *begin != 0),
        "not_after": validity.map(|(_, end)| end).filter(|end| *end != u64::MAX),
        "added": row.added,
        "deactivated": row.deactivated,
    })
}

fn tag(tag: &tamarack_corim::Comid) -> Value {
    let releases = tag.reference_values.iter().flat_map(|triple| &triple.measurements);
    let components: Vec<Value> = releases
        .map(|measurement| {
            let element = match &measurement.element {
                Some(tamarack_corim::MeasuredElement::Text(text)) => Value::from(text.as_str()),
                Some(other) => format!("{other:?}").into(),
                None => Value::Null,
            };
            let (svn, least) = match measurement.values.svn {
                Some(tamarack_corim::Svn::Exact(svn)) => (Some(svn), None),
                Some(tamarack_corim::Svn::AtLeast(least)) => (None, Some(least)),
                None => (None, None),
            };
            let digests: Vec<String> =
                measurement.values.digests.iter().map(|digest| hex::encode(&digest.value)).collect();
            json!({ "component": element, "digests": digests, "svn": svn, "min_svn": least })
        })
        .collect();
    json!({ "id": tag.tag_id.to_string(), "version": tag.tag_version, "components": components })
}
