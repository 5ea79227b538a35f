//! Security Domains that come about with what is published, and the certificates that OTrP devices pin for them.

use std::sync::PoisonError;

use tamarack_crypto::PublicKey;
use tamarack_model::{ComponentId, UnixTime};
use tamarack_pki::{Validity, provider_certificate};
use tamarack_store::{AuditEntry, Domain, DomainSigner, Provider, Read, Store, StoreOp, TenantId};
use tamarack_tam::catalog::domain_of;
use tamarack_x509::unvalidated_key;

use crate::Error;
use crate::app::App;

/// How long a provider's certificate is valid. Devices pin it and never look at the dates; people do.
const YEARS: u32 = 20;

/// A certificate for each registered key of a provider, made by the TAM's OTrP key; none if the TAM does not speak OTrP.
pub(crate) fn certificates(
    app: &App,
    provider: &Provider,
    now: UnixTime,
) -> Result<Vec<DomainSigner>, Error> {
    provider.signers.iter().filter_map(|key| certificate(app, provider, *key, now).transpose()).collect()
}

fn certificate(
    app: &App,
    provider: &Provider,
    key: PublicKey,
    now: UnixTime,
) -> Result<Option<DomainSigner>, Error> {
    let tam = app.tam.read().unwrap_or_else(PoisonError::into_inner);
    let Some(signer) = tam.otrp_signer() else { return Ok(None) };
    let validity = Validity::days(now.saturating_sub(3600), YEARS * 365);
    let certificate = provider_certificate(signer.leaf(), signer.key(), key, &provider.id, validity)
        .map_err(|e| Error::new(e.code(), e))?;
    Ok(Some(DomainSigner { provider: provider.id.clone(), certificate }))
}

/// Brings what `domain` has of a provider to the provider's keys: a certificate for each, and none for keys of `before` that
/// are gone. Certificates of other keys were given by people and stay.
pub(crate) fn follow(
    app: &App,
    domain: &mut Domain,
    provider: &Provider,
    before: &[PublicKey],
    now: UnixTime,
) -> Result<(), Error> {
    let gone = |signer: &DomainSigner| {
        let key = unvalidated_key(&signer.certificate).ok();
        let stale = key.is_some_and(|key| before.contains(&key) && !provider.signers.contains(&key));
        signer.provider == provider.id && stale
    };
    domain.signers.retain(|signer| !gone(signer));
    for key in &provider.signers {
        let has = |signer: &DomainSigner| {
            signer.provider == provider.id && unvalidated_key(&signer.certificate).ok() == Some(*key)
        };
        if !domain.signers.iter().any(has)
            && let Some(signer) = certificate(app, provider, *key, now)?
        {
            domain.signers.push(signer);
        }
    }
    Ok(())
}

/// What publishing `manifest` changes in its domain: there is one, and it has the provider's certificates. The first
/// provider that publishes into a domain that nobody created has it.
pub(crate) fn ensure(
    app: &App,
    provider: &Provider,
    manifest: &ComponentId,
    actor: &str,
    now: UnixTime,
) -> Result<Vec<StoreOp>, Error> {
    let Ok(name) = std::str::from_utf8(manifest.domain()) else { return Ok(Vec::new()) };
    match domain_of(&app.store, &provider.tenant, manifest)? {
        // The publication is refused elsewhere.
        Some(domain) if domain.deleted.is_some() => Ok(Vec::new()),
        // What a guest has published before it was shown the door does not let it in again.
        Some(domain) if !has_part_in(&domain, provider) => Ok(Vec::new()),
        Some(domain) => {
            let mut after = domain.clone();
            follow(app, &mut after, provider, &[], now)?;
            Ok(if after == domain { Vec::new() } else { vec![StoreOp::UpdateDomain(after)] })
        }
        None => {
            let domain = Domain {
                tenant: provider.tenant.clone(),
                name: name.into(),
                provider: provider.id.clone(),
                signers: certificates(app, provider, now)?,
                quota: None,
                created: now,
                deleted: None,
            };
            let audit = AuditEntry {
                tenant: provider.tenant.clone(),
                at: now,
                actor: actor.into(),
                action: "domain.create".into(),
                subject: name.into(),
                detail: format!("of {}, with its first component", provider.id),
            };
            Ok(vec![StoreOp::InsertDomain(domain), StoreOp::Audit(audit)])
        }
    }
}

/// Whether a domain is the provider's, or the provider was let in.
fn has_part_in(domain: &Domain, provider: &Provider) -> bool {
    domain.provider == provider.id || domain.signers.iter().any(|signer| signer.provider == provider.id)
}

/// Makes what is missing for components that were published before: before there were domains, or before the TAM spoke
/// OTrP.
pub(crate) fn ensure_all(app: &App, now: UnixTime) -> Result<(), Error> {
    for tenant in app.store.tenants()? {
        ensure_tenant(app, &tenant.id, now)?;
    }
    Ok(())
}

fn ensure_tenant(app: &App, tenant: &TenantId, now: UnixTime) -> Result<(), Error> {
    for entry in app.store.catalogue(tenant)?.into_iter().filter(|entry| entry.withdrawn.is_none()) {
        let Some(provider) = app.store.provider(tenant, &entry.provider)? else { continue };
        let ops = ensure(app, &provider, &entry.manifest, "tam", now)?;
        if !ops.is_empty() {
            app.store.apply(ops)?;
        }
    }
    for domain in app.store.domains(tenant)?.into_iter().filter(|domain| domain.deleted.is_none()) {
        let Some(provider) = app.store.provider(tenant, &domain.provider)? else { continue };
        let mut after = domain.clone();
        follow(app, &mut after, &provider, &[], now)?;
        if after != domain {
            app.store.apply(vec![StoreOp::UpdateDomain(after)])?;
        }
    }
    Ok(())
}
