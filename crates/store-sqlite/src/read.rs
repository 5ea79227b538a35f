//! Each read of [`Read`] as SQL. The free functions are also what the writer checks its rules with.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Params, Result, Row, params};
use tamarack_crypto::PublicKey;
use tamarack_model::{Code, ComponentId, DeviceId, Sha256Digest, UnixTime};
use tamarack_store::encoding::{
    component, read_claims, read_component, read_components, read_domain_signers, read_entries,
    read_held_back, read_keys, read_otrp_device, read_pending_command, read_reference_scopes, read_texts,
    read_withheld,
};
use tamarack_store::{
    ApiToken, AuditEntry, AuditRecord, CatalogueEntry, Device, Domain, Held, PendingUpdate, Personalization,
    Policy, Proof, Provider, Read, Recorded, Reference, ReferenceFloor, ReleasePolicy, Role, Session,
    SessionOutcome, StateMark, StoreError, TeepKey, Tenant, TenantId, TenantReferenceProvider,
};

use crate::SqliteStore;

pub(crate) fn time(db: &Connection) -> Result<UnixTime> {
    db.prepare_cached("SELECT highest FROM clock")?.query_row([], |row| unsigned(row, 0))
}

pub(crate) fn provider(db: &Connection, tenant: &TenantId, id: &str) -> Result<Option<Provider>> {
    let sql = "SELECT * FROM provider WHERE tenant = ?1 AND id = ?2";
    one(db, sql, params![tenant.as_str(), id], provider_row)
}

pub(crate) fn providers(db: &Connection, tenant: &TenantId) -> Result<Vec<Provider>> {
    all(db, "SELECT * FROM provider WHERE tenant = ?1 ORDER BY id", params![tenant.as_str()], provider_row)
}

pub(crate) fn highest_sequence(
    db: &Connection,
    tenant: &TenantId,
    manifest: &ComponentId,
) -> Result<Option<u64>> {
    let sql = "SELECT max(sequence) FROM catalogue WHERE tenant = ?1 AND manifest = ?2";
    db.prepare_cached(sql)?
        .query_row(params![tenant.as_str(), component(manifest)], |row| optional_unsigned(row, 0))
}

