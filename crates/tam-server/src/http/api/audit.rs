//! `/audit`: every change, in the order of the tenant's hash chain.

use tamarack_store::Read;

use super::{Call, Done, Problem, view};

pub(super) fn list(call: &Call) -> Done {
    let limit = call.limit()?;
    let after = match call.query("after")? {
        Some(after) => after.parse().map_err(|_| Problem::invalid("after: the number of a record"))?,
        None => 0,
    };
    let mut rows = call.app.store.audit(call.tenant(), after, limit + 1)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| last.number.to_string());
    Ok(call.page(rows.iter().map(view::audit).collect(), next))
}
