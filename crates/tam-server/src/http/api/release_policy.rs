//! `/release-policy`: which TAs the tenant's devices are given, its history, and what a policy would do.

use std::sync::PoisonError;

use serde::Deserialize;
use serde_json::{Value, json};
use tamarack_model::{DeviceId, codes};
use tamarack_store::{Device, Read, ReleasePolicy, StoreOp};
use tamarack_tam::{Preview, Previewed};

use super::{Answer, Call, Done, Problem, view};

/// What sets or tries a policy.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// The policy; null for none.
    policy: Option<String>,
}

/// What a policy is tried on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trial {
    /// The policy; without it the one in force.
    policy: Option<String>,
    /// One device; without it all of them, page by page.
    device: Option<String>,
}

/// Devices that are looked at in one request.
const PAGE: usize = 100;

fn current(call: &Call) -> Result<Option<ReleasePolicy>, Problem> {
    Ok(call.app.store.release_policy(call.tenant())?)
}

fn version(row: Option<&ReleasePolicy>) -> u64 {
    row.map_or(0, |row| row.version)
}

fn show(row: Option<&ReleasePolicy>) -> Value {
    json!({
        "version": version(row),
        "policy": row.and_then(|row| row.text.as_deref()),
        "set": row.map(|row| row.set),
        "by": row.map(|row| row.by.as_str()),
    })
}

fn tag(version: u64) -> String {
    format!("\"{version}\"")
}

pub(super) fn get(call: &Call) -> Done {
    let row = current(call)?;
    Ok(Answer::ok(show(row.as_ref())).with_etag(tag(version(row.as_ref()))))
}

/// A new version. With If-Match it takes the place of the version with that ETag, or of none; version 0 is that there never
/// was one.
pub(super) fn set(call: &Call) -> Done {
    let Body { policy } = call.json()?;
    let before = version(current(call)?.as_ref());
    if let Some(wanted) = call.if_match()
        && wanted != "*"
        && !wanted.split(',').any(|one| one.trim() == tag(before))
    {
        let detail = format!("If-Match: version {before} is in force; look at it first");
        return Err(Problem::new(codes::API_CONFLICT, detail).with_status(412));
    }
    if let Some(policy) = &policy {
        check(call, policy)?;
    }
    let row = ReleasePolicy {
        tenant: call.tenant().clone(),
        version: before + 1,
        text: policy,
        set: call.now,
        by: call.token.label.clone(),
    };
    let detail = match &row.text {
        Some(text) => format!("sha256 {}", hex::encode(call.app.crypto.sha256(text.as_bytes()))),
        None => "none".into(),
    };
    let subject = format!("version {}", row.version);
    call.change(vec![StoreOp::SetReleasePolicy(row.clone())], "release-policy.set", &subject, &detail)?;
    Ok(Answer::ok(show(Some(&row))).with_etag(tag(row.version)))
}

fn check(call: &Call, policy: &str) -> Result<(), Problem> {
    let tam = call.app.tam.read().unwrap_or_else(PoisonError::into_inner);
    tam.check_release_policy(policy).map_err(|refusal| Problem::new(refusal.code, refusal.reason))
}

/// All versions, the newest first.
pub(super) fn history(call: &Call) -> Done {
    let limit = call.limit()?;
    let mut rows = call.app.store.release_policies(call.tenant())?;
    if let Some(after) = call.query("after")? {
        let after: u64 = after.parse().map_err(|_| Problem::invalid("after: a version"))?;
        rows.retain(|row| row.version < after);
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| last.version.to_string());
    Ok(call.page(rows.iter().map(|row| show(Some(row))).collect(), next))
}

/// What a policy would do, by what is recorded. Nothing is changed.
pub(super) fn test(call: &Call) -> Done {
    let Trial { policy, device } = call.json()?;
    let in_force = current(call)?.and_then(|row| row.text);
    if let Some(policy) = &policy {
        check(call, policy)?;
    }
    let tried = policy.as_deref().or(in_force.as_deref());
    match device {
        Some(id) => {
            let id = DeviceId(view::bytes(&id, "device")?);
            let device = call.app.store.device(call.tenant(), &id)?;
            let device = device.ok_or_else(|| Problem::not_found("device with this id"))?;
            Ok(Answer::ok(one(&device, &preview(call, &device, tried)?)))
        }
        None => fleet(call, tried, in_force.as_deref()),
    }
}

/// No policy gives a device all that is planned for it.
const NONE: &str = "true";

fn preview(call: &Call, device: &Device, policy: Option<&str>) -> Result<Preview, Problem> {
    let tam = call.app.tam.read().unwrap_or_else(PoisonError::into_inner);
    Ok(tam.preview(&call.app.store, device, policy.unwrap_or(NONE), call.now)?)
}

fn one(device: &Device, preview: &Preview) -> Value {
    json!({
        "device": hex::encode(device.id.0),
        "first_seen": device.first_seen,
        "appraised": preview.appraised,
        "releases": preview.rows.iter().map(row).collect::<Vec<_>>(),
        "cut": preview.cut,
    })
}

fn row(row: &Previewed) -> Value {
    let Previewed { release, wanted, decision } = row;
    json!({
        "manifest": release.manifest.to_string(),
        "components": release.components.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "provider": release.provider,
        "sequence": release.sequence,
        "installed": release.installed,
        "wanted": wanted,
        "allow": decision.allow,
        "code": decision.code.map(|code| code.to_string()),
        "reason": decision.reason,
    })
}

/// A page of devices: how many releases each gets and does not get, and which of them differ from what is in force.
fn fleet(call: &Call, tried: Option<&str>, in_force: Option<&str>) -> Done {
    let after = match call.query("after")? {
        Some(after) => Some(DeviceId(view::bytes(&after, "after")?)),
        None => None,
    };
    let limit = call.limit()?.min(PAGE);
    let mut devices = call.app.store.devices(call.tenant(), after.as_ref(), limit + 1)?;
    let more = devices.len() > limit;
    devices.truncate(limit);
    let next = devices.last().filter(|_| more).map(|last| hex::encode(last.id.0));
    let mut items = Vec::with_capacity(devices.len());
    for device in &devices {
        let would = preview(call, device, tried)?;
        let does = preview(call, device, in_force)?;
        let changes: Vec<Value> = would
            .rows
            .iter()
            .zip(&does.rows)
            .filter(|(would, does)| would.decision.allow != does.decision.allow)
            .map(|(would, _)| row(would))
            .collect();
        let allowed = would.rows.iter().filter(|row| row.decision.allow).count();
        items.push(json!({
            "device": hex::encode(device.id.0),
            "appraised": would.appraised,
            "allowed": allowed,
            "denied": would.rows.len() - allowed,
            "changes": changes,
        }));
    }
    Ok(call.page(items, next))
}
