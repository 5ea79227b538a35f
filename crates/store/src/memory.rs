use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cell::RefCell;

use tamarack_crypto::Provider as Crypto;
use tamarack_model::{ComponentId, DeviceId, Sha256Digest, UnixTime};

use crate::rows::{
    ApiToken, AuditRecord, CatalogueEntry, Device, Domain, PendingUpdate, Personalization, Policy, Provider,
    Reference, ReferenceFloor, Session, Tenant, TenantId,
};
use crate::{
    Conflict, MAX_PENDING, Read, Recorded, ReleasePolicy, Store, StoreError, StoreOp,
    TenantReferenceProvider, audit_digest,
};

/// A store in memory, for tests. A batch works on a copy that replaces the state at the end.
pub struct MemoryStore {
    crypto: Crypto,
    state: RefCell<State>,
    artifacts: RefCell<BTreeMap<[u8; 32], Vec<u8>>>,
}

#[derive(Clone, Default)]
struct State {
    time: UnixTime,
    tenants: BTreeMap<TenantId, Tenant>,
    providers: BTreeMap<(TenantId, String), Provider>,
    domains: BTreeMap<(TenantId, String), Domain>,
    tokens: BTreeMap<[u8; 32], ApiToken>,
    catalogue: BTreeMap<(TenantId, ComponentId, u64), CatalogueEntry>,
    policies: BTreeMap<(TenantId, ComponentId), Policy>,
    references: Vec<Reference>,
    /// Tenant, provider, tag -> version.
    floors: BTreeMap<(TenantId, String, Vec<u8>), u64>,
    reference_providers: BTreeMap<(TenantId, String), TenantReferenceProvider>,
    release_policies: Vec<ReleasePolicy>,
    recorded: BTreeMap<(TenantId, DeviceId), Recorded>,
    devices: BTreeMap<(TenantId, DeviceId), Device>,
    personalizations: BTreeMap<(TenantId, DeviceId, ComponentId), Personalization>,
    pending: Vec<PendingUpdate>,
    /// Challenge -> when it may be pruned.
    burned: BTreeMap<[u8; 16], UnixTime>,
    sessions: Vec<Session>,
    audit: Vec<AuditRecord>,
}

impl MemoryStore {
    /// An empty store with the default tenant.
    pub fn new(crypto: Crypto) -> Self {
        let id = TenantId::default();
        let mut state = State::default();
        state.tenants.insert(id.clone(), Tenant { id, created: 0 });
        Self { crypto, state: RefCell::new(state), artifacts: RefCell::default() }
    }

    /// A copy of everything, as a backup would be.
    pub fn snapshot(&self) -> Self {
        Self { crypto: self.crypto, state: self.state.clone(), artifacts: self.artifacts.clone() }
    }
}

impl Store for MemoryStore {
    fn apply(&self, ops: Vec<StoreOp>) -> Result<(), StoreError> {
        let mut state = self.state.borrow().clone();
        ops.into_iter().try_for_each(|op| state.apply(op, &self.crypto))?;
        *self.state.borrow_mut() = state;
        Ok(())
    }

    fn put_artifact(&self, bytes: &[u8]) -> Result<[u8; 32], StoreError> {
        let digest = self.crypto.sha256(bytes);
        self.artifacts.borrow_mut().insert(digest, bytes.to_vec());
        Ok(digest)
    }
}

