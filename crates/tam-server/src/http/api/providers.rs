//! `/providers`: who ships TAs, under which prefixes, signed by whom.

use serde::Deserialize;
use serde_json::Value;
use tamarack_crypto::PublicKey;
use tamarack_model::ComponentId;
use tamarack_store::{Provider, Read, Role, StoreOp};

use super::{Answer, Call, Done, Problem, domains, view};

/// What registers or replaces a provider.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    /// 1 to 63 lower-case letters, digits, dots and hyphens; on PUT the path names it.
    id: Option<String>,
    name: Option<String>,
    /// Component ids in text form, matched by whole segments.
    prefixes: Vec<String>,
    /// PEM of public keys or certificates.
    signers: Vec<String>,
    enabled: Option<bool>,
}

impl Body {
    fn read(self, call: &Call, id: String) -> Result<Provider, Problem> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
        if !(1..=63).contains(&id.len()) || !id.bytes().all(plain) {
            return Err(Problem::invalid("id: 1 to 63 lower-case letters, digits, dots and hyphens"));
        }
        if self.prefixes.is_empty() {
            return Err(Problem::invalid("prefixes: give at least one"));
        }
        let prefix = |text: &String| {
            ComponentId::parse_text(text)
                .map_err(|e| Problem::invalid(format_args!("prefixes: {text:?}: {e}")))
        };
        let name = self.name.unwrap_or_else(|| id.clone());
        if name.len() > 200 {
            return Err(Problem::invalid("name: at most 200 bytes"));
        }
        Ok(Provider {
            tenant: call.tenant().clone(),
            prefixes: self.prefixes.iter().map(prefix).collect::<Result<_, _>>()?,
            signers: self.signers.iter().map(|pem| signer(pem)).collect::<Result<_, _>>()?,
            enabled: self.enabled.unwrap_or(true),
            name,
            id,
        })
    }
}

fn signer(pem: &str) -> Result<PublicKey, Problem> {
    if let Ok(key) = tamarack_pki::public_key_from_pem(pem) {
        return Ok(key);
    }
    // The operator vouches for the certificate's key by registering it.
    tamarack_pki::certificates_from_pem(pem)
        .ok()
        .and_then(|certificates| tamarack_x509::unvalidated_key(&certificates[0]).ok())
        .ok_or_else(|| Problem::invalid("signers: PEM of a P-256 or Ed25519 PUBLIC KEY or CERTIFICATE"))
}

fn detail(provider: &Provider) -> String {
    let prefixes: Vec<String> = provider.prefixes.iter().map(ToString::to_string).collect();
    let state = if provider.enabled { "enabled" } else { "disabled" };
    format!("prefixes {}; {} signers; {state}", prefixes.join(", "), provider.signers.len())
}

/// Whether the caller may see this provider: one of role provider sees only itself.
pub(super) fn visible(call: &Call, id: &str) -> bool {
    call.token.role != Role::Provider || call.token.provider.as_deref() == Some(id)
}

/// A provider that the caller may see.
pub(super) fn find(call: &Call, id: &str) -> Result<Provider, Problem> {
    let found = call.app.store.provider(call.tenant(), id)?.filter(|_| visible(call, id));
    found.ok_or_else(|| Problem::not_found(format_args!("provider {id:?}")))
}

pub(super) fn list(call: &Call) -> Done {
    let (after, limit) = (call.query("after")?.unwrap_or_default(), call.limit()?);
    let rows = call.app.store.providers(call.tenant())?;
    let mut rows = rows.iter().filter(|row| row.id > after && visible(call, &row.id));
    let page: Vec<_> = rows.by_ref().take(limit).collect();
    let next = rows.next().and(page.last()).map(|last| last.id.clone());
    Ok(call.page(page.into_iter().map(view::provider).collect::<Vec<Value>>(), next))
}

pub(super) fn get(call: &Call) -> Done {
    Ok(Answer::ok(view::provider(&find(call, call.path("id"))?)))
}

pub(super) fn register(call: &Call) -> Done {
    let body: Body = call.json()?;
    let id = body.id.clone().ok_or_else(|| Problem::invalid("id: it is missing"))?;
    let provider = body.read(call, id)?;
    let change = vec![StoreOp::InsertProvider(provider.clone())];
    call.change(change, "provider.register", &provider.id, &detail(&provider))?;
    Ok(Answer::created(view::provider(&provider)))
}

pub(super) fn replace(call: &Call) -> Done {
    let body: Body = call.json()?;
    let id = call.path("id").to_string();
    if body.id.as_ref().is_some_and(|other| *other != id) {
        return Err(Problem::invalid("id: it is not the one in the path"));
    }
    let provider = body.read(call, id)?;
    let mut change = vec![StoreOp::UpdateProvider(provider.clone())];
    if let Some(before) = call.app.store.provider(call.tenant(), &provider.id)? {
        change.extend(domains::followed(call, &before, &provider)?);
    }
    call.change(change, "provider.replace", &provider.id, &detail(&provider))?;
    Ok(Answer::ok(view::provider(&provider)))
}
