//! `/tokens`: who may call this interface. A token is shown once, when it is made.

use serde::Deserialize;
use serde_json::json;
use tamarack_store::{Read, Role, StoreOp};

use super::{Answer, Call, Done, Problem, view};
use crate::token::{self, NewToken};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    role: String,
    provider: Option<String>,
    label: String,
}

pub(super) fn list(call: &Call) -> Done {
    let (after, limit) = (call.query("after")?.unwrap_or_default(), call.limit()?);
    let rows = call.app.store.tokens(call.tenant())?;
    let mut rows = rows.iter().filter(|row| hex::encode(row.hash) > after);
    let page: Vec<_> = rows.by_ref().take(limit).collect();
    let next = rows.next().and(page.last()).map(|last| hex::encode(last.hash));
    Ok(call.page(page.into_iter().map(view::token).collect(), next))
}

pub(super) fn create(call: &Call) -> Done {
    let body: Body = call.json()?;
    let role = Role::parse(&body.role)
        .ok_or_else(|| Problem::invalid("role: give operator, provider or auditor"))?;
    let new = NewToken { tenant: call.tenant().clone(), role, provider: body.provider, label: body.label };
    token::check(&new, &call.app.store)?;
    let token = token::generate(&call.app.crypto)?;
    let ops = token::insertion(&new, &token, &call.token.label, call.now, &call.app.crypto);
    tamarack_store::Store::apply(&call.app.store, ops)?;
    let hash = hex::encode(call.app.crypto.sha256(token.as_bytes()));
    Ok(Answer::created(json!({ "token": token, "hash": hash, "role": role.as_str() })))
}

pub(super) fn revoke(call: &Call) -> Done {
    let hash = view::bytes(call.path("hash"), "hash")?;
    let change = vec![StoreOp::RevokeToken { tenant: call.tenant().clone(), hash, at: call.now }];
    call.change(change, "token.revoke", call.path("hash"), "")?;
    Ok(Answer::nothing())
}