fn one<T>(
    db: &Connection,
    sql: &str,
    values: impl Params,
    read: fn(&Row<'_>) -> Result<T>,
) -> Result<Option<T>> {
    db.prepare_cached(sql)?.query_row(values, read).optional()
}

fn all<T>(
    db: &Connection,
    sql: &str,
    values: impl Params,
    read: fn(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    db.prepare_cached(sql)?.query_map(values, read)?.collect()
}

// Numbers were checked to fit an i64 when they were written.

fn unsigned(row: &Row<'_>, column: usize) -> Result<u64> {
    Ok(row.get::<_, i64>(column)? as u64)
}

fn optional_unsigned(row: &Row<'_>, column: usize) -> Result<Option<u64>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(|n| n as u64))
}

/// A value that this crate did not write, as an error of its column.
fn damaged(column: usize, kind: Type) -> rusqlite::Error {
    rusqlite::Error::InvalidColumnType(column, "not a value that this program writes".into(), kind)
}

/// Reads a CBOR column.
fn decoded<T>(
    row: &Row<'_>,
    column: usize,
    read: fn(&[u8]) -> std::result::Result<T, tamarack_cbor::Error>,
) -> Result<T> {
    let bytes: Vec<u8> = row.get(column)?;
    read(&bytes).map_err(|_| damaged(column, Type::Blob))
}

/// Reads a CBOR column that may be empty.
fn optional_decoded<T>(
    row: &Row<'_>,
    column: usize,
    read: fn(&[u8]) -> std::result::Result<T, tamarack_cbor::Error>,
) -> Result<Option<T>> {
    let bytes: Option<Vec<u8>> = row.get(column)?;
    bytes.map(|bytes| read(&bytes).map_err(|_| damaged(column, Type::Blob))).transpose()
}

/// Reads a column of names of a closed set.
fn named<T>(row: &Row<'_>, column: usize, parse: fn(&str) -> Option<T>) -> Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| damaged(column, Type::Text))
}

fn tenant_id(row: &Row<'_>, column: usize) -> Result<TenantId> {
    named(row, column, |text| TenantId::new(text).ok())
}

fn tenant_row(row: &Row<'_>) -> Result<Tenant> {
    Ok(Tenant { id: tenant_id(row, 0)?, created: unsigned(row, 1)? })
}

fn provider_row(row: &Row<'_>) -> Result<Provider> {
    Ok(Provider {
        tenant: tenant_id(row, 0)?,
        id: row.get(1)?,
        name: row.get(2)?,
        prefixes: decoded(row, 3, read_components)?,
        signers: decoded(row, 4, read_keys)?,
        enabled: row.get(5)?,
    })
}

fn domain_row(row: &Row<'_>) -> Result<Domain> {
    Ok(Domain {
        tenant: tenant_id(row, 0)?,
        name: row.get(1)?,
        provider: row.get(2)?,
        signers: decoded(row, 3, read_domain_signers)?,
        quota: optional_unsigned(row, 4)?,
        created: unsigned(row, 5)?,
        deleted: optional_unsigned(row, 6)?,
    })
}

fn personalization_row(row: &Row<'_>) -> Result<Personalization> {
    Ok(Personalization {
        tenant: tenant_id(row, 0)?,
        device: DeviceId(row.get(1)?),
        manifest: decoded(row, 2, read_component)?,
        data: row.get(3)?,
        set: unsigned(row, 4)?,
        delivered: optional_unsigned(row, 5)?,
    })
}

fn token_row(row: &Row<'_>) -> Result<ApiToken> {
    Ok(ApiToken {
        hash: row.get(0)?,
        tenant: tenant_id(row, 1)?,
        role: named(row, 2, Role::parse)?,
        provider: row.get(3)?,
        label: row.get(4)?,
        created: unsigned(row, 5)?,
        revoked: optional_unsigned(row, 6)?,
    })
}

fn entry_row(row: &Row<'_>) -> Result<CatalogueEntry> {
    Ok(CatalogueEntry {
        tenant: tenant_id(row, 0)?,
        manifest: decoded(row, 1, read_component)?,
        sequence: unsigned(row, 2)?,
        provider: row.get(3)?,
        digest: Sha256Digest(row.get(4)?),
        components: decoded(row, 5, read_entries)?,
        artifact: Sha256Digest(row.get(6)?),
        size: unsigned(row, 7)?,
        published: unsigned(row, 8)?,
        withdrawn: optional_unsigned(row, 9)?,
    })
}

fn policy_row(row: &Row<'_>) -> Result<Policy> {
    Ok(Policy {
        tenant: tenant_id(row, 0)?,
        component: decoded(row, 1, read_component)?,
        since: unsigned(row, 2)?,
    })
}

fn reference_row(row: &Row<'_>) -> Result<Reference> {
    Ok(Reference {
        tenant: tenant_id(row, 1)?,
        id: row.get(2)?,
        provider: row.get(3)?,
        name: row.get(4)?,
        signed: row.get(5)?,
        added: unsigned(row, 6)?,
        deactivated: optional_unsigned(row, 7)?,
    })
}

fn reference_floor_row(row: &Row<'_>) -> Result<ReferenceFloor> {
    Ok(ReferenceFloor { provider: row.get(1)?, tag: row.get(2)?, version: unsigned(row, 3)? })
}

fn reference_provider_row(row: &Row<'_>) -> Result<TenantReferenceProvider> {
    Ok(TenantReferenceProvider {
        tenant: tenant_id(row, 0)?,
        name: row.get(1)?,
        maker: row.get(2)?,
        keys: decoded(row, 3, read_keys)?,
        scope: decoded(row, 4, read_reference_scopes)?,
        elements: optional_decoded(row, 5, read_texts)?,
        set: unsigned(row, 6)?,
    })
}

fn release_policy_row(row: &Row<'_>) -> Result<ReleasePolicy> {
    Ok(ReleasePolicy {
        tenant: tenant_id(row, 0)?,
        version: unsigned(row, 1)?,
        text: row.get(2)?,
        set: unsigned(row, 3)?,
        by: row.get(4)?,
    })
}

fn recorded_row(row: &Row<'_>) -> Result<Recorded> {
    Ok(Recorded {
        tenant: tenant_id(row, 0)?,
        device: DeviceId(row.get(1)?),
        at: unsigned(row, 2)?,
        otrp: row.get(3)?,
        format: row.get(4)?,
        evidence: row.get(5)?,
        shown: row.get(6)?,
        policy: optional_unsigned(row, 7)?,
        withheld: decoded(row, 8, read_withheld)?,
    })
}

fn held(row: &Row<'_>, column: usize) -> Result<Option<Held>> {
    let Some(at) = optional_unsigned(row, column + 1)? else { return Ok(None) };
    let (entries, proof) = (decoded(row, column, read_entries)?, named(row, column + 2, Proof::parse)?);
    Ok(Some(Held { entries, at, proof }))
}

fn device_row(row: &Row<'_>) -> Result<Device> {
    let point: Option<Vec<u8>> = row.get(3)?;
    let teep = match point {
        Some(point) => {
            let key = PublicKey::from_point(&point).map_err(|_| damaged(3, Type::Blob))?;
            Some(TeepKey { key, id: row.get(4)? })
        }
        None => None,
    };
    let epoch = optional_unsigned(row, 8)?;
    Ok(Device {
        tenant: tenant_id(row, 0)?,
        id: DeviceId(row.get(1)?),
        revision: unsigned(row, 2)?,
        teep,
        otrp: optional_decoded(row, 19, read_otrp_device)?,
        ueid: row.get(5)?,
        grade: row.get(6)?,
        claims: decoded(row, 7, read_claims)?,
        state: epoch
            .map(|epoch| Ok::<_, rusqlite::Error>(StateMark { epoch, root: row.get(9)? }))
            .transpose()?,
        quarantine: row.get(10)?,
        first_seen: unsigned(row, 11)?,
        last_seen: unsigned(row, 12)?,
        reported: held(row, 13)?,
        attested: held(row, 16)?,
        held_back: optional_decoded(row, 21, read_held_back)?.unwrap_or_default(),
    })
}

fn pending_row(row: &Row<'_>) -> Result<PendingUpdate> {
    Ok(PendingUpdate {
        tenant: tenant_id(row, 1)?,
        token_hash: row.get(2)?,
        device: DeviceId(row.get(3)?),
        session: row.get(4)?,
        manifests: decoded(row, 5, read_entries)?,
        removals: decoded(row, 6, read_components)?,
        sent: unsigned(row, 7)?,
        expires: unsigned(row, 8)?,
        command: optional_decoded(row, 9, read_pending_command)?,
    })
}

fn session_row(row: &Row<'_>) -> Result<Session> {
    let outcome: Option<String> = row.get(6)?;
    let outcome = outcome.map(|text| SessionOutcome::parse(&text).ok_or_else(|| damaged(6, Type::Text)));
    Ok(Session {
        tenant: tenant_id(row, 1)?,
        id: row.get(2)?,
        device: DeviceId(row.get(3)?),
        started: unsigned(row, 4)?,
        ended: optional_unsigned(row, 5)?,
        outcome: outcome.transpose()?,
        code: row.get::<_, Option<u16>>(7)?.map(Code),
        reason: row.get(8)?,
    })
}

fn audit_row(row: &Row<'_>) -> Result<AuditRecord> {
    let entry = AuditEntry {
        tenant: tenant_id(row, 0)?,
        at: unsigned(row, 2)?,
        actor: row.get(3)?,
        action: row.get(4)?,
        subject: row.get(5)?,
        detail: row.get(6)?,
    };
    Ok(AuditRecord { number: unsigned(row, 1)?, entry, digest: row.get(7)? })
}

/// A limit as SQL takes it.
fn limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Read for SqliteStore {
    fn time(&self) -> Result<UnixTime, StoreError> {
        self.with_reader(time)
    }

    fn tenant(&self, tenant: &TenantId) -> Result<Option<Tenant>, StoreError> {
        let sql = "SELECT * FROM tenant WHERE id = ?1";
        self.with_reader(|db| one(db, sql, params![tenant.as_str()], tenant_row))
    }

    fn tenants(&self) -> Result<Vec<Tenant>, StoreError> {
        self.with_reader(|db| all(db, "SELECT * FROM tenant ORDER BY id", [], tenant_row))
    }

    fn provider(&self, tenant: &TenantId, id: &str) -> Result<Option<Provider>, StoreError> {
        self.with_reader(|db| provider(db, tenant, id))
    }

    fn providers(&self, tenant: &TenantId) -> Result<Vec<Provider>, StoreError> {
        self.with_reader(|db| providers(db, tenant))
    }

    fn domain(&self, tenant: &TenantId, name: &str) -> Result<Option<Domain>, StoreError> {
        let sql = "SELECT * FROM domain WHERE tenant = ?1 AND name = ?2";
        self.with_reader(|db| one(db, sql, params![tenant.as_str(), name], domain_row))
    }

    fn domains(&self, tenant: &TenantId) -> Result<Vec<Domain>, StoreError> {
        let sql = "SELECT * FROM domain WHERE tenant = ?1 ORDER BY name";
        self.with_reader(|db| all(db, sql, params![tenant.as_str()], domain_row))
    }

    fn token(&self, hash: &[u8; 32]) -> Result<Option<ApiToken>, StoreError> {
        self.with_reader(|db| one(db, "SELECT * FROM token WHERE hash = ?1", params![hash], token_row))
    }

    fn tokens(&self, tenant: &TenantId) -> Result<Vec<ApiToken>, StoreError> {
        let sql = "SELECT * FROM token WHERE tenant = ?1 ORDER BY hash";
        self.with_reader(|db| all(db, sql, params![tenant.as_str()], token_row))
    }

    fn catalogue(&self, tenant: &TenantId) -> Result<Vec<CatalogueEntry>, StoreError> {
        let sql = "SELECT * FROM catalogue WHERE tenant = ?1 ORDER BY manifest, sequence";
        self.with_reader(|db| all(db, sql, params![tenant.as_str()], entry_row))
    }

    fn entry(
        &self,
        tenant: &TenantId,
        manifest: &ComponentId,
        sequence: u64,
    ) -> Result<Option<CatalogueEntry>, StoreError> {
        let sql = "SELECT * FROM catalogue WHERE tenant = ?1 AND manifest = ?2 AND sequence = ?3";
        // A number that does not fit names no row.
        let Ok(sequence) = i64::try_from(sequence) else { return Ok(None) };
        self.with_reader(|db| {
            one(db, sql, params![tenant.as_str(), component(manifest), sequence], entry_row)
        })
    }

    fn entry_by_digest(
        &self,
        tenant: &TenantId,
        digest: &[u8; 32],
    ) -> Result<Option<CatalogueEntry>, StoreError> {
        let sql = "SELECT * FROM catalogue WHERE tenant = ?1 AND digest = ?2";
        self.with_reader(|db| one(db, sql, params![tenant.as_str(), digest], entry_row))
    }

    fn newest(
        &self,
        tenant: &TenantId,
        manifest: &ComponentId,
    ) -> Result<Option<CatalogueEntry>, StoreError> {
        let sql = "SELECT * FROM catalogue WHERE tenant = ?1 AND manifest = ?2 AND withdrawn IS NULL
            ORDER BY sequence DESC LIMIT 1";
        self.with_reader(|db| one(db, sql, params![tenant.as_str(), component(manifest)], entry_row))
    }

    fn newest_with(&self, tenant: &TenantId, id: &ComponentId) -> Result<Option<CatalogueEntry>, StoreError> {
        let sql = "SELECT c.* FROM catalogue_component i JOIN catalogue c USING (tenant, manifest, sequence)
            WHERE i.tenant = ?1 AND i.component = ?2 AND c.withdrawn IS NULL
            ORDER BY i.sequence DESC LIMIT 1";
        self.with_reader(|db| one(db, sql, params![tenant.as_str(), component(id)], entry_row))
    }

    fn highest_sequence(&self, tenant: &TenantId, manifest: &ComponentId) -> Result<Option<u64>, StoreError> {
        self.with_reader(|db| highest_sequence(db, tenant, manifest))
    }

    fn artifact(&self, digest: &[u8; 32]) -> Result<Vec<u8>, StoreError> {
        self.artifacts.get(digest)
    }

    fn policies(&self, tenant: &TenantId) -> Result<Vec<Policy>, StoreError> {
        let sql = "SELECT * FROM policy WHERE tenant = ?1 ORDER BY component";
        self.with_reader(|db| all(db, sql, params![tenant.as_str()], policy_row))
    }

    fn references(&self, tenant: &TenantId) -> Result<Vec<Reference>, StoreError> {
        let sql = "SELECT * FROM reference WHERE tenant = ?1 ORDER BY number";
        self.with_reader(|db| all(db, sql, params![tenant.as_str()], reference_row))
    }

    fn reference_floors(&self, tenant: &TenantId) -> Result<Vec<ReferenceFloor>, StoreError> {
        let sql = "SELECT * FROM reference_floor WHERE tenant = ?1 ORDER BY provider, tag";
        self.with_reader(|db| all(db, sql, params![tenant.as_str()], reference_floor_row))
    }

    fn reference_providers(&self, tenant: &TenantId) -> Result<Vec<TenantReferenceProvider>, StoreError> {
        let sql = "SELECT * FROM reference_provider WHERE tenant = ?1 ORDER BY name";
        self.with_reader(|db| all(db, sql, params![tenant.as_str()], reference_provider_row))
    }

    fn release_policy(&self, tenant: &TenantId) -> Result<Option<ReleasePolicy>, StoreError> {
        let sql = "SELECT * FROM release_policy WHERE tenant = ?1 ORDER BY version DESC LIMIT 1";
        self.with_reader(|db| one(db, sql, params![tenant.as_str()], release_policy_row))
    }

    fn release_policies(&self, tenant: &TenantId) -> Result<Vec<ReleasePolicy>, StoreError> {
        let sql = "SELECT * FROM release_policy WHERE tenant = ?1 ORDER BY version DESC";
        self.with_reader(|db| all(db, sql, params![tenant.as_str()], release_policy_row))
    }

    fn recorded(&self, tenant: &TenantId, device: &DeviceId) -> Result<Option<Recorded>, StoreError> {
        let sql = "SELECT * FROM recorded WHERE tenant = ?1 AND device = ?2";
        self.with_reader(|db| one(db, sql, params![tenant.as_str(), device.0], recorded_row))
    }

    fn device(&self, tenant: &TenantId, id: &DeviceId) -> Result<Option<Device>, StoreError> {
        let sql = "SELECT * FROM device WHERE tenant = ?1 AND id = ?2";
        self.with_reader(|db| one(db, sql, params![tenant.as_str(), id.0], device_row))
    }

    fn device_by_teep_key(&self, tenant: &TenantId, key: &[u8; 32]) -> Result<Option<Device>, StoreError> {
        let sql = "SELECT * FROM device WHERE tenant = ?1 AND teep_key_id = ?2";
        self.with_reader(|db| one(db, sql, params![tenant.as_str(), key], device_row))
    }

    fn device_by_did(&self, tenant: &TenantId, did: &[u8; 32]) -> Result<Option<Device>, StoreError> {
        let sql = "SELECT * FROM device WHERE tenant = ?1 AND otrp_did = ?2";
        self.with_reader(|db| one(db, sql, params![tenant.as_str(), did], device_row))
    }

    fn personalizations(
        &self,
        tenant: &TenantId,
        device: &DeviceId,
    ) -> Result<Vec<Personalization>, StoreError> {
        let sql = "SELECT * FROM personalization WHERE tenant = ?1 AND device = ?2 ORDER BY manifest";
        self.with_reader(|db| all(db, sql, params![tenant.as_str(), device.0], personalization_row))
    }

    fn devices(
        &self,
        tenant: &TenantId,
        after: Option<&DeviceId>,
        count: usize,
    ) -> Result<Vec<Device>, StoreError> {
        let sql = "SELECT * FROM device WHERE tenant = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
        let after = after.map_or(&[][..], |after| &after.0);
        self.with_reader(|db| all(db, sql, params![tenant.as_str(), after, limit(count)], device_row))
    }

    fn pending(&self, tenant: &TenantId, token_hash: &[u8; 32]) -> Result<Option<PendingUpdate>, StoreError> {
        let sql = "SELECT * FROM pending WHERE tenant = ?1 AND token_hash = ?2";
        self.with_reader(|db| one(db, sql, params![tenant.as_str(), token_hash], pending_row))
    }

    fn pending_of(&self, tenant: &TenantId, device: &DeviceId) -> Result<Vec<PendingUpdate>, StoreError> {
        let sql = "SELECT * FROM pending WHERE tenant = ?1 AND device = ?2 ORDER BY number";
        self.with_reader(|db| all(db, sql, params![tenant.as_str(), device.0], pending_row))
    }

    fn is_burned(&self, challenge: &[u8; 16]) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM burned WHERE challenge = ?1";
        self.with_reader(|db| db.prepare_cached(sql)?.exists(params![challenge]))
    }

    fn session(&self, tenant: &TenantId, id: &[u8; 16]) -> Result<Option<Session>, StoreError> {
        let sql = "SELECT * FROM session WHERE tenant = ?1 AND id = ?2";
        self.with_reader(|db| one(db, sql, params![tenant.as_str(), id], session_row))
    }

    fn sessions(
        &self,
        tenant: &TenantId,
        device: Option<&DeviceId>,
        count: usize,
    ) -> Result<Vec<Session>, StoreError> {
        let tenant = tenant.as_str();
        self.with_reader(|db| match device {
            Some(device) => {
                let sql =
                    "SELECT * FROM session WHERE tenant = ?1 AND device = ?2 ORDER BY number DESC LIMIT ?3";
                all(db, sql, params![tenant, device.0, limit(count)], session_row)
            }
            None => {
                let sql = "SELECT * FROM session WHERE tenant = ?1 ORDER BY number DESC LIMIT ?2";
                all(db, sql, params![tenant, limit(count)], session_row)
            }
        })
    }

    fn audit(&self, tenant: &TenantId, after: u64, count: usize) -> Result<Vec<AuditRecord>, StoreError> {
        let sql = "SELECT * FROM audit WHERE tenant = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
        let after = i64::try_from(after).unwrap_or(i64::MAX);
        self.with_reader(|db| all(db, sql, params![tenant.as_str(), after, limit(count)], audit_row))
    }
}
