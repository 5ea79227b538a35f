//! `/domains`: the namespaces of providers on devices, and who else may publish into them.

use serde::Deserialize;
use tamarack_model::{ComponentId, codes};
use tamarack_store::{Domain, DomainSigner, Provider, Read, StoreOp};

use super::{Answer, Call, Done, Problem, providers, view};
use crate::domains::{certificates, follow};

/// What creates a domain.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Create {
    /// Segment 0 of the component ids in it.
    name: String,
    /// Whose it is.
    provider: String,
    /// PEM of certificates of the provider, which devices pin besides those that the TAM makes for its keys.
    #[serde(default)]
    certificates: Vec<String>,
    /// Most bytes that it may take on a device, for people.
    quota: Option<u64>,
}

/// Who may publish into a domain from now on.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allow {
    provider: String,
    /// As in [`Create`].
    #[serde(default)]
    certificates: Vec<String>,
}

/// Whether the caller may see a domain: one of role provider sees those that it may publish into.
fn visible(call: &Call, domain: &Domain) -> bool {
    providers::visible(call, &domain.provider)
        || domain.signers.iter().any(|signer| providers::visible(call, &signer.provider))
}

fn find(call: &Call) -> Result<Domain, Problem> {
    let name = call.path("name");
    let found = call.app.store.domain(call.tenant(), name)?.filter(|domain| visible(call, domain));
    found.ok_or_else(|| Problem::not_found(format_args!("domain {name:?}")))
}

/// One that is not deleted.
fn find_live(call: &Call) -> Result<Domain, Problem> {
    let domain = find(call)?;
    match domain.deleted {
        None => Ok(domain),
        Some(_) => Err(Problem::new(codes::API_CONFLICT, "the domain was deleted")),
    }
}

/// Certificates that people gave for a provider.
fn given(provider: &Provider, pems: &[String]) -> Result<Vec<DomainSigner>, Problem> {
    let mut signers = Vec::new();
    for pem in pems {
        let wrong = || Problem::invalid("certificates: PEM of a CERTIFICATE with a P-256 or Ed25519 key");
        for certificate in tamarack_pki::certificates_from_pem(pem).map_err(|_| wrong())? {
            // Only the form is checked: a provider may sign its own certificate, and devices pin it by its digest.
            tamarack_x509::unvalidated_key(&certificate).map_err(|_| wrong())?;
            signers.push(DomainSigner { provider: provider.id.clone(), certificate });
        }
    }
    Ok(signers)
}

pub(super) fn list(call: &Call) -> Done {
    let (after, limit) = (call.query("after")?.unwrap_or_default(), call.limit()?);
    let rows = call.app.store.domains(call.tenant())?;
    let mut rows = rows.iter().filter(|row| row.name > after && visible(call, row));
    let page: Vec<_> = rows.by_ref().take(limit).collect();
    let next = rows.next().and(page.last()).map(|last| last.name.clone());
    Ok(call.page(page.into_iter().map(view::domain).collect(), next))
}

pub(super) fn get(call: &Call) -> Done {
    Ok(Answer::ok(view::domain(&find(call)?)))
}

pub(super) fn create(call: &Call) -> Done {
    let body: Create = call.json()?;
    let provider = providers::find(call, &body.provider)?;
    let one_segment = ComponentId::parse_text(&body.name)
        .is_ok_and(|id| matches!(id.segments(), [name] if name.as_slice() == body.name.as_bytes()));
    if !one_segment {
        return Err(Problem::invalid(
            "name: 1 to 64 letters, digits, dots, colons, hyphens and underscores, and no UUID",
        ));
    }
    if !provider.prefixes.iter().any(|prefix| prefix.domain() == body.name.as_bytes()) {
        let detail = format!("no prefix of {} begins with {}", provider.id, body.name);
        return Err(Problem::new(codes::PUBLISH_PREFIX, detail));
    }
    let mut signers = certificates(&call.app, &provider, call.now)?;
    signers.extend(given(&provider, &body.certificates)?);
    let domain = Domain {
        tenant: call.tenant().clone(),
        name: body.name,
        provider: provider.id,
        signers,
        quota: body.quota,
        created: call.now,
        deleted: None,
    };
    let detail = format!("of {}", domain.provider);
    let change = vec![StoreOp::InsertDomain(domain.clone())];
    call.change(change, "domain.create", &domain.name, &detail)?;
    Ok(Answer::created(view::domain(&domain)))
}

/// Devices that have the domain are told to take the provider's manifests into it.
pub(super) fn allow(call: &Call) -> Done {
    let mut domain = find_live(call)?;
    let body: Allow = call.json()?;
    let provider = providers::find(call, &body.provider)?;
    let before = domain.signers.clone();
    follow(&call.app, &mut domain, &provider, &[], call.now)?;
    for signer in given(&provider, &body.certificates)? {
        if !domain.signers.contains(&signer) {
            domain.signers.push(signer);
        }
    }
    if !domain.signers.iter().any(|signer| signer.provider == provider.id) {
        return Err(Problem::invalid(
            "certificates: the provider has no key, or this TAM speaks no OTrP and makes no certificates; give one",
        ));
    }
    if domain.signers != before {
        let change = vec![StoreOp::UpdateDomain(domain.clone())];
        call.change(change, "domain.allow", &domain.name, &provider.id)?;
    }
    Ok(Answer::ok(view::domain(&domain)))
}

/// What the provider published into the domain is offered no more; devices keep what they have.
pub(super) fn disallow(call: &Call) -> Done {
    let mut domain = find_live(call)?;
    let provider = call.path("provider");
    if domain.provider == provider {
        return Err(Problem::new(codes::API_CONFLICT, "the domain is the provider's own; delete it instead"));
    }
    let before = domain.signers.len();
    domain.signers.retain(|signer| signer.provider != provider);
    if domain.signers.len() == before {
        return Err(Problem::not_found(format_args!("provider {provider:?} in this domain")));
    }
    let change = vec![StoreOp::UpdateDomain(domain.clone())];
    call.change(change, "domain.disallow", &domain.name, provider)?;
    Ok(Answer::ok(view::domain(&domain)))
}

/// Devices that have the domain are told to delete it with all that is in it.
pub(super) fn delete(call: &Call) -> Done {
    let Domain { tenant, name, .. } = find_live(call)?;
    let change = vec![StoreOp::DeleteDomain { tenant, name: name.clone(), at: call.now }];
    call.change(change, "domain.delete", &name, "")?;
    Ok(Answer::nothing())
}

/// Certificates follow the keys of a provider that was replaced, in each domain that it may publish into.
pub(super) fn followed(call: &Call, before: &Provider, after: &Provider) -> Result<Vec<StoreOp>, Problem> {
    let mut ops = Vec::new();
    for domain in call.app.store.domains(call.tenant())? {
        let takes_part =
            domain.provider == after.id || domain.signers.iter().any(|signer| signer.provider == after.id);
        if domain.deleted.is_some() || !takes_part {
            continue;
        }
        let mut changed = domain.clone();
        follow(&call.app, &mut changed, after, &before.signers, call.now)?;
        if changed != domain {
            ops.push(StoreOp::UpdateDomain(changed));
        }
    }
    Ok(ops)
}
