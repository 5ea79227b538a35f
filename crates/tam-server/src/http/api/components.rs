//! `/components`: the catalogue. A component is named by its manifest's digest.

use tamarack_model::{Sha256Digest, codes};
use tamarack_store::{CatalogueEntry, Provider, Read, Role, Store, StoreOp};
use tamarack_tam::catalog::check_publication;

use crate::domains::ensure;

use super::{Answer, Call, Done, Problem, providers, view};

pub(super) fn list(call: &Call) -> Done {
    let limit = call.limit()?;
    let rows = call.app.store.catalogue(call.tenant())?;
    let mut rows: Vec<_> = rows.iter().filter(|row| providers::visible(call, &row.provider)).collect();
    if let Some(after) = call.query("after")? {
        let after = Sha256Digest(view::bytes(&after, "after")?);
        let at = rows.iter().position(|row| row.digest == after);
        let at = at.ok_or_else(|| Problem::invalid("after: names no component"))?;
        rows.drain(..=at);
    }
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|last| hex::encode(last.digest.0));
    Ok(call.page(rows.into_iter().map(view::component).collect(), next))
}

fn find(call: &Call) -> Result<CatalogueEntry, Problem> {
    let digest = view::bytes(call.path("digest"), "digest")?;
    let found = call.app.store.entry_by_digest(call.tenant(), &digest)?;
    found
        .filter(|row| providers::visible(call, &row.provider))
        .ok_or_else(|| Problem::not_found("component with this manifest digest"))
}

pub(super) fn get(call: &Call) -> Done {
    Ok(Answer::ok(view::component(&find(call)?)))
}

/// The provider that publishes: an operator says which (`?provider=`); a provider's token names it.
pub(super) fn publisher(call: &Call) -> Result<Provider, Problem> {
    let named = call.query("provider")?;
    let id = match (call.token.role, &call.token.provider, named) {
        (Role::Provider, Some(own), Some(named)) if *own != named => {
            let detail = format!("this token publishes for {own} only");
            return Err(Problem::new(codes::API_FORBIDDEN, detail));
        }
        (Role::Provider, Some(own), _) => own.clone(),
        (_, _, Some(named)) => named,
        (_, _, None) => {
            return Err(Problem::invalid("provider: say in the query which provider publishes this"));
        }
    };
    let provider = providers::find(call, &id)?;
    if !provider.enabled {
        return Err(Problem::new(codes::API_FORBIDDEN, format_args!("provider {id} is disabled")));
    }
    Ok(provider)
}

/// The body is the envelope.
pub(super) fn publish(call: &Call) -> Done {
    let provider = publisher(call)?;
    let publication = check_publication(&call.body, &provider, &call.app.store, &call.app.crypto)?;
    let artifact = Sha256Digest(call.app.store.put_artifact(&call.body)?);
    let entry = CatalogueEntry {
        tenant: call.tenant().clone(),
        provider: provider.id.clone(),
        manifest: publication.manifest,
        sequence: publication.sequence,
        digest: publication.digest,
        components: publication.components,
        artifact,
        size: call.body.len() as u64,
        published: call.now,
        withdrawn: None,
    };
    let detail = format!("{} sequence {} by {}", entry.manifest, entry.sequence, entry.provider);
    let subject = hex::encode(entry.digest.0);
    let mut change = ensure(&call.app, &provider, &entry.manifest, &call.token.label, call.now)?;
    change.push(StoreOp::Publish(entry.clone()));
    call.change(change, "component.publish", &subject, &detail)?;
    Ok(Answer::created(view::component(&entry)))
}

pub(super) fn withdraw(call: &Call) -> Done {
    let entry = find(call)?;
    let CatalogueEntry { tenant, manifest, sequence, .. } = entry.clone();
    let detail = format!("{manifest} sequence {sequence}");
    let subject = hex::encode(entry.digest.0);
    let change = vec![StoreOp::Withdraw { tenant, manifest, sequence, at: call.now }];
    call.change(change, "component.withdraw", &subject, &detail)?;
    Ok(Answer::nothing())
}
