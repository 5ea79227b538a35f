//! `/policies`: what every device of the tenant should hold.

use tamarack_model::ComponentId;
use tamarack_store::{Policy, Read, StoreOp};

use super::{Answer, Call, Done, Problem, view};

fn component(call: &Call) -> Result<ComponentId, Problem> {
    let text = call.path("component");
    ComponentId::parse_text(text).map_err(|e| Problem::invalid(format_args!("component: {text:?}: {e}")))
}

pub(super) fn list(call: &Call) -> Done {
    let (after, limit) = (call.query("after")?, call.limit()?);
    let mut rows = call.app.store.policies(call.tenant())?;
    if let Some(after) = after {
        let at = rows.iter().position(|row| row.component.to_string() == after);
        rows.drain(..=at.ok_or_else(|| Problem::invalid("after: names no policy"))?);
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| last.component.to_string());
    Ok(call.page(rows.iter().map(view::policy).collect(), next))
}

pub(super) fn set(call: &Call) -> Done {
    let policy = Policy { tenant: call.tenant().clone(), component: component(call)?, since: call.now };
    let subject = policy.component.to_string();
    call.change(vec![StoreOp::SetPolicy(policy.clone())], "policy.set", &subject, "")?;
    Ok(Answer::ok(view::policy(&policy)))
}

pub(super) fn clear(call: &Call) -> Done {
    let component = component(call)?;
    let subject = component.to_string();
    let change = vec![StoreOp::ClearPolicy { tenant: call.tenant().clone(), component }];
    call.change(change, "policy.clear", &subject, "")?;
    Ok(Answer::nothing())
}