impl State {
    fn apply(&mut self, op: StoreOp, crypto: &Crypto) -> Result<(), Conflict> {
        op.check_range()?;
        match op {
            StoreOp::AdvanceTime(time) => self.time = self.time.max(time),
            StoreOp::InsertTenant(row) => insert(&mut self.tenants, row.id.clone(), row, "tenant")?,
            StoreOp::InsertProvider(row) => {
                self.check_prefixes(&row)?;
                insert(&mut self.providers, (row.tenant.clone(), row.id.clone()), row, "provider")?;
            }
            StoreOp::UpdateProvider(row) => {
                self.check_prefixes(&row)?;
                let key = (row.tenant.clone(), row.id.clone());
                *self.providers.get_mut(&key).ok_or(Conflict::Missing("provider"))? = row;
            }
            StoreOp::InsertDomain(row) => {
                let key = (row.tenant.clone(), row.name.clone());
                if self.domains.get(&key).is_some_and(|known| known.deleted.is_none()) {
                    return Err(Conflict::Exists("domain"));
                }
                self.domains.insert(key, row);
            }
            StoreOp::UpdateDomain(row) => {
                let known = self.domains.get_mut(&(row.tenant.clone(), row.name.clone()));
                let live = known.filter(|known| known.deleted.is_none());
                *live.ok_or(Conflict::Missing("domain"))? = row;
            }
            StoreOp::DeleteDomain { tenant, name, at } => {
                let known = self.domains.get_mut(&(tenant, name));
                let live = known.filter(|known| known.deleted.is_none());
                live.ok_or(Conflict::Missing("domain"))?.deleted = Some(at);
            }
            StoreOp::SetPersonalization(row) => {
                let key = (row.tenant.clone(), row.device, row.manifest.clone());
                self.personalizations.insert(key, row);
            }
            StoreOp::DeliverPersonalization { tenant, device, manifest, set, at } => {
                let row = self.personalizations.get_mut(&(tenant, device, manifest));
                if let Some(row) = row.filter(|row| row.set == set) {
                    row.delivered = Some(at);
                }
            }
            StoreOp::InsertToken(row) => insert(&mut self.tokens, row.hash, row, "token")?,
            StoreOp::RevokeToken { tenant, hash, at } => {
                let token = self.tokens.get_mut(&hash);
                let live = token.filter(|token| token.tenant == tenant && token.revoked.is_none());
                live.ok_or(Conflict::Missing("token"))?.revoked = Some(at);
            }
            StoreOp::Publish(row) => self.publish(row)?,
            StoreOp::Withdraw { tenant, manifest, sequence, at } => {
                let entry = self.catalogue.get_mut(&(tenant, manifest, sequence));
                let live = entry.filter(|entry| entry.withdrawn.is_none());
                live.ok_or(Conflict::Missing("catalogue entry"))?.withdrawn = Some(at);
            }
            StoreOp::SetPolicy(row) => {
                self.policies.entry((row.tenant.clone(), row.component.clone())).or_insert(row);
            }
            StoreOp::ClearPolicy { tenant, component } => {
                self.policies.remove(&(tenant, component)).ok_or(Conflict::Missing("policy"))?;
            }
            StoreOp::InsertReference { row, floors, seen } => {
                let mut of_tenant = self.references.iter().filter(|known| known.tenant == row.tenant);
                if of_tenant.clone().any(|known| known.id == row.id) {
                    return Err(Conflict::Exists("reference values"));
                }
                if of_tenant.by_ref().count() != seen {
                    return Err(Conflict::Changed);
                }
                for ReferenceFloor { provider, tag, version } in floors {
                    let floor = self.floors.entry((row.tenant.clone(), provider, tag)).or_default();
                    *floor = version.max(*floor);
                }
                self.references.push(row);
            }
            StoreOp::DeactivateReference { tenant, id, at } => {
                let row = self.references.iter_mut().find(|row| row.tenant == tenant && row.id == id);
                let live = row.filter(|row| row.deactivated.is_none());
                live.ok_or(Conflict::Missing("reference values"))?.deactivated = Some(at);
            }
            StoreOp::PutReferenceProvider(row) => {
                self.reference_providers.insert((row.tenant.clone(), row.name.clone()), row);
            }
            StoreOp::RemoveReferenceProvider { tenant, name } => {
                let removed = self.reference_providers.remove(&(tenant, name));
                removed.ok_or(Conflict::Missing("provider of reference values"))?;
            }
            StoreOp::SetReleasePolicy(row) => {
                let of_tenant = self.release_policies.iter().filter(|known| known.tenant == row.tenant);
                if of_tenant.count() as u64 + 1 != row.version {
                    return Err(Conflict::Exists("version of the release policy"));
                }
                self.release_policies.push(row);
            }
            StoreOp::Record(row) => drop(self.recorded.insert((row.tenant.clone(), row.device), *row)),
            StoreOp::PutDevice(row) => self.put_device(*row)?,
            StoreOp::ReleaseDevice { tenant, device } => {
                let row = self.devices.get_mut(&(tenant, device)).ok_or(Conflict::Missing("device"))?;
                row.revision += 1;
                row.quarantine = None;
                row.state = None;
            }
            StoreOp::InsertPending(row) => self.insert_pending(row)?,
            StoreOp::TakePending { tenant, token_hash } => {
                let live = |p: &PendingUpdate| {
                    p.tenant == tenant && p.token_hash == token_hash && p.expires >= self.time
                };
                let index = self.pending.iter().position(live).ok_or(Conflict::Missing("pending update"))?;
                self.pending.remove(index);
            }
            StoreOp::BurnChallenge { tenant: _, challenge, expires, keep_until } => {
                if expires < self.time {
                    return Err(Conflict::Expired);
                }
                if self.burned.insert(challenge, keep_until).is_some() {
                    return Err(Conflict::Burned);
                }
            }
            StoreOp::InsertSession(row) => {
                if self.sessions.iter().any(|s| s.tenant == row.tenant && s.id == row.id) {
                    return Err(Conflict::Exists("session"));
                }
                self.sessions.push(row);
            }
            StoreOp::EndSession { tenant, id, at, outcome, code, reason } => {
                let session = self.sessions.iter_mut().find(|s| s.tenant == tenant && s.id == id);
                let open = session.filter(|s| s.ended.is_none()).ok_or(Conflict::Missing("session"))?;
                (open.ended, open.outcome, open.code, open.reason) = (Some(at), Some(outcome), code, reason);
            }
            StoreOp::Audit(entry) => {
                let last = self.audit.iter().rfind(|record| record.entry.tenant == entry.tenant);
                let (number, previous) = last.map_or((0, [0; 32]), |record| (record.number, record.digest));
                let digest = audit_digest(&previous, &entry, crypto);
                self.audit.push(AuditRecord { number: number + 1, entry, digest });
            }
            StoreOp::Prune(now) => {
                self.burned.retain(|_, keep_until| *keep_until >= now);
                self.pending.retain(|pending| pending.expires >= now);
            }
        }
        Ok(())
    }

