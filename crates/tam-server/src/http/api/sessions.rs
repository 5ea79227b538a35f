//! `/sessions`: each exchange with a device, its outcome and reason; the latest first, of one device with `?device=`.

use tamarack_model::DeviceId;
use tamarack_store::Read;

use super::{Answer, Call, Done, Problem, view};

pub(super) fn list(call: &Call) -> Done {
    let device = match call.query("device")? {
        Some(device) => Some(DeviceId(view::bytes(&device, "device")?)),
        None => None,
    };
    let rows = call.app.store.sessions(call.tenant(), device.as_ref(), call.limit()?)?;
    Ok(call.page(rows.iter().map(view::session).collect(), None))
}

pub(super) fn get(call: &Call) -> Done {
    let id = view::bytes(call.path("id"), "id")?;
    let found = call.app.store.session(call.tenant(), &id)?;
    let session = found.ok_or_else(|| Problem::not_found("session with this id"))?;
    Ok(Answer::ok(view::session(&session)))
}
