//! Reference values that were verified, so that their signatures are not verified again at each appraisal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tamarack_attest::References;
use tamarack_store::TenantId;
use tamarack_tam::{ReferenceMemo, ReferenceState};

/// Tenants that are remembered; beyond it all are forgotten, and verified again when they are next asked for.
const TENANTS: usize = 1024;

/// The last state of each tenant. Whoever changes a row gets another state, and with it another verification.
#[derive(Default)]
pub(crate) struct Memo(Mutex<HashMap<TenantId, (ReferenceState, Arc<References>)>>);

impl ReferenceMemo for Memo {
    fn recall(&self, tenant: &TenantId, state: &ReferenceState) -> Option<Arc<References>> {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.get(tenant).filter(|(known, _)| known == state).map(|(_, references)| references.clone())
    }

    fn remember(&self, tenant: &TenantId, state: ReferenceState, references: &Arc<References>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= TENANTS && !held.contains_key(tenant) {
            held.clear();
        }
        held.insert(tenant.clone(), (state, references.clone()));
    }
}