    fn check_prefixes(&self, row: &Provider) -> Result<(), Conflict> {
        match self.providers.values().any(|other| row.overlaps(other)) {
            true => Err(Conflict::PrefixTaken),
            false => Ok(()),
        }
    }

    fn publish(&mut self, row: CatalogueEntry) -> Result<(), Conflict> {
        if !self.providers.contains_key(&(row.tenant.clone(), row.provider.clone())) {
            return Err(Conflict::Missing("provider"));
        }
        let of_manifest = |e: &&CatalogueEntry| e.tenant == row.tenant && e.manifest == row.manifest;
        let highest = self.catalogue.values().filter(of_manifest).map(|e| e.sequence).max();
        if let Some(highest) = highest.filter(|highest| row.sequence <= *highest) {
            return Err(Conflict::Sequence(highest));
        }
        let clashes = |e: &CatalogueEntry| {
            let others = e.manifest == row.manifest && e.provider != row.provider;
            e.tenant == row.tenant && (e.digest == row.digest || others)
        };
        if self.catalogue.values().any(clashes) {
            return Err(Conflict::Exists("catalogue entry"));
        }
        self.catalogue.insert((row.tenant.clone(), row.manifest.clone(), row.sequence), row);
        Ok(())
    }

    fn put_device(&mut self, mut row: Device) -> Result<(), Conflict> {
        let key = (row.tenant.clone(), row.id);
        if self.devices.get(&key).map_or(0, |stored| stored.revision) != row.revision {
            return Err(Conflict::Changed);
        }
        let same_key = |d: &Device| {
            let teep = d.teep.is_some() && d.teep.map(|key| key.id) == row.teep.map(|key| key.id);
            let did = |d: &Device| d.otrp.as_ref().map(|otrp| otrp.did);
            let otrp = did(d).is_some() && did(d) == did(&row);
            d.tenant == row.tenant && d.id != row.id && (teep || otrp)
        };
        if self.devices.values().any(same_key) {
            return Err(Conflict::Exists("device key"));
        }
        row.revision += 1;
        self.devices.insert(key, row);
        Ok(())
    }

