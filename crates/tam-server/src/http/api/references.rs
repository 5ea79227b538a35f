//! `/references`: what devices should run, as their makers and the signers of TAs say it. The body of an addition is a signed
//! CoRIM; one is named by its SHA-256.

use std::sync::{Arc, PoisonError};

use serde_json::Value;
use tamarack_attest::References;
use tamarack_model::codes;
use tamarack_service::reference_view;
use tamarack_store::{Read, Reference, StoreOp};

use super::{Answer, Call, Done, Problem, view};

pub(super) fn list(call: &Call) -> Done {
    let limit = call.limit()?;
    let mut rows = call.app.store.references(call.tenant())?;
    if let Some(after) = call.query("after")? {
        let after = view::bytes(&after, "after")?;
        let at = rows.iter().position(|row| row.id == after);
        rows.drain(..=at.ok_or_else(|| Problem::invalid("after: names no reference values"))?);
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| hex::encode(last.id));
    let references = in_force(call)?;
    Ok(call.page(rows.iter().map(|row| show(row, &references, call.now)).collect(), next))
}

pub(super) fn get(call: &Call) -> Done {
    Ok(Answer::ok(show(&find(call)?, &*in_force(call)?, call.now)))
}

pub(super) fn add(call: &Call) -> Done {
    let tam = call.app.tam.read().unwrap_or_else(PoisonError::into_inner);
    let addition = tam
        .add_reference(&call.app.store, call.tenant(), &call.body, call.now)
        .map_err(|refusal| Problem::new(refusal.code, refusal.reason))?;
    drop(tam);
    let row = addition.row;
    if let Some(change) = addition.change {
        let detail = format!("{} by {}", row.name, row.provider);
        call.change(vec![change], "reference.add", &hex::encode(row.id), &detail)?;
    }
    Ok(Answer::created(show(&row, &*in_force(call)?, call.now)))
}

pub(super) fn deactivate(call: &Call) -> Done {
    let row = find(call)?;
    if row.deactivated.is_some() {
        return Err(Problem::new(codes::API_CONFLICT, "these reference values are out of force already"));
    }
    let change = StoreOp::DeactivateReference { tenant: row.tenant.clone(), id: row.id, at: call.now };
    let detail = format!("{} by {}", row.name, row.provider);
    call.change(vec![change], "reference.deactivate", &hex::encode(row.id), &detail)?;
    Ok(Answer::nothing())
}

fn find(call: &Call) -> Result<Reference, Problem> {
    let id: [u8; 32] = view::bytes(call.path("id"), "id")?;
    let rows = call.app.store.references(call.tenant())?;
    rows.into_iter()
        .find(|row| row.id == id)
        .ok_or_else(|| Problem::not_found("reference values of this digest"))
}

fn in_force(call: &Call) -> Result<Arc<References>, Problem> {
    let tam = call.app.tam.read().unwrap_or_else(PoisonError::into_inner);
    Ok(tam.references(&call.app.store, call.tenant())?.unwrap_or_default())
}

/// One of them. `state` says why it does not count, if it does not.
fn show(row: &Reference, references: &References, now: u64) -> Value {
    let Reference { id, provider, name, added, deactivated, .. } = row;
    let row = reference_view::Row { id, provider, name, added: *added, deactivated: *deactivated };
    reference_view::show(&row, references, now)
}
