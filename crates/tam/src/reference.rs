//! Reference values of a tenant: whether more may be added, and what devices are compared with.

use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::vec::Vec;

use tamarack_attest::{Policy, ReferenceEntry, References, Refusal, StoredReference};
use tamarack_cbor::{Decode, Encode, Limits};
use tamarack_corim::Id;
use tamarack_model::{UnixTime, codes};
use tamarack_store::{Read, Reference, ReferenceFloor, StoreError, StoreOp, TenantId};

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

impl Tam {
    /// The reference values of a tenant; none if it never had any. Those whose provider does not vouch for them any more are left
    /// out.
    pub fn references(&self, read: &dyn Read, tenant: &TenantId) -> Result<Option<References>, StoreError> {
        let rows = read.references(tenant)?;
        if rows.is_empty() {
            return Ok(None);
        }
        let active =
            |row: Reference| StoredReference { active: row.deactivated.is_none(), signed: row.signed };
        let rows: Vec<StoredReference> = rows.into_iter().map(active).collect();
        let floors = read.reference_floors(tenant)?.into_iter().map(|floor| {
            let tag = Id::from_cbor(&floor.tag, &Limits::default());
            let tag =
                tag.map_err(|e| StoreError::Failed(alloc::format!("a floor of reference values: {e}")))?;
            Ok((floor.provider, tag, floor.version))
        });
        let floors = floors.collect::<Result<Vec<_>, StoreError>>()?;
        let providers = self.config.reference_providers.clone();
        let (references, _) = References::restore(providers, &rows, floors, &self.crypto);
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
            Some(references) => references,
            None => References::new(self.config.reference_providers.clone()),
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
