//! `/devices`: what has proved itself, what it says it holds, and what it proved to hold.

use tamarack_model::{ComponentId, DeviceId};
use tamarack_store::{Device, Personalization, Read, StoreOp};
use tamarack_tam::personal::{self, check_personalization};

use super::{Answer, Call, Done, Problem, components, view};

pub(super) fn list(call: &Call) -> Done {
    let limit = call.limit()?;
    let after = match call.query("after")? {
        Some(after) => Some(DeviceId(view::bytes(&after, "after")?)),
        None => None,
    };
    let mut rows = call.app.store.devices(call.tenant(), after.as_ref(), limit + 1)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| hex::encode(last.id.0));
    Ok(call.page(rows.iter().map(view::device).collect(), next))
}

fn find(call: &Call) -> Result<Device, Problem> {
    let id = DeviceId(view::bytes(call.path("id"), "id")?);
    let found = call.app.store.device(call.tenant(), &id)?;
    found.ok_or_else(|| Problem::not_found("device with this id"))
}

pub(super) fn get(call: &Call) -> Done {
    let device = find(call)?;
    let recorded = call.app.store.recorded(call.tenant(), &device.id)?;
    let mut shown = view::device(&device);
    shown["release"] = recorded.as_ref().map(view::release).into();
    Ok(Answer::ok(shown))
}

/// What the device last proved itself by, as it came.
pub(super) fn evidence(call: &Call) -> Done {
    let device = find(call)?;
    let recorded = call.app.store.recorded(call.tenant(), &device.id)?;
    let recorded = recorded.ok_or_else(|| Problem::not_found("recorded Evidence of this device"))?;
    Ok(Answer::ok(view::evidence(&device, &recorded)))
}

/// Ends a quarantine (security rule R9): the next Evidence sets the device's state epoch anew.
pub(super) fn release(call: &Call) -> Done {
    let device = find(call)?;
    let Some(reason) = &device.quarantine else {
        return Err(Problem::new(tamarack_model::codes::API_CONFLICT, "the device is not in quarantine"));
    };
    let change = vec![StoreOp::ReleaseDevice { tenant: call.tenant().clone(), device: device.id }];
    call.change(change, "device.release", &hex::encode(device.id.0), &format!("was: {reason}"))?;
    Ok(Answer::ok(view::device(&find(call)?)))
}

/// What the device is given for single manifests; the data itself is not shown again.
pub(super) fn personalizations(call: &Call) -> Done {
    let device = find(call)?;
    let rows = call.app.store.personalizations(call.tenant(), &device.id)?;
    Ok(call.page(rows.iter().map(view::personalization).collect(), None))
}

/// The key that payloads for the device are encrypted to, and the Evidence that shows it, so that a provider need not take
/// the TAM's word: all that a provider is told of a device.
pub(super) fn decryption_key(call: &Call) -> Done {
    let device = find(call)?;
    let key = personal::decryption_key(&device)
        .ok_or_else(|| Problem::not_found("key to encrypt to: the device has shown none"))?;
    let recorded = call.app.store.recorded(call.tenant(), &device.id)?;
    Ok(Answer::ok(view::decryption_key(&device, &key, recorded.as_ref(), &call.app.crypto)?))
}

/// The body is an envelope that a provider signed, with data encrypted to this device. TEEP delivers it; nobody on the way
/// can read it. An operator says for which provider (`?provider=`); a provider's token names it.
pub(super) fn personalize_sealed(call: &Call) -> Done {
    let provider = components::publisher(call)?;
    let device = find(call)?;
    let given = check_personalization(&call.body, &provider, &device, &call.app.store, &call.app.crypto)?;
    let row = Personalization {
        tenant: call.tenant().clone(),
        device: device.id,
        manifest: given.manifest,
        data: call.body.to_vec(),
        set: call.now,
        delivered: None,
    };
    let detail = format!("{} sequence {} by {}", row.manifest, given.sequence, provider.id);
    let change = vec![StoreOp::SetPersonalization(row.clone())];
    call.change(change, "device.seal", &hex::encode(device.id.0), &detail)?;
    Ok(Answer::created(view::sealed(&row, given.sequence, &given.digest)))
}

/// Most bytes of personalization data.
const PERSONALIZATION: usize = 64 << 10;

/// The body is what the TA will read. Only OTrP delivers it.
pub(super) fn personalize(call: &Call) -> Done {
    let device = find(call)?;
    let text = call.path("manifest");
    let manifest = ComponentId::parse_text(text)
        .map_err(|e| Problem::invalid(format_args!("manifest: {text:?}: {e}")))?;
    if call.body.is_empty() || call.body.len() > PERSONALIZATION {
        return Err(Problem::invalid(format_args!("the body: give 1 to {PERSONALIZATION} bytes")));
    }
    let row = Personalization {
        tenant: call.tenant().clone(),
        device: device.id,
        manifest,
        data: call.body.to_vec(),
        set: call.now,
        delivered: None,
    };
    let detail = format!("{}, {} bytes", row.manifest, row.data.len());
    let change = vec![StoreOp::SetPersonalization(row.clone())];
    call.change(change, "device.personalize", &hex::encode(device.id.0), &detail)?;
    Ok(Answer::ok(view::personalization(&row)))
}
