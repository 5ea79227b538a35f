//! What a device should hold: what the tenant wants on all of its devices, and what its applications ask for.

use alloc::vec::Vec;

use tamarack_model::{ComponentId, View};
use tamarack_store::{CatalogueEntry, Read, StoreError, TenantId};

/// A component (or manifest) that is wanted, with the lowest acceptable sequence number.
pub(crate) struct Wanted {
    pub component: ComponentId,
    pub minimum: Option<u64>,
}

/// Policy first, then requests, each once.
pub(crate) fn wanted(read: &dyn Read, tenant: &TenantId, view: &View) -> Result<Vec<Wanted>, StoreError> {
    let mut wanted: Vec<Wanted> = Vec::new();
    for row in read.policies(tenant)? {
        wanted.push(Wanted { component: row.component, minimum: None });
    }
    for (component, minimum) in &view.requested {
        match wanted.iter_mut().find(|known| known.component == *component) {
            Some(known) => known.minimum = known.minimum.max(*minimum),
            None => {
                wanted.push(Wanted { component: component.clone(), minimum: *minimum });
            }
        }
    }
    Ok(wanted)
}

impl Wanted {
    /// Whether a manifest brings it.
    pub fn is_in(&self, entry: &CatalogueEntry) -> bool {
        entry.manifest == self.component || entry.components.iter().any(|c| c.id == self.component)
    }
}
