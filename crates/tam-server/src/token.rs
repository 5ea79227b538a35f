//! API tokens: made here, shown once, stored as their hash.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tamarack_crypto::Provider;
use tamarack_model::{UnixTime, codes};
use tamarack_store::{ApiToken, AuditEntry, Role, Store, StoreOp, Tenant, TenantId};

use crate::{Error, challenge_file};

/// What a token begins with, so that scanners for leaked secrets find it.
pub(crate) const PREFIX: &str = "tmk_";

/// What a new token is for.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Tenant; it is made if there is none.
    pub tenant: TenantId,
    /// What its bearer may do.
    pub role: Role,
    /// The provider it acts for; needed with [`Role::Provider`] and only there.
    pub provider: Option<String>,
    /// Its name in the audit log.
    pub label: String,
}

/// Makes a random token: `tmk_` and 43 characters that carry 256 bits.
pub(crate) fn generate(crypto: &Provider) -> Result<String, Error> {
    let mut bytes = [0; 32];
    challenge_file::random(crypto, &mut bytes)?;
    Ok(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes)))
}

/// What the store is told to know a new token by its hash.
pub(crate) fn insertion(
    new: &NewToken,
    token: &str,
    actor: &str,
    now: UnixTime,
    crypto: &Provider,
) -> Vec<StoreOp> {
    let hash = crypto.sha256(token.as_bytes());
    let role = new.role.as_str();
    let provider = new.provider.as_deref().map(|p| format!(" for provider {p}")).unwrap_or_default();
    vec![
        StoreOp::InsertToken(ApiToken {
            tenant: new.tenant.clone(),
            hash,
            role: new.role,
            provider: new.provider.clone(),
            label: new.label.clone(),
            created: now,
            revoked: None,
        }),
        StoreOp::Audit(AuditEntry {
            tenant: new.tenant.clone(),
            at: now,
            actor: actor.into(),
            action: "token.create".into(),
            subject: hex::encode(hash),
            detail: format!("{role} {:?}{provider}", new.label),
        }),
    ]
}

/// Whether role, provider and label fit together and the provider exists.
pub(crate) fn check(new: &NewToken, store: &dyn Store) -> Result<(), Error> {
    let invalid = |message: &str| Err(Error::new(codes::API_INVALID, message));
    if new.label.is_empty() || new.label.len() > 100 {
        return invalid("label: give 1 to 100 characters");
    }
    match (new.role, &new.provider) {
        (Role::Provider, Some(id)) => match store.provider(&new.tenant, id)? {
            Some(_) => Ok(()),
            None => Err(Error::new(codes::API_NOT_FOUND, format_args!("there is no provider {id}"))),
        },
        (Role::Provider, None) => invalid("provider: a token of role provider names its provider"),
        (Role::Operator | Role::Auditor, Some(_)) => {
            invalid("provider: only a token of role provider names one")
        }
        (Role::Operator | Role::Auditor, None) => Ok(()),
    }
}

/// Makes a token in a store, on the word of who may open the store's files.
pub(crate) fn add(
    store: &dyn Store,
    new: &NewToken,
    actor: &str,
    now: UnixTime,
    crypto: &Provider,
) -> Result<String, Error> {
    check(new, store)?;
    let token = generate(crypto)?;
    let mut ops = Vec::new();
    if store.tenant(&new.tenant)?.is_none() {
        ops.push(StoreOp::InsertTenant(Tenant { id: new.tenant.clone(), created: now }));
    }
    ops.extend(insertion(new, &token, actor, now, crypto));
    store.apply(ops)?;
    Ok(token)
}