    fn insert_pending(&mut self, row: PendingUpdate) -> Result<(), Conflict> {
        if self.pending.iter().any(|p| p.tenant == row.tenant && p.token_hash == row.token_hash) {
            return Err(Conflict::Exists("pending update"));
        }
        let of_device = |p: &PendingUpdate| p.tenant == row.tenant && p.device == row.device;
        if self.pending.iter().filter(|p| of_device(p)).count() >= MAX_PENDING
            && let Some(oldest) = self.pending.iter().position(of_device)
        {
            self.pending.remove(oldest);
        }
        self.pending.push(row);
        Ok(())
    }
}

fn insert<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, row: V, what: &'static str) -> Result<(), Conflict> {
    match map.contains_key(&key) {
        true => Err(Conflict::Exists(what)),
        false => {
            map.insert(key, row);
            Ok(())
        }
    }
}

impl MemoryStore {
    /// Clones what `select` keeps.
    fn collect<'a, T: Clone + 'a>(rows: impl Iterator<Item = &'a T>, select: impl Fn(&T) -> bool) -> Vec<T> {
        rows.filter(|row| select(row)).cloned().collect()
    }
}

impl Read for MemoryStore {
    fn time(&self) -> Result<UnixTime, StoreError> {
        Ok(self.state.borrow().time)
    }

    fn tenant(&self, tenant: &TenantId) -> Result<Option<Tenant>, StoreError> {
        Ok(self.state.borrow().tenants.get(tenant).cloned())
    }

    fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        Ok(self.state.borrow().tenants.values().cloned().collect())
    }

    fn provider(&self, tenant: &TenantId, id: &str) -> Result<Option<Provider>, StoreError> {
        Ok(self.state.borrow().providers.get(&(tenant.clone(), id.to_string())).cloned())
    }

    fn providers(&self, tenant: &TenantId) -> Result<Vec<Provider>, StoreError> {
        Ok(Self::collect(self.state.borrow().providers.values(), |row| row.tenant == *tenant))
    }

    fn domain(&self, tenant: &TenantId, name: &str) -> Result<Option<Domain>, StoreError> {
        Ok(self.state.borrow().domains.get(&(tenant.clone(), name.to_string())).cloned())
    }

    fn domains(&self, tenant: &TenantId) -> Result<Vec<Domain>, StoreError> {
        Ok(Self::collect(self.state.borrow().domains.values(), |row| row.tenant == *tenant))
    }

    fn token(&self, hash: &[u8; 32]) -> Result<Option<ApiToken>, StoreError> {
        Ok(self.state.borrow().tokens.get(hash).cloned())
    }

    fn tokens(&self, tenant: &TenantId) -> Result<Vec<ApiToken>, StoreError> {
        Ok(Self::collect(self.state.borrow().tokens.values(), |row| row.tenant == *tenant))
    }

    fn catalogue(&self, tenant: &TenantId) -> Result<Vec<CatalogueEntry>, StoreError> {
        let mut rows = Self::collect(self.state.borrow().catalogue.values(), |row| row.tenant == *tenant);
        // By the encoded id, which is the order of every backend.
        rows.sort_by_key(|row| (crate::encoding::component(&row.manifest), row.sequence));
        Ok(rows)
    }

    fn entry(
        &self,
        tenant: &TenantId,
        manifest: &ComponentId,
        sequence: u64,
    ) -> Result<Option<CatalogueEntry>, StoreError> {
        Ok(self.state.borrow().catalogue.get(&(tenant.clone(), manifest.clone(), sequence)).cloned())
    }

    fn entry_by_digest(
        &self,
        tenant: &TenantId,
        digest: &[u8; 32],
    ) -> Result<Option<CatalogueEntry>, StoreError> {
        let digest = Sha256Digest(*digest);
        let state = self.state.borrow();
        Ok(state.catalogue.values().find(|row| row.tenant == *tenant && row.digest == digest).cloned())
    }

    fn newest(
        &self,
        tenant: &TenantId,
        manifest: &ComponentId,
    ) -> Result<Option<CatalogueEntry>, StoreError> {
        let wanted = |row: &&CatalogueEntry| {
            row.tenant == *tenant && row.manifest == *manifest && row.withdrawn.is_none()
        };
        Ok(self.state.borrow().catalogue.values().filter(wanted).max_by_key(|row| row.sequence).cloned())
    }

    fn newest_with(
        &self,
        tenant: &TenantId,
        component: &ComponentId,
    ) -> Result<Option<CatalogueEntry>, StoreError> {
        let wanted = |row: &&CatalogueEntry| {
            let installs = row.components.iter().any(|c| c.id == *component);
            row.tenant == *tenant && row.withdrawn.is_none() && installs
        };
        Ok(self.state.borrow().catalogue.values().filter(wanted).max_by_key(|row| row.sequence).cloned())
    }

    fn highest_sequence(&self, tenant: &TenantId, manifest: &ComponentId) -> Result<Option<u64>, StoreError> {
        let wanted = |row: &&CatalogueEntry| row.tenant == *tenant && row.manifest == *manifest;
        Ok(self.state.borrow().catalogue.values().filter(wanted).map(|row| row.sequence).max())
    }

    fn artifact(&self, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        let artifacts = self.artifacts.borrow();
        artifacts.get(digest).cloned().ok_or(StoreError::ArtifactMissing(Sha256Digest(*digest)))
    }

    fn policies(&self, tenant: &TenantId) -> Result<Vec<Policy>, StoreError> {
        let mut rows = Self::collect(self.state.borrow().policies.values(), |row| row.tenant == *tenant);
        rows.sort_by_key(|row| crate::encoding::component(&row.component));
        Ok(rows)
    }

    fn references(&self, tenant: &TenantId) -> Result<Vec<Reference>, StoreError> {
        Ok(Self::collect(self.state.borrow().references.iter(), |row| row.tenant == *tenant))
    }

    fn reference_floors(&self, tenant: &TenantId) -> Result<Vec<ReferenceFloor>, StoreError> {
        let state = self.state.borrow();
        let own = state.floors.iter().filter(|((of, ..), _)| of == tenant);
        let row = |((_, provider, tag), version): (&(TenantId, String, Vec<u8>), &u64)| ReferenceFloor {
            provider: provider.clone(),
            tag: tag.clone(),
            version: *version,
        };
        Ok(own.map(row).collect())
    }

    fn reference_providers(&self, tenant: &TenantId) -> Result<Vec<TenantReferenceProvider>, StoreError> {
        Ok(Self::collect(self.state.borrow().reference_providers.values(), |row| row.tenant == *tenant))
    }

    fn release_policy(&self, tenant: &TenantId) -> Result<Option<ReleasePolicy>, StoreError> {
        Ok(self.state.borrow().release_policies.iter().rfind(|row| row.tenant == *tenant).cloned())
    }

    fn release_policies(&self, tenant: &TenantId) -> Result<Vec<ReleasePolicy>, StoreError> {
        let state = self.state.borrow();
        Ok(state.release_policies.iter().rev().filter(|row| row.tenant == *tenant).cloned().collect())
    }

    fn recorded(&self, tenant: &TenantId, device: &DeviceId) -> Result<Option<Recorded>, StoreError> {
        Ok(self.state.borrow().recorded.get(&(tenant.clone(), *device)).cloned())
    }

    fn device(&self, tenant: &TenantId, id: &DeviceId) -> Result<Option<Device>, StoreError> {
        Ok(self.state.borrow().devices.get(&(tenant.clone(), *id)).cloned())
    }

    fn device_by_teep_key(&self, tenant: &TenantId, key: &[u8; 32]) -> Result<Option<Device>, StoreError> {
        let state = self.state.borrow();
        let wanted = |row: &&Device| row.tenant == *tenant && row.teep.is_some_and(|teep| teep.id == *key);
        Ok(state.devices.values().find(wanted).cloned())
    }

    fn device_by_did(&self, tenant: &TenantId, did: &[u8; 32]) -> Result<Option<Device>, StoreError> {
        let state = self.state.borrow();
        let wanted =
            |row: &&Device| row.tenant == *tenant && row.otrp.as_ref().is_some_and(|otrp| otrp.did == *did);
        Ok(state.devices.values().find(wanted).cloned())
    }

    fn personalizations(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
    ) -> Result<Vec<Personalization>, StoreError> {
        let select = |row: &Personalization| row.tenant == *tenant && row.device == *device;
        let mut rows = Self::collect(self.state.borrow().personalizations.values(), select);
        rows.sort_by_key(|row| crate::encoding::component(&row.manifest));
        Ok(rows)
    }

    fn devices(
        &self,
        tenant: &TenantId,
        after: Option<&DeviceId>,
        limit: usize,
    ) -> Result<Vec<Device>, StoreError> {
        let state = self.state.borrow();
        let wanted = |row: &&Device| row.tenant == *tenant && after.is_none_or(|after| row.id > *after);
        Ok(state.devices.values().filter(wanted).take(limit).cloned().collect())
    }

    fn pending(&self, tenant: &TenantId, token_hash: &[u8; 32]) -> Result<Option<PendingUpdate>, StoreError> {
        let state = self.state.borrow();
        Ok(state.pending.iter().find(|row| row.tenant == *tenant && row.token_hash == *token_hash).cloned())
    }

    fn pending_of(&self, tenant: &TenantId, device: &DeviceId) -> Result<Vec<PendingUpdate>, StoreError> {
        let select = |row: &PendingUpdate| row.tenant == *tenant && row.device == *device;
        Ok(Self::collect(self.state.borrow().pending.iter(), select))
    }

    fn is_burned(&self, challenge: &[u8; 16]) -> Result<bool, StoreError> {
        Ok(self.state.borrow().burned.contains_key(challenge))
    }

    fn session(&self, tenant: &TenantId, id: &[u8; 16]) -> Result<Option<Session>, StoreError> {
        let state = self.state.borrow();
        Ok(state.sessions.iter().find(|row| row.tenant == *tenant && row.id == *id).cloned())
    }

    fn sessions(
        &self,
        tenant: &TenantId,
        device: Option<&DeviceId>,
        limit: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let state = self.state.borrow();
        let wanted =
            |row: &&Session| row.tenant == *tenant && device.is_none_or(|device| row.device == *device);
        Ok(state.sessions.iter().rev().filter(wanted).take(limit).cloned().collect())
    }

    fn audit(&self, tenant: &TenantId, after: u64, limit: usize) -> Result<Vec<AuditRecord>, StoreError> {
        let state = self.state.borrow();
        let wanted = |row: &&AuditRecord| row.entry.tenant == *tenant && row.number > after;
        Ok(state.audit.iter().filter(wanted).take(limit).cloned().collect())
    }
}
