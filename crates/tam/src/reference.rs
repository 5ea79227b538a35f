//! Reference values of a tenant: whether more may be added, and what devices are compared with.

use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use tamarack_attest::{
    Policy, ProviderRole, ReferenceEntry, ReferenceProvider, References, Refusal, StoredReference,
};
use tamarack_cbor::{Decode, Encode, Limits};
use tamarack_corim::{Class, ClassId, Environment, Id};
use tamarack_cose::{Purpose, VerificationKey};
use tamarack_crypto::PublicKey;
use tamarack_model::{UnixTime, codes};
use tamarack_store::{
    Read, Reference, ReferenceFloor, ReferenceScope, StoreError, StoreOp, TenantId, TenantReferenceProvider,
};

use crate::Tam;

/// Reference values that may be added.
#[derive(Clone, Debug)]
pub struct Addition {
    /// The row as it will be stored, or as it is if it was added before.
    pub row: Reference,
    /// What they say.
    pub entry: ReferenceEntry,
    /// What stores them; none if they were added before.
    pub change: Option<StoreOp>,
}

/// All that the reference values of a tenant come from. Equal states give equal values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferenceState {
    /// SHA-256 of each signed CoRIM, and whether it counts.
    pub rows: Vec<([u8; 32], bool)>,
    /// The floors.
    pub floors: Vec<ReferenceFloor>,
    /// The tenant's own providers.
    pub providers: Vec<TenantReferenceProvider>,
}

/// Remembers reference values that were verified. One memo serves one [`Tam`], because the operator's providers are not in
/// the state.
pub trait ReferenceMemo: Send + Sync {
    /// What was remembered of exactly this state of the tenant.
    fn recall(&self, tenant: &TenantId, state: &ReferenceState) -> Option<Arc<References>>;
    /// Remembers it; what was remembered of another state of the tenant may be forgotten.
    fn remember(&self, tenant: &TenantId, state: ReferenceState, references: &Arc<References>);
}

impl Tam {
    /// Who may give reference values to a tenant: the operator's providers, then the tenant's own. Nobody else's devices
    /// see what those say, and their attest keys raise no grade beyond what the operator allows tenants (security rule K7).
    /// One that has a name of the operator's, or a key that serves him, which may have come later, does not count.
    pub fn reference_providers(
        &self,
        read: &dyn Read,
        tenant: &TenantId,
    ) -> Result<Vec<ReferenceProvider>, StoreError> {
        let mut providers = self.config.reference_providers.clone();
        for row in read.reference_providers(tenant)? {
            let serves_otherwise = row.keys.iter().any(|key| self.serves_otherwise(key));
            let provider = self.tenant_provider(row);
            if !serves_otherwise && collision(&provider, &providers).is_none() {
                providers.push(provider);
            }
        }
        Ok(providers)
    }

    /// Whether a tenant may take this provider: it has a name, keys and a scope, and neither its name nor a key of its is
    /// that of a provider of the operator's, of another provider of the tenant, or of somebody who signs something else
    /// (security rule K5).
    pub fn check_reference_provider(
        &self,
        read: &dyn Read,
        row: &TenantReferenceProvider,
    ) -> Result<(), Refusal> {
        let refuse = |why: &str| Refusal { code: codes::REFERENCE_PROVIDER, reason: why.into() };
        let failed = |e: StoreError| Refusal { code: e.code(), reason: e.to_string() };
        if row.name.is_empty() || row.keys.is_empty() || row.scope.is_empty() {
            return Err(refuse("give a name, at least one key and at least one environment of its scope"));
        }
        if row.scope.contains(&ReferenceScope { class_id: None, vendor: None, model: None }) {
            return Err(refuse("scope: it says nothing; give class_id, vendor or model"));
        }
        let others = self.reference_providers(read, &row.tenant).map_err(failed)?;
        let others: Vec<ReferenceProvider> = others
            .into_iter()
            .filter(|other| other.name != row.name || self.is_operators_provider(&other.name))
            .collect();
        if let Some(why) = collision(&self.tenant_provider(row.clone()), &others) {
            return Err(refuse(why));
        }
        let signers = read.providers(&row.tenant).map_err(failed)?;
        let signs = |key: &PublicKey| signers.iter().any(|provider| provider.signers.contains(key));
        if row.keys.iter().any(|key| signs(key) || self.serves_otherwise(key)) {
            return Err(refuse(
                "keys: one of them signs something else too; reference values need one of their own",
            ));
        }
        Ok(())
    }

    /// Whether the operator has this key for something else: the TAM's own messages, results of a verifier, a TEE CA.
    fn serves_otherwise(&self, key: &PublicKey) -> bool {
        let config = &self.config;
        let verifiers = config.results.iter().flat_map(|results| &results.verifiers);
        config.signers.iter().any(|signer| signer.key.public_key() == *key)
            || config.otrp.iter().any(|otrp| otrp.signer.key().public_key() == *key)
            || verifiers.flat_map(|verifier| &verifier.keys).any(|known| known.public() == key)
            || config.evidence.tee_cas.iter().any(|ca| ca.anchor.key() == Some(key))
    }

    /// Whether the operator has a provider of this name.
    pub fn is_operators_provider(&self, name: &str) -> bool {
        self.config.reference_providers.iter().any(|provider| provider.name == name)
    }

