//! `/devices`: what has proved itself, what it says it holds, and what it proved to hold.

use tamarack_model::DeviceId;
use tamarack_store::{Device, Read, StoreOp};

use super::{Answer, Call, Done, Problem, view};

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
    Ok(Answer::ok(view::device(&find(call)?)))
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