    /// A tenant's provider as it counts.
    pub fn tenant_provider(&self, row: TenantReferenceProvider) -> ReferenceProvider {
        let key = |key: &PublicKey| VerificationKey::new(*key, Purpose::ReferenceValues, &self.crypto);
        ReferenceProvider {
            name: row.name,
            role: if row.maker { ProviderRole::Maker } else { ProviderRole::TaSigner },
            keys: row.keys.iter().map(key).collect(),
            scope: row.scope.into_iter().map(environment).collect(),
            elements: row.elements,
            cap: self.config.tenant_provider_cap,
        }
    }

    /// The reference values of a tenant; none if it never had any. Those whose provider does not vouch for them any more are left
    /// out. Their signatures are verified once for each state of the tenant's rows, if there is a [`ReferenceMemo`].
    pub fn references(
        &self,
        read: &dyn Read,
        tenant: &TenantId,
    ) -> Result<Option<Arc<References>>, StoreError> {
        let rows = read.references(tenant)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let state = ReferenceState {
            rows: rows.iter().map(|row| (row.id, row.deactivated.is_none())).collect(),
            floors: read.reference_floors(tenant)?,
            providers: read.reference_providers(tenant)?,
        };
        let memo = self.config.reference_memo.as_deref();
        if let Some(known) = memo.and_then(|memo| memo.recall(tenant, &state)) {
            return Ok(Some(known));
        }
        let active =
            |row: Reference| StoredReference { active: row.deactivated.is_none(), signed: row.signed };
        let rows: Vec<StoredReference> = rows.into_iter().map(active).collect();
        let floors = state.floors.iter().map(|floor| {
            let tag = Id::from_cbor(&floor.tag, &Limits::default());
            let tag =
                tag.map_err(|e| StoreError::Failed(alloc::format!("a floor of reference values: {e}")))?;
            Ok((floor.provider.clone(), tag, floor.version))
        });
        let floors = floors.collect::<Result<Vec<_>, StoreError>>()?;
        let providers = self.reference_providers(read, tenant)?;
        let (references, _) = References::restore(providers, &rows, floors, &self.crypto);
        let references = Arc::new(references);
        if let Some(memo) = memo {
            memo.remember(tenant, state, &references);
        }
        Ok(Some(references))
    }

    /// Checks a signed CoRIM against the providers of the configuration and all that the tenant has.
    ///
    /// That it is still so when it is stored, [`StoreOp::InsertReference`] sees to.
    pub fn add_reference(
        &self,
        read: &dyn Read,
        tenant: &TenantId,
        signed: &[u8],
        now: UnixTime,
    ) -> Result<Addition, Refusal> {
        let failed = |e: StoreError| Refusal { code: e.code(), reason: e.to_string() };
        let rows = read.references(tenant).map_err(failed)?;
        let mut references = match self.references(read, tenant).map_err(failed)? {
            Some(references) => References::clone(&references),
            None => References::new(self.reference_providers(read, tenant).map_err(failed)?),
        };
        let before: Vec<_> = references.floors().collect();
        let added = references.add(signed, now, &self.crypto)?;
        let entry = references.entries().iter().find(|entry| entry.id == added.id).cloned();
        let entry =
            entry.ok_or_else(|| Refusal { code: codes::INTERNAL, reason: "added, and not there".into() })?;
        if let Some(row) = rows.iter().find(|row| row.id == added.id) {
            return Ok(Addition { row: row.clone(), entry, change: None });
        }
        let row = Reference {
            tenant: tenant.clone(),
            id: added.id,
            provider: added.provider,
            name: entry.corim.id.to_string(),
            signed: signed.to_vec(),
            added: now,
            deactivated: None,
        };
        let raised = references.floors().filter(|floor| !before.contains(floor));
        let floors = raised
            .map(|(provider, tag, version)| ReferenceFloor { provider, tag: tag.to_cbor(), version })
            .collect();
        let change = StoreOp::InsertReference { row: row.clone(), floors, seen: rows.len() };
        Ok(Addition { row, entry, change: Some(change) })
    }

    /// What Evidence from devices of this tenant is appraised by.
    pub(crate) fn evidence_policy(
        &self,
        read: &dyn Read,
        tenant: &TenantId,
    ) -> Result<Cow<'_, Policy>, StoreError> {
        Ok(match self.references(read, tenant)? {
            None => Cow::Borrowed(&self.config.evidence),
            references => Cow::Owned(Policy { references, ..self.config.evidence.clone() }),
        })
    }
}

/// Why a provider cannot stand beside `others`, if it cannot.
fn collision(provider: &ReferenceProvider, others: &[ReferenceProvider]) -> Option<&'static str> {
    if others.iter().any(|other| other.name == provider.name) {
        return Some("name: another provider has it");
    }
    let known =
        |key: &VerificationKey| others.iter().flat_map(|other| &other.keys).any(|k| k.id() == key.id());
    provider.keys.iter().any(known).then_some("keys: another provider has one of them")
}

fn environment(scope: ReferenceScope) -> Environment {
    let ReferenceScope { class_id, vendor, model } = scope;
    let class_id = class_id.map(|bytes| match <[u8; 16]>::try_from(bytes.as_slice()) {
        Ok(uuid) => ClassId::Uuid(uuid),
        Err(_) => ClassId::Bytes(bytes),
    });
    Environment::of_class(Class { class_id, vendor, model, ..Class::default() })
}
